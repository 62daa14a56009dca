//! Every verdict, recounted by code that shares nothing with the filters: who was refused and why,
//! what is missing, and that what it suggests would work, and nothing less would.

use cellzero_types::{Change, NoHost, Refusal, Refusals, Suggestion};
use proptest::prelude::*;
use proptest::sample::{select as any_of, subsequence};

use super::*;

const TRAITS: [&str; 3] = ["SSD", "AVX", "GPU"];
const KEYS: [&str; 2] = ["rack", "pool"];
const ZONES: [&str; 3] = ["az1", "az2", "nova"];

prop_compose! {
    fn any_host(index: usize)(
        cell in 1u128..4,
        size in (0i64..6, 0i64..6, 0i64..6),
        used in 0i64..3,
        seen_seconds_ago in proptest::option::weighted(0.9, any_of(vec![0, 59, 61])),
        flags in (proptest::bool::weighted(0.1), proptest::bool::weighted(0.1)),
        traits in subsequence(TRAITS.to_vec(), 0..=3),
        zone in proptest::option::of(any_of(vec!["az1", "az2", "az1,az2"])),
        metadata in subsequence(KEYS.to_vec(), 0..=2),
    ) -> HostState {
        let mut host = host(&format!("h{index}"), size.0, size.1 * 500, size.2 * 10);
        host.cell = CellUuid(Uuid::from_u128(cell));
        host.used = Resources { vcpus: used, memory_mb: used * 300, disk_gb: used };
        host.last_seen_up = seen_seconds_ago.map(|seconds| now() - TimeDelta::seconds(seconds));
        (host.service_disabled, host.forced_down) = flags;
        host.traits = traits.into_iter().map(str::to_owned).collect();
        let zone = zone.map(|zone| ("availability_zone", zone));
        for (key, value) in metadata.into_iter().map(|key| (key, "fast")).chain(zone) {
            let metadata = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            host.aggregates.push(Aggregate { name: key.to_owned(), metadata });
        }
        host
    }
}

fn any_hosts() -> impl Strategy<Value = Vec<HostState>> {
    (0usize..12).prop_flat_map(|count| (0..count).map(any_host).collect::<Vec<_>>())
}

prop_compose! {
    /// Hard to please, so that most are buried.
    fn any_spec()(
        size in (1i32..7, 1i32..2_500, 0i32..45, 0i32..15, 0i32..3_000),
        is_boot_from_volume in any::<bool>(),
        zone in proptest::option::of(any_of(ZONES.to_vec())),
        forced in proptest::option::weighted(0.2, 0usize..12),
        required in subsequence(TRAITS.to_vec(), 0..=2),
        forbidden in proptest::option::weighted(0.2, any_of(TRAITS.to_vec())),
        keys in subsequence(KEYS.to_vec(), 0..=2),
    ) -> RequestSpec {
        let (vcpus, memory_mb, root_gb, ephemeral_gb, swap) = size;
        let mut spec = spec(Flavor::new("1", "any", vcpus, memory_mb, root_gb));
        (spec.flavor.ephemeral_gb, spec.flavor.swap) = (ephemeral_gb, swap);
        spec.is_boot_from_volume = is_boot_from_volume;
        spec.availability_zone = zone.map(str::to_owned);
        spec.force_host = forced.map(|index| format!("h{index}"));
        let required = required.into_iter().map(|name| (name, "required"));
        for (name, wish) in required.chain(forbidden.map(|name| (name, "forbidden"))) {
            spec.flavor.extra_specs.insert(format!("trait:{name}"), wish.to_owned());
        }
        for key in keys {
            let key = format!("aggregate_instance_extra_specs:{key}");
            spec.flavor.extra_specs.insert(key, "fast".to_owned());
        }
        spec
    }
}

prop_compose! {
    fn any_group()(
        policy in any_of(vec![GroupPolicy::Affinity, GroupPolicy::AntiAffinity]),
        members in proptest::collection::vec((0usize..13, 0u32..3), 0..5),
    ) -> ServerGroup {
        let members = members.into_iter().map(|(index, count)| (format!("h{index}"), count));
        ServerGroup { policy, max_server_per_host: 1, members_by_host: members.collect() }
    }
}

