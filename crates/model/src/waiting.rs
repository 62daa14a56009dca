//! The waiting index beside the protocol: no change of capacity is missed.
//!
//! One instance that wants to be retried, one host, and somebody else who takes and frees its slots.
//! Burial, retry and placement are one step each here: what goes on inside them is explored by
//! [`Protocol`](crate::protocol::Protocol). From each state all processes crash, and one of each kind
//! works alone: where a slot is free then, the instance must end on the host. That changes are noted as
//! served only once nothing fits matters where several wait, and is held by tests of the code.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Property};

/// How often a slot becomes free.
const ARRIVALS_MAX: u8 = 3;
/// Versions and generations are compared for equality and order alone, within these bounds.
const VERSION_MAX: u8 = 8;
/// More steps than any recovery takes.
const STEPS_MAX: u32 = 40;

/// Which guards stand; a removed one must give a counterexample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingGuards {
    /// A slot that is freed raises the generation of its host in the same transaction.
    pub generation: bool,
    /// An instance is to be compared when it begins to wait, not asleep.
    pub enters_awake: bool,
    /// An instance is to be compared after its back-off, not asleep.
    pub awake_after_back_off: bool,
    /// Changes are read before those that wait.
    pub changes_first: bool,
    /// What is put to sleep was read before the hosts were.
    pub read_before_compared: bool,
    /// Only what has not changed since it was read is put to sleep.
    pub version: bool,
}

/// How to remove one guard.
type Remove = fn(&mut WaitingGuards);

impl WaitingGuards {
    /// The index as it is.
    pub const ALL: WaitingGuards = WaitingGuards {
        generation: true,
        enters_awake: true,
        awake_after_back_off: true,
        changes_first: true,
        read_before_compared: true,
        version: true,
    };

    /// Each guard by its name, removed alone.
    pub fn each_removed() -> impl Iterator<Item = (&'static str, WaitingGuards)> {
        let removals: [(&str, Remove); 6] = [
            ("generation", |g| g.generation = false),
            ("enters_awake", |g| g.enters_awake = false),
            ("awake_after_back_off", |g| g.awake_after_back_off = false),
            ("changes_first", |g| g.changes_first = false),
            ("read_before_compared", |g| g.read_before_compared = false),
            ("version", |g| g.version = false),
        ];
        removals.into_iter().map(|(name, remove)| {
            let mut guards = WaitingGuards::ALL;
            remove(&mut guards);
            (name, guards)
        })
    }
}

/// Where the instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Home {
    Request,
    Buried,
    Live,
}

/// Its row in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Row {
    Absent,
    Check,
    Asleep,
    Woken,
    BackOff,
}

/// An orchestrator, which has looked at the host or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Settler {
    Idle,
    Proposes { fits: bool },
}

/// A round of one who wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Waker {
    Idle,
    /// The changes up to this generation were read.
    Began {
        seen: Option<u8>,
    },
    /// The row was read; it is one to be compared where it has this version.
    Read {
        seen: Option<u8>,
        check: Option<u8>,
    },
    Compared {
        seen: Option<u8>,
        check: Option<u8>,
        fits: bool,
    },
    /// All were compared; up to this generation nothing is left to look at.
    Ends {
        seen: Option<u8>,
    },
}

/// Databases and processes at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WaitingState {
    free: bool,
    arrivals: u8,
    generation: u8,
    served: u8,
    home: Home,
    row: Row,
    version: u8,
    settlers: [Settler; 2],
    wakers: [Waker; 2],
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitingAction {
    /// Capacity: a slot becomes free.
    Arrive,
    /// Somebody else takes it.
    Taken,
    /// An orchestrator looks at the host.
    Propose(usize),
    /// It places, or buries by what it saw.
    Decide(usize),
    /// The back-off is over.
    EndBackOff,
    /// A user retries.
    Retry,
    /// A round begins.
    Begin(usize),
    /// The next step of the round.
    Step(usize),
    /// A process is gone.
    CrashSettler(usize),
    /// A process is gone.
    CrashWaker(usize),
}

