//! Passwords and encryption: what works, what is refused, and that no error shows the password.

use crate::common::server::{Held, held};
use crate::common::{Outcome, Things, soon};
use cellzero_database::{
    AnyConnection, Connection, Database, DatabaseError, DatabaseUrl, ErrorKind, Options,
};
use cellzero_test_support::Engine;
use diesel::prelude::*;
use rstest::rstest;
use std::error::Error as StdError;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = diesel::sql_types::Text)]
    answer: String,
}

/// The protocol or cipher of this very session, as the server sees it; empty without encryption.
fn encryption(conn: &mut Connection<Things>) -> Outcome<String> {
    let answer: Answer = match conn.sql().any() {
        AnyConnection::Sqlite(_) => unreachable!("a file has no session"),
        AnyConnection::Postgres(net) => diesel::sql_query(
            "SELECT COALESCE(version, '') AS answer FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
        )
        .get_result(net)?,
        AnyConnection::Mysql(net) => diesel::sql_query(
            "SELECT variable_value AS answer FROM information_schema.session_status \
             WHERE variable_name = 'Ssl_cipher'",
        )
        .get_result(net)?,
    };
    Ok(answer.answer)
}

async fn ask(text: &str) -> Result<String, DatabaseError> {
    let database: Database<Things> =
        Database::new(DatabaseUrl::parse(text).unwrap(), Options::default());
    let shown = format!("{database:?} {} {:?}", database.url(), database.url());
    assert!(shown.contains("***"), "{shown}");
    let answer = database.run("ask", soon(), encryption).await;
    database.close().await;
    answer
}

/// A URL with this way to the server and these certificates to trust.
fn with_tls(url: &str, place: &str, trusted: &Path) -> String {
    let (user, rest) = url.split_once('@').unwrap();
    let database = rest.split_once('/').unwrap().1;
    format!("{user}@{place}/{database}?sslmode=verify-full&sslrootcert={}", trusted.display())
}

fn place(server: &Held, host: &str) -> String {
    format!("{host}:{}", server.port())
}

