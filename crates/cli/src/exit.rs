//! The exit codes. Those below 64 are a command's own, as `nova-manage` has them; from 64 on they
//! mean the same for every command.

use std::process::ExitCode;

use cellzero::{
    AdminError, CreateCellError, DatabaseError, ErrorKind, HostError, InvalidField, OpenError,
    SchemaError, UpdateCellError, UrlError, Write,
};

use crate::failure::Ended;
use crate::settings::SettingsError;

macro_rules! exits {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        /// How a command ended. Several have one number, since each command counts its own from 1.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Exit {
            $(#[doc = $meaning] $name,)*
        }

        impl Exit {
            /// The number that a shell sees.
            pub(crate) fn code(self) -> u8 {
                match self { $(Exit::$name => $code),* }
            }

            /// What it means, as help and documents say it.
            pub(crate) fn meaning(self) -> &'static str {
                match self { $(Exit::$name => $meaning),* }
            }
        }
    };
}

exits! {
    Success = 0, "it is done";
    Archived = 1, "something was archived";
    Behind = 1, "a database is behind this binary; `db sync` brings it up";
    CellNotFound = 1, "there is no such cell";
    NoCell = 1, "there is no such cell";
    NoSuchThing = 1, "what was named does not exist";
    NothingNew = 1, "no host was new, and `--strict` was given";
    NotMapped = 1, "it has no instance mapping";
    MoreToMap = 1, "`--max-count` is reached, and there is more to map";
    NotSetUp = 1, "a URL is missing, or no host was found";
    NotSynced = 1, "a database is not at this binary's version; each is named";
    PurgeOfNothingNamed = 1, "neither `--before` nor `--all` was given";
    StatusWarning = 1, "something should be looked at";
    UrlMissing = 1, "a URL is missing";
    NotFound = 1, "what was named does not exist, or another project owns it";
    Refused = 1, "the request was refused; nothing is stored";
    Findings = 1, "something is wrong, and is named";
    NotDevelopment = 1, "the directory holds no plane of `dev up`";
    AlreadyThere = 2, "there is one already";
    BadMaxRows = 2, "`--max-rows` is no number of at least 1";
    CellHasHosts = 2, "it has hosts";
    DuplicateHosts = 2, "a host stands in two cells, or in cell0";
    MappedElsewhere = 2, "cell0 is mapped to another database already";
    MappedToNoCell = 2, "its mapping names no cell: it is on its way";
    NoHost = 2, "there is no such host";
    NoSuchCell = 2, "there is no such cell";
    NotSaved = 2, "the change was not stored";
    PurgeBadDate = 2, "`--before` is no date";
    StatusFailure = 2, "something is wrong";
    Unsound = 2, "a database cannot be read, has drifted, or is another's; each is named";
    UrlTaken = 2, "another cell has this database or this message queue";
    Declined = 2, "the question was answered with no; nothing was done";
    Incomplete = 2, "a cell did not answer; what is known without it is printed";
    Buried = 2, "at least one instance was buried in cell0";
    NotBuried = 2, "the instance is not buried in cell0";
    CellInUse = 3, "instances, claims or intents name it; cell0 is never removed while it is used";
    CellsDown = 3, "a cell did not answer; the others are done";
    DeletedInCell = 3, "it is deleted in its cell";
    HostElsewhere = 3, "the host is in another cell";
    NoApiDatabase = 3, "the API database cannot be reached, or holds no plane";
    NothingPurged = 3, "there was nothing to purge";
    StillInUse = 3, "it still has hosts";
    Unreadable = 3, "rows that cannot be mapped are left; each is named";
    UrlClash = 3, "another cell has this database or this message queue, or it is not this cell's";
    Repaired = 3, "everything that was wrong is repaired";
    Waiting = 3, "at least one instance has no home yet; it stays accepted";
    ArchivedInCell = 4, "its row is gone from its cell, the mapping is left";
    BadDate = 4, "`--before` is no date";
    BothSwitches = 4, "both `--enable` and `--disable` were given";
    CellHasDeletedInstances = 4, "mappings of deleted instances name it; `--force` takes them along";
    HostInUse = 4, "instances are on it";
    PurgeNoApiDatabase = 4, "the API database cannot be reached, or holds no plane";
    UnknownCell = 4, "there is no such cell";
    NotInCell0 = 4, "the instance is not in cell0, so it cannot be retried";
    Interrupted = 4, "a second signal stopped it before its leases were handed back";
    Cell0NotSwitched = 5, "cell0 is never enabled or disabled";
    CellSilent = 5, "the cell does not answer";
    NotKnown = 5, "its cell does not answer, so it is not known";
    Ambiguous = 5, "several instances have this name; they are listed";
    CellUnavailable = 6, "the instance exists, and its cell does not answer";
    Usage = 64, "the arguments cannot be used";
    Unavailable = 69, "a database that is needed cannot be reached or does not answer";
    Config = 78, "the configuration cannot be used, or names no plane";
    BadCount = 127, "`--max-count` is no number of at least 1";
    Unexpected = 255, "an unexpected error";
}

