//! The daemon's clock: the only reader of monotonic and of wall-clock time.

use std::time::{Duration, SystemTime};

use crate::proto::time::{Instant, Wall};

/// Counts from the moment it was made; copies of it agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock whose [`Instant::START`] is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is the reader of time")]
    pub fn start() -> Self {
        Self { origin: std::time::Instant::now() }
    }

    /// The monotonic time since the clock was made.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is the reader of time")]
    pub fn now(&self) -> Instant {
        self.at(std::time::Instant::now())
    }

    /// A time of the system's monotonic clock on this clock; [`Instant::START`] if it lies before.
    #[must_use]
    pub fn at(&self, time: std::time::Instant) -> Instant {
        Instant::START + time.saturating_duration_since(self.origin)
    }

    /// The system's monotonic time of `at`, for timers that want one.
    #[must_use]
    pub fn deadline(&self, at: Instant) -> std::time::Instant {
        let span = at.since(Instant::START);
        // A timer too far away to be represented will not fire in any case.
        self.origin.checked_add(span).unwrap_or(self.origin + Duration::from_secs(1 << 32))
    }

    /// The wall clock, for people and records.
    #[must_use]
    pub fn wall(&self) -> Wall {
        wall()
    }
}

/// The wall clock in microseconds since the Unix epoch; it may jump, so nothing is timed by it.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this file is the reader of time")]
pub fn wall() -> Wall {
    let micros = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
    };
    Wall(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_and_its_deadline_are_the_same_moment() {
        let clock = Clock::start();
        let at = Instant::from_millis(1500);
        assert_eq!(clock.at(clock.deadline(at)), at);
        assert!(clock.now() <= clock.now());
        assert!(clock.wall() > Wall(1_700_000_000_000_000));
    }
}
