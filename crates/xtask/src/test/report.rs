//! Reads what test programs print, and sums it up.
//!
//! The totals are those that the programs state; the cases of each backend are counted by name.

use std::fmt;

use cellzero_test_support::Engine;

/// Whether all tests ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All tests: each backend must have the same number of cases, and some.
    Everything,
    /// Some of them, by a filter: nothing is known about the others.
    Filtered,
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    totals: Totals,
    cases: [u64; Engine::ALL.len()],
    program: Option<Program>,
    programs: u64,
    problems: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// A test program that has said how many tests it runs and has not ended yet.
#[derive(Debug)]
struct Program {
    announced: u64,
    seen: Totals,
}

/// The outcome in a line such as `test name ... ok`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Ignored,
}

impl Report {
    /// Takes one line of a test program's output; most say nothing that is counted.
    pub(crate) fn read_line(&mut self, line: &str) {
        if let Some(announced) = announced_tests(line) {
            self.close_unfinished_program();
            self.program = Some(Program { announced, seen: Totals::default() });
        } else if let Some(stated) = stated_result(line) {
            self.end_program(stated);
        } else if let Some((name, outcome)) = test_line(line) {
            self.count(name, outcome);
        }
    }

    /// Takes the end of one run of Cargo.
    pub(crate) fn end_run(&mut self, command: &str, success: bool) {
        self.close_unfinished_program();
        // A failed test is said by its own line; a failure without one is easily overlooked.
        if !success && self.totals.failed == 0 {
            self.problems.push(format!("`cargo {command}` failed, and not by a failed test"));
        }
    }

    /// The end of it all.
    pub(crate) fn summary(mut self, scope: Scope) -> Summary {
        self.close_unfinished_program();
        if self.totals.ignored > 0 {
            self.problems.push(format!("{} tests were ignored", self.totals.ignored));
        }
        if self.programs == 0 {
            self.problems.push("no test program ran".to_owned());
        }
        if scope == Scope::Everything {
            if self.cases.iter().any(|cases| *cases != self.cases[0]) {
                self.problems.push("the backends differ in the number of their cases".to_owned());
            }
            if self.cases.contains(&0) {
                self.problems.push("a backend has no case at all".to_owned());
            }
        }
        Summary { totals: self.totals, cases: self.cases, problems: self.problems }
    }

    fn count(&mut self, name: &str, outcome: Outcome) {
        let Some(program) = &mut self.program else { return };
        match outcome {
            Outcome::Passed => program.seen.passed += 1,
            Outcome::Failed => program.seen.failed += 1,
            Outcome::Ignored => program.seen.ignored += 1,
        }
        if outcome == Outcome::Ignored {
            return;
        }
        for (engine, cases) in Engine::ALL.into_iter().zip(&mut self.cases) {
            if name.contains(marker(engine)) {
                *cases += 1;
            }
        }
    }

    fn end_program(&mut self, stated: Totals) {
        self.programs += 1;
        self.totals.add(stated);
        if let Some(program) = self.program.take()
            && program.seen != stated
        {
            self.problems.push(format!(
                "of a test program's {} tests only {} could be read from its output, so the cases \
                 of the backends are not exact",
                stated.sum(),
                program.seen.sum(),
            ));
        }
    }

    /// A program that was killed or aborted states nothing; what it did not pass has failed.
    fn close_unfinished_program(&mut self) {
        let Some(program) = self.program.take() else { return };
        self.programs += 1;
        let seen = program.seen;
        let failed = program.announced.saturating_sub(seen.passed + seen.ignored);
        self.totals.add(Totals { failed, ..seen });
        self.problems.push(format!(
            "a test program ended in the middle: {} of its {} tests were not finished",
            program.announced.saturating_sub(seen.sum()),
            program.announced,
        ));
    }
}

impl Totals {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    fn sum(self) -> u64 {
        self.passed + self.failed + self.ignored
    }
}

/// What is left to say; its last line is `N passed, N failed`.
#[derive(Debug)]
pub(crate) struct Summary {
    totals: Totals,
    cases: [u64; Engine::ALL.len()],
    problems: Vec<String>,
}

impl Summary {
    /// Whether everything ran, nothing failed, and no backend was treated differently.
    pub(crate) fn is_success(&self) -> bool {
        self.totals.failed == 0 && self.problems.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "error: {problem}")?;
        }
        let cases: Vec<String> = Engine::ALL
            .into_iter()
            .zip(self.cases)
            .map(|(engine, cases)| format!("{} {cases}", engine.name()))
            .collect();
        writeln!(f, "cases by backend: {}", cases.join(", "))?;
        writeln!(f, "{} passed, {} failed", self.totals.passed, self.totals.failed)
    }
}

/// What rstest puts into the name of a case whose parameter is this engine.
fn marker(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "Engine__Sqlite",
        Engine::Postgres => "Engine__Postgres",
        Engine::MariaDb => "Engine__MariaDb",
    }
}

/// The number in `running 12 tests`.
fn announced_tests(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("running ")?;
    rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test"))?.parse().ok()
}