/// All that is wrong with a host, read off it anew.
fn wrong(host: &HostState, spec: &RequestSpec, group: Option<&ServerGroup>) -> Vec<Refusal> {
    let metadata = |key: &str| {
        let values = host.aggregates.iter().filter_map(|one| one.metadata.get(key).cloned());
        values.collect::<Vec<_>>().join(",")
    };
    let zones = match metadata("availability_zone") {
        none if none.is_empty() => "nova".to_owned(),
        some => some,
    };
    let seen = host.last_seen_up.map(|seen| (now() - seen).num_seconds());
    let extra_specs = &spec.flavor.extra_specs;
    let wish = |name: &str| extra_specs.get(&format!("trait:{name}")).map(String::as_str);
    let has_trait = |name: &str| match wish(name) {
        Some("required") => host.traits.contains(name),
        Some("forbidden") => !host.traits.contains(name),
        _ => true,
    };
    let has_key = |key: &str| {
        let asked = extra_specs.contains_key(&format!("aggregate_instance_extra_specs:{key}"));
        !asked || metadata(key) == "fast"
    };
    let members = group.map_or(0, |group| group.members_on(&host.host));
    let shut_out = match group.map(|group| group.policy) {
        Some(GroupPolicy::Affinity) => {
            members == 0 && group.unwrap().members_by_host.values().any(|count| *count > 0)
        }
        Some(GroupPolicy::AntiAffinity) => members >= 1,
        _ => false,
    };
    let (free, asked) = (host.free(), spec.resources());
    let all = [
        (Refusal::ServiceDown, host.forced_down || seen.is_none_or(|seconds| seconds > 60)),
        (Refusal::ServiceDisabled, host.service_disabled),
        (
            Refusal::AvailabilityZone,
            spec.availability_zone
                .as_ref()
                .is_some_and(|zone| !zones.split(',').any(|z| z == zone)),
        ),
        (Refusal::ForcedHost, spec.force_host.as_ref().is_some_and(|name| *name != host.host)),
        (Refusal::Traits, !TRAITS.iter().all(|name| has_trait(name))),
        (Refusal::Aggregate, !KEYS.iter().all(|key| has_key(key))),
        (Refusal::Vcpus, asked.vcpus > free.vcpus),
        (Refusal::Memory, asked.memory_mb > free.memory_mb),
        (Refusal::Disk, asked.disk_gb > free.disk_gb),
        (Refusal::ServerGroup, shut_out),
    ];
    all.into_iter().filter(|(_, is_wrong)| *is_wrong).map(|(refusal, _)| refusal).collect()
}

/// The counts of these hosts must be as recounted.
fn recount(
    refusals: &Refusals,
    hosts: &[&HostState],
    spec: &RequestSpec,
    group: Option<&ServerGroup>,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(refusals.hosts as usize, hosts.len());
    let sum: u32 = refusals.primary.iter().map(|count| count.hosts).sum();
    prop_assert_eq!(sum, refusals.hosts);
    let wrongs: Vec<(&HostState, Vec<Refusal>)> =
        hosts.iter().map(|host| (*host, wrong(host, spec, group))).collect();
    for refusal in Refusal::ALL {
        let counted = |counts: &[cellzero_types::RefusalCount]| {
            counts.iter().find(|count| count.refusal == refusal).map_or(0, |count| count.hosts)
        };
        let every = wrongs.iter().filter(|(_, wrong)| wrong.contains(&refusal)).count();
        prop_assert_eq!(counted(&refusals.every) as usize, every);
        let primary: Vec<&HostState> = wrongs
            .iter()
            .filter(|(_, wrong)| wrong.first() == Some(&refusal))
            .map(|(host, _)| *host)
            .collect();
        prop_assert_eq!(counted(&refusals.primary) as usize, primary.len());
        let most = primary.iter().filter_map(|host| refusal.amount(&host.free())).max();
        let shortfall = refusals.shortfalls.iter().find(|one| one.refusal == refusal);
        prop_assert_eq!(shortfall.map(|one| one.best), most);
        if let Some(one) = shortfall {
            prop_assert_eq!(Some(one.asked), refusal.amount(&spec.resources()));
            prop_assert_eq!(one.missing, one.asked - one.best);
            prop_assert!(one.missing > 0);
            let named = primary.iter().find(|host| host.host == one.host).unwrap();
            prop_assert_eq!(refusal.amount(&named.free()), most);
        }
    }
    Ok(())
}

/// How many hosts would take the request with these changes.
fn takers(
    hosts: &[HostState],
    spec: &RequestSpec,
    group: Option<&ServerGroup>,
    changes: &[Change],
) -> usize {
    let mut spec = spec.clone();
    changes.iter().for_each(|change| change.apply(&mut spec));
    let group = group.filter(|_| !changes.contains(&Change::WithoutServerGroup));
    let takers = hosts.iter().filter(|host| wrong(host, &spec, group).is_empty()).count();
    // And the decision says the same.
    assert_eq!(choose(hosts, &[spec], group)[0].is_ok(), takers > 0);
    takers
}

