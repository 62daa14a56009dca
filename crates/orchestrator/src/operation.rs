//! Operations: the effects outside the databases, and the way they are handed over.
//!
//! The sequence numbers of an instance rise with its epochs. Each epoch has room for many, since
//! an instance may be rebooted any number of times while it lives.

use std::sync::Arc;

use cellzero_api_db::CellMapping;
use cellzero_cell_db::outbox::OutboxRow;
use cellzero_types::{Action, BlockDevice, InstanceUuid, Networks, OperationUuid};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The name of a build in an outbox.
pub(crate) const BUILD: &str = "build";
/// The name of an action in an outbox.
pub(crate) const ACTION: &str = "action";
/// The name that a reboot had before there were other actions.
pub(crate) const REBOOT: &str = "reboot";

/// How many sequence numbers an epoch has, as a power of two.
const EPOCH_BITS: u32 = 20;

/// The sequence number of the effect that an epoch begins with: a build, a destroy, a release.
pub(crate) fn sequence_of(epoch: i64) -> i64 {
    epoch << EPOCH_BITS
}

/// The epoch that begins with this sequence number; none where it is an action's.
pub(crate) fn epoch_of(sequence: i64) -> Option<i64> {
    let epoch = sequence >> EPOCH_BITS;
    (sequence_of(epoch) == sequence).then_some(epoch)
}

/// The sequence number of the `nth` action on an instance that lives at `epoch`, from 1.
pub(crate) fn sequence_of_action(epoch: i64, nth: i64) -> i64 {
    sequence_of(epoch) + nth.min((1 << EPOCH_BITS) - 1)
}

/// Build an instance on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildOperation {
    /// Stable: the same for every sending.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises for each instance.
    pub sequence: i64,
    /// Which sending this is, from 1: a higher one may be a repeat.
    #[serde(default)]
    pub attempt: u32,
    /// The host that is to build it.
    pub host: String,
    /// Hosts of the same cell that may be tried after it.
    pub alternates: Vec<String>,
    /// Where it is to be plugged in.
    pub networks: Networks,
    /// Its cell, as its mapping stands at this sending; there always is one.
    #[serde(skip)]
    pub cell: Option<Arc<CellMapping>>,
}

/// Destroy an instance on its host, and release what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyOperation {
    /// Stable: the same for every sending.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises for each instance.
    pub sequence: i64,
    /// Which sending this is, from 1: a higher one may be a repeat.
    #[serde(default)]
    pub attempt: u32,
    /// The host that has it, or was to build it.
    pub host: String,
    /// Its block devices, whose volumes are to be detached, or deleted where they go with it.
    pub block_devices: Vec<BlockDevice>,
    /// Its cell, as its mapping stands at this sending; there always is one.
    #[serde(skip)]
    pub cell: Option<Arc<CellMapping>>,
}

/// Release volumes and ports of an instance that never had a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseOperation {
    /// Stable: the same for every sending.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises for each instance.
    pub sequence: i64,
    /// Which sending this is, from 1: a higher one may be a repeat.
    #[serde(default)]
    pub attempt: u32,
    /// Its block devices.
    pub block_devices: Vec<BlockDevice>,
    /// The ports that were asked for.
    pub networks: Networks,
    /// The cell that keeps the operation, as its mapping stands at this sending: cell0 for one that was
    /// buried, none for one that was deleted while it had no home.
    #[serde(skip)]
    pub cell: Option<Arc<CellMapping>>,
}

/// Do something with an instance on its host: what users ask for while it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionOperation {
    /// Stable: the same for every sending.
    pub id: OperationUuid,
    /// The instance.
    pub instance_uuid: InstanceUuid,
    /// Rises for each instance.
    pub sequence: i64,
    /// Which sending this is, from 1: a higher one may be a repeat.
    #[serde(default)]
    pub attempt: u32,
    /// The host that has it.
    pub host: String,
    /// What is to be done.
    #[serde(default = "reboot")]
    pub action: Action,
    /// What a rebuild is made from; none for all other actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<RebuildFrom>,
    /// Its cell, as its mapping stands at this sending; there always is one.
    #[serde(skip)]
    pub cell: Option<Arc<CellMapping>>,
}

/// What an instance is rebuilt from. All else stands in its row by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildFrom {
    /// The image.
    pub image: Uuid,
    /// Whether its ephemeral disk is kept.
    pub preserve_ephemeral: bool,
}

/// What an operation of the name `reboot` is, which an earlier version may have left in an outbox.
fn reboot() -> Action {
    Action::Reboot
}

/// An effect, as the outbox of a cell holds it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "lowercase")]
pub(crate) enum Operation {
    Build(BuildOperation),
    Destroy(DestroyOperation),
    Release(ReleaseOperation),
    #[serde(alias = "reboot")]
    Action(ActionOperation),
}

