//! All transactions of one endpoint: messages in, messages and happenings out (RFC 3261 §17, §18).

mod ack;
mod attempts;
mod client;
mod server;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use attempts::{Tries, WaitingAck};
use client::Client;
pub use client::attempt_of_request;
use server::{Server, response_flow};

use super::header::reason::Reasons;
use super::locals::Locals;
use super::locate::{Located, Locator, Question, Why};
use super::message::build::Builder;
use super::message::{Message, Packet, Parsed};
use super::transaction::{Output, Timers};
use super::transport::{Dest, Flow, NextHop, Target};
use crate::proto::time::Instant;
use crate::proto::token::Tokens;

/// The most transactions at a time; above it, new requests from outside are answered 503 without a
/// transaction, and our own fail as if the transport had.
pub const TRANSACTIONS_MAX: usize = 400_000;

/// Transactions for which the tables keep room when they are idle.
const ROOM_KEPT: usize = 1024;
/// Timers of transactions that are gone already which may wait for their time beside as many of live ones:
/// above it the heap is swept, so that a flood of refused strangers leaves nothing.
const STALE_TIMERS_MAX: usize = 4096;

/// Names a client transaction. The requester draws it; the branch on the wire is made from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientKey(pub u64);

/// One transmission of a request to one place. A next hop that is found to be several places may need
/// several, each with a branch of its own (RFC 3263 §4.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Attempt {
    /// The request.
    pub client: ClientKey,
    /// Which try it is, from 0.
    pub number: u8,
}

/// How a request goes that is too large for a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Large {
    /// By TCP, and as a datagram after all if no connection can be made (RFC 3261 §18.1.1).
    ToTcp,
    /// As a datagram, whatever becomes of its fragments.
    Datagram,
}

/// Names a server transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ServerKey(pub u64);

/// Whose transaction it is: the transaction user's own number, such as a call's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Owner(pub u64);

/// What came of an input.
#[derive(Clone, Debug)]
pub enum Event {
    /// Send these bytes to a place that needs no look-up. If that fails and `attempt` is named, say so with
    /// [`Endpoint::transport_failed`].
    Transmit {
        /// Where to.
        dest: Dest,
        /// What.
        packet: Packet,
        /// Which attempt wants to hear of a failure.
        attempt: Option<Attempt>,
    },
    /// A new request; answer it with [`Endpoint::respond`].
    Request {
        /// Its transaction.
        server: ServerKey,
        /// The request.
        request: Message,
        /// Where it came from.
        flow: Flow,
        /// The tag for our side, the same on every response.
        tag: String,
    },
    /// An ACK for a 2xx, which has no transaction of its own.
    Ack {
        /// The ACK.
        request: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// The INVITE of this transaction was cancelled (the CANCEL itself is answered).
    Cancel {
        /// The INVITE's transaction.
        server: ServerKey,
        /// Its owner, if it was adopted.
        owner: Option<Owner>,
        /// Why, as far as the CANCEL says.
        reasons: Reasons,
    },
    /// A response to a request of ours.
    Response {
        /// Its transaction.
        client: ClientKey,
        /// Whose.
        owner: Owner,
        /// The response.
        response: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// A request of ours ended without a response.
    Failed {
        /// Its transaction.
        client: ClientKey,
        /// Whose.
        owner: Owner,
        /// Could it not be sent, or was it not answered?
        why: Failure,
    },
    /// A final response to an INVITE was never acknowledged (timer H).
    NoAck {
        /// The INVITE's transaction.
        server: ServerKey,
        /// Its owner, if it was adopted.
        owner: Option<Owner>,
    },
    /// Ask the name server this; the answer is for [`Endpoint::dns_answered`].
    Ask(Question),
    /// What [`Endpoint::locate`] asked for.
    Located {
        /// The next hop.
        hop: NextHop,
        /// Its servers.
        located: Located,
    },
    /// A place failed, and is tried last from now on.
    BackedOff {
        /// The place.
        target: Target,
        /// Until when.
        until: Instant,
        /// Why.
        why: Why,
    },
    /// What came was dropped; for counters and the log.
    Dropped(&'static str),
}

/// Why a client transaction failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// 64 T1 without an answer.
    TimedOut,
    /// The message could not be sent (ICMP, connection refused, no address).
    Transport,
}

/// Names a client transaction: the request, which attempt at it, and whether it is that one's CANCEL.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
struct Slot {
    id: u64,
    attempt: u8,
    is_cancel: bool,
}

/// Names an entry of the timer heap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum TimerKey {
    Client(Slot),
    Server(u64),
}

/// The transaction layer.
#[derive(Debug)]
pub struct Endpoint {
    timers: Timers,
    locals: Locals,
    tokens: Tokens,
    clients: HashMap<Slot, Client>,
    /// Those of them that were sent on a connection, by its number: one that closes asks nobody else.
    on_connection: HashMap<u64, BTreeSet<Slot>>,
    /// Requests that wait for a look-up or may go to a further place; of any other the attempt is 0.
    tries: HashMap<u64, Tries>,
    /// INVITEs with a 2xx by their Call-ID: their ACKs go where they went.
    accepted: HashMap<String, Slot>,
    acks: Vec<WaitingAck>,
    locator: Locator,
    /// Next hops that [`Self::locate`] was asked for.
    wanted: Vec<NextHop>,
    servers: HashMap<u64, Server>,
    server_keys: HashMap<String, u64>,
    merges: HashMap<String, u64>,
    heap: BinaryHeap<Reverse<(Instant, TimerKey)>>,
    next_server: u64,
    machine_out: Vec<Output>,
}

impl Endpoint {
    /// An endpoint without transactions.
    #[must_use]
    pub fn new(timers: Timers, locals: Locals, seed: [u8; 32]) -> Self {
        let mut tokens = Tokens::new(seed);
        Self {
            timers,
            locals,
            locator: Locator::new(tokens.fork()),
            tokens,
            clients: HashMap::new(),
            on_connection: HashMap::new(),
            tries: HashMap::new(),
            accepted: HashMap::new(),
            acks: Vec::new(),
            wanted: Vec::new(),
            servers: HashMap::new(),
            server_keys: HashMap::new(),
            merges: HashMap::new(),
            heap: BinaryHeap::new(),
            next_server: 1,
            machine_out: Vec::new(),
        }
    }

