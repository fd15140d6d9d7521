//! Places that failed of late: tried last until a time is over (RFC 3263 §4.3, RFC 3261 §21.5.4).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::proto::sip::header::HeaderName;
use crate::proto::sip::message::Message;
use crate::proto::sip::transport::Target;
use crate::proto::time::Instant;

/// How long a place is tried last after it was silent, could not be reached, or answered 503 without a time.
pub const BACK_OFF: Duration = Duration::from_secs(60);
/// The shortest time that a `Retry-After` may ask for.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// The longest one: a server that asks for a week is tried again in an hour.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
/// Places remembered; with more, the one that is over soonest is forgotten.
const BACK_OFFS_MAX: usize = 1024;

/// Why a place is tried last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It answered nothing at all.
    Silent,
    /// It could not be sent to.
    Unreachable,
    /// It answered 503.
    Unavailable,
}

impl Why {
    /// For a person, behind "backing off".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Silent => "after no answer",
            Self::Unreachable => "after it could not be reached",
            Self::Unavailable => "after 503",
        }
    }
}

/// A place that is tried last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackOff {
    /// Until when.
    pub until: Instant,
    /// Why.
    pub why: Why,
}

/// The time that a 503 asks to be left alone, within bounds; [`BACK_OFF`] if it names none that can be read.
#[must_use]
pub fn retry_after(response: &Message) -> Duration {
    let value = response.text(HeaderName::RetryAfter).unwrap_or_default();
    // What follows the number is a comment or a duration (RFC 3261 §20.33).
    let value = value.trim_start();
    let end = value.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    match value.get(..end).unwrap_or("") {
        "" => BACK_OFF,
        digits => {
            let seconds = digits.parse().unwrap_or(u64::MAX);
            Duration::from_secs(seconds).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct BackOffs {
    places: BTreeMap<Target, BackOff>,
}

impl BackOffs {
    /// True if what is known of the place is another than before.
    pub(super) fn note(&mut self, now: Instant, target: Target, new: BackOff) -> bool {
        let known = self.of(now, target);
        if known.is_none() && self.places.len() >= BACK_OFFS_MAX {
            self.places.retain(|_, known| known.until > now);
            let soonest = self.places.iter().min_by_key(|(_, known)| known.until);
            if self.places.len() >= BACK_OFFS_MAX
                && let Some(soonest) = soonest.map(|(target, _)| *target)
            {
                self.places.remove(&soonest);
            }
        }
        // A 503 that asks for an hour is not shortened by a lost packet.
        let longer = known.filter(|known| known.until > new.until).unwrap_or(new);
        self.places.insert(target, longer);
        known.is_none_or(|known| known.why != longer.why)
    }

    pub(super) fn answered(&mut self, target: Target) {
        if self.places.get(&target).is_some_and(|known| known.why != Why::Unavailable) {
            self.places.remove(&target);
        }
    }

    pub(super) fn of(&self, now: Instant, target: Target) -> Option<BackOff> {
        self.places.get(&target).copied().filter(|known| known.until > now)
    }

    /// Moves the places that failed to the end, both parts in their order.
    pub(super) fn sort(&self, now: Instant, targets: &mut [Target]) {
        targets.sort_by_key(|target| self.of(now, *target).is_some());
    }
}
