//! The gate: what strangers' packets meet before anything else does, and what is shed under load.

use std::time::Duration;

use super::admit::Asked;
use super::calls::dialled;
use super::*;
use crate::proto::sip::method::Method;
use crate::proto::sip::uri::{Scheme, Uri};
use crate::switch::guard::{Guard, GuardEvent, Source};
use crate::switch::route;

/// How long load that was too high counts after it was last seen.
const BUSY_FOR: Duration = Duration::from_secs(1);
/// Seconds after which who was shed may come again: at random between these two, so that they do not all come
/// at once.
const RETRY_AFTER: (u64, u64) = (5, 30);

/// How much the edge has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// How late it is with what was due.
    pub lag: Duration,
    /// What waits in the mailbox of the calls.
    pub queued: usize,
    /// What it holds.
    pub queue_max: usize,
}

impl Switchboard {
    /// May this packet come in? Those of banned sources are dropped unread, and scanners before they are parsed.
    pub(super) fn admits(
        &mut self,
        now: Instant,
        flow: &Flow,
        bytes: &[u8],
        out: &mut Vec<Output>,
    ) -> bool {
        let source = Source::of(flow.remote.ip());
        // An emergency call from a banned source has a dialog like any other; what is new is stopped after parsing.
        let has_dialog = self.guard.has_dialog(source);
        if !has_dialog && self.guard.is_banned(now, source) {
            return self.is_emergency_line(bytes) && self.guard.emergency(now);
        }
        // Responses find a transaction of ours or nothing; keep-alives are not answered.
        if bytes.starts_with(b"SIP/2.0 ") || bytes.len() <= 4 || self.is_friend(flow) {
            return true;
        }
        if self.is_emergency_line(bytes) && self.guard.emergency(now) {
            return true;
        }
        if self.guard.scanner(bytes).is_some() {
            self.guard.scanned(now, source);
            self.guard_events(out);
            return false;
        }
        // Where a dialog goes, only what lies outside it counts: that is known after parsing.
        if has_dialog || self.guard.request(now, source) {
            return true;
        }
        self.guard_events(out);
        false
    }

    /// Is a request outside any dialog one too many? Then nobody must answer it.
    pub(super) fn is_over_limit(
        &mut self,
        now: Instant,
        asked: &Asked,
        out: &mut Vec<Output>,
    ) -> bool {
        let source = Source::of(asked.flow.remote.ip());
        let is_counted = !self.guard.has_dialog(source)
            || self.is_friend(&asked.flow)
            || self.is_emergency(&asked.request);
        if is_counted || !self.guard.is_banned(now, source) && self.guard.request(now, source) {
            return false;
        }
        self.guard_events(out);
        self.endpoint.ignore(asked.server);
        true
    }

    /// A trunk by its address, a registered flow, or a trusted network.
    fn is_friend(&self, flow: &Flow) -> bool {
        self.guard.is_friend(flow.remote) || self.trunk_by_address(flow).is_some()
    }

    /// Is it an INVITE to an emergency number? Read from the first line alone.
    fn is_emergency_line(&self, bytes: &[u8]) -> bool {
        let Some(rest) = bytes.strip_prefix(b"INVITE ") else { return false };
        let end = rest.iter().take(256).position(|byte| *byte == b' ').unwrap_or(0);
        let uri = rest.get(..end).and_then(|uri| std::str::from_utf8(uri).ok());
        if uri.is_some_and(|uri| self.snapshot.emergency.number_of(uri).is_some()) {
            return true;
        }
        uri.and_then(Uri::parse).is_some_and(|uri| {
            matches!(uri.scheme, Scheme::Sip | Scheme::Sips | Scheme::Tel)
                && self.is_emergency_number(&uri.dialled())
        })
    }

    /// Is it an INVITE to an emergency number?
    pub(super) fn is_emergency(&self, request: &Message) -> bool {
        let wanted = || self.wanted(request.uri(), dialled(request)).number;
        request.method() == &Method::Invite && self.is_emergency_number(&wanted())
    }

    /// Is it one, also behind what withholds the caller's number?
    pub(super) fn is_emergency_number(&self, number: &str) -> bool {
        let anyone = Origin::Operator(String::new());
        let is_one = |number: &str| route::emergency(&self.snapshot, &anyone, number).is_some();
        let prefix = self.snapshot.dial.withhold_prefix.as_str();
        let bare = number.strip_prefix(prefix).filter(|_| !prefix.is_empty());
        is_one(number) || bare.is_some_and(is_one)
    }

