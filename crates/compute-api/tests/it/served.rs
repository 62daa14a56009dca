//! The API on a port: what a connection may send, and how serving ends.

use std::time::Duration;

use cellzero_compute_api::{Api, ApiOptions};
use cellzero_test_support::Engine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{TestApi, tokens};

/// Serves; where, the end, and what ends then.
async fn serve(
    api: &TestApi,
    options: ApiOptions,
) -> (std::net::SocketAddr, tokio::sync::oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let api = Api::new(api.plane.clone(), options);
    let serving = tokio::spawn(async move {
        let end = async {
            // One who is gone has stopped too.
            let _ = stopped.await;
        };
        api.serve(listener, end).await;
    });
    (address, stop, serving)
}

async fn answer_of(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut bytes)).await;
    let length = read.expect("an answer or an end in time").unwrap_or(0);
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[tokio::test]
async fn too_many_too_large_and_too_slow_headers_are_cut_off() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let mut options = ApiOptions::new(tokens());
    options.header_timeout = Duration::from_millis(300);
    let (address, _stop, _serving) = serve(&api, options).await;
    let many: String = (0..80).map(|number| format!("x-{number}: y\r\n")).collect();
    let large = format!("x: {}\r\n", "y".repeat(32 * 1024));
    for headers in [many, large] {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let text = format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        stream.write_all(text.as_bytes()).await.expect("sent");
        let answer = answer_of(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"GET / HTTP/1.1\r\nhost:").await.expect("sent");
    let answer = answer_of(&mut stream).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn serving_ends_with_idle_connections_closed_and_the_port_free() {
    let Some(api) = TestApi::new(Engine::Sqlite).await else { return };
    let (address, stop, serving) = serve(&api, ApiOptions::new(tokens())).await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(b"GET /v2.1 HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    assert!(answer_of(&mut stream).await.starts_with("HTTP/1.1 200"));
    stop.send(()).expect("it listens");
    let ended = tokio::time::timeout(Duration::from_secs(20), serving).await;
    ended.expect("it ends in time").expect("it does not panic");
    assert_eq!(answer_of(&mut stream).await, "");
    assert!(TcpStream::connect(address).await.is_err());
}