/// Every change of the same kind that asks less of the user.
fn smaller(change: &Change, spec: &RequestSpec) -> Vec<Change> {
    let without = |names: &BTreeSet<String>, make: fn(BTreeSet<String>) -> Change| {
        let less = |name: &String| {
            let mut less = names.clone();
            less.remove(name);
            make(less)
        };
        names.iter().map(less).collect()
    };
    let asked = spec.resources();
    match change {
        Change::Vcpus { at_most } => {
            (at_most + 1..asked.vcpus).map(|at_most| Change::Vcpus { at_most }).collect()
        }
        Change::Memory { at_most } => {
            (at_most + 1..asked.memory_mb).map(|at_most| Change::Memory { at_most }).collect()
        }
        Change::Disk { at_most } => {
            (at_most + 1..asked.disk_gb).map(|at_most| Change::Disk { at_most }).collect()
        }
        Change::WithoutTraits { traits } => {
            without(traits, |traits| Change::WithoutTraits { traits })
        }
        Change::WithoutAggregateMetadata { keys } => {
            without(keys, |keys| Change::WithoutAggregateMetadata { keys })
        }
        _ => Vec::new(),
    }
}

fn reason_of(change: &Change) -> Refusal {
    match change {
        Change::Vcpus { .. } => Refusal::Vcpus,
        Change::Memory { .. } => Refusal::Memory,
        Change::Disk { .. } => Refusal::Disk,
        Change::Zone { .. } => Refusal::AvailabilityZone,
        Change::AnyHost => Refusal::ForcedHost,
        Change::WithoutTraits { .. } => Refusal::Traits,
        Change::WithoutAggregateMetadata { .. } => Refusal::Aggregate,
        Change::WithoutServerGroup => Refusal::ServerGroup,
        other => panic!("{other:?} is no change of one instance"),
    }
}

/// Whether a request can be changed so that this reason no longer refuses this host.
fn can_be_helped(refusal: Refusal, host: &HostState) -> bool {
    match refusal {
        Refusal::ServiceDown | Refusal::ServiceDisabled => false,
        Refusal::Disk => host.free().disk_gb >= 0,
        _ => refusal.amount(&host.free()).is_none_or(|free| free >= 1),
    }
}

/// What is suggested works, nothing less does, and nothing is left unsaid.
fn judge(
    suggestions: &[Suggestion],
    hosts: &[HostState],
    spec: &RequestSpec,
    group: Option<&ServerGroup>,
) -> Result<(), TestCaseError> {
    let mut reasons: Vec<Vec<Refusal>> = Vec::new();
    for Suggestion { changes, hosts: would } in suggestions {
        prop_assert_eq!(takers(hosts, spec, group, changes), *would as usize, "{:?}", changes);
        prop_assert!(*would > 0);
        for (index, change) in changes.iter().enumerate() {
            for less in smaller(change, spec) {
                let mut changes = changes.clone();
                changes[index] = less;
                prop_assert_eq!(takers(hosts, spec, group, &changes), 0, "{:?}", changes);
            }
            if changes.len() > 1 {
                let mut fewer = changes.clone();
                fewer.remove(index);
                prop_assert_eq!(takers(hosts, spec, group, &fewer), 0, "{:?}", fewer);
            }
        }
        reasons.push(changes.iter().map(reason_of).collect());
    }
    for host in hosts {
        let wrong = wrong(host, spec, group);
        if wrong.len() <= 2 && wrong.iter().all(|refusal| can_be_helped(*refusal, host)) {
            let is_said = |said: &Vec<Refusal>| said.iter().all(|reason| wrong.contains(reason));
            let alone = |said: &&Vec<Refusal>| said.len() == 1;
            // Two that could be helped together need not be said where one of them can alone.
            let said = reasons.iter().any(is_said)
                || wrong.len() == 2
                    && reasons.iter().filter(alone).any(|said| wrong.contains(&said[0]));
            prop_assert!(said, "{} could have taken it: {:?}", host.host, wrong);
        }
    }
    Ok(())
}

