//! The socket pair of one side.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::port_pool::{PortPair, PortPool};

/// The kernel's buffer for one socket: more than a second of G.711, of which the
/// kernel allocates only what is queued.
const RECEIVE_BUFFER: usize = 128 * 1024;
/// Expedited forwarding, as the upper six bits of the octet (RFC 3246).
const DSCP_EF: u32 = 46 << 2;
/// Pairs that are tried when other programs sit in the range.
const ATTEMPTS_MAX: usize = 32;

/// Datagrams that are thrown away at most; the kernel's buffer holds fewer.
const DRAINED_MAX: usize = 512;

/// The sockets of one side of a call.
#[derive(Debug)]
pub(super) struct SocketPair {
    pub(super) rtp: UdpSocket,
    pub(super) rtcp: UdpSocket,
    pub(super) even_port: u16,
}

impl SocketPair {
    /// Opens a pair on ports of the pool. `Ok(None)` if there is no free pair.
    pub(super) fn open(ip: IpAddr, pool: &mut PortPool) -> io::Result<Option<Self>> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(even_port) = pool.take() else { return Ok(None) };
            match Self::bind(ip, even_port) {
                Ok(pair) => return Ok(Some(pair)),
                Err(error) => {
                    // To the end of the line, so the next attempt is another one.
                    pool.give_back(even_port);
                    if error.kind() != io::ErrorKind::AddrInUse {
                        return Err(error);
                    }
                }
            }
        }
        Ok(None)
    }

    pub(super) fn ports(&self) -> PortPair {
        (self.even_port, self.even_port.saturating_add(1))
    }

    /// Throws away what came before there was a call.
    pub(super) fn drain(&self, buffer: &mut [u8]) {
        for socket in [&self.rtp, &self.rtcp] {
            for _ in 0..DRAINED_MAX {
                if socket.recv_from(buffer).is_err() {
                    break;
                }
            }
        }
    }

    fn bind(ip: IpAddr, even_port: u16) -> io::Result<Self> {
        let rtp = open(SocketAddr::new(ip, even_port))?;
        let rtcp = open(SocketAddr::new(ip, even_port.saturating_add(1)))?;
        Ok(Self { rtp, rtcp, even_port })
    }
}

fn open(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if local.is_ipv4() {
        socket.set_tos_v4(DSCP_EF)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_tclass_v6(DSCP_EF)?;
    }
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}
