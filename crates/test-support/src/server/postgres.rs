//! How a PostgreSQL server is made and run.

use std::path::Path;
use std::process::Command;

use super::TEST_USER;
use super::account::Account;
use super::private::{DATA_FOLDER, Durability, Recipe, run_installer};
use super::supervisor::EndSignals;
use super::tls::{TlsFiles, write_private};
use crate::binaries;

/// The recipe of a server that lives in `home`.
pub(crate) fn recipe(
    home: &Path,
    durability: Durability,
    tls: &TlsFiles,
) -> anyhow::Result<Recipe> {
    let binaries = binaries::postgres().map_err(anyhow::Error::msg)?;
    // A killed process may leave half a page behind, and loses what it had not written to a file.
    let (survives_kill, synced) = match durability {
        Durability::Relaxed => ("off", "off"),
        Durability::Process => ("on", "off"),
        Durability::Full => ("on", "on"),
    };
    let mut server = Command::new(binaries.server);
    server.arg("-D").arg(home.join(DATA_FOLDER));
    server.args([
        format!("--ssl_cert_file={}", tls.certificate.display()),
        format!("--ssl_key_file={}", tls.key.display()),
        format!("--fsync={synced}"),
        format!("--full_page_writes={survives_kill}"),
        format!("--synchronous_commit={survives_kill}"),
    ]);
    server.args([
        "--dynamic_shared_memory_type=mmap",
        "--lc_messages=C",
        "--listen_addresses=127.0.0.1",
        "--log_destination=stderr",
        "--log_timezone=UTC",
        "--logging_collector=off",
        "--max_connections=500",
        "--max_wal_senders=0",
        "--shared_buffers=128MB",
        "--ssl=on",
        "--timezone=UTC",
        "--unix_socket_directories=",
        "--wal_level=minimal",
    ]);
    Ok(Recipe {
        account: Account::for_postgres()?,
        // Even where the data is thrown away, the server itself must end: only it removes its
        // System V memory segment. `QUIT` is its way to end at once.
        signals: EndSignals { stop: "INT", discard: "QUIT" },
        server,
    })
}

/// Makes the data folder, with `password` for the one user.
pub(crate) fn install(home: &Path, account: Option<Account>, password: &str) -> anyhow::Result<()> {
    let binaries = binaries::postgres().map_err(anyhow::Error::msg)?;
    let password_file = home.join("password");
    write_private(&password_file, password)?;
    if let Some(account) = account {
        account.own(&password_file)?;
    }
    let mut initdb = Command::new(binaries.initdb);
    initdb.arg("-D").arg(home.join(DATA_FOLDER)).arg("--pwfile").arg(&password_file).args([
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
        "--username",
        TEST_USER,
    ]);
    run_installer(initdb, home, account)
}
