//! Values only: ids, states, requests, faults, verdicts. No database, no I/O.
//!
//! Every other crate speaks in these types. Names are Nova's, spelled out; see
//! `docs/glossary.md`. A value that can be wrong is checked where it is made: a [`BootRequest`]
//! that exists is one that every backend can store.

pub mod action;
pub mod boot_request;
pub mod change;
pub mod compute_node;
pub mod context;
pub mod create_body;
pub mod cursor;
pub mod fault;
pub mod flavor;
pub mod ids;
pub mod instance;
pub mod key_pair;
pub mod list;
pub mod list_filters;
pub mod list_order;
pub mod nova_object;
pub mod pattern;
pub mod request_spec;
pub mod resources;
pub mod sort_key;
pub mod state;
pub mod text;
pub mod verdict;

pub use action::Action;
pub use boot_request::{BlockDevice, BootRequest, BootRequestBuilder, Networks, RequestedNetwork};
pub use change::{InstanceChange, MetadataChange, Rebuild, TagChange};
pub use compute_node::ComputeNode;
pub use context::RequestContext;
pub use create_body::{CreateBody, Microversion};
pub use cursor::Cursor;
pub use fault::{BootHistory, InstanceFault};
pub use flavor::Flavor;
pub use ids::{CellUuid, GroupUuid, InstanceUuid, OperationUuid, PlaneUuid};
pub use instance::{Home, Instance, InstanceAction, InstanceActionEvent};
pub use key_pair::KeyPair;
pub use list::{After, ListQuery};
pub use list_filters::{ColumnFilter, Deleted, ListFilters};
pub use list_order::{SortOrder, SortValue, SortValues};
pub use nova_object::NovaObject;
pub use pattern::Pattern;
pub use request_spec::RequestSpec;
pub use resources::Resources;
pub use sort_key::{ColumnKind, SortDirection, SortKey};
pub use state::{PowerState, TaskState, VmState};
pub use text::InvalidField;
pub use verdict::{
    CellRefusals, Change, NoHost, NotAsked, Refusal, RefusalCount, Refusals, Shortfall, Suggestion,
    UnaskedCell, Verdict, VerdictReason,
};
