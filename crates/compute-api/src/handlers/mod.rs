//! The operations: each reads its call, asks the facade, and shows the answer.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod flavors;
pub(crate) mod hosts;
pub(crate) mod instance_actions;
pub(crate) mod keypairs;
pub(crate) mod labels;
pub(crate) mod limits;
pub(crate) mod list;
pub(crate) mod server_groups;
pub(crate) mod servers;
pub(crate) mod usage;
