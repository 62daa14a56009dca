//! What a worker shows of itself over HTTP: metrics for Prometheus, and a sign of life.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context as _;
use cellzero::ControlPlane;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// How long the API database may take to give a sign of life.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// How long one who asks may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the recorder drops what it no longer needs.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// From a statement in a local file to an operation that runs into its deadline, in seconds.
const BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The recorder of this process, and the port that is asked.
pub(super) struct Watch {
    listener: TcpListener,
    address: SocketAddr,
    recorded: PrometheusHandle,
}

impl Watch {
    /// Takes the port and begins to record.
    pub(super) fn start(address: SocketAddr) -> anyhow::Result<Watch> {
        let listen = || -> std::io::Result<(TcpListener, SocketAddr)> {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) =
            listen().with_context(|| format!("metrics cannot be served at {address}"))?;
        let recorded = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)?
            .install_recorder()?;
        Ok(Watch { listener, address, recorded })
    }

    /// Where it is asked.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers, for ever.
    pub(super) async fn serve(self, plane: ControlPlane) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let mut upkeep = tokio::time::interval(UPKEEP_EVERY);
        loop {
            let stream = tokio::select! {
                _ = upkeep.tick() => {
                    self.recorded.run_upkeep();
                    continue;
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Mostly too many open files: what is served already goes on.
                        tracing::warn!(%error, "nobody can ask for metrics now");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let (plane, recorded) = (plane.clone(), self.recorded.clone());
            let answer =
                service_fn(move |request| answer(request, plane.clone(), recorded.clone()));
            tokio::spawn(async move {
                let mut server = hyper::server::conn::http1::Builder::new();
                server.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
                if let Err(error) = server.serve_connection(TokioIo::new(stream), answer).await {
                    tracing::debug!(%error, "one who asked for metrics went away");
                }
            });
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    plane: ControlPlane,
    recorded: PrometheusHandle,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, recorded.render()),
        (&Method::GET, "/healthz") => health(&plane).await,
        (&Method::GET, _) => {
            (StatusCode::NOT_FOUND, "there are /metrics and /healthz\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "GET\n".to_owned()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Well while the API database answers: without it nothing is brought home.
async fn health(plane: &ControlPlane) -> (StatusCode, String) {
    match tokio::time::timeout(HEALTH_TIMEOUT, plane.cells().list()).await {
        Ok(Ok(_)) => (StatusCode::OK, "ok\n".to_owned()),
        Ok(Err(_)) => (StatusCode::SERVICE_UNAVAILABLE, "the API database failed\n".to_owned()),
        Err(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the API database does not answer\n".to_owned())
        }
    }
}
