//! MESSAGE from phone to phone (RFC 3428): relayed to every device, never stored.

use std::collections::{BTreeMap, HashMap};

use super::admit::Asked;
use super::calls::{dialled, is_sips};
use super::*;
use crate::proto::sip::endpoint::{Failure, Large};
use crate::proto::sip::identity::{Privacy, is_from_anonymous};
use crate::proto::sip::method::Method;
use crate::switch::call::Target;
use crate::switch::cause;
use crate::switch::identity::caller_of;
use crate::switch::route::{Decision, decide};

/// Messages that wait for an answer; the next one is answered 503.
pub(super) const MESSAGES_MAX: usize = 1024;
/// Messages of one phone that wait; its next one is answered 500 with a Retry-After.
pub(super) const MESSAGES_PER_PHONE_MAX: usize = 32;
/// A message over a path that does not care for congestion is no larger than this (RFC 3428 §8): a body that
/// is gets 413, a request that would leave us so 513.
const DATAGRAM_MAX: usize = 1300;
/// The largest body over a connection: 413 above it.
const BODY_MAX: usize = 16_384;
/// What our Via adds to a request.
const VIA_ROOM: usize = 100;
/// Seconds after which a phone may go on that has sent too much.
const AGAIN_AFTER: u32 = 5;

/// Headers that go with the body, or say something about it.
const PASSED: [HeaderName; 4] =
    [HeaderName::ContentDisposition, HeaderName::Date, HeaderName::Expires, HeaderName::Subject];

/// A message that nobody has answered yet.
#[derive(Debug)]
struct Relay {
    asked: Asked,
    /// The phone that logged in.
    sender: String,
    /// Whom it is shown as.
    from: String,
    to: String,
    /// The devices that have not answered, with a further flow of theirs.
    open: BTreeMap<ClientKey, Option<Box<Target>>>,
    /// The first refusal.
    refusal: Option<u16>,
}

/// A message as it goes to one device.
#[derive(Debug)]
struct Sending {
    client: ClientKey,
    dest: Dest,
    packet: Packet,
    further: Option<Box<Target>>,
}

/// All messages under way.
#[derive(Debug, Default)]
pub(super) struct Messages {
    relays: HashMap<ServerKey, Relay>,
    /// Whose message a request of ours is.
    clients: HashMap<ClientKey, ServerKey>,
}

impl Messages {
    pub(super) fn len(&self) -> usize {
        self.relays.len()
    }
}

impl Switchboard {
    /// A MESSAGE outside any dialog, of a phone that has logged in.
    pub(super) fn message(
        &mut self,
        now: Instant,
        sender: &str,
        asked: Asked,
        out: &mut Vec<Output>,
    ) {
        let origin = Origin::Phone(sender.to_owned());
        let request = &asked.request;
        let room = if asked.flow.transport.is_reliable() { BODY_MAX } else { DATAGRAM_MAX };
        let hops = request.max_forwards().unwrap_or(70);
        let refusal = match self.is_own_identity(&origin, request) {
            Err(cause) => Some(cause.sip),
            Ok(()) if hops == 0 => Some(cause::LOOP.sip),
            Ok(()) if request.body().len() > room => Some(413),
            Ok(()) => None,
        };
        if let Some(status) = refusal {
            return self.refuse(now, &asked, status, &[], out);
        }
        let extension = match decide(
            &self.snapshot,
            &origin,
            &self.wanted(request.uri(), dialled(request)).number,
        ) {
            Ok(Decision::Phone { extension, .. }) => extension,
            // No trunk is known to take messages.
            Ok(Decision::Trunks { .. } | Decision::Room { .. }) => {
                return self.refuse(now, &asked, 404, &[], out);
            }
            Err(cause) => return self.refuse(now, &asked, cause.sip, &[], out),
        };
        if let Some(status) = self.is_too_much(sender) {
            let later = [(HeaderName::RetryAfter, AGAIN_AFTER.to_string())];
            return self.refuse(now, &asked, status, &later, out);
        }
        let mut caller = caller_of(&self.snapshot, &origin, request);
        // A message is answered by its sender's number: it is withheld only if the message itself asks for that.
        caller.shown.is_withheld = Privacy::of(request).is_withheld || is_from_anonymous(request);
        let mut targets = self.phone_targets(now, &extension, &caller);
        if targets.is_empty() {
            return self.refuse(now, &asked, cause::UNREACHABLE.sip, &[], out);
        }
        if is_sips(&asked.request) {
            let is_secure = |target: &Target| target.dest.transport().is_secure();
            targets = targets.into_iter().filter_map(|target| target.only(&is_secure)).collect();
        }
        if targets.is_empty() {
            return self.refuse(now, &asked, cause::NOT_SECURE.sip, &[], out);
        }
        let sending: Vec<_> = targets
            .into_iter()
            .filter_map(|target| self.message_by(&asked.request, target))
            .collect();
        if sending.is_empty() {
            return self.refuse(now, &asked, 513, &[], out);
        }
        let server = asked.server;
        let (sender, from) = (sender.to_owned(), caller.shown.number);
        let open = BTreeMap::new();
        let relay = Relay { asked, sender, from, to: extension, open, refusal: None };
        self.messages.relays.insert(server, relay);
        self.send_message(now, server, sending, out);
    }

