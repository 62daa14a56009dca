//! The command reference.

use crate::support::Cellzero;

#[test]
fn the_command_reference_is_what_help_says() {
    let page = Cellzero::new().run(&["commands-page"]).ends(0).stdout;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
    let kept = std::fs::read_to_string(path).expect("docs/commands.md");
    assert!(
        page == kept,
        "docs/commands.md is not what the commands say; write it again: \
         cargo run -p cellzero-cli -- commands-page > docs/commands.md"
    );
}
