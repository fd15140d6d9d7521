//! The SIP sockets: datagrams and streams in, packets out, names looked up on the way.
//!
//! One task owns it and nothing in it waits: what cannot be sent now is queued within a named limit,
//! dropped as the network would, or reported as failed.

mod dns;
pub mod interfaces;
mod stream;
mod tcp;
pub mod tls;
mod udp;
mod ws;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use socket2::SockRef;

use crate::proto::sip::endpoint::Attempt;
use crate::proto::sip::locals::Locals;
use crate::proto::sip::locate::{Answer, Question};
use crate::proto::sip::message::{Message, Packet, Parsed};
use crate::proto::sip::transport::{Dest, Flow, Host, NextHop, Target, Transport};

use crate::switch::guard::Source;
use crate::switch::snapshot::{Limits, Listen, SipSettings};
use dns::Dns;
use tcp::{TcpEvent, TcpSide, Towards};
use tls::Tls;
use udp::UdpListener;

/// Datagrams read from one socket before the other sources get their turn.
const READ_BATCH: usize = 64;

/// What the network has for the switchboard.
#[derive(Debug)]
pub enum Arrival {
    /// A datagram lies in the reader's buffer: this many bytes of it.
    Datagram(Flow, usize),
    /// A message that was cut out of a stream.
    Message(Flow, Vec<u8>),
    /// A packet could not be sent.
    Failed(Attempt),
    /// A connection is gone.
    Closed(u64),
    /// The name server answered, or did not.
    Dns(Question, Answer),
}

/// Why a socket cannot be bound, in words that say what to do.
fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use by another program; `ss -lntup` says by which".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need CAP_NET_BIND_SERVICE".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Marks what a socket sends for the routers on the way (RFC 2474 §3).
fn mark(socket: SockRef<'_>, address: SocketAddr, dscp: u8) -> io::Result<()> {
    let tos = u32::from(dscp) << 2;
    if address.is_ipv4() { socket.set_tos_v4(tos) } else { socket.set_tclass_v6(tos) }
}

/// All SIP sockets of the daemon.
#[derive(Debug)]
pub struct SipIo {
    locals: Locals,
    udp: Vec<UdpListener>,
    tcp: TcpSide,
    dns: Dns,
    /// What happened while sending.
    pending: VecDeque<Arrival>,
    /// The socket that is read first next time, so that none starves.
    turn: usize,
}

