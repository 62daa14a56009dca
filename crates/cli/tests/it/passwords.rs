//! No password reaches anything that is printed: not results, not JSON, not errors, not debug logs.
//!
//! A secret stands in every URL: of the API database, of cell0, of the cells, and of their message
//! queues. Each command is run in each way of printing, on a plane that works and on planes that
//! fail in each way. What is printed does not depend on the engine but for what its driver says, so
//! the ways and the failures are spread over the engines.

use std::collections::BTreeSet;
use std::process::Stdio;

use cellzero_test_support::Engine;
use rstest::rstest;

use crate::support::{Cellzero, IMAGE, NOWHERE, Ran, TestPlane};

/// A message queue that nobody answers for, with a password of its own.
const QUEUE: &str = "rabbit://nova:tr4nsp0rt@127.0.0.1:1/";

/// A Keystone that nobody answers for, likewise.
const KEYSTONE: &str = "http://nova:s3cret@127.0.0.1:1/identity";

/// Each command at least once; a test holds that none is missing. What it does is not looked at, and
/// some fail: errors are listened to as well.
const RUNS: &[&[&str]] = &[
    &["instance", "list"],
    &["instance", "list", "--sort", "host"],
    &["instance", "boot", "more", "--flavor", "small", "--image", IMAGE],
    &["instance", "boot", "more", "--flavor", "none", "--image", IMAGE],
    &["instance", "show", "web"],
    &["instance", "why", "giant"],
    &["instance", "why", "web"],
    &["instance", "retry", "giant"],
    &["instance", "delete", "more"],
    &["instance", "map", "--cell", "cell1"],
    &["instance", "verify", "--uuid", "8a0ee18f-cefc-48f2-bc87-354e9d164617"],
    &["cell", "list"],
    &["cell", "show", "cell1"],
    &["cell", "map-cell0"],
    &["cell", "map-cell0", "--database-connection", NOWHERE],
    &["cell", "create", "--name", "n", "--database-connection", NOWHERE, "--transport-url", QUEUE],
    &["cell", "setup", "--database-connection", NOWHERE, "--transport-url", QUEUE],
    &["cell", "update", "cell1", "--transport-url", QUEUE],
    &["cell", "update", "cell1", "--database-connection", NOWHERE],
    &["cell", "update", "cell1", "--lost", "--database-connection", NOWHERE],
    &["cell", "disable", "cell1"],
    &["cell", "enable", "cell1"],
    &["cell", "delete", "cell1"],
    &["db", "sync"],
    &["db", "sync", "--check"],
    &["db", "sync", "--plane-of", NOWHERE],
    &["db", "version"],
    &["db", "archive", "--until-complete"],
    &["db", "purge", "--all"],
    &["status", "check"],
    &["host", "discover"],
    &["host", "list"],
    &["host", "disable", "cell1-host1", "--reason", "noise"],
    &["host", "enable", "cell1-host1"],
    &["host", "delete", "--cell", "cell1", "--host", "cell1-host1"],
    &["flavor", "create", "f", "--vcpus", "1", "--ram", "1", "--disk", "1"],
    &["flavor", "list"],
    &["flavor", "show", "1"],
    &["flavor", "delete", "f"],
    &["aggregate", "create", "a", "--zone", "az1"],
    &["aggregate", "add-host", "a", "cell1-host1"],
    &["aggregate", "set", "a", "--property", "ssd=true"],
    &["aggregate", "list"],
    &["aggregate", "show", "a"],
    &["aggregate", "remove-host", "a", "cell1-host1"],
    &["aggregate", "delete", "a"],
    &["quota", "set", "p", "--instances", "10"],
    &["quota", "show", "p"],
    &["cell0", "report"],
    &["fsck"],
    &["fsck", "--repair"],
    &["recover", "--all"],
    // No address of this machine: it fails, where it would run for ever.
    &["worker", "--metrics", "192.0.2.1:9"],
    &["worker", "--notify", "kafka://nova:tr4nsp0rt@127.0.0.1:1/"],
    &["serve", "--listen", "192.0.2.1:9", "--auth", "token", "--token", "s3cret"],
    &["serve", "--listen", "192.0.2.1:9", "--auth", "keystone", "--keystone", KEYSTONE],
    &[
        "serve",
        "--listen",
        "192.0.2.1:9",
        "--auth",
        "keystone",
        "--keystone",
        KEYSTONE,
        "--keystone-password",
        "s3cret",
    ],
    &["dev", "up", "--dir", "other", "--database", NOWHERE],
    &["dev", "down", "--dir", "other", "--yes"],
    &["completions", "bash"],
];

/// Ways of printing. A run that is not verbose prints nothing that a verbose one does not.
const WAYS: [&[&str]; 2] = [&["--verbose"], &["--json", "--verbose"]];

/// What does not work.
#[derive(Clone, Copy)]
enum Broken {
    Nothing,
    /// The second cell.
    Cell,
    Cell0,
}

/// Everything that was printed, and what must not be in it.
struct Heard {
    secrets: Vec<String>,
    runs: usize,
}

impl Heard {
    #[track_caller]
    fn check(&mut self, what: &str, ran: &Ran) {
        self.runs += 1;
        for secret in &self.secrets {
            for text in [&ran.stdout, &ran.stderr] {
                assert!(!text.contains(secret.as_str()), "{what} prints {secret}:\n{text}");
            }
        }
    }
}

