//! What carries a scripted phone's messages: datagrams, or a connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::secure::{Authority, Duplex, web_socket};

/// One phone's way to its server.
pub enum Wire {
    /// Datagrams, and where the last one came from.
    Udp(UdpSocket, Option<SocketAddr>),
    /// A connection, and what was read of it and not yet understood.
    Tcp(TcpStream, Vec<u8>),
    /// The same under TLS; the first one is for timeouts and addresses.
    Tls(TcpStream, Box<dyn Duplex>, Vec<u8>),
    /// A WebSocket; whether it is under TLS.
    Web(TcpStream, Box<WebSocket<Box<dyn Duplex>>>, bool),
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

    /// A connection under TLS to a server that must be `name`.
    pub fn tls(authority: &Authority, server: SocketAddr, name: &str) -> io::Result<Self> {
        let stream = authority.connect(server, name)?;
        Ok(Self::Tls(stream.sock.try_clone()?, Box::new(stream), Vec::new()))
    }

    /// A WebSocket for SIP.
    pub fn ws(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        let socket = web_socket(stream.try_clone().unwrap(), "sip").unwrap();
        Self::Web(stream, Box::new(socket), false)
    }

    /// The same under TLS.
    pub fn wss(authority: &Authority, server: SocketAddr, name: &str) -> Self {
        let stream = authority.connect(server, name).unwrap();
        let tcp = stream.sock.try_clone().unwrap();
        Self::Web(tcp, Box::new(web_socket(stream, "sip").unwrap()), true)
    }

    /// Our own address.
    pub fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket, _) => socket.local_addr().unwrap(),
            Self::Tcp(stream, _) | Self::Tls(stream, ..) | Self::Web(stream, ..) => {
                stream.local_addr().unwrap()
            }
        }
    }

    /// Where the last datagram came from.
    pub const fn heard_from(&self) -> Option<SocketAddr> {
        match self {
            Self::Udp(_, from) => *from,
            _ => None,
        }
    }

    /// The transport as a Via has it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Udp(..) => "UDP",
            Self::Tcp(..) => "TCP",
            Self::Tls(..) => "TLS",
            Self::Web(_, _, false) => "WS",
            Self::Web(_, _, true) => "WSS",
        }
    }

    /// The transport as a Contact has it.
    pub const fn uri_parameter(&self) -> &'static str {
        match self {
            Self::Udp(..) => "",
            Self::Tcp(..) => ";transport=tcp",
            Self::Tls(..) => ";transport=tls",
            Self::Web(..) => ";transport=ws",
        }
    }

    /// Sends some bytes.
    pub fn send(&mut self, bytes: &[u8], server: SocketAddr) {
        match self {
            Self::Udp(socket, _) => {
                socket.send_to(bytes, server).unwrap();
            }
            Self::Tcp(stream, _) => stream.write_all(bytes).unwrap(),
            Self::Tls(_, stream, _) => {
                stream.write_all(bytes).unwrap();
                stream.flush().unwrap();
            }
            Self::Web(_, socket, _) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                socket.send(Message::text(text)).unwrap();
            }
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
                next_message(stream, read)
            }
            Self::Tls(socket, stream, read) => {
                socket.set_read_timeout(Some(patience))?;
                next_message(stream, read)
            }
            Self::Web(stream, socket, _) => {
                stream.set_read_timeout(Some(patience))?;
                loop {
                    match socket.read().map_err(io::Error::other)? {
                        Message::Text(text) => return Ok(text.as_str().to_owned()),
                        Message::Binary(bytes) => {
                            return Ok(String::from_utf8_lossy(&bytes).into_owned());
                        }
                        Message::Close(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                        _ => {}
                    }
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

fn next_message(stream: &mut impl Read, read: &mut Vec<u8>) -> io::Result<String> {
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