impl SipIo {
    /// Binds every listener. Names are asked of `nameservers`, or the system's if there are none. Must run inside
    /// the runtime.
    ///
    /// # Errors
    ///
    /// The first socket that cannot be bound, with its address in words.
    pub fn bind(settings: &SipSettings, limits: &Limits, tls: Tls) -> io::Result<Self> {
        let mut udp = Vec::new();
        let mut tcp = TcpSide::new(limits, tls, settings.dscp);
        let mut bound = Vec::new();
        for (index, Listen { transport, address }) in settings.listen.iter().enumerate() {
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let words = |error: io::Error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot listen on {}:{address}: {}", transport.word(), why(&error)),
                )
            };
            let actual = match transport {
                Transport::Udp => {
                    let listener =
                        UdpListener::bind(index, *address, settings.dscp).map_err(words)?;
                    let actual = listener.address();
                    udp.push(listener);
                    actual
                }
                transport => tcp.listen(index, *transport, *address).map_err(words)?,
            };
            bound.push((*transport, actual));
        }
        let local_networks = settings.local_networks.clone();
        let locals = interfaces::locals(bound, settings.advertise, local_networks);
        let dns = Dns::new(&settings.nameservers);
        Ok(Self { locals, udp, tcp, dns, pending: VecDeque::new(), turn: 0 })
    }

    /// Our addresses.
    #[must_use]
    pub const fn locals(&self) -> &Locals {
        &self.locals
    }

    /// Open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.tcp.len()
    }

    /// Closes the connections that this source made; what was under way on them has failed.
    pub fn cut_off(&mut self, source: Source) {
        for (connection, attempts) in self.tcp.cut_off(source) {
            self.pending.extend(attempts.into_iter().map(Arrival::Failed));
            self.pending.push_back(Arrival::Closed(connection));
        }
    }

    /// The flow of a binding that was made before a restart, on the socket that has its address now: the
    /// listeners may stand in another order. `None` if no socket is where it was.
    #[must_use]
    pub fn resumed(&self, flow: Flow) -> Option<Flow> {
        let at = self.locals.listeners.iter().position(|(transport, bound)| {
            *transport == flow.transport
                && bound.port() == flow.local.port()
                && bound.is_ipv4() == flow.local.is_ipv4()
                && (bound.ip().is_unspecified() || bound.ip() == flow.local.ip())
        })?;
        Some(Flow { listener: u16::try_from(at).unwrap_or(u16::MAX), ..flow })
    }

    /// Asks the name server; the answer is an [`Arrival::Dns`].
    pub fn ask(&mut self, question: Question) {
        self.dns.ask(question);
    }

    /// From now on names are asked of these servers, or the system's if there are none.
    pub fn set_nameservers(&mut self, nameservers: &[SocketAddr]) {
        self.dns.configure(nameservers);
    }

    /// From now on connections are made and taken with these certificates.
    pub fn set_tls(&mut self, tls: Tls) {
        self.tcp.set_tls(tls);
    }

    /// The next thing from the network; a datagram's bytes are in `buffer`.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Arrival> {
        if let Some(arrival) = self.pending.pop_front() {
            return Poll::Ready(arrival);
        }
        let count = self.udp.len();
        for offset in 0..count {
            let at = (self.turn + offset) % count;
            let Some(listener) = self.udp.get_mut(at) else { continue };
            match listener.poll_read(cx, buffer, &self.locals) {
                Poll::Ready(Some(arrival)) => {
                    if listener.takes_a_break() {
                        self.turn = at + 1;
                    }
                    return Poll::Ready(arrival);
                }
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
        while let Poll::Ready(event) = self.tcp.poll_event(cx, &self.locals) {
            match event {
                TcpEvent::Message(flow, bytes) => {
                    return Poll::Ready(Arrival::Message(flow, bytes));
                }
                TcpEvent::Closed(connection, clients) => {
                    self.pending.extend(clients.into_iter().map(Arrival::Failed));
                    return Poll::Ready(Arrival::Closed(connection));
                }
                TcpEvent::Nothing => {}
            }
        }
        self.dns.poll_answer(cx).map(|(question, answer)| Arrival::Dns(question, answer))
    }

    /// Sends a packet. A failure is told by [`Arrival::Failed`] if `attempt` is named.
    pub fn send(&mut self, dest: Dest, packet: Packet, attempt: Option<Attempt>) {
        match dest {
            Dest::Flow(flow) => match flow.transport {
                Transport::Udp => self.send_udp(Some(flow.listener), flow.remote, &packet, attempt),
                _ => {
                    if !self.tcp.send(flow.connection, &packet, attempt) {
                        self.send_by_via(flow, packet, attempt);
                    }
                }
            },
            Dest::Hop(hop) => match hop.target() {
                Some(Target { transport: Transport::Udp, address }) => {
                    self.send_udp(None, address, &packet, attempt);
                }
                Some(target @ Target { transport: Transport::Tcp | Transport::Tls, .. }) => {
                    self.send_tcp(Towards { target, domain: hop.domain() }, packet, attempt);
                }
                // The switchboard locates names before it sends, and a browser cannot be connected to.
                Some(Target { transport: Transport::Ws | Transport::Wss, .. }) | None => {
                    self.pending.extend(attempt.map(Arrival::Failed));
                }
            },
        }
    }

    fn send_udp(
        &mut self,
        listener: Option<u16>,
        to: SocketAddr,
        packet: &[u8],
        attempt: Option<Attempt>,
    ) {
        let hop = Dest::Hop(NextHop::address(Transport::Udp, to));
        let index = listener.unwrap_or_else(|| self.locals.source_for(&hop).0);
        let socket = self.udp.iter_mut().find(|listener| listener.index() == index);
        let is_sent = socket.is_some_and(|socket| socket.send(to, packet));
        if !is_sent {
            self.pending.extend(attempt.map(Arrival::Failed));
        }
    }

    fn send_tcp(&mut self, to: Towards, packet: Packet, attempt: Option<Attempt>) {
        let (index, local) = self.locals.source_for(&Dest::from(to.target));
        if !self.tcp.connect_and_send(index, local, to, packet, attempt) {
            self.pending.extend(attempt.map(Arrival::Failed));
        }
    }

    /// The connection of a response is gone: a new one to the address in its Via (RFC 3261 §18.2.2).
    fn send_by_via(&mut self, flow: Flow, packet: Packet, attempt: Option<Attempt>) {
        let via = match Message::parse(&packet) {
            Parsed::Message(message) if !message.is_request() => {
                message.top_via().and_then(|top| {
                    let via = crate::proto::sip::header::via::Via::parse(&top)?;
                    let Host::Ip(ip) = via.host else { return None };
                    Some(SocketAddr::new(ip, via.port.unwrap_or(5060)))
                })
            }
            _ => None,
        };
        match via {
            // What the peer says of itself is believed as far as its own address goes.
            Some(address)
                if address.ip() == flow.remote.ip() && flow.transport == Transport::Tcp =>
            {
                let target = Target { transport: Transport::Tcp, address };
                self.send_tcp(Towards { target, domain: None }, packet, attempt);
            }
            _ => self.pending.extend(attempt.map(Arrival::Failed)),
        }
    }
}
