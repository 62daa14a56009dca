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
    pub(crate) fn read_intent(state: &mut State, o: usize, i: usize, intent: u8) {
        let instance = &state.instances[i];
        let Some(cell) = instance.intents[usize::from(intent)] else { return };
        let dead = instance.queued && instance.mapping == Some(cell);
        let reached = instance.epoch;
        state.orchestrators[o][i] = Work::Sweep { intent, cell, reached, dead };
    }

    pub(crate) fn sweep_cell(&self, state: &mut State, o: usize, i: usize, commit: Commit) {
        let Work::Sweep { intent, cell, reached, dead } = state.orchestrators[o][i] else { return };
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
                    rows.destroy = if cell == CELL0 { 0 } else { reached };
                }
            } else if rows.written > 0 && (rows.written < reached || !self.guards.written_epoch) {
                rows.erase();
            }
        }
        if commit == Commit::Done {
            state.orchestrators[o][i] = Work::Swept(intent);
        }
    }

    pub(crate) fn forget_intent(state: &mut State, o: usize, i: usize) {
        let Work::Swept(intent) = state.orchestrators[o][i] else { return };
        state.instances[i].intents[usize::from(intent)] = None;
        state.orchestrators[o][i] = Work::Idle;
    }

    pub(crate) fn read_build(state: &mut State, i: usize, cell: Cell) {
        let sequence = state.instances[i].cells[usize::from(cell)].build;
        state.courier = Courier::BuildRead(i as u8, cell, sequence);
    }

    pub(crate) fn confirm_build(&self, state: &mut State) {
        let Courier::BuildRead(i, cell, sequence) = state.courier else { return };
        let instance = &state.instances[usize::from(i)];
        let decided = instance.decided == sequence || !self.guards.build_epoch;
        state.courier = if instance.mapping == Some(cell) && decided {
            Courier::Confirmed(i, cell, sequence)
        } else {
            Courier::Idle
        };
    }

    pub(crate) fn deliver_build(&self, state: &mut State) {
        let Courier::Confirmed(i, cell, sequence) = state.courier else { return };
        state.courier = Courier::Built(i, cell, sequence);
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

    pub(crate) fn read_destroy(state: &mut State, i: usize, cell: Cell) {
        let sequence = state.instances[i].cells[usize::from(cell)].destroy;
        state.courier = Courier::DestroyRead(i as u8, cell, sequence);
    }

    pub(crate) fn deliver_destroy(&self, state: &mut State) {
        let Courier::DestroyRead(i, cell, sequence) = state.courier else { return };
        state.courier = Courier::Destroyed(i, cell, sequence);
        let receiver = &mut state.instances[usize::from(i)].receiver;
        if sequence > receiver.applied || !self.guards.sequence {
            receiver.applied = sequence;
            receiver.runs = None;
            receiver.destroyed = true;
        }
    }

    pub(crate) fn free_claim(state: &mut State) {
        let Courier::Destroyed(i, cell, sequence) = state.courier else { return };
        state.courier = Courier::Freed(i, cell, sequence);
        state.instances[usize::from(i)].claim = None;
    }

    pub(crate) fn forget_effect(state: &mut State) {
        match std::mem::take(&mut state.courier) {
            Courier::Built(i, cell, sequence) => {
                let rows = &mut state.instances[usize::from(i)].cells[usize::from(cell)];
                if rows.build == sequence {
                    rows.build = 0;
                }
            }
            Courier::Freed(i, cell, _) => {
                state.instances[usize::from(i)].cells[usize::from(cell)].destroy = 0;
            }
            other => state.courier = other,
        }
    }
}
