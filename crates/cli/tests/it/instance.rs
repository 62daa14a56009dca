//! `instance …`.

mod boot;
mod delete;
mod list;
mod retry;
mod show;
mod why;
