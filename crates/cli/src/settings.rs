//! Settings: of a file, then of the environment, then of flags; the last one counts.
//!
//! clap reads the environment and the flags ([`Global`]); here the file comes below them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cellzero::{DatabaseUrl, RequestContext, mask_passwords};
use toml::{Table, Value};

use crate::args::Global;

/// The name of the file in each place where it is looked for.
pub(crate) const FILE: &str = "cellzero.toml";
/// The directory of a plane for development, in the current directory.
pub(crate) const DEVELOPMENT: &str = "cellzero-dev";
/// What a file may hold.
const KEYS: [&str; 11] = [
    "admin",
    "api_database",
    "base_database",
    "cell0_database",
    "image",
    "notify",
    "project",
    "read_only",
    "simulated_compute",
    "timeout",
    "user",
];

/// Why the settings cannot be used. The texts show no value of a setting.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// The file that was named, or that was found, cannot be read.
    #[error("the configuration file {} cannot be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// It is not TOML.
    #[error("line {line} of the configuration file {} is no TOML: {reason}", path.display())]
    Syntax { path: PathBuf, line: usize, reason: String },
    /// A setting that does not exist.
    #[error(
        "the configuration file {} sets {key:?}, which is no setting; the settings are {}",
        path.display(),
        KEYS.join(", ")
    )]
    UnknownKey { path: PathBuf, key: String },
    /// A setting of another type.
    #[error("the setting {key} of the configuration file {} has to be {expected}", path.display())]
    WrongType { path: PathBuf, key: &'static str, expected: &'static str },
    /// The setting that is needed is missing.
    #[error(
        "no API database is set; give --api-database, set CELLZERO_API_DATABASE, or write \
         api_database = \"…\" into {looked_for}. For a plane to try things out: cellzero dev up"
    )]
    NoApiDatabase { looked_for: String },
}

/// The settings of one run.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    api_database: Option<Secret>,
    /// Where cell0 is to be made.
    pub(crate) cell0_database: Option<Secret>,
    /// What templates are filled from.
    pub(crate) base_database: Option<Secret>,
    /// The project that is acted for.
    pub(crate) project: Option<String>,
    /// The user that is acted for.
    pub(crate) user: Option<String>,
    /// The image of a boot that names none.
    pub(crate) image: Option<String>,
    /// Who hears what becomes of instances: `log`, or a transport URL.
    pub(crate) notify: Option<Secret>,
    /// Whether as an admin.
    pub(crate) admin: bool,
    /// How long one operation may take.
    pub(crate) timeout: Duration,
    /// Whether nothing is to be written.
    pub(crate) read_only: bool,
    /// Whether this process plays the compute hosts of cells that have no message queue.
    pub(crate) simulated_compute: bool,
}

/// A URL with a password in it, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&mask_passwords(&self.0))
    }
}

impl From<Secret> for String {
    fn from(secret: Secret) -> String {
        secret.0
    }
}

impl From<&Secret> for String {
    fn from(secret: &Secret) -> String {
        secret.0.clone()
    }
}

impl Settings {
    /// Reads the file, and puts the environment and the flags above it.
    ///
    /// # Errors
    /// [`SettingsError`], but not for a missing API database: `dev up` needs none.
    pub(crate) fn read(global: &Global) -> Result<Settings, SettingsError> {
        let file = match &global.config {
            Some(path) => Some(path.clone()),
            None => found(),
        };
        Settings::of(global, file)
    }

    /// The environment and the flags alone.
    ///
    /// # Errors
    /// None now; as [`read`](Self::read).
    pub(crate) fn without_file(global: &Global) -> Result<Settings, SettingsError> {
        Settings::of(global, None)
    }