/// What every command may end with.
pub(crate) const COMMON: &[Exit] =
    &[Exit::Success, Exit::Usage, Exit::Unavailable, Exit::Config, Exit::Unexpected];

impl Exit {
    /// The exit of an error: the one that the command gave it, or a common one by its cause.
    pub(crate) fn of(error: &anyhow::Error) -> Exit {
        let mut causes = error.chain();
        if let Some(ended) = error.chain().find_map(|cause| cause.downcast_ref::<Ended>()) {
            return ended.exit;
        }
        causes.find_map(|cause| Exit::of_cause(innermost(cause))).unwrap_or(Exit::Unexpected)
    }

    fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
        if let Some(error) = cause.downcast_ref::<DatabaseError>() {
            return Some(Exit::of_database(error.kind()));
        }
        let is_config = cause.is::<SettingsError>()
            || cause.is::<UrlError>()
            || matches!(cause.downcast_ref(), Some(OpenError::NoPlane { .. }));
        if is_config {
            return Some(Exit::Config);
        }
        cause.is::<InvalidField>().then_some(Exit::Usage)
    }

    fn of_database(kind: ErrorKind) -> Exit {
        match kind {
            ErrorKind::Unreachable
            | ErrorKind::Tls
            | ErrorKind::AuthenticationFailed
            | ErrorKind::DeadlineExceeded
            | ErrorKind::PoolExhausted
            | ErrorKind::ConnectionLost
            | ErrorKind::NotAsked => Exit::Unavailable,
            ErrorKind::WrongIdentity | ErrorKind::SchemaVersion | ErrorKind::SchemaDrift => {
                Exit::Config
            }
            _ => Exit::Unexpected,
        }
    }
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

/// What an error passes on as its own: such a cause does not stand in the chain of causes.
fn innermost(mut cause: Cause<'_>) -> Cause<'_> {
    while let Some(inner) = passed_on(cause) {
        cause = inner;
    }
    cause
}

fn passed_on(cause: Cause<'_>) -> Option<Cause<'_>> {
    fn of_write<E: std::error::Error + 'static>(cause: Cause<'_>) -> Option<Cause<'_>> {
        cause.downcast_ref::<Write<E>>()?.failed().map(|error| error as Cause<'_>)
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            AdminError::Invalid(inner) => Some(inner),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            SchemaError::Url(inner) => Some(inner),
            SchemaError::Database(inner) => Some(inner),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            UpdateCellError::Invalid(inner) => Some(inner),
            UpdateCellError::Url(inner) => Some(inner),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            CreateCellError::Invalid(inner) => Some(inner),
            CreateCellError::Url(inner) => Some(inner),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            HostError::Invalid(inner) => Some(inner),
            _ => None,
        };
    }
    of_write::<UpdateCellError>(cause)
        .or_else(|| of_write::<CreateCellError>(cause))
        .or_else(|| of_write::<HostError>(cause))
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
