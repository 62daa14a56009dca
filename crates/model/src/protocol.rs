//! The protocol as the model checker sees it: which steps there are, and what must hold.

use stateright::{Model, Property};

use crate::action::{Action, Commit};
use crate::guards::Guards;
use crate::state::{
    CELL0, Cell, Courier, DISPATCHERS, Deleter, Flaw, INSTANCES_MAX, ListStep, ORCHESTRATORS,
    Reader, Row, State, Work,
};

/// Which reader runs beside the writers. Readers change nothing, so one at a time is enough; the
/// dispatcher, which changes nothing that they read, runs where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// None; the dispatcher runs.
    None,
    /// A show.
    Show,
    /// A list.
    List,
    /// Any, and the dispatcher too: for random walks.
    All,
}

/// How finely the steps are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// Every transaction, read, delivery and unknown commit is a step of its own.
    Fine,
    /// For two instances: what touches one instance alone, and is explored in the fine grain with
    /// one, is one step. `reduce` says why nothing is lost.
    Coarse,
}

/// How large the model is.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Instances of the group, 1 or 2.
    pub instances: usize,
    /// Leases and retries rise no higher; a delete may, by one.
    pub epoch_max: u8,
    /// Live cells beside cell0, 1 or 2; each has one host.
    pub live_cells: usize,
    /// How many instances fit on the host of a live cell.
    pub slots: usize,
    /// How many must fit lest the whole group be buried.
    pub min_count: usize,
    /// Who reads.
    pub readers: Readers,
    /// How finely the steps are told apart.
    pub grain: Grain,
}

impl Bounds {
    pub(crate) fn cells(&self) -> usize {
        self.live_cells + 1
    }
}

/// The model: its size, and the guards that stand.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// How large it is.
    pub bounds: Bounds,
    /// Which guards stand.
    pub guards: Guards,
}

/// All properties of a state at rest, which are judged together.
pub(crate) const AT_REST: &str = "at rest";

const COMMITS: [Commit; 3] = [Commit::Done, Commit::Unacknowledged, Commit::Lost];