    fn of(global: &Global, file: Option<PathBuf>) -> Result<Settings, SettingsError> {
        let read = file.as_deref().map(File::read).transpose()?.unwrap_or_default();
        let url = |flag: &Option<String>, key| -> Result<Option<Secret>, SettingsError> {
            match flag {
                Some(url) => Ok(Some(Secret(url.clone()))),
                None => read.url(key),
            }
        };
        let text = |flag: &Option<String>, key| match flag {
            Some(text) => Ok(Some(text.clone())),
            None => read.text(key),
        };
        let flag = |flag: Option<bool>, key| match flag {
            Some(flag) => Ok(Some(flag)),
            None => read.flag(key),
        };
        let timeout = match global.timeout {
            Some(seconds) => Some(seconds),
            None => read.seconds("timeout")?,
        };
        let timeout = timeout.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Settings {
            api_database: url(&global.api_database, "api_database")?,
            cell0_database: url(&global.cell0_database, "cell0_database")?,
            base_database: url(&global.base_database, "base_database")?,
            project: text(&global.project, "project")?,
            user: text(&global.user, "user")?,
            image: read.text("image")?,
            notify: read.text("notify")?.map(Secret),
            admin: flag(global.admin, "admin")?.unwrap_or(true),
            timeout: timeout.unwrap_or(RequestContext::TIMEOUT_DEFAULT),
            read_only: flag(global.read_only, "read_only")?.unwrap_or(false),
            simulated_compute: flag(global.simulated_compute, "simulated_compute")?
                .unwrap_or(false),
            file,
        })
    }

    /// The URL of the API database.
    ///
    /// # Errors
    /// [`SettingsError::NoApiDatabase`], which says where it could be set.
    pub(crate) fn api_database(&self) -> Result<String, SettingsError> {
        let given = self.api_database.clone().map(String::from);
        given.filter(|url| !url.trim().is_empty()).ok_or_else(|| {
            let looked_for = match &self.file {
                Some(file) => file.display().to_string(),
                None => places().first().map_or_else(
                    || "a file that --config names".to_owned(),
                    |path| path.display().to_string(),
                ),
            };
            SettingsError::NoApiDatabase { looked_for }
        })
    }
}

/// The file that is read where none is named.
pub(crate) fn found() -> Option<PathBuf> {
    places().into_iter().find(|path| path.exists())
}

/// Where the file is looked for, in this order. The plane for development comes last, so that it is
/// never taken for the plane that this machine is set up for.
fn places() -> Vec<PathBuf> {
    let of_user = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".config")));
    let of_user = of_user.filter(|path| path.is_absolute());
    of_user
        .map(|path| path.join("cellzero").join(FILE))
        .into_iter()
        .chain([Path::new("/etc/cellzero").join(FILE), Path::new(DEVELOPMENT).join(FILE)])
        .collect()
}

/// A file that was read.
#[derive(Debug, Default)]
struct File {
    path: PathBuf,
    table: Table,
}

impl File {
    fn read(path: &Path) -> Result<File, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
        // The parser's own error shows the line, and so a password in it.
        let table: Table =
            text.parse().map_err(|error: toml::de::Error| SettingsError::Syntax {
                path: path.to_owned(),
                line: error.span().map_or(1, |span| line_of(&text, span.start)),
                reason: error.message().lines().next().unwrap_or_default().to_owned(),
            })?;
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(SettingsError::UnknownKey { path: path.to_owned(), key: key.clone() });
        }
        Ok(File { path: path.to_owned(), table })
    }

    fn get<T>(
        &self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(value) = self.table.get(key) else { return Ok(None) };
        let wrong = || SettingsError::WrongType { path: self.path.clone(), key, expected };
        read(value).map(Some).ok_or_else(wrong)
    }

    fn text(&self, key: &'static str) -> Result<Option<String>, SettingsError> {
        self.get(key, "text in quotes", |value| value.as_str().map(str::to_owned))
    }

    fn flag(&self, key: &'static str) -> Result<Option<bool>, SettingsError> {
        self.get(key, "true or false", Value::as_bool)
    }

    fn seconds(&self, key: &'static str) -> Result<Option<u32>, SettingsError> {
        let read = |value: &Value| value.as_integer().and_then(|number| number.try_into().ok());
        self.get(key, "a number of seconds", read)
    }

    /// A database. The path of a SQLite file begins at the directory of this file.
    fn url(&self, key: &'static str) -> Result<Option<Secret>, SettingsError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let path = DatabaseUrl::parse(&text).ok().and_then(|url| url.path().map(Path::to_owned));
        let (Some(path), Some(directory)) = (path, self.path.parent()) else {
            // One that cannot be used is refused where it is.
            return Ok(Some(Secret(text)));
        };
        Ok(Some(Secret(directory.join(path).to_string_lossy().into_owned())))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
