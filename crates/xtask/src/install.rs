//! Installs the database servers, the message broker, what makes Python environments and a browser by
//! the system's package manager where their programs are missing.
//!
//! Only their programs are wanted: the packages' own services are kept from starting, and no test
//! ever speaks to them.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use cellzero_test_support::{Engine, missing_broker};

/// Installs the Debian packages in `$@` with their services kept from starting.
///
/// Debian's packages ask `policy-rc.d` before they start a service; 101 means no. The file is taken
/// away again whatever happens, and one that the machine's owner put there is left as it is.
const INSTALL_SCRIPT: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update || echo "apt-get update failed; trying with the package lists as they are" >&2
apt-get install -y --no-install-recommends "$@"
"#;

/// A server whose programs are missing.
struct Missing {
    name: &'static str,
    package: &'static str,
    reason: String,
}

/// Makes sure that private servers of all engines and brokers can be started, or says what to install.
pub(crate) fn install_missing_servers() -> anyhow::Result<()> {
    let missing = missing_servers();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|one| one.package).collect();
    let reasons: Vec<String> =
        missing.iter().map(|one| format!("{}: {}", one.name, one.reason)).collect();
    println!("installing {} ({})", packages.join(" "), reasons.join(", "));
    install(&packages).with_context(|| {
        format!(
            "the tests need the programs of PostgreSQL, MariaDB, RabbitMQ, Python and Chromium ({}), and installing \
             them failed; install them by hand (on Debian: {}) and run again",
            reasons.join(", "),
            packages.join(" "),
        )
    })?;
    match missing_servers().first() {
        None => Ok(()),
        Some(Missing { name, package, reason }) => {
            bail!("the package {package} is installed and {name} still cannot be started: {reason}")
        }
    }
}

fn missing_servers() -> Vec<Missing> {
    let engines = Engine::ALL.into_iter().filter_map(|engine| {
        let (name, package) = (engine.name(), debian_package(engine));
        Some(Missing { name, package, reason: engine.missing_binary()? })
    });
    let broker = missing_broker();
    let broker =
        broker.map(|reason| Missing { name: "rabbitmq", package: "rabbitmq-server", reason });
    let python = missing_python();
    let python = python.map(|reason| Missing { name: "python", package: "python3-venv", reason });
    let browser = [("chromium", "chromium"), ("chromedriver", "chromium-driver")];
    let browser = browser.into_iter().filter_map(|(name, package)| {
        Some(Missing { name, package, reason: missing_program(name)? })
    });
    engines.chain(broker).chain(python).chain(browser).collect()
}

/// Why a program of the browser, which the page of the compute API is tested in, does not run.
fn missing_program(name: &str) -> Option<String> {
    let mut asked = Command::new(name);
    asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    match asked.status() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("{name} --version ended with {status}")),
        Err(error) => Some(format!("{name} does not run: {error}")),
    }
}

/// Why no Python environment can be made, which the clients of the compute API are installed into.
fn missing_python() -> Option<String> {
    let mut asked = Command::new("python3");
    asked.args(["-c", "import ensurepip, venv"]).stdout(Stdio::null()).stderr(Stdio::null());
    match asked.status() {
        Ok(status) if status.success() => None,
        Ok(_) => Some("python3 has no venv".to_owned()),
        Err(error) => Some(format!("python3 does not run: {error}")),
    }
}

fn debian_package(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "sqlite3",
        Engine::Postgres => "postgresql",
        Engine::MariaDb => "mariadb-server",
    }
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    if !["/usr/bin/apt-get", "/bin/apt-get"].iter().any(|path| Path::new(path).exists()) {
        bail!("this system has no `apt-get`");
    }
    let mut command = if is_root()? {
        Command::new("sh")
    } else {
        // `-n`: a password prompt would wait for ever where nobody sits at the terminal.
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "sh"]);
        sudo
    };
    command.args(["-c", INSTALL_SCRIPT, "sh"]).args(packages).stdin(Stdio::null());
    let status = command.status().context("cannot run the package manager (is `sudo` missing?)")?;
    if !status.success() {
        bail!("the package manager ended with {status}");
    }
    Ok(())
}

fn is_root() -> anyhow::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    // The owner of this process's own folder in /proc is its effective user.
    let owner = std::fs::metadata("/proc/self").context("cannot read /proc/self")?.uid();
    Ok(owner == 0)
}
