//! What text the strictest backend can store, and the error for a field that cannot be used.

use std::fmt;

/// The longest name, description, metadata key or value, in characters.
pub const TEXT_LENGTH_MAX: usize = 255;

/// A field of a request that cannot be used: which, its value, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {} cannot be used; it must be {expected}", Shown(.value))]
pub struct InvalidField {
    /// The field, as the caller knows it.
    pub field: String,
    /// The value as it came.
    pub value: String,
    /// What would be right.
    pub expected: String,
}

impl InvalidField {
    /// A refusal of `value` in `field`, saying what would be right.
    pub fn new(
        field: impl Into<String>,
        value: impl fmt::Display,
        expected: impl Into<String>,
    ) -> InvalidField {
        InvalidField { field: field.into(), value: value.to_string(), expected: expected.into() }
    }
}

/// A value as an error message shows it: quoted, and cut where it is long.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_MAX: usize = 60;
        match self.0.char_indices().nth(SHOWN_MAX) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => {
                write!(f, "{:?}… ({} characters)", &self.0[..end], self.0.chars().count())
            }
        }
    }
}

/// Checks text that goes into a column of `length_max` characters: no NUL (PostgreSQL cannot
/// store it), and not too long.
///
/// # Errors
/// [`InvalidField`] naming `field`.
pub fn check(field: &str, value: &str, length_max: usize) -> Result<(), InvalidField> {
    if value.contains('\0') {
        return Err(InvalidField::new(field, value, "text without a NUL character"));
    }
    if value.chars().count() > length_max {
        return Err(InvalidField::new(field, value, format!("at most {length_max} characters")));
    }
    Ok(())
}

/// Checks a name: not empty, no blanks at its ends, printable, at most 255 characters.
///
/// # Errors
/// [`InvalidField`] naming `field`.
pub fn check_name(field: &str, value: &str) -> Result<(), InvalidField> {
    if value.is_empty() {
        return Err(InvalidField::new(field, value, "1 to 255 characters"));
    }
    if value.trim() != value {
        return Err(InvalidField::new(field, value, "without blanks at its ends"));
    }
    check(field, value, TEXT_LENGTH_MAX)?;
    if value.chars().any(char::is_control) {
        return Err(InvalidField::new(field, value, "printable characters only"));
    }
    Ok(())
}

/// `text` cut to at most `length_max` characters, at the end of a word where there is one.
pub fn cut_at_word(text: &str, length_max: usize) -> &str {
    let Some((end, _)) = text.char_indices().nth(length_max) else { return text };
    match text[..end].rfind(char::is_whitespace) {
        Some(blank) => text[..blank].trim_end(),
        None => &text[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::empty("")]
    #[case::blank_at_the_end("web ")]
    #[case::too_long(&"a".repeat(256))]
    #[case::nul("we\0b")]
    #[case::control("we\nb")]
    fn a_bad_name_is_refused_with_its_field(#[case] name: &str) {
        assert_eq!(check_name("name", name).unwrap_err().field, "name");
    }

    #[rstest]
    #[case("web")]
    #[case("₡-96384451")]
    #[case(&"€".repeat(255))]
    fn a_good_name_is_taken(#[case] name: &str) {
        check_name("name", name).unwrap();
    }

    #[rstest]
    #[case("one two three", 9, "one two")]
    #[case("one two", 7, "one two")]
    #[case("onetwothree", 5, "onetw")]
    fn text_is_cut_at_a_word(#[case] text: &str, #[case] max: usize, #[case] cut: &str) {
        assert_eq!(cut_at_word(text, max), cut);
    }

    #[test]
    fn a_long_value_is_cut_in_the_message() {
        let error = InvalidField::new("name", "x".repeat(300), "at most 255 characters");
        assert!(error.to_string().len() < 200, "{error}");
    }
}
