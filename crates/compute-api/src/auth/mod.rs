//! Who asks: behind a trait, so that an embedder brings its own way.

mod fixed;
mod keystone;

pub use fixed::{FixedTokens, NoAuth};
pub use keystone::{Keystone, KeystoneOptions, OptionsError};

use axum::http::HeaderMap;

use crate::policy::Role;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The project that is acted for.
    pub project_id: String,
    /// The user.
    pub user_id: String,
    /// The highest role in the project; none where no role counts.
    pub role: Option<Role>,
}

impl Identity {
    /// A user with a role in a project.
    pub fn new(project: impl Into<String>, user: impl Into<String>, role: Role) -> Identity {
        Identity { project_id: project.into(), user_id: user.into(), role: Some(role) }
    }
}

/// Why nobody knows who asks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// There is no token, or it is not valid (any more); HTTP 401.
    #[error("{reason}")]
    Unauthorized {
        /// What is wrong, and what would be right.
        reason: &'static str,
    },
    /// Who would know does not answer; HTTP 503.
    #[error("the identity service cannot be asked now: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}

/// A way to learn who asks.
#[async_trait::async_trait]
pub trait Authenticate: Send + Sync {
    /// Who sends a request with these headers.
    ///
    /// # Errors
    /// [`AuthError::Unauthorized`] for a missing or bad token; [`AuthError::Unavailable`] where
    /// it cannot be checked now.
    async fn identify(&self, headers: &HeaderMap) -> Result<Identity, AuthError>;
}

/// The token of a request.
pub(crate) fn token_of(headers: &HeaderMap) -> Result<&str, AuthError> {
    let reason = "The request you have made requires authentication: send X-Auth-Token.";
    headers
        .get("x-auth-token")
        .and_then(|token| token.to_str().ok())
        .filter(|token| !token.is_empty())
        .ok_or(AuthError::Unauthorized { reason })
}
