//! The way of a request: limits, identity, microversion, policy, body, handler, headers.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::RequestExt as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use cellzero::{ControlPlane, Microversion, RequestContext};
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use jsonschema::Validator;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{Instrument as _, field};

use crate::auth::Identity;
use crate::call::{Call, Reply};
use crate::fault::Fault;
use crate::options::ApiOptions;
use crate::policy::Policy;
use crate::query::Query;
use crate::route::{Route, table};
use crate::{discovery, negotiate, openapi, schema, ui};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");
const COMPUTE_REQUEST_ID: HeaderName = HeaderName::from_static("x-compute-request-id");

/// How long an operation may go on after its deadline before its request is given up: the library
/// keeps deadlines itself, so this is for what it does not.
const GRACE: Duration = Duration::from_secs(2);

/// The compute API in front of a plane. Cheap to clone; all clones share their limits.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

struct Shared {
    plane: ControlPlane,
    options: ApiOptions,
    /// One for each request that may be worked on.
    permits: Semaphore,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// A route with the validator of its body.
struct Prepared {
    route: Route,
    validator: Option<Validator>,
}

/// The routes of one path.
type Resource = Arc<Vec<Prepared>>;

impl Api {
    /// In front of this plane.
    pub fn new(plane: ControlPlane, options: ApiOptions) -> Api {
        let permits = Semaphore::new(options.requests_max);
        Api(Arc::new(Shared { plane, options, permits }))
    }

    /// The routes, for an embedder to mount: `/`, `/v2.1/…`, `/openapi.json` and `/ui`.
    pub fn router(&self) -> Router {
        let mut resources: BTreeMap<&'static str, Vec<Prepared>> = BTreeMap::new();
        for route in table() {
            let validator = route.body.map(|body| schema::validator(&(body.schema)()));
            resources.entry(route.path).or_default().push(Prepared { route, validator });
        }
        let mut router = Router::new();
        for (path, routes) in resources {
            let resource: Resource = Arc::new(routes);
            let api = self.clone();
            let serve = move |request: Request| {
                let (api, resource) = (api.clone(), Arc::clone(&resource));
                async move { api.answer(Some(resource), request).await }
            };
            router = router.route(&format!("/v2.1{path}"), any(serve));
        }
        let document = openapi::document().to_string();
        let json = [(header::CONTENT_TYPE, "application/json")];
        let document = any(move || {
            let document = document.clone();
            async move { (json, document) }
        });
        let unknown = self.clone();
        router
            .route("/", any(discovery::versions).with_state(self.clone()))
            .route("/v2.1", any(discovery::version).with_state(self.clone()))
            .route("/v2.1/", any(discovery::version).with_state(self.clone()))
            .route("/openapi.json", document)
            .route("/ui", any(ui::page))
            .route("/ui/data", any(ui::data).with_state(self.clone()))
            .route("/ui/retry", any(ui::retry).with_state(self.clone()))
            .fallback(move |request: Request| async move { unknown.answer(None, request).await })
    }

    /// Serves [`router`](Self::router) until `end`, then ends what runs, for at most
    /// [`ApiOptions::shutdown_timeout`].
    pub async fn serve(&self, listener: TcpListener, end: impl Future<Output = ()>) {
        let options = &self.0.options;
        let service = TowerToHyperService::new(self.router());
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(options.header_timeout)
            .max_headers(options.headers_max)
            // Its least, below which hyper panics.
            .max_buf_size(options.header_bytes_max.max(8 * 1024));
        let graceful = GracefulShutdown::new();
        let connections = Arc::new(Semaphore::new(options.connections_max));
        let mut end = std::pin::pin!(end);
        loop {
            let next = async {
                let permit = Arc::clone(&connections).acquire_owned().await;
                (permit, listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                next = next => next,
                () = &mut end => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    // Such as too many open files: trying at once would only burn time.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // What it costs to go without is a delay, no failure.
            let _ = stream.set_nodelay(true);
            let connection = http.serve_connection(TokioIo::new(stream), service.clone());
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended early");
                }
                drop(permit);
            });
        }
        drop(listener);
        if tokio::time::timeout(options.shutdown_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests that still ran were given up");
        }
    }

    /// The URL under which a request has reached the API, without a path.
    pub(crate) fn base(&self, parts: &Parts) -> String {
        if let Some(url) = &self.0.options.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let plain = |host: &&str| {
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
        };
        format!("http://{}", host.filter(plain).unwrap_or("localhost"))
    }

