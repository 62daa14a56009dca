//! What must be once all is recovered, whatever has happened before.

use cellzero::*;

use crate::stage::Stage;
use crate::support::{admin_of, user};
use crate::walked::{FITS_ONCE, HOSTS, Told, Walked, Word};

/// Compares a plane at rest with what the callers were told.
pub(crate) struct Oracle<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) walked: Walked,
    pub(crate) prepared: &'a [InstanceUuid],
    pub(crate) told: &'a Told,
}

/// Where an instance has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Cell,
    Cell0,
    Either,
}

impl Oracle<'_> {
    /// # Panics
    /// Where something is not as it must be.
    pub(crate) async fn check(&self) {
        self.stage.test.check_at_rest_by(|database, text| self.stage.ask(database, text));
        self.check_fsck().await;
        let listed = self.stage.listed().await;
        let mut uuids: Vec<InstanceUuid> = listed.iter().map(|instance| instance.uuid).collect();
        uuids.sort();
        assert!(uuids.is_sorted_by(|a, b| a < b), "listed twice: {uuids:?}");
        self.check_words(&uuids).await;
        for instance in &listed {
            self.check_instance(instance).await;
        }
        if self.walked.base() == Walked::BootTwo && !listed.is_empty() {
            let buried = listed.iter().filter(|instance| instance.home.is_cell0()).count();
            assert_eq!((listed.len(), buried), (2, 1), "one of two fits");
        }
        let runs = |i: &&Instance| !i.home.is_cell0() && i.vm_state != Some(VmState::Error);
        let mut live: Vec<InstanceUuid> = listed.iter().filter(runs).map(|i| i.uuid).collect();
        live.sort();
        assert_eq!(self.stage.receiver.running(), live, "what runs, and what lives in a cell");
        assert_eq!(self.stage.receiver.changed(), [], "operations that changed under their id");
    }

    async fn check_fsck(&self) {
        let none = std::time::Duration::ZERO;
        let options = FsckOptions { age: none, claim_age: none, ..FsckOptions::default() };
        let report = self.stage.test.plane.fsck(options).await.expect("a check");
        assert!(report.is_clean() && report.moving.is_empty(), "{:?}", report.findings);
    }

    /// A promise is kept; a failed answer promises nothing.
    async fn check_words(&self, listed: &[InstanceUuid]) {
        for word in self.told.words() {
            match word {
                Word::Accepted(uuid) | Word::Retried(uuid) => {
                    assert!(listed.contains(&uuid), "{uuid} is lost");
                }
                Word::Deleted(uuid) => {
                    assert!(!listed.contains(&uuid), "{uuid} is back");
                    let shown = self.stage.test.plane.show(&user(), uuid).await;
                    let gone = matches!(shown, Err(ReadError::InstanceNotFound { .. }));
                    assert!(gone, "{uuid} is shown: {shown:?}");
                }
                Word::Recovered => {}
            }
        }
        match self.walked {
            // A process died after the decision to delete.
            Walked::Recover(..) if self.deletes() => assert_eq!(listed, []),
            Walked::Recover(..)
            | Walked::RetryBuried
            | Walked::RetryFits
            | Walked::Fail
            | Walked::FailLast => {
                let mut prepared = self.prepared.to_vec();
                prepared.sort();
                assert_eq!(listed, prepared, "what stood before");
            }
            _ if self.deletes() => {
                assert!(listed.iter().all(|uuid| self.prepared.contains(uuid)), "{listed:?}");
            }
            _ => {}
        }
    }

    fn deletes(&self) -> bool {
        matches!(
            self.walked.base(),
            Walked::DeleteLive
                | Walked::DeleteBuried
                | Walked::DeleteAccepted
                | Walked::DeleteWritten
        )
    }

    async fn check_instance(&self, listed: &Instance) {
        let uuid = listed.uuid;
        let shown = self.stage.test.plane.show(&user(), uuid).await.expect("what is listed");
        assert_eq!(shown.home, listed.home);
        let expected = match self.walked.base() {
            Walked::Boot
            | Walked::DeleteLive
            | Walked::DeleteAccepted
            | Walked::DeleteWritten
            | Walked::Fail
            | Walked::FailLast => Expected::Cell,
            Walked::Bury | Walked::DeleteBuried | Walked::RetryBuried => Expected::Cell0,
            Walked::BootTwo => Expected::Either,
            Walked::RetryFits if self.is_retried(uuid) => Expected::Cell,
            Walked::RetryFits => Expected::Either,
            Walked::Recover(..) => unreachable!("the base of a recovery is what died"),
        };
        let buried = shown.home.is_cell0();
        let as_expected = match expected {
            Expected::Cell => !buried,
            Expected::Cell0 => buried,
            Expected::Either => true,
        };
        assert!(as_expected, "{expected:?} expected, but {:?}: {:?}", shown.home, shown.fault);
        let base = self.walked.base();
        let in_error = buried || base == Walked::FailLast;
        assert_eq!(shown.status(), if in_error { "ERROR" } else { "ACTIVE" });
        assert_eq!(shown.tags, ["blue"], "written whole");
        let was_in_error = matches!(base, Walked::RetryFits | Walked::Fail);
        assert_eq!(shown.fault.is_some(), in_error || was_in_error);
        if matches!(base, Walked::Fail | Walked::FailLast) {
            let host = (base == Walked::Fail).then_some(HOSTS[1]);
            let admin = self.stage.test.plane.show(&admin_of(&user()), uuid).await.expect("shown");
            assert_eq!(admin.host.as_deref(), host);
        }
        self.check_history(uuid, buried).await;
        let fits_once = shown.flavor.as_ref().is_some_and(|flavor| flavor.flavorid == FITS_ONCE);
        assert_eq!(fits_once, self.walked.base() == Walked::BootTwo);
    }

    fn is_retried(&self, uuid: InstanceUuid) -> bool {
        matches!(self.walked, Walked::Recover(..))
            || self.told.words().contains(&Word::Retried(uuid))
    }

    /// One action and, where it was buried, one fault for each burial: none is written twice, and
    /// none is lost on the way.
    async fn check_history(&self, uuid: InstanceUuid, buried: bool) {
        let actions = self.stage.test.plane.actions(&user(), uuid).await.expect("actions");
        let retries = actions.iter().filter(|action| action.action == "retry").count();
        assert_eq!(actions.len(), 1 + retries, "{actions:?}");
        let retry = matches!(self.walked.base(), Walked::RetryBuried | Walked::RetryFits);
        match (retry, self.is_retried(uuid)) {
            (true, true) => assert_eq!(retries, 1),
            (true, false) => assert!(retries <= 1),
            (false, _) => assert_eq!(retries, 0),
        }
        let of_builds = match self.walked.base() {
            Walked::Fail => 1,
            // One for each host, and one that none is left.
            Walked::FailLast => 3,
            _ => 0,
        };
        let faults = retries + usize::from(buried) + of_builds;
        let home = if buried { &self.stage.test.cell0 } else { &self.stage.test.cells[0].1 };
        let stored =
            self.stage.count(home, &format!("instance_faults WHERE instance_uuid = '{uuid}'"));
        assert_eq!(usize::try_from(stored).unwrap(), faults);
    }

    /// After everything was deleted: what ran is destroyed, what did not is released.
    pub(crate) fn check_ended(&self) {
        let told = self.told.words().into_iter().filter_map(|word| match word {
            Word::Accepted(uuid) | Word::Deleted(uuid) | Word::Retried(uuid) => Some(uuid),
            Word::Recovered => None,
        });
        let known = self.stage.receiver.known();
        for uuid in told.chain(self.prepared.iter().copied()).chain(known) {
            let outside = self.stage.receiver.of(uuid);
            assert!(outside.ended && !outside.runs, "{uuid} holds something: {outside:?}");
        }
        self.stage.receiver.clear();
    }
}
