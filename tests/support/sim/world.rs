//! Everything at once: one switchboard, its calls, the media plane, the network, the phones, a clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tandem::proto::sip::endpoint::Attempt;
use tandem::proto::sip::locals::{Interface, Locals};
use tandem::proto::sip::locate::{Answer as DnsAnswer, Question};
use tandem::proto::sip::registration::Binding;
use tandem::proto::sip::transport::{Dest, Flow, Transport};
use tandem::proto::time::{Instant, Wall};
use tandem::switch::call::{self, Call};
use tandem::switch::cause;
use tandem::switch::cdr::record::{CallId, HungUpBy, Record};
use tandem::switch::snapshot::Snapshot;
use tandem::switch::stir::Check;
use tandem::switch::switchboard::{Output, Switchboard};

use super::media::MediaPlane;
use super::network::{Network, Wire};
use super::phone::{Body, Phone, Reply};
use super::sdp::Form;
use super::stir;
use super::text::Text;

/// Saturday 2026-11-21 07:42:22 UTC.
pub const EPOCH: Wall = Wall(1_795_246_942_000_000);

/// Something that arrives later.
pub(super) enum Flying {
    ToUs {
        from: SocketAddr,
        is_tcp: bool,
        bytes: Vec<u8>,
    },
    ToPhone {
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    /// A packet that its sender held back.
    Held {
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    ToCall(CallId, call::Input),
    Failed(Attempt),
    Dns(Question, DnsAnswer),
    Verified(u64, Result<(), stir::Failure>),
    Signed(u64, stir::Signature),
}

/// A phone of the test.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PhoneId(pub usize);

pub struct World {
    /// Microseconds since the start.
    pub now: u64,
    pub board: Switchboard,
    pub calls: BTreeMap<CallId, Call>,
    pub phones: Vec<Phone>,
    pub media: MediaPlane,
    pub media_latency_us: u64,
    pub net: Network,
    pub wires: Vec<Wire>,
    pub records: Vec<Record>,
    pub events: Vec<(&'static str, Vec<(&'static str, String)>)>,
    pub bindings: BTreeMap<String, Vec<Binding>>,
    pub services: BTreeMap<String, tandem::switch::services::PhoneServices>,
    /// Every change of what the sides of a call could hear.
    pub hearing: Vec<(u64, CallId, String)>,
    /// Addresses that refuse packets at once (ICMP).
    pub unreachable: BTreeSet<SocketAddr>,
    /// Addresses that refuse connections.
    pub no_tcp: BTreeSet<SocketAddr>,
    /// What the name server knows; anything else does not exist.
    pub dns: BTreeMap<Question, DnsAnswer>,
    /// The name server says nothing at all.
    pub is_dns_dead: bool,
    /// What it was asked, in order.
    pub asked: Vec<Question>,
    /// Nobody checks or signs statements of who calls.
    pub is_stir_dead: bool,
    /// What was to be checked and signed, in order.
    pub checked: Vec<Check>,
    pub signed: Vec<String>,
    locals: Locals,
    flying: BTreeMap<(u64, u64), Flying>,
    flown: u64,
    pub begun: BTreeSet<CallId>,
    due: BTreeMap<CallId, u64>,
}

impl World {
    pub fn new(snapshot: Snapshot) -> Self {
        Self::seeded(snapshot, 1)
    }

    pub fn seeded(snapshot: Snapshot, seed: u8) -> Self {
        let locals = Locals {
            listeners: snapshot.sip.listen.iter().map(|l| (l.transport, l.address)).collect(),
            interfaces: vec![Interface { ip: "10.0.0.1".parse().unwrap(), prefix: 16 }],
            default: "198.51.100.1".parse().unwrap(),
            advertise: None,
            local_networks: Vec::new(),
        };
        let board = Switchboard::new(
            Instant::START,
            EPOCH,
            Arc::new(snapshot),
            locals.clone(),
            [seed; 32],
            "test",
        );
        Self {
            now: 0,
            board,
            calls: BTreeMap::new(),
            phones: Vec::new(),
            media: MediaPlane::default(),
            media_latency_us: 1_000,
            net: Network::new(u64::from(seed)),
            wires: Vec::new(),
            records: Vec::new(),
            events: Vec::new(),
            bindings: BTreeMap::new(),
            services: BTreeMap::new(),
            hearing: Vec::new(),
            unreachable: BTreeSet::new(),
            no_tcp: BTreeSet::new(),
            dns: BTreeMap::new(),
            is_dns_dead: false,
            asked: Vec::new(),
            is_stir_dead: false,
            checked: Vec::new(),
            signed: Vec::new(),
            locals,
            flying: BTreeMap::new(),
            flown: 0,
            begun: BTreeSet::new(),
            due: BTreeMap::new(),
        }
    }

