//! The transport URL of a cell: which broker its hosts are reached by.
//!
//! It is written as for Nova: `rabbit://user:password@host:5672/vhost`, with several `user:password@host`
//! separated by commas where the broker has several nodes. `amqp://` means the same, and `amqps://`, or
//! `?ssl=1`, TLS. `none:///`, like no URL, means that there is no broker.

use std::fmt;

use cellzero::mask_passwords;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use percent_encoding::percent_decode_str;

/// How often both sides say that they are there, in seconds.
const HEARTBEAT: u16 = 10;
/// Whom RabbitMQ lets in from its own machine.
const GUEST: &str = "guest";

/// A transport URL that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the transport URL {url} cannot be used: {reason}")]
pub struct TransportUrlError {
    /// The URL, its passwords masked.
    pub url: String,
    /// Why not.
    pub reason: String,
}

/// Where a broker is, and how to log in. Its `Debug` and `Display` show no password.
#[derive(Clone, PartialEq, Eq)]
pub struct TransportUrl {
    nodes: Vec<AMQPUri>,
    ca_file: Option<String>,
    masked: String,
}

impl fmt::Debug for TransportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportUrl({})", self.masked)
    }
}

impl fmt::Display for TransportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked)
    }
}

impl TransportUrl {
    /// Reads a URL; none where it says that there is no broker (`none:///`, or nothing).
    ///
    /// # Errors
    /// [`TransportUrlError`] for another scheme, no host, a bad port, or a template.
    pub fn parse(url: &str) -> Result<Option<TransportUrl>, TransportUrlError> {
        let url = url.trim();
        if url.is_empty() || url.starts_with("none:") {
            return Ok(None);
        }
        let masked = mask_passwords(url);
        let refuse =
            |reason: &str| TransportUrlError { url: masked.clone(), reason: reason.into() };
        if url.contains('{') {
            return Err(refuse("it is a template, which is not filled here; write it out"));
        }
        let (scheme, rest) = url.split_once("://").ok_or(refuse("it has no scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (netloc, vhost) = rest.split_once('/').unwrap_or((rest, ""));
        let query: Vec<(&str, &str)> =
            query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let value =
            |name: &str| query.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let asks_tls = value("ssl").is_some_and(|ssl| matches!(ssl, "1" | "true" | "True"));
        let tls = match scheme {
            "amqps" => true,
            "rabbit" | "amqp" => asks_tls,
            _ => return Err(refuse("only rabbit://, amqp://, amqps:// and none:/// are known")),
        };
        let node =
            |part| node(part, vhost, tls).ok_or_else(|| refuse("it names no host, or a bad port"));
        let nodes = netloc.split(',').map(node).collect::<Result<Vec<AMQPUri>, _>>()?;
        let ca_file = value("ssl_ca_file").map(decoded);
        Ok(Some(TransportUrl { nodes, ca_file, masked }))
    }

    /// The nodes of the broker, in the order in which they are tried.
    pub(crate) fn nodes(&self) -> &[AMQPUri] {
        &self.nodes
    }

    /// Where the certificates of the authorities are that are trusted, besides the machine's own.
    pub(crate) fn ca_file(&self) -> Option<&str> {
        self.ca_file.as_deref()
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// One `user:password@host:port`.
fn node(part: &str, vhost: &str, tls: bool) -> Option<AMQPUri> {
    let (login, address) = match part.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, part),
    };
    let (username, password) = match login {
        Some(login) => login.split_once(':').unwrap_or((login, "")),
        None => (GUEST, GUEST),
    };
    // An IPv6 address stands in brackets, which hide its colons.
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (address, if tls { 5671 } else { 5672 }),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return None;
    }
    let vhost = if vhost.is_empty() { "/".to_owned() } else { decoded(vhost) };
    Some(AMQPUri {
        scheme: if tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo { username: decoded(username), password: decoded(password) },
            host: host.to_owned(),
            port,
        },
        vhost,
        query: AMQPQueryString { heartbeat: Some(HEARTBEAT), ..AMQPQueryString::default() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> TransportUrl {
        TransportUrl::parse(url).unwrap().unwrap()
    }

    #[rstest::rstest]
    #[case("rabbit://u:p@h/", ("u", "p", "h", 5672, "/"))]
    #[case("rabbit://u:p@h", ("u", "p", "h", 5672, "/"))]
    #[case("rabbit://u:p%40%2F@h:1234/cell1", ("u", "p@/", "h", 1234, "cell1"))]
    #[case("amqp://h//nova", ("guest", "guest", "h", 5672, "/nova"))]
    #[case("amqp://u:@[::1]:5673/%2F", ("u", "", "::1", 5673, "/"))]
    #[case("amqps://u:p@[::1]/x", ("u", "p", "::1", 5671, "x"))]
    #[case("rabbit://u:p@h/x?ssl=1&ssl_ca_file=%2Fca.pem", ("u", "p", "h", 5671, "x"))]
    fn a_url_is_read_as_nova_reads_it(
        #[case] url: &str,
        #[case] (user, password, host, port, vhost): (&str, &str, &str, u16, &str),
    ) {
        let parsed = parse(url);
        let [node] = parsed.nodes() else { panic!("{parsed}") };
        let info = &node.authority.userinfo;
        assert_eq!((info.username.as_str(), info.password.as_str()), (user, password));
        assert_eq!((node.authority.host.as_str(), node.authority.port), (host, port));
        assert_eq!(node.vhost, vhost);
        let is_tls = node.scheme == AMQPScheme::AMQPS;
        assert_eq!(is_tls, url.starts_with("amqps") || url.contains("ssl=1"));
        assert_eq!(parsed.ca_file(), url.contains("ca_file").then_some("/ca.pem"));
    }

    #[test]
    fn each_node_has_its_own_login() {
        let parsed = parse("rabbit://a:x@h1:1,b:y@h2:2/v");
        let logins: Vec<_> = parsed
            .nodes()
            .iter()
            .map(|n| (n.authority.userinfo.password.as_str(), n.authority.port))
            .collect();
        assert_eq!(logins, [("x", 1), ("y", 2)]);
    }

    #[rstest::rstest]
    #[case("none:///")]
    #[case("none://")]
    #[case("")]
    fn none_means_that_there_is_no_broker(#[case] url: &str) {
        assert_eq!(TransportUrl::parse(url), Ok(None));
    }

    #[rstest::rstest]
    #[case("kafka://u:secret@h/")]
    #[case("rabbit://u:secret@/")]
    #[case("rabbit://u:secret@h:99999/")]
    #[case("rabbit://{username}:secret@{hostname}/")]
    #[case("u:secret@h")]
    fn no_error_and_no_debug_shows_a_password(#[case] url: &str) {
        let error = TransportUrl::parse(url).unwrap_err();
        // Without a scheme it is nobody's URL, and is not shown as one.
        if url.contains("://") {
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
        let parsed = parse("rabbit://u:secret@h1,v:secret@h2/");
        assert!(!format!("{parsed} {parsed:?}").contains("secret"));
    }
}
