//! One UDP listener, with the ICMP errors that its packets meet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use nix::sys::socket::{MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{Interest, ReadBuf};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Arrival, READ_BATCH, mark};
use crate::proto::sip::endpoint::{Attempt, attempt_of_request};
use crate::proto::sip::locals::Locals;
use crate::proto::sip::transport::{Flow, Transport};

/// Room in the kernel for datagrams that arrive while we are busy: a second of a restart's REGISTERs.
const RECEIVE_BUFFER: usize = 8 << 20;

/// Failed transactions that nobody has asked for yet. When it is full, further ones end by their timers.
const ERRORS_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct UdpListener {
    index: u16,
    address: SocketAddr,
    socket: Rc<UdpSocket>,
    read_in_a_row: usize,
    errors: mpsc::Receiver<Attempt>,
    error_reader: JoinHandle<()>,
}

impl Drop for UdpListener {
    fn drop(&mut self) {
        self.error_reader.abort();
    }
}

impl UdpListener {
    pub(super) fn bind(index: u16, address: SocketAddr, dscp: u8) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        let _ = socket.set_send_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        mark((&socket).into(), address, dscp)?;
        // An unreachable port is told by ICMP (RFC 3261 §18.4); without this the kernel keeps it to itself.
        if address.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
        }
        socket.bind(&address.into())?;
        let socket = Rc::new(UdpSocket::from_std(socket.into())?);
        let address = socket.local_addr()?;
        let (tx, errors) = mpsc::channel(ERRORS_MAX);
        let error_reader = tokio::task::spawn_local(read_errors(Rc::clone(&socket), tx));
        Ok(Self { index, address, socket, read_in_a_row: 0, errors, error_reader })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) const fn index(&self) -> u16 {
        self.index
    }

    /// Has it been read long enough for the others to have a turn?
    pub(super) const fn takes_a_break(&mut self) -> bool {
        self.read_in_a_row += 1;
        let is_due = self.read_in_a_row >= READ_BATCH;
        if is_due {
            self.read_in_a_row = 0;
        }
        is_due
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        locals: &Locals,
    ) -> Poll<Option<Arrival>> {
        if let Poll::Ready(Some(attempt)) = self.errors.poll_recv(cx) {
            return Poll::Ready(Some(Arrival::Failed(attempt)));
        }
        loop {
            let mut read = ReadBuf::new(buffer);
            // An error here is one of a packet sent before; which one, the error queue says.
            let Ok(remote) = ready!(self.socket.poll_recv_from(cx, &mut read)) else { continue };
            let flow = Flow {
                transport: Transport::Udp,
                listener: self.index,
                local: locals.written(self.address, Some(remote.ip())),
                remote,
                connection: 0,
            };
            return Poll::Ready(Some(Arrival::Datagram(flow, read.filled().len())));
        }
    }

    /// Sends a datagram; false if it cannot be sent at all.
    pub(super) fn send(&mut self, to: SocketAddr, packet: &[u8]) -> bool {
        for _ in 0..3 {
            match self.socket.try_send_to(packet, to) {
                Ok(_) => return true,
                // A full socket drops, as the network would: the transaction sends again.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                // An error of an earlier packet is reported here too, once; the queue keeps it for the reader.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// Waits for ICMP errors and says which client transactions they are about.
async fn read_errors(socket: Rc<UdpSocket>, attempts: mpsc::Sender<Attempt>) {
    while socket.ready(Interest::ERROR).await.is_ok() {
        let mut packet = [0_u8; 2048];
        let read = socket.try_io(Interest::ERROR, || read_error_queue(&socket, &mut packet));
        let attempt =
            read.ok().and_then(|length| packet.get(..length)).and_then(attempt_of_request);
        if let Some(attempt) = attempt
            && matches!(attempts.try_send(attempt), Err(mpsc::error::TrySendError::Closed(_)))
        {
            return;
        }
    }
}

fn read_error_queue(socket: &UdpSocket, packet: &mut [u8]) -> io::Result<usize> {
    let mut parts = [io::IoSliceMut::new(packet)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, None, flags)?;
    Ok(message.bytes)
}
