//! What real calls tell of a trunk: how many of those that were sent to a place of it in the last minutes were
//! answered, and how many failed on the way. A carrier that answers every OPTIONS may still carry no call.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::time::Instant;

/// How far back calls count.
pub const WINDOW: Duration = Duration::from_secs(5 * 60);
/// The window goes in steps of this length.
const STEP: Duration = Duration::from_secs(60);
/// Fewer calls than this in the window say nothing of failures.
pub const TRIED_MIN: u32 = 10;
/// Fewer calls than this in the window say nothing of answers: people do not answer in rows.
pub const TRIED_FOR_ANSWERS_MIN: u32 = 30;
/// Places of one trunk that are counted apart; what goes to a further one counts for the trunk's first.
const PLACES_MAX: usize = 64;

/// What came of an INVITE to a trunk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// The called party did not answer, or the caller gave up: no fault of the trunk's.
    Unanswered,
    /// 408 or 5xx, silence, or a place that cannot be reached.
    Failed,
}

/// When a trunk is tried last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// From this share of failed calls on, in percent; 0 never.
    pub failures_max_percent: u32,
    /// Below this share of answered calls, in percent; 0 never.
    pub answers_min_percent: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { failures_max_percent: 50, answers_min_percent: 0 }
    }
}

/// The calls of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// All whose fate is known.
    pub tried: u32,
    /// Those that were answered.
    pub answered: u32,
    /// Those that failed on the way.
    pub failed: u32,
}

impl Figures {
    fn count(&mut self, outcome: Outcome) {
        self.tried += 1;
        match outcome {
            Outcome::Answered => self.answered += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Unanswered => {}
        }
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            tried: self.tried + other.tried,
            answered: self.answered + other.answered,
            failed: self.failed + other.failed,
        }
    }

    /// Why what these count is tried last; `None` if it is not.
    #[must_use]
    pub fn why_last(&self, bounds: &Bounds) -> Option<String> {
        let Self { tried, answered, failed } = *self;
        let share = |part: u32| u64::from(part) * 100;
        let all = u64::from(tried);
        let fails = bounds.failures_max_percent > 0
            && tried >= TRIED_MIN
            && share(failed) >= all * u64::from(bounds.failures_max_percent);
        let minutes = WINDOW.as_secs() / 60;
        if fails {
            return Some(format!("{failed} of {tried} calls failed in {minutes} minutes"));
        }
        let is_unanswered = tried >= TRIED_FOR_ANSWERS_MIN
            && share(answered) < all * u64::from(bounds.answers_min_percent);
        is_unanswered.then(|| format!("{answered} of {tried} calls answered in {minutes} minutes"))
    }
}

/// One place, by minutes.
#[derive(Clone, Debug, Default)]
struct Window {
    steps: BTreeMap<u64, Figures>,
    is_last: bool,
}

fn step(now: Instant) -> u64 {
    now.since(Instant::START).as_secs() / STEP.as_secs()
}

impl Window {
    /// True if there was something to forget.
    fn forget(&mut self, now: Instant) -> bool {
        let kept = WINDOW.as_secs() / STEP.as_secs();
        let first = (step(now) + 1).saturating_sub(kept);
        let is_old = self.steps.keys().next().is_some_and(|oldest| *oldest < first);
        if is_old {
            self.steps = self.steps.split_off(&first);
        }
        is_old
    }

    fn figures(&self, now: Instant) -> Figures {
        let kept = WINDOW.as_secs() / STEP.as_secs();
        let first = (step(now) + 1).saturating_sub(kept);
        self.steps.range(first..).fold(Figures::default(), |sum, (_, figures)| sum.plus(*figures))
    }
}

/// Where a call was sent; `None` where only a name, or who registered, is known.
pub type Place = Option<SocketAddr>;

