//! A point in time by which an operation has ended, one way or the other.

use std::time::{Duration, Instant};

/// The longest time that a [`Deadline`] can lie ahead; a longer wait is cut to it.
///
/// It keeps the arithmetic of clocks and of `PRAGMA busy_timeout` far from overflow.
pub const DEADLINE_AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The instant by which an operation has ended. Every use of a database carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline that lies `wait` from now, at most [`DEADLINE_AHEAD_MAX`].
    pub fn after(wait: Duration) -> Deadline {
        Deadline(Instant::now() + wait.min(DEADLINE_AHEAD_MAX))
    }

    /// The deadline at this instant, at most [`DEADLINE_AHEAD_MAX`] from now.
    pub fn at(instant: Instant) -> Deadline {
        Deadline(instant.min(Instant::now() + DEADLINE_AHEAD_MAX))
    }

    /// The time that is left; zero when the deadline has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether no time is left.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// The earlier of the two.
    pub fn earlier(self, other: Deadline) -> Deadline {
        self.min(other)
    }

    /// The instant itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// The time left in whole milliseconds, rounded up, so that a wait of this length never
    /// ends before the deadline.
    pub(crate) fn remaining_milliseconds(self) -> u64 {
        let micros = self.remaining().as_micros();
        u64::try_from(micros.div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_deadline_has_nothing_left() {
        let deadline = Deadline::at(Instant::now());
        assert!(deadline.has_passed());
        assert_eq!(deadline.remaining_milliseconds(), 0);
    }

    #[test]
    fn the_earlier_of_two_deadlines_wins_in_either_order() {
        let (soon, late) =
            (Deadline::after(Duration::from_secs(1)), Deadline::after(Duration::from_secs(9)));
        assert_eq!(soon.earlier(late), soon);
        assert_eq!(late.earlier(soon), soon);
    }

    #[test]
    fn a_boundless_wait_is_cut_to_the_limit() {
        assert!(Deadline::after(Duration::MAX).remaining() <= DEADLINE_AHEAD_MAX);
    }
}
