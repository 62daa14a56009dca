//! What was promised to whom, and whether every answer keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::peer::{NoAnswer, Peer, rows};

/// What all processes together have promised.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Accepted, and nobody has asked for their delete.
    alive: BTreeSet<String>,
    /// Deleted, and told so.
    dead: BTreeSet<String>,
    /// Nobody knows: the process was killed before its answer.
    unknown: BTreeSet<String>,
    boots: u64,
    lists: u64,
    refused: u64,
    broken: Vec<String>,
}

impl History {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The promises that were broken.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.lock().broken.clone()
    }

    pub(crate) fn summary(&self) -> String {
        let state = self.lock();
        let accepted = state.alive.len() + state.dead.len();
        format!(
            "{} boots of {accepted} instances, {} deleted, {} lists, {} refused, {} broken promises",
            state.boots,
            state.dead.len(),
            state.lists,
            state.refused,
            state.broken.len()
        )
    }

    pub(crate) fn boot(
        &self,
        peer: &mut Peer,
        number: u64,
        flavor: &str,
        count: u64,
    ) -> anyhow::Result<()> {
        let name = format!("boot{number}");
        let order = json!({ "do": "boot", "name": name, "flavor": flavor, "count": count });
        let answer = peer.order(&order);
        let mut state = self.lock();
        state.boots += 1;
        match answer {
            Ok(uuids) => {
                let uuids = uuids.as_array().cloned().unwrap_or_default();
                state.alive.extend(uuids.iter().filter_map(Value::as_str).map(str::to_owned));
                Ok(())
            }
            Err(error) => refuse(state, peer.name(), &order, error),
        }
    }

    /// One of those that live, whichever `chance` says.
    fn pick(&self, chance: u64) -> Option<String> {
        let state = self.lock();
        let place = usize::try_from(chance).unwrap_or_default() % state.alive.len().max(1);
        state.alive.iter().nth(place).cloned()
    }

    pub(crate) fn delete(&self, peer: &mut Peer, chance: u64) -> anyhow::Result<()> {
        let Some(uuid) = self.pick(chance) else { return Ok(()) };
        // Before it is asked for: from now on nobody may count on it.
        if !self.lock().alive.remove(&uuid) {
            return Ok(());
        }
        let order = json!({ "do": "delete", "uuid": uuid });
        let answer = peer.order(&order);
        let mut state = self.lock();
        match answer {
            Ok(_) => {
                state.dead.insert(uuid);
                Ok(())
            }
            Err(error) => {
                state.unknown.insert(uuid);
                refuse(state, peer.name(), &order, error)
            }
        }
    }

    pub(crate) fn show(&self, peer: &mut Peer, chance: u64) -> anyhow::Result<()> {
        let Some(uuid) = self.pick(chance) else { return Ok(()) };
        let order = json!({ "do": "show", "uuid": uuid });
        let Err(error) = peer.order(&order) else { return Ok(()) };
        let state = self.lock();
        // Another may have deleted it meanwhile.
        if !state.alive.contains(&uuid) && matches!(error, NoAnswer::Refused(_)) {
            return Ok(());
        }
        refuse(state, peer.name(), &order, error)
    }

    /// A list has what stays from its beginning to its end once, and nothing that was dead before.
    pub(crate) fn list(&self, peer: &mut Peer) -> anyhow::Result<()> {
        let (alive, dead) = {
            let state = self.lock();
            (state.alive.clone(), state.dead.clone())
        };
        let order = json!({ "do": "list" });
        let listed = match peer.order(&order) {
            Ok(listed) => listed,
            Err(error) => return refuse(self.lock(), peer.name(), &order, error),
        };
        let mut state = self.lock();
        state.lists += 1;
        let Some(listed) = rows(&listed) else {
            state.broken.push(format!("{}: a list names an instance twice", peer.name()));
            return Ok(());
        };
        let stays = alive.intersection(&state.alive).cloned().collect::<Vec<_>>();
        for uuid in stays.iter().filter(|uuid| !listed.contains_key(*uuid)) {
            state.broken.push(format!("{}: {uuid} lives and is not listed", peer.name()));
        }
        for uuid in dead.iter().filter(|uuid| listed.contains_key(*uuid)) {
            state.broken.push(format!("{}: {uuid} is dead and listed", peer.name()));
        }
        Ok(())
    }

    /// At rest every instance has its home, and no other is there.
    pub(crate) fn check_rest(&self, name: &str, listed: &BTreeMap<String, String>) {
        let mut state = self.lock();
        for (uuid, status) in listed {
            if !["ACTIVE", "ERROR"].contains(&status.as_str()) {
                state.broken.push(format!("{name}: {uuid} is {status} at rest"));
            }
            if state.dead.contains(uuid) {
                state.broken.push(format!("{name}: {uuid} is dead and listed at rest"));
            }
        }
        let lost: Vec<String> =
            state.alive.iter().filter(|uuid| !listed.contains_key(*uuid)).cloned().collect();
        for uuid in lost {
            state.broken.push(format!("{name}: {uuid} is lost"));
        }
    }
}

/// Notes an order that was not done. A process that is gone ends its thread.
fn refuse(
    mut state: MutexGuard<'_, State>,
    name: &str,
    order: &Value,
    error: NoAnswer,
) -> anyhow::Result<()> {
    match error {
        NoAnswer::Gone => anyhow::bail!("{name} is gone"),
        NoAnswer::Refused(why) => {
            state.refused += 1;
            state.broken.push(format!("{name}: {order} was not done: {why}"));
            Ok(())
        }
    }
}