/// The passwords of a URL, as it holds them and decoded.
fn secrets_of(url: &str) -> Vec<String> {
    let login = url.split_once("://").and_then(|(_, rest)| rest.split_once('@'));
    let password = login.and_then(|(login, _)| login.split_once(':')).map(|(_, password)| password);
    let Some(password) = password else { return Vec::new() };
    let decoded =
        url::form_urlencoded::parse(format!("x={}", password.replace('+', "%2B")).as_bytes())
            .next()
            .map(|(_, value)| value.into_owned());
    std::iter::once(password.to_owned()).chain(decoded).filter(|secret| secret.len() > 3).collect()
}

/// Runs a command; one that goes on for ever is not among them.
fn run(cellzero: &Cellzero, environment: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = cellzero.command(args);
    command.envs(environment.iter().copied()).stdin(Stdio::null());
    Ran::of(&command.output().expect("the binary runs"))
}

#[rstest]
fn no_password_is_printed_whatever_is_asked_and_whatever_fails(
    #[values(Engine::Sqlite, Engine::Postgres, Engine::MariaDb)] engine: Engine,
) {
    let Some(test) = TestPlane::new(engine, 2) else { return };
    test.api
        .execute(&format!("UPDATE cell_mappings SET transport_url = '{QUEUE}'"))
        .expect("an update");
    let mut heard = Heard { secrets: vec!["tr4nsp0rt".into(), "s3cret".into()], runs: 0 };
    heard.secrets.extend(secrets_of(test.api.url()));
    assert_eq!(heard.secrets.len() > 2, engine != Engine::Sqlite, "a server has a password");
    test.boot("web", "small", &[]);
    test.boot("giant", "huge", &[]);

    let [plain, json] = WAYS;
    let rounds = match engine {
        Engine::Sqlite => [(Broken::Nothing, plain), (Broken::Nothing, json)],
        Engine::Postgres => [(Broken::Cell, plain), (Broken::Cell0, json)],
        Engine::MariaDb => [(Broken::Cell, json), (Broken::Cell0, plain)],
    };
    // What refuses connections says so in the words of this engine's driver.
    let nowhere = match engine {
        Engine::MariaDb => NOWHERE.replace("postgres://", "mysql://"),
        Engine::Sqlite | Engine::Postgres => NOWHERE.to_owned(),
    };
    for (broken, way) in rounds {
        match broken {
            Broken::Nothing => {}
            Broken::Cell => test.point(Some(test.cells[1].0), &nowhere),
            Broken::Cell0 => test.point(None, &nowhere),
        }
        for args in RUNS {
            let args = [args, way, &["--timeout", "2"]].concat();
            heard.check(&args.join(" "), &run(&test.cellzero, &[], &args));
        }
    }
    fail_to_connect(engine, &test, &mut heard);
    assert!(heard.runs > 2 * RUNS.len(), "{} runs", heard.runs);
}

/// An API database that cannot be used, in each way of saying where it is.
fn fail_to_connect(engine: Engine, test: &TestPlane, heard: &mut Heard) {
    let url = test.api.url();
    let wrong_password = match secrets_of(url).first() {
        Some(password) => url.replace(password.as_str(), "s3cret"),
        None => "mysql://nova:s3cret@localhost:1/nova".to_owned(),
    };
    // The others are refused before a server is asked.
    let unusable = [
        &wrong_password,
        NOWHERE,
        "postgres://nova:s3cret@no-such-host.invalid/nova",
        "postgres://nova:s3cret@127.0.0.1:port/nova",
        "postgres://nova:s3cret@127.0.0.1",
        "oracle://nova:s3cret@127.0.0.1/nova",
        "postgres://nova:s3c@ret:s3cret@127.0.0.1:1/nova?password=s3cret",
        "nova:s3cret@127.0.0.1/nova",
    ];
    let unusable = if engine == Engine::Sqlite { &unusable[..] } else { &unusable[..1] };
    for (url, way) in unusable.iter().copied().zip(WAYS.into_iter().cycle()) {
        let of_file = test.cellzero.write("c.toml", &format!("api_database = {url:?}\n"));
        let of_file = of_file.to_str().expect("UTF-8");
        let list = [&["instance", "list", "--timeout", "2"][..], way].concat();
        let by_flag = [&list[..], &["--api-database", url]].concat();
        let by_file = [&list[..], &["--config", of_file]].concat();
        let mut of_file = test.cellzero.command(&by_file);
        let of_file = of_file.env_remove("CELLZERO_API_DATABASE").output();
        let dev_up = [&["dev", "up", "--dir", "x", "--database", url], way].concat();
        let runs = [
            run(&test.cellzero, &[], &by_flag),
            run(&test.cellzero, &[("CELLZERO_API_DATABASE", url)], &list),
            Ran::of(&of_file.expect("the binary runs")),
            run(&test.cellzero, &[("CELLZERO_BASE_DATABASE", url)], &list),
            run(&test.cellzero, &[("CELLZERO_CELL0_DATABASE", url)], &list),
            run(&test.cellzero, &[], &dev_up),
            run(&test.cellzero, &[], &[&["instance", "list", url], way].concat()),
        ];
        for ran in runs {
            heard.check(url, &ran);
        }
    }
}

#[test]
fn every_command_is_among_those_that_are_listened_to() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
    let page = std::fs::read_to_string(path).expect("docs/commands.md");
    let mut commands = BTreeSet::new();
    for section in page.split("\n## ").skip(1) {
        let name = section.lines().next().expect("a title");
        if section.contains("\nExit codes:\n") {
            commands.insert(name.strip_prefix("cellzero ").expect("a command").to_owned());
        }
    }
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        assert!(RUNS.iter().any(|run| run.starts_with(&words)), "{command} is not listened to");
    }
}
