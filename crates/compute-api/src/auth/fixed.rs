//! The two ways without another service: everybody is the same one, or a table of tokens.

use std::collections::HashMap;
use std::fmt;

use axum::http::HeaderMap;
use sha2::{Digest as _, Sha256};

use super::{AuthError, Authenticate, Identity, token_of};
use crate::policy::Role;

/// No authentication: everybody is this one, whatever token they send. For development.
#[derive(Debug, Clone)]
pub struct NoAuth(Identity);

impl NoAuth {
    /// Everybody is this one.
    pub fn new(identity: Identity) -> NoAuth {
        NoAuth(identity)
    }
}

impl Default for NoAuth {
    /// Everybody is the admin `admin` of the project `admin`, as for the command `cellzero`.
    fn default() -> NoAuth {
        NoAuth(Identity::new("admin", "admin", Role::Admin))
    }
}

#[async_trait::async_trait]
impl Authenticate for NoAuth {
    async fn identify(&self, _: &HeaderMap) -> Result<Identity, AuthError> {
        Ok(self.0.clone())
    }
}

/// Tokens that never change, each with who sends it.
#[derive(Clone, Default)]
pub struct FixedTokens {
    /// By digest: a look-up then takes no time that tells how much of a token was right.
    identities: HashMap<[u8; 32], Identity>,
}

impl fmt::Debug for FixedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedTokens")
            .field("identities", &self.identities.values().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl FixedTokens {
    /// One more token.
    pub fn with(mut self, token: &str, identity: Identity) -> FixedTokens {
        self.identities.insert(digest(token), identity);
        self
    }
}

pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[async_trait::async_trait]
impl Authenticate for FixedTokens {
    async fn identify(&self, headers: &HeaderMap) -> Result<Identity, AuthError> {
        let known = self.identities.get(&digest(token_of(headers)?));
        let reason = "The token in X-Auth-Token is not known.";
        known.cloned().ok_or(AuthError::Unauthorized { reason })
    }
}
