//! What makes two instances affordable: states that differ in nothing that matters are one.
//!
//! Two instances touch each other in three places only: a lease and a placement take both, claims
//! share the slots of a host, and the verdict is the group's. Every other step reads and writes one
//! instance, so a run of two, looked at for one of them, is a run of the model with one, which is
//! explored in the fine grain. What is left for two is what they share, in the coarse grain.

use crate::state::{Cell, INSTANCES_MAX, Instance, Row, Rows, State, Work};

impl Work {
    /// Whether no step that is left of it can change anything, now or later. Forgetting it is then
    /// the same: an orchestrator that holds nothing may do all that one that holds it may.
    fn is_dead(self, instance: &Instance) -> bool {
        match self {
            Work::Placed(epoch, cell) => instance.cells[usize::from(cell)].fence > epoch,
            Work::Written(epoch, _) => {
                instance.epoch != epoch || !instance.request || instance.queued
            }
            Work::Sweep { intents, left, reached, dying } => {
                let touches = |(cell, rows): (Cell, &Rows)| {
                    let erases = rows.written > 0 && rows.written < reached;
                    let deletes = dying == Some(cell) && rows.row == Row::Live;
                    left & 1 << cell != 0 && (rows.fence < reached || erases || deletes)
                };
                instance.standing(intents) == 0 && !(0..).zip(&instance.cells).any(touches)
            }
            // A placement proposes also what is no longer its own, and a read is followed by more.
            _ => false,
        }
    }

    /// Without the intents that another has forgotten.
    fn trimmed(self, instance: &Instance) -> Work {
        match self {
            Work::Sweep { intents, left, reached, dying } => {
                Work::Sweep { intents: instance.standing(intents), left, reached, dying }
            }
            other => other,
        }
    }
}

impl State {
    /// Forgets what orchestrators hold to no effect.
    pub(crate) fn forget_dead_work(&mut self) {
        for work in &mut self.orchestrators {
            for (work, instance) in work.iter_mut().zip(&self.instances) {
                *work = if work.is_dead(instance) { Work::Idle } else { work.trimmed(instance) };
            }
        }
    }

    /// Puts the instances in order, with what is held of each: they are alike.
    pub(crate) fn sort_instances(&mut self) {
        let column = |i: usize| {
            let mut held = self.orchestrators.map(|work| work[i]);
            held.sort_unstable();
            held
        };
        let (first, second) = (&self.instances[0], &self.instances[1]);
        let unsorted = match first.cmp(second) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => column(0) > column(1),
        };
        if unsorted {
            self.instances.swap(0, INSTANCES_MAX - 1);
            self.orchestrators.iter_mut().for_each(|work| work.swap(0, INSTANCES_MAX - 1));
        }
    }
}