impl Operation {
    /// As the outbox of a cell holds it, for its next sending.
    pub(crate) fn read(
        payload: &str,
        sending: u32,
        mapping: &CellMapping,
    ) -> Result<Operation, serde_json::Error> {
        let mut operation: Operation = serde_json::from_str(payload)?;
        let (attempt, cell) = match &mut operation {
            Operation::Build(o) => (&mut o.attempt, &mut o.cell),
            Operation::Destroy(o) => (&mut o.attempt, &mut o.cell),
            Operation::Release(o) => (&mut o.attempt, &mut o.cell),
            Operation::Action(o) => (&mut o.attempt, &mut o.cell),
        };
        (*attempt, *cell) = (sending, Some(Arc::new(mapping.clone())));
        Ok(operation)
    }
}

impl From<Operation> for OutboxRow {
    fn from(operation: Operation) -> OutboxRow {
        let payload = serde_json::json!(operation).to_string();
        let (name, id, instance_uuid, sequence, host) = match operation {
            Operation::Build(o) => (BUILD, o.id, o.instance_uuid, o.sequence, Some(o.host)),
            Operation::Destroy(o) => ("destroy", o.id, o.instance_uuid, o.sequence, Some(o.host)),
            Operation::Release(o) => ("release", o.id, o.instance_uuid, o.sequence, None),
            Operation::Action(o) => (ACTION, o.id, o.instance_uuid, o.sequence, Some(o.host)),
        };
        OutboxRow { id, instance_uuid, sequence, operation: name.to_owned(), host, payload }
    }
}

/// What a receiver says to an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatched {
    /// It has the operation and will report when it is done.
    Taken,
    /// It is done already.
    Done,
}

/// An effect could not be handed over; it is sent again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the operation could not be dispatched: {reason}")]
pub struct DispatchError {
    /// Why, in the embedder's words.
    pub reason: String,
}

/// The way to the compute hosts and to the services for volumes and ports.
///
/// Every call may be repeated with the same operation id: the receiver applies it once.
#[async_trait::async_trait]
pub trait Dispatch: std::fmt::Debug + Send + Sync {
    /// How many operations of one cell it takes at once, each of another instance; one by default. More
    /// are of use where it waits for an answer to each.
    fn at_once(&self) -> usize {
        1
    }

    /// Builds an instance on its host.
    ///
    /// # Errors
    /// [`DispatchError`] where it could not be handed over; it is sent again.
    async fn build(&self, operation: &BuildOperation) -> Result<Dispatched, DispatchError>;

    /// Destroys an instance on its host; its claim is freed when that is done.
    ///
    /// # Errors
    /// [`DispatchError`] where it could not be handed over; it is sent again.
    async fn destroy(&self, operation: &DestroyOperation) -> Result<Dispatched, DispatchError>;

    /// Releases volumes and ports of an instance that never had a host.
    ///
    /// # Errors
    /// [`DispatchError`] where it could not be handed over; it is sent again.
    async fn release(&self, operation: &ReleaseOperation) -> Result<Dispatched, DispatchError>;

    /// Does what users ask for while an instance lives: stops, starts, reboots it and so on, on its
    /// host.
    ///
    /// # Errors
    /// [`DispatchError`] where it could not be handed over; it is sent again.
    async fn act(&self, operation: &ActionOperation) -> Result<Dispatched, DispatchError>;
}

/// The default: every operation is done at once and well, so that an instance is ACTIVE, stopped and
/// so on in process.
#[derive(Debug, Clone, Copy, Default)]
pub struct InProcessDispatch;

#[async_trait::async_trait]
impl Dispatch for InProcessDispatch {
    async fn build(&self, _: &BuildOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn destroy(&self, _: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn release(&self, _: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }

    async fn act(&self, _: &ActionOperation) -> Result<Dispatched, DispatchError> {
        Ok(Dispatched::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reboot_that_an_earlier_version_left_in_an_outbox_is_an_action() {
        let uuid = Uuid::from_u128(1);
        let left = serde_json::json!({
            "operation": "reboot", "id": uuid, "instance_uuid": uuid, "sequence": 7,
            "attempt": 0, "host": "host1",
        });
        let read = serde_json::from_value(left).unwrap();
        let Operation::Action(operation) = read else { panic!("{read:?}") };
        assert_eq!((operation.action, operation.rebuild), (Action::Reboot, None));
    }

    #[test]
    fn whatever_is_done_at_an_epoch_comes_before_the_next() {
        let all = [0, 1, 2, 1 << 19, (1 << 20) - 1, 1 << 20, i64::MAX];
        let numbers = all.map(|nth| sequence_of_action(3, nth));
        assert!(numbers.is_sorted() && numbers[..5].is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert_eq!(numbers[0], sequence_of(3));
        assert_eq!(numbers[6] + 1, sequence_of(4));
    }
}
