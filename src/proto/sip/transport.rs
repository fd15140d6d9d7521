//! Where messages come from and go to: values only, the sockets are in `edge/sip_io`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What carries SIP messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
    /// Streams under TLS.
    Tls,
    /// Messages of a WebSocket (RFC 7118).
    Ws,
    /// Messages of a WebSocket under TLS.
    Wss,
}

impl Transport {
    /// The token in a Via header (RFC 3261 §25.1).
    #[must_use]
    pub const fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The word for it in the configuration and in what operators read.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }

    /// The `transport` parameter of a URI of ours with its semicolon: nothing for UDP. `tls` was taken out of RFC
    /// 3261's successor for URIs, and is what every phone and carrier writes and reads all the same; under TLS a
    /// WebSocket is `ws` too (RFC 7118 §5.3).
    #[must_use]
    pub const fn uri_parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
            Self::Ws | Self::Wss => ";transport=ws",
        }
    }

    /// The port where none is written (RFC 3261 §19.1.2, RFC 7118 §5.3).
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => DEFAULT_PORT,
            Self::Tls => DEFAULT_TLS_PORT,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }

    /// Reads a `transport` parameter, whatever its case.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];
        all.into_iter().find(|transport| word.eq_ignore_ascii_case(transport.word()))
    }

    /// Are retransmissions left to the transport (RFC 3261 §17)?
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Can nobody on the way read or change what is sent?
    #[must_use]
    pub const fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }
}

/// Where one message came from, precisely enough to answer on the same socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    /// What it speaks.
    pub transport: Transport,
    /// Our socket: the listener's index in the configuration.
    pub listener: u16,
    /// Our address on it, as a peer of this flow should write it.
    pub local: SocketAddr,
    /// The peer's address.
    pub remote: SocketAddr,
    /// The connection of a stream; 0 for datagrams.
    pub connection: u64,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.word(), self.remote)
    }
}

/// The SIP port where none is written (RFC 3261 §19.1.2).
pub const DEFAULT_PORT: u16 = 5060;
/// The same under TLS.
pub const DEFAULT_TLS_PORT: u16 = 5061;

/// A next hop that may still need a look-up: what is not written is found by RFC 3263 §4.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NextHop {
    /// What to speak, if somebody said so.
    pub transport: Option<Transport>,
    /// An IP address or a domain name.
    pub host: Host,
    /// The port, if somebody said so; then the name is a host's and no SRV record is asked for.
    pub port: Option<u16>,
    /// The domain that was looked up, where the host is an address that it led to: under TLS the server has to show
    /// a certificate for this name, not for its address (RFC 5922 §7.1).
    pub domain: Option<Box<str>>,
}

impl NextHop {
    /// A next hop that needs no look-up.
    #[must_use]
    pub const fn address(transport: Transport, address: SocketAddr) -> Self {
        Self {
            transport: Some(transport),
            host: Host::Ip(address.ip()),
            port: Some(address.port()),
            domain: None,
        }
    }

    /// A place that this hop was found at.
    #[must_use]
    pub fn found_at(&self, target: Target) -> Self {
        let domain = if target.transport.is_secure() { self.domain() } else { None };
        Self { domain, ..Self::address(target.transport, target.address) }
    }

    /// The name that a certificate of the server must have; `None` if all that is known is its address.
    #[must_use]
    pub fn domain(&self) -> Option<Box<str>> {
        match &self.host {
            Host::Name(name) => Some(name.clone()),
            Host::Ip(_) => self.domain.clone(),
        }
    }

    /// What to speak if no look-up says otherwise: UDP unless written (RFC 3263 §4.1).
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport.unwrap_or(Transport::Udp)
    }

    /// The port if no look-up says otherwise.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.transport().default_port())
    }

    /// The place itself, if no look-up is needed.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let Host::Ip(ip) = self.host else { return None };
        Some(Target { transport: self.transport(), address: SocketAddr::new(ip, self.port()) })
    }

    /// The socket address, if no look-up is needed.
    #[must_use]
    pub fn socket_address(&self) -> Option<SocketAddr> {
        self.target().map(|target| target.address)
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.target()) {
            (_, Some(target)) => target.fmt(f),
            (host, None) => {
                if let Some(transport) = self.transport {
                    write!(f, "{}:", transport.word())?;
                }
                write!(f, "{host}")?;
                self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// One place that a request can be sent to: what a next hop is once it is found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target {
    /// What it speaks.
    pub transport: Transport,
    /// Where it is.
    pub address: SocketAddr,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.word(), self.address)
    }
}

impl From<Target> for Dest {
    fn from(target: Target) -> Self {
        Self::Hop(NextHop::address(target.transport, target.address))
    }
}

/// The host of a URI, a Via or a next hop.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Host {
    /// A literal address; IPv6 without its brackets.
    Ip(IpAddr),
    /// A domain name, in lower case.
    Name(Box<str>),
}

impl Host {
    /// Reads a host: an IPv4 literal, an IPv6 literal in brackets (or, tolerated, without), or a name.
    ///
    /// `None` for an empty one or one with characters that no host has. Three colons before an embedded
    /// IPv4 address are read as two, as RFC 5118 §4.10 demands.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']')?;
            let ip = match inner.split_once(":::") {
                Some((head, v4)) if v4.parse::<Ipv4Addr>().is_ok() => {
                    format!("{head}::{v4}").parse()
                }
                _ => inner.parse(),
            };
            return ip.ok().map(|ip| Self::Ip(IpAddr::V6(ip)));
        }
        let text = text.trim_end_matches('.');
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Self::Ip(ip));
        }
        let is_name = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
        is_name.then(|| Self::Name(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Where to send a message.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Dest {
    /// On the socket and connection that a message came from.
    Flow(Flow),
    /// To a next hop, by whatever socket serves it.
    Hop(NextHop),
}

impl Dest {
    /// What it speaks.
    #[must_use]
    pub fn transport(&self) -> Transport {
        match self {
            Self::Flow(flow) => flow.transport,
            Self::Hop(hop) => hop.transport(),
        }
    }

    /// The peer's address, where it is known without a look-up.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Flow(flow) => Some(flow.remote),
            Self::Hop(hop) => hop.socket_address(),
        }
    }
}

impl fmt::Display for Dest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flow(flow) => flow.fmt(f),
            Self::Hop(hop) => hop.fmt(f),
        }
    }
}
