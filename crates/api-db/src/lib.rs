//! The API database: the mapping model and what is accepted but has no home yet.
