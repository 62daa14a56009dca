//! The commands, one file each.

pub(crate) mod aggregate;
pub(crate) mod cell;
pub(crate) mod cell0;
pub(crate) mod cells;
pub(crate) mod completions;
pub(crate) mod db;
pub(crate) mod dev;
pub(crate) mod flavor;
pub(crate) mod fsck;
pub(crate) mod host;
pub(crate) mod instance;
pub(crate) mod quota;
pub(crate) mod recover;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod worker;