impl Protocol {
    /// Takes a step; false where it cannot be taken.
    ///
    /// Orchestrators and dispatchers stay where they are.
    pub(crate) fn apply(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Accept { orchestrator } => self.accept(state, orchestrator),
            Action::Lease { orchestrator, only } => Self::lease(state, orchestrator, only),
            Action::Place { orchestrator, targets } => {
                return self.place(state, orchestrator, targets).is_some();
            }
            Action::Write { orchestrator, instance, commit } => {
                self.write(state, orchestrator, instance, commit);
            }
            Action::Decide { orchestrator, instance, commit } => {
                self.decide(state, orchestrator, instance, commit);
            }
            Action::ReadDecided { orchestrator, instance } => {
                self.read_decided(state, orchestrator, instance);
            }
            Action::Undo { orchestrator, instance } => self.undo(state, orchestrator, instance),
            Action::ReadIntents { orchestrator, instance } => {
                Self::read_intents(state, orchestrator, instance);
            }
            Action::SweepCell { orchestrator, instance, cell, commit } => {
                self.sweep_cell(state, (orchestrator, instance), cell, commit);
            }
            Action::ForgetIntents { orchestrator, instance } => {
                Self::forget_intents(state, orchestrator, instance);
            }
            Action::Crash { orchestrator } => {
                state.orchestrators[orchestrator] = Default::default();
            }
            Action::GiveUp { orchestrator, instance } => {
                state.orchestrators[orchestrator][instance] = Work::Idle;
            }
            Action::ReadBuild { dispatcher, instance, cell } => {
                Self::read_build(state, dispatcher, instance, cell);
            }
            Action::ConfirmBuild { dispatcher } => self.confirm_build(state, dispatcher),
            Action::TakeEffect { dispatcher } => self.take_effect(state, dispatcher),
            Action::DeliverBuild { dispatcher } => self.deliver_build(state, dispatcher),
            Action::ReadDestroy { dispatcher, instance, cell } => {
                Self::read_destroy(state, dispatcher, instance, cell);
            }
            Action::DeliverDestroy { dispatcher } => self.deliver_destroy(state, dispatcher),
            Action::FreeClaim { dispatcher } => Self::free_claim(state, dispatcher),
            Action::ForgetEffect { dispatcher } => Self::forget_effect(state, dispatcher),
            Action::CrashDispatcher { dispatcher } => state.couriers[dispatcher] = Courier::Idle,
            Action::ReadForDelete { instance } => {
                let seen = state.instances[instance].mapping;
                state.deleter = Deleter::Seen(instance as u8, seen);
            }
            Action::Delete => self.delete(state),
            Action::DeleteAtOnce { instance } => self.delete_at_once(state, instance),
            Action::Destroy { instance, cell } => Self::destroy(state, instance, cell),
            Action::CrashDelete => state.deleter = Deleter::Idle,
            Action::Retry { instance } => Self::retry(state, instance),
            Action::Show => Self::begin_show(state),
            Action::List => Self::begin_list(state),
            Action::ListCell { cell } => Self::list_cell(state, cell),
            Action::Read => self.read(state),
        }
        true
    }

    pub(crate) fn work_actions(
        &self,
        state: &State,
        orchestrator: usize,
        actions: &mut Vec<Action>,
    ) {
        let work = &state.orchestrators[orchestrator];
        let busy = |work: &&Work| **work != Work::Idle;
        if self.bounds.grain == Grain::Fine && work.iter().any(|work| busy(&work)) {
            actions.push(Action::Crash { orchestrator });
        }
        if Self::may_lease(state, orchestrator, self.bounds.epoch_max) {
            actions.push(Action::Lease { orchestrator, only: None });
            if Self::waiting(state).count() > 1 && state.any_decided() {
                let each = Self::waiting(state);
                actions.extend(each.map(|i| Action::Lease { orchestrator, only: Some(i) }));
            }
        }
        if work.iter().any(|work| matches!(work, Work::Leased(_))) {
            // The whole group is placed in one transaction before any of it goes on.
            self.placements(work, orchestrator, actions);
            return;
        }
        for (instance, work) in work.iter().enumerate().take(self.bounds.instances) {
            if self.bounds.grain == Grain::Coarse && busy(&work) {
                actions.push(Action::GiveUp { orchestrator, instance });
            }
            self.step_actions(state, (orchestrator, instance), actions);
        }
    }

    /// The steps of one orchestrator for one instance.
    fn step_actions(
        &self,
        state: &State,
        (orchestrator, instance): (usize, usize),
        actions: &mut Vec<Action>,
    ) {
        let commits = |unknown: usize| match self.bounds.grain {
            Grain::Fine => COMMITS.into_iter().take(1 + unknown),
            Grain::Coarse => COMMITS.into_iter().take(1),
        };
        match state.orchestrators[orchestrator][instance] {
            Work::Leased(_) => {}
            Work::Idle => {
                if state.instances[instance].due_intents().next().is_some() {
                    actions.push(Action::ReadIntents { orchestrator, instance });
                }
            }
            Work::Placed(..) => actions.extend(commits(2).map(|commit| Action::Write {
                orchestrator,
                instance,
                commit,
            })),
            Work::Written(..) => actions.extend(commits(2).map(|commit| Action::Decide {
                orchestrator,
                instance,
                commit,
            })),
            Work::DecisionUnknown(..) => {
                actions.push(Action::ReadDecided { orchestrator, instance });
            }
            Work::Undo(..) => actions.push(Action::Undo { orchestrator, instance }),
            Work::Sweep { left: 0, .. } => {
                actions.push(Action::ForgetIntents { orchestrator, instance });
            }
            // A sweep that is lost altogether is a stall: the state does not change.
            Work::Sweep { left, .. } => {
                for cell in (0..self.bounds.cells() as Cell).filter(|cell| left & 1 << cell != 0) {
                    actions.extend(commits(1).map(|commit| Action::SweepCell {
                        orchestrator,
                        instance,
                        cell,
                        commit,
                    }));
                }
            }
        }
    }

    /// Every target for every leased instance; a cell that is full refuses it in its step.
    fn placements(
        &self,
        work: &[Work; INSTANCES_MAX],
        orchestrator: usize,
        actions: &mut Vec<Action>,
    ) {
        let choices = |work: &Work| match work {
            Work::Leased(_) => (0..self.bounds.cells()).map(|cell| Some(cell as Cell)).collect(),
            _ => vec![None],
        };
        let (first, second): (Vec<_>, Vec<_>) = (choices(&work[0]), choices(&work[1]));
        for a in &first {
            for b in &second {
                actions.push(Action::Place { orchestrator, targets: [*a, *b] });
            }
        }
    }

    fn user_actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.deleter {
            Deleter::Seen(..) => actions.extend([Action::Delete, Action::CrashDelete]),
            Deleter::Idle => {
                let alive = |i: &usize| !state.instances[*i].queued;
                let instances = (0..self.bounds.instances).filter(alive);
                actions.extend(instances.map(|instance| match self.bounds.grain {
                    Grain::Fine => Action::ReadForDelete { instance },
                    Grain::Coarse => Action::DeleteAtOnce { instance },
                }));
            }
        }
        for instance in 0..self.bounds.instances {
            if state.instances[instance].epoch < self.bounds.epoch_max
                && Self::may_retry(state, instance)
            {
                actions.push(Action::Retry { instance });
            }
        }
    }

    fn dispatch_actions(&self, state: &State, dispatcher: usize, actions: &mut Vec<Action>) {
        let next = match state.couriers[dispatcher] {
            Courier::Idle => {
                for (instance, it) in state.instances.iter().enumerate() {
                    for (cell, rows) in (0..).zip(&it.cells) {
                        if rows.build > 0 {
                            actions.push(Action::ReadBuild { dispatcher, instance, cell });
                        }
                        // Of each instance the effect that comes first.
                        if rows.destroy > 0 && (rows.build == 0 || rows.destroy < rows.build) {
                            actions.push(match self.bounds.grain {
                                Grain::Fine => Action::ReadDestroy { dispatcher, instance, cell },
                                Grain::Coarse => Action::Destroy { instance, cell },
                            });
                        }
                    }
                }
                return;
            }
            Courier::BuildRead(..) => Action::ConfirmBuild { dispatcher },
            Courier::Confirmed(..) | Courier::DestroyRead(..) => Action::TakeEffect { dispatcher },
            Courier::BuildTaken(..) => Action::DeliverBuild { dispatcher },
            Courier::DestroyTaken(..) => Action::DeliverDestroy { dispatcher },
            Courier::Destroyed(..) => Action::FreeClaim { dispatcher },
            Courier::Built(..) | Courier::Freed(..) => Action::ForgetEffect { dispatcher },
        };
        actions.extend([next, Action::CrashDispatcher { dispatcher }]);
    }

    fn read_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let readers = self.bounds.readers;
        match state.reader {
            Reader::Idle => {
                if matches!(readers, Readers::Show | Readers::All) {
                    actions.push(Action::Show);
                }
                if matches!(readers, Readers::List | Readers::All) {
                    actions.push(Action::List);
                }
            }
            Reader::List(_, ListStep::Cells(left)) => {
                let cells = (0..self.bounds.cells() as Cell).filter(|cell| left & (1 << cell) != 0);
                actions.extend(cells.map(|cell| Action::ListCell { cell }));
            }
            _ => actions.push(Action::Read),
        }
    }

    fn own(&self, state: &State) -> std::ops::Range<usize> {
        if state.accepted { 0..self.bounds.instances } else { 0..0 }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if !state.accepted {
            actions.push(Action::Accept { orchestrator: 0 });
            return;
        }
        for orchestrator in 0..ORCHESTRATORS {
            // Two that hold the same are one.
            if orchestrator == 0 || state.orchestrators[0] != state.orchestrators[orchestrator] {
                self.work_actions(state, orchestrator, actions);
            }
        }
        self.user_actions(state, actions);
        if matches!(self.bounds.readers, Readers::None | Readers::All) {
            for dispatcher in 0..DISPATCHERS {
                if dispatcher == 0 || state.couriers[0] != state.couriers[dispatcher] {
                    self.dispatch_actions(state, dispatcher, actions);
                }
            }
        }
        self.read_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        if !self.apply(&mut next, action) {
            return None;
        }
        if self.bounds.grain == Grain::Coarse {
            next.forget_dead_work();
            next.sort_instances();
        }
        next.orchestrators.sort_unstable();
        next.couriers.sort_unstable();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one home", |model: &Protocol, state: &State| {
                model.own(state).all(|i| {
                    let instance = &state.instances[i];
                    instance.queued || instance.is_home()
                })
            }),
            Property::always("dead stays dead", |_: &Protocol, state: &State| {
                let undead = state.instances.iter().any(|it| it.queued && it.request);
                !undead && state.flaw != Some(Flaw::ReadDead)
            }),
            Property::always("shown exactly once", |_: &Protocol, state: &State| {
                !matches!(state.flaw, Some(Flaw::ReadTwice | Flaw::ReadAbsent))
            }),
            Property::always("built only what is decided", |_: &Protocol, state: &State| {
                !matches!(state.flaw, Some(Flaw::BuiltUndecided | Flaw::BuiltDead))
            }),
            Property::always("no host over its slots", |model: &Protocol, state: &State| {
                (1..model.bounds.cells() as Cell).all(|cell| {
                    let runs = |it: &&crate::state::Instance| it.receiver.runs == Some(cell);
                    state.claims(cell) <= model.bounds.slots
                        && state.instances.iter().filter(runs).count() <= model.bounds.slots
                })
            }),
            Property::always("what runs is claimed", |_: &Protocol, state: &State| {
                let claimed = |it: &crate::state::Instance| it.claim == it.receiver.runs;
                state.instances.iter().all(|it| it.receiver.runs.is_none() || claimed(it))
            }),
            Property::always("a claim is freed by its destroy", |_: &Protocol, state: &State| {
                state.couriers.iter().all(|courier| {
                    let Courier::Destroyed(i, cell, _) = *courier else { return true };
                    let it = &state.instances[usize::from(i)];
                    let gone = it.cells[usize::from(cell)].row == Row::Deleted;
                    it.claim.is_none() || (gone && it.queued && it.claim == Some(cell))
                })
            }),
            Property::always("group as one", |_: &Protocol, state: &State| {
                let live = |it: &crate::state::Instance| it.mapping.is_some_and(|c| c != CELL0);
                let grouped = state.instances.iter().any(|it| it.in_group() && live(it));
                let one_verdict = state.acted.is_none() || state.acted == state.verdict;
                one_verdict && (!grouped || state.verdict == Some(true))
            }),
            Property::always(AT_REST, |model: &Protocol, state: &State| {
                model.unrest(state).is_none()
            }),
        ]
    }
}
