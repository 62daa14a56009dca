//! An API in front of a plane on real databases; every answer is held to the served document.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use cellzero::*;
use cellzero_compute_api::{Api, ApiOptions, FixedTokens, Identity, Role};
use cellzero_test_support::{Engine, TestDatabase, create_database};
use http_body_util::BodyExt as _;
use jsonschema::Validator;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

/// An API with its plane: two cells with a host each that takes eight instances of flavor 1.
pub(crate) struct TestApi {
    pub(crate) plane: ControlPlane,
    pub(crate) cells: Vec<(CellUuid, TestDatabase)>,
    pub(crate) router: Router,
    document: Arc<Document>,
    pub(crate) api: TestDatabase,
    // Dropped with it.
    _cell0: TestDatabase,
}

/// Who the tokens of the tests are.
pub(crate) fn tokens() -> FixedTokens {
    FixedTokens::default()
        .with("admin", Identity::new("admin", "admin", Role::Admin))
        .with("alice", Identity::new("project-a", "alice", Role::Member))
        .with("anna", Identity::new("project-a", "anna", Role::Reader))
        .with("bob", Identity::new("project-b", "bob", Role::Member))
}

impl TestApi {
    /// None where the engine is left out.
    pub(crate) async fn new(engine: Engine) -> Option<TestApi> {
        TestApi::with(engine, ApiOptions::new(tokens())).await
    }

    pub(crate) async fn with(engine: Engine, options: ApiOptions) -> Option<TestApi> {
        let (api, cell0) = (create_database(engine, "api")?, create_database(engine, "cell0")?);
        let config = Config::new(api.url()).cell0(cell0.url()).without_worker();
        let plane = ControlPlane::open(config).await.expect("a new plane opens");
        let mut cells = Vec::new();
        for number in [1, 2] {
            let name = format!("cell{number}");
            let database = create_database(engine, &name).expect("the engine is there");
            let new = NewCell::new(&name, database.url());
            let cell = plane.cells().create(new).await.expect("a new cell");
            let node = ComputeNode::new(format!("host{number}"), 8, 4096, 100);
            plane.hosts().report(cell, &node).await.expect("a new host");
            cells.push((cell, database));
        }
        for (id, memory_mb, vcpus) in [("1", 512, 1), ("2", 1024, 1), ("huge", 9_999_999, 9_999)] {
            let flavor = Flavor::new(id, &format!("flavor-{id}"), vcpus, memory_mb, 1);
            plane.flavors().create(&flavor).await.expect("a new flavor");
        }
        let router = Api::new(plane.clone(), options).router();
        let document = Arc::new(Document::read(&router).await);
        Some(TestApi { plane, cells, router, document, api, _cell0: cell0 })
    }

    /// One who asks with this token, at 2.1.
    pub(crate) fn client(&self, token: &str) -> Client {
        Client {
            router: self.router.clone(),
            document: Arc::clone(&self.document),
            token: token.to_owned(),
            version: Some("2.1".to_owned()),
        }
    }

    /// Brings home what is accepted.
    pub(crate) async fn settle(&self) {
        self.plane.settle().await.expect("settled");
    }

    /// Creates a server and brings it home; its id.
    pub(crate) async fn server(&self, client: &Client, name: &str, flavor: &str) -> String {
        let created = client.at("2.1").post("/servers", server(name, flavor)).await;
        assert_eq!(created.status, 202, "{}", created.body);
        self.settle().await;
        created.body["server"]["id"].as_str().expect("an id").to_owned()
    }
}

/// The body of a create that every microversion takes.
pub(crate) fn server(name: &str, flavor: &str) -> Value {
    json!({"server": {
        "name": name, "imageRef": IMAGE, "flavorRef": flavor,
        "networks": [{"uuid": "11111111-2222-4333-8444-555555555555"}],
    }})
}