/// The index, with these guards.
#[derive(Debug, Clone, Copy)]
pub struct WaitingIndex {
    /// Its guards.
    pub guards: WaitingGuards,
}

impl WaitingIndex {
    fn bury(&self, state: &mut WaitingState) {
        state.home = Home::Buried;
        state.row = match state.row {
            Row::Absent if self.guards.enters_awake => Row::Check,
            Row::Absent => Row::Asleep,
            _ => Row::BackOff,
        };
        state.version += 1;
    }

    fn decide(&self, state: &mut WaitingState, fits: bool) {
        if state.home != Home::Request {
            return;
        }
        match (fits, state.free) {
            (true, true) => {
                state.free = false;
                state.home = Home::Live;
                state.row = Row::Absent;
            }
            // The claim fails, and it is proposed anew.
            (true, false) => {}
            (false, _) => self.bury(state),
        }
    }

    fn retry(state: &mut WaitingState) -> bool {
        if state.home != Home::Buried {
            return false;
        }
        state.home = Home::Request;
        if state.row != Row::Absent {
            state.row = Row::Woken;
            state.version += 1;
        }
        true
    }

    fn changes(state: &WaitingState) -> Option<u8> {
        (state.generation > state.served).then_some(state.generation)
    }

    /// The version of the row, where it is one to be compared.
    fn check(state: &WaitingState) -> Option<u8> {
        (state.row == Row::Check).then_some(state.version)
    }

    fn step(&self, state: &mut WaitingState, waker: Waker) -> Waker {
        match waker {
            Waker::Idle => Waker::Idle,
            Waker::Began { seen } => {
                let is_due =
                    state.row == Row::Check || (state.row == Row::Asleep && seen.is_some());
                match is_due && state.home == Home::Buried {
                    true => Waker::Read { seen, check: Self::check(state) },
                    false => Waker::Ends { seen },
                }
            }
            Waker::Read { seen, check } => Waker::Compared { seen, check, fits: state.free },
            Waker::Compared { fits: true, .. } => {
                Self::retry(state);
                // More may fit: the changes are looked at again.
                Waker::Idle
            }
            Waker::Compared { seen, check, fits: false } => {
                let check = match self.guards.read_before_compared {
                    true => check,
                    false => Self::check(state),
                };
                let is_as_read = check == Some(state.version) || !self.guards.version;
                if check.is_some() && state.row == Row::Check && is_as_read {
                    state.row = Row::Asleep;
                    state.version += 1;
                }
                Waker::Ends { seen }
            }
            Waker::Ends { seen } => {
                let seen = if self.guards.changes_first { seen } else { Self::changes(state) };
                state.served = state.served.max(seen.unwrap_or(0));
                Waker::Idle
            }
        }
    }

    /// Does it; says whether it could be done.
    fn apply(&self, state: &mut WaitingState, action: WaitingAction) -> bool {
        match action {
            WaitingAction::Arrive if !state.free && state.arrivals < ARRIVALS_MAX => {
                state.free = true;
                state.arrivals += 1;
                state.generation += u8::from(self.guards.generation);
            }
            WaitingAction::Taken if state.free => state.free = false,
            WaitingAction::Propose(who)
                if state.home == Home::Request && state.settlers[who] == Settler::Idle =>
            {
                state.settlers[who] = Settler::Proposes { fits: state.free };
            }
            WaitingAction::Decide(who) => {
                let Settler::Proposes { fits } = state.settlers[who] else { return false };
                state.settlers[who] = Settler::Idle;
                self.decide(state, fits);
            }
            WaitingAction::EndBackOff if state.row == Row::BackOff => {
                state.row = if self.guards.awake_after_back_off { Row::Check } else { Row::Asleep };
                state.version += 1;
            }
            WaitingAction::Retry if state.home == Home::Buried => {
                Self::retry(state);
            }
            WaitingAction::Begin(who) if state.wakers[who] == Waker::Idle => {
                let seen = Self::changes(state);
                if seen.is_none() && state.row != Row::Check {
                    return false;
                }
                state.wakers[who] = Waker::Began { seen };
            }
            WaitingAction::Step(who) if state.wakers[who] != Waker::Idle => {
                state.wakers[who] = self.step(state, state.wakers[who]);
            }
            WaitingAction::CrashSettler(who) if state.settlers[who] != Settler::Idle => {
                state.settlers[who] = Settler::Idle;
            }
            WaitingAction::CrashWaker(who) if state.wakers[who] != Waker::Idle => {
                state.wakers[who] = Waker::Idle;
            }
            _ => return false,
        }
        // Which of two does what makes no difference.
        state.settlers.sort_unstable();
        state.wakers.sort_unstable();
        true
    }

