//! Who receives the effects: it applies each operation once, and only in rising sequence.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use cellzero::*;

/// What was asked for, of which instance, under which id and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) operation: String,
    pub(crate) instance: InstanceUuid,
    pub(crate) id: OperationUuid,
    pub(crate) sequence: i64,
}

/// What became of one instance outside the databases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Outside {
    last: i64,
    /// It runs on its host.
    pub(crate) runs: bool,
    /// It was destroyed, or what it held was released.
    pub(crate) ended: bool,
}

/// The receiver of all processes of a plane. A clone is the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Receiver {
    state: Arc<Mutex<State>>,
    /// Builds are taken, and done later.
    later: Arc<std::sync::atomic::AtomicBool>,
    /// A process of its own says what it was sent, and its parent receives it.
    prints: bool,
}

#[derive(Debug, Default)]
struct State {
    applied: HashSet<OperationUuid>,
    instances: HashMap<InstanceUuid, Outside>,
    contents: HashMap<OperationUuid, Effect>,
    /// Operations that came again under their id with another content.
    changed: Vec<Effect>,
}

impl Receiver {
    /// One that prints each effect as a line for [`Effect::parse`].
    pub(crate) fn printing() -> Receiver {
        Receiver { prints: true, ..Receiver::default() }
    }

    /// Applies an effect, if it is new and not older than what was applied.
    pub(crate) fn receive(&self, effect: &Effect) {
        if self.prints {
            println!("{}", effect.line());
            return;
        }
        let mut state = self.state.lock().unwrap();
        let first = state.contents.entry(effect.id).or_insert_with(|| effect.clone()).clone();
        if first != *effect {
            state.changed.push(effect.clone());
        }
        if !state.applied.insert(effect.id) {
            return;
        }
        let outside = state.instances.entry(effect.instance).or_default();
        if effect.sequence <= outside.last {
            return;
        }
        outside.last = effect.sequence;
        outside.runs = effect.operation == "build";
        outside.ended = effect.operation != "build";
    }

    /// Whether builds are only taken from now on.
    pub(crate) fn build_later(&self, later: bool) {
        self.later.store(later, std::sync::atomic::Ordering::SeqCst);
    }

    /// Its host could not build it, and has cleaned up.
    pub(crate) fn could_not_build(&self, instance: InstanceUuid) {
        if let Some(outside) = self.state.lock().unwrap().instances.get_mut(&instance) {
            outside.runs = false;
        }
    }

    /// What became of an instance; all are forgotten by [`Receiver::clear`].
    pub(crate) fn of(&self, instance: InstanceUuid) -> Outside {
        self.state.lock().unwrap().instances.get(&instance).copied().unwrap_or_default()
    }

    /// Those that run.
    pub(crate) fn running(&self) -> Vec<InstanceUuid> {
        let state = self.state.lock().unwrap();
        let mut running: Vec<InstanceUuid> =
            state.instances.iter().filter(|(_, o)| o.runs).map(|(uuid, _)| *uuid).collect();
        running.sort();
        running
    }

    /// Those of which an effect was ever applied.
    pub(crate) fn known(&self) -> Vec<InstanceUuid> {
        self.state.lock().unwrap().instances.keys().copied().collect()
    }

    /// Operations that came again under their id with another content.
    pub(crate) fn changed(&self) -> Vec<Effect> {
        self.state.lock().unwrap().changed.clone()
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    fn note(
        &self,
        operation: &str,
        instance: InstanceUuid,
        id: OperationUuid,
        sequence: i64,
    ) -> Result<Dispatched, DispatchError> {
        self.receive(&Effect { operation: operation.to_owned(), instance, id, sequence });
        let later = self.later.load(std::sync::atomic::Ordering::SeqCst) && operation == "build";
        Ok(if later { Dispatched::Taken } else { Dispatched::Done })
    }
}

impl Effect {
    fn line(&self) -> String {
        let Effect { operation, instance, id, sequence } = self;
        format!("effect {operation} {instance} {id} {sequence}")
    }

    /// Reads what [`Receiver::printing`] prints; none where the line is another.
    pub(crate) fn parse(line: &str) -> Option<Effect> {
        let mut words = line.strip_prefix("effect ")?.split(' ');
        let operation = words.next()?.to_owned();
        let instance = words.next()?.parse().ok()?;
        let id = OperationUuid(words.next()?.parse().ok()?);
        let sequence = words.next()?.parse().ok()?;
        Some(Effect { operation, instance, id, sequence })
    }
}

#[async_trait::async_trait]
impl Dispatch for Receiver {
    async fn build(&self, o: &BuildOperation) -> Result<Dispatched, DispatchError> {
        self.note("build", o.instance_uuid, o.id, o.sequence)
    }

    async fn destroy(&self, o: &DestroyOperation) -> Result<Dispatched, DispatchError> {
        self.note("destroy", o.instance_uuid, o.id, o.sequence)
    }

    async fn release(&self, o: &ReleaseOperation) -> Result<Dispatched, DispatchError> {
        self.note("release", o.instance_uuid, o.id, o.sequence)
    }

    async fn act(&self, o: &ActionOperation) -> Result<Dispatched, DispatchError> {
        self.note(o.action.name(), o.instance_uuid, o.id, o.sequence)
    }
}
