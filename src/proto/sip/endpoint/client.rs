//! Requests of ours: their transactions, the ACKs and CANCELs that belong to them (RFC 3261 §9.1, §17.1).

use std::cmp::Reverse;

use super::{
    Attempt, ClientKey, Endpoint, Event, Failure, Large, Owner, Slot, TRANSACTIONS_MAX, TimerKey,
    ack, schedule,
};
use crate::proto::sip::header::via::{MAGIC_COOKIE, Via};
use crate::proto::sip::message::build::with_via;
use crate::proto::sip::message::{Message, Packet};
use crate::proto::sip::method::Method;
use crate::proto::sip::transaction::client_invite::{self, ClientInvite};
use crate::proto::sip::transaction::client_non_invite::{self, ClientNonInvite};
use crate::proto::sip::transaction::{Output, Setting};
use crate::proto::sip::transport::{Dest, Flow};
use crate::proto::time::Instant;

/// An INVITE that is cancelled after this many T1 without any answer had a silent server: the time for its
/// third copy to be answered.
const SILENT_AFTER: u32 = 4;

#[derive(Debug)]
enum ClientMachine {
    Invite(ClientInvite),
    NonInvite(ClientNonInvite),
}

/// Whether the user wants an INVITE cancelled.
#[derive(Debug)]
enum Cancel {
    No,
    /// Wanted before a provisional response: held back (RFC 3261 §9.1).
    Held(Option<String>),
    Sent,
}

#[derive(Debug)]
pub(super) struct Client {
    machine: ClientMachine,
    pub(super) owner: Owner,
    pub(super) dest: Dest,
    request: Packet,
    cancel: Cancel,
    ack: Option<Packet>,
    sent_at: Instant,
    /// Did anything come back?
    pub(super) is_heard: bool,
    /// The Call-ID under which its ACK finds it.
    accepted: Option<String>,
    pub(super) scheduled: Option<Instant>,
}

impl Client {
    fn new(
        now: Instant,
        machine: ClientMachine,
        owner: Owner,
        dest: Dest,
        request: Packet,
    ) -> Self {
        Self {
            machine,
            owner,
            dest,
            request,
            sent_at: now,
            cancel: Cancel::No,
            ack: None,
            is_heard: false,
            accepted: None,
            scheduled: None,
        }
    }

    /// The connection that it was sent on.
    fn connection(&self) -> Option<u64> {
        match self.dest {
            Dest::Flow(flow) => Some(flow.connection).filter(|connection| *connection > 0),
            Dest::Hop(_) => None,
        }
    }

    /// May the request be tried elsewhere if this place fails? Not if nobody wants it any more.
    pub(super) const fn is_wanted(&self) -> bool {
        matches!(self.cancel, Cancel::No)
    }
}

impl Endpoint {
    /// Sends a request of ours. It carries no Via yet: the topmost one is made here, with a branch from
    /// `client`. If `dest` is a name, it is located first, and tried place after place until one answers; else
    /// the first transmission is in `out`.
    #[expect(clippy::too_many_arguments, reason = "a request is all of these")]
    pub fn request(
        &mut self,
        now: Instant,
        client: ClientKey,
        owner: Owner,
        dest: Dest,
        method: &Method,
        request: &[u8],
        large: Large,
        out: &mut Vec<Event>,
    ) {
        if self.clients.len() + self.servers.len() + self.tries.len() >= TRANSACTIONS_MAX {
            return out.push(Event::Failed { client, owner, why: Failure::Transport });
        }
        let wanted = super::attempts::Wanted { owner, method, request, large };
        match dest {
            Dest::Hop(hop) if hop.target().is_none() => self.find(now, client, hop, &wanted, out),
            dest => self.try_all(now, client, vec![dest], &wanted, out),
        }
    }

    /// Sends one attempt at a request.
    pub(super) fn send_attempt(
        &mut self,
        now: Instant,
        attempt: Attempt,
        dest: Dest,
        (owner, method, request): (Owner, &Method, &[u8]),
        out: &mut Vec<Event>,
    ) {
        let packet = with_via(request, &self.via(attempt, &dest));
        let setting = Setting { timers: self.timers, is_reliable: dest.transport().is_reliable() };
        let machine = if method == &Method::Invite {
            ClientMachine::Invite(ClientInvite::new(setting, now))
        } else {
            ClientMachine::NonInvite(ClientNonInvite::new(setting, now))
        };
        out.push(Event::Transmit {
            dest: dest.clone(),
            packet: packet.clone(),
            attempt: Some(attempt),
        });
        let slot = slot_of(attempt);
        self.add_client(slot, Client::new(now, machine, owner, dest, packet));
    }

