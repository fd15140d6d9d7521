//! Rates and scores as one point in time each: nothing has to run for them to decay.

use std::time::Duration;

use crate::proto::time::Instant;

/// So many at once, and so many more in each minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// At once.
    pub burst: u32,
    /// In each minute after that; 0 is no limit at all.
    pub per_minute: u32,
}

impl Rate {
    /// A rate.
    #[must_use]
    pub const fn new(burst: u32, per_minute: u32) -> Self {
        Self { burst, per_minute }
    }

    /// How long one token takes to come back; zero for no limit.
    fn interval(self) -> Duration {
        Duration::from_secs(60).checked_div(self.per_minute).unwrap_or_default()
    }
}

/// A token bucket: the moment at which it is full again says how much is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Is there a token?
    #[must_use]
    pub fn has(self, now: Instant, rate: Rate) -> bool {
        if rate.per_minute == 0 {
            return true;
        }
        let interval = rate.interval();
        let debt = (self.full_at.max(now) + interval).since(now);
        debt <= interval.saturating_mul(rate.burst)
    }

    /// Takes a token if there is one.
    pub fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let has = self.has(now, rate);
        if has {
            self.full_at = self.full_at.max(now) + rate.interval();
        }
        has
    }

    /// Puts tokens back.
    pub fn give(&mut self, now: Instant, rate: Rate, tokens: u32) {
        let debt = self.full_at.since(now);
        self.full_at = now + debt.saturating_sub(rate.interval().saturating_mul(tokens));
    }

    /// Is nothing missing? A bucket that is forgotten then is the same bucket again.
    #[must_use]
    pub fn is_full(self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// How long one point of a score counts.
const POINT: Duration = Duration::from_secs(3);

/// Points that go away, one in three seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Score {
    clear_at: Instant,
}

impl Score {
    /// The points now, a begun one included.
    #[must_use]
    pub fn points(self, now: Instant) -> u32 {
        let left = self.clear_at.since(now).as_micros().div_ceil(POINT.as_micros());
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Adds points, up to `max`.
    pub fn add(&mut self, now: Instant, points: u32, max: u32) {
        let left = self.clear_at.since(now) + POINT.saturating_mul(points);
        self.clear_at = now + left.min(POINT.saturating_mul(max));
    }

    /// Takes points away.
    pub fn forgive(&mut self, now: Instant, points: u32) {
        let left = self.clear_at.since(now);
        self.clear_at = now + left.saturating_sub(POINT.saturating_mul(points));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rate = Rate::new(3, 6);
        let mut bucket = Bucket::default();
        let taken = (0..9).filter(|_| bucket.take(at(MINUTE), rate)).count();
        assert_eq!(taken, 3);
        assert!(!bucket.take(at(MINUTE + 9_999), rate));
        assert!(bucket.take(at(MINUTE + 10_000), rate));
        bucket.give(at(MINUTE + 10_000), rate, 2);
        assert!(bucket.take(at(MINUTE + 10_000), rate) && bucket.take(at(MINUTE + 10_000), rate));
        assert!(!bucket.is_full(at(MINUTE + 39_999)) && bucket.is_full(at(MINUTE + 40_000)));
        assert!((0..999).all(|_| bucket.take(at(0), Rate::new(0, 0))), "no limit");
    }

    #[test]
    fn a_score_goes_down_by_itself() {
        let mut score = Score::default();
        score.add(at(1000), 10, 100);
        assert_eq!(score.points(at(1000)), 10);
        assert_eq!(score.points(at(16_000)), 5);
        score.forgive(at(16_000), 2);
        assert_eq!(score.points(at(16_000)), 3);
        score.add(at(16_000), 500, 100);
        assert_eq!(score.points(at(16_000)), 100);
        assert_eq!(score.points(at(400_000)), 0);
    }
}
