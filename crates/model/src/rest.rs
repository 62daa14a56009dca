//! Rest: what a run without faults makes of any state.
//!
//! From each state that is reached, all processes crash and one orchestrator and one dispatcher
//! work alone, in one fixed order, as `recover` does. They must come to an end within a bound, and
//! what is at rest then must hold the invariants. So "it settles once faults stop" is checked from
//! every state, and not only on some fair path.

use crate::action::{Action, Commit};
use crate::protocol::{Grain, Protocol};
use crate::state::{
    CELL0, Cell, Courier, Deleter, EPOCHS, INSTANCES_MAX, Reader, Row, State, Work,
};

/// More steps than any recovery within the bounds takes.
const STEPS_MAX: u32 = 120;

/// What is wrong at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unrest {
    /// Recovery does not come to an end, or leaves work undone.
    Unsettled,
    /// An accepted, undeleted instance has no home, or waits still.
    Lost,
    /// Rows stand in a cell that the mapping does not name, or a deleted instance has a live row.
    Orphan,
    /// Claims are not those of the instances in live cells.
    Claims,
    /// What runs on hosts is not what was decided.
    Dispatch,
}

impl Unrest {
    /// The property that it breaks.
    pub(crate) fn property(self) -> &'static str {
        match self {
            Unrest::Unsettled => "at rest: settled",
            Unrest::Lost => "at rest: nothing lost",
            Unrest::Orphan => "at rest: no orphans",
            Unrest::Claims => "at rest: claims match",
            Unrest::Dispatch => "at rest: runs what is decided",
        }
    }
}

impl Protocol {
    /// What is wrong once recovery has run from this state, if anything is.
    pub(crate) fn unrest(&self, state: &State) -> Option<Unrest> {
        let mut state = state.clone();
        state.orchestrators = Default::default();
        state.couriers = Default::default();
        state.deleter = Deleter::Idle;
        state.reader = Reader::Idle;
        for _ in 0..STEPS_MAX {
            let Some(action) = self.recover(&state) else { return self.wrong_at_rest(&state) };
            // Not sorted: orchestrator 0 does all the work.
            if !self.apply(&mut state, action) {
                return Some(Unrest::Unsettled);
            }
        }
        Some(Unrest::Unsettled)
    }

    /// The next step of recovery; none at rest.
    fn recover(&self, state: &State) -> Option<Action> {
        self.carry_on(state)
            .or_else(|| self.sweep_next(state))
            .or_else(|| self.dispatch_next(state))
            .or_else(|| {
                Self::may_lease(state, 0, EPOCHS as u8 - 1)
                    .then_some(Action::Lease { orchestrator: 0, only: None })
            })
    }

    fn carry_on(&self, state: &State) -> Option<Action> {
        let (orchestrator, commit) = (0, Commit::Done);
        let work = &state.orchestrators[orchestrator];
        if work.iter().any(|work| matches!(work, Work::Leased(_))) {
            return Some(Action::Place { orchestrator, targets: self.what_fits(state) });
        }
        let instance = work.iter().position(|work| *work != Work::Idle)?;
        Some(match work[instance] {
            Work::Placed(..) => Action::Write { orchestrator, instance, commit },
            Work::Written(..) => Action::Decide { orchestrator, instance, commit },
            Work::DecisionUnknown(..) => Action::ReadDecided { orchestrator, instance },
            Work::Undo(..) => Action::Undo { orchestrator, instance },
            Work::Sweep { left, .. } if left != 0 => {
                let cell = left.trailing_zeros() as Cell;
                Action::SweepCell { orchestrator, instance, cell, commit }
            }
            Work::Idle | Work::Leased(_) | Work::Sweep { .. } => {
                Action::ForgetIntents { orchestrator, instance }
            }
        })
    }

    /// A proposal that uses every free slot.
    fn what_fits(&self, state: &State) -> [Option<Cell>; INSTANCES_MAX] {
        let mut claims: Vec<usize> =
            (0..self.bounds.cells()).map(|cell| state.claims(cell as Cell)).collect();
        let mut targets = [None; INSTANCES_MAX];
        for (i, target) in targets.iter_mut().enumerate() {
            if !matches!(state.orchestrators[0][i], Work::Leased(_)) {
                continue;
            }
            if let Some(own) = state.instances[i].claim {
                claims[usize::from(own)] -= 1;
            }
            let free = (1..self.bounds.cells()).find(|cell| claims[*cell] < self.bounds.slots);
            if let Some(cell) = free {
                claims[cell] += 1;
            }
            *target = Some(free.map_or(CELL0, |cell| cell as Cell));
        }
        targets
    }

    fn sweep_next(&self, state: &State) -> Option<Action> {
        state.instances.iter().enumerate().find_map(|(instance, it)| {
            it.due_intents().next()?;
            Some(Action::ReadIntents { orchestrator: 0, instance })
        })
    }

    fn dispatch_next(&self, state: &State) -> Option<Action> {
        let dispatcher = 0;
        match state.couriers[dispatcher] {
            Courier::Idle => {}
            Courier::BuildRead(..) => return Some(Action::ConfirmBuild { dispatcher }),
            Courier::Confirmed(..) | Courier::DestroyRead(..) => {
                return Some(Action::TakeEffect { dispatcher });
            }
            Courier::BuildTaken(..) => return Some(Action::DeliverBuild { dispatcher }),
            Courier::DestroyTaken(..) => return Some(Action::DeliverDestroy { dispatcher }),
            Courier::Destroyed(..) => return Some(Action::FreeClaim { dispatcher }),
            Courier::Built(..) | Courier::Freed(..) => {
                return Some(Action::ForgetEffect { dispatcher });
            }
        }
        state.instances.iter().enumerate().find_map(|(instance, it)| {
            it.cells.iter().enumerate().find_map(|(cell, rows)| {
                let cell = cell as Cell;
                // A build that nobody decided is not to be sent; orphans are judged as rows.
                let decided = it.mapping == Some(cell) && it.decided == rows.build;
                if rows.build > 0 && (decided || it.queued) {
                    Some(Action::ReadBuild { dispatcher, instance, cell })
                } else if rows.destroy > 0 {
                    Some(match self.bounds.grain {
                        Grain::Fine => Action::ReadDestroy { dispatcher, instance, cell },
                        Grain::Coarse => Action::Destroy { instance, cell },
                    })
                } else {
                    None
                }
            })
        })
    }

    /// Whether outboxes are kept and emptied.
    fn dispatches(&self) -> bool {
        self.bounds.grain == Grain::Fine
    }

    fn wrong_at_rest(&self, state: &State) -> Option<Unrest> {
        for instance in &state.instances[..self.bounds.instances] {
            let home = instance.mapping.filter(|_| !instance.queued);
            if state.accepted && !instance.queued && !(instance.is_home() && home.is_some()) {
                return Some(Unrest::Lost);
            }
            for (cell, rows) in instance.cells.iter().enumerate() {
                let named = instance.mapping == Some(cell as Cell);
                if (rows.build > 0 || rows.destroy > 0) && self.dispatches() {
                    return Some(Unrest::Unsettled);
                }
                if (rows.row != Row::Absent && !named) || (rows.row == Row::Live && instance.queued)
                {
                    return Some(Unrest::Orphan);
                }
            }
            let live = home.filter(|cell| *cell != CELL0);
            if instance.claim != live {
                return Some(Unrest::Claims);
            }
            if self.dispatches() && instance.receiver.runs != live {
                return Some(Unrest::Dispatch);
            }
        }
        None
    }
}
