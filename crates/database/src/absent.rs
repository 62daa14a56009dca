//! Stands in for the driver of a server that this build was made without.
//!
//! It cannot be made, so none of its functions ever runs; it keeps the connection type and every
//! query the same in all builds.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::connection::{CacheSize, Instrumentation};
use diesel::query_builder::{AsQuery, QueryFragment, QueryId};
use diesel::row::{Field, PartialRow, Row, RowIndex, RowSealed};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, SimpleAsyncConnection,
};
use futures_util::stream::Empty;
use std::convert::Infallible;
use std::future::Ready;
use std::marker::PhantomData;
use std::ops::Range;

/// The driver that is not there, and its rows and fields.
pub struct Absent<DB> {
    never: Infallible,
    backend: PhantomData<fn() -> DB>,
}

impl<DB> SimpleAsyncConnection for Absent<DB> {
    async fn batch_execute(&mut self, _query: &str) -> QueryResult<()> {
        match self.never {}
    }
}

impl<DB: Backend> AsyncConnectionCore for Absent<DB> {
    type ExecuteFuture<'conn, 'query> = Ready<QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = Ready<QueryResult<Self::Stream<'conn, 'query>>>;
    type Stream<'conn, 'query> = Empty<QueryResult<Absent<DB>>>;
    type Row<'conn, 'query> = Absent<DB>;
    type Backend = DB;

    fn load<'conn, 'query, T>(&'conn mut self, _source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<DB> + QueryId + 'query,
    {
        match self.never {}
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        _source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<DB> + QueryId + 'query,
    {
        match self.never {}
    }
}

impl<DB: Backend> AsyncConnection for Absent<DB> {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(_database_url: &str) -> diesel::ConnectionResult<Self> {
        let reason = "this program was built without the driver of this database".to_owned();
        Err(diesel::ConnectionError::BadConnection(reason))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        match self.never {}
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        match self.never {}
    }

    fn set_instrumentation(&mut self, _instrumentation: impl Instrumentation) {}

    fn set_prepared_statement_cache_size(&mut self, _size: CacheSize) {}
}

impl<DB> RowSealed for Absent<DB> {}

impl<DB, I> RowIndex<I> for Absent<DB> {
    fn idx(&self, _idx: I) -> Option<usize> {
        match self.never {}
    }
}

impl<'a, DB: Backend> Row<'a, DB> for Absent<DB> {
    type Field<'f>
        = Absent<DB>
    where
        'a: 'f,
        Self: 'f;
    type InnerPartialRow = Self;

    fn field_count(&self) -> usize {
        match self.never {}
    }

    fn get<'b, I>(&'b self, _idx: I) -> Option<Self::Field<'b>>
    where
        'a: 'b,
        Self: RowIndex<I>,
    {
        match self.never {}
    }

    fn partial_row(&self, _range: Range<usize>) -> PartialRow<'_, Self::InnerPartialRow> {
        match self.never {}
    }
}

impl<DB: Backend> Field<'_, DB> for Absent<DB> {
    fn field_name(&self) -> Option<&str> {
        match self.never {}
    }

    fn value(&self) -> Option<DB::RawValue<'_>> {
        match self.never {}
    }
}
