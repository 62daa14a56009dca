//! The URL of a database: what it names, and how it is shown without its password.
//!
//! It reads the forms of this project, of libpq and of Nova (SQLAlchemy, with `+driver`). The one
//! rule: `Display`, `Debug` and every error show `***` in place of a password; only
//! [`DatabaseUrl::reveal`] shows it.

mod mask;
mod server;

use crate::backend::Backend;
use mask::{mask_parsed, mask_raw};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
pub(crate) use server::{Server, Tls};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where a database is. Shown without its password.
///
/// * `sqlite://dir/file` is relative, `sqlite:///dir/file` is absolute, and a text without a
///   scheme is a path.
/// * `postgres://user:password@host:port/name`, also `postgresql://`, and `mysql://` or
///   `mariadb://`; a `+driver` after the scheme, as Nova writes it, is dropped.
///
/// Special characters in user, password and name are percent-encoded. Parameters that are read:
/// `sslmode=disable|verify-full` (`require` means the same, since nothing is encrypted without
/// verifying), `sslrootcert=/ca.pem` (or `ssl_ca=`), `host=/directory` and `unix_socket=/file`
/// for a socket. Others, such as Nova's `charset=utf8`, are ignored.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DatabaseUrl {
    text: String,
    masked: String,
    place: Place,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Place {
    File(PathBuf),
    Server(Box<Server>),
}

/// Why a text is not the URL of a database. The texts show no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The text does not have the form of a URL, or a part of it has a value that it cannot have.
    #[error("the database URL {url} cannot be used: {reason}")]
    Unparsable {
        /// The text with the password masked.
        url: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The scheme names no database that this project reaches.
    #[error(
        "the scheme {scheme}:// is not supported; give sqlite://, postgres:// or mysql:// (mariadb:// means mysql://)"
    )]
    UnsupportedScheme {
        /// The scheme as it was given.
        scheme: String,
    },
    /// The URL ends before the name of the database.
    #[error("the database URL {url} names no database; put its name after the host: …://host/name")]
    MissingDatabase {
        /// The text with the password masked.
        url: String,
    },
}

impl DatabaseUrl {
    /// Reads a URL or a path. The text's surrounding white space does not count.
    ///
    /// # Errors
    /// [`UrlError`], which says what would be right.
    pub fn parse(text: &str) -> Result<DatabaseUrl, UrlError> {
        let text = text.trim();
        if text.contains('\0') {
            return Err(unparsable(text, "it contains a NUL character"));
        }
        match split_scheme(text) {
            None => DatabaseUrl::from_path_text(text, text),
            Some((scheme, rest)) => {
                // Nova writes the driver behind the dialect: `mysql+pymysql`.
                let dialect = scheme.split('+').next().unwrap_or(scheme).to_ascii_lowercase();
                match dialect.as_str() {
                    "sqlite" => {
                        let path = decoded(rest.split('?').next().unwrap_or(rest))
                            .ok_or_else(|| unparsable(text, "its path is not UTF-8"))?;
                        DatabaseUrl::from_path_text(text, &path)
                    }
                    "postgres" | "postgresql" => DatabaseUrl::server(text, Backend::Postgres),
                    "mysql" | "mariadb" => DatabaseUrl::server(text, Backend::Mysql),
                    _ => Err(UrlError::UnsupportedScheme { scheme: scheme.to_owned() }),
                }
            }
        }
    }

    /// The URL of a SQLite file.
    ///
    /// # Errors
    /// [`UrlError::Unparsable`] for a path that is not UTF-8, or is empty.
    pub fn sqlite(path: impl AsRef<Path>) -> Result<DatabaseUrl, UrlError> {
        let path = path.as_ref();
        let text = path.to_str().ok_or_else(|| UrlError::Unparsable {
            url: path.display().to_string(),
            reason: "the path of a SQLite file has to be UTF-8".to_owned(),
        })?;
        DatabaseUrl::from_path_text(text, text)
    }

    fn from_path_text(text: &str, path: &str) -> Result<DatabaseUrl, UrlError> {
        if path.is_empty() || path.ends_with('/') {
            return Err(unparsable(
                text,
                "it names no file; give sqlite://directory/file or a path",
            ));
        }
        if path.trim_start_matches('/').starts_with(":memory:") {
            let reason = "a database in memory has no URL, since each connection would get one of \
                          its own; give the path of a file";
            return Err(unparsable(text, reason));
        }
        // SQLAlchemy writes four slashes before an absolute path; more than one means one.
        let path = match path.strip_prefix("//") {
            Some(rest) => format!("/{}", rest.trim_start_matches('/')),
            None => path.to_owned(),
        };
        Ok(DatabaseUrl {
            text: text.to_owned(),
            masked: text.to_owned(),
            place: Place::File(PathBuf::from(path)),
        })
    }

