//! Every operation, once: the router, the policy and the OpenAPI document are made of this.

use axum::http::Method;
use cellzero::Microversion;
use futures_util::future::BoxFuture;
use serde_json::Value;

use crate::call::{Answered, Call};
use crate::handlers;
use crate::negotiate::minor;
use crate::policy::Policy;

/// What does an operation.
pub(crate) type Handler = fn(Call) -> BoxFuture<'static, Answered>;

/// An operation.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Below `/v2.1`; the names in braces are parameters.
    pub(crate) path: &'static str,
    /// Its name in the document and in a refusal.
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) policy: Policy,
    /// The minor versions in which it is there, both included.
    pub(crate) versions: (u16, u16),
    /// The one key of its body, for an action on a server.
    pub(crate) action: Option<&'static str>,
    pub(crate) body: Option<Body>,
    /// The keys of the query that mean something.
    pub(crate) query: &'static [&'static str],
    /// How it may answer: status, and the name of the schema where there is a body.
    pub(crate) answers: Vec<(u16, Option<&'static str>)>,
    pub(crate) handler: Handler,
}

/// What the body of an operation must be.
#[derive(Clone, Copy)]
pub(crate) struct Body {
    pub(crate) schema: fn() -> Value,
    /// One that is taken in the first microversion of its operation.
    pub(crate) example: fn() -> Value,
}

impl Route {
    pub(crate) fn new(
        method: Method,
        path: &'static str,
        name: &'static str,
        policy: Policy,
        summary: &'static str,
        handler: Handler,
    ) -> Route {
        Route {
            method,
            path,
            name,
            summary,
            policy,
            versions: (1, Microversion::MAX.minor),
            action: None,
            body: None,
            query: &[],
            answers: Vec::new(),
            handler,
        }
    }

    pub(crate) fn since(mut self, first: u16) -> Route {
        self.versions.0 = first;
        self
    }

    pub(crate) fn until(mut self, last: u16) -> Route {
        self.versions.1 = last;
        self
    }

    pub(crate) fn body(mut self, schema: fn() -> Value, example: fn() -> Value) -> Route {
        self.body = Some(Body { schema, example });
        self
    }

    pub(crate) fn query(self, query: &'static [&'static str]) -> Route {
        Route { query, ..self }
    }

    pub(crate) fn gives(mut self, status: u16, schema: &'static str) -> Route {
        self.answers.push((status, Some(schema)));
        self
    }

    pub(crate) fn ends(mut self, status: u16) -> Route {
        self.answers.push((status, None));
        self
    }

    /// Whether it is there in this microversion.
    pub(crate) fn is_in(&self, version: Microversion) -> bool {
        minor(self.versions.0) <= version && version <= minor(self.versions.1)
    }
}

/// Writes a handler as the table holds it.
macro_rules! route {
    ($method:ident $path:literal $name:literal $policy:ident $handler:path, $summary:literal) => {
        crate::route::Route::new(
            axum::http::Method::$method,
            $path,
            $name,
            crate::policy::Policy::$policy,
            $summary,
            |call| Box::pin($handler(call)),
        )
    };
}
pub(crate) use route;

/// The whole table.
pub(crate) fn table() -> Vec<Route> {
    let mut table = Vec::new();
    table.extend(handlers::servers::routes());
    table.extend(crate::action::routes());
    table.extend(handlers::labels::routes());
    table.extend(handlers::instance_actions::routes());
    table.extend(handlers::flavors::routes());
    table.extend(handlers::keypairs::routes());
    table.extend(handlers::server_groups::routes());
    table.extend(handlers::limits::routes());
    table.extend(handlers::usage::routes());
    table.extend(handlers::hosts::routes());
    table
}

/// An operation, for those who document or test what is served.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Its path below `/v2.1`, with the names of its parameters in braces.
    pub path: &'static str,
    /// Its name, such as `servers:show`.
    pub name: &'static str,
    /// Who may call it.
    pub policy: Policy,
    /// The first microversion that has it.
    pub first: Microversion,
    /// The last microversion that has it.
    pub last: Microversion,
    /// A body that is taken; none where it takes none.
    pub example: Option<Value>,
    /// The statuses by which it may succeed.
    pub succeeds: Vec<u16>,
}

/// Every operation below `/v2.1`, as the router serves it.
pub fn operations() -> Vec<Operation> {
    table()
        .into_iter()
        .map(|route| Operation {
            method: route.method,
            path: route.path,
            name: route.name,
            policy: route.policy,
            first: minor(route.versions.0),
            last: minor(route.versions.1),
            example: route.body.map(|body| (body.example)()),
            succeeds: route.answers.iter().map(|(status, _)| *status).collect(),
        })
        .collect()
}
