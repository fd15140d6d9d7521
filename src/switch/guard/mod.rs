//! The guard: what strangers may do, and when they get no answer any more.
//!
//! A source has a bucket of requests, one of failed logins, and a score; a user has a bucket of failed logins
//! of all sources together. Who comes over the threshold is banned for a while, longer each time. Trusted
//! networks, trunks, the flows of registered phones and dialogs never come here, and a source that a phone
//! is registered from or a call goes to is limited, never banned: one phone with a wrong password must not take
//! its whole office off the line, nor a forged address.

mod ban;
pub mod bucket;
mod friends;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod users;
mod view;
mod watch;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ban::Bans;
use bucket::{Bucket, Rate};
use friends::Friends;
use users::Users;
use watch::Watch;

pub use crate::proto::network::Network;
use crate::proto::time::Instant;
pub use ban::BANS_MAX;
pub use settings::GuardSettings;
pub use source::Source;
pub use view::{GuardCounts, GuardRow};
pub use watch::SOURCES_MAX;

/// The score at which a source is banned.
pub const BAN_SCORE: u32 = 100;
/// What the doings of strangers count. A point goes away in three seconds.
mod points {
    /// A challenge, until it is answered with a login.
    pub(super) const CHALLENGE: u32 = 1;
    /// A request over the limit.
    pub(super) const OVER_LIMIT: u32 = 1;
    /// Credentials that nobody could have meant.
    pub(super) const MALFORMED: u32 = 5;
    /// A wrong user or password.
    pub(super) const FAILED_LOGIN: u32 = 10;
    /// A program known for scanning: two packets within a minute are a ban.
    pub(super) const SCANNER: u32 = 60;
}

/// How long a limit that was reached is not told again.
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// How often a refused INVITE of one source leaves a record.
const RECORD_EVERY: Duration = Duration::from_secs(60);
/// INVITEs to emergency numbers from strangers: they pass bans and limits, so they have one bucket of their own,
/// for all sources together, that keeps them from being the way around both.
const EMERGENCY: Rate = Rate::new(20, 60);
/// Events that wait to be taken; more are lost, the counts stay.
const EVENTS_MAX: usize = 1024;

/// Something to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GuardEvent {
    /// A source is banned.
    Banned {
        /// Which.
        source: Source,
        /// For what.
        reason: &'static str,
        /// For how long.
        span: Duration,
        /// Which ban of this source it is.
        count: u32,
    },
    /// A ban is over.
    Unbanned {
        /// Whose.
        source: Source,
        /// `expired`, `operator` or `known`.
        why: &'static str,
    },
    /// A limit was reached; told once a minute for each of whom.
    Limited {
        /// The source or the user.
        whom: String,
        /// `requests`, `failed logins` or `failed logins as this user`.
        what: &'static str,
    },
}

/// The guard.
#[derive(Debug)]
pub struct Guard {
    settings: GuardSettings,
    watch: Watch,
    bans: Bans,
    users: Users,
    friends: Friends,
    emergency: Bucket,
    silenced: u64,
    unrecorded: u64,
    banned: u64,
    events: Vec<GuardEvent>,
}

impl Guard {
    /// A guard that knows nobody.
    #[must_use]
    pub fn new(settings: GuardSettings, seed: [u8; 32]) -> Self {
        Self {
            settings,
            watch: Watch::default(),
            bans: Bans::default(),
            users: Users::new(seed),
            friends: Friends::default(),
            emergency: Bucket::default(),
            silenced: 0,
            unrecorded: 0,
            banned: 0,
            events: Vec::new(),
        }
    }

    /// Takes changed settings; `is_known` says which users are left. Bans of sources that are trusted now end.
    pub fn configure(&mut self, settings: GuardSettings, is_known: impl Fn(&str) -> bool) {
        self.settings = settings;
        self.users.retain(is_known);
        let trusted: Vec<_> = self.bans.running().map(|(source, _)| source).collect();
        for source in trusted {
            if self.settings.ban.is_zero() || self.is_trusted(source.ip()) {
                self.pardon(source);
            }
        }
    }

    /// Is it one of `[guard] trusted`?
    #[must_use]
    pub fn is_trusted(&self, ip: IpAddr) -> bool {
        self.settings.trusted.iter().any(|network| network.contains(ip))
    }

    /// Is the flow trusted, or that of a registered phone?
    #[must_use]
    pub fn is_friend(&self, flow: SocketAddr) -> bool {
        self.friends.is_registered(flow) || self.is_trusted(flow.ip())
    }