/// The name and the outcome in `test name ... ok`.
fn test_line(line: &str) -> Option<(&str, Outcome)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    // A reason or a duration may follow.
    let word = outcome.split([',', ' ']).next()?;
    let outcome = match word {
        "ok" => Outcome::Passed,
        "FAILED" => Outcome::Failed,
        "ignored" => Outcome::Ignored,
        _ => return None,
    };
    Some((name, outcome))
}

/// The numbers in `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
fn stated_result(line: &str) -> Option<Totals> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |label: &str| -> Option<u64> {
        let part = numbers.split("; ").find_map(|part| part.strip_suffix(label))?;
        part.trim().parse().ok()
    };
    Some(Totals {
        passed: number(" passed")?,
        failed: number(" failed")?,
        ignored: number(" ignored")?,
    })
}

#[cfg(test)]
mod tests {
    //! The parser on lines as libtest and rstest print them.

    use super::*;
    use rstest::rstest;

    const GREEN: &str = "
running 5 tests
test cell::tests::a_row_is_kept::engine_1_Engine__Sqlite ... ok
test cell::tests::a_row_is_kept::engine_2_Engine__Postgres ... ok
test cell::tests::a_row_is_kept::engine_3_Engine__MariaDb ... ok
test plain ... ok
test panics - should panic ... ok

test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.11s
";

    fn read(texts: &[&str]) -> Report {
        let mut report = Report::default();
        for text in texts {
            for line in text.lines() {
                report.read_line(line);
            }
        }
        report
    }

    fn summary(texts: &[&str]) -> Summary {
        read(texts).summary(Scope::Everything)
    }

    #[test]
    fn the_last_two_lines_count_cases_and_tests() {
        let summary = summary(&[GREEN, GREEN]);
        assert!(summary.is_success(), "{summary}");
        assert_eq!(
            summary.to_string(),
            "cases by backend: sqlite 2, postgres 2, mariadb 2\n10 passed, 0 failed\n"
        );
    }

    #[rstest]
    #[case::a_failure("test plain ... ok", "test plain ... FAILED", "5 passed; 0", "4 passed; 1")]
    #[case::an_ignored_test(
        "test plain ... ok",
        "test plain ... ignored, too slow",
        "5 passed; 0 failed; 0 ignored",
        "4 passed; 0 failed; 1 ignored"
    )]
    #[case::a_missing_backend_case(
        "engine_3_Engine__MariaDb ... ok",
        "engine_3_Engine__Postgres ... ok",
        "",
        ""
    )]
    #[case::a_line_that_cannot_be_read("test plain ... ok", "test plain ... okay", "", "")]
    fn one_flaw_fails_the_run(
        #[case] old_line: &str,
        #[case] new_line: &str,
        #[case] old_result: &str,
        #[case] new_result: &str,
    ) {
        let text = GREEN.replace(old_line, new_line).replace(old_result, new_result);
        let summary = summary(&[GREEN, &text]);
        assert!(!summary.is_success(), "{summary}");
    }

    #[test]
    fn tests_without_any_backend_case_fail_a_full_run_and_not_a_filtered_one() {
        let text = "running 1 test\ntest a ... ok\n\ntest result: ok. 1 passed; 0 failed; \
                    0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert!(!summary(&[text]).is_success());
        assert!(read(&[text]).summary(Scope::Filtered).is_success());
    }

    #[test]
    fn a_program_that_dies_has_failed_what_it_did_not_pass() {
        let text = "running 4 tests\ntest a ... ok\ntest b ... FAILED\n";
        let summary = summary(&[GREEN, text, GREEN]);
        assert!(!summary.is_success());
        assert!(summary.to_string().ends_with("\n11 passed, 3 failed\n"), "{summary}");
    }

    #[test]
    fn a_run_that_does_not_compile_fails() {
        let mut report = read(&[GREEN]);
        report.end_run("test --doc", false);
        let summary = report.summary(Scope::Everything);
        assert!(summary.to_string().starts_with("error: `cargo test --doc` failed"), "{summary}");
        assert!(!summary.is_success());
    }

    #[test]
    fn a_run_without_any_test_program_fails() {
        assert!(!read(&[]).summary(Scope::Filtered).is_success());
    }

    #[rstest]
    #[case("test a ... ok", Some(("a", Outcome::Passed)))]
    #[case("test a ... ok <0.003s>", Some(("a", Outcome::Passed)))]
    #[case("test a ... ignored, why not", Some(("a", Outcome::Ignored)))]
    #[case(
        "test crates/x/src/lib.rs - thing (line 3) - compile fail ... ok",
        Some(("crates/x/src/lib.rs - thing (line 3) - compile fail", Outcome::Passed))
    )]
    #[case("test result: ok. 1 passed; 0 failed; 0 ignored", None)]
    #[case("a test says ... ok", None)]
    #[case("test a has been running for over 60 seconds", None)]
    fn a_test_line_is_told_from_others(
        #[case] line: &str,
        #[case] wanted: Option<(&str, Outcome)>,
    ) {
        assert_eq!(test_line(line), wanted);
    }
}
