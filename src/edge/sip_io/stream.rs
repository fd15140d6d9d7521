//! One stream connection: what it reads is cut into messages, what is to be said is written, and one that we made is
//! kept alive.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant as Deadline, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::mark;
use super::tcp::{FIRST_TIMEOUT, IDLE_TIMEOUT, Said, Towards, WRITE_TIMEOUT};
use crate::proto::sip::message::build::Builder;
use crate::proto::sip::message::framing::{Frame, Framer};
use crate::proto::sip::message::{Message, Packet, Parsed};
use crate::proto::sip::transport::{Flow, Transport};

/// How often a connection that we made is pinged while nothing comes (RFC 5626 §4.4.1 has 95 to 120 s; NATs and
/// firewalls forget sooner than its authors hoped).
const PING_EVERY: Duration = Duration::from_secs(90);
/// How long the pong may take (RFC 5626 §4.4.1).
const PONG_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that we made.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects, and under TLS finds out whether it is who it should be.
pub(super) async fn connect(
    to: &Towards,
    tls: Option<Arc<ClientConfig>>,
    dscp: u8,
) -> io::Result<Stream> {
    let address = to.target.address;
    let stream = TcpStream::connect(address).await?;
    // A network that refuses the mark gets what we say without it.
    let _ = mark((&stream).into(), address, dscp);
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return Ok(Stream::Plain(stream)) };
    let name = match &to.domain {
        Some(domain) => ServerName::try_from(domain.to_string()).map_err(io::Error::other)?,
        None => ServerName::from(address.ip()),
    };
    let stream = TlsConnector::from(tls).connect(name, stream).await?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// The writing half of a connection, with the two lines that lead into it.
struct Writer<W> {
    half: W,
    packets: mpsc::Receiver<Packet>,
    /// Pongs and refusals: they are no business of the switchboard. A peer that pings faster than it reads
    /// loses pongs.
    replies: mpsc::Receiver<Vec<u8>>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    async fn write(&mut self, bytes: &[u8]) -> bool {
        let all = async {
            self.half.write_all(bytes).await?;
            // TLS keeps what the socket did not take until it is flushed.
            self.half.flush().await
        };
        matches!(timeout(WRITE_TIMEOUT, all).await, Ok(Ok(())))
    }

    /// Writes what comes until the peer takes no more or nobody has anything to say.
    async fn run(&mut self) {
        loop {
            let is_written = tokio::select! {
                Some(packet) = self.packets.recv() => self.write(&packet).await,
                Some(reply) = self.replies.recv() => self.write(&reply).await,
                else => return,
            };
            if !is_written {
                return;
            }
        }
    }

    /// Writes what is still owed, and closes: a peer that has said all it has to say still reads.
    async fn finish(mut self) {
        while let Ok(packet) = self.packets.try_recv() {
            if !self.write(&packet).await {
                return;
            }
        }
        while let Ok(reply) = self.replies.try_recv() {
            self.write(&reply).await;
        }
        let _ = timeout(WRITE_TIMEOUT, self.half.shutdown()).await;
    }
}

/// When a connection is pinged, and when it is given up.
///
/// The peer's pong is waited for only after it has sent one: many a server does not know what a ping is, and one that
/// is silent only because it is idle must not lose its calls.
struct Pulse {
    /// `None`: the peer made the connection, and it is the peer that pings.
    ping_at: Option<Deadline>,
    pong_by: Option<Deadline>,
    has_ponged: bool,
}

impl Pulse {
    fn new(is_ours: bool) -> Self {
        let ping_at = is_ours.then(|| Deadline::now() + PING_EVERY);
        Self { ping_at, pong_by: None, has_ponged: false }
    }

    /// When it wants [`Self::beat`].
    fn next(&self) -> Option<Deadline> {
        self.pong_by.or(self.ping_at)
    }

    /// Something came.
    fn heard(&mut self, is_pong: bool) {
        self.has_ponged |= is_pong;
        self.pong_by = None;
        if self.ping_at.is_some() {
            self.ping_at = Some(Deadline::now() + PING_EVERY);
        }
    }

