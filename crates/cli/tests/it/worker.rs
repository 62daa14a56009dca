//! `worker`: it brings home, is watched, and ends well.

mod broker;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use cellzero_test_support::{Engine, ServerOptions, private};
use rstest::rstest;

use crate::support::{IMAGE, Ran, TestPlane};

/// A worker process, killed where a test fails.
struct Worker {
    child: Child,
    /// The lines that it says, read by a thread, so that it never waits for a reader.
    said: Receiver<String>,
    address: String,
}

impl Worker {
    fn start(test: &TestPlane, more: &[&str]) -> Worker {
        Worker::run(&mut test.cellzero.command(&[&["worker"][..], more].concat()))
    }

    /// Of a command line without `--metrics`.
    fn run(command: &mut Command) -> Worker {
        command.args(["--metrics", "127.0.0.1:0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let (say, said) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines() {
                // Nobody reads it where the test has ended.
                let _ = say.send(line.expect("UTF-8"));
            }
        });
        let address = loop {
            let line = said.recv().expect("the worker has not ended");
            if let Some((_, rest)) = line.split_once("metrics: http://") {
                break rest.split('/').next().expect("an address").to_owned();
            }
        };
        Worker { child, said, address }
    }

    /// What it answers to a request.
    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        stream
            .write_all(
                format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
            )
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    fn signal(&self, name: &str) {
        let sent = std::process::Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill runs").success());
    }

    /// Ends it by SIGTERM, and gives what it said since it ran.
    fn end(mut self) -> Ran {
        self.signal("TERM");
        let status = self.child.wait().expect("it ends");
        let stderr = self.said.iter().collect::<Vec<_>>().join("\n");
        Ran { code: status.code().expect("a code"), stdout: String::new(), stderr }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[rstest]
fn a_worker_brings_home_and_shows_what_it_did(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 1) else { return };
    let worker = Worker::start(&test, &["--count", "2"]);
    // The binary waits for the worker, since it plays no compute host itself.
    let boot = |name: &str, flavor: &str| {
        test.run_alone(&["instance", "boot", name, "--flavor", flavor, "--image", IMAGE])
    };
    boot("web", "small").ends(0);
    boot("giant", "huge").ends(2);
    test.run_alone(&["instance", "delete", "web"]).ends(0);
    let metrics = worker.ask("GET /metrics");
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    for said in [
        "cellzero_decided_instances_total{home=\"cell\"} 1",
        "cellzero_decided_instances_total{home=\"cell0\"} 1",
        "database=\"api\"",
        &format!("database=\"{}\"", test.cells[0].0),
    ] {
        assert!(metrics.contains(said), "{said}:\n{metrics}");
    }
    assert!(worker.ask("GET /healthz").starts_with("HTTP/1.1 200"));
    assert!(worker.ask("GET /else").starts_with("HTTP/1.1 404"));
    assert!(worker.ask("POST /metrics").starts_with("HTTP/1.1 405"));
    let ran = worker.end().ends(0);
    assert!(ran.stderr.contains("ending"), "{}", ran.stderr);
    test.run(&["recover", "--all"]).ends(0);
    test.run(&["fsck"]).ends(0);
}

#[test]
fn a_worker_is_unwell_while_its_api_database_is() {
    let Some(mut server) = private(Engine::Postgres, ServerOptions::default()) else { return };
    let test = TestPlane::on(&server);
    let worker = Worker::start(&test, &[]);
    assert!(worker.ask("GET /healthz").starts_with("HTTP/1.1 200"));
    server.stop().expect("stopped");
    let unwell = worker.ask("GET /healthz");
    assert!(unwell.starts_with("HTTP/1.1 503") && unwell.contains("the API database"), "{unwell}");
}

#[test]
fn a_second_signal_stops_a_worker_that_cannot_hand_its_leases_back() {
    let Some(server) = private(Engine::Postgres, ServerOptions::default()) else { return };
    let test = TestPlane::on(&server);
    let mut worker = Worker::start(&test, &[]);
    server.pause().expect("paused");
    worker.signal("INT");
    let begun = Instant::now();
    let said = worker.said.recv().expect("what it says");
    assert!(said.contains("a second signal"), "{said}");
    worker.signal("INT");
    let status = worker.child.wait().expect("it ends");
    // The databases are dropped with the plane, which takes a server that answers.
    server.resume().expect("resumed");
    assert_eq!(status.code(), Some(4));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn a_port_that_is_taken_is_an_error_before_anything_else() {
    let test = TestPlane::new(Engine::Sqlite, 1).expect("SQLite is always there");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let ran = test.run(&["worker", "--metrics", &address]).ends(255);
    assert!(
        ran.stderr.contains(&format!("metrics cannot be served at {address}")),
        "{}",
        ran.stderr
    );
}