/// A place that is tried last from now on, or no longer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The trunk.
    pub trunk: String,
    /// Its place.
    pub place: Place,
    /// Why it is tried last; `None`: it is no longer.
    pub why: Option<String>,
}

/// All trunks.
#[derive(Debug, Default)]
pub struct Healths {
    /// In order, so that the same inputs give the same outputs.
    trunks: BTreeMap<String, BTreeMap<Place, Window>>,
    /// The first step that any window has: asked for at every event, so it is not looked for then.
    first: Option<u64>,
}

impl Healths {
    /// Counts what came of a call.
    pub fn count(
        &mut self,
        now: Instant,
        (trunk, place): (&str, Place),
        outcome: Outcome,
        bounds: &Bounds,
    ) -> Option<Change> {
        let places = self.trunks.entry(trunk.to_owned()).or_default();
        let is_full = places.len() >= PLACES_MAX && !places.contains_key(&place);
        let place = if is_full { places.keys().next().copied()? } else { place };
        let window = places.entry(place).or_default();
        let has_forgotten = window.forget(now);
        window.steps.entry(step(now)).or_default().count(outcome);
        let change = judge(now, (trunk, place), window, bounds);
        if has_forgotten {
            self.look_for_first();
        } else {
            self.first = Some(self.first.map_or(step(now), |first| first.min(step(now))));
        }
        change
    }

    fn look_for_first(&mut self) {
        let windows = self.trunks.values().flat_map(BTreeMap::values);
        self.first = windows.filter_map(|window| window.steps.keys().next().copied()).min();
    }

    /// Keeps what `bounds` knows; a trunk that is gone is forgotten.
    pub fn configure(&mut self, is_known: impl Fn(&str) -> bool) {
        self.trunks.retain(|name, _| is_known(name));
        self.look_for_first();
    }

    /// Is this place tried last?
    #[must_use]
    pub fn is_last(&self, trunk: &str, place: Place) -> bool {
        let window = self.trunks.get(trunk).and_then(|places| places.get(&place));
        window.is_some_and(|window| window.is_last)
    }

    /// The places of a trunk that are tried last.
    pub fn last_of(&self, trunk: &str) -> impl Iterator<Item = Place> {
        let places = self.trunks.get(trunk).into_iter().flatten();
        places.filter(|(_, window)| window.is_last).map(|(place, _)| *place)
    }

    /// The figures of one place.
    #[must_use]
    pub fn of_place(&self, now: Instant, trunk: &str, place: Place) -> Figures {
        let window = self.trunks.get(trunk).and_then(|places| places.get(&place));
        window.map_or_else(Figures::default, |window| window.figures(now))
    }

    /// The figures of a trunk over all its places.
    #[must_use]
    pub fn of(&self, now: Instant, trunk: &str) -> Figures {
        let places = self.trunks.get(trunk).into_iter().flatten();
        places.fold(Figures::default(), |sum, (_, window)| sum.plus(window.figures(now)))
    }

    /// When something is to be forgotten: the next minute, as long as there is something.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let kept = WINDOW.as_secs() / STEP.as_secs();
        Some(Instant::START + STEP * u32::try_from(self.first? + kept).unwrap_or(u32::MAX))
    }

    /// Forgets what is too long ago; says which places are no longer tried last.
    pub fn handle_timeout<'a>(
        &mut self,
        now: Instant,
        bounds_of: impl Fn(&str) -> Option<&'a Bounds>,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for (trunk, places) in &mut self.trunks {
            let bounds = bounds_of(trunk).copied().unwrap_or_default();
            for (place, window) in places.iter_mut() {
                window.forget(now);
                changes.extend(judge(now, (trunk, *place), window, &bounds));
            }
            places.retain(|_, window| !window.steps.is_empty());
        }
        self.trunks.retain(|_, places| !places.is_empty());
        self.look_for_first();
        changes
    }
}

