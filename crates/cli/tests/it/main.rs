//! Runs the binary as an operator does, and reads what it prints.

mod adopt;
mod aggregate;
mod cell;
mod cell0;
mod commands_page;
mod db;
mod dev;
mod documents;
mod flavor;
mod frame;
mod fsck;
mod guide;
mod host;
mod instance;
mod metrics;
mod passwords;
mod quota;
mod recover;
mod serve;
mod settings;
mod status;
mod support;
mod upkeep;
mod worker;
