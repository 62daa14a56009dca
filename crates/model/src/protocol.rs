//! The protocol as the model checker sees it: which steps there are, and what must hold.

use stateright::{Model, Property};

use crate::action::{Action, Commit};
use crate::guards::Guards;
use crate::rest::Unrest;
use crate::state::{
    CELL0, Cell, Courier, Deleter, Flaw, INSTANCES_MAX, ListStep, ORCHESTRATORS, Reader, State,
    Work,
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

const COMMITS: [Commit; 3] = [Commit::Done, Commit::Unacknowledged, Commit::Lost];

impl Protocol {
    /// Takes a step; false where it cannot be taken.
    pub(crate) fn apply(&self, state: &mut State, action: Action) -> bool {
        match action {
            Action::Accept { orchestrator } => self.accept(state, orchestrator),
            Action::Lease { orchestrator, first } => Self::lease(state, orchestrator, first),
            Action::Place { orchestrator, targets } => {
                return self.place(state, orchestrator, targets).is_some();
            }
            Action::Write { orchestrator, instance, commit } => {
                self.write(state, orchestrator, instance, commit);
            }
            Action::ReadWritten { orchestrator, instance } => {
                Self::read_written(state, orchestrator, instance);
            }
            Action::Decide { orchestrator, instance, commit } => {
                self.decide(state, orchestrator, instance, commit);
            }
            Action::ReadDecided { orchestrator, instance } => {
                self.read_decided(state, orchestrator, instance);
            }
            Action::Undo { orchestrator, instance } => self.undo(state, orchestrator, instance),
            Action::ReadIntent { orchestrator, instance, intent } => {
                Self::read_intent(state, orchestrator, instance, intent);
            }
            Action::SweepCell { orchestrator, instance, commit } => {
                self.sweep_cell(state, orchestrator, instance, commit);
            }
            Action::ForgetIntent { orchestrator, instance } => {
                Self::forget_intent(state, orchestrator, instance);
            }
            Action::Crash { orchestrator } => {
                state.orchestrators[orchestrator] = Default::default();
            }
            Action::ReadBuild { instance, cell } => Self::read_build(state, instance, cell),
            Action::ConfirmBuild => self.confirm_build(state),
            Action::DeliverBuild => self.deliver_build(state),
            Action::ReadDestroy { instance, cell } => Self::read_destroy(state, instance, cell),
            Action::DeliverDestroy => self.deliver_destroy(state),
            Action::FreeClaim => Self::free_claim(state),
            Action::ForgetEffect => Self::forget_effect(state),
            Action::CrashDispatcher => state.courier = Courier::Idle,
            Action::ReadForDelete { instance } => {
                let seen = state.instances[instance].mapping;
                state.deleter = Deleter::Seen(instance as u8, seen);
            }
            Action::Delete => self.delete(state),
            Action::CrashDelete => state.deleter = Deleter::Idle,
            Action::Retry { instance } => Self::retry(state, instance),
            Action::Show => Self::begin_show(state),
            Action::List => Self::begin_list(state),
            Action::ListCell { cell } => Self::list_cell(state, cell),
            Action::Read => self.read(state),
        }
        true
    }

    fn work_actions(&self, state: &State, orchestrator: usize, actions: &mut Vec<Action>) {
        let work = &state.orchestrators[orchestrator];
        if work.iter().any(|work| *work != Work::Idle) {
            actions.push(Action::Crash { orchestrator });
        }
        if work.iter().any(|work| matches!(work, Work::Leased(_))) {
            // The whole group is placed in one transaction before any of it goes on.
            self.placements(work, orchestrator, actions);
            return;
        }
        for (instance, work) in work.iter().enumerate().take(self.bounds.instances) {
            let commits = COMMITS.into_iter();
            match work {
                Work::Leased(_) => {}
                Work::Idle => {
                    let due = state.instances[instance].due_intents();
                    actions.extend(due.map(|(intent, _)| Action::ReadIntent {
                        orchestrator,
                        instance,
                        intent,
                    }));
                    let epoch = state.instances[instance].epoch;
                    if epoch < self.bounds.epoch_max
                        && Self::may_lease(state, orchestrator, instance)
                    {
                        actions.push(Action::Lease { orchestrator, first: instance });
                    }
                }
                Work::Placed(..) => actions.extend(commits.map(|commit| Action::Write {
                    orchestrator,
                    instance,
                    commit,
                })),
                Work::WriteUnknown(..) => {
                    actions.push(Action::ReadWritten { orchestrator, instance });
                }
                Work::Written(..) => actions.extend(commits.map(|commit| Action::Decide {
                    orchestrator,
                    instance,
                    commit,
                })),
                Work::DecisionUnknown(..) => {
                    actions.push(Action::ReadDecided { orchestrator, instance });
                }
                Work::Undo(..) => actions.push(Action::Undo { orchestrator, instance }),
                // A sweep that is lost altogether is a stall: the state does not change.
                Work::Sweep { .. } => {
                    actions.extend(commits.take(2).map(|commit| Action::SweepCell {
                        orchestrator,
                        instance,
                        commit,
                    }))
                }
                Work::Swept(_) => actions.push(Action::ForgetIntent { orchestrator, instance }),
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
                actions.extend(instances.map(|instance| Action::ReadForDelete { instance }));
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

    fn dispatch_actions(state: &State, actions: &mut Vec<Action>) {
        let next = match state.courier {
            Courier::Idle => {
                for (instance, it) in state.instances.iter().enumerate() {
                    for (cell, rows) in (0..).zip(&it.cells) {
                        if rows.build > 0 {
                            actions.push(Action::ReadBuild { instance, cell });
                        }
                        if rows.destroy > 0 {
                            actions.push(Action::ReadDestroy { instance, cell });
                        }
                    }
                }
                return;
            }
            Courier::BuildRead(..) => Action::ConfirmBuild,
            Courier::Confirmed(..) => Action::DeliverBuild,
            Courier::DestroyRead(..) => Action::DeliverDestroy,
            Courier::Destroyed(..) => Action::FreeClaim,
            Courier::Built(..) | Courier::Freed(..) => Action::ForgetEffect,
        };
        actions.extend([next, Action::CrashDispatcher]);
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
            Self::dispatch_actions(state, actions);
        }
        self.read_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        if !self.apply(&mut next, action) {
            return None;
        }
        next.orchestrators.sort_unstable();
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
            Property::always("group as one", |_: &Protocol, state: &State| {
                let live = |it: &crate::state::Instance| it.mapping.is_some_and(|c| c != CELL0);
                let grouped = state.instances.iter().any(|it| it.in_group() && live(it));
                !grouped || state.verdict == Some(true)
            }),
            Property::always("at rest: settled", |model: &Protocol, state: &State| {
                model.unrest(state) != Some(Unrest::Unsettled)
            }),
            Property::always("at rest: nothing lost", |model: &Protocol, state: &State| {
                model.unrest(state) != Some(Unrest::Lost)
            }),
            Property::always("at rest: no orphans", |model: &Protocol, state: &State| {
                model.unrest(state) != Some(Unrest::Orphan)
            }),
            Property::always("at rest: claims match", |model: &Protocol, state: &State| {
                model.unrest(state) != Some(Unrest::Claims)
            }),
            Property::always("at rest: runs what is decided", |model: &Protocol, state: &State| {
                model.unrest(state) != Some(Unrest::Dispatch)
            }),
        ]
    }
}
