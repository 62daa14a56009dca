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
    pub(crate) fn read_intents(state: &mut State, o: usize, i: usize, cell: Cell) {
        let instance = &state.instances[i];
        let intents = instance.due_in(cell);
        let dead = instance.queued && instance.mapping == Some(cell);
        let reached = instance.epoch;
        state.orchestrators[o][i] = Work::Sweep { intents, cell, reached, dead };
    }

    pub(crate) fn sweep_cell(&self, state: &mut State, o: usize, i: usize, commit: Commit) {
        let Work::Sweep { intents, cell, reached, dead } = state.orchestrators[o][i] else {
            return;
        };
        let instance = &mut state.instances[i];
        // Without the guard the mapping is read in a step of its own, later.
        let later = instance.queued && instance.mapping == Some(cell);
        let dead = if self.guards.one_look { dead } else { later };
        let rows = &mut instance.cells[usize::from(cell)];
        if self.guards.sweep && commit != Commit::Lost {
            rows.fence = rows.fence.max(reached);
            if dead {
                if rows.row == Row::Live {
                    rows.row = Row::Deleted;
                    // A build that still waits is never sent again, so it must not wait for ever.
                    rows.build = 0;
                    rows.destroy = if cell == CELL0 { 0 } else { reached };
                }
            } else if rows.written > 0 && (rows.written < reached || !self.guards.written_epoch) {
                rows.erase();
            }
        }
        if commit == Commit::Done {
            state.orchestrators[o][i] = Work::Swept(intents);
        }
    }

    pub(crate) fn forget_intents(state: &mut State, o: usize, i: usize) {
        let Work::Swept(intents) = state.orchestrators[o][i] else { return };
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
        let decided =
            (instance.decided == sequence && !instance.queued) || !self.guards.build_epoch;
        state.couriers[d] = if instance.mapping == Some(cell) && decided {
            Courier::Confirmed(i, cell, sequence)
        } else {
            Courier::Idle
        };
    }

    pub(crate) fn deliver_build(&self, state: &mut State, d: usize) {
        let Courier::Confirmed(i, cell, sequence) = state.couriers[d] else { return };
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
        let Courier::DestroyRead(i, cell, sequence) = state.couriers[d] else { return };
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
