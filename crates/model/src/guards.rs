//! The guards of the protocol, each of which can be taken away.

/// Which guards stand. All do in the protocol; a removed one must give a counterexample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// Place and decide act only at the epoch that they were leased.
    pub epoch: bool,
    /// A placement leaves an intent, by which its target is swept.
    pub intent: bool,
    /// A cell refuses writes below its fence.
    pub fence: bool,
    /// A sweep or an undo erases only rows of the epochs that it may.
    pub written_epoch: bool,
    /// A decision without a known effect is read before anything is undone.
    pub read_before_undo: bool,
    /// An intent is forgotten only after its cell was swept.
    pub sweep: bool,
    /// A list counts a row only where the mapping names its cell.
    pub mapping_check: bool,
    /// A delete holds only while the mapping names the cell that was read.
    pub queued_for_delete: bool,
    /// A list compares the counter of retries.
    pub retry_counter: bool,
    /// A decision needs a mapping without a cell. The others imply it.
    pub null_check: bool,
    /// A build is sent only at the epoch that was decided, not only where the mapping names its
    /// cell, and only while it stands in its outbox. Either of the two is enough.
    pub build_epoch: bool,
    /// A receiver drops what has no higher sequence number than what it has applied.
    pub sequence: bool,
    /// A sweep reads the epoch that an instance has reached and its mapping at one moment.
    pub one_look: bool,
    /// A show that finds nothing reads the mapping again instead of answering `NotFound`.
    pub look_again: bool,
    /// A claim is taken only where the host has a slot left.
    pub capacity: bool,
    /// A group's verdict stands once an instance was decided by it, also where that one was retried
    /// since.
    pub verdict: bool,
}

/// How to remove one guard.
type Remove = fn(&mut Guards);

impl Guards {
    /// The protocol as it is.
    pub const ALL: Guards = Guards {
        epoch: true,
        intent: true,
        fence: true,
        written_epoch: true,
        read_before_undo: true,
        sweep: true,
        mapping_check: true,
        queued_for_delete: true,
        retry_counter: true,
        null_check: true,
        build_epoch: true,
        sequence: true,
        one_look: true,
        look_again: true,
        capacity: true,
        verdict: true,
    };

    const REMOVALS: [(&str, Remove); 16] = [
        ("epoch", |g| g.epoch = false),
        ("intent", |g| g.intent = false),
        ("fence", |g| g.fence = false),
        ("written_epoch", |g| g.written_epoch = false),
        ("read before undo", |g| g.read_before_undo = false),
        ("sweep", |g| g.sweep = false),
        ("mapping check of reads", |g| g.mapping_check = false),
        ("guarded queued_for_delete", |g| g.queued_for_delete = false),
        ("counter of retries", |g| g.retry_counter = false),
        ("build as it was decided", |g| g.build_epoch = false),
        ("sequence of effects", |g| g.sequence = false),
        ("sweep reads at one moment", |g| g.one_look = false),
        ("show looks again", |g| g.look_again = false),
        ("capacity of a host", |g| g.capacity = false),
        ("standing verdict of a group", |g| g.verdict = false),
        (Guards::IMPLIED, |g| g.null_check = false),
    ];

    /// The one guard whose removal changes nothing in the model, since the others imply it.
    pub const IMPLIED: &str = "NULL check of the mapping";

    /// Whether it guards what two instances share, so that one alone cannot miss it.
    pub fn is_of_groups(&self) -> bool {
        !(self.capacity && self.verdict)
    }

    /// Each guard's name, with all guards but that one.
    pub fn each_removed() -> impl Iterator<Item = (&'static str, Guards)> {
        Self::REMOVALS.into_iter().map(|(name, remove)| {
            let mut guards = Guards::ALL;
            remove(&mut guards);
            (name, guards)
        })
    }
}
