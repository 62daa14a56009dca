//! Steps 1 to 5, delete and retry: the transactions that decide about an instance.

use crate::action::Commit;
use crate::protocol::{Grain, Protocol};
use crate::state::{CELL0, Cell, Deleter, INSTANCES_MAX, Row, State, Work};

impl Protocol {
    pub(crate) fn accept(&self, state: &mut State, orchestrator: usize) {
        state.accepted = true;
        for i in 0..self.bounds.instances {
            state.instances[i].epoch = 1;
            state.instances[i].request = true;
            state.orchestrators[orchestrator][i] = Work::Leased(1);
        }
    }

    /// The instances that a lease takes together: what waits of the group, retried ones too.
    pub(crate) fn waiting(state: &State) -> impl Iterator<Item = usize> + '_ {
        (0..INSTANCES_MAX).filter(|i| state.instances[*i].request)
    }

    /// Whether something waits, an orchestrator is idle, and an epoch is still below `epoch_max`.
    /// Others that wait may rise above it by one, so that none holds another back.
    pub(crate) fn may_lease(state: &State, orchestrator: usize, epoch_max: u8) -> bool {
        let epochs = || Self::waiting(state).map(|i| state.instances[i].epoch);
        state.orchestrators[orchestrator] == [Work::Idle; INSTANCES_MAX]
            && epochs().any(|epoch| epoch < epoch_max)
            && epochs().all(|epoch| epoch <= epoch_max)
    }

    pub(crate) fn lease(state: &mut State, orchestrator: usize, only: Option<usize>) {
        let members: Vec<usize> =
            Self::waiting(state).filter(|i| only.is_none_or(|only| only == *i)).collect();
        for i in members {
            state.instances[i].epoch += 1;
            state.orchestrators[orchestrator][i] = Work::Leased(state.instances[i].epoch);
        }
    }

    /// One transaction: the group's verdict, claims, intents. Gives back nothing where a claim does
    /// not fit, since the transaction then starts over with another proposal.
    pub(crate) fn place(
        &self,
        state: &mut State,
        orchestrator: usize,
        targets: [Option<Cell>; INSTANCES_MAX],
    ) -> Option<()> {
        let proposed = targets.iter().flatten().filter(|cell| **cell != CELL0).count();
        let mut ours = Vec::with_capacity(INSTANCES_MAX);
        for (i, target) in targets.iter().enumerate() {
            let Work::Leased(epoch) = state.orchestrators[orchestrator][i] else { continue };
            let instance = &state.instances[i];
            if instance.request && (instance.epoch == epoch || !self.guards.epoch) {
                ours.push((i, epoch, (*target)?));
            } else {
                state.orchestrators[orchestrator][i] = Work::Idle;
            }
        }
        let grouped = ours.iter().any(|(i, ..)| state.instances[*i].in_group());
        let retried = state.instances.iter().any(|instance| !instance.in_group());
        let stands = state.any_decided() && (self.guards.verdict || !retried);
        if grouped && !(stands && state.verdict.is_some()) {
            state.verdict = Some(proposed >= self.bounds.min_count);
        }
        for (i, epoch, target) in ours {
            let buried = state.instances[i].in_group() && state.verdict == Some(false);
            let target = if buried { CELL0 } else { target };
            state.instances[i].claim = None;
            if target != CELL0 {
                if state.claims(target) >= self.bounds.slots && self.guards.capacity {
                    return None;
                }
                state.instances[i].claim = Some(target);
            }
            if self.guards.intent {
                state.instances[i].intents[usize::from(epoch)] = Some(target);
            }
            state.orchestrators[orchestrator][i] = Work::Placed(epoch, target);
        }
        Some(())
    }

    pub(crate) fn write(&self, state: &mut State, o: usize, i: usize, commit: Commit) {
        let Work::Placed(epoch, cell) = state.orchestrators[o][i] else { return };
        let rows = &mut state.instances[i].cells[usize::from(cell)];
        let fenced = self.guards.fence && rows.fence > epoch;
        if commit != Commit::Lost && !fenced && rows.written != epoch {
            rows.fence = rows.fence.max(epoch);
            rows.written = epoch;
            rows.row = Row::Live;
            let builds = cell != CELL0 && self.bounds.grain == Grain::Fine;
            rows.build = if builds { epoch } else { 0 };
        }
        state.orchestrators[o][i] = match commit {
            Commit::Done if fenced => Work::Idle,
            Commit::Done => Work::Written(epoch, cell),
            // Written again at the same epoch: under the lock of the fence it is known what stands.
            _ => Work::Placed(epoch, cell),
        };
    }

    pub(crate) fn decide(&self, state: &mut State, o: usize, i: usize, commit: Commit) {
        let Work::Written(epoch, cell) = state.orchestrators[o][i] else { return };
        let instance = &mut state.instances[i];
        let holds = (instance.epoch == epoch || !self.guards.epoch)
            && instance.request
            && !instance.queued
            && (instance.mapping.is_none() || !self.guards.null_check);
        if holds && commit != Commit::Lost {
            if instance.in_group() {
                state.acted = state.acted.or(state.verdict);
            }
            instance.mapping = Some(cell);
            instance.decided = epoch;
            instance.request = false;
            instance.intents[usize::from(epoch)] = None;
            if cell == CELL0 {
                instance.claim = None;
            }
        }
        // Without effect it is known under the lock that another has decided: left to the sweep.
        state.orchestrators[o][i] = match commit {
            Commit::Done => Work::Idle,
            _ => Work::DecisionUnknown(epoch, cell),
        };
    }

    pub(crate) fn read_decided(&self, state: &mut State, o: usize, i: usize) {
        let Work::DecisionUnknown(epoch, cell) = state.orchestrators[o][i] else { return };
        let instance = &state.instances[i];
        let ours = instance.decided == epoch && instance.mapping == Some(cell);
        let open = instance.epoch == epoch && instance.request;
        state.orchestrators[o][i] = if !self.guards.read_before_undo {
            Work::Undo(epoch, cell)
        } else if ours || open {
            // Its own decision; or none yet, and then another epoch is leased.
            Work::Idle
        } else {
            Work::Undo(epoch, cell)
        };
    }

    pub(crate) fn undo(&self, state: &mut State, o: usize, i: usize) {
        let Work::Undo(epoch, cell) = state.orchestrators[o][i] else { return };
        let rows = &mut state.instances[i].cells[usize::from(cell)];
        if rows.written == epoch || !self.guards.written_epoch {
            rows.erase();
        }
        state.orchestrators[o][i] = Work::Idle;
    }

    /// A delete decided in the API database, by the cell that its mapping named when it was read.
    pub(crate) fn delete(&self, state: &mut State) {
        let Deleter::Seen(i, seen) = state.deleter else { return };
        state.deleter = Deleter::Idle;
        self.queue(state, usize::from(i), seen);
    }

    /// A delete in one step: the mapping that it decides by is the one that stands.
    pub(crate) fn delete_at_once(&self, state: &mut State, i: usize) {
        let seen = state.instances[i].mapping;
        self.queue(state, i, seen);
    }

    fn queue(&self, state: &mut State, i: usize, seen: Option<Cell>) {
        let instance = &mut state.instances[i];
        let moved = self.guards.queued_for_delete && instance.mapping != seen;
        if instance.queued || moved {
            return;
        }
        instance.queued = true;
        instance.epoch += 1;
        match seen {
            Some(cell) => instance.intents[usize::from(instance.epoch)] = Some(cell),
            None => {
                instance.request = false;
                instance.claim = None;
            }
        }
    }

    pub(crate) fn may_retry(state: &State, i: usize) -> bool {
        let instance = &state.instances[i];
        instance.mapping == Some(CELL0) && !instance.queued
    }

    pub(crate) fn retry(state: &mut State, i: usize) {
        let instance = &mut state.instances[i];
        instance.epoch += 1;
        instance.mapping = None;
        instance.request = true;
        instance.intents[usize::from(instance.epoch)] = Some(CELL0);
        instance.retries += 1;
    }
}