fn no_host(answer: &Result<Selection, Verdict>) -> Option<NoHost> {
    answer.as_ref().err().map(|verdict| verdict.no_host().expect("hosts were asked").clone())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_verdict_is_right_by_recount(
        hosts in any_hosts(),
        spec in any_spec(),
        group in proptest::option::weighted(0.3, any_group()),
    ) {
        let group = group.as_ref();
        let answer = choose(&hosts, std::slice::from_ref(&spec), group).remove(0);
        let takers = takers(&hosts, &spec, group, &[]);
        prop_assert_eq!(answer.is_ok(), takers > 0);
        let Some(no_host) = no_host(&answer) else { return Ok(()) };
        let all: Vec<&HostState> = hosts.iter().collect();
        recount(&no_host.all, &all, &spec, group)?;
        let cells: BTreeSet<CellUuid> = hosts.iter().map(|host| host.cell).collect();
        let said: Vec<CellUuid> = no_host.cells.iter().map(|cell| cell.cell).collect();
        prop_assert_eq!(&said, &cells.into_iter().collect::<Vec<_>>());
        for cell in &no_host.cells {
            let of_cell: Vec<&HostState> =
                hosts.iter().filter(|host| host.cell == cell.cell).collect();
            recount(&cell.refusals, &of_cell, &spec, group)?;
        }
        judge(&no_host.suggestions, &hosts, &spec, group)?;
    }

    #[test]
    fn as_many_fit_as_are_placed(
        hosts in any_hosts(),
        spec in any_spec(),
        group in proptest::option::of(any_group()),
    ) {
        let most = 40;
        let placed = choose(&hosts, &vec![spec.clone(); most as usize], group.as_ref());
        let fit = how_many_fit(&snapshot(&hosts, group.as_ref()), &spec, most);
        let mut by_cell: BTreeMap<CellUuid, u32> = BTreeMap::new();
        for selection in placed.iter().flatten() {
            *by_cell.entry(selection.cell).or_default() += 1;
        }
        prop_assert_eq!(fit.instances, by_cell.values().sum::<u32>());
        prop_assert_eq!(fit.by_cell, by_cell);
        prop_assert_eq!(fit.next.as_ref(), placed.iter().find_map(|one| one.as_ref().err()));
    }

    #[test]
    fn a_snapshot_that_was_kept_gives_the_same_decision_to_the_last_bit(
        hosts in any_hosts(),
        specs in proptest::collection::vec(any_spec(), 1..4),
        group in proptest::option::of(any_group()),
    ) {
        let again = Snapshot::decode(&snapshot(&hosts, group.as_ref()).encode()).unwrap();
        let now = select(&snapshot(&hosts, group.as_ref()), &specs);
        let later = select(&again, &specs);
        prop_assert_eq!(&now, &later);
        for (one, other) in now.iter().zip(&later) {
            let json = |answer: &Result<Selection, Verdict>| {
                answer.as_ref().err().map(Verdict::to_json)
            };
            prop_assert_eq!(json(one), json(other));
        }
    }

    #[test]
    fn a_verdict_is_replayed_from_what_was_kept(
        hosts in any_hosts(),
        spec in any_spec(),
        count in 1usize..9,
        min_count in proptest::option::of(1u32..9),
        group in proptest::option::of(any_group()),
    ) {
        let specs = vec![spec; count];
        let snapshot = snapshot(&hosts, group.as_ref());
        let answers = select(&snapshot, &specs);
        let fit = answers.iter().filter(|answer| answer.is_ok()).count() as u32;
        let reached = answers.into_iter().find_map(Result::err).map(|verdict| match min_count {
            Some(min_count) => verdict.of_group(fit, min_count),
            None => verdict,
        });
        let asked = crate::Asked { min_count, ..crate::Asked::of(&specs).unwrap() };
        let asked = serde_json::from_str(&serde_json::json!(asked).to_string()).unwrap();
        let again = crate::replay(&Snapshot::decode(&snapshot.encode()).unwrap(), &asked);
        let json = |verdict: Option<Verdict>| verdict.map(|verdict| verdict.to_json());
        prop_assert_eq!(json(again), json(reached));
    }

    #[test]
    fn a_project_sees_no_host_and_no_cell(hosts in any_hosts(), spec in any_spec()) {
        let mut hosts = hosts;
        for host in &mut hosts {
            host.host = format!("secret-{}", host.host);
        }
        let answer = choose(&hosts, &[spec], None).remove(0);
        let Err(verdict) = answer else { return Ok(()) };
        let seen = verdict.for_project();
        for text in [seen.to_json(), seen.to_string(), seen.admin_sentence(), verdict.to_string()] {
            prop_assert!(!text.contains("secret"), "{}", text);
            prop_assert!(hosts.iter().all(|host| !text.contains(&host.cell.to_string())), "{}", text);
        }
    }
}

#[test]
fn cells_that_were_not_asked_are_named() {
    use cellzero_types::{NotAsked, UnaskedCell};
    let cell = CellUuid(Uuid::from_u128(2));
    let mut snapshot = snapshot(&[], None);
    snapshot.unasked = vec![UnaskedCell { cell, why: NotAsked::CellDisabled, hosts: 3 }];
    let answer = select(&snapshot, &[small()]).remove(0);
    assert_eq!(no_host(&answer).unwrap().unasked, snapshot.unasked);
}