    /// The clock as the product reads it.
    pub fn instant(&self) -> Instant {
        Instant::from_micros(self.now)
    }

    /// Our address as a peer there writes it.
    pub fn us(&self, peer: IpAddr) -> SocketAddr {
        self.locals.written("0.0.0.0:5060".parse().unwrap(), Some(peer))
    }

    /// A party at an address that does not register, such as a trunk.
    pub fn party(&mut self, name: &str, at: &str) -> PhoneId {
        let at: SocketAddr = at.parse().unwrap();
        let us = self.us(at.ip());
        let domain = us.to_string();
        self.phones.push(Phone::new(name, at, us, &domain));
        PhoneId(self.phones.len() - 1)
    }

    /// A phone that registers as this extension, at the next address.
    pub fn phone(&mut self, extension: &str) -> PhoneId {
        let at = format!("10.0.0.{}:5060", 11 + self.phones.len());
        let id = self.party(extension, &at);
        self[id].domain = "tandem".into();
        self.register(id);
        id
    }

    /// A further device of an extension, with a name of its own.
    pub fn second_phone(&mut self, name: &str, extension: &str) -> PhoneId {
        let at = format!("10.0.0.{}:5060", 11 + self.phones.len());
        let id = self.party(name, &at);
        self[id].domain = "tandem".into();
        self[id].user = extension.to_owned();
        self[id].secret = super::office::secret_of(extension);
        self.register(id);
        id
    }

    /// Registers a phone and waits for the 200.
    pub fn register(&mut self, id: PhoneId) {
        let now = self.now;
        let contact = format!("{};expires=3600", self[id].contact());
        self[id].register(now, &contact, "");
        self.flush(id.0);
        self.run_for(200);
        assert_eq!(self[id].statuses("REGISTER").last(), Some(&200), "{} registers", self[id].name);
    }

    /// Dials with an offer.
    pub fn dial(&mut self, id: PhoneId, number: &str) -> usize {
        self.dial_with(id, number, &Body::Auto, "")
    }

    pub fn dial_with(&mut self, id: PhoneId, number: &str, body: &Body, headers: &str) -> usize {
        let now = self.now;
        let call = self[id].dial(now, number, body, headers);
        self.flush(id.0);
        call
    }

    /// Answers the latest call of a phone, or its open re-INVITE.
    pub fn say(&mut self, id: PhoneId, reply: &Reply) {
        let (now, call) = (self.now, self[id].last_index());
        self[id].say(now, call, reply);
        self.flush(id.0);
    }

    pub fn hang_up(&mut self, id: PhoneId) {
        let (now, call) = (self.now, self[id].last_index());
        self[id].hang_up(now, call);
        self.flush(id.0);
    }

    pub fn cancel(&mut self, id: PhoneId) {
        let call = self[id].last_index();
        self[id].cancel(call);
        self.flush(id.0);
    }

    /// Sends a re-INVITE or an UPDATE in the latest call of a phone.
    pub fn modify(&mut self, id: PhoneId, method: &str, form: Form) {
        let (now, call) = (self.now, self[id].last_index());
        self[id].modify(now, call, method, form);
        self.flush(id.0);
    }

    pub fn in_dialog(&mut self, id: PhoneId, method: &str, headers: &str, body: &str) {
        let (now, call) = (self.now, self[id].last_index());
        self[id].in_dialog(now, call, method, headers, body.to_owned());
        self.flush(id.0);
    }

