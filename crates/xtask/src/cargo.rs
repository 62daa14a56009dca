//! Cargo, run by this program.

use std::process::Command;

/// What Cargo tells the programs that it runs about their own package.
///
/// Build scripts may depend on it (that of `ring` does): passed on, everything above them would be
/// built anew whenever Cargo is called by this program and then by hand, or the other way round.
const OF_THIS_PACKAGE: [&str; 5] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_CRATE_NAME",
    "CARGO_BIN_NAME",
    "CARGO_PRIMARY_PACKAGE",
];

/// The Cargo that runs this program, so that a toolchain chosen on the command line stays.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let is_passed_on = name
            .to_str()
            .is_none_or(|name| !OF_THIS_PACKAGE.iter().any(|prefix| name.starts_with(prefix)));
        if !is_passed_on {
            command.env_remove(name);
        }
    }
    command
}
