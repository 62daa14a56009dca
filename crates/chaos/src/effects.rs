//! The compute hosts of a chaos run: every effect is a line of one file that all processes append
//! to, so that the file's order is the order of delivery.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use cellzero::{
    ActionOperation, BuildOperation, DestroyOperation, Dispatch, DispatchError, Dispatched,
    InstanceUuid, OperationUuid, ReleaseOperation,
};

/// One of so many effects is delivered and its acknowledgement lost, so that it comes again.
const LOST_ANSWERS: u32 = 40;
/// What stands in the place of a host where an effect has none.
pub(crate) const NO_HOST: &str = "-";

/// A dispatch that writes down what it is given.
#[derive(Debug, Clone)]
pub(crate) struct EffectLog {
    file: Arc<Mutex<File>>,
    process: String,
}

impl EffectLog {
    /// Appends to the file at `path` in the name of `process`.
    pub(crate) fn open(path: &Path, process: &str) -> anyhow::Result<EffectLog> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        Ok(EffectLog { file: Arc::new(Mutex::new(file)), process: process.to_owned() })
    }

    fn note(
        &self,
        operation: &str,
        id: OperationUuid,
        uuid: InstanceUuid,
        sequence: i64,
        host: &str,
    ) -> Result<Dispatched, DispatchError> {
        let process = &self.process;
        let line = format!("{operation} {id} {uuid} {sequence} {host} {process}\n");
        // One write to a file that is open for appending: lines of several processes never mix.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes())
            .map_err(|error| DispatchError { reason: error.to_string() })?;
        if rand::random_ratio(1, LOST_ANSWERS) {
            return Err(DispatchError { reason: "the acknowledgement was lost".to_owned() });
        }
        Ok(Dispatched::Done)
    }
}

#[async_trait::async_trait]
impl Dispatch for EffectLog {
    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        self.note("build", o.id, o.instance_uuid, o.sequence, &o.host)
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        self.note("destroy", o.id, o.instance_uuid, o.sequence, &o.host)
    }

    async fn release(&self, o: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        self.note("release", o.id, o.instance_uuid, o.sequence, NO_HOST)
    }

    async fn act(&self, o: &ActionOperation) -> Result<Dispatched, DispatchError> {
        self.note(o.action.name(), o.id, o.instance_uuid, o.sequence, &o.host)
    }
}
