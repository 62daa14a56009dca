//! Where the servers' programs are: in `PATH`, and where Debian hides them from it.

use std::path::{Path, PathBuf};

/// Folders outside many users' `PATH` in which distributions install servers.
const SERVER_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/libexec"];
/// Debian keeps PostgreSQL's programs in one folder for each major version, outside `PATH`.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// Debian keeps RabbitMQ's own scripts here.
const DEBIAN_RABBITMQ: &str = "/usr/lib/rabbitmq/bin";

/// The two programs that make and run a PostgreSQL server.
#[derive(Debug)]
pub(crate) struct PostgresBinaries {
    pub(crate) initdb: PathBuf,
    pub(crate) server: PathBuf,
}

/// The two programs that make and run a MariaDB server.
#[derive(Debug)]
pub(crate) struct MariaDbBinaries {
    pub(crate) install_db: PathBuf,
    pub(crate) server: PathBuf,
}

/// Finds PostgreSQL, or says which program is missing.
pub(crate) fn postgres() -> Result<PostgresBinaries, String> {
    let initdb = in_path("initdb")
        .or_else(newest_debian_initdb)
        .ok_or_else(|| "no `initdb` found".to_owned())?;
    // Taken from the same folder: an `initdb` of one version and a server of another do not fit.
    let real = initdb.canonicalize().unwrap_or_else(|_| initdb.clone());
    let server = real.with_file_name("postgres");
    if is_program(&server) {
        Ok(PostgresBinaries { initdb: real, server })
    } else {
        Err(format!("no `postgres` beside {}", real.display()))
    }
}

/// Finds MariaDB, or says which program is missing.
pub(crate) fn mariadb() -> Result<MariaDbBinaries, String> {
    let find = |name: &str| {
        in_path(name)
            .or_else(|| in_folders(SERVER_FOLDERS.iter().map(Path::new), name))
            .ok_or_else(|| format!("no `{name}` found"))
    };
    Ok(MariaDbBinaries { server: find("mariadbd")?, install_db: find("mariadb-install-db")? })
}

/// The programs that run a RabbitMQ server, and its port mapper.
#[derive(Debug)]
pub(crate) struct RabbitMqBinaries {
    pub(crate) server: PathBuf,
    pub(crate) epmd: PathBuf,
}

/// Finds RabbitMQ, or says which program is missing.
pub(crate) fn rabbitmq() -> Result<RabbitMqBinaries, String> {
    let missing = |name: &str| format!("no `{name}` found");
    // What Debian has in `PATH` runs as the user of the system's own server only.
    let server = in_folders([Path::new(DEBIAN_RABBITMQ)].into_iter(), "rabbitmq-server")
        .or_else(|| in_path("rabbitmq-server").filter(|path| !path.starts_with("/usr/sbin")))
        .ok_or_else(|| missing("rabbitmq-server"))?;
    let epmd = in_path("epmd").ok_or_else(|| missing("epmd"))?;
    Ok(RabbitMqBinaries { server, epmd })
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    in_folders(folders.iter().map(PathBuf::as_path), name)
}

fn in_folders<'a>(folders: impl Iterator<Item = &'a Path>, name: &str) -> Option<PathBuf> {
    folders.map(|folder| folder.join(name)).find(|program| is_program(program))
}

fn newest_debian_initdb() -> Option<PathBuf> {
    let versions = std::fs::read_dir(DEBIAN_POSTGRES).ok()?;
    versions
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version: u32 = folder.file_name()?.to_str()?.parse().ok()?;
            let initdb = folder.join("bin/initdb");
            is_program(&initdb).then_some((version, initdb))
        })
        .max()
        .map(|(_, initdb)| initdb)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
