//! The databases of a plane for development: files in one directory, or databases on servers.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use cellzero::{DatabaseUrl, Deadline, create_database};

use crate::commands::dev::made::{Made, MadeDatabase};
use crate::exit::Exit;
use crate::failure::{Exits as _, ended};

/// How long the creation of one database may take.
const CREATE_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest name that leaves room for a suffix: PostgreSQL takes 63 bytes.
const NAME_LENGTH_MAX: usize = 48;

/// The databases, made: `api`, `cell0`, and those of the live cells.
pub(in crate::commands::dev) struct Databases {
    made: Made,
    /// Those that this run has made.
    new: Vec<String>,
    urls: Vec<(String, DatabaseUrl)>,
}

impl Databases {
    /// Makes those that are missing, and writes each down as soon as it is made: after a crash in
    /// between one is left behind, but none is dropped later that was not made here.
    pub(super) async fn make(
        directory: &Path,
        made: Made,
        cells: u32,
    ) -> anyhow::Result<Databases> {
        let servers = made.servers.iter().map(|url| DatabaseUrl::parse(url));
        let servers: Vec<DatabaseUrl> = servers.collect::<Result<_, _>>()?;
        if let Some(file) = servers.iter().find(|url| url.path().is_some()) {
            let message = format!(
                "--database takes the URL of a server, such as postgres://host/dev, and not {file}; \
                 SQLite files go to --dir"
            );
            return Err(ended(Exit::Refused, message));
        }
        let earlier = made.databases.iter().map(|database| database.name.clone());
        let mut names: Vec<String> = ["api", "cell0"].map(str::to_owned).to_vec();
        names.extend((1..=cells).map(|number| format!("cell{number}")));
        // Fewer cells than before: the others stay.
        names.extend(earlier.filter(|name| !names.contains(name)).collect::<Vec<_>>());
        let mut databases = Databases { made, new: Vec::new(), urls: Vec::new() };
        for name in names {
            let url = match databases.made.find(&name) {
                Some(earlier) => earlier.url()?,
                None => databases.make_one(directory, &servers, &name).await?,
            };
            databases.urls.push((name, url));
        }
        Ok(databases)
    }

    async fn make_one(
        &mut self,
        directory: &Path,
        servers: &[DatabaseUrl],
        name: &str,
    ) -> anyhow::Result<DatabaseUrl> {
        let url = place(directory, servers, name)?;
        let made = match url.path() {
            Some(path) => !path.exists(),
            None => create_database(&url, Deadline::after(CREATE_TIMEOUT))
                .await
                .with_context(|| format!("the database {url} could not be created"))?,
        };
        let url_text = url.reveal().to_owned();
        self.made.databases.push(MadeDatabase { name: name.to_owned(), url: url_text, made });
        self.made.write(directory)?;
        if made {
            self.new.push(name.to_owned());
        }
        Ok(url)
    }

    /// The URL of a database.
    pub(super) fn url(&self, name: &str) -> &DatabaseUrl {
        let found = self.urls.iter().find(|(known, _)| known == name);
        let Some((_, url)) = found else { panic!("{name} was made") };
        url
    }

    /// The same as the configuration names it: a file by its name beside the configuration.
    pub(super) fn setting(&self, name: &str) -> String {
        let url = self.url(name);
        let file = url.path().and_then(Path::file_name).map(|file| file.to_string_lossy());
        file.map_or_else(|| url.reveal().to_owned(), |file| file.into_owned())
    }

    /// Where a database is, for people.
    pub(super) fn shown(&self, name: &str) -> String {
        let url = self.url(name);
        url.path().map_or_else(|| url.to_string(), |path| path.display().to_string())
    }

    /// Whether this run has made it.
    pub(super) fn is_new(&self, name: &str) -> bool {
        self.new.iter().any(|new| new == name)
    }

    /// The names of the live cells.
    pub(super) fn cells(&self) -> impl Iterator<Item = &str> {
        let names = self.urls.iter().map(|(name, _)| name.as_str());
        names.filter(|name| !["api", "cell0"].contains(name))
    }
}

/// Where a database goes.
fn place(directory: &Path, servers: &[DatabaseUrl], name: &str) -> anyhow::Result<DatabaseUrl> {
    let Some(first) = servers.first() else {
        return Ok(DatabaseUrl::sqlite(directory.join(format!("{name}.db")))?);
    };
    let number: Option<usize> = name.strip_prefix("cell").and_then(|number| number.parse().ok());
    let server = match number {
        Some(number) if number > 0 => &servers[(number - 1) % servers.len()],
        _ => first,
    };
    let main = server.database_name().unwrap_or("dev");
    if main.len() > NAME_LENGTH_MAX {
        let message = format!("the database name {main:?} is longer than {NAME_LENGTH_MAX} bytes");
        return Err(ended(Exit::Refused, message));
    }
    let url = server.with_database(&format!("{main}_{name}"));
    DatabaseUrl::parse(url.reveal()).exits(Exit::Refused)
}
