//! What an embedder or an operator may set.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{Authenticate, NoAuth};

/// How an [`Api`](crate::Api) is served.
#[derive(Clone)]
pub struct ApiOptions {
    pub(crate) authenticate: Arc<dyn Authenticate>,
    /// Where clients find it, such as `https://compute.example.org`, without a path's end; none
    /// where the `Host` header of each request says it.
    pub public_url: Option<String>,
    /// The longest body that is read, in bytes.
    pub body_bytes_max: usize,
    /// The most headers of a request.
    pub headers_max: usize,
    /// The most bytes of a request's line and headers.
    pub header_bytes_max: usize,
    /// How long the headers of a request may take to come.
    pub header_timeout: Duration,
    /// How long one request may take. The library gets what is left of it as its deadline.
    pub request_timeout: Duration,
    /// The most requests that are worked on at once; more are refused with 503 at once.
    pub requests_max: usize,
    /// The most connections that are open at once; more wait to be accepted.
    pub connections_max: usize,
    /// How long requests that run may go on after the end of serving was asked for.
    pub shutdown_timeout: Duration,
}

impl fmt::Debug for ApiOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiOptions")
            .field("public_url", &self.public_url)
            .field("body_bytes_max", &self.body_bytes_max)
            .field("request_timeout", &self.request_timeout)
            .field("requests_max", &self.requests_max)
            .finish_non_exhaustive()
    }
}

impl ApiOptions {
    /// With this way to learn who asks, and the defaults for all else.
    pub fn new(authenticate: impl Authenticate + 'static) -> ApiOptions {
        ApiOptions {
            authenticate: Arc::new(authenticate),
            public_url: None,
            body_bytes_max: 112 * 1024,
            headers_max: 64,
            header_bytes_max: 16 * 1024,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            requests_max: 512,
            connections_max: 4_096,
            shutdown_timeout: Duration::from_secs(30),
        }
    }

    /// Without authentication: everybody is the admin of the project `admin`. For development.
    pub fn development() -> ApiOptions {
        ApiOptions::new(NoAuth::default())
    }
}
