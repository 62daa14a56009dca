//! A naive way to the same answer: every host is judged and weighed anew for every spec, by code
//! that shares nothing with the fast way. Random inputs must get the same answers from both.

use proptest::prelude::*;

use super::*;

/// What the naive way answers: the host and its alternates, or how many hosts each filter refused.
type Answer = Result<(String, Vec<String>), Vec<(String, u32)>>;

fn refusing_filter(
    host: &HostState,
    spec: &RequestSpec,
    group: Option<&ServerGroup>,
) -> Option<&'static str> {
    let (free, wanted) = (host.free(), spec.resources());
    let members = group.map_or(0, |group| group.members_on(&host.host));
    let allowed = match group.map(|group| group.policy) {
        Some(GroupPolicy::Affinity) => {
            members > 0 || group.unwrap().members_by_host.values().sum::<u32>() == 0
        }
        Some(GroupPolicy::AntiAffinity) => members < group.unwrap().max_server_per_host,
        _ => true,
    };
    let refusals = [
        ("service_disabled", host.service_disabled),
        ("forced_host", spec.force_host.as_ref().is_some_and(|forced| *forced != host.host)),
        ("vcpus", wanted.vcpus > free.vcpus),
        ("memory", wanted.memory_mb > free.memory_mb),
        ("disk", wanted.disk_gb > free.disk_gb),
        ("server_group", !allowed),
    ];
    refusals.into_iter().find(|(_, refused)| *refused).map(|(filter, _)| filter)
}

fn passing(hosts: &[HostState], spec: &RequestSpec, group: Option<&ServerGroup>) -> Vec<HostState> {
    hosts.iter().filter(|host| refusing_filter(host, spec, group).is_none()).cloned().collect()
}

/// The hosts that pass, the best first; `measure` are those that passed when the round began.
fn ranked(
    hosts: &[HostState],
    measure: &[HostState],
    spec: &RequestSpec,
    group: Option<&ServerGroup>,
) -> Vec<HostState> {
    let weight = |host: &HostState, of: fn(&Resources) -> i64| {
        let largest = measure.iter().map(|host| of(&host.limit)).max().unwrap_or(1).max(1);
        i128::from(of(&host.free())) * i128::from((1_i64 << 60) / largest)
    };
    let preference = |host: &HostState| {
        let members = i64::from(group.map_or(0, |group| group.members_on(&host.host)));
        match group.map(|group| group.policy) {
            Some(GroupPolicy::SoftAffinity) => members,
            Some(GroupPolicy::SoftAntiAffinity) => -members,
            _ => 0,
        }
    };
    let mut ranked = passing(hosts, spec, group);
    ranked.sort_by_key(|host| {
        let free =
            weight(host, |r| r.vcpus) + weight(host, |r| r.memory_mb) + weight(host, |r| r.disk_gb);
        (-preference(host), -free, host.host.clone())
    });
    ranked
}

fn naive_round(
    hosts: &mut [HostState],
    spec: &RequestSpec,
    count: usize,
    group: &mut Option<ServerGroup>,
) -> Vec<Answer> {
    let measure = passing(hosts, spec, group.as_ref());
    let mut chosen = Vec::new();
    for _ in 0..count {
        let Some(best) = ranked(hosts, &measure, spec, group.as_ref()).into_iter().next() else {
            let mut counts: Vec<(String, u32)> = Vec::new();
            for filter in
                ["service_disabled", "forced_host", "vcpus", "memory", "disk", "server_group"]
            {
                let refused = hosts
                    .iter()
                    .filter(|host| refusing_filter(host, spec, group.as_ref()) == Some(filter))
                    .count() as u32;
                counts.extend((refused > 0).then(|| (filter.to_owned(), refused)));
            }
            chosen.push(Err(counts));
            continue;
        };
        let host = hosts.iter_mut().find(|host| host.host == best.host).unwrap();
        host.used = host.used + spec.resources();
        if let Some(group) = group {
            *group.members_by_host.entry(best.host.clone()).or_insert(0) += 1;
        }
        chosen.push(Ok(best));
    }
    let left = ranked(hosts, &measure, spec, group.as_ref());
    let with_alternates = |best: HostState| {
        let others = left.iter().filter(|other| other.cell == best.cell && other.host != best.host);
        let alternates = others.take(2).map(|other| other.host.clone()).collect();
        (best.host, alternates)
    };
    chosen.into_iter().map(|answer| answer.map(with_alternates)).collect()
}

