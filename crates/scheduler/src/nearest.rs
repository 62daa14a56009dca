//! The nearest miss: the least changes of a request with which some host would take it.
//!
//! A host that exactly one reason refuses takes the instance once that reason is gone; one that two
//! refuse, once both are. Two changes are named only where neither of them does alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use cellzero_types::{Change, Refusal, Suggestion};

use crate::filters::{self, Candidate, Question, RefusalSet};

/// A candidate with all that refuses it.
type Refused<'a> = (&'a Candidate<'a>, RefusalSet);

/// The least change for each reason alone, then for pairs of those that have none alone.
pub(crate) fn suggestions(question: &Question<'_>, refused: &[Refused<'_>]) -> Vec<Suggestion> {
    let near: Vec<Refused<'_>> =
        refused.iter().filter(|(_, set)| set.len() <= 2).copied().collect();
    let mut found: Vec<Suggestion> = Vec::new();
    let mut have_one: Vec<Refusal> = Vec::new();
    for refusal in Refusal::ALL {
        if let Some(suggestion) = least(question, &near, &[refusal]) {
            found.push(suggestion);
            have_one.push(refusal);
        }
    }
    let others: Vec<Refusal> =
        Refusal::ALL.into_iter().filter(|refusal| !have_one.contains(refusal)).collect();
    for (index, one) in others.iter().enumerate() {
        for other in &others[index + 1..] {
            found.extend(least(question, &near, &[*one, *other]));
        }
    }
    found
}

/// The best of the changes that are the same but for their sizes.
struct Kind {
    /// How much of what was asked is left, in billionths of each size, and the sizes themselves.
    kept: (i128, Vec<i64>),
    changes: Vec<Change>,
    /// How many hosts would take one of these.
    hosts: u32,
}

/// The least change that does away with just these reasons: of wishes the fewest, then the largest
/// sizes, then what most hosts would take.
fn least(question: &Question<'_>, near: &[Refused<'_>], reasons: &[Refusal]) -> Option<Suggestion> {
    let exactly: RefusalSet = reasons.iter().copied().collect();
    let mut kinds: BTreeMap<Vec<Change>, Kind> = BTreeMap::new();
    for (candidate, _) in near.iter().filter(|(_, set)| *set == exactly) {
        for changes in changes_for(question, candidate, reasons) {
            let kept = kept(question, reasons, &changes);
            let kind = changes.iter().map(without_size).collect();
            let best = kinds.entry(kind).or_insert_with(|| Kind {
                kept: kept.clone(),
                changes: changes.clone(),
                hosts: 0,
            });
            best.hosts += 1;
            if kept > best.kept {
                (best.kept, best.changes) = (kept, changes);
            }
        }
    }
    let dropped = |kind: &[Change]| kind.iter().map(Change::wishes_dropped).sum::<usize>();
    let (_, best) = kinds.into_iter().max_by(|(a, one), (b, other)| {
        let rank =
            |changes, kind: &Kind| (Reverse(dropped(changes)), kind.kept.clone(), kind.hosts);
        // The first of the alphabet wins a tie.
        rank(a, one).cmp(&rank(b, other)).then_with(|| b.cmp(a))
    })?;
    let hosts = count_with(question, near, exactly, &best.changes);
    Some(Suggestion { changes: best.changes, hosts })
}

/// Every choice of one change for each reason that makes this host pass; none where a reason is not
/// the request's to change, or no size is left.
fn changes_for(
    question: &Question<'_>,
    candidate: &Candidate<'_>,
    reasons: &[Refusal],
) -> Vec<Vec<Change>> {
    let mut all = vec![Vec::new()];
    for reason in reasons {
        let choices = changes_of(question, candidate, *reason);
        all = all
            .into_iter()
            .flat_map(|chosen: Vec<Change>| {
                choices.iter().map(move |choice| {
                    let mut chosen = chosen.clone();
                    chosen.push(choice.clone());
                    chosen
                })
            })
            .collect();
    }
    all
}

fn changes_of(question: &Question<'_>, candidate: &Candidate<'_>, reason: Refusal) -> Vec<Change> {
    let (host, free) = (candidate.host, &candidate.free);
    match reason {
        Refusal::AvailabilityZone => {
            let zones: BTreeSet<&str> = filters::zones(question.options, host).collect();
            zones.into_iter().map(|zone| Change::Zone { zone: zone.to_owned() }).collect()
        }
        Refusal::ForcedHost => vec![Change::AnyHost],
        Refusal::Traits => {
            let wishes = question.traits.iter().filter(|wish| !filters::has_trait(host, **wish));
            let traits = wishes.map(|(name, _)| (*name).to_owned()).collect();
            vec![Change::WithoutTraits { traits }]
        }
        Refusal::Aggregate => {
            let wishes = question.metadata.iter();
            let wishes = wishes.filter(|wish| !filters::has_metadata(host, **wish));
            let keys = wishes.map(|(key, _)| (*key).to_owned()).collect();
            vec![Change::WithoutAggregateMetadata { keys }]
        }
        // The least that a flavor may have.
        Refusal::Vcpus if free.vcpus >= 1 => vec![Change::Vcpus { at_most: free.vcpus }],
        Refusal::Memory if free.memory_mb >= 1 => vec![Change::Memory { at_most: free.memory_mb }],
        Refusal::Disk if free.disk_gb >= 0 => vec![Change::Disk { at_most: free.disk_gb }],
        Refusal::ServerGroup => vec![Change::WithoutServerGroup],
        // A host that is down or disabled is not the request's to change.
        _ => Vec::new(),
    }
}

/// A change without its size: what two of a kind have in common.
fn without_size(change: &Change) -> Change {
    match change {
        Change::Vcpus { .. } => Change::Vcpus { at_most: 0 },
        Change::Memory { .. } => Change::Memory { at_most: 0 },
        Change::Disk { .. } => Change::Disk { at_most: 0 },
        other => other.clone(),
    }
}

fn kept(question: &Question<'_>, reasons: &[Refusal], changes: &[Change]) -> (i128, Vec<i64>) {
    const BILLION: i128 = 1_000_000_000;
    let sizes = reasons.iter().zip(changes).filter_map(|(reason, change)| match change {
        Change::Vcpus { at_most } | Change::Memory { at_most } | Change::Disk { at_most } => {
            Some((*at_most, reason.amount(&question.resources)?))
        }
        _ => None,
    });
    let sizes: Vec<(i64, i64)> = sizes.collect();
    let shares = sizes
        .iter()
        .map(|(left, asked)| (i128::from(*left) * BILLION).div_euclid(i128::from(*asked).max(1)));
    (shares.sum(), sizes.iter().map(|(left, _)| *left).collect())
}

/// How many hosts pass with these changes: found by asking all filters again.
fn count_with(
    question: &Question<'_>,
    near: &[Refused<'_>],
    reasons: RefusalSet,
    changes: &[Change],
) -> u32 {
    let mut spec = question.spec.clone();
    changes.iter().for_each(|change| change.apply(&mut spec));
    let group = question.group.filter(|_| !changes.contains(&Change::WithoutServerGroup));
    let changed = Question::new(&spec, question.options, group, question.group_has_members);
    let may_pass = near.iter().filter(|(_, set)| set.is_within(reasons));
    let passing = may_pass.filter(|(candidate, _)| filters::passes(&changed, candidate));
    u32::try_from(passing.count()).unwrap_or(u32::MAX)
}
