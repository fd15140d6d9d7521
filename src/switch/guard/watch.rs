//! The sources that did something lately: a table with a bound, least recently seen first out.

use std::collections::{BTreeMap, HashMap};

use super::bucket::{Bucket, Score};
use super::source::Source;
use crate::proto::time::Instant;

/// Sources that are watched. When there is no room the one that was quiet longest goes: whoever wants his
/// score forgotten this way sends as many packets from as many addresses. Bans are kept elsewhere.
pub const SOURCES_MAX: usize = 65_536;

/// What a source did lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watched {
    pub(super) requests: Bucket,
    pub(super) failures: Bucket,
    pub(super) score: Score,
    pub(super) reason: &'static str,
    /// Requests that got no answer since it is watched.
    pub(super) silenced: u64,
    /// Logins that failed.
    pub(super) failed: u64,
    /// Until when a limit that was reached is not told again.
    pub(super) quiet_until: Instant,
    /// When a refused INVITE last left a record, and how many have left none since.
    pub(super) recorded_at: Option<Instant>,
    pub(super) unrecorded: u64,
    seen: u64,
}

impl Watched {
    /// Would a fresh entry be the same? What was counted is gone with it, ten minutes after the last doing.
    fn is_idle(&self, now: Instant) -> bool {
        self.requests.is_full(now)
            && self.failures.is_full(now)
            && self.score.points(now) == 0
            && self.quiet_until <= now
            && self.recorded_at.is_none_or(|at| now.since(at).as_secs() >= 600)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Watch {
    sources: HashMap<Source, Watched>,
    /// By when they were last seen.
    order: BTreeMap<u64, Source>,
    clock: u64,
}

impl Watch {
    /// The entry of a source, made if there is none.
    pub(super) fn touch(&mut self, now: Instant, source: Source) -> &mut Watched {
        self.clock += 1;
        if let Some(entry) = self.sources.get(&source) {
            self.order.remove(&entry.seen);
        } else {
            // Two looks for each new one keep the idle from piling up.
            for _ in 0..2 {
                let Some((seen, oldest)) = self.order.first_key_value().map(|(s, o)| (*s, *o))
                else {
                    break;
                };
                let is_idle = self.sources.get(&oldest).is_none_or(|entry| entry.is_idle(now));
                if !is_idle && self.sources.len() < SOURCES_MAX {
                    break;
                }
                self.order.remove(&seen);
                self.sources.remove(&oldest);
            }
        }
        self.order.insert(self.clock, source);
        let entry = self.sources.entry(source).or_default();
        entry.seen = self.clock;
        entry
    }

    pub(super) fn get(&self, source: Source) -> Option<&Watched> {
        self.sources.get(&source)
    }

    pub(super) fn get_mut(&mut self, source: Source) -> Option<&mut Watched> {
        self.sources.get_mut(&source)
    }

    pub(super) fn remove(&mut self, source: Source) -> bool {
        let Some(entry) = self.sources.remove(&source) else { return false };
        self.order.remove(&entry.seen);
        true
    }

    /// Latest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Source, &Watched)> {
        self.order.values().rev().filter_map(|source| Some((*source, self.sources.get(source)?)))
    }

    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }
}
