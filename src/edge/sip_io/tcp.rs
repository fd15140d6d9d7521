//! Streams, plain and under TLS: connections that peers opened and connections that we opened, one small task for
//! each. WebSockets are accepted here too; what they carry is cut in [`super::ws`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::mark;
use super::stream::{Stream, connect, serve};
use super::tls::Tls;
use super::ws;
use crate::proto::sip::endpoint::Attempt;
use crate::proto::sip::locals::Locals;
use crate::proto::sip::message::Packet;
use crate::proto::sip::transport::{Flow, Target, Transport};
use crate::switch::guard::Source;
use crate::switch::snapshot::Limits;

/// Frames of all connections on their way to the switchboard. When it is full the readers wait, and TCP
/// slows their peers down.
const FRAMES_MAX: usize = 1024;
/// Packets on their way into one connection. When it is full the peer does not read: it is closed.
const PACKETS_MAX: usize = 256;
/// Attempts remembered for a connection: these are told when it breaks.
const ATTEMPTS_MAX: usize = 64;
/// How long a connection may take to be made: time for two SYNs more, and still below the time after which a
/// silent trunk is left, so that a request too large for a datagram goes as one after all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// How long the two may take to agree on TLS.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one packet may take into the kernel before its peer counts as gone.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may stay without a first whole message: strangers do not get to keep places.
pub(super) const FIRST_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection on which nothing came for this long is closed: phones refresh or ping far more often.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(3 * 3600);
/// The pause after a connection could not be accepted: it stays in the queue, and asking for it again at
/// once would leave no time for the connections that are there.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) enum TcpEvent {
    Message(Flow, Vec<u8>),
    Closed(u64, Vec<Attempt>),
    Nothing,
}

/// What a connection's task says.
#[derive(Debug)]
pub(super) enum Said {
    Frame(u64, Vec<u8>),
    Gone(u64),
}

#[derive(Debug)]
struct Connection {
    flow: Flow,
    packets: mpsc::Sender<Packet>,
    attempts: VecDeque<Attempt>,
    /// Whose certificate the server showed, where we connected by TLS.
    domain: Option<Box<str>>,
    /// The peer opened it.
    is_theirs: bool,
    task: JoinHandle<()>,
}