/// One who asks.
#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    document: Arc<Document>,
    token: String,
    version: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// A header's text; empty where it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// What is wrong, as the client reads it, of this kind.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16, kind: &str) -> &str {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.body[kind]["code"], status, "{}", self.body);
        self.body[kind]["message"].as_str().expect("a message")
    }

    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The ids of a list.
    pub(crate) fn ids(&self) -> Vec<&str> {
        let servers = self.body["servers"].as_array().expect("a list");
        servers.iter().map(|server| server["id"].as_str().expect("an id")).collect()
    }
}

impl Client {
    /// The same at another microversion.
    pub(crate) fn at(&self, version: &str) -> Client {
        Client { version: Some(version.to_owned()), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }

    /// Sends to a path below `/v2.1`, and holds the answer to the document.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let mut request = Request::builder()
            .method(method.clone())
            .uri(format!("/v2.1{path}"))
            .header("host", "api.test:8774")
            .header("x-auth-token", &self.token);
        if let Some(version) = &self.version {
            request = request.header("openstack-api-version", format!("compute {version}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let answer = raw(&self.router, request.body(body).expect("a request")).await;
        self.document.check(&method, path, &answer);
        answer
    }
}

/// Sends a request as it is.
pub(crate) async fn raw(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    let body = match bytes.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&bytes).expect("JSON"),
    };
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// The served document.
struct Document {
    whole: Value,
    validators: HashMap<String, OnceLock<Validator>>,
}

impl Document {
    async fn read(router: &Router) -> Document {
        let request = Request::get("/openapi.json").body(Body::empty()).expect("a request");
        let answer = raw(router, request).await;
        assert_eq!(answer.status, StatusCode::OK);
        let schemas = answer.body["components"]["schemas"].as_object().expect("schemas");
        let validators = schemas.keys().map(|name| (name.clone(), OnceLock::new())).collect();
        Document { whole: answer.body, validators }
    }

    /// The operation of a path, where the document has one.
    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        let paths = self.whole["paths"].as_object().expect("paths");
        let fits = |template: &str| {
            let of: Vec<&str> =
                template.strip_prefix("/v2.1").unwrap_or(template).split('/').collect();
            let same = |(a, b): (&&str, &&str)| a.starts_with('{') || a == b;
            of.len() == parts.len() && of.iter().zip(&parts).all(same)
        };
        // What is written out goes before what has parameters.
        let mut found: Vec<&String> = paths.keys().filter(|template| fits(template)).collect();
        found.sort_by_key(|template| template.matches('{').count());
        let method = method.as_str().to_ascii_lowercase();
        paths[*found.first()?].get(&method)
    }

    #[track_caller]
    fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let Some(operation) = self.operation(method, path) else {
            assert!([404, 405].contains(&answer.status), "{method} {path} is not in the document");
            return;
        };
        let response = &operation["responses"][answer.status.to_string()];
        assert!(!response.is_null(), "{method} {path} may not answer {}", answer.status);
        for name in ["openstack-api-version", "x-openstack-nova-api-version", "vary"] {
            assert!(answer.headers.contains_key(name), "{method} {path} answers without {name}");
        }
        assert!(answer.header("x-openstack-request-id").starts_with("req-"));
        let schema = &response["content"]["application/json"]["schema"]["$ref"];
        let Some(schema) = schema.as_str() else {
            // Of all actions only a rebuild shows the server; the document says so in words.
            let is_action = path.ends_with("/action");
            assert!(
                is_action || answer.body.is_null(),
                "{method} {path} answers with a body: {}",
                answer.body
            );
            return;
        };
        let name = schema.rsplit('/').next().expect("a name");
        let validator = self.validators[name].get_or_init(|| {
            let components = &self.whole["components"];
            jsonschema::draft202012::new(&json!({"$ref": schema, "components": components}))
                .expect("a schema")
        });
        if let Err(error) = validator.validate(&answer.body) {
            panic!("{method} {path}: {error} at {}: {}", error.instance_path(), answer.body);
        }
    }
}
