//! What carries a scripted phone's messages: datagrams, or a connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// One phone's way to its server.
pub enum Wire {
    /// Datagrams, and where the last one came from.
    Udp(UdpSocket, Option<SocketAddr>),
    /// A connection, and what was read of it and not yet understood.
    Tcp(TcpStream, Vec<u8>),
}

impl Wire {
    /// Datagrams from a port of its own, on the server's address.
    pub fn udp(server: SocketAddr) -> Self {
        Self::Udp(UdpSocket::bind((server.ip(), 0)).unwrap(), None)
    }

    /// A new connection.
    pub fn tcp(server: SocketAddr) -> Self {
        Self::connected(TcpStream::connect(server).unwrap())
    }

    /// A connection that is there already.
    pub fn connected(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self::Tcp(stream, Vec::new())
    }

    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket, _) => socket.local_addr().unwrap(),
            Self::Tcp(stream, _) => stream.local_addr().unwrap(),
        }
    }

    /// Where the last datagram came from.
    pub const fn heard_from(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(_, from) => *from,
            Self::Tcp(..) => None,
        }
    }

    /// The transport as a Via has it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Udp(..) => "UDP",
            Self::Tcp(..) => "TCP",
        }
    }

    /// The transport as a Contact has it.
    pub const fn uri_parameter(&self) -> &'static str {
        match self {
            Self::Udp(..) => "",
            Self::Tcp(..) => ";transport=tcp",
        }
    }

    /// Sends some bytes.
    pub fn send(&mut self, bytes: &[u8], server: SocketAddr) {
        match self {
            Self::Udp(socket, _) => {
                socket.send_to(bytes, server).unwrap();
            }
            Self::Tcp(stream, _) => stream.write_all(bytes).unwrap(),
        }
    }

    /// The next message, or the pong of a connection.
    pub fn receive(&mut self, patience: Duration) -> io::Result<String> {
        match self {
            Self::Udp(socket, heard_from) => {
                socket.set_read_timeout(Some(patience))?;
                let mut buffer = [0; 8192];
                let (length, from) = socket.recv_from(&mut buffer)?;
                *heard_from = Some(from);
                Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
            }
            Self::Tcp(stream, read) => {
                stream.set_read_timeout(Some(patience))?;
                loop {
                    if let Some(end) = message_end(read) {
                        let message: Vec<u8> = read.drain(..end).collect();
                        return Ok(String::from_utf8_lossy(&message).into_owned());
                    }
                    let mut buffer = [0; 8192];
                    let length = stream.read(&mut buffer)?;
                    if length == 0 {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                    read.extend_from_slice(&buffer[..length]);
                }
            }
        }
    }

    /// Everything until the peer closes.
    pub fn receive_to_the_end(&mut self, patience: Duration) -> String {
        let Self::Tcp(stream, read) = self else { panic!("a datagram socket has no end") };
        stream.set_read_timeout(Some(patience)).unwrap();
        stream.read_to_end(read).unwrap();
        String::from_utf8_lossy(&std::mem::take(read)).into_owned()
    }
}

/// Where the first message of a stream ends.
fn message_end(read: &[u8]) -> Option<usize> {
    if read.starts_with(b"\r\n") {
        return Some(2);
    }
    let text = String::from_utf8_lossy(read);
    let head = text.find("\r\n\r\n")? + 4;
    let length = text[..head].lines().find_map(|line| line.strip_prefix("Content-Length:"))?;
    let end = head + length.trim().parse::<usize>().ok()?;
    (read.len() >= end).then_some(end)
}
