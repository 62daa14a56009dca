//! Tokens that Keystone gave, checked with it and kept for a while.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::fixed::digest;
use super::{AuthError, Authenticate, Identity, token_of};
use crate::policy::Role;

/// The most tokens that are kept; beyond it those go that have expired, or else all.
const KEPT_MAX: usize = 10_000;
/// The longest answer of Keystone that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How Keystone is asked.
#[derive(Clone)]
pub struct KeystoneOptions {
    /// Where it is, such as `https://keystone.example.org/identity`; `/v3/auth/tokens` is put
    /// behind it.
    pub url: String,
    /// The user that this service logs in as, who may check tokens.
    pub user: String,
    /// The password of that user.
    pub password: String,
    /// The domain of that user.
    pub user_domain: String,
    /// The project that this service logs in to, such as `service`.
    pub project: String,
    /// The domain of that project.
    pub project_domain: String,
    /// How long what Keystone said of a token is believed.
    pub cache_time: Duration,
    /// How long one question may take.
    pub timeout: Duration,
}

impl KeystoneOptions {
    /// The usual user `nova` of the project `service`, both in the domain `Default`.
    pub fn new(url: impl Into<String>, password: impl Into<String>) -> KeystoneOptions {
        KeystoneOptions {
            url: url.into(),
            user: "nova".to_owned(),
            password: password.into(),
            user_domain: "Default".to_owned(),
            project: "service".to_owned(),
            project_domain: "Default".to_owned(),
            cache_time: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for KeystoneOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeystoneOptions")
            .field("url", &cellzero::mask_passwords(&self.url))
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Why Keystone cannot be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// The URL is none.
    #[error("the URL of Keystone cannot be used; it must be such as https://host/identity")]
    Url,
    /// The machine's certificate authorities cannot be read.
    #[error("the machine's certificate authorities cannot be read")]
    Authorities(#[source] std::io::Error),
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Asks Keystone who a token belongs to.
pub struct Keystone {
    options: KeystoneOptions,
    tokens_url: String,
    client: HttpClient,
    /// By the digest of the token, so that none is kept in memory.
    known: Mutex<HashMap<[u8; 32], Known>>,
    own_token: tokio::sync::Mutex<Option<String>>,
}

#[derive(Clone)]
struct Known {
    /// None for a token that is not valid.
    identity: Option<Identity>,
    until: Instant,
}

impl fmt::Debug for Keystone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keystone").field("options", &self.options).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Token,
}

#[derive(Deserialize)]
struct Token {
    user: Named,
    project: Option<Named>,
    #[serde(default)]
    roles: Vec<RoleName>,
    expires_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

#[derive(Deserialize)]
struct RoleName {
    name: String,
}

fn unavailable(reason: impl fmt::Display) -> AuthError {
    AuthError::Unavailable { reason: reason.to_string() }
}

impl Keystone {
    /// Makes the client; asks nothing yet.
    ///
    /// # Errors
    /// [`OptionsError`].
    pub fn new(options: KeystoneOptions) -> Result<Keystone, OptionsError> {
        let url = Url::parse(&options.url).map_err(|_| OptionsError::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(OptionsError::Url);
        }
        let provider = rustls::crypto::ring::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(OptionsError::Authorities)?
            .https_or_http()
            .enable_http1()
            .build();
        let base = url.as_str().trim_end_matches('/').trim_end_matches("/v3");
        Ok(Keystone {
            tokens_url: format!("{base}/v3/auth/tokens"),
            client: Client::builder(TokioExecutor::new()).build(connector),
            options,
            known: Mutex::new(HashMap::new()),
            own_token: tokio::sync::Mutex::new(None),
        })
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(Reply, Bytes), AuthError> {
        let exchange = async {
            let response = self.client.request(request).await.map_err(unavailable)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(unavailable)?;
            Ok((Reply { status: parts.status, headers: parts.headers }, body.to_bytes()))
        };
        let answered = tokio::time::timeout(self.options.timeout, exchange).await;
        answered.map_err(|_| unavailable("it did not answer in time"))?
    }

    /// The token of this service, by its password.
    async fn log_in(&self) -> Result<String, AuthError> {
        let options = &self.options;
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": options.user, "password": options.password,
                "domain": {"name": options.user_domain},
            }}},
            "scope": {"project": {
                "name": options.project, "domain": {"name": options.project_domain},
            }},
        }});
        let request = Request::builder()
            .method(Method::POST)
            .uri(&self.tokens_url)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(unavailable)?;
        let (reply, _) = self.send(request).await?;
        let token = reply.headers.get("x-subject-token").and_then(|token| token.to_str().ok());
        match (reply.status, token) {
            (StatusCode::CREATED, Some(token)) => Ok(token.to_owned()),
            (status, _) => Err(unavailable(format!("it refused this service's login: {status}"))),
        }
    }

    /// Who a token belongs to; none where it is not valid.
    async fn ask(
        &self,
        token: &str,
    ) -> Result<Option<(Identity, Option<DateTime<Utc>>)>, AuthError> {
        let mut is_fresh = false;
        loop {
            let own = {
                let mut kept = self.own_token.lock().await;
                match kept.as_ref() {
                    Some(own) => own.clone(),
                    None => {
                        is_fresh = true;
                        kept.insert(self.log_in().await?).clone()
                    }
                }
            };
            let request = Request::builder()
                .method(Method::GET)
                .uri(&self.tokens_url)
                .header("x-auth-token", own)
                .header("x-subject-token", token)
                .body(Full::default())
                .map_err(unavailable)?;
            let (reply, body) = self.send(request).await?;
            match reply.status {
                StatusCode::OK => return identity(&body).map(Some),
                StatusCode::NOT_FOUND => return Ok(None),
                // The service's own token has expired.
                StatusCode::UNAUTHORIZED if !is_fresh => *self.own_token.lock().await = None,
                status => return Err(unavailable(format!("it answered {status}"))),
            }
        }
    }

    fn kept(&self, key: &[u8; 32]) -> Option<Known> {
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get(key).filter(|known| known.until > Instant::now()).cloned()
    }

    fn keep(&self, key: [u8; 32], kept: Known) {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= KEPT_MAX {
            let now = Instant::now();
            known.retain(|_, known| known.until > now);
        }
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert(key, kept);
    }
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
}

