//! What every command has: help, exit codes, errors as text and as JSON, colors.

use crate::support::Cellzero;

#[test]
fn help_is_printed_with_an_example_and_ends_well() {
    let ran = Cellzero::new().run(&["completions", "--help"]).ends(0);
    assert!(ran.stdout.contains("Examples:\n  cellzero completions bash"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Cellzero::new().run(&["completions", shell]).ends(0);
        assert!(ran.stdout.contains("completions"), "{shell}: {}", ran.stdout);
    }
}

#[test]
fn what_cannot_be_parsed_ends_with_64_and_shows_no_password() {
    let url = "postgres://nova:s3cret@db/nova_api";
    for args in [&["completions", url][..], &[url], &["completions", "bash", "--timeout", url]] {
        let ran = Cellzero::new().run(args).ends(64);
        assert!(!ran.stderr.contains("s3cret"), "{}", ran.stderr);
        assert!(ran.stderr.contains("nova:***@db"), "{}", ran.stderr);
    }
}

#[test]
fn the_environment_is_no_part_of_help() {
    let cellzero = Cellzero::new().set("CELLZERO_API_DATABASE", "postgres://nova:s3cret@db/x");
    let ran = cellzero.run(&["--help"]).ends(0);
    assert!(ran.stdout.contains("CELLZERO_API_DATABASE") && !ran.stdout.contains("s3cret"));
}