    fn add_client(&mut self, slot: Slot, client: Client) {
        if let Some(connection) = client.connection() {
            self.on_connection.entry(connection).or_default().insert(slot);
        }
        self.clients.insert(slot, client);
        self.schedule_client(slot);
    }

    fn remove_client(&mut self, slot: Slot) -> Option<Client> {
        let gone = self.clients.remove(&slot)?;
        if let Some(connection) = gone.connection()
            && let Some(slots) = self.on_connection.get_mut(&connection)
        {
            slots.remove(&slot);
            if slots.is_empty() {
                self.on_connection.remove(&connection);
            }
        }
        Some(gone)
    }

    /// Our Via value for an attempt. Each has a branch of its own (RFC 3263 §4.3).
    pub(super) fn via(&self, attempt: Attempt, dest: &Dest) -> String {
        let (_, local) = self.locals.source_for(dest);
        let transport = dest.transport().via();
        let Attempt { client: ClientKey(id), number } = attempt;
        let again = if number == 0 { String::new() } else { format!(".{number}") };
        format!("SIP/2.0/{transport} {local};rport;branch={MAGIC_COOKIE}{id:016x}{again}")
    }

    /// The attempt that counts now.
    fn current(&self, client: ClientKey) -> Slot {
        let number = self.tries.get(&client.0).map_or(0, |tries| tries.attempt);
        slot_of(Attempt { client, number })
    }

    /// From now on what becomes of this request, which has its final response, concerns another owner.
    pub fn give_to(&mut self, client: ClientKey, owner: Owner) {
        let slot = self.current(client);
        if let Some(entry) = self.clients.get_mut(&slot) {
            entry.owner = owner;
        }
    }

    /// Does this INVITE of ours still wait for its final response?
    #[must_use]
    pub fn is_open(&self, client: ClientKey) -> bool {
        if let Some(tries) = self.tries.get(&client.0).filter(|tries| tries.is_waiting()) {
            return tries.method == Method::Invite;
        }
        self.clients.get(&self.current(client)).is_some_and(|entry| match &entry.machine {
            ClientMachine::Invite(machine) => matches!(
                machine.state,
                client_invite::State::Calling | client_invite::State::Proceeding
            ),
            ClientMachine::NonInvite(_) => false,
        })
    }

    /// Where a request of ours went, and its bytes, as long as its transaction lives.
    #[must_use]
    pub fn sent(&self, client: ClientKey) -> Option<(&Dest, &Packet)> {
        self.clients.get(&self.current(client)).map(|entry| (&entry.dest, &entry.request))
    }

    /// Cancels an INVITE of ours: at once if a provisional response came, else as soon as one does
    /// (RFC 3261 §9.1). `reason` becomes the Reason header. One that still waits for a look-up ends at once.
    pub fn cancel(
        &mut self,
        now: Instant,
        client: ClientKey,
        reason: Option<String>,
        out: &mut Vec<Event>,
    ) {
        if let Some(tries) = self.take_waiting(client) {
            let why = Failure::Transport;
            return out.push(Event::Failed { client, owner: tries.owner, why });
        }
        let slot = self.current(client);
        let Some(entry) = self.clients.get_mut(&slot) else { return };
        let ClientMachine::Invite(machine) = &entry.machine else { return };
        if !matches!(entry.cancel, Cancel::No) {
            return;
        }
        match machine.state {
            client_invite::State::Calling => {
                entry.cancel = Cancel::Held(reason);
                // Whoever gives up after several copies has seen that nobody is there, long before timer B.
                if now.since(entry.sent_at) >= self.timers.t1 * SILENT_AFTER {
                    self.is_silent(now, slot, out);
                }
            }
            client_invite::State::Proceeding => self.send_cancel(now, slot, reason, out),
            _ => {}
        }
    }

    fn send_cancel(
        &mut self,
        now: Instant,
        slot: Slot,
        reason: Option<String>,
        out: &mut Vec<Event>,
    ) {
        let Some(entry) = self.clients.get_mut(&slot) else { return };
        let ClientMachine::Invite(machine) = &mut entry.machine else { return };
        machine.cancelled(now);
        entry.cancel = Cancel::Sent;
        let Some(packet) = ack::cancel_for(&entry.request, reason.as_deref()) else { return };
        let (owner, dest) = (entry.owner, entry.dest.clone());
        let setting = Setting { timers: self.timers, is_reliable: dest.transport().is_reliable() };
        let machine = ClientMachine::NonInvite(ClientNonInvite::new(setting, now));
        out.push(Event::Transmit { dest: dest.clone(), packet: packet.clone(), attempt: None });
        let of_cancel = Slot { is_cancel: true, ..slot };
        self.add_client(of_cancel, Client::new(now, machine, owner, dest, packet));
        self.schedule_client(slot);
    }

