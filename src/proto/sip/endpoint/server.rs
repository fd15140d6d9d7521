//! Requests of others: their transactions, retransmissions, ACK and CANCEL (RFC 3261 §9.2, §17.2).

use super::Reasons;
use std::cmp::Reverse;
use std::net::IpAddr;

use super::{Endpoint, Event, Owner, ServerKey, TRANSACTIONS_MAX, TimerKey, schedule};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::via::{MAGIC_COOKIE, Via};
use crate::proto::sip::message::build::{Builder, reason_phrase};
use crate::proto::sip::message::{Message, Packet};
use crate::proto::sip::method::Method;
use crate::proto::sip::transaction::server_invite::{self, ServerInvite};
use crate::proto::sip::transaction::server_non_invite::{self, ServerNonInvite};
use crate::proto::sip::transaction::{Output, Setting};
use crate::proto::sip::transport::{Dest, Flow};
use crate::proto::time::Instant;

#[derive(Debug)]
enum ServerMachine {
    Invite(ServerInvite),
    NonInvite(ServerNonInvite),
}

#[derive(Debug)]
pub(super) struct Server {
    machine: ServerMachine,
    owner: Option<Owner>,
    key: String,
    merge_key: Option<String>,
    flow: Flow,
    /// Where the request came from: its CANCEL comes from there as well.
    source: IpAddr,
    tag: String,
    response: Option<Packet>,
    pub(super) scheduled: Option<Instant>,
}

impl Endpoint {
    pub(super) fn receive_request(
        &mut self,
        now: Instant,
        flow: Flow,
        request: Message,
        out: &mut Vec<Event>,
    ) {
        let Some(key) = server_key(&request) else {
            return out.push(Event::Dropped("no usable Via"));
        };
        if let Some(&id) = self.server_keys.get(&key) {
            return self.request_again(now, id, flow, request, out);
        }
        match request.method() {
            Method::Ack => out.push(Event::Ack { request, flow }),
            Method::Cancel => self.receive_cancel(now, flow, request, key, out),
            _ => self.new_request(now, flow, request, key, out),
        }
    }