    fn server(text: &str, backend: Backend) -> Result<DatabaseUrl, UrlError> {
        let url = url::Url::parse(text).map_err(|error| {
            let hint = "write scheme://user:password@host:port/name and percent-encode special \
                        characters in the password";
            unparsable(text, &format!("{error}; {hint}"))
        })?;
        let server = Server::read(text, &url, backend)?;
        let masked = mask_parsed(&url);
        Ok(DatabaseUrl { text: text.to_owned(), masked, place: Place::Server(Box::new(server)) })
    }

    /// The text with the password in it, for what opens connections and for storing it.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// The kind of database.
    pub fn backend(&self) -> Backend {
        match &self.place {
            Place::File(_) => Backend::Sqlite,
            Place::Server(server) => server.backend,
        }
    }

    /// The name of the database on its server, decoded. `None` for a SQLite file.
    pub fn database_name(&self) -> Option<&str> {
        self.as_server().map(|server| server.database.as_str())
    }

    /// The path of the SQLite file, relative if it was written so. `None` for a server.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Server(_) => None,
        }
    }

    pub(crate) fn as_server(&self) -> Option<&Server> {
        match &self.place {
            Place::File(_) => None,
            Place::Server(server) => Some(server),
        }
    }

    /// The same place with another database: on the same server and with the same user, or a
    /// file in the same directory and with the same ending (`state/api.sqlite` with `cell1` is
    /// `state/cell1.sqlite`).
    pub fn with_database(&self, name: &str) -> DatabaseUrl {
        match &self.place {
            Place::File(path) => {
                let file = match path.extension().and_then(|ending| ending.to_str()) {
                    Some(ending) if Path::new(name).extension().is_none() => {
                        format!("{name}.{ending}")
                    }
                    _ => name.to_owned(),
                };
                let path = path.with_file_name(file);
                let text = path.to_string_lossy().into_owned();
                DatabaseUrl { masked: text.clone(), text, place: Place::File(path) }
            }
            Place::Server(server) => {
                let encoded = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
                // Underscore and hyphen are common in names and harmless in a path.
                let encoded = encoded.replace("%5F", "_").replace("%2D", "-");
                let replace = |text: &str| replace_database(text, &encoded);
                let mut server = server.clone();
                server.database = name.to_owned();
                DatabaseUrl {
                    text: replace(&self.text),
                    masked: replace(&self.masked),
                    place: Place::Server(server),
                }
            }
        }
    }

    /// The same, with the relative path of a SQLite file taken from `directory`. Nothing else
    /// changes.
    pub fn relative_to(&self, directory: &Path) -> DatabaseUrl {
        match &self.place {
            Place::File(path) if path.is_relative() => {
                let path = directory.join(path);
                let text = path.to_string_lossy().into_owned();
                DatabaseUrl { masked: text.clone(), text, place: Place::File(path) }
            }
            _ => self.clone(),
        }
    }

    /// Whether both name one database: the same backend, host, port and name, or the same file.
    /// User, password and parameters do not count. Two host names of one server are not seen
    /// through; the identity in the database is for that.
    pub fn same_database(&self, other: &DatabaseUrl) -> bool {
        match (&self.place, &other.place) {
            (Place::File(ours), Place::File(theirs)) => comparable(ours) == comparable(theirs),
            (Place::Server(ours), Place::Server(theirs)) => ours.same_database(theirs),
            _ => false,
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<DatabaseUrl, UrlError> {
        DatabaseUrl::parse(text)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DatabaseUrl").field(&self.masked).finish()
    }
}

fn unparsable(text: &str, reason: &str) -> UrlError {
    UrlError::Unparsable { url: mask_raw(text), reason: reason.to_owned() }
}

/// Splits `scheme://rest`. A text without that is a path, also one with a colon in it.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let mut letters = scheme.chars();
    let starts_well = letters.next().is_some_and(|first| first.is_ascii_alphabetic());
    let goes_well = letters.all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
    (starts_well && goes_well).then_some((scheme, rest))
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

/// Puts another name in place of a server URL's path, leaving everything else letter for letter.
fn replace_database(text: &str, encoded: &str) -> String {
    let (base, query) = match text.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (text, None),
    };
    let authority = base.find("://").map_or(0, |scheme| scheme + 3);
    let slash = base[authority..].find('/').map_or(base.len(), |slash| authority + slash);
    match query {
        Some(query) => format!("{}/{encoded}?{query}", &base[..slash]),
        None => format!("{}/{encoded}", &base[..slash]),
    }
}

/// The form of a path in which two can be compared, also before the file exists.
fn comparable(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match (parent.canonicalize(), path.file_name()) {
        (Ok(directory), Some(file)) => directory.join(file),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

#[cfg(test)]
mod tests;