    pub(super) fn receive_response(
        &mut self,
        now: Instant,
        flow: Flow,
        response: Message,
        out: &mut Vec<Event>,
    ) {
        let attempt = response.branch().and_then(|branch| attempt_of_branch(&branch));
        let is_cancel = response.method() == &Method::Cancel;
        let slot = attempt.map(|attempt| Slot { is_cancel, ..slot_of(attempt) });
        let Some((slot, entry)) =
            slot.and_then(|slot| self.clients.get_mut(&slot).map(|entry| (slot, entry)))
        else {
            return out.push(Event::Dropped("a response without a transaction"));
        };
        let status = response.status();
        let outputs = &mut self.machine_out;
        let is_invite = matches!(entry.machine, ClientMachine::Invite(_));
        if is_invite != (response.method() == &Method::Invite) {
            return out.push(Event::Dropped("a response of another method"));
        }
        entry.is_heard = true;
        match &mut entry.machine {
            ClientMachine::Invite(machine) => {
                let input = match status {
                    100..200 => client_invite::Input::Provisional,
                    200..300 => client_invite::Input::Success,
                    _ => client_invite::Input::Failure,
                };
                machine.handle(now, input, outputs);
                if input == client_invite::Input::Failure && entry.ack.is_none() {
                    entry.ack = ack::ack_for(&entry.request, &response);
                }
            }
            ClientMachine::NonInvite(machine) => {
                let is_provisional = (100..200).contains(&status);
                let input = if is_provisional {
                    client_non_invite::Input::Provisional
                } else {
                    client_non_invite::Input::Final
                };
                machine.handle(now, input, outputs);
            }
        }
        // The held CANCEL goes as soon as anything provisional has come.
        let held = match (&mut entry.cancel, status) {
            (Cancel::Held(reason), 100..200) => Some(reason.take()),
            _ => None,
        };
        self.run_client(now, slot, Some((response, flow)), out);
        if let Some(reason) = held {
            self.send_cancel(now, slot, reason, out);
        }
    }

    /// The bytes of an attempt could not be sent.
    pub fn transport_failed(&mut self, now: Instant, attempt: Attempt, out: &mut Vec<Event>) {
        let slot = slot_of(attempt);
        let Some(entry) = self.clients.get_mut(&slot) else { return };
        match &mut entry.machine {
            ClientMachine::Invite(machine) => {
                machine.handle(now, client_invite::Input::TransportError, &mut self.machine_out);
            }
            ClientMachine::NonInvite(machine) => {
                machine.handle(
                    now,
                    client_non_invite::Input::TransportError,
                    &mut self.machine_out,
                );
            }
        }
        self.run_client(now, slot, None, out);
    }

    /// A connection closed: what was in flight on it fails now, not at timer B or F (RFC 3261 §17.1.4).
    pub fn connection_closed(&mut self, now: Instant, connection: u64, out: &mut Vec<Event>) {
        for slot in self.on_connection.remove(&connection).unwrap_or_default() {
            if slot.is_cancel {
                self.remove_client(slot);
            } else {
                self.transport_failed(now, attempt_of(slot), out);
            }
        }
    }

    fn run_client(
        &mut self,
        now: Instant,
        slot: Slot,
        response: Option<(Message, Flow)>,
        out: &mut Vec<Event>,
    ) {
        let mut outputs = std::mem::take(&mut self.machine_out);
        let mut response = response;
        let attempt = attempt_of(slot);
        // What becomes of a CANCEL is nobody's concern, since the INVITE's response tells; nor is that of an
        // attempt which another one has followed.
        let counts = !slot.is_cancel && self.current(attempt.client) == slot;
        let mut is_left = false;
        for output in outputs.drain(..) {
            let Some(entry) = self.clients.get(&slot) else { break };
            let transmit = |packet: Packet| Event::Transmit {
                dest: entry.dest.clone(),
                packet,
                attempt: Some(attempt),
            };
            match output {
                Output::Transmit => out.push(transmit(entry.request.clone())),
                Output::Ack => out.extend(entry.ack.clone().map(transmit)),
                _ if !counts => {}
                Output::PassUp => {
                    let Some((response, flow)) = response.take() else { continue };
                    is_left = self.is_refused(now, slot, &response, out);
                    if !is_left {
                        self.pass_up(slot, flow, response, out);
                    }
                }
                Output::TimedOut => {
                    is_left = self.has_failed(now, slot, Failure::TimedOut, out);
                }
                Output::TransportFailed => {
                    is_left = self.has_failed(now, slot, Failure::Transport, out);
                }
            }
        }
        self.machine_out = outputs;
        self.settle_client(slot, counts && !is_left);
        if is_left {
            self.try_next(now, attempt.client, out);
        }
    }