    /// Refuses a request outside any dialog while there is more to do than can be done; true if it was.
    /// Emergency calls are never refused, nor is anything inside a dialog (RFC 7339).
    pub(super) fn sheds(&mut self, now: Instant, asked: &Asked, out: &mut Vec<Output>) -> bool {
        let (clients, servers) = self.endpoint.counts();
        let limits = &self.snapshot.limits;
        let is_busy = now < self.busy_until || clients + servers > limits.transactions_max;
        let is_call = asked.request.method() == &Method::Invite;
        // One whose caller is being verified is a call as well.
        let calls = self.calls.len() + self.stir.calls();
        let is_full = self.is_draining || calls >= limits.calls_max;
        if !(is_busy || is_call && is_full) || self.is_emergency(&asked.request) {
            return false;
        }
        self.shed += 1;
        let (least, most) = RETRY_AFTER;
        let after = least + self.tokens.below(most - least + 1);
        self.refuse(now, asked, 503, &[(HeaderName::RetryAfter, after.to_string())], out);
        true
    }

    /// The edge says how much it has to do.
    pub fn loaded(&mut self, now: Instant, load: Load, out: &mut Vec<Output>) {
        let lag_max = self.snapshot.limits.lag_max;
        let is_late = !lag_max.is_zero() && load.lag >= lag_max;
        let is_full = load.queue_max > 0 && load.queued >= load.queue_max - load.queue_max / 4;
        if !(is_late || is_full) {
            return;
        }
        if self.busy_until <= now {
            let why = if is_late { "late with its work" } else { "calls wait to be served" };
            let fields = vec![
                ("why", why.to_owned()),
                ("lag_ms", load.lag.as_millis().to_string()),
                ("queued", load.queued.to_string()),
            ];
            out.push(Output::Event { kind: "overload", fields });
        }
        self.busy_until = now + BUSY_FOR;
    }

    /// Tells what the guard has to tell.
    pub(super) fn guard_events(&mut self, out: &mut Vec<Output>) {
        let events = self.guard.take_events();
        let banned = events.iter().filter_map(|event| match event {
            GuardEvent::Banned { source, .. } => Some(Output::CutOff(*source)),
            _ => None,
        });
        out.extend(banned);
        out.extend(events.into_iter().map(|event| {
            let (kind, fields) = match event {
                GuardEvent::Banned { source, reason, span, count } => (
                    "guard.banned",
                    vec![
                        ("source", source.to_string()),
                        ("reason", reason.to_owned()),
                        ("seconds", span.as_secs().to_string()),
                        ("count", count.to_string()),
                    ],
                ),
                GuardEvent::Unbanned { source, why } => (
                    "guard.unbanned",
                    vec![("source", source.to_string()), ("why", why.to_owned())],
                ),
                GuardEvent::Limited { whom, what } => {
                    ("guard.limited", vec![("whom", whom), ("what", what.to_owned())])
                }
            };
            Output::Event { kind, fields }
        }));
    }

    /// May this source ask for phones' files?
    pub fn may_fetch(&mut self, now: Instant, ip: IpAddr) -> bool {
        let source = Source::of(ip);
        self.guard.has_dialog(source) || !self.guard.is_banned(now, source)
    }

    /// A source asked for a phone's file with an address that is not right.
    pub fn fetch_refused(&mut self, now: Instant, ip: IpAddr, out: &mut Vec<Output>) {
        self.guard.wrong_token(now, ip);
        self.guard_events(out);
    }

    /// The configuration was replaced.
    pub(super) fn guard_reloaded(&mut self, out: &mut Vec<Output>) {
        let snapshot = Arc::clone(&self.snapshot);
        let is_known = |name: &str| secret_of(&snapshot, name).is_some();
        self.guard.configure(snapshot.guard.clone(), is_known);
        self.meter.retain(|whose| match whose {
            Whose::Phone(extension) => snapshot.phone(extension).is_some(),
            Whose::Trunk(name) => snapshot.trunk(name).is_some(),
        });
        let literal = snapshot.trunks.iter().flat_map(|trunk| &trunk.peers);
        let known: Vec<_> = literal
            .filter_map(|peer| peer.host.parse().ok())
            .chain(self.peers.addresses())
            .collect();
        self.guard_knows(known);
        self.guard_events(out);
    }

    /// These addresses are peers' of ours: a ban of theirs ends.
    pub(super) fn guard_knows(&mut self, addresses: impl IntoIterator<Item = IpAddr>) {
        for ip in addresses {
            self.guard.pardon(Source::of(ip));
        }
    }

    /// What the guard holds, for lists.
    #[must_use]
    pub const fn guard(&self) -> &Guard {
        &self.guard
    }

    /// An operator forgives an address; false if nothing was known of it.
    pub fn unban(&mut self, ip: IpAddr, out: &mut Vec<Output>) -> bool {
        let was_known = self.guard.unban(ip);
        self.guard_events(out);
        was_known
    }
}
