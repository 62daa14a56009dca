//! A dispatch that takes operations and does them later.
//!
//! It may be given the same operation again, after a crash of the plane, so it keeps each by its
//! id. A real one would put them where they survive before it answers "taken".

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use cellzero::{
    ActionOperation, BuildOperation, DestroyOperation, Dispatch, DispatchError, Dispatched,
    OperationUuid, ReleaseOperation,
};

/// The build farm. A clone is another handle to the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Farm(Arc<Mutex<Orders>>);

#[derive(Debug, Default)]
struct Orders {
    builds: BTreeMap<OperationUuid, BuildOperation>,
    destroys: BTreeMap<OperationUuid, DestroyOperation>,
    log: Vec<String>,
}

impl Farm {
    /// The builds that are done by now.
    pub(crate) fn take_builds(&self) -> Vec<BuildOperation> {
        self.with(|orders| std::mem::take(&mut orders.builds).into_values().collect())
    }

    /// The destroys that are done by now.
    pub(crate) fn take_destroys(&self) -> Vec<DestroyOperation> {
        self.with(|orders| std::mem::take(&mut orders.destroys).into_values().collect())
    }

    /// Prints the operations that came since the last time.
    pub(crate) fn print_log(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        for line in self.with(|orders| std::mem::take(&mut orders.log)) {
            writeln!(out, "  given: {line}")?;
        }
        Ok(())
    }

    fn with<T>(&self, work: impl FnOnce(&mut Orders) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait::async_trait]
impl Dispatch for Farm {
    async fn build(&self, operation: &BuildOperation) -> Result<Dispatched, DispatchError> {
        self.with(|orders| {
            orders.log.push(format!("build {} on {}", operation.instance_uuid, operation.host));
            orders.builds.insert(operation.id, operation.clone());
        });
        Ok(Dispatched::Taken)
    }

    async fn destroy(&self, operation: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        self.with(|orders| {
            orders.log.push(format!("destroy {} on {}", operation.instance_uuid, operation.host));
            orders.destroys.insert(operation.id, operation.clone());
        });
        Ok(Dispatched::Taken)
    }

    /// Nothing to do here: no volume and no port was reserved.
    async fn release(&self, operation: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        self.with(|orders| orders.log.push(format!("release {}", operation.instance_uuid)));
        Ok(Dispatched::Done)
    }

    /// Done at once.
    async fn act(&self, operation: &ActionOperation) -> Result<Dispatched, DispatchError> {
        self.with(|orders| {
            orders.log.push(format!("{} {}", operation.action.name(), operation.instance_uuid))
        });
        Ok(Dispatched::Done)
    }
}
