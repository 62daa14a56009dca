//! Each filter, the order, the policies, and a naive reference that must agree.

use std::collections::{BTreeMap, BTreeSet};

use cellzero_types::{Flavor, InstanceUuid, Networks};
use proptest::prelude::*;
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::host::Aggregate;

fn now() -> NaiveDateTime {
    chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().naive_utc()
}

fn options() -> SelectOptions {
    SelectOptions {
        now: now(),
        service_down_after: TimeDelta::seconds(60),
        default_availability_zone: "nova".into(),
        alternates_max: 2,
    }
}

fn host(name: &str, vcpus: i64, memory_mb: i64, disk_gb: i64) -> HostState {
    HostState {
        host: name.into(),
        node: format!("{name}.example.org"),
        cell: CellUuid(Uuid::from_u128(1)),
        limit: Resources { vcpus, memory_mb, disk_gb },
        used: Resources::default(),
        traits: BTreeSet::new(),
        service_disabled: false,
        forced_down: false,
        last_seen_up: Some(now()),
        aggregates: Vec::new(),
    }
}

fn spec(flavor: Flavor) -> RequestSpec {
    RequestSpec {
        instance_uuid: InstanceUuid(Uuid::from_u128(9)),
        request_id: "req-1".into(),
        project_id: "p".into(),
        user_id: "u".into(),
        flavor,
        image: None,
        num_instances: 1,
        availability_zone: None,
        force_host: None,
        server_group: None,
        scheduler_hints: BTreeMap::new(),
        security_groups: Vec::new(),
        networks: Networks::Auto,
        is_boot_from_volume: false,
    }
}

fn small() -> RequestSpec {
    spec(Flavor::new("1", "small", 2, 1000, 10))
}

fn one(hosts: &[HostState], spec: &RequestSpec) -> Result<Selection, Verdict> {
    select(hosts, std::slice::from_ref(spec), None, &options()).remove(0)
}

fn refusals(verdict: Verdict) -> Vec<(String, u32)> {
    match verdict.reason {
        VerdictReason::NoValidHost { filters, .. } => {
            filters.into_iter().map(|count| (count.filter, count.refused)).collect()
        }
        other => panic!("{other:?}"),
    }
}

type Change = fn(&mut HostState, &mut RequestSpec);

#[rstest]
#[case::disabled("service", |host: &mut HostState, _: &mut RequestSpec| host.service_disabled = true)]
#[case::forced_down("service", |host: &mut HostState, _: &mut RequestSpec| host.forced_down = true)]
#[case::never_seen("service", |host: &mut HostState, _: &mut RequestSpec| host.last_seen_up = None)]
#[case::seen_too_long_ago("service", |host: &mut HostState, _: &mut RequestSpec| host.last_seen_up = Some(now() - TimeDelta::seconds(61)))]
#[case::zone("availability_zone", |_: &mut HostState, spec: &mut RequestSpec| spec.availability_zone = Some("az1".into()))]
#[case::forced_host("forced_host", |_: &mut HostState, spec: &mut RequestSpec| spec.force_host = Some("other".into()))]
#[case::trait_missing("traits", |_: &mut HostState, spec: &mut RequestSpec| { spec.flavor.extra_specs.insert("trait:SSD".into(), "required".into()); })]
#[case::trait_forbidden("traits", |host: &mut HostState, spec: &mut RequestSpec| {
    host.traits.insert("SSD".into());
    spec.flavor.extra_specs.insert("trait:SSD".into(), "forbidden".into());
})]
#[case::aggregate("aggregate", |_: &mut HostState, spec: &mut RequestSpec| { spec.flavor.extra_specs.insert("aggregate_instance_extra_specs:ssd".into(), "true".into()); })]
#[case::vcpus("vcpus", |_: &mut HostState, spec: &mut RequestSpec| spec.flavor.vcpus = 9)]
#[case::memory("memory", |_: &mut HostState, spec: &mut RequestSpec| spec.flavor.memory_mb = 8001)]
#[case::disk("disk", |_: &mut HostState, spec: &mut RequestSpec| spec.flavor.root_gb = 101)]
fn a_host_is_refused_by_its_filter_alone(#[case] filter: &str, #[case] change: Change) {
    let (mut only, mut wanted) = (host("a", 8, 8000, 100), small());
    assert!(one(std::slice::from_ref(&only), &wanted).is_ok());
    change(&mut only, &mut wanted);
    assert_eq!(refusals(one(&[only], &wanted).unwrap_err()), [(filter.to_owned(), 1)]);
}

#[rstest]
#[case::zone(|host: &mut HostState, spec: &mut RequestSpec| {
    let metadata = BTreeMap::from([("availability_zone".to_owned(), "az1".to_owned())]);
    host.aggregates.push(Aggregate { name: "az1".into(), metadata });
    spec.availability_zone = Some("az1".into());
})]
#[case::default_zone(|_: &mut HostState, spec: &mut RequestSpec| spec.availability_zone = Some("nova".into()))]
#[case::by_node(|_: &mut HostState, spec: &mut RequestSpec| spec.force_host = Some("a.example.org".into()))]
#[case::trait_there(|host: &mut HostState, spec: &mut RequestSpec| {
    host.traits.insert("SSD".into());
    spec.flavor.extra_specs.insert("trait:SSD".into(), "required".into());
})]
#[case::aggregate(|host: &mut HostState, spec: &mut RequestSpec| {
    let metadata = BTreeMap::from([("ssd".to_owned(), "true".to_owned())]);
    host.aggregates.push(Aggregate { name: "fast".into(), metadata });
    spec.flavor.extra_specs.insert("aggregate_instance_extra_specs:ssd".into(), "true".into());
})]
#[case::root_disk_on_a_volume(|_: &mut HostState, spec: &mut RequestSpec| {
    spec.flavor.root_gb = 5000;
    spec.is_boot_from_volume = true;
})]
fn a_host_that_has_what_is_asked_for_passes(#[case] change: Change) {
    let (mut only, mut wanted) = (host("a", 8, 8000, 100), small());
    change(&mut only, &mut wanted);
    assert!(one(&[only], &wanted).is_ok());
}

