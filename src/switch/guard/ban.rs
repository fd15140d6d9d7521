//! Bans: a table with a bound, and a memory for those who come back.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::source::Source;
use crate::proto::time::Instant;

/// Bans that are kept, running ones and remembered ones. When there is no room the remembered one that
/// ended first goes; if all run, the one that ends first, unless the new one would end before it. Nobody
/// pushes his own ban out without earning as many bans that last longer.
pub const BANS_MAX: usize = 65_536;
/// How long after its end a ban makes the next one longer.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// A ban.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ban {
    pub(super) until: Instant,
    /// How many there were, this one included.
    pub(super) count: u32,
    pub(super) reason: &'static str,
    /// Packets that got no answer.
    pub(super) silenced: u64,
}

/// All bans.
#[derive(Debug, Default)]
pub(super) struct Bans {
    bans: HashMap<Source, Ban>,
    running: BTreeSet<(Instant, Source)>,
    past: BTreeSet<(Instant, Source)>,
}

impl Bans {
    /// The running ban of a source.
    pub(super) fn running_mut(&mut self, now: Instant, source: Source) -> Option<&mut Ban> {
        if self.running.is_empty() {
            return None;
        }
        self.bans.get_mut(&source).filter(|ban| now < ban.until)
    }

    /// Is a source banned?
    pub(super) fn is_running(&self, now: Instant, source: Source) -> bool {
        self.bans.get(&source).is_some_and(|ban| now < ban.until)
    }

    /// Bans a source, for longer than the last time; `None` if the table is full of longer bans.
    pub(super) fn add(
        &mut self,
        now: Instant,
        source: Source,
        reason: &'static str,
        first: Duration,
        longest: Duration,
    ) -> Option<Ban> {
        let before = self.bans.get(&source).filter(|ban| now.since(ban.until) < REMEMBERED);
        let count = before.map_or(1, |ban| ban.count.saturating_add(1));
        let silenced = before.map_or(0, |ban| ban.silenced);
        let doubled = 1_u32.checked_shl(count - 1).unwrap_or(u32::MAX);
        let until = now + first.saturating_mul(doubled).min(longest);
        self.remove(source);
        if self.bans.len() >= BANS_MAX {
            let oldest = self.past.first().copied();
            let (at, victim) = oldest.or_else(|| self.running.first().copied())?;
            if oldest.is_none() && at >= until {
                return None;
            }
            self.remove(victim);
        }
        let ban = Ban { until, count, reason, silenced };
        self.bans.insert(source, ban);
        self.running.insert((until, source));
        Some(ban)
    }

    /// Forgets a source's ban and its history.
    pub(super) fn remove(&mut self, source: Source) -> Option<Ban> {
        let ban = self.bans.remove(&source)?;
        self.running.remove(&(ban.until, source));
        self.past.remove(&(ban.until, source));
        Some(ban)
    }

    /// When the next ban ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.running.first().map(|(at, _)| *at)
    }

    /// The next ban that has ended; it is remembered from now on.
    pub(super) fn ended(&mut self, now: Instant) -> Option<Source> {
        let (at, source) = self.running.first().copied().filter(|(at, _)| *at <= now)?;
        self.running.remove(&(at, source));
        self.past.insert((at, source));
        Some(source)
    }

    /// Forgets bans that ended long ago.
    pub(super) fn sweep(&mut self, now: Instant) {
        while let Some((at, source)) = self.past.first().copied()
            && now.since(at) >= REMEMBERED
        {
            self.remove(source);
        }
    }

    /// Running bans.
    pub(super) fn running(&self) -> impl Iterator<Item = (Source, &Ban)> {
        self.running.iter().filter_map(|(_, source)| Some((*source, self.bans.get(source)?)))
    }

    /// How many run.
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.bans.len()
    }
}
