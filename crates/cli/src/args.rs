//! The command line: the flags that every command has, and the tree of commands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::command::go;
use crate::commands::aggregate::Aggregate;
use crate::commands::cell::Cell;
use crate::commands::cell0::Cell0;
use crate::commands::completions::Completions;
use crate::commands::db::Db;
use crate::commands::dev::Dev;
use crate::commands::flavor::Flavor;
use crate::commands::fsck::Fsck;
use crate::commands::host::Host;
use crate::commands::instance::Instance;
use crate::commands::quota::Quota;
use crate::commands::recover::Recover;
use crate::commands::serve::Serve;
use crate::commands::status::Status;
use crate::commands::worker::Worker;
use crate::exit::{COMMON, Exit};
use crate::page::CommandsPage;
use crate::session::Session;

/// Runs and looks after a control plane whose instances live in many cells.
#[derive(Debug, Parser)]
#[command(
    name = "cellzero",
    version,
    propagate_version = true,
    after_help = common_exits()
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The configuration file (TOML), instead of the first that exists of
    /// $XDG_CONFIG_HOME/cellzero/cellzero.toml, /etc/cellzero/cellzero.toml and
    /// ./cellzero-dev/cellzero.toml
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "CELLZERO_CONFIG",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,

    /// The API database: a path, sqlite://, postgres:// or mysql://. The one setting that is needed
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "CELLZERO_API_DATABASE",
        hide_env_values = true
    )]
    pub(crate) api_database: Option<String>,

    /// Where cell0 is made when it is mapped first; by default beside the API database, with _cell0
    /// behind its name
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "CELLZERO_CELL0_DATABASE",
        hide_env_values = true
    )]
    pub(crate) cell0_database: Option<String>,

    /// What templates in the URLs of cells are filled from, as Nova's [database]/connection
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "CELLZERO_BASE_DATABASE",
        hide_env_values = true
    )]
    pub(crate) base_database: Option<String>,

    /// The project that is acted for
    #[arg(long, global = true, env = "CELLZERO_PROJECT", hide_env_values = true)]
    pub(crate) project: Option<String>,

    /// The user that is acted for
    #[arg(long, global = true, env = "CELLZERO_USER", hide_env_values = true)]
    pub(crate) user: Option<String>,

    /// Whether as an admin, who sees all projects [default: true]
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        env = "CELLZERO_ADMIN",
        hide_env_values = true
    )]
    pub(crate) admin: Option<bool>,

    /// How long one operation may take, in seconds [default: 30]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        env = "CELLZERO_TIMEOUT",
        hide_env_values = true
    )]
    pub(crate) timeout: Option<u32>,

    /// Open the plane for reading only, also one that Nova made [default: false]
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        env = "CELLZERO_READ_ONLY",
        hide_env_values = true
    )]
    pub(crate) read_only: Option<bool>,

    /// Play the compute hosts of cells without a message queue: what is to be built there is done at
    /// once, in this process [default: false]
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        env = "CELLZERO_SIMULATED_COMPUTE",
        hide_env_values = true
    )]
    pub(crate) simulated_compute: Option<bool>,

    /// Print results, and errors, as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Colors in tables; NO_COLOR turns them off where this is auto
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorWhen,

    /// Print what is done to stderr; passwords stay masked
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// When tables have colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal.
    Auto,
    /// Always, also with NO_COLOR.
    Always,
    /// Never.
    Never,
}

/// The nouns, and commands without one.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(subcommand)]
    Dev(Dev),
    #[command(subcommand)]
    Instance(Box<Instance>),
    #[command(subcommand)]
    Cell0(Cell0),
    #[command(subcommand)]
    Cell(Cell),
    #[command(subcommand)]
    Host(Host),
    #[command(subcommand)]
    Flavor(Flavor),
    #[command(subcommand)]
    Aggregate(Aggregate),
    #[command(subcommand)]
    Quota(Quota),
    #[command(subcommand)]
    Db(Db),
    #[command(subcommand)]
    Status(Status),
    Fsck(Fsck),
    Recover(Recover),
    Worker(Worker),
    Serve(Box<Serve>),
    Completions(Completions),
    #[command(hide = true)]
    CommandsPage(CommandsPage),
}

impl Command {
    pub(crate) async fn dispatch(self, session: &Session) -> anyhow::Result<Exit> {
        match self {
            Command::Dev(command) => command.dispatch(session).await,
            Command::Instance(command) => (*command).dispatch(session).await,
            Command::Cell0(command) => command.dispatch(session).await,
            Command::Cell(command) => command.dispatch(session).await,
            Command::Host(command) => command.dispatch(session).await,
            Command::Flavor(command) => command.dispatch(session).await,
            Command::Aggregate(command) => command.dispatch(session).await,
            Command::Quota(command) => command.dispatch(session).await,
            Command::Db(command) => command.dispatch(session).await,
            Command::Status(command) => command.dispatch(session).await,
            Command::Fsck(command) => go(command, session).await,
            Command::Recover(command) => go(command, session).await,
            Command::Worker(command) => go(command, session).await,
            Command::Serve(command) => go(*command, session).await,
            Command::Completions(command) => go(command, session).await,
            Command::CommandsPage(command) => go(command, session).await,
        }
    }
}

fn common_exits() -> String {
    let mut text = String::from("Exit codes of every command (below 64, each has its own):\n");
    for exit in COMMON {
        text += &format!("  {:<4}{}\n", exit.code(), exit.meaning());
    }
    text += "\nSettings are read from the configuration file, then from the environment \
             (CELLZERO_…), then from flags; the last one counts.";
    text
}
