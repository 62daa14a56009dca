//! Errors of the facade itself. Operations have errors of their own, which are passed on.

use cellzero_database::{DatabaseError, ErrorKind, UrlError};
use cellzero_orchestrator::{CreateCellError, FindCellError};
use cellzero_types::InvalidField;

/// Why a plane could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A URL of the configuration cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The API database cannot be used.
    #[error("the API database {url} cannot be opened")]
    Api {
        /// Its URL, the password masked.
        url: String,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// The API database belongs to no plane, where one that exists was asked for
    /// ([`Config::existing`](crate::Config::existing)).
    #[error("the API database {url} belongs to no plane yet; set it up first (cellzero db sync)")]
    NoPlane {
        /// Its URL, the password masked.
        url: String,
    },
    /// Cell0 could not be made.
    #[error("cell0 cannot be set up")]
    Cell0(#[source] CreateCellError),
}

/// A write on a plane that is open read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the plane is open read-only; what Nova made is shown, listed and checked, never changed")]
pub struct ReadOnlyPlane;

/// Why a write was not done: the plane is read-only, or the operation's own error.
#[derive(Debug, thiserror::Error)]
pub enum Write<E: std::error::Error + 'static> {
    /// The plane is open read-only.
    #[error(transparent)]
    ReadOnly(#[from] ReadOnlyPlane),
    /// The operation's own error.
    #[error(transparent)]
    Failed(E),
}

impl<E: std::error::Error> Write<E> {
    /// The operation's own error, where it is one.
    pub fn failed(&self) -> Option<&E> {
        match self {
            Write::Failed(error) => Some(error),
            Write::ReadOnly(_) => None,
        }
    }
}

/// Why flavors, quotas and the like were not changed or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// A field cannot be used.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// No cell has this uuid or name, or several have this name.
    #[error(transparent)]
    NoSuchCell(#[from] FindCellError),
    /// The plane is open read-only.
    #[error(transparent)]
    ReadOnly(#[from] ReadOnlyPlane),
    /// There is none of this name.
    #[error("there is no {kind} {name:?}")]
    NotFound {
        /// What was looked for, such as `flavor`.
        kind: &'static str,
        /// By which name or id.
        name: String,
    },
    /// There is one already.
    #[error("{kind} {name:?} exists already")]
    Exists {
        /// What was to be made.
        kind: &'static str,
        /// Under which name or id.
        name: String,
    },
    /// Something still needs it.
    #[error("{kind} {name:?} is in use: {by}")]
    InUse {
        /// What was to be deleted.
        kind: &'static str,
        /// Its name or id.
        name: String,
        /// What needs it.
        by: String,
    },
    /// The API database failed.
    #[error("the API database failed")]
    Database(#[from] DatabaseError),
}

impl AdminError {
    pub(crate) fn not_found(kind: &'static str, name: &str) -> AdminError {
        AdminError::NotFound { kind, name: name.to_owned() }
    }

    /// What a unique violation means where something is made.
    pub(crate) fn or_exists(self, kind: &'static str, name: &str) -> AdminError {
        match self {
            AdminError::Database(error) if error.kind() == ErrorKind::UniqueViolation => {
                AdminError::Exists { kind, name: name.to_owned() }
            }
            other => other,
        }
    }
}

/// Why waiting ended before every instance had its home.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time of the context was up; the instances stay accepted, and one can wait again.
    #[error("{waiting} of {all} instances have no home yet; wait again, or look for a down cell0")]
    TimedOut {
        /// How many have none.
        waiting: usize,
        /// How many were waited for.
        all: usize,
    },
    /// The API database could not be read.
    #[error("the API database could not be read")]
    Database(#[from] DatabaseError),
}

/// The plane is closed; leases that could not be handed back run out by themselves.
#[derive(Debug, thiserror::Error)]
#[error("leases could not be handed back; they run out by themselves")]
pub struct CloseError(#[from] pub(crate) DatabaseError);
