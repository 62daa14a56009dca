//! Why no host can take an instance: all filters on every host.

use std::collections::BTreeMap;

use cellzero_types::{
    CellRefusals, CellUuid, NoHost, Refusal, RefusalCount, Refusals, Shortfall, UnaskedCell,
};

use crate::filters::{Candidate, Question, RefusalSet};
use crate::nearest;

/// Why none of the candidates passes. n hosts cost n for the counts; the changes that would fit
/// are looked for among those that one or two reasons refuse.
pub(crate) fn explain(
    question: &Question<'_>,
    candidates: &[Candidate<'_>],
    unasked: &[UnaskedCell],
) -> NoHost {
    let mut all = Tally::default();
    let mut cells: BTreeMap<CellUuid, Tally<'_>> = BTreeMap::new();
    let mut refused = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let set = RefusalSet::of(question, candidate);
        all.add(candidate, set);
        cells.entry(candidate.host.cell).or_default().add(candidate, set);
        refused.push((candidate, set));
    }
    let cells = cells
        .into_iter()
        .map(|(cell, tally)| CellRefusals { cell, refusals: tally.refusals(question) });
    NoHost {
        all: all.refusals(question),
        cells: cells.collect(),
        unasked: unasked.to_vec(),
        suggestions: nearest::suggestions(question, &refused),
    }
}

/// The counts while they grow.
#[derive(Default)]
struct Tally<'a> {
    hosts: u32,
    primary: [u32; Refusal::ALL.len()],
    every: [u32; Refusal::ALL.len()],
    /// The most that is free under each primary reason, and where.
    best: [Option<(i64, &'a str)>; Refusal::ALL.len()],
}

impl<'a> Tally<'a> {
    fn add(&mut self, candidate: &Candidate<'a>, set: RefusalSet) {
        self.hosts += 1;
        for refusal in set.iter() {
            self.every[refusal as usize] += 1;
        }
        let Some(primary) = set.iter().next() else { return };
        self.primary[primary as usize] += 1;
        if let Some(free) = primary.amount(&candidate.free) {
            let best = &mut self.best[primary as usize];
            let host = candidate.host.host.as_str();
            if best.is_none_or(|(most, name)| free > most || free == most && host < name) {
                *best = Some((free, host));
            }
        }
    }

    fn refusals(&self, question: &Question<'_>) -> Refusals {
        let counts = |hosts: &[u32; Refusal::ALL.len()]| {
            let counts = Refusal::ALL.into_iter().zip(*hosts);
            let counts = counts.filter(|(_, hosts)| *hosts > 0);
            counts.map(|(refusal, hosts)| RefusalCount { refusal, hosts }).collect()
        };
        let shortfall = |refusal: Refusal| {
            let (best, host) = self.best[refusal as usize]?;
            let asked = refusal.amount(&question.resources)?;
            Some(Shortfall { refusal, asked, best, missing: asked - best, host: host.to_owned() })
        };
        Refusals {
            hosts: self.hosts,
            primary: counts(&self.primary),
            every: counts(&self.every),
            shortfalls: Refusal::ALL.into_iter().filter_map(shortfall).collect(),
        }
    }
}
