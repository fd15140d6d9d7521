//! Caps on what leaves by trunks: how many calls, how fast, how many minutes of which class.
//!
//! A call that talks past a cap goes on; the next one is refused. Minutes are counted from the answer, a
//! live call with all that it has talked, an ended one for an hour after its end.

use std::collections::HashMap;
use std::time::Duration;

use super::class::Class;
use crate::proto::time::Instant;
use crate::switch::guard::bucket::{Bucket, Rate};

/// Minutes in an hour, by [`Class::index`]; 0 is no cap.
pub type Minutes = [u32; Class::ALL.len()];

/// Caps in force; 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Caps {
    /// Calls at the same time.
    pub calls_max: u32,
    /// Calls begun in a minute, as many at once.
    pub calls_per_minute: u32,
    /// Minutes talked in an hour.
    pub minutes: Minutes,
}

/// Caps that a phone or a trunk has instead of the usual ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CapsWish {
    /// Instead of [`Caps::calls_max`].
    pub calls_max: Option<u32>,
    /// Instead of [`Caps::calls_per_minute`].
    pub calls_per_minute: Option<u32>,
    /// Instead of [`Caps::minutes`].
    pub minutes: Option<Minutes>,
}

impl CapsWish {
    /// The caps in force where these are the usual ones.
    #[must_use]
    pub fn over(&self, usual: &Caps) -> Caps {
        Caps {
            calls_max: self.calls_max.unwrap_or(usual.calls_max),
            calls_per_minute: self.calls_per_minute.unwrap_or(usual.calls_per_minute),
            minutes: self.minutes.unwrap_or(usual.minutes),
        }
    }
}

/// Whom a phone may call itself, and what it may dial.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rights {
    /// Users that its From may name beside its extension, such as the company's number.
    pub identities: Vec<String>,
    /// Classes that it may dial, instead of [`DialSettings::allow`].
    pub allow: Option<Vec<Class>>,
    /// Extensions whose state it may watch, beside its own; `None` is all.
    pub watch: Option<Vec<String>>,
    /// Caps of its own.
    pub caps: CapsWish,
}

/// `[dial]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DialSettings {
    /// Our country, such as `86`.
    pub country_code: Option<String>,
    /// What is dialled before another country's code, beside `+`.
    pub international_prefixes: Vec<String>,
    /// What is dialled before another area's number.
    pub national_prefix: String,
    /// What mobile numbers begin with, without the national prefix.
    pub mobile: Vec<String>,
    /// What premium numbers begin with; with `+` in the international form.
    pub premium: Vec<String>,
    /// Classes that a phone may dial.
    pub allow: Vec<Class>,
    /// What a phone dials before a number to withhold its own for that call; empty: nothing does.
    pub withhold_prefix: String,
    /// Caps of a phone.
    pub phone: Caps,
    /// Caps of a trunk.
    pub trunk: Caps,
}

impl Default for DialSettings {
    fn default() -> Self {
        let minutes = |international, premium| {
            let mut minutes = Minutes::default();
            minutes[Class::International.index()] = international;
            minutes[Class::Premium.index()] = premium;
            minutes
        };
        Self {
            country_code: None,
            international_prefixes: vec!["00".to_owned()],
            national_prefix: "0".to_owned(),
            mobile: Vec::new(),
            // Satellites, global networks, shared-cost and premium services of the world (ITU-T E.164).
            premium: ["+808", "+870", "+878", "+881", "+882", "+883", "+888", "+979"]
                .map(str::to_owned)
                .to_vec(),
            allow: vec![Class::Local, Class::National, Class::Mobile],
            withhold_prefix: String::new(),
            phone: Caps { calls_max: 10, calls_per_minute: 30, minutes: minutes(120, 30) },
            trunk: Caps { calls_max: 0, calls_per_minute: 0, minutes: minutes(600, 60) },
        }
    }
}

/// Whose calls are counted.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Whose {
    /// A phone's.
    Phone(String),
    /// A trunk's.
    Trunk(String),
}

/// Slots of an hour that minutes are summed in.
const SLOTS: usize = 12;
/// How long a slot is, in microseconds.
const SLOT_US: u64 = 300_000_000;

/// Talk of one class.
#[derive(Clone, Copy, Debug, Default)]
struct Talk {
    talking: u32,
    /// The sum of the moments at which the live calls were answered, in microseconds.
    answered_sum: u64,
    /// Microseconds of ended calls, by the time of their end.
    slots: [u64; SLOTS],
    /// Which slot of all time is the newest.
    newest: u64,
}

impl Talk {
    /// Empties the slots that lie an hour back.
    fn turn(&mut self, now: Instant) {
        let slot = now.as_micros() / SLOT_US;
        let stale = slot.saturating_sub(self.newest).min(SLOTS as u64);
        for back in 0..stale {
            let index = usize::try_from((slot - back) % SLOTS as u64).unwrap_or(0);
            self.slots[index] = 0;
        }
        self.newest = slot;
    }

    fn used(&mut self, now: Instant) -> Duration {
        self.turn(now);
        let live = u64::from(self.talking) * now.as_micros();
        let ended: u64 = self.slots.iter().sum();
        Duration::from_micros(live.saturating_sub(self.answered_sum) + ended)
    }
}

