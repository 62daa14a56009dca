//! Traces: steps of the protocol one after the other, each with what the databases hold after it,
//! to be replayed by the real code.
//!
//! In a trace an orchestrator and a dispatcher keep their number, while a search sorts them.

use stateright::Model;

use crate::action::{Action, Commit};
use crate::protocol::Protocol;
use crate::run::Violation;
use crate::state::{
    Cell, Courier, DISPATCHERS, INSTANCES_MAX, ListStep, ORCHESTRATORS, Reader, Row, ShowStep,
    State, Work,
};

/// A step, and what the databases hold after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The step.
    pub action: Action,
    /// What the databases hold.
    pub held: Vec<Held>,
    /// Which orchestrators hold anything.
    pub busy: [bool; ORCHESTRATORS],
    /// Which dispatchers hold anything.
    pub carrying: [bool; DISPATCHERS],
    /// What the step read, where it is one of a reader.
    pub read: Option<ReadAt>,
    /// How often a reader found the instance, where the step ended it with an answer.
    pub answer: Option<u8>,
}

/// A step of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAt {
    /// A show reads the mapping.
    Mapping,
    /// A show reads the build request, in one go with the mapping.
    Request,
    /// A show reads the row of a cell.
    Row(Cell),
    /// A list reads build requests, in one go with the counter of retries.
    Requests,
    /// A list reads the mappings.
    Mappings,
    /// A list reads the counter again, in one go with the mappings.
    Counter,
    /// A list reads an instance whole from its cell.
    Whole(Cell),
}

/// What all databases hold of one instance, and what its receiver has applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// The epoch.
    pub epoch: u8,
    /// The epoch that was decided last, 0 for none.
    pub decided: u8,
    /// Whether its build request stands.
    pub request: bool,
    /// The cell that its mapping names; 0 is cell0.
    pub mapping: Option<Cell>,
    /// Whether it is queued for delete.
    pub queued: bool,
    /// How often it was retried.
    pub retries: u8,
    /// The live cell on whose host it has a claim.
    pub claim: Option<Cell>,
    /// Epoch and cell of each intent.
    pub intents: Vec<(u8, Cell)>,
    /// What each cell holds.
    pub cells: Vec<HeldInCell>,
    /// The highest sequence number that the receiver has applied.
    pub applied: u8,
    /// The cell on whose host it runs.
    pub runs: Option<Cell>,
}

/// What one cell holds of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeldInCell {
    /// The fence, 0 for none.
    pub fence: u8,
    /// The epoch that wrote what stands here, 0 for none.
    pub written: u8,
    /// Whether its row is there, and deleted.
    pub row: HeldRow,
    /// The sequence number of the build in the outbox, 0 for none.
    pub build: u8,
    /// The sequence number of the destroy in the outbox, 0 for none.
    pub destroy: u8,
}

/// The row of an instance in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeldRow {
    /// There is none.
    #[default]
    Absent,
    /// It is there.
    Live,
    /// It is there, and deleted softly.
    Deleted,
}

impl Protocol {
    /// Takes steps from the beginning, but those that cannot be taken when it is their turn.
    pub fn follow(&self, actions: impl IntoIterator<Item = Action>) -> Vec<Step> {
        let mut state = State::default();
        let mut habits = Habits::default();
        let mut steps = Vec::new();
        for action in actions {
            if self.walk_actions(&state, &habits).contains(&action) {
                habits.note(action);
                steps.extend(self.step(&mut state, action));
            }
        }
        // A read that one guard less would have answered wrongly goes on to its answer.
        while state.reader != Reader::Idle {
            let is_read = |a: &Action| matches!(a, Action::Read | Action::ListCell { .. });
            let next = self.walk_actions(&state, &habits).into_iter().find(is_read);
            let Some(step) = next.and_then(|action| self.step(&mut state, action)) else { break };
            steps.push(step);
        }
        steps
    }

    /// A walk of at most `length` steps, the same for the same seed. A fault comes at every fifth
    /// chance, so that a walk gets on.
    pub fn walk(&self, seed: u64, length: usize) -> Vec<Step> {
        let mut state = State::default();
        let mut random = Random(seed);
        let mut habits = Habits::default();
        let mut steps = Vec::with_capacity(length);
        for _ in 0..length {
            let mut actions = self.walk_actions(&state, &habits);
            if random.below(5) > 0 && actions.iter().any(|action| !is_fault(action)) {
                actions.retain(|action| !is_fault(action));
            }
            if actions.is_empty() {
                break;
            }
            let action = actions.swap_remove(random.below(actions.len()));
            habits.note(action);
            steps.extend(self.step(&mut state, action));
        }
        steps
    }

    /// The steps of a violation, in which each orchestrator and dispatcher keeps its number.
    ///
    /// # Panics
    /// When the violation is not one of this protocol.
    pub fn with_identities(&self, violation: &Violation) -> Vec<Action> {
        let (mut sorted, mut state) = (State::default(), State::default());
        let mut actions = Vec::with_capacity(violation.trace.len());
        for action in &violation.trace {
            let next = self.next_state(&sorted, *action).expect("a step of this protocol");
            // Whose step leads to the same state, it was theirs.
            let found = action.by_any().into_iter().find_map(|action| {
                let mut own = state.clone();
                let taken = self.apply(&mut own, action);
                (taken && own.is_like(&next)).then_some((action, own))
            });
            let (action, own) = found.expect("one of them took it");
            actions.push(action);
            (sorted, state) = (next, own);
        }
        actions
    }

