//! Rules of the repository that a compiler does not hold.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates in order: each may depend on those before it.
const ORDER: [&str; 11] = [
    "cellzero-types",
    "cellzero-database",
    "cellzero-cell-db",
    "cellzero-api-db",
    "cellzero-scheduler",
    "cellzero-router",
    "cellzero-orchestrator",
    "cellzero",
    "cellzero-amqp",
    "cellzero-compute-api",
    "cellzero-cli",
];
/// No file grows beyond this.
const FILE_LINES_MAX: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What Cargo says of the workspace's own crates.
fn packages() -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Name and direct dependencies, dev-dependencies left out, of each crate of the workspace.
fn dependencies() -> Vec<(String, BTreeSet<String>)> {
    let package = |package: &serde_json::Value| {
        let used = package["dependencies"].as_array().unwrap().iter();
        let used = used.filter(|d| d["kind"].is_null());
        let used = used.map(|d| d["name"].as_str().unwrap().to_owned()).collect();
        (package["name"].as_str().unwrap().to_owned(), used)
    };
    packages().iter().map(package).collect()
}

#[test]
fn crates_depend_only_on_those_above_them() {
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
    for (name, used) in dependencies() {
        let Some(own) = place(&name) else { continue };
        for other in used.iter().filter(|other| other.starts_with("cellzero")) {
            let above = place(other).is_some_and(|other| other < own);
            assert!(above, "{name} depends on {other}");
        }
        let both = ["cellzero-cell-db", "cellzero-api-db"];
        assert!(!(both.contains(&name.as_str()) && both.iter().any(|o| used.contains(*o))));
    }
}

/// What an operator can do, an embedder can do.
#[test]
fn the_command_uses_the_facade_alone() {
    let allowed = ["cellzero", "cellzero-amqp", "cellzero-compute-api"];
    let (_, used) = dependencies().into_iter().find(|(name, _)| name == "cellzero-cli").unwrap();
    for name in used.iter().filter(|name| name.starts_with("cellzero")) {
        assert!(allowed.contains(&name.as_str()), "cellzero-cli depends on {name}");
    }
}

/// It does what any embedder can do.
#[test]
fn the_crate_for_amqp_uses_the_facade_only() {
    let used = dependencies().into_iter().find(|(name, _)| name == "cellzero-amqp").unwrap().1;
    let ours: Vec<_> = used.iter().filter(|name| name.starts_with("cellzero")).collect();
    assert_eq!(ours, ["cellzero"]);
}

/// It holds no logic of its own.
#[test]
fn the_compute_api_uses_the_facade_only() {
    let name = "cellzero-compute-api";
    let used = dependencies().into_iter().find(|(known, _)| known == name).unwrap().1;
    let ours: Vec<_> = used.iter().filter(|name| name.starts_with("cellzero")).collect();
    assert_eq!(ours, ["cellzero"]);
}

#[test]
fn only_three_crates_use_diesel() {
    let allowed = ["cellzero-database", "cellzero-cell-db", "cellzero-api-db"];
    for (name, used) in dependencies() {
        let uses = used.iter().any(|other| other.starts_with("diesel"));
        assert!(!uses || allowed.contains(&name.as_str()), "{name} depends on diesel");
    }
}

#[test]
fn no_client_library_in_c_is_linked() {
    let lock = read("Cargo.lock");
    for name in ["pq-sys", "mysqlclient-sys", "openssl-sys", "aws-lc-sys", "cmake"] {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} is in Cargo.lock");
    }
}

/// The tracked Rust files.
fn sources() -> Vec<PathBuf> {
    let output =
        Command::new("git").args(["ls-files", "*.rs"]).current_dir(root()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| root().join(line)).filter(|path| path.exists()).collect()
}

#[test]
fn every_source_opens_with_what_it_is_for_and_stays_small() {
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines", path.display());
    }
}

/// As docs/testing.md says; everywhere else the lint forbids it.
#[test]
fn unsafe_code_stands_where_it_is_said() {
    let names_the_lint =
        |path: &PathBuf| std::fs::read_to_string(path).unwrap().contains("unsafe_code,");
    let found: Vec<PathBuf> = sources().into_iter().filter(names_the_lint).collect();
    let of = |path: &str| found.iter().any(|found| found.ends_with(path));
    assert!(of("database/src/fibers.rs") && of("test-support/src/disk.rs"), "{found:?}");
    // This file does so in the line above alone.
    assert!(of("xtask/tests/repository.rs") && found.len() == 3, "{found:?}");
}

