//! Steps 6 and 7: sweeping what intents left, and handing effects over.

use crate::action::Commit;
use crate::protocol::Protocol;
use crate::state::{CELL0, Cell, Courier, Flaw, Row, Rows, State, Work};

impl Rows {
    /// The rows go, with the build that waits beside them.
    pub(crate) fn erase(&mut self) {
        self.written = 0;
        self.row = Row::Absent;
        self.build = 0;
        self.destroy = 0;
    }
}

impl Protocol {
    pub(crate) fn read_intents(state: &mut State, o: usize, i: usize) {
        let instance = &state.instances[i];
        let due = || instance.due_intents();
        state.orchestrators[o][i] = Work::Sweep {
            intents: due().fold(0, |mask, (epoch, _)| mask | 1 << epoch),
            left: due().fold(0, |mask, (_, cell)| mask | 1 << cell),
            reached: instance.epoch,
            dying: instance.mapping.filter(|_| instance.queued),
        };
    }

    pub(crate) fn sweep_cell(
        &self,
        state: &mut State,
        (o, i): (usize, usize),
        cell: Cell,
        commit: Commit,
    ) {
        let Work::Sweep { intents, left, reached, dying } = state.orchestrators[o][i] else {
            return;
        };
        let instance = &mut state.instances[i];
        // Without the guard the mapping is read in a step of its own, later.
        let later = instance.mapping.filter(|_| instance.queued);
        let dying = if self.guards.one_look { dying } else { later };
        let rows = &mut instance.cells[usize::from(cell)];
        if self.guards.sweep && commit != Commit::Lost {
            rows.fence = rows.fence.max(reached);
            if dying == Some(cell) {
                if rows.row == Row::Live {
                    rows.row = Row::Deleted;
                    rows.destroy = if cell == CELL0 { 0 } else { reached };
                }
            } else if rows.written > 0 && (rows.written < reached || !self.guards.written_epoch) {
                rows.erase();
            }
        }
        if commit == Commit::Done {
            let left = left & !(1 << cell);
            state.orchestrators[o][i] = Work::Sweep { intents, left, reached, dying };
        }
    }

    pub(crate) fn forget_intents(state: &mut State, o: usize, i: usize) {
        let Work::Sweep { intents, .. } = state.orchestrators[o][i] else { return };
        for (epoch, intent) in state.instances[i].intents.iter_mut().enumerate() {
            if intents & (1 << epoch) != 0 {
                *intent = None;
            }
        }
        state.orchestrators[o][i] = Work::Idle;
    }

    /// The coarse grain of a destroy.
    pub(crate) fn destroy(state: &mut State, i: usize, cell: Cell) {
        let instance = &mut state.instances[i];
        instance.cells[usize::from(cell)].destroy = 0;
        instance.claim = None;
    }

    pub(crate) fn read_build(state: &mut State, d: usize, i: usize, cell: Cell) {
        let sequence = state.instances[i].cells[usize::from(cell)].build;
        state.couriers[d] = Courier::BuildRead(i as u8, cell, sequence);
    }

    pub(crate) fn confirm_build(&self, state: &mut State, d: usize) {
        let Courier::BuildRead(i, cell, sequence) = state.couriers[d] else { return };
        let instance = &state.instances[usize::from(i)];
        let decided = instance.decided == sequence || !self.guards.build_epoch;
        state.couriers[d] = if instance.queued {
            Courier::Built(i, cell, sequence)
        } else if instance.mapping == Some(cell) && decided {
            Courier::Confirmed(i, cell, sequence)
        } else {
            Courier::Idle
        };
    }

    /// Takes what still stands in the outbox. A lease on it binds nobody here.
    pub(crate) fn take_effect(&self, state: &mut State, d: usize) {
        let blind = !self.guards.build_epoch;
        let rows = |i: u8, cell: Cell| &state.instances[usize::from(i)].cells[usize::from(cell)];
        state.couriers[d] = match state.couriers[d] {
            Courier::Confirmed(i, cell, sequence) if rows(i, cell).build == sequence || blind => {
                Courier::BuildTaken(i, cell, sequence)
            }
            Courier::DestroyRead(i, cell, sequence) if rows(i, cell).destroy == sequence => {
                Courier::DestroyTaken(i, cell, sequence)
            }
            _ => Courier::Idle,
        };
    }

    pub(crate) fn deliver_build(&self, state: &mut State, d: usize) {
        let Courier::BuildTaken(i, cell, sequence) = state.couriers[d] else { return };
        state.couriers[d] = Courier::Built(i, cell, sequence);
        let instance = &mut state.instances[usize::from(i)];
        let receiver = &mut instance.receiver;
        if sequence <= receiver.applied && self.guards.sequence {
            return;
        }
        receiver.applied = sequence;
        if receiver.destroyed {
            state.flaw = Some(Flaw::BuiltDead);
        } else if instance.decided != sequence || instance.mapping != Some(cell) {
            state.flaw = Some(Flaw::BuiltUndecided);
        }
        receiver.runs = Some(cell);
    }

    pub(crate) fn read_destroy(state: &mut State, d: usize, i: usize, cell: Cell) {
        let sequence = state.instances[i].cells[usize::from(cell)].destroy;
        state.couriers[d] = Courier::DestroyRead(i as u8, cell, sequence);
    }

    pub(crate) fn deliver_destroy(&self, state: &mut State, d: usize) {
        let Courier::DestroyTaken(i, cell, sequence) = state.couriers[d] else { return };
        state.couriers[d] = Courier::Destroyed(i, cell, sequence);
        let receiver = &mut state.instances[usize::from(i)].receiver;
        if sequence > receiver.applied || !self.guards.sequence {
            receiver.applied = sequence;
            receiver.runs = None;
            receiver.destroyed = true;
        }
    }

    pub(crate) fn free_claim(state: &mut State, d: usize) {
        let Courier::Destroyed(i, cell, sequence) = state.couriers[d] else { return };
        state.couriers[d] = Courier::Freed(i, cell, sequence);
        state.instances[usize::from(i)].claim = None;
    }

    pub(crate) fn forget_effect(state: &mut State, d: usize) {
        match std::mem::take(&mut state.couriers[d]) {
            Courier::Built(i, cell, sequence) => {
                let rows = &mut state.instances[usize::from(i)].cells[usize::from(cell)];
                if rows.build == sequence {
                    rows.build = 0;
                }
            }
            Courier::Freed(i, cell, _) => {
                state.instances[usize::from(i)].cells[usize::from(cell)].destroy = 0;
            }
            other => state.couriers[d] = other,
        }
    }
}