fn judge(
    now: Instant,
    (trunk, place): (&str, Place),
    window: &mut Window,
    bounds: &Bounds,
) -> Option<Change> {
    let why = window.figures(now).why_last(bounds);
    let was_last = std::mem::replace(&mut window.is_last, why.is_some());
    (was_last != why.is_some()).then(|| Change { trunk: trunk.to_owned(), place, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    #[test]
    fn half_of_ten_is_too_much_and_five_minutes_later_forgotten() {
        let mut healths = Healths::default();
        let bounds = Bounds::default();
        let key = ("carrier", None);
        for second in 0..9 {
            let outcome = if second % 2 == 0 { Outcome::Failed } else { Outcome::Answered };
            assert_eq!(healths.count(at(second), key, outcome, &bounds), None);
        }
        assert!(!healths.is_last("carrier", None), "nine calls say nothing");
        let change = healths.count(at(10), key, Outcome::Unanswered, &bounds).unwrap();
        assert_eq!(change.why.as_deref(), Some("5 of 10 calls failed in 5 minutes"));
        assert!(healths.is_last("carrier", None));
        assert_eq!(healths.next_timeout(), Some(at(300)));
        assert!(healths.handle_timeout(at(299), |_| Some(&bounds)).is_empty());
        let changes = healths.handle_timeout(at(300), |_| Some(&bounds));
        assert_eq!(changes, [Change { trunk: "carrier".into(), place: None, why: None }]);
        assert_eq!((healths.next_timeout(), healths.trunks.len()), (None, 0));
    }

    #[test]
    fn answers_count_where_it_is_asked_for() {
        let watched = Bounds { answers_min_percent: 10, ..Bounds::default() };
        for (bounds, is_last) in [(Bounds::default(), false), (watched, true)] {
            let mut healths = Healths::default();
            for second in 0..u64::from(TRIED_FOR_ANSWERS_MIN) {
                healths.count(at(second), ("carrier", None), Outcome::Unanswered, &bounds);
            }
            assert_eq!(healths.is_last("carrier", None), is_last, "{bounds:?}");
        }
    }

    /// What is kept for `next_timeout` is what a walk over all windows finds, whatever happens in whatever order.
    #[test]
    fn the_first_step_is_kept_right() {
        let bounds = Bounds::default();
        for seed in 1..=40_u64 {
            let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut roll = |below: u64| {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                dice % below
            };
            let (mut healths, mut now, mut told) = (Healths::default(), 0, 0);
            for _ in 0..400 {
                now += [0, 1, 20, 59, 60, 400][usize::try_from(roll(6)).unwrap()];
                let name = ["a", "b", "c"][usize::try_from(roll(3)).unwrap()];
                let port = u16::try_from(roll(4)).unwrap();
                let place = Some(SocketAddr::from(([192, 0, 2, 1], port)));
                match roll(10) {
                    0 => healths.configure(|known| known != name),
                    1..=3 => drop(healths.handle_timeout(at(now), |_| Some(&bounds))),
                    _ => drop(healths.count(at(now), (name, place), Outcome::Failed, &bounds)),
                }
                let windows = healths.trunks.values().flat_map(BTreeMap::values);
                let first = windows.filter_map(|window| window.steps.keys().next()).min();
                assert_eq!(healths.next_timeout(), first.map(|first| at(60 * (first + 5))));
                told += u32::from(first.is_some());
            }
            assert!(told > 100, "{told} of 400 had something to forget");
        }
    }

    #[test]
    fn places_of_a_trunk_are_bounded() {
        let (mut healths, bounds) = (Healths::default(), Bounds::default());
        for port in 0..1_000_u16 {
            let place = Some(SocketAddr::from(([192, 0, 2, 1], port)));
            healths.count(at(1), ("carrier", place), Outcome::Answered, &bounds);
        }
        assert_eq!(healths.trunks["carrier"].len(), PLACES_MAX);
        assert_eq!(healths.of(at(2), "carrier").tried, 1_000);
    }
}