/// Where a connection is to lead.
#[derive(Clone, Debug)]
pub(super) struct Towards {
    pub(super) target: Target,
    /// Under TLS: the domain that the server has to be. Without one it is known by its address alone.
    pub(super) domain: Option<Box<str>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
pub(super) struct TcpSide {
    listeners: Vec<(u16, Transport, TcpListener)>,
    /// The listener that is asked first next time, so that none starves.
    turn: usize,
    tls: Tls,
    /// How our packets are marked.
    dscp: u8,
    /// Nothing is accepted until this is over.
    pause: Option<Pin<Box<Sleep>>>,
    /// Was the last connection one that could not be accepted?
    is_short: bool,
    connections: HashMap<u64, Connection>,
    /// The latest connection to each place, apart for each domain that was asked for there: many a carrier's
    /// domains share an address.
    by_remote: BTreeMap<(Target, Option<Box<str>>), u64>,
    next: u64,
    max: usize,
    /// Connections that others opened, by their addresses: one of them must not take every place.
    by_source: HashMap<IpAddr, usize>,
    source_max: usize,
    said_tx: mpsc::Sender<Said>,
    said_rx: mpsc::Receiver<Said>,
}

impl TcpSide {
    pub(super) fn new(limits: &Limits, tls: Tls, dscp: u8) -> Self {
        let (said_tx, said_rx) = mpsc::channel(FRAMES_MAX);
        Self {
            listeners: Vec::new(),
            turn: 0,
            tls,
            dscp,
            pause: None,
            is_short: false,
            connections: HashMap::new(),
            by_remote: BTreeMap::new(),
            next: 1,
            max: limits.connections_max,
            by_source: HashMap::new(),
            source_max: limits.connections_per_source_max,
            said_tx,
            said_rx,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.connections.len()
    }

    /// From now on connections are made with these certificates.
    pub(super) fn set_tls(&mut self, tls: Tls) {
        self.tls = tls;
    }

    pub(super) fn listen(
        &mut self,
        index: u16,
        transport: Transport,
        address: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // The connections that it accepts have it too.
        mark((&socket).into(), address, self.dscp)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        let listener = TcpListener::from_std(socket.into())?;
        let bound = listener.local_addr()?;
        self.listeners.push((index, transport, listener));
        Ok(bound)
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>, locals: &Locals) -> Poll<TcpEvent> {
        // One at most, so that a flood of connections does not silence those that are there.
        let has_accepted = self.poll_accept(cx, locals).is_ready();
        match self.said_rx.poll_recv(cx) {
            Poll::Ready(Some(Said::Frame(id, bytes))) => {
                Poll::Ready(match self.connections.get(&id) {
                    Some(connection) => TcpEvent::Message(connection.flow, bytes),
                    None => TcpEvent::Nothing,
                })
            }
            Poll::Ready(Some(Said::Gone(id))) => Poll::Ready(self.close(id)),
            Poll::Ready(None) | Poll::Pending if has_accepted => Poll::Ready(TcpEvent::Nothing),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    /// Takes one connection in, if there is one and it may be taken.
    fn poll_accept(&mut self, cx: &mut Context<'_>, locals: &Locals) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let (first, count) = (self.turn, self.listeners.len());
        for at in (0..count).map(|offset| (first + offset) % count) {
            let Some((index, transport, listener)) = self.listeners.get(at) else { continue };
            let Poll::Ready(accepted) = listener.poll_accept(cx) else { continue };
            self.turn = at + 1;
            match accepted {
                Ok((stream, remote)) => {
                    let (index, transport) = (*index, *transport);
                    let bound = listener.local_addr().ok();
                    let local =
                        bound.map_or(remote, |bound| locals.written(bound, Some(remote.ip())));
                    self.is_short = false;
                    self.accepted(index, local, stream, Target { transport, address: remote });
                    return Poll::Ready(());
                }
                // The peer gave up before it was its turn.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                    return Poll::Ready(());
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_short, true) {
                        tracing::error!(%error, "no further connection can be accepted");
                    }
                    let mut pause = Box::pin(sleep(ACCEPT_RETRY));
                    // Asked once, it wakes this task when it is over.
                    let _ = pause.as_mut().poll(cx);
                    self.pause = Some(pause);
                    return Poll::Pending;
                }
            }
        }
        Poll::Pending
    }

    fn accepted(&mut self, listener: u16, local: SocketAddr, stream: TcpStream, from: Target) {
        let source = from.address.ip().to_canonical();
        let of_source = self.by_source.get(&source).copied().unwrap_or(0);
        if self.connections.len() >= self.max || of_source >= self.source_max {
            // Dropping the stream closes it; the peer sees that at once.
            return;
        }
        let _ = stream.set_nodelay(true);
        let tls = match (from.transport.is_secure(), &self.tls.server) {
            (false, _) => None,
            (true, Some(server)) => Some(TlsAcceptor::from(Arc::clone(server))),
            // The check of the configuration refuses a listener without certificates.
            (true, None) => return,
        };
        let towards = Towards { target: from, domain: None };
        let id = self.add(listener, local, towards, |id, said, packets| async move {
            let is_web = matches!(from.transport, Transport::Ws | Transport::Wss);
            let Some(tls) = tls else {
                return if is_web {
                    ws::serve(id, stream, from.address, said, packets).await;
                } else {
                    serve(id, stream, (from.address, false), said, packets).await;
                };
            };
            match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                Ok(Ok(stream)) if is_web => {
                    ws::serve(id, stream, from.address, said, packets).await;
                }
                Ok(Ok(stream)) => serve(id, stream, (from.address, false), said, packets).await,
                failed => {
                    let error = match failed {
                        Ok(Err(error)) => error.to_string(),
                        _ => "not done in time".to_owned(),
                    };
                    // Scanners do this all day; who looks for a phone's trouble asks for it.
                    tracing::debug!(remote = %from.address, %error, "no TLS");
                    let _ = said.send(Said::Gone(id)).await;
                }
            }
        });
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_theirs = true;
            *self.by_source.entry(source).or_default() += 1;
        }
    }