    /// A request that matches a transaction: a retransmission, or the ACK of a final response.
    fn request_again(
        &mut self,
        now: Instant,
        id: u64,
        flow: Flow,
        request: Message,
        out: &mut Vec<Event>,
    ) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let mut outputs = std::mem::take(&mut self.machine_out);
        let is_ack = request.method() == &Method::Ack;
        match &mut server.machine {
            ServerMachine::Invite(machine) => {
                let input =
                    if is_ack { server_invite::Input::Ack } else { server_invite::Input::Invite };
                machine.handle(now, input, &mut outputs);
            }
            ServerMachine::NonInvite(machine) => {
                machine.handle(now, server_non_invite::Input::Request, &mut outputs);
            }
        }
        if is_ack && outputs.contains(&Output::PassUp) {
            out.push(Event::Ack { request, flow });
        }
        self.machine_out = outputs;
        self.run_server(id, out);
    }

    fn receive_cancel(
        &mut self,
        now: Instant,
        flow: Flow,
        request: Message,
        key: String,
        out: &mut Vec<Event>,
    ) {
        let invite = server_key_for(&request, &Method::Invite)
            .and_then(|key| self.server_keys.get(&key))
            .copied();
        let invite = invite.and_then(|id| self.servers.get(&id).map(|server| (id, server)));
        // A CANCEL cannot be challenged, so it counts only from where its INVITE came from (RFC 3261 §22.1).
        let invite = invite.filter(|(_, server)| server.source == flow.remote.ip());
        let (status, tag) = match invite {
            Some((_, server)) => (200, server.tag.clone()),
            None => (481, self.tokens.tag()),
        };
        let cancelled = invite.and_then(|(id, server)| {
            let ServerMachine::Invite(machine) = &server.machine else { return None };
            let is_open = machine.state == server_invite::State::Proceeding;
            let reasons = Reasons::of(&request);
            let (server, owner) = (ServerKey(id), server.owner);
            is_open.then_some(Event::Cancel { server, owner, reasons })
        });
        let Some(server) = self.add_server(now, &flow, &request, key, tag.clone()) else {
            return out.push(Event::Dropped("too many transactions"));
        };
        let packet =
            Builder::response(&request, status, reason_phrase(status), Some(&tag), &flow).finish();
        self.respond(now, server, status, packet, out);
        out.extend(cancelled);
    }

    fn new_request(
        &mut self,
        now: Instant,
        flow: Flow,
        request: Message,
        key: String,
        out: &mut Vec<Event>,
    ) {
        // The same request by another path (RFC 3261 §8.2.2.2): only one of the copies is served.
        let merge_key = merge_key(&request);
        if merge_key.as_ref().is_some_and(|key| self.merges.contains_key(key)) {
            return self.respond_stateless(&request, &flow, 482, "Loop Detected", out);
        }
        let tag = self.tokens.tag();
        let Some(server) = self.add_server(now, &flow, &request, key, tag.clone()) else {
            return self.respond_stateless(&request, &flow, 503, "Service Unavailable", out);
        };
        if let Some(key) = merge_key {
            self.merges.insert(key.clone(), server.0);
            if let Some(entry) = self.servers.get_mut(&server.0) {
                entry.merge_key = Some(key);
            }
        }
        out.push(Event::Request { server, request, flow, tag });
    }

    fn add_server(
        &mut self,
        now: Instant,
        flow: &Flow,
        request: &Message,
        key: String,
        tag: String,
    ) -> Option<ServerKey> {
        if self.clients.len() + self.servers.len() >= TRANSACTIONS_MAX {
            return None;
        }
        let setting = Setting { timers: self.timers, is_reliable: flow.transport.is_reliable() };
        let machine = if request.method() == &Method::Invite {
            ServerMachine::Invite(ServerInvite::new(setting))
        } else {
            ServerMachine::NonInvite(ServerNonInvite::new(setting, now))
        };
        let id = self.next_server;
        self.next_server += 1;
        self.server_keys.insert(key.clone(), id);
        let source = flow.remote.ip();
        let flow = response_flow(request, *flow);
        let server = Server {
            machine,
            owner: None,
            key,
            merge_key: None,
            flow,
            source,
            tag,
            response: None,
            scheduled: None,
        };
        self.servers.insert(id, server);
        self.schedule_server(id);
        Some(ServerKey(id))
    }

    /// Says whose this server transaction is, so that its CANCEL finds its way.
    pub fn adopt(&mut self, server: ServerKey, owner: Owner) {
        if let Some(server) = self.servers.get_mut(&server.0) {
            server.owner = Some(owner);
        }
    }

    /// Sends a response in a transaction. A response to a transaction that is gone goes nowhere.
    pub fn respond(
        &mut self,
        now: Instant,
        server: ServerKey,
        status: u16,
        packet: Packet,
        out: &mut Vec<Event>,
    ) {
        let Some(entry) = self.servers.get_mut(&server.0) else { return };
        let outputs = &mut self.machine_out;
        match &mut entry.machine {
            ServerMachine::Invite(machine) => {
                let input = match status {
                    100..200 => server_invite::Input::Provisional,
                    200..300 => server_invite::Input::Success,
                    _ => server_invite::Input::Failure,
                };
                machine.handle(now, input, outputs);
            }
            ServerMachine::NonInvite(machine) => {
                let is_provisional = (100..200).contains(&status);
                let input = if is_provisional {
                    server_non_invite::Input::Provisional
                } else {
                    server_non_invite::Input::Final
                };
                machine.handle(now, input, outputs);
            }
        }
        if outputs.contains(&Output::Transmit) {
            entry.response = Some(packet);
        }
        self.run_server(server.0, out);
    }

    /// Sends a response and keeps no transaction: for challenges and refusals, so that a flood of
    /// strangers costs no memory (RFC 3261 §26.3.2.4).
    pub fn respond_and_forget(&mut self, server: ServerKey, packet: Packet, out: &mut Vec<Event>) {
        if let Some(entry) = self.remove_server(server.0) {
            out.push(Event::Transmit { dest: Dest::Flow(entry.flow), packet, attempt: None });
        }
    }

    /// Forgets a request without an answer: its sender is not to learn that anybody is here.
    pub fn ignore(&mut self, server: ServerKey) {
        self.remove_server(server.0);
    }

    /// Carries out what a server machine wants, and its timers.
    fn run_server(&mut self, id: u64, out: &mut Vec<Event>) {
        let mut outputs = std::mem::take(&mut self.machine_out);
        if let Some(entry) = self.servers.get(&id) {
            for output in outputs.drain(..) {
                match output {
                    Output::Transmit => out.extend(entry.response.clone().map(|packet| {
                        Event::Transmit { dest: Dest::Flow(entry.flow), packet, attempt: None }
                    })),
                    Output::TimedOut => {
                        out.push(Event::NoAck { server: ServerKey(id), owner: entry.owner });
                    }
                    Output::PassUp | Output::Ack | Output::TransportFailed => {}
                }
            }
            let is_over = match &entry.machine {
                ServerMachine::Invite(machine) => machine.state == server_invite::State::Terminated,
                ServerMachine::NonInvite(machine) => {
                    machine.state == server_non_invite::State::Terminated
                }
            };
            if is_over {
                self.remove_server(id);
            } else {
                self.schedule_server(id);
            }
        }
        outputs.clear();
        self.machine_out = outputs;
    }

    fn remove_server(&mut self, id: u64) -> Option<Server> {
        let server = self.servers.remove(&id)?;
        self.server_keys.remove(&server.key);
        if let Some(key) = &server.merge_key {
            self.merges.remove(key);
        }
        Some(server)
    }

    fn schedule_server(&mut self, id: u64) {
        let Some(entry) = self.servers.get_mut(&id) else { return };
        let next = match &entry.machine {
            ServerMachine::Invite(machine) => machine.next_timeout(),
            ServerMachine::NonInvite(machine) => machine.next_timeout(),
        };
        if let Some(at) = schedule(&mut entry.scheduled, next) {
            self.heap.push(Reverse((at, TimerKey::Server(id))));
        }
    }

    pub(super) fn server_timeout(
        &mut self,
        now: Instant,
        at: Instant,
        id: u64,
        out: &mut Vec<Event>,
    ) {
        let Some(entry) = self.servers.get_mut(&id) else { return };
        if entry.scheduled != Some(at) {
            return;
        }
        entry.scheduled = None;
        match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.handle_timeout(now, &mut self.machine_out),
            ServerMachine::NonInvite(machine) => machine.handle_timeout(now, &mut self.machine_out),
        }
        self.run_server(id, out);
    }
}

