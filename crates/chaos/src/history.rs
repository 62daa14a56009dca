//! The history: what clients were told about each instance, and what contradicts it.
//!
//! A clock of its own orders what happens: an operation knows when it began, so that only what was
//! certain before it began, or is still certain after it ended, is held against its answer. What
//! failed in a database is unknown, and holds nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cellzero::InstanceUuid;
use rand::RngExt as _;

/// A moment of the history.
pub(crate) type Moment = u64;

/// The most violations that are kept; a broken plane has no end of them.
const VIOLATIONS_MAX: usize = 200;

/// What is known of an instance.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) project: String,
    /// When it was known to be accepted.
    pub(crate) accepted: Moment,
    /// When its delete was asked first.
    pub(crate) asked: Option<Moment>,
    /// When a delete had answered that it is gone.
    pub(crate) deleted: Option<Moment>,
    /// Whether it has a volume; not known of one whose boot had no answer.
    pub(crate) volume: Option<bool>,
}

impl Known {
    /// Whether it must be found.
    pub(crate) fn must_be_found(&self) -> bool {
        self.asked.is_none()
    }
}

/// What was counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Instances whose acceptance a client was told.
    pub(crate) accepted: u64,
    /// Instances that were found though no client was told of them.
    pub(crate) adopted: u64,
    pub(crate) deleted: u64,
    pub(crate) retried: u64,
    /// Repeated client tokens that answered with the same instances.
    pub(crate) tokens_repeated: u64,
    pub(crate) shows: u64,
    pub(crate) lists: u64,
    /// Answers that say nothing.
    pub(crate) unknown: u64,
    /// Lists that named a cell which does not answer.
    pub(crate) partial_lists: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) resurrected: u64,
}

/// What contradicts a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Lost,
    Doubled,
    Resurrected,
    Other,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    now: Moment,
    pub(crate) known: HashMap<InstanceUuid, Known>,
    /// Those whose delete nobody has asked for.
    alive: Vec<InstanceUuid>,
    /// Those that are deleted for certain.
    deleted: Vec<InstanceUuid>,
    /// Those that were seen in cell0.
    buried: Vec<InstanceUuid>,
    pub(crate) counts: Counts,
    pub(crate) violations: Vec<String>,
}

/// The history of a run, shared by all its clients.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Inner>);

impl History {
    /// The history itself.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A moment after everything that was noted so far.
    pub(crate) fn now(&self) -> Moment {
        self.lock().tick()
    }

    /// Instances whose acceptance a client was told.
    pub(crate) fn accepted(&self, project: &str, uuids: &[InstanceUuid], volume: bool) {
        let mut inner = self.lock();
        for uuid in uuids {
            let is_new = inner.make_known(*uuid, project);
            let Some(known) = inner.known.get_mut(uuid) else { continue };
            // Told before, found before the client was told, or neither.
            match (known.volume.replace(volume), is_new) {
                (Some(_), _) => {}
                (None, true) => inner.counts.accepted += 1,
                (None, false) => {
                    inner.counts.accepted += 1;
                    inner.counts.adopted -= 1;
                }
            }
        }
    }

    /// How many instances are known to be accepted.
    pub(crate) fn accepted_count(&self) -> u64 {
        self.lock().known.len() as u64
    }

    /// How many of them nobody has asked to delete.
    pub(crate) fn alive_count(&self) -> usize {
        self.lock().alive.len()
    }

    /// One of those that must be found, with its project.
    pub(crate) fn pick_alive(&self) -> Option<(InstanceUuid, String)> {
        let inner = self.lock();
        inner.pick(&inner.alive)
    }

    /// One of those that are deleted.
    pub(crate) fn pick_deleted(&self) -> Option<(InstanceUuid, String)> {
        let inner = self.lock();
        inner.pick(&inner.deleted)
    }

    /// One that was seen in cell0, which is not given again until it is seen there again.
    pub(crate) fn take_buried(&self) -> Option<(InstanceUuid, String)> {
        let mut inner = self.lock();
        let uuid = take_any(&mut inner.buried)?;
        let known = inner.known.get(&uuid)?;
        known.must_be_found().then(|| (uuid, known.project.clone()))
    }

    /// One whose delete is asked from this moment on.
    pub(crate) fn take_to_delete(&self) -> Option<(InstanceUuid, String)> {
        let mut inner = self.lock();
        let uuid = take_any(&mut inner.alive)?;
        let now = inner.tick();
        let known = inner.known.get_mut(&uuid)?;
        known.asked = Some(now);
        Some((uuid, known.project.clone()))
    }

    /// A delete has answered that it is gone.
    pub(crate) fn deleted(&self, uuid: InstanceUuid) {
        let mut inner = self.lock();
        let now = inner.tick();
        if let Some(known) = inner.known.get_mut(&uuid)
            && known.deleted.is_none()
        {
            known.deleted = Some(now);
            inner.counts.deleted += 1;
            inner.deleted.push(uuid);
        }
    }