    /// Whether the one that waits is left behind once all processes have crashed and one of each
    /// kind has worked alone.
    fn is_left_behind(&self, state: &WaitingState) -> bool {
        let mut state = state.clone();
        state.settlers = [Settler::Idle; 2];
        state.wakers = [Waker::Idle; 2];
        for _ in 0..STEPS_MAX {
            let order = [
                WaitingAction::Decide(1),
                WaitingAction::Propose(0),
                WaitingAction::EndBackOff,
                WaitingAction::Step(1),
                WaitingAction::Begin(0),
            ];
            if !order.into_iter().any(|action| self.apply(&mut state, action)) {
                break;
            }
        }
        state.free && state.home != Home::Live
    }
}

impl Model for WaitingIndex {
    type State = WaitingState;
    type Action = WaitingAction;

    fn init_states(&self) -> Vec<WaitingState> {
        vec![WaitingState {
            free: false,
            arrivals: 0,
            generation: 1,
            served: 1,
            home: Home::Request,
            row: Row::Absent,
            version: 0,
            settlers: [Settler::Idle; 2],
            wakers: [Waker::Idle; 2],
        }]
    }

    fn actions(&self, _state: &WaitingState, actions: &mut Vec<WaitingAction>) {
        actions.extend([
            WaitingAction::Arrive,
            WaitingAction::Taken,
            WaitingAction::EndBackOff,
            WaitingAction::Retry,
        ]);
        for who in 0..2 {
            actions.extend([
                WaitingAction::Propose(who),
                WaitingAction::Decide(who),
                WaitingAction::Begin(who),
                WaitingAction::Step(who),
                WaitingAction::CrashSettler(who),
                WaitingAction::CrashWaker(who),
            ]);
        }
    }

    fn next_state(&self, state: &WaitingState, action: WaitingAction) -> Option<WaitingState> {
        let mut next = state.clone();
        self.apply(&mut next, action).then_some(next)
    }

    fn within_boundary(&self, state: &WaitingState) -> bool {
        state.version <= VERSION_MAX
    }

    fn properties(&self) -> Vec<Property<WaitingIndex>> {
        vec![Property::always("no wake-up is lost", |model: &WaitingIndex, state| {
            !model.is_left_behind(state)
        })]
    }
}

/// What an exploration of the index has found.
#[derive(Debug)]
pub struct WaitingReport {
    /// Different states.
    pub states: usize,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The steps to the first state from which a wake-up is lost.
    pub violation: Option<Vec<WaitingAction>>,
}

/// Explores all states within the bounds, or up to the first violation.
pub fn explore(guards: WaitingGuards, threads: usize) -> WaitingReport {
    let started = Instant::now();
    let checker = WaitingIndex { guards }
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let violation = checker.discoveries().into_values().map(|path| path.into_actions()).next();
    WaitingReport {
        states: checker.unique_state_count(),
        seconds: started.elapsed().as_secs_f64(),
        violation,
    }
}
