//! What went wrong, as clients read it: the one place that gives each typed error its status.

use std::error::Error;
use std::fmt::Write as _;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cellzero::{
    ActionError, AdminError, BootError, CellError, DatabaseError, DeleteError, ErrorKind,
    ExplainError, HostError, InvalidField, ReadError, ReadOnlyPlane, RetryError, TriageError,
    Write,
};
use serde_json::json;

use crate::auth::AuthError;

/// What a client is told in place of an answer.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// For `Allow`.
    pub(crate) allow: Option<String>,
}

/// The name of the object around a message, as clients expect it by status.
fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "badRequest",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        409 => "conflictingRequest",
        413 => "overLimit",
        415 => "badMediaType",
        503 => "serviceUnavailable",
        _ => "computeFault",
    }
}

impl Fault {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Fault {
        Fault { status, message: message.into(), allow: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn not_acceptable(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::NOT_ACCEPTABLE, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::CONFLICT, message)
    }

    pub(crate) fn busy(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    pub(crate) fn server_not_found(id: &str) -> Fault {
        Fault::not_found(format!("Instance {id} could not be found."))
    }

    /// Something that should not happen: the log has why, the client a sentence.
    pub(crate) fn internal(error: &(dyn Error + 'static)) -> Fault {
        tracing::error!(error = chain(error), "a request failed");
        let message = "The server could not do what was asked; its log says why.";
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// Something that does not answer now. Asking again may help.
    fn unavailable(error: &(dyn Error + 'static)) -> Fault {
        tracing::warn!(error = chain(error), "a request could not be done now");
        Fault::busy(format!("{error}. Ask again in a moment."))
    }
}

/// An error with all that caused it.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Writing to a string does not fail.
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut inner = json!({"code": self.status.as_u16(), "message": self.message});
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            inner["retryAfter"] = json!("1");
        }
        let body = json!({kind(self.status): inner});
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/json")], body.to_string())
                .into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            StatusCode::UNAUTHORIZED => {
                let scheme = HeaderValue::from_static("Keystone uri=\"/\"");
                headers.insert(header::WWW_AUTHENTICATE, scheme);
            }
            _ => {}
        }
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(header::ALLOW, allow);
        }
        response
    }
}

impl From<InvalidField> for Fault {
    fn from(error: InvalidField) -> Fault {
        Fault::bad_request(format!("Invalid input for field/attribute {error}"))
    }
}

impl From<ReadOnlyPlane> for Fault {
    fn from(error: ReadOnlyPlane) -> Fault {
        Fault::forbidden(error.to_string())
    }
}

impl<E: Error + 'static> From<Write<E>> for Fault
where
    Fault: From<E>,
{
    fn from(error: Write<E>) -> Fault {
        match error {
            Write::ReadOnly(error) => error.into(),
            Write::Failed(error) => error.into(),
        }
    }
}

/// Whether a database is away or busy, rather than broken.
fn is_passing(error: &DatabaseError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Unreachable
            | ErrorKind::DeadlineExceeded
            | ErrorKind::PoolExhausted
            | ErrorKind::Conflict
            | ErrorKind::CommitUnknown
            | ErrorKind::ConnectionLost
            | ErrorKind::Closed
            | ErrorKind::NotAsked
    )
}

