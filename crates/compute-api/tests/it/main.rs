//! The compute API in front of planes on real databases.

mod actions;
mod contract;
mod discovery;
mod down_cells;
mod keystone;
mod lists;
mod others;
mod served;
mod support;
mod ui;