    /// Answers a request: always, and with the headers of every answer.
    async fn answer(&self, resource: Option<Resource>, request: Request) -> Response {
        let began = Instant::now();
        let request_id = format!("req-{}", uuid::Uuid::new_v4());
        let version = negotiate::asked(request.headers());
        let served = *version.as_ref().unwrap_or(&Microversion::MIN);
        let span = tracing::info_span!(
            "request",
            request_id,
            method = %request.method(),
            path = request.uri().path(),
            operation = field::Empty,
            project = field::Empty,
        );
        let work = self.work(resource, request, version, &request_id, began);
        let work = AssertUnwindSafe(tokio::time::timeout(
            self.0.options.request_timeout + GRACE,
            work.instrument(span.clone()),
        ));
        let worked = match work.catch_unwind().await {
            Ok(Ok(worked)) => worked,
            Ok(Err(_)) => Err(Fault::busy("The request took too long. Ask again in a moment.")),
            Err(_) => Err(Fault::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "The server failed; its log says where.",
            )),
        };
        let mut response = match worked {
            Ok(reply) => reply.into_response(),
            Err(fault) => fault.into_response(),
        };
        let headers = response.headers_mut();
        negotiate::say(headers, served);
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            headers.insert(COMPUTE_REQUEST_ID, value.clone());
            headers.insert(REQUEST_ID, value);
        }
        let status = response.status().as_u16();
        span.in_scope(|| tracing::info!(status, took = ?began.elapsed(), "answered"));
        response
    }

    async fn work(
        &self,
        resource: Option<Resource>,
        mut request: Request,
        version: Result<Microversion, Fault>,
        request_id: &str,
        began: Instant,
    ) -> Result<Reply, Fault> {
        let options = &self.0.options;
        let Ok(_permit) = self.0.permits.try_acquire() else {
            return Err(Fault::busy("Too many requests are worked on. Ask again in a moment."));
        };
        let params = request.extract_parts::<RawPathParams>().await;
        let (parts, body) = request.into_parts();
        let who = options.authenticate.identify(&parts.headers).await?;
        tracing::Span::current().record("project", field::display(&who.project_id));
        let version = version?;
        let nothing_here = || Fault::not_found("The resource could not be found.");
        let resource = resource.ok_or_else(nothing_here)?;
        let params = params.map_err(|_| nothing_here())?;
        let of_method: Vec<&Prepared> =
            resource.iter().filter(|known| known.route.method == parts.method).collect();
        if of_method.is_empty() {
            return Err(method_not_allowed(&resource));
        }
        if !of_method.iter().any(|known| known.route.is_in(version)) {
            return Err(nothing_here());
        }
        // A role that may call none of them learns nothing from a body.
        if let [only] = of_method[..] {
            only.route.policy.check(&who, only.route.name)?;
        }
        let body = match of_method.iter().any(|known| known.route.body.is_some()) {
            true => read_body(&parts, body, options.body_bytes_max).await?,
            false => Value::Null,
        };
        let prepared = chosen(&of_method, &body, version)?;
        let route = &prepared.route;
        tracing::Span::current().record("operation", route.name);
        route.policy.check(&who, route.name)?;
        if let Some(validator) = &prepared.validator {
            schema::check(validator, &body)?;
        }
        let call = Call {
            plane: self.0.plane.clone(),
            ctx: context(&who, request_id, options.request_timeout.saturating_sub(began.elapsed())),
            version,
            base: self.base(&parts),
            path: parts.uri.path().to_owned(),
            params: params
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            query: Query::parse(parts.uri.query()),
            headers: parts.headers,
            body,
        };
        (route.handler)(call).await
    }

    pub(crate) fn plane(&self) -> &ControlPlane {
        &self.0.plane
    }

    pub(crate) async fn identify(&self, parts: &Parts, policy: Policy) -> Result<Identity, Fault> {
        let who = self.0.options.authenticate.identify(&parts.headers).await?;
        policy.check(&who, "ui")?;
        Ok(who)
    }
}

fn context(who: &Identity, request_id: &str, timeout: Duration) -> RequestContext {
    RequestContext {
        project_id: who.project_id.clone(),
        user_id: who.user_id.clone(),
        is_admin: who.role == Some(crate::policy::Role::Admin),
        request_id: request_id.to_owned(),
        timeout,
    }
}

fn method_not_allowed(resource: &[Prepared]) -> Fault {
    let mut methods: Vec<&str> = resource.iter().map(|known| known.route.method.as_str()).collect();
    methods.dedup();
    let message = "The method is not allowed for this resource.";
    let fault = Fault::new(StatusCode::METHOD_NOT_ALLOWED, message);
    Fault { allow: Some(methods.join(", ")), ..fault }
}

/// The route among those of a path and method: by version, and for actions by the key of the body.
fn chosen<'a>(
    of_method: &[&'a Prepared],
    body: &Value,
    version: Microversion,
) -> Result<&'a Prepared, Fault> {
    let mut of_version = of_method.iter().filter(|known| known.route.is_in(version));
    if of_method[0].route.action.is_none() {
        let found = of_version.next().copied();
        return found.ok_or_else(|| Fault::not_found("The resource could not be found."));
    }
    let keys: Vec<&str> =
        body.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    let [key] = keys[..] else {
        return Err(Fault::bad_request("The body must have one key: the action to be done."));
    };
    let found = of_version.find(|known| known.route.action == Some(key)).copied();
    found.ok_or_else(|| Fault::bad_request(format!("There is no such action: {key}")))
}

pub(crate) async fn read_body(parts: &Parts, body: Body, bytes_max: usize) -> Result<Value, Fault> {
    if parts.method == Method::GET || parts.method == Method::DELETE {
        return Ok(Value::Null);
    }
    if let Some(kind) = parts.headers.get(header::CONTENT_TYPE) {
        let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("application/json") {
            let message = "The body must be application/json.";
            return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
    }
    let collected = Limited::new(body, bytes_max).collect().await;
    let bytes = match collected {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let message = format!("The body must have at most {bytes_max} bytes.");
            return Err(Fault::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        Err(_) => return Err(Fault::bad_request("The body did not come whole.")),
    };
    serde_json::from_slice(&bytes).map_err(|_| Fault::bad_request("The body must be JSON."))
}