/// The fault for an error that a database stands behind.
fn by_database(error: &(dyn Error + 'static), database: &DatabaseError) -> Fault {
    match is_passing(database) {
        true => Fault::unavailable(error),
        false => Fault::internal(error),
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Fault {
        by_database(&error, &error)
    }
}

impl From<CellError> for Fault {
    fn from(error: CellError) -> Fault {
        Fault::unavailable(&error)
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Fault {
        match &error {
            ReadError::InstanceNotFound { uuid } => Fault::server_not_found(&uuid.text()),
            ReadError::MarkerNotFound { marker } => {
                Fault::bad_request(format!("marker [{marker}] not found"))
            }
            ReadError::CellUnavailable { .. } | ReadError::Moving { .. } => {
                Fault::unavailable(&error)
            }
            ReadError::Invalid(invalid) => invalid.clone().into(),
            ReadError::Database(database) => by_database(&error, database),
            _ => Fault::internal(&error),
        }
    }
}

impl From<BootError> for Fault {
    fn from(error: BootError) -> Fault {
        match &error {
            BootError::Invalid(invalid) => invalid.clone().into(),
            BootError::AdminOnly { .. } => Fault::forbidden(error.to_string()),
            BootError::TokenReused { .. } => Fault::conflict(error.to_string()),
            BootError::QuotaExceeded { resource, limit, used, requested } => {
                Fault::forbidden(format!(
                    "Quota exceeded for {resource}: Requested {requested}, but already used \
                     {used} of {limit} {resource}"
                ))
            }
            BootError::Closed => Fault::unavailable(&error),
            BootError::Database(database) => by_database(&error, database),
            _ => Fault::internal(&error),
        }
    }
}

impl From<DeleteError> for Fault {
    fn from(error: DeleteError) -> Fault {
        match &error {
            DeleteError::InstanceNotFound { uuid } => Fault::server_not_found(&uuid.text()),
            DeleteError::Moving { .. } | DeleteError::InstanceIsLocked { .. } => {
                Fault::conflict(error.to_string())
            }
            DeleteError::Database(database) => by_database(&error, database),
            _ => Fault::internal(&error),
        }
    }
}

impl From<RetryError> for Fault {
    fn from(error: RetryError) -> Fault {
        match error {
            RetryError::InstanceNotFound { uuid } => Fault::server_not_found(&uuid.text()),
            RetryError::NotBuried { .. } | RetryError::Moving { .. } => {
                Fault::conflict(error.to_string())
            }
            RetryError::Refused(refused) => refused.into(),
            RetryError::Cell(cell) => cell.into(),
            other => Fault::internal(&other),
        }
    }
}

impl From<ActionError> for Fault {
    fn from(error: ActionError) -> Fault {
        match error {
            ActionError::InstanceInvalidState { .. } | ActionError::InstanceIsLocked { .. } => {
                Fault::conflict(error.to_string())
            }
            ActionError::AdminOnly { .. } | ActionError::OverLimit { .. } => {
                Fault::forbidden(error.to_string())
            }
            ActionError::ItemNotFound { .. } => Fault::not_found(error.to_string()),
            ActionError::Invalid(invalid) => invalid.into(),
            ActionError::Read(read) => read.into(),
            ActionError::Cell(cell) => cell.into(),
            ActionError::Database(ref database) => by_database(&error, database),
            other => Fault::internal(&other),
        }
    }
}

impl From<AdminError> for Fault {
    fn from(error: AdminError) -> Fault {
        match &error {
            AdminError::Invalid(invalid) => invalid.clone().into(),
            AdminError::NoSuchCell(_) => Fault::bad_request(error.to_string()),
            AdminError::ReadOnly(read_only) => (*read_only).into(),
            AdminError::NotFound { kind, name } => {
                Fault::not_found(format!("The {kind} {name} could not be found."))
            }
            AdminError::Exists { kind, name } => {
                Fault::conflict(format!("The {kind} '{name}' already exists."))
            }
            AdminError::InUse { .. } => Fault::conflict(error.to_string()),
            AdminError::Database(database) => by_database(&error, database),
            _ => Fault::internal(&error),
        }
    }
}

impl From<HostError> for Fault {
    fn from(error: HostError) -> Fault {
        match &error {
            HostError::Invalid(invalid) => invalid.clone().into(),
            HostError::NotFound { host } => {
                Fault::not_found(format!("Compute host {host} could not be found."))
            }
            HostError::Cell0 { .. }
            | HostError::MappedElsewhere { .. }
            | HostError::HasInstances { .. } => Fault::conflict(error.to_string()),
            HostError::Cell(_) => Fault::unavailable(&error),
            HostError::Database(database) => by_database(&error, database),
            _ => Fault::internal(&error),
        }
    }
}

impl From<ExplainError> for Fault {
    fn from(error: ExplainError) -> Fault {
        match error {
            ExplainError::Read(read) => read.into(),
            ExplainError::Refused(refused) => refused.into(),
            ExplainError::NoSnapshot => Fault::conflict(error.to_string()),
            other => Fault::internal(&other),
        }
    }
}

impl From<TriageError> for Fault {
    fn from(error: TriageError) -> Fault {
        match error {
            TriageError::AdminOnly => Fault::forbidden(error.to_string()),
            TriageError::NovaMade => Fault::conflict(error.to_string()),
            TriageError::Cell(cell) => cell.into(),
            TriageError::Database(database) => database.into(),
            other => Fault::internal(&other),
        }
    }
}

impl From<AuthError> for Fault {
    fn from(error: AuthError) -> Fault {
        match &error {
            AuthError::Unauthorized { reason } => Fault::new(StatusCode::UNAUTHORIZED, *reason),
            AuthError::Unavailable { .. } => Fault::unavailable(&error),
        }
    }
}