/// Everything that an error may be made to say.
fn whole_text(error: &DatabaseError) -> String {
    let mut text = format!("{error} {error:#} {error:?} {error:#?}");
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(" {source} {source:#} {source:?} {source:#?}"));
        next = source.source();
    }
    text
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_encrypted_where_the_url_asks_for_it_and_only_there(
    #[case] engine: Engine,
    #[values("127.0.0.1", "localhost")] host: &str,
) {
    let Some(server) = held(engine) else { return };
    let url = with_tls(&server.admin_url(), &place(&server, host), server.ca_path().unwrap());
    let encrypted = ask(&url).await.unwrap();
    println!("{host}: {encrypted}");
    assert!(encrypted.starts_with("TLS"), "{encrypted:?}");
    assert_eq!(ask(&server.admin_url()).await.unwrap(), "");
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn everything_works_over_an_encrypted_session(#[case] engine: Engine) {
    let Some(server) = held(engine) else { return };
    let fresh = server.fresh();
    let url =
        with_tls(fresh.outside.url(), &place(&server, "localhost"), server.ca_path().unwrap());
    let database: Database<Things> =
        Database::new(DatabaseUrl::parse(&url).unwrap(), Options::default());
    database.migrate(soon()).await.unwrap();
    database.check_drift(soon()).await.unwrap();
    let many = "x".repeat(2_000_000);
    let length = many.len();
    let work = move |conn: &mut Connection<Things>| -> Outcome<Option<String>> {
        crate::common::insert(conn, "one", 1)?;
        use crate::common::things;
        diesel::update(things::table).set(things::body.eq(many)).execute(conn.sql())?;
        Ok(things::table.select(things::body).first(conn.sql())?)
    };
    let read = database.run("long", soon(), work).await.unwrap();
    assert_eq!(read.map(|text| text.len()), Some(length));
    database.close().await;
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_refused(#[case] engine: Engine) {
    let Some(server) = held(engine) else { return };
    let url = with_tls(
        &server.admin_url(),
        &place(&server, "127.0.0.1"),
        server.untrusted_ca_path().unwrap(),
    );
    let error = ask(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    let text = whole_text(&error);
    println!("{error}");
    assert!(error.to_string().contains("signed by no authority that is trusted"), "{error}");
    assert!(text.contains("UnknownIssuer"), "{text}");
    assert!(!text.contains(server.password()), "{text}");
}

/// Another address of this machine that leads to the server, which its certificate does not name.
fn other_address(server: &Held) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.2:0").unwrap();
    let (address, port) = (listener.local_addr().unwrap(), server.port());
    std::thread::spawn(move || {
        // It lets one client in and ends with it.
        let (inside, _) = listener.accept().unwrap();
        let outside = TcpStream::connect(("127.0.0.1", port)).unwrap();
        for (mut from, mut to) in [
            (inside.try_clone().unwrap(), outside.try_clone().unwrap()),
            (outside.try_clone().unwrap(), inside.try_clone().unwrap()),
        ] {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    address
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_host_is_refused(#[case] engine: Engine) {
    let Some(server) = held(engine) else { return };
    let address = other_address(&server).to_string();
    let url = with_tls(&server.admin_url(), &address, server.ca_path().unwrap());
    let error = ask(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    let text = whole_text(&error);
    println!("{error}");
    assert!(error.to_string().contains("certificate is for another host"), "{error}");
    assert!(text.contains("NotValidForName"), "{text}");
    assert!(!text.contains(server.password()), "{text}");
}

/// What a server says that knows no encryption: PostgreSQL's refusal, and the first words of a
/// MariaDB that has no certificate.
fn greeting_without_tls(engine: Engine) -> Vec<u8> {
    if engine == Engine::Postgres {
        return b"N".to_vec();
    }
    // PROTOCOL_41 and SECURE_CONNECTION; not SSL, which would be 0x0800.
    const CAPABILITIES_LOW: [u8; 2] = 0x8200_u16.to_le_bytes();
    const PLUGIN_AUTH_HIGH: [u8; 2] = 0x0008_u16.to_le_bytes();
    let parts: [&[u8]; 11] = [
        b"\x0a10.11.0-MariaDB\0",
        &[1, 0, 0, 0],
        b"saltsalt\0",
        &CAPABILITIES_LOW,
        &[45, 2, 0],
        &PLUGIN_AUTH_HIGH,
        &[21],
        &[0; 10],
        b"saltsaltsalt\0",
        b"mysql_native_password",
        &[0],
    ];
    let body = parts.concat();
    [&[u8::try_from(body.len()).unwrap(), 0, 0, 0], body.as_slice()].concat()
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_encryption_gets_no_password(#[case] engine: Engine) {
    use std::io::{Read as _, Write as _};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        if engine == Engine::Postgres {
            client.read_exact(&mut [0; 8]).unwrap();
        }
        client.write_all(&greeting_without_tls(engine)).unwrap();
        let mut heard = Vec::new();
        // An end by a reset is an end as well.
        let _ = client.read_to_end(&mut heard);
        heard
    });
    let scheme = engine.scheme();
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    let authority = held(engine).map(|server| server.ca_path().unwrap().to_owned());
    let Some(authority) = authority else { return };
    std::fs::copy(authority, &ca).unwrap();
    let url = format!("{scheme}://u:hunter2@127.0.0.1:{port}/d?sslrootcert={}", ca.display());
    let error = ask(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    assert!(error.to_string().contains("offers no encrypted connections"), "{error}");
    assert!(!whole_text(&error).contains("hunter2"));
    assert_eq!(String::from_utf8_lossy(&heard.join().unwrap()), "");
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Plain,
    Tls,
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_without_showing_it(
    #[case] engine: Engine,
    #[values(Way::Plain, Way::Tls)] way: Way,
) {
    const WRONG: &str = "hunter2-it-is-not";
    let Some(server) = held(engine) else { return };
    let right = match way {
        Way::Plain => server.admin_url(),
        Way::Tls => {
            with_tls(&server.admin_url(), &place(&server, "localhost"), server.ca_path().unwrap())
        }
    };
    ask(&right).await.unwrap();
    let password = server.password();
    let urls = [
        right.replace(password, WRONG),
        // Another user, to whom the right password is a wrong one.
        right.replace(&format!("{}:", server.user()), "somebody:"),
        right.replace(password, WRONG).replace(&format!("{}:", server.user()), "somebody:"),
    ];
    for url in urls {
        let error = ask(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error:?}");
        let text = whole_text(&error);
        println!("{error}: {}", error.source().unwrap());
        assert!(text.contains("***"), "{text}");
        assert!(!text.contains(password) && !text.contains(WRONG), "{text}");
    }
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn no_password_is_told_as_a_wrong_one(#[case] engine: Engine) {
    let Some(server) = held(engine) else { return };
    let without = server.admin_url().replace(&format!(":{}@", server.password()), "@");
    let database: Database<Things> =
        Database::new(DatabaseUrl::parse(&without).unwrap(), Options::default());
    let error = database.run("ask", soon(), encryption).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error:?}");
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_cannot_be_read_are_told_by_their_path(#[case] engine: Engine) {
    let Some(server) = held(engine) else { return };
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for path in [empty, directory.path().join("none.pem")] {
        let error = ask(&with_tls(&server.admin_url(), &place(&server, "localhost"), &path))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(!whole_text(&error).contains(server.password()));
    }
}