    /// Sends text as it is, with `{me}`, `{us}` and `{branch}` filled in.
    pub fn raw(&mut self, id: PhoneId, text: &str) {
        let branch = self[id].fresh("z9hG4bK");
        let phone = &mut self[id];
        let text = text
            .replace("{me}", &phone.at.to_string())
            .replace("{us}", &phone.us.to_string())
            .replace("{branch}", &branch);
        phone.out.push(text);
        self.flush(id.0);
    }

    /// A packet of a phone's, from an address that need not be its own.
    pub fn send_from(&mut self, from: &str, text: &str) {
        let from: SocketAddr = from.parse().unwrap();
        let to = self.us(from.ip());
        self.send(from, to, false, text.as_bytes().to_vec(), None);
    }

    pub(super) fn send(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        is_tcp: bool,
        bytes: Vec<u8>,
        attempt: Option<Attempt>,
    ) {
        let text = Text::read(&bytes);
        let mut wire = Wire { at: self.now, from, to, text, is_lost: false };
        let to_us = to == self.us(to.ip()) || to == self.us(from.ip());
        let is_known = to_us || self.phones.iter().any(|phone| phone.is_at(to));
        if self.unreachable.contains(&to) || is_tcp && self.no_tcp.contains(&to) {
            let at = self.now + self.net.latency_us;
            if let Some(attempt) = attempt {
                self.fly(at, Flying::Failed(attempt));
            }
            wire.is_lost = true;
        } else if !is_known {
            wire.is_lost = true;
        } else {
            let arrivals = self.net.arrivals(&wire, is_tcp);
            wire.is_lost = arrivals.is_empty();
            for at in arrivals {
                let bytes = bytes.clone();
                let flying = if to_us {
                    Flying::ToUs { from, is_tcp, bytes }
                } else {
                    Flying::ToPhone { to, bytes }
                };
                self.fly(at, flying);
            }
        }
        self.wires.push(wire);
    }

    pub(super) fn fly(&mut self, at: u64, what: Flying) {
        self.flown += 1;
        self.flying.insert((at, self.flown), what);
    }

    /// The connection that a TCP phone has to us.
    pub fn connection_of(&self, at: SocketAddr) -> u64 {
        self.phones
            .iter()
            .position(|phone| phone.at == at && phone.is_tcp)
            .map_or(0, |i| i as u64 + 1)
    }

    /// A TCP phone's connection breaks.
    pub fn break_connection(&mut self, id: PhoneId) {
        let connection = self.connection_of(self[id].at);
        let now = self.instant();
        self.with_board(|board, out| board.connection_closed(now, connection, out));
    }

    /// Lets the switchboard act and carries out what follows, to the end.
    pub fn with_board<R>(
        &mut self,
        act: impl FnOnce(&mut Switchboard, &mut Vec<Output>) -> R,
    ) -> R {
        let mut out = Vec::new();
        let result = act(&mut self.board, &mut out);
        let mut queue = VecDeque::from(out);
        while let Some(output) = queue.pop_front() {
            self.board_output(output, &mut queue);
        }
        result
    }

    fn board_output(&mut self, output: Output, queue: &mut VecDeque<Output>) {
        match output {
            Output::Transmit { dest, packet, attempt } => self.transmit(&dest, &packet, attempt),
            Output::Ask(question) => self.ask_dns(question),
            Output::Verify { id, checks } => self.verify(id, checks),
            Output::Sign { id, input } => self.sign(id, input),
            Output::StartCall(start) => {
                let id = start.began.call;
                assert!(self.begun.insert(id), "{id} began twice");
                let mut outputs = Vec::new();
                let call = Call::begin(self.instant(), *start, &mut outputs);
                self.calls.insert(id, call);
                self.call_outputs(id, outputs, queue);
            }
            Output::ToCall(id, input) => self.input_to(id, *input, queue),
            Output::StoreBindings { aor, bindings } => {
                self.bindings.insert(aor, bindings);
            }
            Output::Event { kind, fields } => self.events.push((kind, fields)),
            // It has no connections but those of its own phones.
            Output::CutOff(_) => {}
            Output::StoreServices { extension, services } => {
                self.services.insert(extension, services);
            }
        }
    }

