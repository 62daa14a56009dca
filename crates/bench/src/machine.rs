//! The machine and the servers that figures are from.

use cellzero_test_support::{Engine, create_database};

/// One line for people.
pub(crate) fn describe(engines: &[Engine]) -> String {
    let cpu = line("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = line("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes.div_ceil(1_048_576));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let servers: Vec<String> = engines.iter().filter_map(|engine| version(*engine)).collect();
    format!(
        "{cpu}, {cores} cores, {memory} GB, Linux {}; {}. Clients and servers share the machine.",
        kernel.trim(),
        servers.join(", ")
    )
}

fn line(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn version(engine: Engine) -> Option<String> {
    let (name, ask) = match engine {
        Engine::Sqlite => ("SQLite", "SELECT sqlite_version()"),
        Engine::Postgres => ("PostgreSQL", "SHOW server_version"),
        Engine::MariaDb => ("MariaDB", "SELECT VERSION()"),
    };
    let database = create_database(engine, "version")?;
    let rows = database.query(ask).ok()?;
    Some(format!("{name} {}", rows.into_iter().flatten().flatten().next()?))
}
