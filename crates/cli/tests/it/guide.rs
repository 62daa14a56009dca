//! The deployment guide works as it is written, on servers of the test's own.

use std::process::Command;

use cellzero_test_support::{Durability, Engine, PrivateServer, ServerOptions};

use crate::support::Cellzero;

/// A fenced block: what stands behind the fence's language, and its lines.
struct Block {
    language: String,
    places: Vec<String>,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut parts = document.split("\n```");
    parts.next();
    while let (Some(block), _) = (parts.next(), parts.next()) {
        let (fence, text) = block.split_once('\n').expect("a block has lines");
        let mut words = fence.split_whitespace().map(str::to_owned);
        let language = words.next().unwrap_or_default();
        blocks.push(Block { language, places: words.collect(), text: text.to_owned() });
    }
    blocks
}

/// The servers that the guide calls `db1` and `db2`.
struct Site {
    postgres: PrivateServer,
    mariadb: PrivateServer,
}

impl Site {
    fn at(&self, server: &str) -> &PrivateServer {
        match server {
            "db1" => &self.postgres,
            "db2" => &self.mariadb,
            other => panic!("the guide has no server {other}"),
        }
    }

    /// The text with the addresses of the real servers.
    fn placed(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for name in ["db1", "db2"] {
            let server = self.at(name);
            let address = format!("@{}:{}/", server.host(), server.port());
            text = text.replace(&format!("@{name}/"), &address);
        }
        text
    }

    fn run_sql(&self, block: &Block) {
        let statements = block.text.split(";\n").filter(|text| !text.trim().is_empty());
        for statement in statements {
            for place in &block.places {
                let ran = match place.split_once('/') {
                    Some((server, database)) => self.at(server).query(database, statement),
                    None => self.at(place).admin_query(statement),
                };
                ran.unwrap_or_else(|e| panic!("{statement} on {place}: {e:#}"));
            }
        }
    }
}

#[test]
fn the_deployment_guide_works_as_it_is_written() {
    let start = |engine| {
        let options = ServerOptions::default().durability(Durability::Full);
        cellzero_test_support::private(engine, options)
    };
    let (Some(postgres), Some(mariadb)) = (start(Engine::Postgres), start(Engine::MariaDb)) else {
        return;
    };
    let site = Site { postgres, mariadb };
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/deployment.md");
    let guide = std::fs::read_to_string(path).expect("docs/deployment.md");
    let cellzero = Cellzero::new();
    let mut exports: Vec<(String, String)> = Vec::new();
    let mut ran = 0;
    for block in blocks(&guide) {
        match block.language.as_str() {
            "sql" => site.run_sql(&block),
            "console" => {
                for line in block.text.lines().filter(|line| !line.is_empty()) {
                    run_line(&cellzero, &site.placed(line), &mut exports);
                    ran += 1;
                }
            }
            other => panic!("nobody runs the block of {other}"),
        }
    }
    assert!(ran > 25, "{ran} lines");
}

/// One line of a shell: an export, a command of ours, or any other.
fn run_line(cellzero: &Cellzero, line: &str, exports: &mut Vec<(String, String)>) {
    if let Some(export) = line.strip_prefix("export ") {
        let (name, value) = export.split_once('=').expect("NAME=value");
        exports.retain(|(known, _)| known != name);
        exports.push((name.to_owned(), value.to_owned()));
        return;
    }
    let (command, code) = match line.split_once(" # ends with ") {
        Some((command, code)) => (command, code.parse().expect("a number")),
        None => (line, 0),
    };
    let mut process = match command.strip_prefix("cellzero ") {
        Some(args) => cellzero.command(&args.split_whitespace().collect::<Vec<_>>()),
        None => {
            let mut shell = Command::new("sh");
            shell.args(["-euc", command]).current_dir(cellzero.path());
            shell
        }
    };
    let output = process.envs(exports.iter().cloned()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{line}\n{printed}\n{said}");
    assert!(!printed.contains("-secret") && !said.contains("-secret"), "{line}\n{printed}\n{said}");
}
