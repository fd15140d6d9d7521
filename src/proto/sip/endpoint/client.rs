//! Requests of ours: their transactions, the ACKs and CANCELs that belong to them (RFC 3261 §9.1, §17.1).

use std::cmp::Reverse;

use super::{
    ClientKey, Endpoint, Event, Failure, Owner, TRANSACTIONS_MAX, TimerKey, ack, schedule,
};
use crate::proto::sip::header::via::{MAGIC_COOKIE, Via};
use crate::proto::sip::message::build::with_via;
use crate::proto::sip::message::{Message, Packet};
use crate::proto::sip::method::Method;
use crate::proto::sip::transaction::client_invite::{self, ClientInvite};
use crate::proto::sip::transaction::client_non_invite::{self, ClientNonInvite};
use crate::proto::sip::transaction::{Output, Setting};
use crate::proto::sip::transport::Dest;
use crate::proto::time::Instant;

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
    owner: Owner,
    dest: Dest,
    request: Packet,
    cancel: Cancel,
    ack: Option<Packet>,
    pub(super) scheduled: Option<Instant>,
}

impl Endpoint {
    /// Sends a request of ours. It carries no Via yet: the topmost one is made here, with a branch from
    /// `client`. The first transmission is in `out`.
    #[expect(clippy::too_many_arguments, reason = "a request is all of these")]
    pub fn request(
        &mut self,
        now: Instant,
        client: ClientKey,
        owner: Owner,
        dest: Dest,
        method: &Method,
        request: &[u8],
        out: &mut Vec<Event>,
    ) {
        if self.clients.len() + self.servers.len() >= TRANSACTIONS_MAX {
            return out.push(Event::Failed { client, owner, why: Failure::Transport });
        }
        let packet = self.stamp(client.0, &dest, request);
        let setting = Setting { timers: self.timers, is_reliable: dest.transport().is_reliable() };
        let machine = if method == &Method::Invite {
            ClientMachine::Invite(ClientInvite::new(setting, now))
        } else {
            ClientMachine::NonInvite(ClientNonInvite::new(setting, now))
        };
        out.push(Event::Transmit {
            dest: dest.clone(),
            packet: packet.clone(),
            client: Some(client),
        });
        let entry = Client {
            machine,
            owner,
            dest,
            request: packet,
            cancel: Cancel::No,
            ack: None,
            scheduled: None,
        };
        self.clients.insert((client.0, false), entry);
        self.schedule_client((client.0, false));
    }

    /// Sends an ACK for a 2xx: it has a branch of its own and no transaction (RFC 3261 §13.2.2.4).
    pub fn send_ack(&mut self, dest: Dest, request: &[u8], out: &mut Vec<Event>) -> Packet {
        let branch = self.tokens.next_u64();
        let packet = self.stamp(branch, &dest, request);
        out.push(Event::Transmit { dest, packet: packet.clone(), client: None });
        packet
    }

    fn stamp(&self, branch: u64, dest: &Dest, request: &[u8]) -> Packet {
        let (_, local) = self.locals.source_for(dest);
        let transport = dest.transport().via();
        with_via(
            request,
            &format!("SIP/2.0/{transport} {local};rport;branch={MAGIC_COOKIE}{branch:016x}"),
        )
    }

