//! `dev up`.

mod databases;
mod plane;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use self::databases::Databases;
use self::plane::Booted;
use super::made::{Made, write_private};
use crate::command::{Run, help};
use crate::exit::Exit;
use crate::failure::ended;
use crate::output::{Style, View, lines, table};
use crate::progress::Progress;
use crate::session::Session;
use crate::settings::{self, DEVELOPMENT};

/// The image of boots in a plane for development; nothing is read from it.
const IMAGE: &str = "70a599e0-31e7-49b7-b260-868f441e862b";
/// The most live cells, so that a typing error does not fill a server.
const CELLS_MAX: i64 = 100;
/// The most hosts of a cell.
const HOSTS_MAX: i64 = 1_000;

/// Makes a plane to try things out: API database, cell0, live cells with simulated hosts, a first
/// instance, and one that does not fit.
///
/// Run again, it says what stands already and makes what is missing, such as more cells. Databases on
/// servers are created where they are missing; one that stands already is used if it is empty or this
/// plane's, and never dropped by `dev down`.
#[derive(Debug, clap::Args)]
#[command(after_help = help::<Up>())]
pub(crate) struct Up {
    /// How many live cells
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=CELLS_MAX))]
    cells: u32,

    /// How many simulated hosts in each cell
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=HOSTS_MAX))]
    hosts: u32,

    /// Where SQLite files and the configuration go
    #[arg(long, value_name = "DIR", default_value = DEVELOPMENT)]
    dir: PathBuf,

    /// Databases on this server instead of SQLite files, named after the URL's database; with
    /// several URLs the cells are spread over them, and the first has the API database and cell0
    #[arg(long, value_name = "URL")]
    database: Vec<String>,
}

impl Run for Up {
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("cellzero dev up", "two cells on SQLite files in ./cellzero-dev"),
        (
            "cellzero dev up --cells 3 --database postgres://me@localhost/dev --database mysql://me@localhost/dev",
            "dev_api, dev_cell0, dev_cell1 and dev_cell3 on PostgreSQL, dev_cell2 on MariaDB",
        ),
    ];
    const EXITS: &'static [Exit] = &[Exit::Refused];

    async fn run(self, session: &Session) -> anyhow::Result<Exit> {
        let progress = Progress::spinner("making the directory");
        std::fs::create_dir_all(&self.dir)
            .with_context(|| format!("{} cannot be made", self.dir.display()))?;
        let made = self.made()?;
        progress.say("making databases");
        let databases = Databases::make(&self.dir, made, self.cells).await?;
        self.write_config(&databases)?;
        progress.say("making cells and hosts");
        let timeout = session.settings_of_flags()?.timeout;
        let (plane, mut steps) = plane::open(&databases, timeout).await?;
        let plane = session.use_plane(plane);
        steps.extend(plane::fill(plane, &databases, self.hosts).await?);
        progress.say("booting");
        let instances = plane::boot(plane, timeout, IMAGE).await?;
        drop(progress);
        session.out.show(&self.result(steps, instances))?;
        Ok(Exit::Success)
    }
}

impl Up {
    /// What was made by an earlier run, which has to be on the same servers.
    fn made(&self) -> anyhow::Result<Made> {
        let made = Made::read(&self.dir)?;
        match made {
            None => Ok(Made { servers: self.database.clone(), databases: Vec::new() }),
            Some(made) if self.database.is_empty() || self.database == made.servers => Ok(made),
            Some(_) => {
                let message = format!(
                    "{} holds a plane on other databases; remove it first (cellzero dev down), or \
                     take another --dir",
                    self.dir.display()
                );
                Err(ended(Exit::Refused, message))
            }
        }
    }

    fn config(&self) -> PathBuf {
        self.dir.join(settings::FILE)
    }

    /// Settings with which every command finds the plane.
    fn write_config(&self, databases: &Databases) -> anyhow::Result<()> {
        let mut table = toml::Table::new();
        let mut set = |key: &str, value: toml::Value| table.insert(key.to_owned(), value);
        set("api_database", databases.setting("api").into());
        set("cell0_database", databases.setting("cell0").into());
        set("image", IMAGE.into());
        set("project", plane::PROJECT.into());
        set("simulated_compute", true.into());
        set("user", plane::USER.into());
        let text = format!("# Made by `cellzero dev up`, removed by `cellzero dev down`.\n{table}");
        write_private(&self.config(), &text)
    }

    fn result(&self, steps: Vec<Step>, instances: Vec<Booted>) -> Standing {
        let config = self.config();
        let flag = match is_found(&config) {
            true => String::new(),
            false => format!(" --config {}", config.display()),
        };
        let buried = instances.iter().find(|instance| instance.cell.as_deref() == Some("cell0"));
        let mut next = vec![format!("cellzero{flag} instance list")];
        next.extend(buried.map(|one| format!("cellzero{flag} instance why {}", one.name)));
        next.push(format!("cellzero{flag} cell0 report"));
        next.push(format!("cellzero{flag} instance boot more --flavor m1.small --count 3"));
        next.push(match self.dir == Path::new(DEVELOPMENT) {
            true => "cellzero dev down".to_owned(),
            false => format!("cellzero dev down --dir {}", self.dir.display()),
        });
        let warning = std::env::var_os("CELLZERO_API_DATABASE").map(|_| {
            "CELLZERO_API_DATABASE is set and is taken instead of this plane; unset it".to_owned()
        });
        Standing { directory: self.dir.clone(), config, steps, instances, next, warning }
    }
}

/// Whether commands find this configuration by themselves.
fn is_found(config: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    std::env::var_os("CELLZERO_CONFIG").is_none()
        && settings::found().and_then(|found| whole(&found)).is_some_and(|found| {
            // One that cannot be resolved is none.
            whole(config) == Some(found)
        })
}

/// Something that the plane needs.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub(super) what: String,
    /// `made`, or `stands` where it stood already.
    pub(super) state: &'static str,
    /// Where it is, or what is in it.
    pub(super) detail: String,
}

impl Step {
    pub(super) fn new(what: impl Into<String>, is_new: bool, detail: impl Into<String>) -> Step {
        let state = if is_new { "made" } else { "stands" };
        Step { what: what.into(), state, detail: detail.into() }
    }
}

/// The plane that stands now.
#[derive(Debug, Serialize)]
struct Standing {
    directory: PathBuf,
    config: PathBuf,
    steps: Vec<Step>,
    instances: Vec<Booted>,
    /// Commands to go on with.
    next: Vec<String>,
    warning: Option<String>,
}

impl View for Standing {
    fn text(&self, style: Style) -> String {
        let mut table = table(&["what", "state", "detail"]);
        for step in &self.steps {
            table.add_row([step.what.as_str(), step.state, step.detail.as_str()]);
        }
        for instance in &self.instances {
            let state = match instance.status.as_str() {
                "ACTIVE" => style.good("ACTIVE"),
                other => style.bad(other),
            };
            let place = match (&instance.host, &instance.cell) {
                (Some(host), Some(cell)) => format!("on {host} of {cell}"),
                (None, Some(cell)) if cell == "cell0" => "buried in cell0".to_owned(),
                _ => "has no home yet".to_owned(),
            };
            let name = format!("instance {}", instance.name);
            table.add_row([name.into(), state, place.into()]);
        }
        let mut text = lines(&table);
        text += "\nTry next:\n";
        text.extend(self.next.iter().map(|line| format!("  {line}\n")));
        text
    }

    fn notes(&self) -> String {
        self.warning.iter().map(|warning| format!("{warning}\n")).collect()
    }
}
