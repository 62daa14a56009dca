//! temporary
#![allow(missing_docs)]
use cellzero_types::*;
use chrono::{NaiveDateTime, TimeDelta};
use std::collections::{BTreeMap, BTreeSet};
pub struct Aggregate {
    pub name: String,
    pub metadata: BTreeMap<String, String>,
}
pub struct HostState {
    pub host: String,
    pub node: String,
    pub cell: CellUuid,
    pub limit: Resources,
    pub used: Resources,
    pub traits: BTreeSet<String>,
    pub service_disabled: bool,
    pub forced_down: bool,
    pub last_seen_up: Option<NaiveDateTime>,
    pub aggregates: Vec<Aggregate>,
}
pub enum GroupPolicy {
    Affinity,
}
impl std::str::FromStr for GroupPolicy {
    type Err = ();
    fn from_str(_: &str) -> Result<Self, ()> {
        Ok(GroupPolicy::Affinity)
    }
}
pub struct ServerGroup {
    pub policy: GroupPolicy,
    pub max_server_per_host: u32,
    pub members_by_host: BTreeMap<String, u32>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub host: String,
    pub node: String,
    pub cell: CellUuid,
    pub availability_zone: Option<String>,
    pub alternates: Vec<String>,
}
pub struct SelectOptions {
    pub now: NaiveDateTime,
    pub service_down_after: TimeDelta,
    pub default_availability_zone: String,
    pub alternates_max: usize,
}
pub fn select(
    hosts: &[HostState],
    specs: &[RequestSpec],
    _: Option<&ServerGroup>,
    _: &SelectOptions,
) -> Vec<Result<Selection, Verdict>> {
    let mut used: Vec<Resources> = hosts.iter().map(|h| h.used).collect();
    specs
        .iter()
        .map(|s| {
            let r = s.flavor.resources();
            for (i, h) in hosts.iter().enumerate() {
                if r.fits_in(&h.limit.less(&used[i])) {
                    used[i] = used[i] + r;
                    return Ok(Selection {
                        host: h.host.clone(),
                        node: h.node.clone(),
                        cell: h.cell,
                        availability_zone: None,
                        alternates: vec![],
                    });
                }
            }
            Err(Verdict::new(VerdictReason::NoValidHost {
                hosts: hosts.len() as u32,
                filters: vec![],
            }))
        })
        .collect()
}
