//! The command reference, and the page that compares commands with Nova's.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::Cellzero;

fn document(name: &str) -> String {
    let path = format!("{}/../../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_command_reference_is_what_help_says() {
    let page = Cellzero::new().run(&["commands-page"]).ends(0).stdout;
    assert!(
        page == document("commands.md"),
        "docs/commands.md is not what the commands say; write it again: \
         cargo run -p cellzero-cli -- commands-page > docs/commands.md"
    );
}

/// The number that a text begins with.
fn number(text: &str) -> Option<u8> {
    let text = text.trim_start();
    text[..text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len())].parse().ok()
}

/// The exit codes of each command, but for those that all have.
fn codes_of_commands() -> BTreeMap<String, BTreeSet<u8>> {
    let page = Cellzero::new().run(&["commands-page"]).ends(0).stdout;
    let mut all = BTreeMap::new();
    for section in page.split("\n## cellzero ").skip(1) {
        let (name, rest) = section.split_once('\n').expect("a title");
        let Some((_, codes)) = rest.split_once("\nExit codes:\n") else { continue };
        let lines = codes.lines().take_while(|line| !line.contains("64 and above"));
        all.insert(name.to_owned(), lines.filter_map(number).collect());
    }
    all
}

#[test]
fn the_exit_codes_beside_novas_are_those_of_the_commands() {
    let page = document("commands-and-nova.md");
    let mut documented: BTreeMap<&str, BTreeSet<u8>> = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        // The other tables have no codes.
        let [names, _, codes, _] = cells[..] else { continue };
        // What stands between backticks; a command with a flag counts to the command.
        for name in names.split('`').skip(1).step_by(2) {
            let command = name.split(" --").next().expect("a command");
            documented.entry(command).or_default().extend(codes.split(';').filter_map(number));
        }
    }
    assert!(documented.len() > 20, "{documented:?}");
    let commands = codes_of_commands();
    for (name, codes) in documented {
        assert_eq!(commands.get(name), Some(&codes), "the exit codes of {name}");
    }
}
