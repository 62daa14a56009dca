//! Traces: steps of the protocol one after the other, each with what the databases hold after it,
//! to be replayed by the real code.
//!
//! In a trace an orchestrator and a dispatcher keep their number, while a search sorts them.

use stateright::Model;

use crate::action::Action;
use crate::protocol::Protocol;
use crate::run::Violation;
use crate::state::{Cell, Deleter, INSTANCES_MAX, Row, State, Work};

/// A step, and what the databases hold after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The step.
    pub action: Action,
    /// What the databases hold.
    pub held: Vec<Held>,
    /// Which orchestrators, of those that there are, hold anything.
    pub busy: Vec<bool>,
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
    /// Takes steps from the beginning, each only if it can be taken; `None` where one cannot.
    pub fn trace(&self, actions: &[Action]) -> Option<Vec<Step>> {
        let mut state = State::default();
        actions.iter().map(|action| self.step(&mut state, *action)).collect()
    }

    /// A walk of at most `length` steps, the same for the same seed. A fault comes at every fifth
    /// chance, so that a walk gets on.
    pub fn walk(&self, seed: u64, length: usize) -> Vec<Step> {
        let mut state = State::default();
        let mut random = Random(seed);
        let mut steps = Vec::with_capacity(length);
        for _ in 0..length {
            let mut actions = self.walk_actions(&state);
            if random.below(5) > 0 && actions.iter().any(|action| !is_fault(action)) {
                actions.retain(|action| !is_fault(action));
            }
            if actions.is_empty() {
                break;
            }
            let action = actions.swap_remove(random.below(actions.len()));
            steps.extend(self.step(&mut state, action));
        }
        steps
    }

    /// The steps of a violation, in which each orchestrator and dispatcher keeps its number.
    ///
    /// # Panics
    /// When the violation is not of this protocol.
    pub fn with_identities(&self, violation: &Violation) -> Vec<Step> {
        let (mut sorted, mut state) = (State::default(), State::default());
        let mut steps = Vec::with_capacity(violation.trace.len());
        for action in &violation.trace {
            let next = self.next_state(&sorted, *action).expect("a step of this protocol");
            let own = |action: Action| {
                let mut own = state.clone();
                self.apply(&mut own, action).then(|| (self.step_of(&own, action), own))
            };
            // The one whose step leads to the same state is the one that took it.
            let same = |(_, own): &(Step, State)| {
                let mut own = own.clone();
                own.orchestrators.sort_unstable();
                own.couriers.sort_unstable();
                own == next
            };
            let found = action.by_any().into_iter().filter_map(own).find(same);
            let (step, own) = found.expect("one of them took it");
            steps.push(step);
            (sorted, state) = (next, own);
        }
        steps
    }

    fn step(&self, state: &mut State, action: Action) -> Option<Step> {
        self.apply(state, action).then(|| self.step_of(state, action))
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
        let busy = state.orchestrators.iter().map(|work| *work != [Work::Idle; INSTANCES_MAX]);
        Step { action, held: held.collect(), busy: busy.collect() }
    }

    /// What can be done that the real code does too: what it does in one go is not torn apart.
    fn walk_actions(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        self.actions(state, &mut actions);
        // Nobody is in the middle of what cannot be stopped there.
        if let Deleter::Seen(..) = state.deleter {
            return vec![Action::Delete];
        }
        actions
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
    use crate::action::Commit;
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
