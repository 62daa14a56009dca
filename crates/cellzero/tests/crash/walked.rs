//! The operations that are walked through: what stands before each, and what its caller is told.

use std::sync::{Arc, Mutex, PoisonError};

use cellzero::*;

use crate::support::{IMAGE, admin_of, request, user};

/// Flavors by what they do on the one host of 4 vcpus.
pub(crate) const FITS: &str = "1";
pub(crate) const FITS_ONCE: &str = "most";
pub(crate) const FITS_LATER: &str = "big";
pub(crate) const NEVER_FITS: &str = "huge";

/// An operation that is walked through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walked {
    /// Of one that fits.
    Boot,
    /// Of one that fits nowhere.
    Bury,
    /// Of two with a `min_count` of 1, where one fits.
    BootTwo,
    DeleteLive,
    DeleteBuried,
    /// Of one that was accepted, and no more.
    DeleteAccepted,
    /// Of one that a dead process had written into its cell.
    DeleteWritten,
    /// Into cell0 again.
    RetryBuried,
    /// Into a cell that has room by now.
    RetryFits,
    /// A host could not build one, and the next may.
    Fail,
    /// The same, where no host is left.
    FailLast,
    /// What a process left that died after so many commits of another operation.
    Recover(Died, u64),
}

/// What a process was at when it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Died {
    Boot,
    Bury,
    BootTwo,
    DeleteLive,
    DeleteBuried,
    RetryFits,
    Fail,
    FailLast,
}

impl Died {
    pub(crate) fn walked(self) -> Walked {
        match self {
            Died::Boot => Walked::Boot,
            Died::Bury => Walked::Bury,
            Died::BootTwo => Walked::BootTwo,
            Died::DeleteLive => Walked::DeleteLive,
            Died::DeleteBuried => Walked::DeleteBuried,
            Died::RetryFits => Walked::RetryFits,
            Died::Fail => Walked::Fail,
            Died::FailLast => Walked::FailLast,
        }
    }
}

/// Boots are accepted, placed, written and decided, with a commit each.
pub(crate) const ACCEPTED: u64 = 1;
pub(crate) const PLACED: u64 = 2;
pub(crate) const WRITTEN: u64 = 3;
pub(crate) const DECIDED: u64 = 4;
/// A retry has a commit more before these, and leaves rows in cell0 to be swept.
pub(crate) const RETRIED_AND_DECIDED: u64 = 4;
/// A delete is decided with its first commit; the rows in the cell follow.
pub(crate) const DELETE_DECIDED: u64 = 1;
/// A failed build is noted in its cell, and decided anew; its cell is told after that.
pub(crate) const FAILURE_DECIDED: u64 = 2;

/// The hosts of the one cell: each instance is first to be built on the first.
pub(crate) const HOSTS: [&str; 2] = ["cell1-host1", "cell1-host2"];

impl Walked {
    /// All of them.
    pub(crate) const ALL: [Walked; 22] = [
        Walked::Boot,
        Walked::Bury,
        Walked::BootTwo,
        Walked::DeleteLive,
        Walked::DeleteBuried,
        Walked::DeleteAccepted,
        Walked::DeleteWritten,
        Walked::RetryBuried,
        Walked::RetryFits,
        Walked::Fail,
        Walked::FailLast,
        Walked::Recover(Died::Boot, ACCEPTED),
        Walked::Recover(Died::Boot, PLACED),
        Walked::Recover(Died::Boot, WRITTEN),
        Walked::Recover(Died::Boot, DECIDED),
        Walked::Recover(Died::Bury, WRITTEN),
        Walked::Recover(Died::BootTwo, PLACED),
        Walked::Recover(Died::DeleteLive, DELETE_DECIDED),
        Walked::Recover(Died::DeleteBuried, DELETE_DECIDED),
        Walked::Recover(Died::RetryFits, RETRIED_AND_DECIDED),
        Walked::Recover(Died::Fail, FAILURE_DECIDED),
        Walked::Recover(Died::FailLast, FAILURE_DECIDED),
    ];

    /// The one that prints so.
    pub(crate) fn parse(name: &str) -> Option<Walked> {
        Walked::ALL.into_iter().find(|walked| format!("{walked:?}") == name)
    }

    /// Itself, or the operation whose half is recovered.
    pub(crate) fn base(self) -> Walked {
        match self {
            Walked::Recover(died, _) => died.walked(),
            walked => walked,
        }
    }
}