    fn input_to(&mut self, id: CallId, input: call::Input, queue: &mut VecDeque<Output>) {
        let now = self.instant();
        let Some(call) = self.calls.get_mut(&id) else { return };
        let mut outputs = Vec::new();
        call.handle(now, input, &mut outputs);
        self.call_outputs(id, outputs, queue);
    }

    fn call_outputs(
        &mut self,
        id: CallId,
        outputs: Vec<call::Output>,
        queue: &mut VecDeque<Output>,
    ) {
        let mut is_done = false;
        for output in outputs {
            match output {
                call::Output::Media(op) => {
                    let at = self.now + self.media_latency_us;
                    if let Some(input) = self.media.apply(id, op) {
                        self.fly(at, Flying::ToCall(id, input));
                    }
                }
                call::Output::Event { kind, mut fields } => {
                    fields.insert(0, ("call", id.to_string()));
                    self.events.push((kind, fields));
                }
                call::Output::Record(record) => {
                    assert!(
                        self.records.iter().all(|known| known.began.call != id),
                        "{id} left two records"
                    );
                    self.records.push(*record);
                }
                other => {
                    is_done |= matches!(other, call::Output::Done);
                    let now = self.instant();
                    let mut out = Vec::new();
                    self.board.from_call(now, id, other, &mut out);
                    queue.extend(out);
                }
            }
        }
        self.note_hearing(id);
        if is_done {
            self.calls.remove(&id);
            self.due.remove(&id);
        } else if let Some(at) = self.calls.get(&id).and_then(Call::next_timeout) {
            self.due.insert(id, at.as_micros());
        } else {
            self.due.remove(&id);
        }
    }

    fn note_hearing(&mut self, id: CallId) {
        let Some(open) = self.media.open.get(&id) else { return };
        let line = open.hearing();
        let last = self.hearing.iter().rev().find(|(_, call, _)| *call == id);
        if last.is_none_or(|(_, _, known)| *known != line) {
            self.hearing.push((self.now, id, line));
        }
    }

    fn transmit(&mut self, dest: &Dest, packet: &[u8], attempt: Option<Attempt>) {
        let is_tcp = dest.transport() == Transport::Tcp;
        let to = dest.address().expect("names are located before anything is sent");
        self.send(self.us(to.ip()), to, is_tcp, packet.to_vec(), attempt);
    }

    fn arrive(&mut self, what: Flying) {
        let now = self.instant();
        match what {
            Flying::ToUs { from, is_tcp, bytes } => {
                let flow = Flow {
                    transport: if is_tcp { Transport::Tcp } else { Transport::Udp },
                    listener: u16::from(is_tcp),
                    local: self.us(from.ip()),
                    remote: from,
                    connection: if is_tcp { self.connection_of(from) } else { 0 },
                };
                self.with_board(|board, out| board.receive(now, flow, &bytes, out));
            }
            Flying::ToPhone { to, bytes } => {
                let Some(index) = self.phones.iter().position(|phone| phone.is_at(to)) else {
                    return;
                };
                self.phones[index].receive(self.now, &bytes);
                self.flush(index);
            }
            Flying::Held { from, to, bytes } => self.send(from, to, false, bytes, None),
            Flying::ToCall(id, input) => {
                let mut queue = VecDeque::new();
                self.input_to(id, input, &mut queue);
                while let Some(output) = queue.pop_front() {
                    self.board_output(output, &mut queue);
                }
            }
            Flying::Failed(attempt) => {
                self.with_board(|board, out| board.transport_failed(now, attempt, out));
            }
            Flying::Verified(id, result) => {
                self.with_board(|board, out| board.stir_verified(now, id, result, out));
            }
            Flying::Signed(id, signature) => {
                self.with_board(|board, out| board.stir_signed(now, id, Some(&signature), out));
            }
            Flying::Dns(question, answer) => {
                self.with_board(|board, out| board.dns_answered(now, &question, &answer, out));
            }
        }
    }

