//! `dev down`.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use cellzero::{
    ApiDatabase, Backend, CellDatabase, DatabaseUrl, Deadline, ErrorKind, Options, PlaneUuid,
    drop_database,
};
use serde::Serialize;

use super::made::{Made, MadeDatabase};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::ended;
use crate::output::{Style, View};
use crate::session::Session;
use crate::settings::{self, DEVELOPMENT};

/// How long one database may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Removes exactly what `dev up` has made, after a question.
///
/// A database that stood before, or that belongs to another plane by now, stays and is named.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Down>())]
pub(crate) struct Down {
    /// The directory of the plane
    #[arg(long, value_name = "DIR", default_value = DEVELOPMENT)]
    dir: PathBuf,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

impl Run for Down {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero dev down", "asks, and removes ./cellzero-dev"),
        ("cellzero dev down --yes --dir /tmp/plane", "does not ask"),
    ];
    const EXITS: &'static [Exit] = &[Exit::NotDevelopment, Exit::Declined];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let Some(made) = Made::read(&self.dir)? else {
            let message = format!("{} holds nothing that dev up has made", self.dir.display());
            return Err(ended(Exit::NotDevelopment, message));
        };
        if !self.yes {
            self.ask(&made)?;
        }
        let plane = plane_of(&made).await?;
        let mut removed = Removed { directory: self.dir.clone(), ..Removed::default() };
        // The API database last: until then the plane's uuid is known, and this can be run again.
        for database in made.databases.iter().rev() {
            let url = database.url()?;
            match remove(database, &url, plane).await? {
                None => removed.removed.push(shown(&url)),
                Some(why) => removed.kept.push(Kept { what: shown(&url), why }),
            }
        }
        for file in [self.dir.join(settings::FILE), Made::path(&self.dir)] {
            remove_file(&file)?;
        }
        // What else stands there is not ours.
        let _ = std::fs::remove_dir(&self.dir);
        session.out.show(&removed)?;
        Ok(Exit::Success)
    }
}

impl Down {
    fn ask(&self, made: &Made) -> anyhow::Result<()> {
        let declined = |message: &str| Err(ended(Exit::Declined, message));
        if !std::io::stdin().is_terminal() {
            return declined("nothing was removed: there is nobody to ask; give --yes");
        }
        eprintln!("This removes the plane in {} with all its instances:", self.dir.display());
        for database in made.databases.iter().filter(|database| database.made) {
            eprintln!("  {}", shown(&database.url()?));
        }
        eprint!("Remove it? [y/N] ");
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => declined("nothing was removed"),
        }
    }
}

/// A database as people read it.
fn shown(url: &DatabaseUrl) -> String {
    url.path().map_or_else(|| url.to_string(), |path| path.display().to_string())
}

/// The plane that the API database belongs to; none where it is gone, or belongs to none.
async fn plane_of(made: &Made) -> anyhow::Result<Option<PlaneUuid>> {
    match made.find("api") {
        Some(api) => owner(api, &api.url()?).await,
        None => Ok(None),
    }
}

/// The plane that a database belongs to; none where it is gone, or belongs to none.
async fn owner(database: &MadeDatabase, url: &DatabaseUrl) -> anyhow::Result<Option<PlaneUuid>> {
    let options = Options { create: false, ..Options::default() };
    let deadline = Deadline::after(TIMEOUT);
    let read = match database.name.as_str() {
        "api" => {
            let api = ApiDatabase::new(url.clone(), options);
            let read = api.identity(deadline).await.map(|found| found.map(|id| id.plane));
            api.close().await;
            read
        }
        _ => {
            let cell = CellDatabase::new(url.clone(), options);
            let read = cell.identity(deadline).await.map(|found| found.map(|id| id.plane));
            cell.close().await;
            read
        }
    };
    match read {
        Ok(plane) => Ok(plane.map(PlaneUuid)),
        // It was made and never migrated, or is gone.
        Err(error) if error.kind() == ErrorKind::SchemaVersion => Ok(None),
        Err(error) if error.kind() == ErrorKind::Unreachable && is_gone(url) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{url} could not be looked at")),
    }
}

/// Whether a file is gone. Of a database on a server, the drop says it.
fn is_gone(url: &DatabaseUrl) -> bool {
    url.path().is_none_or(|path| !path.exists())
}

/// Removes a database, or says why it stays.
async fn remove(
    database: &MadeDatabase,
    url: &DatabaseUrl,
    plane: Option<PlaneUuid>,
) -> anyhow::Result<Option<&'static str>> {
    if !database.made {
        return Ok(Some("it stood before"));
    }
    if owner(database, url).await?.is_some_and(|owner| Some(owner) != plane) {
        return Ok(Some("it belongs to another plane"));
    }
    if url.backend() == Backend::Sqlite {
        let Some(path) = url.path() else { return Ok(None) };
        for suffix in ["-wal", "-shm", ""] {
            let mut file = path.as_os_str().to_owned();
            file.push(suffix);
            remove_file(Path::new(&file))?;
        }
        return Ok(None);
    }
    let dropped = drop_database(url, Deadline::after(TIMEOUT)).await;
    dropped.with_context(|| format!("{url} could not be dropped; is a worker running on it?"))?;
    Ok(None)
}

fn remove_file(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} could not be removed", path.display()))
        }
        _ => Ok(()),
    }
}

/// What is gone, and what stays.
#[derive(Debug, Default, Serialize)]
struct Removed {
    directory: PathBuf,
    removed: Vec<String>,
    kept: Vec<Kept>,
}

#[derive(Debug, Serialize)]
struct Kept {
    what: String,
    why: &'static str,
}

impl View for Removed {
    fn text(&self, _: Style) -> String {
        let mut text = String::new();
        text.extend(self.removed.iter().map(|what| format!("removed {what}\n")));
        text.extend(self.kept.iter().map(|kept| format!("kept {}: {}\n", kept.what, kept.why)));
        text
    }
}