/// A library or program without a test program of its own is built once less.
#[test]
fn no_test_stands_where_none_is_run() {
    let is_test = |line: &str| {
        let starts = ["#[test]", "#[rstest", "#[tokio::test", "proptest!"];
        starts.iter().any(|start| line.starts_with(start))
    };
    let is_example = |line: &str| line.starts_with("//! ```") || line.starts_with("/// ```");
    let (packages, sources) = (packages(), sources());
    let targets = packages.iter().flat_map(|package| package["targets"].as_array().unwrap());
    let mut untested = 0;
    for target in targets {
        let kind = target["kind"][0].as_str().unwrap();
        if !["lib", "bin"].contains(&kind) {
            continue;
        }
        let (tested, documented) = (target["test"] == true, target["doctest"] == true);
        untested += usize::from(!tested);
        let main = Path::new(target["src_path"].as_str().unwrap()).canonicalize().unwrap();
        let folder = main.parent().unwrap();
        let of_target = |path: &&PathBuf| {
            path.strip_prefix(folder).is_ok_and(|inner| !inner.starts_with("tests"))
        };
        for path in sources.iter().filter(of_target) {
            let text = std::fs::read_to_string(path).unwrap();
            for line in text.lines().map(str::trim_start) {
                assert!(tested || !is_test(line), "{}: {line}: never run", path.display());
                let unread = kind == "lib" && !documented && is_example(line);
                assert!(!unread, "{}: {line}: never run", path.display());
            }
        }
    }
    assert!(untested > 0, "some have none");
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let sources: String =
        sources().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    for (document, from, to, least) in [
        ("docs/architecture.md", "## Invariants", "## Decisions", 15),
        ("docs/boot-flow.md", "## Windows", "## Retry", 30),
    ] {
        let text = read(document);
        let start = text.find(from).unwrap();
        let end = start + text[start..].find(to).unwrap();
        let rows = text[start..end].lines().filter(|line| line.starts_with("| "));
        let mut named = 0;
        for row in rows.skip(1) {
            let tests = row.rsplit('|').nth(1).unwrap();
            assert!(tests.contains('`'), "{document}: a row names no test: {row}");
            for test in tests.split('`').skip(1).step_by(2) {
                assert!(sources.contains(&format!("fn {test}(")), "no test is named {test}");
                named += 1;
            }
        }
        assert!(named > least, "{document}: only {named} tests are named");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read("Cargo.toml");
    let start = manifest.find("[workspace.dependencies]").unwrap();
    let end = start + manifest[start..].find("[profile").unwrap();
    let reasons = read("docs/dependencies.md");
    let names = manifest[start..end].lines().filter_map(|line| line.split_once(" = "));
    for (name, _) in names.filter(|(name, _)| !name.starts_with("cellzero")) {
        assert!(reasons.contains(&format!("| {name} |")), "docs/dependencies.md lacks {name}");
    }
}

#[test]
fn ci_runs_the_test_command_of_the_readme() {
    let readme = read("README.md");
    let start = readme.find("## Start").unwrap();
    let commands: Vec<&str> =
        readme[start..].lines().filter(|line| line.starts_with("cargo ")).take(3).collect();
    let install = "cargo install --locked --path crates/cli";
    assert_eq!(commands, [install, "cargo run --release --example boot_flow", "cargo xtask test"]);
    assert!(read(".ci/run").contains("cargo xtask test"));
    for check in ["cargo fmt", "cargo clippy", "cargo doc"] {
        assert!(read(".ci/run").contains(check), "{check}");
    }
}

#[test]
fn links_between_documents_lead_somewhere() {
    for document in [
        "README.md",
        "docs/architecture.md",
        "docs/boot-flow.md",
        "docs/debugging-with-cell0.md",
        "docs/performance.md",
    ] {
        let text = read(document);
        let directory = Path::new(document).parent().unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("http")) {
            assert!(root().join(directory).join(link).exists(), "{document}: {link}");
        }
    }
}

/// The document is the command's own output of one whole run, not of a part of it.
#[test]
fn the_performance_document_has_the_same_operations_of_every_backend() {
    let text = read("docs/performance.md");
    let measured = &text[text.find("## Measured").unwrap()..text.find("## Targets").unwrap()];
    let of = |backend: &str| -> Vec<&str> {
        let rows = measured.lines().filter_map(|line| line.strip_prefix(&format!("| {backend} |")));
        let operations = rows.map(|row| row.split(" | ").next().unwrap().trim());
        // How many cells were down beside those that hang is measured, and differs.
        operations.map(|operation| operation.split(" breaker, ").next().unwrap()).collect()
    };
    let sqlite = of("sqlite");
    for operation in ["show", "delete", "boot to a cell", "list 1000 over 64 cells, bare"] {
        assert!(sqlite.contains(&operation), "{operation} is missing");
    }
    for backend in ["postgres", "mariadb"] {
        assert_eq!(of(backend), sqlite, "{backend}");
    }
    let targets = &text[text.find("## Targets").unwrap()..];
    assert!(targets.matches("at most").count() >= 7, "{targets}");
}
