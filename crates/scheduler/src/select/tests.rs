//! Each filter, the order, the policies; in `reference` a naive way that must agree, and in
//! `verdict` a recount of every verdict.

mod reference;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use cellzero_types::{Flavor, InstanceUuid, Networks, Resources};
use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::host::{Aggregate, GroupPolicy};

fn now() -> NaiveDateTime {
    chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap().naive_utc()
}

fn options() -> SelectOptions {
    SelectOptions {
        now: now(),
        service_down_after: Duration::from_secs(60),
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
        generation: 1,
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
        auto_retry: false,
    }
}

fn small() -> RequestSpec {
    spec(Flavor::new("1", "small", 2, 1000, 10))
}

fn snapshot(hosts: &[HostState], group: Option<&ServerGroup>) -> Snapshot {
    let group = group.cloned();
    let hosts = hosts.to_vec();
    let generation = hosts.iter().map(|host| host.generation).sum();
    Snapshot { hosts, unasked: Vec::new(), group, options: options(), generation }
}

fn choose(
    hosts: &[HostState],
    specs: &[RequestSpec],
    group: Option<&ServerGroup>,
) -> Vec<Result<Selection, Verdict>> {
    select(&snapshot(hosts, group), specs)
}

fn one(hosts: &[HostState], spec: &RequestSpec) -> Result<Selection, Verdict> {
    choose(hosts, std::slice::from_ref(spec), None).remove(0)
}

fn refusals(verdict: Verdict) -> Vec<(String, u32)> {
    let primary = &verdict.no_host().expect("hosts were asked").all.primary;
    primary.iter().map(|count| (count.refusal.code().to_owned(), count.hosts)).collect()
}

type Change = fn(&mut HostState, &mut RequestSpec);

#[rstest]
#[case::disabled("service_disabled", |host: &mut HostState, _: &mut RequestSpec| host.service_disabled = true)]
#[case::forced_down("service_down", |host: &mut HostState, _: &mut RequestSpec| host.forced_down = true)]
#[case::never_seen("service_down", |host: &mut HostState, _: &mut RequestSpec| host.last_seen_up = None)]
#[case::seen_too_long_ago("service_down", |host: &mut HostState, _: &mut RequestSpec| host.last_seen_up = Some(now() - TimeDelta::seconds(61)))]
#[case::clock_far_ahead("service_down", |host: &mut HostState, _: &mut RequestSpec| host.last_seen_up = Some(now() + TimeDelta::seconds(61)))]
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
#[case::second_zone(|host: &mut HostState, spec: &mut RequestSpec| {
    for zone in ["az1", "az2"] {
        let metadata = BTreeMap::from([("availability_zone".to_owned(), zone.to_owned())]);
        host.aggregates.push(Aggregate { name: zone.into(), metadata });
    }
    spec.availability_zone = Some("az2".into());
})]
#[case::seen_at_the_limit(|host: &mut HostState, _: &mut RequestSpec| host.last_seen_up = Some(now() - TimeDelta::seconds(60)))]
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
#[case::one_value_of_an_aggregates_list(|host: &mut HostState, spec: &mut RequestSpec| {
    let metadata = BTreeMap::from([("disk".to_owned(), "ssd, nvme".to_owned())]);
    host.aggregates.push(Aggregate { name: "fast".into(), metadata });
    spec.flavor.extra_specs.insert("aggregate_instance_extra_specs:disk".into(), "<or> tape <or> nvme".into());
})]
#[case::exactly_full(|host: &mut HostState, _: &mut RequestSpec| host.used = Resources { vcpus: 6, memory_mb: 7000, disk_gb: 90 })]
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
        [("service_down".to_owned(), 1), ("vcpus".to_owned(), 1), ("memory".to_owned(), 2)]
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

fn group(policy: GroupPolicy, max_server_per_host: u32, members: &[(&str, u32)]) -> ServerGroup {
    let members_by_host =
        members.iter().map(|(host, count)| ((*host).to_owned(), *count)).collect();
    ServerGroup { policy, max_server_per_host, members_by_host }
}

