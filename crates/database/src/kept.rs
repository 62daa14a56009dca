//! Which statements a connection keeps prepared.
//!
//! Diesel by itself keeps a statement only where its type says that its text is always the same,
//! which no update, `IN` list or piece of plain SQL can. Those would be prepared at every use: with
//! a server, a round trip more for nearly every statement. Here the text itself decides: one that
//! comes again is kept, up to a limit, because a server limits the statements of all its clients.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::internal::derives::multiconnection::AstPassHelper;
use diesel::query_builder::{AstPass, Query, QueryBuilder, QueryFragment, QueryId};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// The most statements that one connection keeps. MariaDB allows 16 382 for all connections
/// together (`max_prepared_stmt_count`), and 151 connections (`max_connections`), by default.
const KEPT_MAX: usize = 100;

/// Which use of a text makes it worth keeping. What is asked once, as by a migration, is not.
const KEPT_FROM_USE: u32 = 2;

/// The most texts whose uses are counted before they are kept; then the count starts over.
const COUNTED_MAX: usize = 1_000;

/// A backend of which a text can be made without a connection: every one.
pub trait Dialect: Backend<QueryBuilder: Default> + Default {}

impl<DB: Backend<QueryBuilder: Default> + Default> Dialect for DB {}

/// The texts of a connection's statements, by their hashes.
#[derive(Debug, Default)]
pub(crate) struct KeptTexts {
    hasher: RandomState,
    kept: HashSet<u64>,
    uses: HashMap<u64, u32>,
    /// No more are kept; those that are stay.
    is_full: bool,
}

impl KeptTexts {
    /// The query with the advice to keep it prepared or not.
    pub(crate) fn advise<DB, T>(&mut self, query: T) -> Kept<T>
    where
        DB: Dialect,
        T: QueryFragment<DB>,
    {
        let mut text = DB::QueryBuilder::default();
        // A query that has no text fails again where it is sent, and is reported there.
        let text = query.to_sql(&mut text, &DB::default()).is_ok().then(|| text.finish());
        let keep = text.as_deref().is_some_and(|text| self.keeps(text));
        Kept { query, text, keep }
    }

    /// Keeps no more texts from now on, or as many as ever.
    pub(crate) fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// Takes one use of a text, and says whether its statement is to be kept.
    fn keeps(&mut self, text: &str) -> bool {
        let hash = self.hasher.hash_one(text);
        if self.kept.contains(&hash) {
            return true;
        }
        if self.is_full || self.kept.len() >= KEPT_MAX {
            return false;
        }
        if self.uses.len() >= COUNTED_MAX {
            self.uses.clear();
        }
        let uses = self.uses.entry(hash).or_default();
        *uses += 1;
        let keep = *uses >= KEPT_FROM_USE;
        if keep {
            self.uses.remove(&hash);
            self.kept.insert(hash);
        }
        keep
    }
}

/// A query whose statement is kept or not, whatever its type says.
pub(crate) struct Kept<T> {
    query: T,
    /// What it was found by, so that it is not made again.
    text: Option<String>,
    keep: bool,
}

impl<T, DB> QueryFragment<DB> for Kept<T>
where
    T: QueryFragment<DB>,
    DB: Backend,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        match &self.text {
            Some(text) if !takes_values(&mut pass) => {
                pass.push_sql(text);
                Ok(())
            }
            _ => self.query.walk_ast(pass),
        }
    }

    fn is_safe_to_cache_prepared(&self, _backend: &DB) -> QueryResult<bool> {
        Ok(self.keep)
    }
}

/// Whether a pass goes over the values of a query rather than over its text.
pub(crate) fn takes_values<DB: Backend>(pass: &mut AstPass<'_, '_, DB>) -> bool {
    pass.bind_collector().is_some() || pass.debug_binds().is_some()
}

/// By its text alone: two queries of one type may differ in it.
impl<T> QueryId for Kept<T> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<T: Query> Query for Kept<T> {
    type SqlType = T::SqlType;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_from_its_second_use_on() {
        let mut texts = KeptTexts::default();
        let kept: Vec<bool> = (0..3).map(|_| texts.keeps("SELECT 1")).collect();
        assert_eq!(kept, [false, true, true]);
    }

    #[test]
    fn a_connection_never_keeps_more_statements_than_its_limit() {
        let mut texts = KeptTexts::default();
        let all: Vec<String> = (0..KEPT_MAX * 2).map(|n| format!("SELECT {n}")).collect();
        let kept = |texts: &mut KeptTexts| all.iter().filter(|text| texts.keeps(text)).count();
        kept(&mut texts);
        assert_eq!(kept(&mut texts), KEPT_MAX);
        assert_eq!(kept(&mut texts), KEPT_MAX);
    }

    #[test]
    fn one_that_is_full_keeps_what_it_has_and_no_more_until_it_is_not() {
        let mut texts = KeptTexts::default();
        let twice = |texts: &mut KeptTexts, text| (texts.keeps(text), texts.keeps(text)).1;
        assert!(twice(&mut texts, "SELECT 1"));
        texts.set_full(true);
        assert!(twice(&mut texts, "SELECT 1"));
        assert!(!twice(&mut texts, "SELECT 2"));
        texts.set_full(false);
        assert!(twice(&mut texts, "SELECT 2"));
    }

    #[test]
    fn texts_that_never_come_again_are_forgotten() {
        let mut texts = KeptTexts::default();
        for n in 0..COUNTED_MAX * 3 {
            texts.keeps(&format!("SELECT {n}"));
            assert!(texts.uses.len() <= COUNTED_MAX);
        }
    }
}