    /// The message on the first flow of a device that takes one of its size.
    fn message_by(&mut self, request: &Message, target: Target) -> Option<Sending> {
        let hops = request.max_forwards().unwrap_or(70).saturating_sub(1);
        let mut next = Some(target);
        while let Some(mut target) = next {
            let further = target.next_flow.take();
            let packet = self.message_to(request, &target, hops);
            let is_datagram = !target.dest.transport().is_reliable();
            if !is_datagram || packet.len() + VIA_ROOM <= DATAGRAM_MAX {
                let client = ClientKey(self.tokens.next_u64());
                return Some(Sending { client, dest: target.dest, packet, further });
            }
            next = further.map(|further| *further);
        }
        None
    }

    fn send_message(
        &mut self,
        now: Instant,
        server: ServerKey,
        mut all: Vec<Sending>,
        out: &mut Vec<Output>,
    ) {
        let Some(relay) = self.messages.relays.get_mut(&server) else { return };
        // Before the first is sent: one that fails at once is not the last.
        for one in &mut all {
            relay.open.insert(one.client, one.further.take());
            self.messages.clients.insert(one.client, server);
        }
        for Sending { client, dest, packet, .. } in all {
            self.with_endpoint(now, out, |endpoint, events| {
                let (method, large) = (Method::Message, Large::Datagram);
                endpoint.request(now, client, NOBODY, dest, &method, &packet, large, events);
            });
        }
    }

    /// Are there too many messages under way? Then the status that says so.
    fn is_too_much(&self, sender: &str) -> Option<u16> {
        if self.messages.len() >= MESSAGES_MAX {
            return Some(503);
        }
        let own = self.messages.relays.values().filter(|relay| relay.sender == sender).count();
        (own >= MESSAGES_PER_PHONE_MAX).then_some(500)
    }

    /// The message as one device gets it: from who logged in, without a Contact (RFC 3428 §4), and with a
    /// Call-ID of its own, because a device with two contacts would take the second copy for a loop.
    fn message_to(&mut self, request: &Message, target: &Target, hops: u8) -> Packet {
        let mut builder = Builder::request(&Method::Message, &target.uri);
        for route in &target.routes {
            builder.add(HeaderName::Route, route);
        }
        builder.add(HeaderName::MaxForwards, hops);
        builder.add(HeaderName::From, format_args!("{};tag={}", target.from, self.tokens.tag()));
        builder.add(HeaderName::To, &target.to);
        builder.add(HeaderName::CallId, self.tokens.call_id());
        builder.add(HeaderName::CSeq, "1 MESSAGE");
        for name in PASSED {
            if let Some(value) = request.text(name) {
                builder.add(name, value);
            }
        }
        builder.add(HeaderName::UserAgent, &self.user_agent);
        if request.body().is_empty() {
            return builder.finish();
        }
        let kind = request.text(HeaderName::ContentType);
        builder.finish_with(kind.as_deref().unwrap_or("text/plain"), request.body())
    }

