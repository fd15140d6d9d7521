//! The guard as an operator sees it.

use super::{BAN_SCORE, Guard};
use crate::proto::time::Instant;

/// Rows of a list; the counts tell of the rest.
const ROWS_MAX: usize = 500;

/// A banned, limited or watched source, or a user for whom logins failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardRow {
    /// The address, network or user.
    pub name: String,
    /// `source` or `user`.
    pub kind: &'static str,
    /// `banned`, `limited` or `watched`.
    pub state: &'static str,
    /// Points; a ban comes at [`BAN_SCORE`].
    pub score: u32,
    /// When the ban ends.
    pub until: Option<Instant>,
    /// For what it was last blamed.
    pub reason: String,
    /// Bans so far.
    pub bans: u32,
    /// Logins that failed.
    pub failed: u64,
    /// Requests that got no answer.
    pub silenced: u64,
    /// Refused calls that left no record since the last one that did.
    pub unrecorded: u64,
}

/// Totals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GuardCounts {
    /// Bans that run.
    pub banned: usize,
    /// Bans since the start.
    pub bans: u64,
    /// Sources that are watched.
    pub watched: usize,
    /// Requests that got no answer since the start.
    pub silenced: u64,
    /// Refused calls that left no record of their own since the start.
    pub unrecorded: u64,
}

impl Guard {
    /// Totals.
    #[must_use]
    pub fn counts(&self) -> GuardCounts {
        GuardCounts {
            banned: self.bans.count(),
            bans: self.banned,
            watched: self.watch.len(),
            silenced: self.silenced,
            unrecorded: self.unrecorded,
        }
    }

    /// Banned sources first, those that end last before the others; then users, then watched sources.
    #[must_use]
    pub fn rows(&self, now: Instant) -> Vec<GuardRow> {
        let mut bans: Vec<_> = self.bans.running().collect();
        bans.reverse();
        let banned = bans.into_iter().map(|(source, ban)| {
            let entry = self.watch.get(source).copied().unwrap_or_default();
            GuardRow {
                name: source.to_string(),
                kind: "source",
                state: "banned",
                score: BAN_SCORE,
                until: Some(ban.until),
                reason: ban.reason.to_owned(),
                bans: ban.count,
                failed: entry.failed,
                silenced: ban.silenced + entry.silenced,
                unrecorded: entry.unrecorded,
            }
        });
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_by(|a, b| b.1.failed.cmp(&a.1.failed).then(a.0.cmp(b.0)));
        let rate = self.settings.user_failures();
        let users = users.into_iter().map(|(name, user)| GuardRow {
            name: name.clone(),
            kind: "user",
            state: if user.elsewhere.has(now, rate) { "watched" } else { "limited" },
            score: 0,
            until: None,
            reason: "failed logins".to_owned(),
            bans: 0,
            failed: user.failed,
            silenced: user.silenced,
            unrecorded: 0,
        });
        let is_banned = |source| self.bans.is_running(now, source);
        let (requests, failures) = (self.settings.requests(), self.settings.failures());
        let watched = self.watch.iter().take(ROWS_MAX).filter(|(source, entry)| {
            (entry.score.points(now) > 0 || entry.silenced > 0) && !is_banned(*source)
        });
        let watched = watched.map(|(source, entry)| {
            let is_free = entry.requests.has(now, requests) && entry.failures.has(now, failures);
            GuardRow {
                name: source.to_string(),
                kind: "source",
                state: if is_free { "watched" } else { "limited" },
                score: entry.score.points(now),
                until: None,
                reason: entry.reason.to_owned(),
                bans: 0,
                failed: entry.failed,
                silenced: entry.silenced,
                unrecorded: entry.unrecorded,
            }
        });
        banned.take(ROWS_MAX).chain(users.take(ROWS_MAX)).chain(watched).collect()
    }
}
