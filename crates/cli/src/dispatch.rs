//! The way to compute hosts where there is none.

use cellzero::{
    ActionOperation, BuildOperation, DestroyOperation, Dispatch, DispatchError, Dispatched,
    ReleaseOperation,
};

/// No way: what is to be sent waits in its outbox for a process that has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoCompute;

fn left() -> Result<Dispatched, DispatchError> {
    let reason = "this process has no way to the compute hosts; its cell has no message queue, and \
                  --simulated-compute is not set";
    Err(DispatchError { reason: reason.to_owned() })
}

#[async_trait::async_trait]
impl Dispatch for NoCompute {
    async fn build(&self, _: &BuildOperation) -> Result<Dispatched, DispatchError> {
        left()
    }

    async fn destroy(&self, _: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        left()
    }

    async fn release(&self, _: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        left()
    }

    async fn act(&self, _: &ActionOperation) -> Result<Dispatched, DispatchError> {
        left()
    }
}
