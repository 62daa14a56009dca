//! What the documents tell a reader to type works.

use std::time::{Duration, Instant};

use crate::support::Cellzero;

fn document(name: &str) -> String {
    let path = format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The commands of a document that are this binary's, without its name.
fn commands(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("cellzero "));
    lines.map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn debugging_with_cell0_works_as_it_is_written() {
    let text = document("docs/debugging-with-cell0.md");
    let cellzero = Cellzero::new();
    let commands = commands(&text);
    assert!(commands.len() > 10);
    let mut retried = false;
    for args in commands {
        let ran = cellzero.run(&args);
        retried |= args.starts_with(&["instance", "retry"]);
        match args.as_slice() {
            ["instance", "boot", ..] => drop(ran.ends(2)),
            ["instance", "show", "db-1"] => {
                let ran = ran.ends(0);
                let status = if retried { "ACTIVE" } else { "ERROR" };
                assert!(ran.stdout.contains(status), "{}", ran.stdout);
            }
            ["instance", "why", "db-1"]
                if cellzero.path().join("cellzero-dev/cell4.db").exists() =>
            {
                let ran = ran.ends(0);
                assert!(ran.stdout.contains("Now it would fit on cell"), "{}", ran.stdout);
            }
            _ => drop(ran.ends(0)),
        }
    }
}

/// The README's way from nothing to a burial that is explained, timed.
#[test]
fn the_start_of_the_readme_works_in_seconds() {
    let text = document("README.md");
    let start = text.find("## Start").expect("a start");
    let end = start + text[start..].find("\n## Embed").expect("an end");
    let commands = commands(&text[start..end]);
    assert!(commands.iter().any(|args| args.starts_with(&["instance", "why"])), "{commands:?}");
    let cellzero = Cellzero::new();
    let begun = Instant::now();
    for args in commands {
        let ran = cellzero.run(&args).ends(0);
        if args.starts_with(&["instance", "why"]) {
            assert!(ran.stdout.starts_with("No valid host was found. "), "{}", ran.stdout);
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(60), "{took:?}");
        }
    }
}
