//! Diesel's SQLite connection, with statements kept prepared by their text (see
//! [`kept`](crate::kept)). It changes nothing else.

use crate::fault::{self, FaultPlace};
use crate::kept::KeptTexts;
use crate::script::statements;
use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, Instrumentation,
    LoadConnection, MultiConnectionHelper, SimpleConnection,
};
use diesel::expression::QueryMetadata;
use diesel::query_builder::{Query, QueryFragment, QueryId};
use diesel::sql_types::TypeMetadata;
use diesel::sqlite::Sqlite;
use diesel::{ConnectionResult, QueryResult, SqliteConnection};
use std::any::Any;

/// A connection to a SQLite file.
pub struct KeptSqlite {
    inner: SqliteConnection,
    texts: KeptTexts,
    /// A script is sent statement by statement: it is a migration.
    in_steps: bool,
}

impl KeptSqlite {
    pub(crate) fn new(inner: SqliteConnection) -> KeptSqlite {
        KeptSqlite { inner, texts: KeptTexts::default(), in_steps: false }
    }

    /// Sends each statement of a script by itself from now on, or no longer.
    pub(crate) fn set_in_steps(&mut self, in_steps: bool) {
        self.in_steps = in_steps;
    }

    /// Keeps no more statements prepared from now on, or as many as ever.
    pub(crate) fn set_full(&mut self, is_full: bool) {
        self.texts.set_full(is_full);
    }

    /// The connection as Diesel knows it, which keeps no statement by its text.
    ///
    /// # Errors
    /// None but those that a test makes it fail with.
    pub fn inner(&mut self) -> QueryResult<&mut SqliteConnection> {
        fault::point(FaultPlace::Statement)?;
        Ok(&mut self.inner)
    }
}

impl SimpleConnection for KeptSqlite {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        if !self.in_steps {
            return self.inner.batch_execute(query);
        }
        statements(query).try_for_each(|statement| {
            fault::around(statement, || self.inner.batch_execute(statement))
        })
    }
}

impl ConnectionSealed for KeptSqlite {}

impl Connection for KeptSqlite {
    type Backend = Sqlite;
    type TransactionManager = AnsiTransactionManager;

    /// Opens a file without any of the settings that `Database::run` gives a connection.
    fn establish(database_url: &str) -> ConnectionResult<Self> {
        SqliteConnection::establish(database_url).map(KeptSqlite::new)
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<Self::Backend> + QueryId,
    {
        fault::point(FaultPlace::Statement)?;
        let advised = self.texts.advise::<Sqlite, _>(source);
        self.inner.execute_returning_count(&advised)
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        self.inner.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.inner.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.inner.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.inner.set_prepared_statement_cache_size(size);
    }
}

impl LoadConnection for KeptSqlite {
    type Cursor<'conn, 'query>
        = <SqliteConnection as LoadConnection>::Cursor<'conn, 'query>
    where
        Self: 'conn;
    type Row<'conn, 'query>
        = <SqliteConnection as LoadConnection>::Row<'conn, 'query>
    where
        Self: 'conn;

    fn load<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<Self::Backend> + QueryId + 'query,
        Self::Backend: QueryMetadata<T::SqlType>,
    {
        fault::point(FaultPlace::Statement)?;
        let advised = self.texts.advise::<Sqlite, _>(source);
        LoadConnection::load(&mut self.inner, advised)
    }
}

impl diesel::migration::MigrationConnection for KeptSqlite {
    fn setup(&mut self) -> QueryResult<usize> {
        self.inner.setup()
    }
}

impl MultiConnectionHelper for KeptSqlite {
    fn to_any<'a>(lookup: &mut <Sqlite as TypeMetadata>::MetadataLookup) -> &mut (dyn Any + 'a) {
        <SqliteConnection as MultiConnectionHelper>::to_any(lookup)
    }

    fn from_any(lookup: &mut dyn Any) -> Option<&mut <Sqlite as TypeMetadata>::MetadataLookup> {
        <SqliteConnection as MultiConnectionHelper>::from_any(lookup)
    }
}
