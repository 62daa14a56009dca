//! Private servers: start, stop, pause, resume, kill, and who may log in.

use std::time::{Duration, Instant};

use cellzero_test_support::{
    Durability, Engine, PrivateServer, Server, ServerOptions, private, silent_listener,
};
use rstest::rstest;

fn answers(server: &PrivateServer) -> bool {
    server.admin_query("SELECT 1").is_ok_and(|rows| rows == [[Some("1".to_owned())]])
}

fn launch(engine: Engine) -> Option<PrivateServer> {
    private(engine, ServerOptions::default())
}

/// Waits in a thread of its own for an answer, so that a frozen server freezes no test.
fn answer_within(server: &PrivateServer, limit: Duration) -> Option<bool> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = Server::clone(server);
    std::thread::spawn(move || sender.send(address.admin_query("SELECT 1").is_ok()));
    receiver.recv_timeout(limit).ok()
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn a_stopped_server_starts_again_on_the_same_port_with_its_data(#[case] engine: Engine) {
    let Some(mut server) = launch(engine) else { return };
    let database = server.create_database("kept").unwrap();
    database.execute("CREATE TABLE t (n INT); INSERT INTO t VALUES (7)").unwrap();
    let (port, first_pid) = (server.port(), server.pid());

    server.stop().unwrap();
    assert_eq!(server.pid(), None);
    assert!(!answers(&server));
    assert_eq!(server.processes().unwrap(), Vec::<u32>::new());

    server.start().unwrap();
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), first_pid);
    assert_eq!(database.query("SELECT n FROM t").unwrap(), [[Some("7".to_owned())]]);
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn a_killed_server_recovers_what_was_committed(
    #[case] engine: Engine,
    #[values(Durability::Process, Durability::Full)] durability: Durability,
) {
    let options = ServerOptions::default().durability(durability);
    let Some(mut server) = private(engine, options) else { return };
    let database = server.create_database("killed").unwrap();
    database.execute("CREATE TABLE t (n INT); INSERT INTO t VALUES (7)").unwrap();

    server.kill().unwrap();
    assert!(!answers(&server));
    assert_eq!(server.processes().unwrap(), Vec::<u32>::new());

    server.start().unwrap();
    assert_eq!(database.query("SELECT n FROM t").unwrap(), [[Some("7".to_owned())]]);
}

/// There MariaDB maps its log, and loses acknowledged commits when it is killed.
#[rstest]
fn a_mariadb_that_keeps_what_it_acknowledged_does_not_live_in_memory(
    #[values(Durability::Process, Durability::Full)] durability: Durability,
) {
    let options = ServerOptions::default().durability(durability);
    let Some(server) = private(Engine::MariaDb, options) else { return };
    let folder = server.admin_query("SELECT @@datadir").unwrap();
    let folder = folder[0][0].clone().unwrap();
    assert!(!folder.starts_with("/dev/shm"), "{folder}");
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn a_paused_server_is_silent_until_it_is_resumed(#[case] engine: Engine) {
    let Some(server) = launch(engine) else { return };
    server.pause().unwrap();
    assert_eq!(answer_within(&server, Duration::from_millis(300)), None);
    server.resume().unwrap();
    assert_eq!(answer_within(&server, Duration::from_secs(20)), Some(true));
}

/// The connection is open before the pause: a PostgreSQL backend is a session of its own, which a
/// signal to the server's process group would miss.
#[rstest]
#[case::postgres(
    Engine::Postgres,
    "SELECT pg_sleep(0.7)",
    "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
)]
#[case::mariadb(
    Engine::MariaDb,
    "SELECT sleep(0.7)",
    "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT sleep%'"
)]
fn a_pause_freezes_a_statement_that_already_runs(
    #[case] engine: Engine,
    #[case] sleep: &'static str,
    #[case] is_asleep: &str,
) {
    let Some(server) = launch(engine) else { return };
    let (sender, receiver) = std::sync::mpsc::channel();
    let address = Server::clone(&server);
    std::thread::spawn(move || sender.send(address.admin_query(sleep).is_ok()));
    wait_until(|| !server.admin_query(is_asleep).unwrap().is_empty());
    server.pause().unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_millis(1500)).ok(), None);
    server.resume().unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(20)).ok(), Some(true));
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn a_paused_server_can_be_stopped_and_dropped(#[case] engine: Engine) {
    let Some(mut server) = launch(engine) else { return };
    server.pause().unwrap();
    server.stop().unwrap();
    assert_eq!(server.processes().unwrap(), Vec::<u32>::new());
    server.start().unwrap();
    server.pause().unwrap();
    let home = server.home().to_owned();
    let started = Instant::now();
    drop(server);
    assert!(!home.exists());
    assert!(started.elapsed() < Duration::from_secs(8), "took {:?}", started.elapsed());
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn a_wrong_password_and_an_unknown_user_are_refused(#[case] engine: Engine) {
    let Some(server) = launch(engine) else { return };
    for (user, password) in [(server.user(), "wrong"), (server.user(), ""), ("root", "")] {
        let url = server
            .admin_url()
            .replace(server.password(), password)
            .replace(&format!("{}:", server.user()), &format!("{user}:"));
        assert!(!login_works(engine, url), "{user} with {password:?} may log in");
    }
    assert!(login_works(engine, server.admin_url()));
}

fn login_works(engine: Engine, url: String) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match engine {
            Engine::Sqlite => true,
            Engine::Postgres => tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_ok(),
            Engine::MariaDb => {
                mysql_async::Conn::new(mysql_async::Opts::from_url(&url).unwrap()).await.is_ok()
            }
        }
    })
}

#[rstest]
#[case::postgres(Engine::Postgres, "SHOW ssl", "on")]
#[case::mariadb(Engine::MariaDb, "SELECT @@have_ssl", "YES")]
fn a_server_offers_tls_and_has_two_authorities_on_disk(
    #[case] engine: Engine,
    #[case] question: &str,
    #[case] yes: &str,
) {
    let Some(server) = launch(engine) else { return };
    assert_eq!(server.admin_query(question).unwrap(), [[Some(yes.to_owned())]]);
    for path in [server.ca_path(), server.untrusted_ca_path()] {
        let pem = std::fs::read_to_string(path.unwrap()).unwrap();
        assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    }
}

#[rstest]
#[case::postgres(Engine::Postgres)]
#[case::mariadb(Engine::MariaDb)]
fn a_server_takes_four_hundred_connections(#[case] engine: Engine) {
    let Some(server) = launch(engine) else { return };
    let question = match engine {
        Engine::Postgres => "SHOW max_connections",
        Engine::Sqlite | Engine::MariaDb => "SELECT @@max_connections",
    };
    let answer = server.admin_query(question).unwrap().remove(0).remove(0).unwrap();
    assert!(answer.parse::<u32>().unwrap() >= 400, "{answer}");
}

#[test]
fn a_silent_listener_accepts_says_nothing_and_sees_the_end() {
    let listener = silent_listener();
    let mut client = std::net::TcpStream::connect(("127.0.0.1", listener.port())).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let read = std::io::Read::read(&mut client, &mut [0; 1]);
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    wait_until(|| listener.accepted() == 1);
    assert_eq!(listener.open(), 1);
    drop(client);
    wait_until(|| listener.open() == 0);
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "the condition did not come true in 10 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}
