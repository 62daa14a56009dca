//! A regular expression that some text must match.

use std::str::FromStr;

use regex::Regex;
use regex_syntax::hir::literal::Extractor;

use crate::text::InvalidField;

/// A regular expression, as filters of a list take it: matched anywhere in the text, by code point
/// and with case. `(?i)` at its beginning makes case mean nothing.
///
/// The syntax is that of the crate `regex` on every backend: neither look-around nor references
/// back, and no pattern takes more than linear time.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
    literal: Option<String>,
}

impl Pattern {
    /// The pattern of this text, of the filter `field`.
    ///
    /// # Errors
    /// [`InvalidField`] where it is no regular expression, or one that compiles to too much.
    pub fn new(field: &str, text: &str) -> Result<Pattern, InvalidField> {
        let regex = Regex::new(text).map_err(|error| {
            // The last line says what is wrong; those before draw where.
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
            InvalidField::new(field, text, format!("a regular expression ({reason})"))
        })?;
        Ok(Pattern { literal: literal_of(text), regex })
    }

    /// The pattern of any text that holds `part`, of the filter `field`.
    ///
    /// # Errors
    /// [`InvalidField`] where `part` is too long for one.
    pub fn containing(field: &str, part: &str) -> Result<Pattern, InvalidField> {
        Pattern::new(field, &regex::escape(part))
    }

    /// Whether `text` matches.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// A text that everything that matches holds, so that a database can look for it first.
    pub fn literal(&self) -> Option<&str> {
        self.literal.as_deref()
    }

    /// The expression as it was given.
    pub fn as_str(&self) -> &str {
        self.regex.as_str()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.as_str() == other.as_str()
    }
}

impl FromStr for Pattern {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Pattern, InvalidField> {
        Pattern::new("pattern", text)
    }
}

fn literal_of(text: &str) -> Option<String> {
    let hir = regex_syntax::parse(text).ok()?;
    let prefixes = Extractor::new().extract(&hir);
    match prefixes.literals()? {
        [one] if !one.is_empty() => String::from_utf8(one.as_bytes().to_vec()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("^web-", Some("web-"))]
    #[case("web", Some("web"))]
    #[case("cache\\.a", Some("cache.a"))]
    #[case("web?", None)]
    #[case("(?i)web", None)]
    #[case("web|db", None)]
    #[case("^[^N]", None)]
    #[case("", None)]
    #[case("ü+nch", Some("ü"))]
    fn what_every_match_holds_is_known(#[case] text: &str, #[case] literal: Option<&str>) {
        assert_eq!(text.parse::<Pattern>().unwrap().literal(), literal);
    }

    #[test]
    fn a_pattern_matches_anywhere_and_with_case() {
        let pattern: Pattern = "a.c$".parse().unwrap();
        assert!(pattern.matches("xabc"));
        assert!(!pattern.matches("xABC"));
        assert!(Pattern::containing("name", "100%").unwrap().matches("is 100% up"));
        assert!(!Pattern::containing("name", "a.c").unwrap().matches("abc"));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_the_reason() {
        let error = Pattern::new("name", "web(").unwrap_err();
        assert_eq!(error.field, "name");
        assert!(error.to_string().contains("unclosed group"), "{error}");
    }
}
