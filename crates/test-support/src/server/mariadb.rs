//! How a MariaDB server is made and run.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use super::TEST_USER;
use super::private::{DATA_FOLDER, Durability, Recipe, run_installer};
use super::supervisor::EndSignals;
use super::tls::{TlsFiles, write_private};
use crate::binaries;

/// The statements that a server runs when it starts, kept in its folder.
const INIT_FILE: &str = "init.sql";

/// Where a server keeps its temporary tables. In a folder shared with other servers, each one that
/// starts there removes those of all others.
const TEMPORARY_FOLDER: &str = "tmp";

/// The recipe of a server that lives in `home`.
pub(crate) fn recipe(
    home: &Path,
    durability: Durability,
    tls: &TlsFiles,
) -> anyhow::Result<Recipe> {
    let binaries = binaries::mariadb().map_err(anyhow::Error::msg)?;
    let flush = match durability {
        Durability::Relaxed => "0",
        // Written to the log at each commit, and left to the system to bring to the disk.
        Durability::Process => "2",
        Durability::Full => "1",
    };
    let mut server = Command::new(binaries.server);
    // Must come first: the machine's own configuration says nothing about these servers.
    server.arg("--no-defaults");
    let option = |name: &str, value: &Path| format!("--{name}={}", value.display());
    server.args([
        option("datadir", &home.join(DATA_FOLDER)),
        option("tmpdir", &home.join(TEMPORARY_FOLDER)),
        option("socket", &home.join("socket")),
        option("pid-file", &home.join("mariadbd.pid")),
        option("init-file", &home.join(INIT_FILE)),
        option("ssl-ca", &tls.ca),
        option("ssl-cert", &tls.certificate),
        option("ssl-key", &tls.key),
        format!("--innodb-flush-log-at-trx-commit={flush}"),
    ]);
    server.args([
        "--bind-address=127.0.0.1",
        "--character-set-server=utf8mb4",
        "--collation-server=utf8mb4_general_ci",
        "--default-time-zone=+00:00",
        "--innodb-buffer-pool-size=128M",
        "--innodb-log-file-size=48M",
        "--lc-messages=en_US",
        "--max-connections=500",
        "--performance-schema=OFF",
        "--skip-log-bin",
        "--skip-name-resolve",
    ]);
    if rustix::process::geteuid().is_root() {
        server.arg("--user=root");
    }
    Ok(Recipe {
        account: None,
        // Killed outright: unlike PostgreSQL it leaves nothing behind but its folder.
        signals: EndSignals { stop: "TERM", discard: "KILL" },
        server,
    })
}

/// Makes the data folder, and the user with `password` at the first start.
pub(crate) fn install(home: &Path, password: &str) -> anyhow::Result<()> {
    let binaries = binaries::mariadb().map_err(anyhow::Error::msg)?;
    let temporary = home.join(TEMPORARY_FOLDER);
    std::fs::create_dir_all(&temporary)
        .with_context(|| format!("cannot make {}", temporary.display()))?;
    let mut installer = Command::new(binaries.install_db);
    installer.arg("--no-defaults").arg(format!("--datadir={}", home.join(DATA_FOLDER).display()));
    installer.arg(format!("--tmpdir={}", temporary.display()));
    installer.args([
        "--auth-root-authentication-method=normal",
        "--innodb-log-file-size=48M",
        "--skip-name-resolve",
        "--skip-test-db",
    ]);
    if rustix::process::geteuid().is_root() {
        installer.arg("--user=root");
    }
    run_installer(installer, home, None)?;
    // The accounts without a password that the installer makes must not be reachable by anyone
    // else on this machine. One statement a line, as an init file wants it.
    let statements = format!(
        "CREATE USER IF NOT EXISTS '{TEST_USER}'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('{password}');\n\
         GRANT ALL PRIVILEGES ON *.* TO '{TEST_USER}'@'%' WITH GRANT OPTION;\n\
         DELETE FROM mysql.global_priv WHERE User NOT IN ('{TEST_USER}', 'mariadb.sys');\n\
         FLUSH PRIVILEGES;\n"
    );
    write_private(&home.join(INIT_FILE), &statements)
}