    fn next_event(&self) -> Option<u64> {
        let flying = self.flying.keys().next().map(|(at, _)| *at);
        let board = self.board.next_timeout().map(Instant::as_micros);
        let calls = self.due.values().min().copied();
        let phones = self.phones.iter().filter_map(Phone::next_timeout).min();
        [flying, board, calls, phones].into_iter().flatten().min()
    }

    /// Runs everything that is due at `self.now`.
    fn run_now(&mut self) {
        let now = self.instant();
        while let Some(entry) = self.flying.first_entry() {
            if entry.key().0 > self.now {
                break;
            }
            let what = entry.remove();
            self.arrive(what);
        }
        if self.board.next_timeout().is_some_and(|at| at <= now) {
            self.with_board(|board, out| board.handle_timeout(now, out));
        }
        let due: Vec<_> =
            self.due.iter().filter(|(_, at)| **at <= self.now).map(|(id, _)| *id).collect();
        for id in due {
            let Some(call) = self.calls.get_mut(&id) else { continue };
            let mut outputs = Vec::new();
            call.handle_timeout(now, &mut outputs);
            let mut queue = VecDeque::new();
            self.call_outputs(id, outputs, &mut queue);
            while let Some(output) = queue.pop_front() {
                self.board_output(output, &mut queue);
            }
        }
        for index in 0..self.phones.len() {
            if self.phones[index].next_timeout().is_some_and(|at| at <= self.now) {
                self.phones[index].handle_timeout(self.now);
                self.flush(index);
            }
        }
    }

    /// Runs up to a point of the clock.
    pub fn run_until(&mut self, until: u64) {
        let mut rounds = 0_u32;
        while let Some(at) = self.next_event() {
            if at > until {
                break;
            }
            if at > self.now {
                (self.now, rounds) = (at, 0);
            }
            rounds += 1;
            assert!(rounds < 10_000, "something is due at {} again and again", self.now);
            self.run_now();
        }
        self.now = until;
    }

    /// Runs for so many milliseconds.
    pub fn run_for(&mut self, ms: u64) {
        self.run_until(self.now + ms * 1000);
    }

    /// An operator ends the call.
    pub fn operator_hangs_up(&mut self, id: CallId) {
        let input = call::Input::HangUp(&cause::OPERATOR, HungUpBy::Operator);
        self.input(id, input);
    }

    /// The call's task dies without a word; the edge frees its ports and writes its record.
    pub fn kill(&mut self, id: CallId) {
        self.calls.remove(&id);
        self.due.remove(&id);
        self.begun.remove(&id);
        self.media.open.remove(&id);
        let now = self.instant();
        self.with_board(|board, out| board.forget(now, id, out));
    }

    /// Something that the media plane or an operator says to a call.
    pub fn input(&mut self, id: CallId, input: call::Input) {
        self.arrive(Flying::ToCall(id, input));
    }

    pub fn originate(&mut self, from: &str, to: &str) -> Result<CallId, String> {
        let now = self.instant();
        self.with_board(|board, out| board.originate(now, from, to, false, out))
            .map_err(|error| format!("{error:?}"))
    }

    /// The same, and the phone is asked to answer by itself.
    pub fn originate_answered(&mut self, from: &str, to: &str) -> Result<CallId, String> {
        let now = self.instant();
        self.with_board(|board, out| board.originate(now, from, to, true, out))
            .map_err(|error| format!("{error:?}"))
    }

    /// The only live call.
    pub fn call(&self) -> CallId {
        assert_eq!(self.calls.len(), 1, "one call is live");
        *self.calls.keys().next().unwrap()
    }

    /// The only record.
    pub fn record(&self) -> &Record {
        assert_eq!(self.records.len(), 1, "one record was written");
        &self.records[0]
    }

    pub fn reload(&mut self, snapshot: Snapshot) {
        let now = self.instant();
        self.with_board(|board, out| board.reload(now, Arc::new(snapshot), out));
    }
}

impl std::ops::Index<PhoneId> for World {
    type Output = Phone;
    fn index(&self, id: PhoneId) -> &Phone {
        &self.phones[id.0]
    }
}

impl std::ops::IndexMut<PhoneId> for World {
    fn index_mut(&mut self, id: PhoneId) -> &mut Phone {
        &mut self.phones[id.0]
    }
}
