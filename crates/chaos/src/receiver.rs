//! The receiver of effects, replayed from the log: it applies each operation once and in order, as
//! the protocol demands of it, and says what no receiver could make right.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use cellzero::{InstanceUuid, OperationUuid};

/// What a line of the log says.
struct Effect<'a> {
    operation: &'a str,
    id: OperationUuid,
    uuid: InstanceUuid,
    sequence: i64,
    host: &'a str,
}

/// What one instance was sent.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// The operation of each sequence number.
    by_sequence: HashMap<i64, (OperationUuid, String)>,
    /// The last one that was applied.
    last: Option<(i64, String)>,
    /// The host that has it.
    pub(crate) running: Option<String>,
    /// How many different builds came.
    pub(crate) builds: usize,
}

impl Received {
    /// Whether the last thing applied is an end: a destroy or a release.
    pub(crate) fn has_ended(&self) -> bool {
        self.last.as_ref().is_some_and(|(_, last)| last == "destroy" || last == "release")
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    instances: HashMap<InstanceUuid, Received>,
    on_host: HashMap<String, i32>,
    limit: i32,
    /// Different operations.
    pub(crate) delivered: u64,
    /// Operations that came again, under the same id.
    pub(crate) repeated: u64,
    /// Operations that came first after one with a higher sequence number: dropped.
    pub(crate) late: u64,
    /// What no receiver could make right.
    pub(crate) violations: Vec<String>,
}

impl Receiver {
    /// Replays a log; no host may have more than `limit` instances at once.
    pub(crate) fn replay(log: &str, limit: i32) -> anyhow::Result<Receiver> {
        let mut receiver = Receiver { limit, ..Receiver::default() };
        for line in log.lines() {
            let effect = parse(line).with_context(|| format!("a line of the effects: {line:?}"))?;
            receiver.receive(&effect);
        }
        Ok(receiver)
    }

    /// What an instance was sent, where it was sent anything.
    pub(crate) fn of(&self, uuid: InstanceUuid) -> Option<&Received> {
        self.instances.get(&uuid)
    }

    fn receive(&mut self, effect: &Effect<'_>) {
        let Effect { operation, id, uuid, sequence, host } = *effect;
        let received = self.instances.entry(uuid).or_default();
        if let Some((known, known_operation)) = received.by_sequence.get(&sequence) {
            if *known == id && known_operation == operation {
                self.repeated += 1;
            } else {
                self.violations.push(format!(
                    "{uuid}: sequence {sequence} is {known_operation} {known} and {operation} {id}"
                ));
            }
            return;
        }
        if received.by_sequence.values().any(|(known, _)| *known == id) {
            self.violations.push(format!("{uuid}: operation {id} has two sequence numbers"));
        }
        received.by_sequence.insert(sequence, (id, operation.to_owned()));
        self.delivered += 1;
        if operation == "build" {
            received.builds += 1;
            if received.builds > 1 {
                self.violations.push(format!("{uuid}: a second build, {id}, at {sequence}"));
            }
        }
        if received.last.as_ref().is_some_and(|(last, _)| *last > sequence) {
            self.late += 1;
            return;
        }
        received.last = Some((sequence, operation.to_owned()));
        if let Some(before) = received.running.take() {
            *self.on_host.entry(before).or_default() -= 1;
        }
        if operation == "build" {
            received.running = Some(host.to_owned());
            let count = self.on_host.entry(host.to_owned()).or_default();
            *count += 1;
            if *count > self.limit {
                self.violations.push(format!("{host} has {count} instances at once, by {uuid}"));
            }
        }
    }
}

fn parse(line: &str) -> anyhow::Result<Effect<'_>> {
    let words: Vec<&str> = line.split(' ').collect();
    let [operation, id, uuid, sequence, host, _process] = words.as_slice() else {
        bail!("not six words");
    };
    Ok(Effect {
        operation,
        id: id.parse()?,
        uuid: uuid.parse()?,
        sequence: sequence.parse()?,
        host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuid(number: u128) -> String {
        OperationUuid(uuid::Uuid::from_u128(number)).to_string()
    }

    fn replay(effects: &[(&str, u128, i64)]) -> Receiver {
        let line = |(operation, id, sequence): &(&str, u128, i64)| {
            format!("{operation} {} {} {sequence} host p\n", uuid(*id), uuid(99))
        };
        Receiver::replay(&effects.iter().map(line).collect::<String>(), 1).unwrap()
    }

    #[test]
    fn a_repeat_under_its_id_is_counted_and_nothing_else() {
        let receiver = replay(&[("build", 1, 2), ("build", 1, 2), ("destroy", 2, 3)]);
        assert_eq!((receiver.delivered, receiver.repeated, receiver.late), (2, 1, 0));
        assert_eq!(receiver.violations, Vec::<String>::new());
    }

    #[test]
    fn a_late_build_is_dropped() {
        let receiver = replay(&[("destroy", 2, 3), ("build", 1, 2)]);
        assert_eq!((receiver.late, receiver.violations.len()), (1, 0));
        let received = receiver.of(uuid(99).parse().unwrap()).unwrap();
        assert!(received.running.is_none() && received.has_ended());
    }

    #[test]
    fn two_operations_for_one_sequence_number_are_a_violation() {
        assert_eq!(replay(&[("destroy", 1, 2), ("destroy", 2, 2)]).violations.len(), 1);
    }

    #[test]
    fn a_second_build_of_an_instance_is_a_violation() {
        assert_eq!(replay(&[("build", 1, 2), ("build", 2, 4)]).violations.len(), 1);
    }
}
