//! One call of an operation, and what it is answered with.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use cellzero::{ControlPlane, InstanceUuid, Microversion, RequestContext};
use serde::Serialize;
use serde_json::Value;

use crate::fault::Fault;
use crate::negotiate::minor;
use crate::query::Query;

/// What a handler is given.
pub(crate) struct Call {
    pub(crate) plane: ControlPlane,
    pub(crate) ctx: RequestContext,
    pub(crate) version: Microversion,
    /// Such as `http://host:8774`.
    pub(crate) base: String,
    /// The path as it was asked for, from the root of the API on.
    pub(crate) path: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    /// Null where there is none.
    pub(crate) body: Value,
}

impl Call {
    /// Whether the microversion is 2.`minor` or later.
    pub(crate) fn since(&self, first: u16) -> bool {
        self.version >= minor(first)
    }

    /// A part of the path by its name.
    pub(crate) fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The server that the path names.
    ///
    /// # Errors
    /// 404 where it is no uuid: clients try names first.
    pub(crate) fn server(&self) -> Result<InstanceUuid, Fault> {
        let id = self.param("server_id");
        id.parse().map_err(|_| Fault::server_not_found(id))
    }

    /// A URL of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        [&self.base, "/v2.1", path].concat()
    }

    /// The links of a resource: with the version, and without it to be kept.
    pub(crate) fn links(&self, path: &str) -> [Link; 2] {
        let [bookmark] = self.bookmark(path);
        [Link { rel: "self", href: self.url(path) }, bookmark]
    }

    /// The link to be kept alone.
    pub(crate) fn bookmark(&self, path: &str) -> [Link; 1] {
        [Link { rel: "bookmark", href: [&self.base, path].concat() }]
    }

    /// The object under a key of the body, which its schema has made sure of.
    pub(crate) fn object(&self, key: &str) -> &Value {
        &self.body[key]
    }
}

/// Where a resource is found.
#[derive(Debug, Serialize)]
pub(crate) struct Link {
    pub(crate) rel: &'static str,
    pub(crate) href: String,
}

/// What a handler answers.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    /// JSON.
    body: Option<Vec<u8>>,
    headers: Vec<(HeaderName, String)>,
}

impl Reply {
    /// 200 with this value.
    ///
    /// # Panics
    /// Where the value is none of JSON: a bug of its view.
    pub(crate) fn ok(body: impl Serialize) -> Reply {
        Reply::json(serde_json::to_vec(&body).expect("a view is JSON"))
    }

    /// 200 with this JSON.
    pub(crate) fn json(body: Vec<u8>) -> Reply {
        Reply { status: StatusCode::OK, body: Some(body), headers: Vec::new() }
    }

    pub(crate) fn empty(status: StatusCode) -> Reply {
        Reply { status, body: None, headers: Vec::new() }
    }

    pub(crate) fn no_content() -> Reply {
        Reply::empty(StatusCode::NO_CONTENT)
    }

    pub(crate) fn accepted() -> Reply {
        Reply::empty(StatusCode::ACCEPTED)
    }

    pub(crate) fn status(self, status: StatusCode) -> Reply {
        Reply { status, ..self }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: String) -> Reply {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = match self.body {
            Some(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            None => StatusCode::OK.into_response(),
        };
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// What a handler gives.
pub(crate) type Answered = Result<Reply, Fault>;