fn identity(body: &Bytes) -> Result<(Identity, Option<DateTime<Utc>>), AuthError> {
    let Answer { token } = serde_json::from_slice(body).map_err(unavailable)?;
    let project = token.project.ok_or(AuthError::Unauthorized {
        reason: "The token has no project: ask for one that is scoped to a project.",
    })?;
    let role = token.roles.iter().filter_map(|role| Role::named(&role.name)).max();
    let identity = Identity { project_id: project.id, user_id: token.user.id, role };
    Ok((identity, token.expires_at))
}

#[async_trait::async_trait]
impl Authenticate for Keystone {
    async fn identify(&self, headers: &HeaderMap) -> Result<Identity, AuthError> {
        let token = token_of(headers)?;
        let key = digest(token);
        let known = match self.kept(&key) {
            Some(known) => known,
            None => {
                let asked = self.ask(token).await?;
                let mut time = self.options.cache_time;
                if let Some(expires) = asked.as_ref().and_then(|(_, expires)| *expires) {
                    time = time.min((expires - Utc::now()).to_std().unwrap_or_default());
                }
                let identity = asked.map(|(identity, _)| identity);
                let known = Known { identity, until: Instant::now() + time };
                self.keep(key, known.clone());
                known
            }
        };
        let reason = "The token in X-Auth-Token is not valid, or has expired.";
        known.identity.ok_or(AuthError::Unauthorized { reason })
    }
}