    /// Does a dialog of ours go to this source?
    #[must_use]
    pub fn has_dialog(&self, source: Source) -> bool {
        self.friends.has_dialog(source)
    }

    /// A packet of this source came: is it banned? Then the packet is counted, and must not be answered.
    pub fn is_banned(&mut self, now: Instant, source: Source) -> bool {
        let Some(ban) = self.bans.running_mut(now, source) else { return false };
        ban.silenced += 1;
        self.silenced += 1;
        true
    }

    /// May an INVITE to an emergency number pass, whoever sends it?
    pub fn emergency(&mut self, now: Instant) -> bool {
        self.emergency.take(now, EMERGENCY)
    }

    /// The scanner that wrote these headers, if it is a known one.
    #[must_use]
    pub fn scanner(&self, bytes: &[u8]) -> Option<&str> {
        let agent = user_agent(bytes)?.to_ascii_lowercase();
        let is_in = |word: &&String| memchr::memmem::find(&agent, word.as_bytes()).is_some();
        self.settings.scanners.iter().find(is_in).map(String::as_str)
    }

    /// A scanner gave itself away.
    pub fn scanned(&mut self, now: Instant, source: Source) {
        self.watch.touch(now, source).silenced += 1;
        self.silenced += 1;
        self.blame(now, source, points::SCANNER, "scanner");
    }

    /// A request of a stranger: false if it is one too many and must not be answered.
    pub fn request(&mut self, now: Instant, source: Source) -> bool {
        let rate = self.settings.requests();
        let entry = self.watch.touch(now, source);
        if entry.requests.take(now, rate) {
            return true;
        }
        entry.silenced += 1;
        self.silenced += 1;
        self.limited(now, source, "requests");
        self.blame(now, source, points::OVER_LIMIT, "too many requests");
        false
    }

    /// A stranger was asked for a login.
    pub fn challenged(&mut self, now: Instant, source: Source) {
        self.watch.touch(now, source);
        self.blame(now, source, points::CHALLENGE, "challenges left unanswered");
    }

    /// Credentials came that cannot be read.
    pub fn malformed(&mut self, now: Instant, source: Source) {
        self.watch.touch(now, source);
        self.blame(now, source, points::MALFORMED, "malformed credentials");
    }

    /// May this flow try a password for this user? If not, it must not be answered. A flow that the user is
    /// registered from always may; a source where the user was before has a bucket that strangers cannot empty.
    pub fn may_log_in(
        &mut self,
        now: Instant,
        flow: SocketAddr,
        user: &str,
        is_known: bool,
    ) -> bool {
        if self.is_trusted(flow.ip()) || self.friends.is_registered_as(user, flow) {
            return true;
        }
        let (source, rate) = (Source::of(flow.ip()), self.settings.user_failures());
        let is_at_home = self.users.is_at_home(user, source);
        if !self.users.may_try(now, user, is_known, source, rate) {
            self.user_limited(now, source, user);
            return false;
        }
        let failures = self.settings.failures();
        let is_free = is_at_home
            || self.watch.get(source).is_none_or(|entry| entry.failures.has(now, failures));
        if !is_free {
            self.watch.touch(now, source).silenced += 1;
            self.silenced += 1;
            self.limited(now, source, "failed logins");
            self.blame(now, source, points::OVER_LIMIT, "failed logins");
        }
        is_free
    }

    /// User or password were wrong.
    pub fn failed(&mut self, now: Instant, flow: SocketAddr, user: &str, is_known: bool) {
        if self.is_trusted(flow.ip()) {
            return;
        }
        let (source, rate) = (Source::of(flow.ip()), self.settings.failures());
        self.users.failed(now, user, is_known, source, self.settings.user_failures());
        let is_at_home = self.users.is_at_home(user, source);
        let entry = self.watch.touch(now, source);
        entry.failed += 1;
        if !is_at_home {
            entry.failures.take(now, rate);
        }
        self.blame(now, source, points::FAILED_LOGIN, "failed logins");
    }

    /// Somebody asked for a phone's file with a token that nobody has, or that is another device's.
    pub fn wrong_token(&mut self, now: Instant, ip: IpAddr) {
        let source = Source::of(ip);
        self.watch.touch(now, source);
        self.blame(now, source, points::FAILED_LOGIN, "wrong provisioning addresses");
    }

    /// A user logged in: the requests that it took cost the source nothing.
    pub fn came(&mut self, now: Instant, flow: SocketAddr, user: &str) {
        let source = Source::of(flow.ip());
        self.users.came(user, source);
        let rate = self.settings.requests();
        if let Some(entry) = self.watch.get_mut(source) {
            entry.requests.give(now, rate, 2);
            entry.score.forgive(now, points::CHALLENGE);
        }
    }