    /// Its time has come: is a ping to be sent? `None`: the peer is gone.
    fn beat(&mut self) -> Option<bool> {
        let now = Deadline::now();
        if self.pong_by.is_some_and(|by| by <= now) {
            self.pong_by = None;
            return (!self.has_ponged).then_some(false);
        }
        let is_due = self.ping_at.is_some_and(|at| at <= now);
        if is_due {
            self.ping_at = Some(now + PING_EVERY);
            self.pong_by = Some(now + PONG_TIMEOUT);
        }
        Some(is_due)
    }
}

/// Reads and writes one connection until either side is done with it.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    id: u64,
    stream: S,
    (remote, is_ours): (SocketAddr, bool),
    said: mpsc::Sender<Said>,
    packets: mpsc::Receiver<Packet>,
) {
    let (reader, half) = tokio::io::split(stream);
    let (reply_tx, replies) = mpsc::channel(4);
    let mut writer = Writer { half, packets, replies };
    tokio::select! {
        () = read((id, remote), Pulse::new(is_ours), reader, &said, &reply_tx) => {}
        () = writer.run() => {}
    }
    writer.finish().await;
    let _ = said.send(Said::Gone(id)).await;
}

/// Cuts messages out of what comes, until the peer closes or cannot be understood.
async fn read<R: AsyncRead + Unpin>(
    (id, remote): (u64, SocketAddr),
    mut pulse: Pulse,
    mut reader: R,
    said: &mpsc::Sender<Said>,
    replies: &mpsc::Sender<Vec<u8>>,
) {
    let mut framer = Framer::default();
    let mut buffer = vec![0; 16 * 1024];
    let (mut deadline, mut has_spoken) = (Deadline::now() + FIRST_TIMEOUT, false);
    loop {
        let until = pulse.next().map_or(deadline, |next| next.min(deadline));
        let length = match timeout_at(until, reader.read(&mut buffer)).await {
            Ok(Ok(length)) if length > 0 => length,
            Ok(_) => return,
            Err(_) if until >= deadline => return,
            Err(_) => match pulse.beat() {
                Some(is_due) => {
                    if is_due {
                        let _ = replies.try_send(b"\r\n\r\n".to_vec());
                    }
                    continue;
                }
                None => return,
            },
        };
        framer.push(buffer.get(..length).unwrap_or(&[]));
        // Elsewhere a single line end is the first half of a ping.
        let is_pong = pulse.pong_by.is_some() && framer.take_pong();
        pulse.heard(is_pong);
        while let Some(frame) = framer.next_frame() {
            match frame {
                Frame::Message(bytes) => {
                    has_spoken = true;
                    if said.send(Said::Frame(id, bytes)).await.is_err() {
                        return;
                    }
                }
                Frame::Ping => {
                    let _ = replies.try_send(b"\r\n".to_vec());
                }
                Frame::Broken { head, .. } => {
                    if let Some(refusal) = refusal(&head, remote) {
                        let _ = replies.try_send(refusal);
                    }
                    return;
                }
            }
        }
        if has_spoken {
            deadline = Deadline::now() + IDLE_TIMEOUT;
        }
    }
}

