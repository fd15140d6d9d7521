//! One request, several places: looking a next hop up, and going on when a place fails (RFC 3263 §4.3).
//!
//! Only what was located here is tried further here: whoever hands over an address gets told of its failure.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use super::{Attempt, ClientKey, Endpoint, Event, Failure, Large, Owner, Slot};
use crate::proto::sip::locate::{self, Answer, BackOff, Found, Located, Question, Why};
use crate::proto::sip::message::build::with_via;
use crate::proto::sip::message::{Message, Packet, Parsed};
use crate::proto::sip::method::Method;
use crate::proto::sip::transport::{Dest, NextHop, Target, Transport};
use crate::proto::time::Instant;

/// A request with its Via above this many bytes is too large for a datagram where the path is not known
/// (RFC 3261 §18.1.1).
const DATAGRAM_MAX: usize = 1300;
/// What stands around the value of a Via in its line.
const VIA_LINE: usize = "Via: \r\n".len();
/// ACKs that wait for a look-up; a further one is not sent, and its 2xx comes again.
const ACKS_MAX: usize = 1024;

/// What is to be sent, whatever the place.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) owner: Owner,
    pub(super) method: &'a Method,
    /// Without our Via.
    pub(super) request: &'a [u8],
    pub(super) large: Large,
}

/// A request that is not at its last place.
#[derive(Debug)]
pub(super) struct Tries {
    pub(super) owner: Owner,
    pub(super) method: Method,
    request: Packet,
    large: Large,
    /// The look-up that it waits for.
    waits_for: Option<NextHop>,
    /// Where it goes if this place fails.
    rest: VecDeque<Dest>,
    /// The attempt that counts.
    pub(super) attempt: u8,
}

impl Tries {
    fn new(wanted: &Wanted<'_>) -> Self {
        Self {
            owner: wanted.owner,
            method: wanted.method.clone(),
            request: wanted.request.into(),
            large: wanted.large,
            waits_for: None,
            rest: VecDeque::new(),
            attempt: 0,
        }
    }

    /// Is it not sent anywhere yet?
    pub(super) const fn is_waiting(&self) -> bool {
        self.waits_for.is_some()
    }
}

/// An ACK for a 2xx that waits for a look-up.
#[derive(Debug)]
pub(super) struct WaitingAck {
    hop: NextHop,
    request: Packet,
}

impl Endpoint {
    /// Locates a next hop; the answer is an [`Event::Located`].
    pub fn locate(&mut self, now: Instant, hop: &NextHop, out: &mut Vec<Event>) {
        if !self.wanted.contains(hop) && self.look_up(now, hop, out) {
            self.wanted.push(hop.clone());
        }
    }

    /// The places of some servers in the order to try them, without those that no socket of ours reaches if
    /// there are others.
    pub fn order(&mut self, now: Instant, located: &Located) -> Vec<Target> {
        let targets = self.locator.order(now, &located.servers);
        let is_reached = |target: &Target| self.locals.can_reach(*target);
        let reached: Vec<_> = targets.iter().copied().filter(is_reached).collect();
        if reached.is_empty() { targets } else { reached }
    }

    /// Is this place tried last now, until when, and why?
    #[must_use]
    pub fn back_off(&self, now: Instant, target: Target) -> Option<BackOff> {
        self.locator.back_off(now, target)
    }

    /// The name server answered, or did not.
    pub fn dns_answered(
        &mut self,
        now: Instant,
        question: &Question,
        answer: &Answer,
        out: &mut Vec<Event>,
    ) {
        let (mut asked, mut found) = (Vec::new(), Vec::new());
        self.locator.answer(question, answer, &mut asked, &mut found);
        out.extend(asked.into_iter().map(Event::Ask));
        for found in found {
            self.found(now, found, out);
        }
    }

    pub(super) fn look_ups_expired(&mut self, now: Instant, out: &mut Vec<Event>) {
        let mut found = Vec::new();
        self.locator.handle_timeout(now, &mut found);
        for found in found {
            self.found(now, found, out);
        }
    }

    fn look_up(&mut self, now: Instant, hop: &NextHop, out: &mut Vec<Event>) -> bool {
        let mut asked = Vec::new();
        let is_begun = self.locator.locate(now, hop, &self.locals.transports(), &mut asked);
        out.extend(asked.into_iter().map(Event::Ask));
        is_begun
    }

