//! Something that happens between two steps of an operation, made to happen just there.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use cellzero_database::{CommitFate, Gate, Passed, Stop};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type IsHere = Box<dyn Fn(&Stop) -> bool + Send + Sync>;

/// Something that happens once, before the first step that it is meant for.
pub(crate) struct Before {
    is_here: IsHere,
    work: Mutex<Option<(CommitFate, Work)>>,
}

impl Before {
    pub(crate) fn new(
        is_here: impl Fn(&Stop) -> bool + Send + Sync + 'static,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Arc<Before> {
        let work: Work = Box::pin(work);
        let work = Mutex::new(Some((CommitFate::Real, work)));
        Arc::new(Before { is_here: Box::new(is_here), work })
    }

    /// A commit that ends like this.
    pub(crate) fn commit(is_here: fn(&Stop) -> bool, fate: CommitFate) -> Arc<Before> {
        let nothing: Work = Box::pin(std::future::ready(()));
        Arc::new(Before { is_here: Box::new(is_here), work: Mutex::new(Some((fate, nothing))) })
    }

    pub(crate) fn has_happened(&self) -> bool {
        self.work.lock().unwrap().is_none()
    }
}

impl Gate for Before {
    fn pass(&self, stop: Stop) -> Pin<Box<dyn Future<Output = Passed> + Send + '_>> {
        let work = (self.is_here)(&stop).then(|| self.work.lock().unwrap().take()).flatten();
        Box::pin(async move {
            let mut fate = CommitFate::Real;
            if let Some((chosen, work)) = work {
                work.await;
                fate = chosen;
            }
            Passed { fate, guard: Arc::new(()) }
        })
    }
}
