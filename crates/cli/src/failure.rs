//! Errors as an operator reads them: one chain of causes, or the same as JSON.

use std::error::Error;
use std::fmt;

use cellzero::mask_passwords;

use crate::exit::Exit;
use crate::output::Output;

/// An error whose exit code the command has named. It reads like the error inside.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    inner: anyhow::Error,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Error for Ended {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.source()
    }
}

/// Names the exit code of an error.
pub(crate) trait Exits<T> {
    /// Where this is an error, the command ends with this code.
    fn exits(self, exit: Exit) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Exits<T> for Result<T, E> {
    fn exits(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::new(Ended { exit, inner: error.into() }))
    }
}

/// An error in these words, with its exit code.
pub(crate) fn ended(exit: Exit, message: impl fmt::Display) -> anyhow::Error {
    anyhow::Error::new(Ended { exit, inner: anyhow::anyhow!("{message}") })
}

/// The texts of an error and of its causes. One that passes its source's text on is said once.
pub(crate) fn causes(error: &anyhow::Error) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    for cause in error.chain().map(|cause| masked(&cause.to_string())) {
        if causes.last() != Some(&cause) {
            causes.push(cause);
        }
    }
    causes
}

/// Prints an error to stderr, as JSON where that is asked for.
pub(crate) fn print(out: Output, error: &anyhow::Error, exit: Exit) {
    let causes = causes(error);
    if out.is_json() {
        let json = serde_json::json!({ "error": {
            "message": causes.first(),
            "causes": causes.get(1..),
            "exit_code": exit.code(),
            "meaning": exit.meaning(),
        }});
        eprintln!("{json:#}");
        return;
    }
    for (index, cause) in causes.iter().enumerate() {
        match index {
            0 => eprintln!("error: {cause}"),
            _ => eprintln!("  because: {cause}"),
        }
    }
}

/// Whether whoever reads our output has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A text with the password of each URL in it as `***`: a net below types that mask by themselves,
/// for what clap or a driver quotes.
pub(crate) fn masked(text: &str) -> String {
    let is_edge = |letter: char| letter.is_whitespace() || "'\"`<>()".contains(letter);
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = rest.find(is_edge) {
        done.push_str(&mask_word(&rest[..end]));
        let edge = rest[end..].chars().next().map_or(0, char::len_utf8);
        done.push_str(&rest[end..end + edge]);
        rest = &rest[end + edge..];
    }
    done.push_str(&mask_word(rest));
    done
}

/// A URL, or what a URL is that has lost its scheme: `user:password@host`.
fn mask_word(word: &str) -> String {
    if word.contains("://") {
        return mask_passwords(word);
    }
    let login = word.rsplit_once('@').filter(|(_, host)| !host.is_empty());
    match login.and_then(|(login, host)| Some((login.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{user}:***@{host}"),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_any_text_is_masked() {
        assert_eq!(masked("no file nova:s3c:ret@db/x at all"), "no file nova:***@db/x at all");
        assert_eq!(masked("at 12:30 by me@db"), "at 12:30 by me@db");
        let text = "unexpected argument '--x=postgres://u:s3cret@h/db' found (rabbit://a:s3cret@b)";
        let expected = "unexpected argument '--x=postgres://u:***@h/db' found (rabbit://a:***@b)";
        assert_eq!(masked(text), expected);
    }

    #[test]
    fn an_error_keeps_its_text_and_its_causes_with_its_code() {
        let inner = anyhow::anyhow!("the cause").context("the error");
        let error = Err::<(), _>(inner).exits(Exit::NotFound).unwrap_err();
        assert_eq!(causes(&error), ["the error", "the cause"]);
        assert_eq!(Exit::of(&error), Exit::NotFound);
        assert_eq!(Exit::of(&error.context("outside")), Exit::NotFound);
    }
}