    /// A look-up is done: whatever waited for it goes on.
    fn found(&mut self, now: Instant, found: Found, out: &mut Vec<Event>) {
        let Found { hop, located } = found;
        let waits = |tries: &Tries| tries.waits_for.as_ref() == Some(&hop);
        let mut waiting: Vec<_> =
            self.tries.iter().filter(|(_, tries)| waits(tries)).map(|(id, _)| *id).collect();
        // In order, so that the same inputs give the same outputs.
        waiting.sort_unstable();
        for id in waiting {
            let Some(tries) = self.tries.remove(&id) else { continue };
            let targets = self.order(now, &located);
            let dests = targets.into_iter().map(|place| Dest::Hop(hop.found_at(place))).collect();
            let Tries { owner, method, request, large, .. } = tries;
            let wanted = Wanted { owner, method: &method, request: &request, large };
            self.try_all(now, ClientKey(id), dests, &wanted, out);
        }
        let (acks, others): (Vec<_>, _) =
            std::mem::take(&mut self.acks).into_iter().partition(|ack| ack.hop == hop);
        self.acks = others;
        for WaitingAck { request, .. } in acks {
            let targets = self.order(now, &located);
            let sticky = self.answered_from(&request).filter(|target| targets.contains(target));
            if let Some(target) = sticky.or(targets.first().copied()) {
                self.transmit_ack(Dest::Hop(hop.found_at(target)), &request, out);
            }
        }
        if let Some(at) = self.wanted.iter().position(|wanted| *wanted == hop) {
            self.wanted.remove(at);
            out.push(Event::Located { hop, located });
        }
    }

    /// Takes a request out that was not sent anywhere yet.
    pub(super) fn take_waiting(&mut self, client: ClientKey) -> Option<Tries> {
        self.tries.get(&client.0).filter(|tries| tries.is_waiting())?;
        self.tries.remove(&client.0)
    }

    /// A request to a name waits for its look-up.
    pub(super) fn find(
        &mut self,
        now: Instant,
        client: ClientKey,
        hop: NextHop,
        wanted: &Wanted<'_>,
        out: &mut Vec<Event>,
    ) {
        if self.look_up(now, &hop, out) {
            let tries = Tries { waits_for: Some(hop), ..Tries::new(wanted) };
            self.tries.insert(client.0, tries);
        } else {
            let (owner, why) = (wanted.owner, Failure::Transport);
            out.push(Event::Failed { client, owner, why });
        }
    }

    /// Sends a request to the first of some places, and remembers the others.
    pub(super) fn try_all(
        &mut self,
        now: Instant,
        client: ClientKey,
        dests: Vec<Dest>,
        wanted: &Wanted<'_>,
        out: &mut Vec<Event>,
    ) {
        let attempt = Attempt { client, number: 0 };
        let mut rest = VecDeque::new();
        for dest in dests {
            self.with_large(now, attempt, dest, wanted, &mut rest);
        }
        let Some(dest) = rest.pop_front() else {
            let (owner, why) = (wanted.owner, Failure::Transport);
            return out.push(Event::Failed { client, owner, why });
        };
        if !rest.is_empty() {
            self.tries.insert(client.0, Tries { rest, ..Tries::new(wanted) });
        }
        let parts = (wanted.owner, wanted.method, wanted.request);
        self.send_attempt(now, attempt, dest, parts, out);
    }

    /// A place; for a request that is too large for a datagram the same place by TCP before it (RFC 3261
    /// §18.1.1), or behind it if that failed of late.
    fn with_large(
        &self,
        now: Instant,
        attempt: Attempt,
        dest: Dest,
        wanted: &Wanted<'_>,
        rest: &mut VecDeque<Dest>,
    ) {
        let by_udp = match (&dest, wanted.large) {
            (Dest::Hop(hop), Large::ToTcp) => hop.target(),
            _ => None,
        };
        let by_udp = by_udp.filter(|target| target.transport == Transport::Udp);
        let size = || self.via(attempt, &dest).len() + VIA_LINE + wanted.request.len();
        let (first, second) = match by_udp.filter(|_| size() > DATAGRAM_MAX) {
            None => (dest, None),
            Some(by_udp) => {
                let by_tcp = Target { transport: Transport::Tcp, ..by_udp };
                let is_bad = self.locator.back_off(now, by_tcp).is_some();
                let (first, second) = if is_bad { (by_udp, by_tcp) } else { (by_tcp, by_udp) };
                (first.into(), Some(second.into()))
            }
        };
        for place in std::iter::once(first).chain(second) {
            // A server with records for both transports is named by each.
            if !rest.contains(&place) {
                rest.push_back(place);
            }
        }
    }

    /// A response came: what does it say of its place? True if the request goes on to the next one (RFC 3263
    /// §4.3: 503).
    pub(super) fn is_refused(
        &mut self,
        now: Instant,
        slot: Slot,
        response: &Message,
        out: &mut Vec<Event>,
    ) -> bool {
        let Some(entry) = self.clients.get(&slot) else { return false };
        let target = target_of(&entry.dest);
        let is_wanted = entry.is_wanted();
        if response.status() != 503 {
            if let Some(target) = target {
                self.locator.answered(target);
            }
            return false;
        }
        if let Some(target) = target {
            let span = locate::retry_after(response);
            self.back_off_from(now, target, Why::Unavailable, span, out);
            // The same server by another transport is no other server.
            for twin in self.take_twins(slot, target) {
                self.back_off_from(now, twin, Why::Unavailable, span, out);
            }
        }
        is_wanted && self.has_next(slot)
    }