    fn add<F>(
        &mut self,
        listener: u16,
        local: SocketAddr,
        towards: Towards,
        task: impl FnOnce(u64, mpsc::Sender<Said>, mpsc::Receiver<Packet>) -> F,
    ) -> u64
    where
        F: Future<Output = ()> + 'static,
    {
        let id = self.next;
        self.next += 1;
        let (packets_tx, packets_rx) = mpsc::channel(PACKETS_MAX);
        let task = tokio::task::spawn_local(task(id, self.said_tx.clone(), packets_rx));
        let Towards { target, domain } = towards;
        let Target { transport, address: remote } = target;
        let flow = Flow { transport, listener, local, remote, connection: id };
        self.by_remote.insert((target, domain.clone()), id);
        let attempts = VecDeque::new();
        let packets = packets_tx;
        let connection = Connection { flow, packets, attempts, domain, is_theirs: false, task };
        self.connections.insert(id, connection);
        id
    }

    /// Sends on an open connection; false if there is none.
    pub(super) fn send(&mut self, id: u64, packet: &Packet, attempt: Option<Attempt>) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        if connection.packets.try_send(packet.clone()).is_err() {
            let _ = self.said_tx.try_send(Said::Gone(id));
            return false;
        }
        if let Some(attempt) = attempt {
            if connection.attempts.len() >= ATTEMPTS_MAX {
                connection.attempts.pop_front();
            }
            connection.attempts.push_back(attempt);
        }
        true
    }

    /// Sends to an address: on the connection that is there, else on a new one.
    pub(super) fn connect_and_send(
        &mut self,
        listener: u16,
        local: SocketAddr,
        to: Towards,
        packet: Packet,
        attempt: Option<Attempt>,
    ) -> bool {
        if let Some(id) = self.open_to(&to)
            && self.send(id, &packet, attempt)
        {
            return true;
        }
        if self.connections.len() >= self.max {
            return false;
        }
        let tls = to.target.transport.is_secure().then(|| Arc::clone(&self.tls.client));
        let dscp = self.dscp;
        let id = self.add(listener, local, to.clone(), |id, said, packets| async move {
            let address = to.target.address;
            match timeout(CONNECT_TIMEOUT, connect(&to, tls, dscp)).await {
                Ok(Ok(Stream::Plain(stream))) => {
                    serve(id, stream, (address, true), said, packets).await
                }
                Ok(Ok(Stream::Tls(stream))) => {
                    serve(id, stream, (address, true), said, packets).await
                }
                failed => {
                    let error = match failed {
                        Ok(Err(error)) => error.to_string(),
                        _ => "no answer in time".to_owned(),
                    };
                    let domain = to.domain.as_deref().unwrap_or("");
                    tracing::warn!(to = %to.target, domain, %error, "no connection");
                    let _ = said.send(Said::Gone(id)).await;
                }
            }
        });
        self.send(id, &packet, attempt)
    }

    /// The open connection to a place. One that was made by TLS to another domain at the same address is none; where
    /// only the address is known, as in a dialog, whoever showed a certificate there is right.
    fn open_to(&self, to: &Towards) -> Option<u64> {
        if let Some(domain) = &to.domain {
            return self.by_remote.get(&(to.target, Some(domain.clone()))).copied();
        }
        let mut there = self.by_remote.range((to.target, None)..);
        there.next().filter(|((target, _), _)| *target == to.target).map(|(_, id)| *id)
    }

    /// Closes what a source has opened.
    pub(super) fn cut_off(&mut self, source: Source) -> Vec<(u64, Vec<Attempt>)> {
        let is_its = |connection: &Connection| {
            connection.is_theirs && Source::of(connection.flow.remote.ip()) == source
        };
        let all = self.connections.iter();
        let ids: Vec<_> = all.filter(|(_, own)| is_its(own)).map(|(id, _)| *id).collect();
        let closed = ids.into_iter().filter_map(|id| match self.close(id) {
            TcpEvent::Closed(id, attempts) => Some((id, attempts)),
            _ => None,
        });
        closed.collect()
    }

    fn close(&mut self, id: u64) -> TcpEvent {
        let Some(mut connection) = self.connections.remove(&id) else { return TcpEvent::Nothing };
        let Flow { transport, remote: address, .. } = connection.flow;
        let key = (Target { transport, address }, connection.domain.take());
        if self.by_remote.get(&key) == Some(&id) {
            self.by_remote.remove(&key);
        }
        let source = address.ip().to_canonical();
        if connection.is_theirs
            && let Some(count) = self.by_source.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&source);
            }
        }
        TcpEvent::Closed(id, std::mem::take(&mut connection.attempts).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(connections_max: usize, connections_per_source_max: usize) -> TcpSide {
        let tls = Tls::load(&Default::default(), std::path::Path::new("")).unwrap();
        let limits = Limits { connections_max, connections_per_source_max, ..Limits::default() };
        TcpSide::new(&limits, tls, 24)
    }

    /// Many a carrier's domains are at one address: each of them keeps the connection that was made to it.
    #[tokio::test]
    async fn domains_at_one_address_keep_a_connection_each() {
        let side = async {
            let mut side = side(8, 8);
            let address = SocketAddr::from(([127, 0, 0, 1], 9));
            let target = Target { transport: Transport::Tls, address };
            let mut send = |domain: Option<&str>| {
                let to = Towards { target, domain: domain.map(Into::into) };
                assert!(side.connect_and_send(0, address, to, b"x".to_vec().into(), None));
                side.len()
            };
            let domains = [Some("a.example"), Some("b.example")];
            assert_eq!(
                [domains[0], domains[1], domains[0], domains[1]].map(&mut send),
                [1, 2, 2, 2]
            );
            assert_eq!(send(None), 2, "where only the address is known, any of them will do");
            for (id, left) in [(2, 1), (1, 0)] {
                side.close(id);
                assert_eq!((side.len(), side.by_remote.len()), (left, left));
            }
        };
        tokio::task::LocalSet::new().run_until(side).await;
    }

    /// Who connects to one listener without end does not keep the others from being heard.
    #[tokio::test]
    async fn listeners_take_turns() {
        let side = async {
            let mut side = side(8, 8);
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let [busy, other] = [0, 1].map(|n| side.listen(n, Transport::Tcp, any).unwrap());
            let _callers =
                [busy, busy, busy, other].map(|at| std::net::TcpStream::connect(at).unwrap());
            let locals = Locals::default();
            for _ in 0..2 {
                std::future::poll_fn(|cx| side.poll_accept(cx, &locals)).await;
            }
            let mut listeners: Vec<_> =
                side.connections.values().map(|connection| connection.flow.listener).collect();
            listeners.sort_unstable();
            assert_eq!(listeners, [0, 1]);
        };
        tokio::task::LocalSet::new().run_until(side).await;
    }

    /// One address must not take the places of all the others; when it lets go of one, it may have another.
    #[tokio::test]
    async fn an_address_has_its_share_of_the_connections() {
        let side = async {
            let mut side = side(8, 2);
            let at = side.listen(0, Transport::Tcp, ([127, 0, 0, 1], 0).into()).unwrap();
            let (_, _, listener) = &side.listeners[0];
            assert_eq!(socket2::SockRef::from(listener).tos_v4().unwrap(), 24 << 2);
            let locals = Locals::default();
            let mut held = Vec::new();
            for (id, expected) in [(1, 1), (2, 2), (3, 2)] {
                held.push((id, std::net::TcpStream::connect(at).unwrap()));
                std::future::poll_fn(|cx| side.poll_accept(cx, &locals)).await;
                assert_eq!(side.len(), expected);
            }
            side.close(1);
            held.push((4, std::net::TcpStream::connect(at).unwrap()));
            std::future::poll_fn(|cx| side.poll_accept(cx, &locals)).await;
            assert_eq!((side.len(), side.by_source.values().sum::<usize>()), (2, 2));
            let stranger = Source::of([127, 0, 0, 2].into());
            assert!(side.cut_off(stranger).is_empty());
            let closed = side.cut_off(Source::of([127, 0, 0, 1].into()));
            assert_eq!((closed.len(), side.len()), (2, 0));
            assert!(side.by_source.is_empty() && side.by_remote.is_empty());
        };
        tokio::task::LocalSet::new().run_until(side).await;
    }
}
