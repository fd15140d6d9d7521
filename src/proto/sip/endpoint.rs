//! All transactions of one endpoint: messages in, messages and happenings out (RFC 3261 §17, §18).

mod ack;
mod client;
mod server;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use client::Client;
pub use client::client_of_request;
use server::{Server, response_flow};

use super::locals::Locals;
use super::message::build::Builder;
use super::message::{Message, Packet, Parsed};
use super::transaction::{Output, Timers};
use super::transport::{Dest, Flow};
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

/// Names a server transaction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ServerKey(pub u64);

/// Whose transaction it is: the transaction user's own number, such as a call's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Owner(pub u64);

/// What came of an input.
#[derive(Clone, Debug)]
pub enum Event {
    /// Send these bytes. If that fails and `client` is named, say so with [`Endpoint::transport_failed`].
    Transmit {
        /// Where to.
        dest: Dest,
        /// What.
        packet: Packet,
        /// Which client transaction wants to hear of a failure.
        client: Option<ClientKey>,
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
    },
    /// A response to a request of ours.
    Response {
        /// Its transaction.
        client: ClientKey,
        /// Whose.
        owner: Owner,
        /// The response.
        response: Message,
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

/// Names an entry of the timer heap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum TimerKey {
    Client(u64, bool),
    Server(u64),
}

/// The transaction layer.
#[derive(Debug)]
pub struct Endpoint {
    timers: Timers,
    locals: Locals,
    tokens: Tokens,
    /// By branch number, and whether it is the CANCEL of that branch.
    clients: HashMap<(u64, bool), Client>,
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
        Self {
            timers,
            locals,
            tokens: Tokens::new(seed),
            clients: HashMap::new(),
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

    /// How many client and server transactions live.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.clients.len(), self.servers.len())
    }

    /// A datagram or a framed message arrived.
    pub fn receive(&mut self, now: Instant, flow: Flow, bytes: &[u8], out: &mut Vec<Event>) {
        self.sweep();
        match Message::parse(bytes) {
            Parsed::Message(message) if message.is_request() => {
                self.receive_request(now, flow, message, out);
            }
            Parsed::Message(message) => self.receive_response(now, message, out),
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
            client: None,
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
                TimerKey::Client(id, is_cancel) => {
                    clients.get(&(*id, *is_cancel)).and_then(|entry| entry.scheduled)
                }
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
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Runs every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Event>) {
        while let Some(Reverse((at, key))) = self.heap.peek().copied() {
            if at > now {
                break;
            }
            self.heap.pop();
            match key {
                TimerKey::Client(id, is_cancel) => {
                    self.client_timeout(now, at, (id, is_cancel), out)
                }
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
