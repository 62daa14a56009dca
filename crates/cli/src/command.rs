//! What every command has: examples, exit codes, and what it does.

use crate::exit::{COMMON, Exit};
use crate::session::Session;

/// A command whose arguments are parsed.
pub(crate) trait Run {
    /// Command lines with what each does, for `--help`; at least one.
    const EXAMPLES: &'static [(&'static str, &'static str)];
    /// How it may end, beside the common exits.
    const EXITS: &'static [Exit];

    /// Does it.
    async fn run(self, session: &Session) -> anyhow::Result<Exit>;
}

/// The end of a command's help: its examples and exit codes.
pub(crate) fn help<C: Run>() -> String {
    let mut text = String::from("Examples:\n");
    for (line, what) in C::EXAMPLES {
        text += &format!("  {line}\n      {what}\n");
    }
    text += "\nExit codes:\n";
    text += &format!("  {:<4}{}\n", Exit::Success.code(), Exit::Success.meaning());
    for exit in C::EXITS {
        text += &format!("  {:<4}{}\n", exit.code(), exit.meaning());
    }
    text += "  64 and above are the same for every command: see `cellzero --help`";
    text
}

/// Runs a command.
pub(crate) async fn go<C: Run>(command: C, session: &Session) -> anyhow::Result<Exit> {
    let exit = match command.run(session).await {
        Ok(exit) => Ok(exit),
        Err(error) => Err((Exit::of(&error), error)),
    };
    let code = *exit.as_ref().unwrap_or_else(|(exit, _)| exit);
    // A code that its help does not name is our own bug.
    assert!(
        COMMON.contains(&code) || C::EXITS.contains(&code),
        "{code:?} is none of the exits of {}",
        std::any::type_name::<C>()
    );
    exit.map_err(|(_, error)| error)
}
