//! Every step that a process can take, and every fault.

use crate::state::{Cell, DISPATCHERS, INSTANCES_MAX, ORCHESTRATORS};

/// How a commit ends, for the one who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// Acknowledged.
    Done,
    /// Applied, and the acknowledgement was lost.
    Unacknowledged,
    /// Not applied, and nobody knows.
    Lost,
}

/// A step. Instances, cells and orchestrators are numbers; cell 0 is cell0.
///
/// A lost acknowledgement has its own outcome where the one who sent the commit goes on: write and
/// decide. Elsewhere it is the step, or none, followed by a crash. Orchestrators, and dispatchers, are
/// told apart only where a trace is replayed; a search sorts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the numbers that the first line names")]
pub enum Action {
    /// 1: a group is accepted, and its acceptor takes the first lease.
    Accept { orchestrator: usize },
    /// 2: what waits of the group is taken in a new epoch, or only one of it, where another was
    /// retried or handed back at another time.
    Lease { orchestrator: usize, only: Option<usize> },
    /// 3: claims, intents and the group's verdict. What is proposed may be buried all the same.
    Place { orchestrator: usize, targets: [Option<Cell>; INSTANCES_MAX] },
    /// 4: an instance is written into its target.
    Write { orchestrator: usize, instance: usize, commit: Commit },
    /// 5: the decision.
    Decide { orchestrator: usize, instance: usize, commit: Commit },
    /// After a decision without a known effect: the API database is read.
    ReadDecided { orchestrator: usize, instance: usize },
    /// Rows of a contrary decision are taken back.
    Undo { orchestrator: usize, instance: usize },
    /// 6: the intents that are due are read.
    ReadIntents { orchestrator: usize, instance: usize },
    /// 6: one of their cells is swept, or a delete is ended there.
    SweepCell { orchestrator: usize, instance: usize, cell: Cell, commit: Commit },
    /// 6: the intents are forgotten.
    ForgetIntents { orchestrator: usize, instance: usize },
    /// An orchestrator forgets all that it holds.
    Crash { orchestrator: usize },
    /// An orchestrator forgets what it holds of one instance: a crash in the coarse grain.
    GiveUp { orchestrator: usize, instance: usize },
    /// 7: a build is read from the outbox of a cell.
    ReadBuild { dispatcher: usize, instance: usize, cell: Cell },
    /// 7: the mapping is asked whether it may be sent.
    ConfirmBuild { dispatcher: usize },
    /// 7: what is to be sent is taken from the outbox for one sending.
    TakeEffect { dispatcher: usize },
    /// 7: a build reaches the receiver.
    DeliverBuild { dispatcher: usize },
    /// A destroy is read from the outbox of a cell.
    ReadDestroy { dispatcher: usize, instance: usize, cell: Cell },
    /// It reaches the receiver.
    DeliverDestroy { dispatcher: usize },
    /// The destroy is acknowledged: the claim is freed.
    FreeClaim { dispatcher: usize },
    /// What was delivered, or nobody needs any more, is deleted from the outbox.
    ForgetEffect { dispatcher: usize },
    /// A dispatcher forgets what it holds.
    CrashDispatcher { dispatcher: usize },
    /// A user's delete reads the mapping.
    ReadForDelete { instance: usize },
    /// A user's delete is decided; rows of a cell follow by its intent.
    Delete,
    /// A user's delete ends before anything was decided.
    CrashDelete,
    /// A user's delete in one step, in the coarse grain.
    DeleteAtOnce { instance: usize },
    /// A destroy is delivered and its claim freed in one step, in the coarse grain.
    Destroy { instance: usize, cell: Cell },
    /// A buried instance becomes a build request again.
    Retry { instance: usize },
    /// A show of instance 0 begins.
    Show,
    /// A list begins by reading the counter of retries.
    List,
    /// The list asks this cell.
    ListCell { cell: Cell },
    /// The read takes its next step.
    Read,
}

impl Action {
    /// Whose step it is, where an orchestrator's.
    pub(crate) fn orchestrator(mut self) -> Option<usize> {
        self.orchestrator_mut().copied()
    }

    fn orchestrator_mut(&mut self) -> Option<&mut usize> {
        match self {
            Action::Accept { orchestrator }
            | Action::Lease { orchestrator, .. }
            | Action::Place { orchestrator, .. }
            | Action::Write { orchestrator, .. }
            | Action::Decide { orchestrator, .. }
            | Action::ReadDecided { orchestrator, .. }
            | Action::Undo { orchestrator, .. }
            | Action::ReadIntents { orchestrator, .. }
            | Action::SweepCell { orchestrator, .. }
            | Action::ForgetIntents { orchestrator, .. }
            | Action::Crash { orchestrator }
            | Action::GiveUp { orchestrator, .. } => Some(orchestrator),
            _ => None,
        }
    }

    fn dispatcher_mut(&mut self) -> Option<&mut usize> {
        match self {
            Action::ReadBuild { dispatcher, .. }
            | Action::ConfirmBuild { dispatcher }
            | Action::TakeEffect { dispatcher }
            | Action::DeliverBuild { dispatcher }
            | Action::ReadDestroy { dispatcher, .. }
            | Action::DeliverDestroy { dispatcher }
            | Action::FreeClaim { dispatcher }
            | Action::ForgetEffect { dispatcher }
            | Action::CrashDispatcher { dispatcher } => Some(dispatcher),
            _ => None,
        }
    }

    /// The same step of each orchestrator, or of each dispatcher, that could take it.
    pub(crate) fn by_any(self) -> Vec<Action> {
        let mut all = vec![self];
        for number in 0..ORCHESTRATORS.max(DISPATCHERS) {
            let mut other = self;
            if let Some(orchestrator) = other.orchestrator_mut() {
                *orchestrator = number;
            } else if let Some(dispatcher) = other.dispatcher_mut() {
                *dispatcher = number;
            }
            all.push(other);
        }
        all
    }
}
