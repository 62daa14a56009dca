//! The connection that queries are written for: [`AnyConnection`] with the text of each query made
//! once.
//!
//! The derived connection makes the whole text of a query anew for each thing that it asks of it:
//! to look the statement up, to prepare it, and to bind its values. With a wide table that costs
//! more than SQLite needs to run it. Here the text is made once for each use, and only once for
//! all uses where the query's type says that it is always the same.

use crate::any::{AnyConnection, MultiBackend};
use crate::kept::takes_values;
use diesel::backend::Backend;
use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, ConnectionSealed, Instrumentation,
    LoadConnection, SimpleConnection,
};
use diesel::expression::QueryMetadata;
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use std::any::TypeId;
use std::collections::HashMap;
use std::sync::Arc;

type Builder = <MultiBackend as Backend>::QueryBuilder;

/// A connection to any of the backends, as queries see it.
pub struct Session {
    pub(crate) any: AnyConnection,
    /// The texts of the queries whose type says that they are always the same.
    texts: HashMap<TypeId, Arc<str>>,
    /// State of Diesel's own transactions; nobody begins one here.
    transactions: AnsiTransactionManager,
}

impl Session {
    pub(crate) fn new(any: AnyConnection) -> Session {
        Session { any, texts: HashMap::new(), transactions: AnsiTransactionManager::default() }
    }

    /// The connection by its backend, for what only one of them can do.
    pub fn any(&mut self) -> &mut AnyConnection {
        &mut self.any
    }

    fn with_text<T>(&mut self, query: T) -> QueryResult<WithText<T>>
    where
        T: QueryFragment<MultiBackend> + QueryId,
    {
        let id = T::query_id();
        if let Some(text) = id.and_then(|id| self.texts.get(&id)) {
            return Ok(WithText { query, text: Arc::clone(text) });
        }
        let text: Arc<str> = self.text(&query)?.into();
        if let Some(id) = id {
            self.texts.insert(id, Arc::clone(&text));
        }
        Ok(WithText { query, text })
    }

    fn text(&self, query: &impl QueryFragment<MultiBackend>) -> QueryResult<String> {
        let (mut text, backend) = match &self.any {
            AnyConnection::Sqlite(_) => {
                (Builder::Sqlite(Default::default()), MultiBackend::Sqlite(Default::default()))
            }
            AnyConnection::Postgres(_) => {
                (Builder::Postgres(Default::default()), MultiBackend::Postgres(Default::default()))
            }
            AnyConnection::Mysql(_) => {
                (Builder::Mysql(Default::default()), MultiBackend::Mysql(Default::default()))
            }
        };
        query.to_sql(&mut text, &backend)?;
        Ok(text.finish())
    }
}

/// A query whose text is made already.
struct WithText<T> {
    query: T,
    text: Arc<str>,
}

impl<T: QueryFragment<MultiBackend>> QueryFragment<MultiBackend> for WithText<T> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, MultiBackend>) -> QueryResult<()> {
        if takes_values(&mut pass) {
            return self.query.walk_ast(pass);
        }
        pass.push_sql(&self.text);
        Ok(())
    }

    fn is_safe_to_cache_prepared(&self, backend: &MultiBackend) -> QueryResult<bool> {
        self.query.is_safe_to_cache_prepared(backend)
    }
}

impl<T: QueryId> QueryId for WithText<T> {
    type QueryId = T::QueryId;
    const HAS_STATIC_QUERY_ID: bool = T::HAS_STATIC_QUERY_ID;
}

impl<T: Query> Query for WithText<T> {
    type SqlType = T::SqlType;
}

impl SimpleConnection for Session {
    fn batch_execute(&mut self, query: &str) -> QueryResult<()> {
        self.any.batch_execute(query)
    }
}

impl ConnectionSealed for Session {}

impl Connection for Session {
    type Backend = MultiBackend;
    type TransactionManager = AnsiTransactionManager;

    /// Always an error: a connection needs a deadline and set-up, which `Database::run` gives.
    fn establish(_database_url: &str) -> ConnectionResult<Self> {
        let message = "a connection is opened by Database::run alone".to_owned();
        Err(ConnectionError::BadConnection(message))
    }

    fn execute_returning_count<T>(&mut self, source: &T) -> QueryResult<usize>
    where
        T: QueryFragment<MultiBackend> + QueryId,
    {
        let query = self.with_text(source)?;
        self.any.execute_returning_count(&query)
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        &mut self.transactions
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.any.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.any.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.any.set_prepared_statement_cache_size(size);
    }
}

impl LoadConnection for Session {
    type Cursor<'conn, 'query>
        = <AnyConnection as LoadConnection>::Cursor<'conn, 'query>
    where
        Self: 'conn;
    type Row<'conn, 'query>
        = <AnyConnection as LoadConnection>::Row<'conn, 'query>
    where
        Self: 'conn;

    fn load<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<MultiBackend> + QueryId + 'query,
        MultiBackend: QueryMetadata<T::SqlType>,
    {
        let query = self.with_text(source)?;
        LoadConnection::load(&mut self.any, query)
    }
}
