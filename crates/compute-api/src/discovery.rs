//! Which versions there are: asked without a token, before anything else.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use cellzero::Microversion;
use serde_json::{Value, json};

use crate::negotiate;
use crate::serve::Api;

fn about(api: &Api, parts: &Parts) -> Value {
    json!({
        "id": "v2.1",
        "status": "CURRENT",
        "version": Microversion::MAX.to_string(),
        "min_version": Microversion::MIN.to_string(),
        "updated": "2013-07-23T11:33:21Z",
        "links": [{"rel": "self", "href": format!("{}/v2.1/", api.base(parts))}],
    })
}

/// `GET /`.
pub(crate) async fn versions(State(api): State<Api>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    answer(&parts, json!({"versions": [about(&api, &parts)]}))
}

/// `GET /v2.1`, with or without a slash behind it.
pub(crate) async fn version(State(api): State<Api>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let mut version = about(&api, &parts);
    version["media-types"] = json!([{
        "base": "application/json",
        "type": "application/vnd.openstack.compute+json;version=2.1",
    }]);
    answer(&parts, json!({"version": version}))
}

fn answer(parts: &Parts, body: Value) -> Response {
    if parts.method != axum::http::Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")]).into_response();
    }
    let mut response =
        ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response();
    let served = negotiate::asked(&parts.headers).unwrap_or(Microversion::MIN);
    negotiate::say(response.headers_mut(), served);
    response
}