    /// Does this INVITE of ours still wait for its final response?
    #[must_use]
    pub fn is_open(&self, client: ClientKey) -> bool {
        self.clients.get(&(client.0, false)).is_some_and(|entry| match &entry.machine {
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
        self.clients.get(&(client.0, false)).map(|entry| (&entry.dest, &entry.request))
    }

    /// Cancels an INVITE of ours: at once if a provisional response came, else as soon as one does
    /// (RFC 3261 §9.1). `reason` becomes the Reason header.
    pub fn cancel(
        &mut self,
        now: Instant,
        client: ClientKey,
        reason: Option<String>,
        out: &mut Vec<Event>,
    ) {
        let Some(entry) = self.clients.get_mut(&(client.0, false)) else { return };
        let ClientMachine::Invite(machine) = &entry.machine else { return };
        if !matches!(entry.cancel, Cancel::No) {
            return;
        }
        match machine.state {
            client_invite::State::Calling => entry.cancel = Cancel::Held(reason),
            client_invite::State::Proceeding => self.send_cancel(now, client, reason, out),
            _ => {}
        }
    }

    fn send_cancel(
        &mut self,
        now: Instant,
        client: ClientKey,
        reason: Option<String>,
        out: &mut Vec<Event>,
    ) {
        let Some(entry) = self.clients.get_mut(&(client.0, false)) else { return };
        let ClientMachine::Invite(machine) = &mut entry.machine else { return };
        machine.cancelled(now);
        entry.cancel = Cancel::Sent;
        let Some(packet) = ack::cancel_for(&entry.request, reason.as_deref()) else { return };
        let (owner, dest) = (entry.owner, entry.dest.clone());
        let setting = Setting { timers: self.timers, is_reliable: dest.transport().is_reliable() };
        let machine = ClientMachine::NonInvite(ClientNonInvite::new(setting, now));
        out.push(Event::Transmit { dest: dest.clone(), packet: packet.clone(), client: None });
        let cancel = Client {
            machine,
            owner,
            dest,
            request: packet,
            cancel: Cancel::No,
            ack: None,
            scheduled: None,
        };
        self.clients.insert((client.0, true), cancel);
        self.schedule_client((client.0, true));
        self.schedule_client((client.0, false));
    }

    pub(super) fn receive_response(
        &mut self,
        now: Instant,
        response: Message,
        out: &mut Vec<Event>,
    ) {
        let branch = response.branch().and_then(|branch| branch_number(&branch));
        let is_cancel = response.method() == &Method::Cancel;
        let key = branch.map(|branch| (branch, is_cancel));
        let Some((key, entry)) =
            key.and_then(|key| self.clients.get_mut(&key).map(|entry| (key, entry)))
        else {
            return out.push(Event::Dropped("a response without a transaction"));
        };
        let status = response.status();
        let outputs = &mut self.machine_out;
        let is_invite = matches!(entry.machine, ClientMachine::Invite(_));
        if is_invite != (response.method() == &Method::Invite) {
            return out.push(Event::Dropped("a response of another method"));
        }
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
        self.run_client(key, Some(response), out);
        if let Some(reason) = held {
            self.send_cancel(now, ClientKey(key.0), reason, out);
        }
    }

    /// The bytes of a client transaction could not be sent.
    pub fn transport_failed(&mut self, now: Instant, client: ClientKey, out: &mut Vec<Event>) {
        let Some(entry) = self.clients.get_mut(&(client.0, false)) else { return };
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
        self.run_client((client.0, false), None, out);
    }

    /// A connection closed: what was in flight on it fails now, not at timer B or F (RFC 3261 §17.1.4).
    pub fn connection_closed(&mut self, now: Instant, connection: u64, out: &mut Vec<Event>) {
        let mut on_it: Vec<_> = self
            .clients
            .iter()
            .filter(|(_, entry)| matches!(entry.dest, Dest::Flow(flow) if flow.connection == connection))
            .map(|(key, _)| *key)
            .collect();
        // In order, so that the same inputs give the same outputs.
        on_it.sort_unstable();
        for (id, is_cancel) in on_it {
            if is_cancel {
                self.clients.remove(&(id, true));
            } else {
                self.transport_failed(now, ClientKey(id), out);
            }
        }
    }

    fn run_client(&mut self, key: (u64, bool), response: Option<Message>, out: &mut Vec<Event>) {
        let mut outputs = std::mem::take(&mut self.machine_out);
        let mut response = response;
        if let Some(entry) = self.clients.get(&key) {
            let client = ClientKey(key.0);
            let transmit = |packet: Packet| Event::Transmit {
                dest: entry.dest.clone(),
                packet,
                client: Some(client),
            };
            for output in outputs.drain(..) {
                match output {
                    Output::Transmit => out.push(transmit(entry.request.clone())),
                    Output::Ack => out.extend(entry.ack.clone().map(transmit)),
                    // What becomes of a CANCEL is nobody's concern: the INVITE's response tells.
                    _ if key.1 => {}
                    Output::PassUp => out.extend(response.take().map(|response| Event::Response {
                        client,
                        owner: entry.owner,
                        response,
                    })),
                    Output::TimedOut | Output::TransportFailed => out.push(Event::Failed {
                        client,
                        owner: entry.owner,
                        why: if output == Output::TimedOut {
                            Failure::TimedOut
                        } else {
                            Failure::Transport
                        },
                    }),
                }
            }
            let is_over = match &entry.machine {
                ClientMachine::Invite(machine) => machine.state == client_invite::State::Terminated,
                ClientMachine::NonInvite(machine) => {
                    machine.state == client_non_invite::State::Terminated
                }
            };
            if is_over {
                self.clients.remove(&key);
            } else {
                self.schedule_client(key);
            }
        }
        outputs.clear();
        self.machine_out = outputs;
    }

    fn schedule_client(&mut self, key: (u64, bool)) {
        let Some(entry) = self.clients.get_mut(&key) else { return };
        let next = match &entry.machine {
            ClientMachine::Invite(machine) => machine.next_timeout(),
            ClientMachine::NonInvite(machine) => machine.next_timeout(),
        };
        if let Some(at) = schedule(&mut entry.scheduled, next) {
            self.heap.push(Reverse((at, TimerKey::Client(key.0, key.1))));
        }
    }

    pub(super) fn client_timeout(
        &mut self,
        now: Instant,
        at: Instant,
        key: (u64, bool),
        out: &mut Vec<Event>,
    ) {
        let Some(entry) = self.clients.get_mut(&key) else { return };
        if entry.scheduled != Some(at) {
            return;
        }
        entry.scheduled = None;
        match &mut entry.machine {
            ClientMachine::Invite(machine) => machine.handle_timeout(now, &mut self.machine_out),
            ClientMachine::NonInvite(machine) => machine.handle_timeout(now, &mut self.machine_out),
        }
        self.run_client(key, None, out);
    }
}

/// The client transaction whose request these bytes are, for errors that bring a packet back.
#[must_use]
pub fn client_of_request(packet: &[u8]) -> Option<ClientKey> {
    // The Via that we added is the second line; the packet may be cut off behind it.
    let line = packet.split(|byte| *byte == b'\n').nth(1)?;
    let line = std::str::from_utf8(line).ok()?;
    let via = Via::parse(line.strip_prefix("Via:")?.trim())?;
    branch_number(via.branch()?).map(ClientKey)
}

/// The number in a branch that this endpoint made.
fn branch_number(branch: &str) -> Option<u64> {
    let hex = branch.strip_prefix(MAGIC_COOKIE)?;
    if hex.len() == 16 { u64::from_str_radix(hex, 16).ok() } else { None }
}