#[test]
fn the_counts_of_a_failure_add_up_to_the_hosts() {
    let mut down = host("down", 8, 8000, 100);
    down.forced_down = true;
    let hosts = [down, host("a", 1, 8000, 100), host("b", 8, 10, 100), host("c", 8, 10, 1)];
    let refused = refusals(one(&hosts, &small()).unwrap_err());
    assert_eq!(
        refused,
        [("service".to_owned(), 1), ("vcpus".to_owned(), 1), ("memory".to_owned(), 2)]
    );
}

#[test]
fn the_emptiest_host_wins_and_the_name_breaks_a_tie() {
    let hosts = [host("c", 8, 8000, 100), host("b", 16, 16000, 200), host("a", 16, 16000, 200)];
    let selection = one(&hosts, &small()).unwrap();
    assert_eq!(selection.host, "a");
    assert_eq!(selection.alternates, ["b", "c"]);
}

#[test]
fn alternates_are_of_the_same_cell() {
    let mut elsewhere = host("b", 8, 8000, 100);
    elsewhere.cell = CellUuid(Uuid::from_u128(2));
    let selection = one(&[host("a", 8, 8000, 100), elsewhere], &small()).unwrap();
    assert_eq!(selection.alternates, Vec::<String>::new());
}

fn placed(hosts: &[HostState], count: usize, policy: GroupPolicy, max: u32) -> Vec<Option<String>> {
    let group = ServerGroup { policy, max_server_per_host: max, members_by_host: BTreeMap::new() };
    let specs = vec![small(); count];
    select(hosts, &specs, Some(&group), &options())
        .into_iter()
        .map(|answer| answer.ok().map(|selection| selection.host))
        .collect()
}

#[rstest]
#[case::affinity(GroupPolicy::Affinity, 1, &[Some("a"), Some("a"), Some("a")])]
#[case::anti_affinity(GroupPolicy::AntiAffinity, 1, &[Some("a"), Some("b"), None])]
#[case::two_each(GroupPolicy::AntiAffinity, 2, &[Some("a"), Some("b"), Some("a")])]
#[case::soft_affinity(GroupPolicy::SoftAffinity, 1, &[Some("a"), Some("a"), Some("a")])]
#[case::soft_anti_affinity(GroupPolicy::SoftAntiAffinity, 1, &[Some("a"), Some("b"), Some("a")])]
fn the_server_groups_policy_holds(
    #[case] policy: GroupPolicy,
    #[case] max: u32,
    #[case] expected: &[Option<&str>],
) {
    let hosts = [host("a", 8, 8000, 100), host("b", 8, 8000, 100)];
    let expected: Vec<Option<String>> =
        expected.iter().map(|host| host.map(str::to_owned)).collect();
    assert_eq!(placed(&hosts, 3, policy, max), expected);
}

/// Filters and orders all hosts anew for every instance.
fn naive(hosts: &[HostState], spec: &RequestSpec, count: usize) -> Vec<Option<String>> {
    let mut hosts = hosts.to_vec();
    let largest = Largest::of(&hosts);
    let options = options();
    let question = Question { spec, resources: spec.resources(), options: &options };
    let mut chosen = Vec::new();
    for _ in 0..count {
        let best = hosts
            .iter_mut()
            .filter(|h| STATIC_FILTERS.iter().all(|f| (f.passes)(&question, h)))
            .filter(|h| CAPACITY_FILTERS.iter().all(|f| (f.passes)(&question, h)))
            .max_by_key(|h| score(h, &largest, None));
        chosen.push(best.map(|host| {
            host.used = host.used + question.resources;
            host.host.clone()
        }));
    }
    chosen
}

proptest! {
    #[test]
    fn the_fast_way_chooses_as_the_naive_one_and_never_overcommits(
        sizes in proptest::collection::vec((0i64..12, 0i64..8000, 0i64..80), 0..8),
        count in 1usize..30,
    ) {
        let hosts: Vec<HostState> = sizes
            .iter()
            .enumerate()
            .map(|(index, (vcpus, memory, disk))| host(&format!("h{index}"), *vcpus, *memory, *disk))
            .collect();
        let specs = vec![small(); count];
        let chosen: Vec<Option<String>> = select(&hosts, &specs, None, &options())
            .into_iter()
            .map(|answer| answer.ok().map(|selection| selection.host))
            .collect();
        prop_assert_eq!(&chosen, &naive(&hosts, &small(), count));
        for host in &hosts {
            let taken = chosen.iter().flatten().filter(|name| **name == host.host).count() as i64;
            prop_assert!(taken * 2 <= host.limit.vcpus.max(0));
            prop_assert!(taken * 1000 <= host.limit.memory_mb);
        }
    }
}
