//! `serve`: the compute API is there, and ends well.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{IMAGE, TestPlane};

/// A server process, killed where a test fails.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(test: &TestPlane, more: &[&str]) -> Server {
        let arguments =
            [&["serve", "--listen", "127.0.0.1:0", "--simulated-compute"], more].concat();
        let mut command = test.cellzero.command(&arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = loop {
            let line = lines.next().expect("the server has not ended").expect("UTF-8");
            if let Some((_, rest)) = line.split_once("compute API: http://") {
                break rest.split('/').next().expect("an address").to_owned();
            }
        };
        // Read on, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Server { child, address }
    }

    /// What it answers to a request with these headers and this body.
    fn ask(&self, request: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let length = body.len();
        let text = format!(
            "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(text.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// Ends it by SIGTERM; its exit code.
    fn end(mut self) -> i32 {
        let id = self.child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.expect("kill runs").success());
        self.child.wait().expect("it ends").code().expect("a code")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[rstest]
fn a_served_plane_takes_servers_brings_them_home_and_ends_at_a_signal(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let server = Server::start(&test, &[]);
    let versions = server.ask("GET /", "", "");
    assert!(versions.starts_with("HTTP/1.1 200"), "{versions}");
    let body =
        format!(r#"{{"server": {{"name": "web", "flavorRef": "1", "imageRef": "{IMAGE}"}}}}"#);
    let created = server.ask("POST /v2.1/servers", "", &body);
    assert!(created.starts_with("HTTP/1.1 202"), "{created}");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let listed = server.ask("GET /v2.1/servers/detail", "", "");
        if listed.contains("\"ACTIVE\"") {
            break;
        }
        assert!(Instant::now() < deadline, "{listed}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(server.ask("GET /ui", "", "").contains("<title>Cellzero</title>"));
    assert_eq!(server.end(), 0);
}

#[test]
fn a_token_is_asked_for_where_one_is_set() {
    let Some(test) = TestPlane::new(Engine::Sqlite, 1) else { return };
    let server = Server::start(&test, &["--auth", "token", "--token", "s3cret"]);
    let refused = server.ask("GET /v2.1/servers", "", "");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let listed = server.ask("GET /v2.1/servers", "x-auth-token: s3cret\r\n", "");
    assert!(listed.starts_with("HTTP/1.1 200"), "{listed}");
    drop(server);
    let ran = test.run_alone(&["serve", "--auth", "token"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("CELLZERO_API_TOKEN"), "{}", ran.stderr);
}
