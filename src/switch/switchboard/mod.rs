//! The front of the house: every message passes it, and it alone knows which call a message is for.
//!
//! It owns the transactions, the nonces, the bindings of phones, our registrations and the directory
//! from dialogs to calls. Calls are machines of their own; this one starts them, hands them what is theirs
//! and sends what they want sent.

mod admit;
mod calls;
mod devices;
mod emergency;
mod explain;
mod gate;
mod handover;
mod healths;
mod identity;
mod messages;
mod meter;
mod output;
mod peers;
mod probes;
mod publish;
mod register;
mod replaces;
mod rooms;
mod services;
mod stir;
mod strays;
mod subscribe;
mod targets;
mod trunks;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use crate::proto::nat::stun;
use crate::proto::sip::auth::server::Authenticator;
use crate::proto::sip::endpoint::{self, Attempt, ClientKey, Endpoint, Owner, ServerKey};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::locals::Locals;
use crate::proto::sip::locate::{Answer, Question};
use crate::proto::sip::message::build::{Builder, reason_phrase};
use crate::proto::sip::message::{Message, Packet};
use crate::proto::sip::registration::client::Registrant;
use crate::proto::sip::registration::{Binding, Registrar};
use crate::proto::sip::transaction::Timers;
use crate::proto::sip::transport::{Dest, Flow};
use crate::proto::time::{Instant, Wall};
use crate::proto::token::Tokens;
use crate::switch::call::{self, Origin, Start};
use crate::switch::cdr::record::CallId;
use crate::switch::guard::Guard;
use crate::switch::health::Healths;
use crate::switch::identity::Caller;
use crate::switch::rooms::Rooms;
use crate::switch::route::caps::{Meter, Whose};
use crate::switch::services::PhoneServices;
use crate::switch::snapshot::Snapshot;
use crate::switch::subscriptions::Subscriptions;

pub use calls::OriginateError;
pub use explain::{Explained, PlaceView};
pub use gate::Load;
pub use output::{Counts, Output};
pub use rooms::{RoomRefused, RoomView};
pub use stir::{CHECKED_MAX, SIGNATURE_TIME, SIGNED_MAX, VERDICT_TIME};
pub use trunks::TrunkView;

/// The owner number of transactions that belong to no call.
const NOBODY: Owner = Owner(0);

/// A dialog's entry in the directory.
#[derive(Debug)]
struct DialogEntry {
    call: CallId,
    peer: Origin,
    source: Option<IpAddr>,
    /// The source that the guard was told of.
    counted: Option<IpAddr>,
}

/// What is known of a live call here.
#[derive(Debug, Default)]
struct CallEntry {
    dialogs: Vec<(String, String)>,
    trunk: Option<String>,
    caller: Caller,
    /// Requests that it has not answered yet: answered here if it ends without doing so.
    open: Vec<calls::OpenRequest>,
    /// INVITEs of its own that may still wait for an answer: cancelled if it ends without doing so.
    invites: Vec<ClientKey>,
    /// Whose minutes it talks.
    charges: Vec<meter::Charge>,
    /// Who placed it.
    origin: Option<Origin>,
    /// What it came with that states who calls.
    stir: stir::OfCall,
    /// It was placed by a `sips` address, and stays under TLS wherever it is sent.
    is_sips: bool,
}

/// The switchboard.
#[derive(Debug)]
pub struct Switchboard {
    endpoint: Endpoint,
    authenticator: Authenticator,
    registrar: Registrar,
    subscriptions: Subscriptions,
    rooms: Rooms,
    /// Calls that listen, and to which.
    watches: HashMap<CallId, CallId>,
    messages: messages::Messages,
    publications: publish::Publications,
    snapshot: Arc<Snapshot>,
    tokens: Tokens,
    /// The wall clock at [`Instant::START`].
    epoch: Wall,
    user_agent: String,
    /// Compared with for unknown users, so that they take as long as known ones.
    no_secret: String,
    calls: HashMap<CallId, CallEntry>,
    /// By Call-ID and our tag.
    dialogs: HashMap<(String, String), DialogEntry>,
    /// In order, so that the same inputs give the same outputs.
    registrants: BTreeMap<String, Registrant>,
    /// Those whose trunk is gone, while the carrier is being told.
    leaving: VecDeque<Registrant>,
    probes: probes::Probes,
    /// What calls tell of trunks.
    healths: Healths,
    /// What phones have switched on; none of those with nothing. In order, so that the same inputs give the same
    /// outputs.
    services: BTreeMap<String, PhoneServices>,
    /// Peers that are configured by name.
    peers: peers::Peers,
    /// Statements of who calls that are being checked or signed.
    stir: stir::Stir,
    /// Sessions that nobody wanted any more, latest last: transaction and the peer's tag.
    strays: VecDeque<(ClientKey, String)>,
    /// Dialogs that are over, latest last.
    ended: VecDeque<(String, String)>,
    guard: Guard,
    meter: Meter,
    /// Until when requests outside dialogs are refused for load.
    busy_until: Instant,
    shed: u64,
    is_draining: bool,
    dropped: u64,
    challenged: u64,
    events: Vec<endpoint::Event>,
}