    /// A login for a call was refused. Does it leave a record? If so, how many before it left none.
    pub fn refused_call(&mut self, now: Instant, ip: IpAddr) -> Option<u64> {
        let entry = self.watch.touch(now, Source::of(ip));
        if entry.recorded_at.is_none_or(|at| now.since(at) >= RECORD_EVERY) {
            entry.recorded_at = Some(now);
            return Some(std::mem::take(&mut entry.unrecorded));
        }
        entry.unrecorded += 1;
        self.unrecorded += 1;
        None
    }

    /// The flows that an address of record is registered from now.
    pub fn bound(&mut self, aor: &str, flows: Vec<SocketAddr>) {
        for flow in &flows {
            self.users.came(aor, Source::of(flow.ip()));
            self.pardon(Source::of(flow.ip()));
        }
        self.friends.bound(aor, flows);
    }

    /// A dialog with a peer at this address begins or ends.
    pub fn dialog(&mut self, ip: IpAddr, is_more: bool) {
        self.friends.dialog(ip, is_more);
    }

    /// This source turned out to be one of ours.
    pub fn pardon(&mut self, source: Source) {
        if self.bans.remove(source).is_some() {
            self.tell(GuardEvent::Unbanned { source, why: "known" });
        }
    }

    /// An operator forgives a source everything; false if nothing was known of it.
    pub fn unban(&mut self, ip: IpAddr) -> bool {
        let source = Source::of(ip);
        let was_banned = self.bans.remove(source).is_some();
        if was_banned {
            self.tell(GuardEvent::Unbanned { source, why: "operator" });
        }
        self.watch.remove(source) || was_banned
    }

    /// When the next ban ends.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.bans.next_end()
    }

    /// Ends the bans that are over.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(source) = self.bans.ended(now) {
            self.tell(GuardEvent::Unbanned { source, why: "expired" });
        }
        self.bans.sweep(now);
    }

    /// What there is to tell.
    pub fn take_events(&mut self) -> Vec<GuardEvent> {
        std::mem::take(&mut self.events)
    }

    /// Adds to a source's score, and bans it if that is enough.
    fn blame(&mut self, now: Instant, source: Source, points: u32, reason: &'static str) {
        if self.is_trusted(source.ip()) {
            return;
        }
        let Some(entry) = self.watch.get_mut(source) else { return };
        entry.score.add(now, points, BAN_SCORE);
        entry.reason = reason;
        let is_over = entry.score.points(now) >= BAN_SCORE;
        if !is_over || self.settings.ban.is_zero() || self.friends.has_any(source) {
            return;
        }
        let (first, longest) = (self.settings.ban, self.settings.ban_max);
        let Some(ban) = self.bans.add(now, source, reason, first, longest) else { return };
        if let Some(entry) = self.watch.get_mut(source) {
            entry.score = bucket::Score::default();
        }
        self.banned += 1;
        let span = ban.until.since(now);
        self.tell(GuardEvent::Banned { source, reason, span, count: ban.count });
    }

    fn limited(&mut self, now: Instant, source: Source, what: &'static str) {
        let Some(entry) = self.watch.get_mut(source) else { return };
        if entry.quiet_until <= now {
            entry.quiet_until = now + TOLD_AGAIN;
            self.tell(GuardEvent::Limited { whom: source.to_string(), what });
        }
    }

    fn user_limited(&mut self, now: Instant, source: Source, name: &str) {
        self.silenced += 1;
        self.watch.touch(now, source).silenced += 1;
        self.blame(now, source, points::OVER_LIMIT, "failed logins as a limited user");
        let Some(user) = self.users.get_mut(name) else { return };
        user.silenced += 1;
        if user.quiet_until <= now {
            user.quiet_until = now + TOLD_AGAIN;
            let what = "failed logins as this user";
            self.tell(GuardEvent::Limited { whom: name.to_owned(), what });
        }
    }

    fn tell(&mut self, event: GuardEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push(event);
        }
    }
}

/// The value of `User-Agent`, found without parsing the message.
fn user_agent(bytes: &[u8]) -> Option<&[u8]> {
    const NAME: &[u8] = b"user-agent";
    let lines = bytes.split(|byte| *byte == b'\n').skip(1);
    for line in lines.take_while(|line| !line.trim_ascii().is_empty()) {
        if let Some((name, value)) = line.split_at_checked(NAME.len())
            && name.eq_ignore_ascii_case(NAME)
        {
            return value.trim_ascii_start().strip_prefix(b":");
        }
    }
    None
}
