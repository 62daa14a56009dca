//! The parts of a server's URL.

use super::{UrlError, decoded, mask::mask_parsed};
use crate::backend::Backend;
use std::path::PathBuf;
use url::Url;

/// A database on a server. Not `Debug`: it holds the password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) backend: Backend,
    /// A host name or address, without the brackets of IPv6. Empty with a socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) database: String,
    /// The directory of PostgreSQL's socket, or the file of MariaDB's.
    pub(crate) socket: Option<String>,
    pub(crate) tls: Tls,
}

/// How the connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tls {
    /// Not at all.
    Disable,
    /// With the server's certificate and name verified.
    VerifyFull {
        /// The PEM file with the certificates to trust; those of the system if there is none.
        root: Option<PathBuf>,
    },
}

impl Server {
    /// Reads the parts of a URL that was parsed.
    pub(super) fn read(text: &str, url: &Url, backend: Backend) -> Result<Server, UrlError> {
        let wrong = |reason: &str| UrlError::Unparsable {
            url: mask_parsed(url),
            reason: reason.to_owned(),
        };
        if url.fragment().is_some() || text.contains('#') {
            // The mask of a parsed URL would show what follows the sign.
            return Err(super::unparsable(text, "it has a #; write %23 for one in the password"));
        }
        let part = |value: &str, what: &str| {
            decoded(value).ok_or_else(|| wrong(&format!("its {what} is not UTF-8 when decoded")))
        };
        let parameters = Parameters::read(url, &wrong)?;
        let user = match url.username() {
            "" => parameters.user,
            user => Some(part(user, "user")?),
        };
        let password = match url.password() {
            None | Some("") => parameters.password,
            Some(password) => Some(part(password, "password")?),
        };
        let path = url.path();
        let database = part(path.strip_prefix('/').unwrap_or(path), "database name")?;
        if database.is_empty() {
            return Err(UrlError::MissingDatabase { url: mask_parsed(url) });
        }
        if database.contains('/') && !path.to_ascii_uppercase().contains("%2F") {
            return Err(wrong(
                "its path has more than one part; only the database's name belongs there",
            ));
        }
        let host = part(url.host_str().unwrap_or_default(), "host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.contains(',') {
            return Err(wrong("it names several hosts; give one"));
        }
        if host.is_empty() && parameters.socket.is_none() {
            return Err(wrong("it names no host; write scheme://user:password@host/name"));
        }
        if parameters.socket.is_some() && parameters.tls != Tls::Disable {
            return Err(wrong("a socket on this machine cannot be encrypted; leave sslmode away"));
        }
        let port = url.port().unwrap_or(match backend {
            Backend::Mysql => 3306,
            _ => 5432,
        });
        Ok(Server {
            backend,
            host,
            port,
            user,
            password,
            database,
            socket: parameters.socket,
            tls: parameters.tls,
        })
    }

    /// Whether both are one database, by what their URLs say.
    pub(super) fn same_database(&self, other: &Server) -> bool {
        let place = |server: &Server| match &server.socket {
            Some(socket) => (socket.clone(), server.port),
            None => (server.host.clone(), server.port),
        };
        self.backend == other.backend
            && place(self) == place(other)
            && self.database == other.database
    }
}

/// What the query string says; the parameters that are not ours are skipped.
struct Parameters {
    user: Option<String>,
    password: Option<String>,
    socket: Option<String>,
    tls: Tls,
}

impl Parameters {
    fn read(url: &Url, wrong: &dyn Fn(&str) -> UrlError) -> Result<Parameters, UrlError> {
        let mut found = Parameters { user: None, password: None, socket: None, tls: Tls::Disable };
        let mut mode: Option<bool> = None;
        let mut root: Option<PathBuf> = None;
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "user" => found.user = Some(value.into_owned()),
                "password" => found.password = Some(value.into_owned()),
                "unix_socket" => found.socket = Some(value.into_owned()),
                "host" if value.starts_with('/') => found.socket = Some(value.into_owned()),
                "sslmode" | "ssl-mode" | "ssl_mode" => mode = Some(read_mode(&value, wrong)?),
                "sslrootcert" | "ssl_ca" => root = Some(PathBuf::from(value.into_owned())),
                _ => {}
            }
        }
        found.tls = match (mode, root) {
            (Some(false), Some(_)) => {
                return Err(wrong(
                    "it gives a root certificate and sslmode=disable; leave one of them away",
                ));
            }
            (Some(false) | None, None) => Tls::Disable,
            (Some(true) | None, Some(root)) => Tls::VerifyFull { root: Some(root) },
            (Some(true), None) => Tls::VerifyFull { root: None },
        };
        Ok(found)
    }
}

/// Whether this mode encrypts.
fn read_mode(value: &str, wrong: &dyn Fn(&str) -> UrlError) -> Result<bool, UrlError> {
    match value.to_ascii_lowercase().replace('_', "-").as_str() {
        "disable" | "disabled" => Ok(false),
        "require" | "required" | "verify-full" | "verify-identity" => Ok(true),
        "prefer" | "preferred" | "allow" => Err(wrong(&format!(
            "sslmode={value} would fall back to an unencrypted connection; give verify-full or disable"
        ))),
        "verify-ca" => Err(wrong(
            "sslmode=verify-ca would accept the certificate of another host; give verify-full",
        )),
        _ => Err(wrong(&format!("sslmode={value} is unknown; give verify-full or disable"))),
    }
}
