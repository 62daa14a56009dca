//! The whole state of the protocol: databases, receiver, and what processes hold in memory.
//!
//! An epoch of 0 means none. Arrays by instance have [`INSTANCES_MAX`] places; those beyond the
//! bounds stay empty.

/// The most instances of a model.
pub(crate) const INSTANCES_MAX: usize = 2;
/// Cells by number: cell0, and up to two live ones.
pub(crate) const CELLS_MAX: usize = 3;
/// One more than the highest epoch, with room for what recovery adds beyond the bounds.
pub(crate) const EPOCHS: usize = 8;
/// The orchestrators.
pub(crate) const ORCHESTRATORS: usize = 2;

/// The dispatchers.
pub(crate) const DISPATCHERS: usize = 2;

/// A cell by its number; 0 is cell0.
pub(crate) type Cell = u8;
/// cell0.
pub(crate) const CELL0: Cell = 0;

/// Everything at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    pub(crate) accepted: bool,
    /// The group's verdict: whether its min_count fits.
    pub(crate) verdict: Option<bool>,
    /// The verdict by which the first of the group was decided.
    pub(crate) acted: Option<bool>,
    pub(crate) instances: [Instance; INSTANCES_MAX],
    /// Sorted: which of the orchestrators holds what makes no difference.
    pub(crate) orchestrators: [[Work; INSTANCES_MAX]; ORCHESTRATORS],
    /// Sorted too.
    pub(crate) couriers: [Courier; DISPATCHERS],
    pub(crate) deleter: Deleter,
    pub(crate) reader: Reader,
    /// What has gone wrong on the way, seen at the moment it happened.
    pub(crate) flaw: Option<Flaw>,
}

/// One instance in all databases.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Instance {
    pub(crate) epoch: u8,
    pub(crate) decided: u8,
    pub(crate) request: bool,
    /// The cell that the mapping names.
    pub(crate) mapping: Option<Cell>,
    pub(crate) queued: bool,
    /// The counter of retries, and whether it left its group by one.
    pub(crate) retries: u8,
    /// The live cell whose slot it claims.
    pub(crate) claim: Option<Cell>,
    /// The target of each epoch that is still to be swept.
    pub(crate) intents: [Option<Cell>; EPOCHS],
    pub(crate) cells: [Rows; CELLS_MAX],
    pub(crate) receiver: Receiver,
}

/// What a cell holds of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Rows {
    pub(crate) fence: u8,
    pub(crate) written: u8,
    pub(crate) row: Row,
    /// The outbox: the sequence numbers of a build and of a destroy.
    pub(crate) build: u8,
    pub(crate) destroy: u8,
}

/// The row of an instance in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) enum Row {
    #[default]
    Absent,
    Live,
    Deleted,
}

/// The host and what else applies effects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Receiver {
    /// The highest sequence number that it applied.
    pub(crate) applied: u8,
    /// The cell on whose host it runs.
    pub(crate) runs: Option<Cell>,
    pub(crate) destroyed: bool,
}

/// What an orchestrator holds of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) enum Work {
    #[default]
    Idle,
    Leased(u8),
    Placed(u8, Cell),
    Written(u8, Cell),
    /// The decision was sent and its commit not acknowledged.
    DecisionUnknown(u8, Cell),
    Undo(u8, Cell),
    /// Intents (a bit for each epoch) are to be swept, up to the epoch that the instance has reached.
    Sweep {
        intents: u8,
        /// A bit for each cell that is left; the intents are forgotten when there is none.
        left: u8,
        reached: u8,
        /// The home of a deleted instance, in which its delete is to be ended.
        dying: Option<Cell>,
    },
}

/// What a dispatcher holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) enum Courier {
    #[default]
    Idle,
    /// A build was read from an outbox.
    BuildRead(u8, Cell, u8),
    /// The mapping confirmed it.
    Confirmed(u8, Cell, u8),
    /// It was taken for one sending.
    BuildTaken(u8, Cell, u8),
    /// It was delivered, or its instance is gone; its row is to be forgotten.
    Built(u8, Cell, u8),
    DestroyRead(u8, Cell, u8),
    DestroyTaken(u8, Cell, u8),
    /// Destroyed; the claim is to be freed.
    Destroyed(u8, Cell, u8),
    /// The claim is free; the row is to be forgotten.
    Freed(u8, Cell, u8),
}

/// The delete of a user: it reads the mapping and decides by what it read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Deleter {
    #[default]
    Idle,
    Seen(u8, Option<Cell>),
}

/// A read under way, of instance 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Reader {
    #[default]
    Idle,
    Show(Show),
    /// The counter, as it stood at first.
    List(List, ListStep),
    /// A list that resolves what moved, by show.
    Resolve(Show),
}

/// A show under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Show {
    pub(crate) looks: u8,
    /// The instance was dead before the read began.
    pub(crate) dead: bool,
    pub(crate) at: ShowStep,
}

/// What a show does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ShowStep {
    Mapping,
    Request,
    Row(Cell),
}

/// What a list has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct List {
    pub(crate) dead: bool,
    pub(crate) retries: u8,
    pub(crate) request: bool,
    /// A bit for each cell in which a live row was seen.
    pub(crate) rows: u8,
    pub(crate) count: u8,
    /// The cell whose row counts.
    pub(crate) home: Option<Cell>,
}

/// What a list does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ListStep {
    Requests,
    /// A bit for each cell that is still to be asked, in any order.
    Cells(u8),
    Mapping,
    Counter,
    /// What is listed is read whole from its cell.
    Whole(Cell),
}

/// What must never happen, whatever comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    /// A read answered the instance twice.
    ReadTwice,
    /// A read answered that an accepted, undeleted instance is not there.
    ReadAbsent,
    /// A read answered an instance that was deleted before it began.
    ReadDead,
    /// A build was applied that was not decided.
    BuiltUndecided,
    /// A build was applied after the destroy.
    BuiltDead,
}

impl Instance {
    /// Whether a reader that reads everything at one moment finds it in its home.
    pub(crate) fn is_home(&self) -> bool {
        match self.mapping {
            None => self.request,
            Some(cell) => self.cells[usize::from(cell)].row == Row::Live && !self.request,
        }
    }

    /// The intents that a sweep must follow, with their cells.
    pub(crate) fn due_intents(&self) -> impl Iterator<Item = (u8, Cell)> + '_ {
        self.intents.iter().enumerate().filter_map(|(epoch, cell)| {
            let epoch = u8::try_from(epoch).ok()?;
            (epoch < self.epoch || !self.request).then_some((epoch, (*cell)?))
        })
    }

    /// Those of these intents that still stand.
    pub(crate) fn standing(&self, intents: u8) -> u8 {
        let gone = |epoch: &usize| self.intents[*epoch].is_none();
        (0..EPOCHS).filter(gone).fold(intents, |mask, epoch| mask & !(1 << epoch))
    }

    /// Whether it is still of its group: a retry makes it independent.
    pub(crate) fn in_group(&self) -> bool {
        self.retries == 0
    }
}

impl State {
    /// Whether an instance was decided by the group's verdict.
    pub(crate) fn any_decided(&self) -> bool {
        self.instances.iter().any(|instance| instance.decided > 0)
    }

    /// How many claims stand on a live cell.
    pub(crate) fn claims(&self, cell: Cell) -> usize {
        self.instances.iter().filter(|instance| instance.claim == Some(cell)).count()
    }
}