    /// Our addresses.
    #[must_use]
    pub const fn locals(&self) -> &Locals {
        &self.locals
    }

    /// Transactions from now on use these; those that live keep theirs.
    pub const fn set_timers(&mut self, timers: Timers) {
        self.timers = timers;
    }

    /// How many client and server transactions live; requests that wait for a look-up count as the former.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let waiting = self.tries.values().filter(|tries| tries.is_waiting()).count();
        (self.clients.len() + waiting + self.acks.len(), self.servers.len())
    }

    /// A datagram or a framed message arrived.
    pub fn receive(&mut self, now: Instant, flow: Flow, bytes: &[u8], out: &mut Vec<Event>) {
        self.sweep();
        match Message::parse(bytes) {
            Parsed::Message(message) if message.is_request() => {
                self.receive_request(now, flow, message, out);
            }
            Parsed::Message(message) => self.receive_response(now, flow, message, out),
            Parsed::Refuse(request, defect) => {
                self.respond_stateless(&request, &flow, defect.status(), &defect.reason(), out);
            }
            Parsed::Drop(reason) => out.push(Event::Dropped(reason)),
            Parsed::KeepAlive => {}
        }
    }

    /// Answers without keeping anything (RFC 3261 §8.2.7).
    pub fn respond_stateless(
        &mut self,
        request: &Message,
        flow: &Flow,
        status: u16,
        reason: &str,
        out: &mut Vec<Event>,
    ) {
        let tag = self.tokens.tag();
        let packet = Builder::response(request, status, reason, Some(&tag), flow).finish();
        out.push(Event::Transmit {
            dest: Dest::Flow(response_flow(request, *flow)),
            packet,
            attempt: None,
        });
    }

    /// Drops timers whose transactions are gone, once they are the larger part.
    fn sweep(&mut self) {
        if self.heap.len() <= 2 * (self.clients.len() + self.servers.len()) + STALE_TIMERS_MAX {
            return;
        }
        let (clients, servers) = (&self.clients, &self.servers);
        self.heap.retain(|Reverse((at, key))| {
            let scheduled = match key {
                TimerKey::Client(slot) => clients.get(slot).and_then(|entry| entry.scheduled),
                TimerKey::Server(id) => servers.get(id).and_then(|entry| entry.scheduled),
            };
            scheduled == Some(*at)
        });
    }

    /// Timers that wait for their time, for tests and figures.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.heap.len()
    }

    /// When it next wants [`Self::handle_timeout`]; it may then find nothing to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let heap = self.heap.peek().map(|Reverse((at, _))| *at);
        heap.into_iter().chain(self.locator.next_timeout()).min()
    }

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Event>) {
        self.look_ups_expired(now, out);
        while let Some(Reverse((at, key))) = self.heap.peek().copied() {
            if at > now {
                break;
            }
            self.heap.pop();
            match key {
                TimerKey::Client(slot) => self.client_timeout(now, at, slot, out),
                TimerKey::Server(id) => self.server_timeout(now, at, id, out),
            }
        }
        self.give_memory_back();
    }

    /// After a rush of calls the tables are mostly empty: their room goes back.
    fn give_memory_back(&mut self) {
        let is_wide = |room: usize, used: usize| room > ROOM_KEPT && used * 8 < room;
        if is_wide(self.clients.capacity(), self.clients.len()) {
            self.clients.shrink_to(ROOM_KEPT);
            self.on_connection.shrink_to(ROOM_KEPT);
            self.tries.shrink_to(ROOM_KEPT);
            self.accepted.shrink_to(ROOM_KEPT);
        }
        if is_wide(self.servers.capacity(), self.servers.len()) {
            self.servers.shrink_to(ROOM_KEPT);
            self.server_keys.shrink_to(ROOM_KEPT);
            self.merges.shrink_to(ROOM_KEPT);
        }
        if is_wide(self.heap.capacity(), self.heap.len()) {
            self.heap.shrink_to(ROOM_KEPT);
        }
    }
}

/// Notes a deadline; gives it back if the heap must learn of it. A later one is found when the earlier
/// entry fires.
fn schedule(scheduled: &mut Option<Instant>, next: Option<Instant>) -> Option<Instant> {
    let next = next?;
    if scheduled.is_some_and(|at| at <= next) {
        return None;
    }
    *scheduled = Some(next);
    Some(next)
}