fn naive(
    hosts: &[HostState],
    specs: &[RequestSpec],
    mut group: Option<ServerGroup>,
) -> Vec<Answer> {
    let mut hosts = hosts.to_vec();
    let rounds = specs.chunk_by(|one, other| one == other);
    rounds.flat_map(|alike| naive_round(&mut hosts, &alike[0], alike.len(), &mut group)).collect()
}

fn fast(hosts: &[HostState], specs: &[RequestSpec], group: Option<&ServerGroup>) -> Vec<Answer> {
    choose(hosts, specs, group)
        .into_iter()
        .map(|answer| match answer {
            Ok(selection) => Ok((selection.host, selection.alternates)),
            Err(verdict) => Err(refusals(verdict)),
        })
        .collect()
}

prop_compose! {
    /// Few different sizes, so that ties happen; some hosts have promised too much already.
    fn any_host(index: usize)(
        vcpus in 0i64..12,
        memory_thousands in 0i64..9,
        disk_tens in 0i64..9,
        used in 0i64..3,
        cell in 1u128..4,
        service_disabled in proptest::bool::weighted(0.1),
    ) -> HostState {
        let mut host = host(&format!("h{index}"), vcpus, memory_thousands * 1000, disk_tens * 10);
        host.used = Resources { vcpus: used, memory_mb: used * 900, disk_gb: used };
        host.cell = CellUuid(Uuid::from_u128(cell));
        host.service_disabled = service_disabled;
        host
    }
}

fn any_hosts() -> impl Strategy<Value = Vec<HostState>> {
    (0usize..9).prop_flat_map(|count| (0..count).map(any_host).collect::<Vec<_>>())
}

prop_compose! {
    /// A stretch of equal specs.
    fn any_round()(
        vcpus in 1i32..4,
        memory_mb in prop_oneof![Just(500), Just(1000), Just(3000)],
        root_gb in 0i32..30,
        is_boot_from_volume in any::<bool>(),
        forced in proptest::option::weighted(0.1, 0usize..9),
        count in 1usize..12,
    ) -> Vec<RequestSpec> {
        let mut spec = spec(Flavor::new("1", "any", vcpus, memory_mb, root_gb));
        spec.is_boot_from_volume = is_boot_from_volume;
        spec.force_host = forced.map(|index| format!("h{index}"));
        vec![spec; count]
    }
}

fn any_specs() -> impl Strategy<Value = Vec<RequestSpec>> {
    proptest::collection::vec(any_round(), 1..4).prop_map(|rounds| rounds.concat())
}

prop_compose! {
    fn any_group()(
        policy in proptest::sample::select(vec![
            GroupPolicy::Affinity,
            GroupPolicy::AntiAffinity,
            GroupPolicy::SoftAffinity,
            GroupPolicy::SoftAntiAffinity,
        ]),
        max_server_per_host in 1u32..4,
        // h9 and h10 are never offered.
        members in proptest::collection::vec((0usize..11, 0u32..3), 0..3),
    ) -> ServerGroup {
        let members_by_host =
            members.into_iter().map(|(index, count)| (format!("h{index}"), count)).collect();
        ServerGroup { policy, max_server_per_host, members_by_host }
    }
}

proptest! {
    #[test]
    fn the_fast_way_answers_as_the_naive_one(
        hosts in any_hosts(),
        specs in any_specs(),
        group in proptest::option::of(any_group()),
    ) {
        prop_assert_eq!(fast(&hosts, &specs, group.as_ref()), naive(&hosts, &specs, group));
    }

    #[test]
    fn the_order_of_the_hosts_changes_nothing(
        hosts in any_hosts(),
        specs in any_specs(),
        group in proptest::option::of(any_group()),
    ) {
        let mut backwards = hosts.clone();
        backwards.reverse();
        let group = group.as_ref();
        prop_assert_eq!(fast(&hosts, &specs, group), fast(&backwards, &specs, group));
    }

    #[test]
    fn no_host_is_overcommitted_and_the_counts_add_up(
        hosts in any_hosts(),
        specs in any_specs(),
        group in proptest::option::of(any_group()),
    ) {
        let answers = fast(&hosts, &specs, group.as_ref());
        prop_assert_eq!(answers.len(), specs.len());
        for counts in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            let sum: u32 = counts.iter().map(|(_, refused)| refused).sum();
            prop_assert_eq!(sum as usize, hosts.len());
        }
        for host in &hosts {
            let taken: Vec<Resources> = answers
                .iter()
                .zip(&specs)
                .filter(|(answer, _)| answer.as_ref().is_ok_and(|(name, _)| *name == host.host))
                .map(|(_, spec)| spec.resources())
                .collect();
            if !taken.is_empty() {
                prop_assert!(taken.into_iter().sum::<Resources>().fits_in(&host.free()));
            }
        }
    }
}