    /// A device answered a message; false if it is an answer to something else. The first 2xx is the
    /// sender's answer; a refusal is once nobody is left who could take it.
    pub(super) fn message_answered(
        &mut self,
        now: Instant,
        client: ClientKey,
        response: &Message,
        out: &mut Vec<Output>,
    ) -> bool {
        match response.status() {
            ..200 => self.messages.clients.contains_key(&client),
            status @ 200..300 => {
                let Some(server) = self.messages.clients.remove(&client) else { return false };
                self.message_done(now, server, Some(status), out);
                true
            }
            // The edge that held the flow has lost it (RFC 5626 §5.3).
            430 if self.message_goes_on(now, client, out) => true,
            status => self.message_refused(now, client, Some(passed(status)), out),
        }
    }

    /// A device could not be reached with a message, or is silent; false if it was something else.
    pub(super) fn message_failed(
        &mut self,
        now: Instant,
        client: ClientKey,
        why: Failure,
        out: &mut Vec<Output>,
    ) -> bool {
        // After silence its sender has given up: on another flow it would come too late, or twice.
        if why == Failure::Transport && self.message_goes_on(now, client, out) {
            return true;
        }
        let status = (why == Failure::Transport).then_some(cause::UNREACHABLE.sip);
        self.message_refused(now, client, status, out)
    }

    /// A device could not be reached on one of its flows: it gets the message on the next one, if it has another.
    fn message_goes_on(&mut self, now: Instant, client: ClientKey, out: &mut Vec<Output>) -> bool {
        let Some(server) = self.messages.clients.get(&client).copied() else { return false };
        let Some(relay) = self.messages.relays.get_mut(&server) else { return false };
        let Some(next) = relay.open.get_mut(&client).and_then(Option::take) else { return false };
        let request = relay.asked.request.clone();
        let Some(again) = self.message_by(&request, *next) else { return false };
        self.messages.clients.remove(&client);
        if let Some(relay) = self.messages.relays.get_mut(&server) {
            relay.open.remove(&client);
        }
        self.send_message(now, server, vec![again], out);
        true
    }

    fn message_refused(
        &mut self,
        now: Instant,
        client: ClientKey,
        status: Option<u16>,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(server) = self.messages.clients.remove(&client) else { return false };
        let Some(relay) = self.messages.relays.get_mut(&server) else { return true };
        relay.open.remove(&client);
        relay.refusal = relay.refusal.or(status);
        if relay.open.is_empty() {
            let status = relay.refusal;
            self.message_done(now, server, status, out);
        }
        true
    }

    /// Answers the sender. After silence of all devices it is not answered: it has given up by itself, and a
    /// late 408 is worse than none (RFC 4320 §4.2).
    fn message_done(
        &mut self,
        now: Instant,
        server: ServerKey,
        status: Option<u16>,
        out: &mut Vec<Output>,
    ) {
        let Some(relay) = self.messages.relays.remove(&server) else { return };
        for client in relay.open.keys() {
            self.messages.clients.remove(client);
        }
        match status {
            Some(status) => {
                self.respond(now, &relay.asked, status, reason_phrase(status), &[], out);
            }
            None => self.endpoint.ignore(server),
        }
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let fields = vec![("from", relay.from), ("to", relay.to), ("status", status)];
        out.push(Output::Event { kind: "message.relayed", fields });
    }
}

/// The status that a device's refusal is to the sender. What is a matter between the device and us says that it
/// cannot be had now; a 503 would make the sender shun us (RFC 3261 §16.7).
const fn passed(status: u16) -> u16 {
    match status {
        300..=399 | 401 | 405 | 407 | 420 | 421 | 481 | 482 | 483 => 480,
        503 => 500,
        status => status,
    }
}