    fn step(&self, state: &mut State, action: Action) -> Option<Step> {
        let before = state.clone();
        let reads = matches!(action, Action::Read).then(|| before.reader.at()).flatten();
        if !self.apply(state, action) {
            return None;
        }
        let mut step = self.step_of(state, action);
        step.read = reads;
        if before.reader != Reader::Idle && state.reader == Reader::Idle {
            step.answer = self.answer_of(&before);
        }
        Some(step)
    }

    fn step_of(&self, state: &State, action: Action) -> Step {
        let instances = &state.instances[..self.bounds.instances];
        let held = instances.iter().map(|instance| Held {
            epoch: instance.epoch,
            decided: instance.decided,
            request: instance.request,
            mapping: instance.mapping,
            queued: instance.queued,
            retries: instance.retries,
            claim: instance.claim,
            intents: (0..).zip(instance.intents).filter_map(|(e, c)| Some((e, c?))).collect(),
            cells: instance.cells[..self.bounds.cells()].iter().map(HeldInCell::from).collect(),
            applied: instance.receiver.applied,
            runs: instance.receiver.runs,
        });
        let held = held.collect();
        let busy = state.orchestrators.map(|work| work != [Work::Idle; INSTANCES_MAX]);
        let carrying = state.couriers.map(|courier| courier != Courier::Idle);
        Step { action, held, busy, carrying, read: None, answer: None }
    }

    /// What can be done, of what the real code does too, and what it does in one go not torn apart.
    fn walk_actions(&self, state: &State, habits: &Habits) -> Vec<Action> {
        let one_go = match state.reader {
            Reader::Show(show) | Reader::Resolve(show) => show.at == ShowStep::Request,
            Reader::List(_, step) => matches!(step, ListStep::Requests | ListStep::Counter),
            Reader::Idle => false,
        };
        if one_go {
            return vec![Action::Read];
        }
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        // Two that hold the same are one for a search.
        for orchestrator in 1..if state.accepted { ORCHESTRATORS } else { 0 } {
            if state.orchestrators[0] == state.orchestrators[orchestrator] {
                self.work_actions(state, orchestrator, &mut actions);
            }
        }
        actions.retain(|action| habits.allow(*action));
        actions
    }
}

/// What the real code does not do, though the protocol allows it.
#[derive(Debug, Default)]
struct Habits {
    /// An unknown write is tried once more, and then it counts as failed.
    rewritten: [bool; ORCHESTRATORS],
    /// After an unknown sweep of a cell the pass ends; the intents stand.
    failed: [bool; ORCHESTRATORS],
}

impl Habits {
    fn allow(&self, action: Action) -> bool {
        let failed = action.orchestrator().is_some_and(|o| self.failed[o]);
        match action {
            Action::Crash { .. } => true,
            _ if failed => false,
            // What was decided otherwise is left to the sweep.
            Action::Undo { .. } => false,
            Action::Write { orchestrator, commit, .. } => {
                commit == Commit::Done || !self.rewritten[orchestrator]
            }
            _ => true,
        }
    }

    fn note(&mut self, action: Action) {
        match action {
            Action::Place { orchestrator, .. } => self.rewritten[orchestrator] = false,
            Action::Write { orchestrator, commit, .. } if commit != Commit::Done => {
                self.rewritten[orchestrator] = true;
            }
            Action::SweepCell { orchestrator, commit, .. } if commit != Commit::Done => {
                self.failed[orchestrator] = true;
            }
            Action::Crash { orchestrator } => {
                self.rewritten[orchestrator] = false;
                self.failed[orchestrator] = false;
            }
            _ => {}
        }
    }
}

impl Reader {
    /// What its next step reads.
    fn at(&self) -> Option<ReadAt> {
        Some(match self {
            Reader::Idle => return None,
            Reader::Show(show) | Reader::Resolve(show) => match show.at {
                ShowStep::Mapping => ReadAt::Mapping,
                ShowStep::Request => ReadAt::Request,
                ShowStep::Row(cell) => ReadAt::Row(cell),
            },
            Reader::List(_, step) => match step {
                ListStep::Requests => ReadAt::Requests,
                ListStep::Cells(_) => return None,
                ListStep::Mapping => ReadAt::Mappings,
                ListStep::Counter => ReadAt::Counter,
                ListStep::Whole(cell) => ReadAt::Whole(*cell),
            },
        })
    }
}

impl State {
    /// Whether it is this sorted state.
    fn is_like(&self, sorted: &State) -> bool {
        let mut own = self.clone();
        own.orchestrators.sort_unstable();
        own.couriers.sort_unstable();
        own == *sorted
    }
}

impl From<&crate::state::Rows> for HeldInCell {
    fn from(rows: &crate::state::Rows) -> HeldInCell {
        let row = match rows.row {
            Row::Absent => HeldRow::Absent,
            Row::Live => HeldRow::Live,
            Row::Deleted => HeldRow::Deleted,
        };
        let crate::state::Rows { fence, written, build, destroy, .. } = *rows;
        HeldInCell { fence, written, row, build, destroy }
    }
}

fn is_fault(action: &Action) -> bool {
    match action {
        Action::Crash { .. } | Action::CrashDispatcher { .. } | Action::CrashDelete => true,
        Action::Write { commit, .. }
        | Action::Decide { commit, .. }
        | Action::SweepCell { commit, .. } => *commit != Commit::Done,
        Action::ReadForDelete { .. } => true,
        _ => false,
    }
}

/// A small generator of numbers (SplitMix64), the same everywhere and for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