    /// An attempt ended without a response. True if the request goes on to the next place; else its owner has
    /// been told.
    pub(super) fn has_failed(
        &mut self,
        now: Instant,
        slot: Slot,
        failure: Failure,
        out: &mut Vec<Event>,
    ) -> bool {
        let Some(entry) = self.clients.get(&slot) else { return false };
        let (is_heard, is_wanted, owner) = (entry.is_heard, entry.is_wanted(), entry.owner);
        if let Some(target) = target_of(&entry.dest).filter(|_| !is_heard) {
            let why = match failure {
                Failure::TimedOut => Why::Silent,
                Failure::Transport => Why::Unreachable,
            };
            self.back_off_from(now, target, why, locate::BACK_OFF, out);
        }
        if !is_heard && is_wanted && self.has_next(slot) {
            return true;
        }
        out.push(Event::Failed { client: ClientKey(slot.id), owner, why: failure });
        false
    }

    /// Takes out the places that are still to be tried and have the address of this one.
    fn take_twins(&mut self, slot: Slot, target: Target) -> Vec<Target> {
        let Some(tries) = self.tries.get_mut(&slot.id) else { return Vec::new() };
        let rest = std::mem::take(&mut tries.rest);
        let (twins, others) =
            rest.into_iter().partition(|dest| dest.address() == Some(target.address));
        tries.rest = others;
        let twins: VecDeque<Dest> = twins;
        twins.iter().filter_map(target_of).collect()
    }

    /// Nothing came from the place of this attempt.
    pub(super) fn is_silent(&mut self, now: Instant, slot: Slot, out: &mut Vec<Event>) {
        if let Some(target) = self.clients.get(&slot).and_then(|entry| target_of(&entry.dest)) {
            self.back_off_from(now, target, Why::Silent, locate::BACK_OFF, out);
        }
    }

    fn back_off_from(
        &mut self,
        now: Instant,
        target: Target,
        why: Why,
        span: std::time::Duration,
        out: &mut Vec<Event>,
    ) {
        if self.locator.failed(now, target, why, span) {
            out.push(Event::BackedOff { target, until: now + span, why });
        }
    }

    fn has_next(&self, slot: Slot) -> bool {
        self.tries.get(&slot.id).is_some_and(|tries| !tries.rest.is_empty())
    }

    /// Sends the next attempt, with a branch of its own.
    pub(super) fn try_next(&mut self, now: Instant, client: ClientKey, out: &mut Vec<Event>) {
        let Some(tries) = self.tries.get_mut(&client.0) else { return };
        let Some(dest) = tries.rest.pop_front() else { return };
        tries.attempt = tries.attempt.saturating_add(1);
        let attempt = Attempt { client, number: tries.attempt };
        let (owner, method, request) = (tries.owner, tries.method.clone(), tries.request.clone());
        self.send_attempt(now, attempt, dest, (owner, &method, &request), out);
    }

    /// Sends an ACK for a 2xx: it has a branch of its own and no transaction (RFC 3261 §13.2.2.4). To a name
    /// it goes to the place of it that answered the INVITE.
    pub fn send_ack(&mut self, now: Instant, dest: Dest, request: &[u8], out: &mut Vec<Event>) {
        match dest {
            Dest::Hop(hop) if hop.target().is_none() => {
                if self.acks.len() < ACKS_MAX && self.look_up(now, &hop, out) {
                    self.acks.push(WaitingAck { hop, request: request.into() });
                }
            }
            dest => self.transmit_ack(dest, request, out),
        }
    }

    fn transmit_ack(&mut self, dest: Dest, request: &[u8], out: &mut Vec<Event>) {
        let attempt = Attempt { client: ClientKey(self.tokens.next_u64()), number: 0 };
        let mut dest = dest;
        if self.via(attempt, &dest).len() + VIA_LINE + request.len() > DATAGRAM_MAX
            && let Some(by_tcp) = self.answered_from(request)
            && by_tcp.transport == Transport::Tcp
            && target_of(&dest).is_some_and(|target| target.address == by_tcp.address)
        {
            // A large one goes the way that its large INVITE went.
            dest = by_tcp.into();
        }
        let packet = with_via(request, &self.via(attempt, &dest));
        out.push(Event::Transmit { dest, packet, attempt: None });
    }

    /// The place that answered the INVITE which this ACK is for.
    fn answered_from(&self, ack: &[u8]) -> Option<Target> {
        // It has no Via yet, without which nothing is a message.
        let ack = with_via(ack, "SIP/2.0/UDP ack.invalid;branch=z9hG4bK0");
        let Parsed::Message(ack) = Message::parse(&ack) else { return None };
        let slot = self.accepted.get(&*ack.call_id())?;
        target_of(&self.clients.get(slot)?.dest)
    }
}

/// The place that a request goes to, where it is one that others may go to as well.
fn target_of(dest: &Dest) -> Option<Target> {
    match dest {
        Dest::Hop(hop) => hop.target(),
        Dest::Flow(_) => None,
    }
}