/// What the caller was told. A clone is the same one, and survives a panic.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    all: Arc<Mutex<Vec<Word>>>,
    /// A process of its own says it to its parent.
    prints: bool,
}

/// An answer that is a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Accepted(InstanceUuid),
    Deleted(InstanceUuid),
    Retried(InstanceUuid),
    /// A recovery found something to do, and did it.
    Recovered,
}

impl Told {
    pub(crate) fn printing() -> Told {
        Told { prints: true, ..Told::default() }
    }

    pub(crate) fn note(&self, word: Word) {
        if self.prints {
            let (name, uuid) = match word {
                Word::Accepted(uuid) => ("accepted", uuid.to_string()),
                Word::Deleted(uuid) => ("deleted", uuid.to_string()),
                Word::Retried(uuid) => ("retried", uuid.to_string()),
                Word::Recovered => ("recovered", String::new()),
            };
            println!("{name} {uuid}");
        }
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(word);
    }

    pub(crate) fn words(&self) -> Vec<Word> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Word {
    /// Reads what [`Told::printing`] prints; none where the line is another.
    pub(crate) fn parse(line: &str) -> Option<Word> {
        let (name, uuid) = line.split_once(' ')?;
        let uuid: InstanceUuid = uuid.parse().ok()?;
        match name {
            "accepted" => Some(Word::Accepted(uuid)),
            "deleted" => Some(Word::Deleted(uuid)),
            "retried" => Some(Word::Retried(uuid)),
            _ => None,
        }
    }
}

/// One request for all: with a tag, metadata, and a volume that is to be released.
pub(crate) fn asked(flavor: &str) -> BootRequestBuilder {
    let volume = BlockDevice {
        source_type: "volume".into(),
        destination_type: "volume".into(),
        source_id: Some(IMAGE.parse().unwrap()),
        ..BlockDevice::default()
    };
    request("web", flavor).tag("blue").metadata("role", "web").block_device(volume)
}

/// The operation, as its caller does it.
pub(crate) async fn run(
    plane: ControlPlane,
    walked: Walked,
    prepared: Vec<InstanceUuid>,
    told: Told,
) {
    match walked {
        Walked::Boot => boot(&plane, asked(FITS), &told).await,
        Walked::Bury => boot(&plane, asked(NEVER_FITS), &told).await,
        Walked::BootTwo => boot(&plane, asked(FITS_ONCE).counts(1, 2), &told).await,
        Walked::RetryBuried | Walked::RetryFits => {
            for uuid in prepared {
                if plane.retry(&user(), uuid).await.is_ok() {
                    told.note(Word::Retried(uuid));
                }
            }
            let _ = plane.settle().await;
        }
        Walked::Fail | Walked::FailLast => {
            report_failure(&plane, walked, &prepared).await;
            let _ = plane.settle().await;
        }
        Walked::DeleteLive
        | Walked::DeleteBuried
        | Walked::DeleteAccepted
        | Walked::DeleteWritten => {
            for uuid in prepared {
                if plane.delete(&user(), uuid).await.is_ok() {
                    told.note(Word::Deleted(uuid));
                }
            }
            let _ = plane.settle().await;
        }
        Walked::Recover(..) => {
            if plane.recover().await.is_ok_and(|settled| settled != Settled::default()) {
                told.note(Word::Recovered);
            }
        }
    }
}

async fn boot(plane: &ControlPlane, asked: BootRequestBuilder, told: &Told) {
    if let Ok(accepted) = plane.boot(&user(), asked.build().unwrap()).await {
        accepted.instances.iter().for_each(|uuid| told.note(Word::Accepted(*uuid)));
        let _ = plane.settle().await;
    }
}

/// The host that was to build says that it could not; one that gets no answer says it again.
pub(crate) async fn report_failure(
    plane: &ControlPlane,
    walked: Walked,
    instances: &[InstanceUuid],
) {
    let nth = usize::from(walked == Walked::FailLast);
    // The first build is of epoch 1, and each that follows of the next.
    let sequence = (nth as i64 + 1) << 20;
    for uuid in instances {
        let Ok(instance) = plane.show(&admin_of(&user()), *uuid).await else { continue };
        let Home::Cell(cell) = instance.home else { continue };
        let _ = plane.compute().failed(cell, *uuid, HOSTS[nth], sequence, "no space left").await;
    }
}
