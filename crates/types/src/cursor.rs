//! A place in a list, as an opaque text that carries the sort values.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::list_order::SortValue;
use crate::list_order::{SortOrder, SortValues};
use crate::sort_key::{ColumnKind, SortDirection, SortKey};
use crate::text::InvalidField;

/// A place in a list: the values of the instance that stands there. It works on whatever became of
/// that instance: deleted, purged, moved, or in a cell that does not answer.
///
/// As text it is opaque, and of letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// The order of the list.
    pub(crate) order: SortOrder,
    /// The values for each of its keys.
    pub(crate) values: SortValues,
}

/// What stands in the text: keys by name, so that a later version reads it.
#[derive(Serialize, Deserialize)]
struct Wire(Vec<(String, bool, Option<SortValue>)>);

impl Cursor {
    /// The place of these values in this order.
    pub fn new(order: SortOrder, values: SortValues) -> Cursor {
        Cursor { order, values }
    }

    /// The values, for a list of this order.
    ///
    /// # Errors
    /// [`InvalidField`] where it is a place in a list of another order.
    pub fn values_for(
        &self,
        order: &[(SortKey, SortDirection)],
    ) -> Result<&SortValues, InvalidField> {
        if self.order != order {
            let words: Vec<String> =
                order.iter().map(|(key, way)| format!("{} {}", key.name(), way.as_str())).collect();
            let expected = format!("a cursor of a list by {}", words.join(", "));
            return Err(InvalidField::new("cursor", self, expected));
        }
        Ok(&self.values)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.order.iter().zip(&self.values).map(|((key, direction), value)| {
            (key.name().to_owned(), *direction == SortDirection::Ascending, value.clone())
        });
        let json = serde_json::json!(Wire(parts.collect())).to_string();
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl FromStr for Cursor {
    type Err = InvalidField;

    fn from_str(text: &str) -> Result<Cursor, InvalidField> {
        let refused = || InvalidField::new("cursor", text, "the cursor of an earlier page");
        let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let wire: Wire = serde_json::from_slice(&json).map_err(|_| refused())?;
        let mut cursor = Cursor { order: Vec::new(), values: Vec::new() };
        for (name, is_ascending, value) in wire.0 {
            let key: SortKey = name.parse().map_err(|_| refused())?;
            if !value.as_ref().is_none_or(|value| is_of_kind(value, key.kind())) {
                return Err(refused());
            }
            let direction = match is_ascending {
                true => SortDirection::Ascending,
                false => SortDirection::Descending,
            };
            cursor.order.push((key, direction));
            cursor.values.push(value);
        }
        Ok(cursor)
    }
}

fn is_of_kind(value: &SortValue, kind: ColumnKind) -> bool {
    match value {
        SortValue::Text(text) => {
            matches!(kind, ColumnKind::Text | ColumnKind::Address) && !text.contains('\0')
        }
        SortValue::Time(_) => kind == ColumnKind::Time,
        SortValue::Number(_) => matches!(kind, ColumnKind::Number | ColumnKind::Flag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::ListQuery;
    use rstest::rstest;

    fn cursor() -> Cursor {
        let order = ListQuery::default().total_order();
        let uuid = "6f70656e-7374-4163-8b00-000000000001".to_owned();
        Cursor::new(order, vec![None, Some(SortValue::Text(uuid))])
    }

    #[test]
    fn a_cursor_survives_the_way_through_text() {
        let text = cursor().to_string();
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{text}");
        assert_eq!(text.parse::<Cursor>().unwrap(), cursor());
    }

    #[rstest]
    #[case::no_base64("%")]
    #[case::no_json("AAAA")]
    #[case::unknown_key(&URL_SAFE_NO_PAD.encode(r#"[["colour",true,null]]"#))]
    #[case::wrong_kind(&URL_SAFE_NO_PAD.encode(r#"[["created_at",true,{"Number":1}]]"#))]
    fn another_text_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Cursor>().unwrap_err().field, "cursor");
    }

    #[test]
    fn a_cursor_of_another_order_is_refused_with_the_order() {
        let other = ListQuery::default().sort_by([(SortKey::Host, SortDirection::Ascending)]);
        let error = cursor().values_for(&other.total_order()).unwrap_err();
        assert!(error.to_string().contains("host asc, uuid asc"), "{error}");
    }
}