#[derive(Debug, Default)]
struct Usage {
    live: u32,
    starts: Bucket,
    talk: [Talk; Class::ALL.len()],
}

/// A cap that was reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reached {
    /// [`Caps::calls_max`].
    Calls(u32),
    /// [`Caps::calls_per_minute`].
    Rate(u32),
    /// [`Caps::minutes`].
    Minutes(u32),
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Calls(max) => write!(f, "{max} calls at the same time"),
            Self::Rate(max) => write!(f, "{max} calls in a minute"),
            Self::Minutes(max) => write!(f, "{max} minutes in an hour"),
        }
    }
}

/// What everybody used; bounded by the phones and trunks of the configuration.
#[derive(Debug, Default)]
pub struct Meter {
    used: HashMap<Whose, Usage>,
}

impl Meter {
    /// The cap that a further call of this class would break.
    pub fn reached(
        &mut self,
        now: Instant,
        whose: &Whose,
        caps: &Caps,
        class: Class,
    ) -> Option<Reached> {
        let usage = self.used.get_mut(whose)?;
        if caps.calls_max > 0 && usage.live >= caps.calls_max {
            return Some(Reached::Calls(caps.calls_max));
        }
        let per_minute = caps.calls_per_minute;
        if !usage.starts.has(now, Rate::new(per_minute, per_minute)) {
            return Some(Reached::Rate(per_minute));
        }
        let max = caps.minutes[class.index()];
        let is_over = max > 0
            && usage.talk[class.index()].used(now) >= Duration::from_secs(60 * u64::from(max));
        is_over.then_some(Reached::Minutes(max))
    }

    /// A call begins.
    pub fn begin(&mut self, now: Instant, whose: &Whose, caps: &Caps) {
        let usage = self.used.entry(whose.clone()).or_default();
        usage.live += 1;
        usage.starts.take(now, Rate::new(caps.calls_per_minute, caps.calls_per_minute));
    }

    /// It was answered.
    pub fn answered(&mut self, now: Instant, whose: &Whose, class: Class) {
        if let Some(usage) = self.used.get_mut(whose) {
            let talk = &mut usage.talk[class.index()];
            talk.talking += 1;
            talk.answered_sum += now.as_micros();
        }
    }

    /// It is over.
    pub fn end(&mut self, now: Instant, whose: &Whose, class: Class, answered: Option<Instant>) {
        let Some(usage) = self.used.get_mut(whose) else { return };
        usage.live = usage.live.saturating_sub(1);
        let Some(answered) = answered else { return };
        let talk = &mut usage.talk[class.index()];
        talk.talking = talk.talking.saturating_sub(1);
        talk.answered_sum = talk.answered_sum.saturating_sub(answered.as_micros());
        talk.turn(now);
        let index = usize::try_from(talk.newest % SLOTS as u64).unwrap_or(0);
        talk.slots[index] += now.as_micros().saturating_sub(answered.as_micros());
    }

    /// Forgets those that are no more.
    pub fn retain(&mut self, is_known: impl Fn(&Whose) -> bool) {
        self.used.retain(|whose, usage| usage.live > 0 || is_known(whose));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Instant {
        Instant::from_millis(minutes * 60_000)
    }

    #[test]
    fn minutes_are_counted_while_they_are_talked_and_for_an_hour_after() {
        let (whose, class) = (Whose::Phone("1001".into()), Class::International);
        let mut minutes = Minutes::default();
        minutes[class.index()] = 30;
        let caps = Caps { minutes, ..Caps::default() };
        let mut meter = Meter::default();
        meter.begin(at(0), &whose, &caps);
        meter.answered(at(1), &whose, class);
        assert_eq!(meter.reached(at(30), &whose, &caps, class), None);
        assert_eq!(meter.reached(at(31), &whose, &caps, class), Some(Reached::Minutes(30)));
        assert_eq!(meter.reached(at(31), &whose, &caps, Class::National), None);
        meter.end(at(41), &whose, class, Some(at(1)));
        assert_eq!(meter.reached(at(95), &whose, &caps, class), Some(Reached::Minutes(30)));
        assert_eq!(meter.reached(at(102), &whose, &caps, class), None);
    }

    #[test]
    fn calls_are_counted_at_a_time_and_in_a_minute() {
        let (whose, class) = (Whose::Trunk("carrier".into()), Class::Local);
        let caps = Caps { calls_max: 2, calls_per_minute: 3, ..Caps::default() };
        let mut meter = Meter::default();
        for _ in 0..2 {
            assert_eq!(meter.reached(at(1), &whose, &caps, class), None);
            meter.begin(at(1), &whose, &caps);
        }
        assert_eq!(meter.reached(at(1), &whose, &caps, class), Some(Reached::Calls(2)));
        meter.end(at(1), &whose, class, None);
        meter.begin(at(1), &whose, &caps);
        meter.end(at(1), &whose, class, None);
        assert_eq!(meter.reached(at(1), &whose, &caps, class), Some(Reached::Rate(3)));
        assert_eq!(meter.reached(at(2), &whose, &caps, class), None);
    }
}
