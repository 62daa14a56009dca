//! A value as its driver has it, so that rows that the plane wrote can be written once more.
//!
//! Nothing is converted: what one driver reads goes back to the same driver.

use std::error::Error;

use cellzero_test_support::Engine;
use rusqlite::types::ToSqlOutput;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

/// One value of a row, or one bound to a statement.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// As SQLite has it.
    Sqlite(rusqlite::types::Value),
    /// The bytes of PostgreSQL's binary format, whatever the type.
    Postgres(Option<Vec<u8>>),
    /// As MariaDB has it.
    MariaDb(mysql_async::Value),
}

impl Value {
    pub(crate) fn text(engine: Engine, text: &str) -> Value {
        match engine {
            Engine::Sqlite => Value::Sqlite(text.to_owned().into()),
            Engine::Postgres => Value::Postgres(Some(text.as_bytes().to_vec())),
            Engine::MariaDb => Value::MariaDb(text.into()),
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(
            self,
            Value::Sqlite(rusqlite::types::Value::Null)
                | Value::Postgres(None)
                | Value::MariaDb(mysql_async::Value::NULL)
        )
    }

    /// As text, where that is what it is.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Value::Sqlite(rusqlite::types::Value::Text(text)) => Some(text),
            Value::Postgres(Some(bytes)) | Value::MariaDb(mysql_async::Value::Bytes(bytes)) => {
                std::str::from_utf8(bytes).ok()
            }
            _ => None,
        }
    }

    /// The same with one piece of text for another, wherever it stands.
    pub(crate) fn swapped(&self, swaps: &[(&str, &str)]) -> Value {
        let Some(text) = self.as_text() else { return self.clone() };
        let mut text = text.to_owned();
        for (old, new) in swaps {
            if text.contains(old) {
                text = text.replace(old, new);
            }
        }
        match self {
            Value::Sqlite(_) => Value::Sqlite(text.into()),
            Value::Postgres(_) => Value::Postgres(Some(text.into_bytes())),
            Value::MariaDb(_) => Value::MariaDb(text.into()),
        }
    }
}

impl From<Value> for mysql_async::Value {
    fn from(value: Value) -> mysql_async::Value {
        match value {
            Value::MariaDb(value) => value,
            Value::Sqlite(_) | Value::Postgres(_) => mysql_async::Value::NULL,
        }
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Value::Sqlite(value) => value.to_sql(),
            Value::Postgres(_) | Value::MariaDb(_) => Ok(rusqlite::types::Null.into()),
        }
    }
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Value, Box<dyn Error + Sync + Send>> {
        Ok(Value::Postgres(Some(raw.to_vec())))
    }

    fn from_sql_null(_: &Type) -> Result<Value, Box<dyn Error + Sync + Send>> {
        Ok(Value::Postgres(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Value {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Value::Postgres(Some(bytes)) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            _ => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