pub(super) fn response_flow(request: &Message, flow: Flow) -> Flow {
    request
        .top_via()
        .and_then(|top| Via::parse(&top).map(|via| via.response_flow(flow)))
        .unwrap_or(flow)
}

/// What a request's server transaction is found by (RFC 3261 §17.2.3).
fn server_key(request: &Message) -> Option<String> {
    // An ACK belongs to the transaction of its INVITE.
    let method = if request.method() == &Method::Ack { &Method::Invite } else { request.method() };
    server_key_for(request, method)
}

fn server_key_for(request: &Message, method: &Method) -> Option<String> {
    let top = request.top_via()?;
    let via = Via::parse(&top)?;
    let port = via.port.unwrap_or(5060);
    match via.branch() {
        // The bare cookie is no branch at all (RFC 4475 §3.2.1).
        Some(branch) if branch.starts_with(MAGIC_COOKIE) && branch.len() > MAGIC_COOKIE.len() => {
            Some(format!("{branch}|{}:{port}|{method}", via.host))
        }
        // An RFC 2543 peer: Request-URI, From tag, Call-ID, CSeq number and the topmost Via. To's tag is left out, so that the
        // ACK, which carries ours, matches.
        _ => Some(format!(
            "{}|{}|{}|{}|{top}|{method}",
            request.uri(),
            request.from_tag().unwrap_or_default(),
            request.call_id(),
            request.cseq().number
        )),
    }
}

/// What a merged request is found by; only requests outside dialogs merge.
fn merge_key(request: &Message) -> Option<String> {
    if request.has(HeaderName::To) && request.to_tag().is_some() {
        return None;
    }
    let cseq = request.cseq();
    Some(format!("{}|{}|{}|{}", request.from_tag()?, request.call_id(), cseq.number, cseq.method))
}
