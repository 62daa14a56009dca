//! A server never outlives the process that started it, however that process ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cellzero_test_support::Engine;
use rstest::rstest;

/// Another process with a server of its own.
struct Holder {
    process: Child,
    home: String,
    pid: String,
}

impl Holder {
    fn start(engine: Engine) -> Self {
        // A job in the background of a script inherits that it ignores an interrupt.
        let mut process = Command::new("env")
            .args(["--default-signal=INT", env!("CARGO_BIN_EXE_throwaway-server"), engine.name()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut value = |name: &str| {
            let line = lines.next().unwrap().unwrap();
            line.strip_prefix(name).unwrap().trim().to_owned()
        };
        let _url = value("url");
        let home = value("home");
        let pid = value("pid");
        Self { process, home, pid }
    }

    fn server_is_gone(&self) -> bool {
        !Path::new(&self.home).exists() && !Path::new("/proc").join(&self.pid).exists()
    }
}

#[rstest]
fn a_server_and_its_folder_go_away_when_their_process_is_killed(
    #[values("postgres", "mariadb")] engine: &str,
    #[values("KILL", "TERM", "INT")] signal: &str,
) {
    let engine = Engine::ALL.into_iter().find(|known| known.name() == engine).unwrap();
    if engine.missing_binary().is_some() {
        return;
    }
    let mut holder = Holder::start(engine);
    assert!(!holder.server_is_gone());
    let pid = holder.process.id().to_string();
    assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    holder.process.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holder.server_is_gone() {
        assert!(Instant::now() < deadline, "{} is still there after 10 s", holder.home);
        std::thread::sleep(Duration::from_millis(10));
    }
}