/// The 400 for a stream that cannot be framed, if its head is a request that can be answered.
fn refusal(head: &[u8], remote: SocketAddr) -> Option<Vec<u8>> {
    let mut text = head.to_vec();
    if !text.windows(4).any(|window| window == b"\r\n\r\n") {
        text.extend_from_slice(b"\r\n\r\n");
    }
    let request = match Message::parse(&text) {
        Parsed::Message(message) | Parsed::Refuse(message, _) if message.is_request() => message,
        _ => return None,
    };
    request.top_via()?;
    // Of the flow a response needs only where the request came from.
    let local = SocketAddr::from(([0, 0, 0, 0], 0));
    let flow = Flow { transport: Transport::Tcp, listener: 0, local, remote, connection: 0 };
    let reason = "Bad Request: the stream cannot be framed";
    Some(Builder::response(&request, 400, reason, None, &flow).finish().to_vec())
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;

    use super::*;

    /// A connection of ours, or of the peer's; the far end, and what it says to the switchboard.
    fn connected(is_ours: bool) -> (DuplexStream, mpsc::Receiver<Said>, mpsc::Sender<Packet>) {
        let (near, far) = tokio::io::duplex(4096);
        let (said, says) = mpsc::channel(4);
        let (sends, packets) = mpsc::channel(4);
        let remote = SocketAddr::from(([127, 0, 0, 1], 9));
        tokio::task::spawn(serve(1, near, (remote, is_ours), said, packets));
        (far, says, sends)
    }

    async fn reads(far: &mut DuplexStream, within: Duration) -> Option<Vec<u8>> {
        let mut buffer = [0; 64];
        let length = timeout(within, far.read(&mut buffer)).await.ok()?.unwrap();
        Some(buffer[..length].to_vec())
    }

    const OPTIONS: &[u8] = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n";

    /// A peer that closes its side after its request still gets the answer that was on its way.
    #[tokio::test(start_paused = true)]
    async fn what_was_said_reaches_a_peer_that_says_no_more() {
        let (mut far, mut says, sends) = connected(false);
        sends.send(b"one".to_vec().into()).await.unwrap();
        sends.send(b"two".to_vec().into()).await.unwrap();
        far.shutdown().await.unwrap();
        assert!(matches!(says.recv().await, Some(Said::Gone(1))));
        let mut heard = Vec::new();
        far.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"onetwo");
    }

    /// Row 39: a peer that has once sent a pong and then sends none is gone, ten seconds after the ping.
    #[tokio::test(start_paused = true)]
    async fn row_039_a_flow_whose_pong_does_not_come_is_closed() {
        let (mut far, mut says, _sends) = connected(true);
        far.write_all(OPTIONS).await.unwrap();
        assert!(matches!(says.recv().await, Some(Said::Frame(1, _))));
        for _ in 0..3 {
            let begin = Deadline::now();
            assert_eq!(reads(&mut far, PING_EVERY * 2).await.as_deref(), Some(&b"\r\n\r\n"[..]));
            assert!(begin.elapsed() <= PING_EVERY, "{:?}", begin.elapsed());
            far.write_all(b"\r\n").await.unwrap();
        }
        assert_eq!(reads(&mut far, PING_EVERY * 2).await.as_deref(), Some(&b"\r\n\r\n"[..]));
        let begin = Deadline::now();
        assert!(matches!(says.recv().await, Some(Said::Gone(1))));
        assert_eq!(begin.elapsed().as_secs(), PONG_TIMEOUT.as_secs());
    }

    /// Row 39: one that never sent a pong does not know what a ping is; it keeps its connection.
    #[tokio::test(start_paused = true)]
    async fn row_039_a_peer_that_knows_no_pings_is_left_alone() {
        let (mut far, mut says, sends) = connected(true);
        far.write_all(OPTIONS).await.unwrap();
        assert!(matches!(says.recv().await, Some(Said::Frame(1, _))));
        for _ in 0..5 {
            assert_eq!(reads(&mut far, PING_EVERY * 2).await.as_deref(), Some(&b"\r\n\r\n"[..]));
        }
        sends.send(b"SIP".to_vec().into()).await.unwrap();
        assert_eq!(reads(&mut far, PING_EVERY).await.as_deref(), Some(&b"SIP"[..]));
    }

    /// Row 39: who made the connection pings; what we are asked is answered at once.
    #[tokio::test(start_paused = true)]
    async fn row_039_a_ping_is_answered_and_none_is_sent_to_who_connected() {
        let (mut far, _says, _sends) = connected(false);
        far.write_all(OPTIONS).await.unwrap();
        for parts in [&[&b"\r\n\r\n"[..]][..], &[b"\r\n", b"\r\n"]] {
            for part in parts {
                far.write_all(part).await.unwrap();
                tokio::task::yield_now().await;
            }
            assert_eq!(reads(&mut far, PING_EVERY).await.as_deref(), Some(&b"\r\n"[..]));
        }
        assert_eq!(reads(&mut far, PING_EVERY * 10).await, None);
    }
}