fn placed(hosts: &[HostState], count: usize, policy: GroupPolicy, max: u32) -> Vec<Option<String>> {
    let group = group(policy, max, &[]);
    let specs = vec![small(); count];
    choose(hosts, &specs, Some(&group))
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

#[test]
fn a_host_that_is_refused_does_not_change_which_other_is_chosen() {
    let mut huge = host("z", 8, 4_000_000, 100);
    huge.forced_down = true;
    let hosts = [host("a", 8, 16000, 100), host("b", 9, 8000, 100), huge];
    assert_eq!(one(&hosts[..2], &small()).unwrap().host, "a");
    assert_eq!(one(&hosts, &small()).unwrap().host, "a");
}

#[test]
fn a_batch_spreads_over_equal_hosts_and_then_fills_them() {
    let hosts = [host("a", 4, 8000, 100), host("b", 4, 8000, 100)];
    let answers = choose(&hosts, &vec![small(); 5], None);
    let chosen: Vec<&str> = answers.iter().flatten().map(|s| s.host.as_str()).collect();
    assert_eq!(chosen, ["a", "b", "a", "b"]);
    assert_eq!(refusals(answers[4].clone().unwrap_err()), [("vcpus".to_owned(), 2)]);
}

#[test]
fn a_spec_that_asks_for_something_else_is_judged_by_what_it_asks() {
    let mut big = small();
    big.flavor.vcpus = 7;
    let answers = choose(&[host("a", 8, 8000, 100)], &[small(), big, small()], None);
    assert!(answers[0].is_ok() && answers[2].is_ok());
    assert_eq!(refusals(answers[1].clone().unwrap_err()), [("vcpus".to_owned(), 1)]);
}

#[test]
fn a_host_that_the_batch_fills_is_no_alternate() {
    let hosts = [host("a", 2, 8000, 100), host("b", 2, 8000, 100)];
    let answers = choose(&hosts, &[small(), small()], None);
    assert!(answers.iter().flatten().all(|selection| selection.alternates.is_empty()));
}

#[rstest]
#[case::anti_affinity(GroupPolicy::AntiAffinity, &["c"])]
#[case::affinity(GroupPolicy::Affinity, &[])]
fn an_alternate_never_breaks_the_server_groups_policy(
    #[case] policy: GroupPolicy,
    #[case] alternates: &[&str],
) {
    let hosts = [host("a", 8, 8000, 100), host("b", 8, 8000, 100), host("c", 8, 8000, 100)];
    let group = group(policy, 1, &[]);
    for answer in choose(&hosts, &[small(), small()], Some(&group)) {
        assert_eq!(answer.unwrap().alternates, alternates);
    }
}

#[rstest]
#[case::affinity_follows(GroupPolicy::Affinity, &[("b", 1)], Some("b"))]
#[case::affinity_with_a_host_that_is_not_offered(GroupPolicy::Affinity, &[("gone", 1)], None)]
#[case::a_count_of_none_is_no_member(GroupPolicy::Affinity, &[("gone", 0)], Some("a"))]
#[case::anti_affinity_avoids(GroupPolicy::AntiAffinity, &[("a", 1)], Some("b"))]
#[case::soft_affinity_before_free_capacity(GroupPolicy::SoftAffinity, &[("c", 1)], Some("c"))]
#[case::soft_anti_affinity(GroupPolicy::SoftAntiAffinity, &[("a", 2), ("b", 1), ("c", 1)], Some("b"))]
fn members_that_stand_already_count(
    #[case] policy: GroupPolicy,
    #[case] members: &[(&str, u32)],
    #[case] expected: Option<&str>,
) {
    let hosts = [host("a", 8, 8000, 100), host("b", 8, 8000, 100), host("c", 4, 8000, 100)];
    let group = group(policy, 1, members);
    let answer = choose(&hosts, &[small()], Some(&group)).remove(0);
    assert_eq!(answer.as_ref().ok().map(|selection| selection.host.as_str()), expected);
    if let Err(verdict) = answer {
        assert_eq!(refusals(verdict), [("server_group".to_owned(), 3)]);
    }
}

#[rstest]
#[case("affinity", GroupPolicy::Affinity)]
#[case("anti-affinity", GroupPolicy::AntiAffinity)]
#[case("soft-affinity", GroupPolicy::SoftAffinity)]
#[case("soft-anti-affinity", GroupPolicy::SoftAntiAffinity)]
fn the_policies_have_novas_names(#[case] text: &str, #[case] policy: GroupPolicy) {
    assert_eq!(text.parse::<GroupPolicy>(), Ok(policy));
    assert_eq!(text.to_uppercase().parse::<GroupPolicy>().unwrap_err().field, "policy");
}