    fn pass_up(&mut self, slot: Slot, flow: Flow, response: Message, out: &mut Vec<Event>) {
        let Some(entry) = self.clients.get_mut(&slot) else { return };
        let is_accepted = matches!(&entry.machine, ClientMachine::Invite(machine)
            if machine.state == client_invite::State::Accepted);
        if is_accepted && matches!(entry.dest, Dest::Hop(_)) && entry.accepted.is_none() {
            let call_id = response.call_id().into_owned();
            self.accepted.insert(call_id.clone(), slot);
            entry.accepted = Some(call_id);
        }
        let (client, owner) = (ClientKey(slot.id), entry.owner);
        out.push(Event::Response { client, owner, response, flow });
    }

    /// Forgets a transaction that is over, or schedules it.
    fn settle_client(&mut self, slot: Slot, was_last: bool) {
        let is_over = self.clients.get(&slot).is_some_and(|entry| match &entry.machine {
            ClientMachine::Invite(machine) => machine.state == client_invite::State::Terminated,
            ClientMachine::NonInvite(machine) => {
                machine.state == client_non_invite::State::Terminated
            }
        });
        if !is_over {
            return self.schedule_client(slot);
        }
        let gone = self.remove_client(slot);
        if let Some(call_id) = gone.and_then(|gone| gone.accepted)
            && self.accepted.get(&call_id) == Some(&slot)
        {
            self.accepted.remove(&call_id);
        }
        if was_last {
            self.tries.remove(&slot.id);
        }
    }

    fn schedule_client(&mut self, slot: Slot) {
        let Some(entry) = self.clients.get_mut(&slot) else { return };
        let next = match &entry.machine {
            ClientMachine::Invite(machine) => machine.next_timeout(),
            ClientMachine::NonInvite(machine) => machine.next_timeout(),
        };
        if let Some(at) = schedule(&mut entry.scheduled, next) {
            self.heap.push(Reverse((at, TimerKey::Client(slot))));
        }
    }

    pub(super) fn client_timeout(
        &mut self,
        now: Instant,
        at: Instant,
        slot: Slot,
        out: &mut Vec<Event>,
    ) {
        let Some(entry) = self.clients.get_mut(&slot) else { return };
        if entry.scheduled != Some(at) {
            return;
        }
        entry.scheduled = None;
        match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.handle_timeout(now, &mut self.machine_out),
            ClientMachine::NonInvite(machine) => machine.handle_timeout(now, &mut self.machine_out),
        }
        self.run_client(now, slot, None, out);
    }
}

const fn slot_of(attempt: Attempt) -> Slot {
    Slot { id: attempt.client.0, attempt: attempt.number, is_cancel: false }
}

const fn attempt_of(slot: Slot) -> Attempt {
    Attempt { client: ClientKey(slot.id), number: slot.attempt }
}

/// The attempt whose request these bytes are, for errors that bring a packet back.
#[must_use]
pub fn attempt_of_request(packet: &[u8]) -> Option<Attempt> {
    // The Via that we added is the second line; the packet may be cut off behind it.
    let line = packet.split(|byte| *byte == b'\n').nth(1)?;
    let line = std::str::from_utf8(line).ok()?;
    let via = Via::parse(line.strip_prefix("Via:")?.trim())?;
    attempt_of_branch(via.branch()?)
}

/// The attempt in a branch that this endpoint made: 16 hex digits, and its number if it is not the first.
fn attempt_of_branch(branch: &str) -> Option<Attempt> {
    let rest = branch.strip_prefix(MAGIC_COOKIE)?;
    let (hex, number) = match rest.split_once('.') {
        Some((hex, number)) => (hex, number.parse().ok().filter(|number| *number > 0)?),
        None => (rest, 0),
    };
    let id = if hex.len() == 16 { u64::from_str_radix(hex, 16).ok()? } else { return None };
    Some(Attempt { client: ClientKey(id), number })
}