impl Switchboard {
    /// A switchboard without calls and bindings. `epoch` is the wall clock at [`Instant::START`].
    #[must_use]
    pub fn new(
        now: Instant,
        epoch: Wall,
        snapshot: Arc<Snapshot>,
        locals: Locals,
        seed: [u8; 32],
        version: &str,
    ) -> Self {
        let mut tokens = Tokens::new(seed);
        let sip = &snapshot.sip;
        let timers = timers_of(&snapshot);
        let user_agent = format!("Tandem/{version}");
        let mut switchboard = Self {
            endpoint: Endpoint::new(timers, locals, tokens.fork()),
            authenticator: Authenticator::new(
                &sip.realm,
                &sip.digest,
                sip.nonce_lifetime,
                tokens.fork(),
            ),
            registrar: Registrar::new(tokens.fork()),
            no_secret: tokens.call_id(),
            guard: Guard::new(snapshot.guard.clone(), tokens.fork()),
            subscriptions: Subscriptions::new(tokens.fork(), user_agent.clone()),
            rooms: Rooms::default(),
            watches: HashMap::new(),
            messages: messages::Messages::default(),
            publications: publish::Publications::default(),
            meter: Meter::default(),
            busy_until: Instant::START,
            shed: 0,
            tokens,
            epoch,
            user_agent,
            calls: HashMap::new(),
            dialogs: HashMap::new(),
            registrants: BTreeMap::new(),
            leaving: VecDeque::new(),
            probes: probes::Probes::default(),
            healths: Healths::default(),
            services: BTreeMap::new(),
            peers: peers::Peers::default(),
            stir: stir::Stir::default(),
            strays: VecDeque::new(),
            ended: VecDeque::new(),
            is_draining: false,
            dropped: 0,
            challenged: 0,
            events: Vec::new(),
            snapshot,
        };
        switchboard.sync_registrants(now);
        switchboard.sync_peers(now);
        switchboard.sync_probes(now);
        switchboard
    }

    /// Replaces the configuration. Calls keep the one they began with; registrations at carriers whose
    /// account did not change go on as they are. Bindings that were made with a password which no longer
    /// holds are dropped: whoever made them has to log in again.
    pub fn reload(&mut self, now: Instant, snapshot: Arc<Snapshot>, out: &mut Vec<Output>) {
        let old = std::mem::replace(&mut self.snapshot, snapshot);
        let sip = &self.snapshot.sip;
        self.authenticator.configure(&sip.realm, &sip.digest, sip.nonce_lifetime);
        self.endpoint.set_timers(timers_of(&self.snapshot));
        self.sync_registrants(now);
        self.registrants_gone(now, out);
        self.sync_peers(now);
        self.sync_probes(now);
        self.healths.configure(|name| self.snapshot.trunk(name).is_some());
        self.sync_services(out);
        self.guard_reloaded(out);
        self.subscriptions_reloaded(now, &old, out);
        let mut gone: Vec<_> = self
            .registrar
            .addresses()
            .map(|(aor, _)| aor.to_owned())
            .filter(|aor| {
                let secret = secret_of(&self.snapshot, aor);
                secret.is_none() || secret != secret_of(&old, aor)
            })
            .collect();
        // In order, so that the same inputs give the same outputs.
        gone.sort();
        for aor in gone {
            self.registrar.forget(&aor);
            self.bindings_changed(now, &aor, "configuration changed", out);
        }
    }

    /// From now on new calls are refused with 503; live ones go on.
    pub const fn drain(&mut self) {
        self.is_draining = true;
    }

    /// The configuration in force.
    #[must_use]
    pub const fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The bindings, for lists.
    #[must_use]
    pub const fn registrar(&self) -> &Registrar {
        &self.registrar
    }

    /// Puts bindings back that were stored before a restart. The listeners may be others now, or in another
    /// order: each binding gets the one that its phone is reached from today.
    pub fn restore(&mut self, aor: &str, mut bindings: Vec<Binding>) {
        if secret_of(&self.snapshot, aor).is_none() {
            return;
        }
        let locals = self.endpoint.locals();
        bindings.retain_mut(|binding| match locals.listener_again(&binding.flow) {
            Some((listener, local)) => {
                (binding.flow.listener, binding.flow.local) = (listener, local);
                true
            }
            None => false,
        });
        self.guard.bound(aor, bindings.iter().map(|binding| binding.flow.remote).collect());
        self.registrar.restore(aor, bindings);
    }

