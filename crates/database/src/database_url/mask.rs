//! Hides passwords in the texts of URLs, in those that cannot be parsed too.

use url::Url;

/// What stands in place of a password.
const MASK: &str = "***";

/// The masked text of a URL that was parsed.
pub(super) fn mask_parsed(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() {
        // It fails only for a URL without a host, which has no password.
        let _ = shown.set_password(Some(MASK));
    }
    if let Some(query) = url.query() {
        shown.set_query(Some(&mask_query(query)));
    }
    shown.to_string()
}

/// The masked text of something that could not be parsed. It hides too much rather than too
/// little: all between the first colon behind the scheme and the last `@`, and without an `@` all
/// behind a colon that no port number follows.
pub(super) fn mask_raw(text: &str) -> String {
    let Some(scheme_end) = text.find("://").map(|at| at + 3) else { return text.to_owned() };
    let (scheme, rest) = text.split_at(scheme_end);
    let (base, tail) = match rest.rfind('@') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => (rest, ""),
    };
    // What stands behind a # may be the rest of a password.
    let (tail, fragment) = match tail.split_once('#') {
        Some((tail, _)) => (tail, format!("#{MASK}")),
        None => (tail, String::new()),
    };
    let hidden = match base.split_once(':') {
        Some((user, secret)) if !tail.is_empty() || !is_port(secret) => format!("{user}:{MASK}"),
        _ => base.to_owned(),
    };
    let shown = match tail.split_once('?') {
        Some((before, query)) => format!("{hidden}{before}?{}", mask_query(query)),
        None => match hidden.split_once('?') {
            Some((before, query)) => format!("{before}?{}{tail}", mask_query(query)),
            None => format!("{hidden}{tail}"),
        },
    };
    format!("{scheme}{shown}{fragment}")
}

/// Whether what follows a colon is a port with a path, rather than a password.
fn is_port(text: &str) -> bool {
    let port = text.split(['/', '?']).next().unwrap_or(text);
    port.parse::<u16>().is_ok()
}

/// Hides the value of every parameter whose name speaks of a password or a secret.
fn mask_query(query: &str) -> String {
    let masked = query.split('&').map(|pair| match pair.split_once('=') {
        Some((key, _)) if is_secret(key) => format!("{key}={MASK}"),
        _ => pair.to_owned(),
    });
    masked.collect::<Vec<_>>().join("&")
}

fn is_secret(key: &str) -> bool {
    // An encoded letter must not let a password through.
    let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().to_ascii_lowercase();
    ["pass", "pwd", "secret", "token"].iter().any(|word| key.contains(word))
}
