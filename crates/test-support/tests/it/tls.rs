//! The servers' certificates are good for a client that trusts their authority, and for no other.

use std::path::Path;
use std::sync::Arc;

use cellzero_test_support::{Engine, Server, ServerOptions, private};
use mysql_async::{OptsBuilder, SslOpts};
use rstest::rstest;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn only_a_client_that_trusts_the_authority_connects_over_tls(
    #[case] engine: Engine,
    #[values("127.0.0.1", "localhost")] host: &str,
) {
    let Some(server) = private(engine, ServerOptions::default()) else { return };
    assert!(connects(&server, host, server.ca_path().unwrap()));
    assert!(!connects(&server, host, server.untrusted_ca_path().unwrap()));
}

fn connects(server: &Server, host: &str, ca: &Path) -> bool {
    let url = server.admin_url().replace("@127.0.0.1:", &format!("@{host}:"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match server.engine() {
            Engine::Sqlite => false,
            Engine::Postgres => {
                let url = format!("{url}?sslmode=require");
                tokio_postgres::connect(&url, postgres_tls(ca)).await.is_ok()
            }
            Engine::MariaDb => {
                let tls = SslOpts::default().with_root_certs(vec![ca.to_owned().into()]);
                let options = mysql_async::Opts::from_url(&url).unwrap();
                let options = OptsBuilder::from_opts(options).prefer_socket(false).ssl_opts(tls);
                mysql_async::Conn::new(options).await.is_ok()
            }
        }
    })
}

fn postgres_tls(ca: &Path) -> tokio_postgres_rustls::MakeRustlsConnect {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_postgres_rustls::MakeRustlsConnect::new(config)
}