    /// An instance was found by an operation that began at `began`.
    pub(crate) fn found(&self, uuid: InstanceUuid, project: &str, began: Moment, buried: bool) {
        let mut inner = self.lock();
        inner.counts.adopted += u64::from(inner.make_known(uuid, project));
        if inner.known[&uuid].deleted.is_some_and(|deleted| deleted < began) {
            inner.wrong(Wrong::Resurrected, format!("{uuid} was found after its delete was Ok"));
        }
        if buried && inner.known[&uuid].must_be_found() && !inner.buried.contains(&uuid) {
            inner.buried.push(uuid);
        }
    }

    /// An instance was not found by `what`; wrong unless its delete was asked by now.
    pub(crate) fn not_found(&self, uuid: InstanceUuid, what: &str) {
        let mut inner = self.lock();
        if inner.known.get(&uuid).is_some_and(Known::must_be_found) {
            inner.wrong(Wrong::Lost, format!("{uuid} was not found by {what}"));
        }
    }

    /// Those of a project that were accepted before `began` and must be found still.
    pub(crate) fn expected(&self, project: &str, began: Moment) -> Vec<InstanceUuid> {
        let inner = self.lock();
        let expected = inner.alive.iter().filter(|uuid| {
            inner.known.get(uuid).is_some_and(|k| k.project == project && k.accepted < began)
        });
        expected.copied().collect()
    }

    /// Notes a violation.
    pub(crate) fn wrong(&self, wrong: Wrong, what: String) {
        self.lock().wrong(wrong, what);
    }

    /// Counts.
    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.lock().counts);
    }

    /// How many lists were begun.
    pub(crate) fn lists(&self) -> u64 {
        self.lock().counts.lists
    }
}

impl Inner {
    fn tick(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    /// Whether it was not known before.
    fn make_known(&mut self, uuid: InstanceUuid, project: &str) -> bool {
        if self.known.contains_key(&uuid) {
            return false;
        }
        let accepted = self.tick();
        let project = project.to_owned();
        let known = Known { project, accepted, asked: None, deleted: None, volume: None };
        self.known.insert(uuid, known);
        self.alive.push(uuid);
        true
    }

    fn pick(&self, from: &[InstanceUuid]) -> Option<(InstanceUuid, String)> {
        if from.is_empty() {
            return None;
        }
        let uuid = from[rand::rng().random_range(0..from.len())];
        Some((uuid, self.known.get(&uuid)?.project.clone()))
    }

    fn wrong(&mut self, wrong: Wrong, what: String) {
        match wrong {
            Wrong::Lost => self.counts.lost += 1,
            Wrong::Doubled => self.counts.doubled += 1,
            Wrong::Resurrected => self.counts.resurrected += 1,
            Wrong::Other => {}
        }
        eprintln!("VIOLATION: {what}");
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(what);
        }
    }
}

fn take_any(from: &mut Vec<InstanceUuid>) -> Option<InstanceUuid> {
    if from.is_empty() {
        return None;
    }
    let index = rand::rng().random_range(0..from.len());
    Some(from.swap_remove(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history_of_one() -> (History, InstanceUuid) {
        let (history, uuid) = (History::default(), InstanceUuid(uuid::Uuid::from_u128(1)));
        history.accepted("red", &[uuid], false);
        (history, uuid)
    }

    #[test]
    fn one_that_is_not_found_is_lost_until_its_delete_is_asked() {
        let (history, uuid) = history_of_one();
        history.not_found(uuid, "show");
        assert_eq!(history.lock().counts.lost, 1);
        assert_eq!(history.take_to_delete().unwrap().0, uuid);
        history.not_found(uuid, "show");
        assert_eq!(history.lock().counts.lost, 1);
    }

    #[test]
    fn one_that_is_found_is_resurrected_only_where_its_delete_was_ok_before() {
        let (history, uuid) = history_of_one();
        let before = history.now();
        history.take_to_delete().unwrap();
        history.deleted(uuid);
        history.found(uuid, "red", before, false);
        assert_eq!(history.lock().counts.resurrected, 0);
        history.found(uuid, "red", history.now(), false);
        assert_eq!(history.lock().counts.resurrected, 1);
    }

    #[test]
    fn one_that_was_found_before_its_client_was_told_is_accepted_once() {
        let (history, uuid) = (History::default(), InstanceUuid(uuid::Uuid::from_u128(1)));
        history.found(uuid, "red", history.now(), false);
        history.accepted("red", &[uuid], false);
        history.accepted("red", &[uuid], false);
        let counts = history.lock().counts;
        assert_eq!((counts.adopted, counts.accepted), (0, 1));
    }

    #[test]
    fn one_that_nobody_was_told_of_must_be_found_once_it_was() {
        let (history, uuid) = (History::default(), InstanceUuid(uuid::Uuid::from_u128(1)));
        history.not_found(uuid, "show");
        history.found(uuid, "red", history.now(), false);
        history.not_found(uuid, "show");
        let counts = history.lock().counts;
        assert_eq!((counts.adopted, counts.accepted, counts.lost), (1, 0, 1));
    }
}