    /// The name server answered what was asked by [`Output::Ask`], or did not.
    pub fn dns_answered(
        &mut self,
        now: Instant,
        question: &Question,
        answer: &Answer,
        out: &mut Vec<Output>,
    ) {
        self.with_endpoint(now, out, |endpoint, events| {
            endpoint.dns_answered(now, question, answer, events);
        });
    }

    /// Counts for `status` and `doctor`.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (client_transactions, server_transactions) = self.endpoint.counts();
        Counts {
            client_transactions,
            server_transactions,
            calls: self.calls.len(),
            dialogs: self.dialogs.len(),
            registered: self.registrar.len(),
            messages: self.messages.len(),
            publications: self.publications.len(),
            subscriptions: self.subscriptions.len(),
            lines: self.subscriptions.lines(),
            in_rooms: self.in_rooms(),
            stir: self.stir.waiting(),
            nonces: self.authenticator.remembered(),
            dropped: self.dropped,
            challenged: self.challenged,
            shed: self.shed,
            guard: self.guard.counts(),
        }
    }

    /// A datagram or a framed message arrived.
    pub fn receive(&mut self, now: Instant, flow: Flow, bytes: &[u8], out: &mut Vec<Output>) {
        if !self.admits(now, &flow, bytes, out) {
            return;
        }
        if stun::is_stun(bytes) {
            if self.registrant_pong(now, &flow, bytes, out) {
                return;
            }
            let answer = stun::binding_response(bytes, flow.remote);
            out.extend(answer.map(|packet| Output::Transmit {
                dest: Dest::Flow(flow),
                packet: packet.into(),
                attempt: None,
            }));
            return;
        }
        self.with_endpoint(now, out, |endpoint, events| endpoint.receive(now, flow, bytes, events));
    }

    /// Bytes of an attempt could not be sent.
    pub fn transport_failed(&mut self, now: Instant, attempt: Attempt, out: &mut Vec<Output>) {
        self.with_endpoint(now, out, |endpoint, events| {
            endpoint.transport_failed(now, attempt, events)
        });
    }

    /// A connection closed.
    pub fn connection_closed(&mut self, now: Instant, connection: u64, out: &mut Vec<Output>) {
        self.with_endpoint(now, out, |endpoint, events| {
            endpoint.connection_closed(now, connection, events)
        });
        self.registrants_cut_off(now, connection, out);
        for aor in self.registrar.connection_closed(connection) {
            self.bindings_changed(now, &aor, "connection closed", out);
        }
    }

    /// When the switchboard next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let registrants = self.registrants.values().filter_map(Registrant::next_timeout).min();
        let peers = self.peers.next_timeout();
        let probes = self.probes.next_timeout();
        let guard = self.guard.next_timeout();
        let publications = self.publications.next_timeout();
        let subscriptions = self.subscriptions.next_timeout();
        let healths = self.healths.next_timeout();
        let stir = self.stir.next_timeout();
        let own = [registrants, peers, probes, healths, guard, publications, subscriptions, stir];
        [self.endpoint.next_timeout(), self.registrar.next_timeout()]
            .into_iter()
            .chain(own)
            .flatten()
            .min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.with_endpoint(now, out, |endpoint, events| endpoint.handle_timeout(now, events));
        for aor in self.registrar.handle_timeout(now) {
            self.bindings_changed(now, &aor, "expired", out);
        }
        self.run_registrants(now, out);
        self.refresh_peers(now, out);
        self.run_probes(now, out);
        self.run_healths(now, out);
        self.run_stir(now, out);
        self.subscriptions_due(now, out);
        self.publications.handle_timeout(now);
        self.guard.handle_timeout(now);
        self.guard_events(out);
    }

    /// Lets the endpoint act and serves what comes of it.
    fn with_endpoint(
        &mut self,
        now: Instant,
        out: &mut Vec<Output>,
        act: impl FnOnce(&mut Endpoint, &mut Vec<endpoint::Event>),
    ) {
        let mut events = std::mem::take(&mut self.events);
        act(&mut self.endpoint, &mut events);
        for event in events.drain(..) {
            self.endpoint_event(now, event, out);
        }
        // Serving an event may have produced further ones in the meantime; they were served there.
        self.events = events;
    }

    fn endpoint_event(&mut self, now: Instant, event: endpoint::Event, out: &mut Vec<Output>) {
        use endpoint::Event as E;
        match event {
            E::Transmit { dest, packet, attempt } => {
                out.push(Output::Transmit { dest, packet, attempt })
            }
            E::Ask(question) => out.push(Output::Ask(question)),
            E::Located { hop, located } => self.peer_located(now, hop, located),
            E::BackedOff { target, until, why } => {
                self.trunk_backs_off(target, until.since(now), why, out)
            }
            E::Request { server, request, flow, tag } => {
                let asked = admit::Asked { server, request, flow, tag };
                if asked.request.to_tag().is_some() {
                    self.dialog_request(now, asked, out);
                } else {
                    self.new_request(now, asked, out);
                }
            }
            E::Ack { request, flow } => {
                if let Some(entry) = self.dialog_of(&request) {
                    let call = entry.call;
                    to_call(
                        call,
                        call::Input::Request { server: ServerKey(0), request, flow },
                        out,
                    );
                }
            }
            E::Cancel { server, owner, reasons } => match owner {
                Some(Owner(call)) => {
                    to_call(CallId(call), call::Input::Cancelled(server, reasons), out);
                }
                None => self.stir_cancelled(now, server, out),
            },
            E::Response { client, owner, response, flow } if owner == NOBODY => {
                if !self.notify_answered(now, client, &response, out)
                    && !self.message_answered(now, client, &response, out)
                {
                    self.registrant_answered(now, client, (&response, &flow), out);
                    self.probe_answered(client, &response, out);
                }
            }
            E::Response { client, owner, response, .. } => {
                self.call_answered(now, client, CallId(owner.0), response, out);
            }
            E::Failed { client, owner, why } if owner == NOBODY => {
                if !self.notify_failed(now, client, why, out)
                    && !self.message_failed(now, client, why, out)
                {
                    self.registrant_failed(now, client, why, out);
                    self.probe_failed(client, why, out);
                }
            }
            E::Failed { client, owner, why } => {
                to_call(CallId(owner.0), call::Input::Failed { client, why }, out);
            }
            E::NoAck { .. } => {}
            E::Dropped(_) => self.dropped += 1,
        }
    }

    fn dialog_of(&self, request: &Message) -> Option<&DialogEntry> {
        let key = (request.call_id().into_owned(), request.to_tag()?);
        self.dialogs.get(&key)
    }

    /// Answers a request in its transaction.
    fn respond(
        &mut self,
        now: Instant,
        asked: &admit::Asked,
        status: u16,
        reason: &str,
        headers: &[(HeaderName, String)],
        out: &mut Vec<Output>,
    ) {
        let mut builder =
            Builder::response(&asked.request, status, reason, Some(&asked.tag), &asked.flow);
        for (name, value) in headers {
            builder.add(*name, value);
        }
        builder.add(HeaderName::Server, &self.user_agent);
        let packet = builder.finish();
        let server = asked.server;
        self.with_endpoint(now, out, |endpoint, events| {
            endpoint.respond(now, server, status, packet, events)
        });
    }

    /// Answers a request and keeps nothing of it.
    fn refuse(
        &mut self,
        now: Instant,
        asked: &admit::Asked,
        status: u16,
        headers: &[(HeaderName, String)],
        out: &mut Vec<Output>,
    ) {
        let mut builder = Builder::response(
            &asked.request,
            status,
            reason_phrase(status),
            Some(&asked.tag),
            &asked.flow,
        );
        for (name, value) in headers {
            builder.add(*name, value);
        }
        builder.add(HeaderName::Server, &self.user_agent);
        let packet = builder.finish();
        let server = asked.server;
        self.with_endpoint(now, out, |endpoint, events| {
            endpoint.respond_and_forget(server, packet, events)
        });
    }

    /// The wall clock now.
    fn wall(&self, now: Instant) -> Wall {
        self.epoch.plus(now.since(Instant::START))
    }
}

fn timers_of(snapshot: &Snapshot) -> Timers {
    Timers { t1: snapshot.sip.t1, t2: snapshot.sip.t2, ..Timers::default() }
}

/// The password of whoever registers as this address of record: a phone, or a trunk's account.
fn secret_of<'a>(snapshot: &'a Snapshot, aor: &str) -> Option<&'a str> {
    let phone = snapshot.phone(aor).map(|phone| phone.secret.0.as_str());
    phone.or_else(|| snapshot.account(aor).map(|trunk| trunk.secret.0.as_str()))
}

fn to_call(call: CallId, input: call::Input, out: &mut Vec<Output>) {
    out.push(Output::ToCall(call, Box::new(input)));
}
