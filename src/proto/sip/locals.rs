//! Our own addresses: what a peer is told to answer to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::proto::network::Network;

use super::transport::{Dest, Flow, Host, Target, Transport};

/// An address of an interface with the length of its network prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interface {
    /// The address.
    pub ip: IpAddr,
    /// How many leading bits are the network.
    pub prefix: u8,
}

/// The sockets we listen on and the interfaces behind them, read once by the edge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Locals {
    /// Transport and bound address of each listener, in configured order.
    pub listeners: Vec<(Transport, SocketAddr)>,
    /// The machine's addresses.
    pub interfaces: Vec<Interface>,
    /// The address that the default route leaves from.
    pub default: IpAddr,
    /// What the admin wants written instead, where a socket is bound to all addresses.
    pub advertise: Option<IpAddr>,
    /// Networks that are reached without a NAT between: who is there is not told `advertise`.
    pub local_networks: Vec<Network>,
}

impl Default for Locals {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            interfaces: Vec::new(),
            default: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertise: None,
            local_networks: Vec::new(),
        }
    }
}

impl Locals {
    /// The address we answer on for a peer at `dest`: the interface in the same network, else the advertised address
    /// unless the peer is in a local network, else the one that the default route leaves from; of the peer's family
    /// as far as we have one.
    #[must_use]
    pub fn ip_for(&self, dest: Option<IpAddr>) -> IpAddr {
        let Some(dest) = dest else { return self.advertise.unwrap_or(self.default) };
        if dest.is_loopback() {
            // Another loopback address of ours (127.0.0.2) reaches us under the usual one.
            return if dest.is_ipv6() { dest } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        }
        let is_same =
            |interface: &&Interface| Network::new(interface.ip, interface.prefix).contains(dest);
        if let Some(interface) = self.interfaces.iter().find(is_same) {
            return interface.ip;
        }
        let is_local = self.local_networks.iter().any(|network| network.contains(dest));
        let advertised = self.advertise.filter(|_| !is_local);
        let fits = |ip: &IpAddr| ip.is_ipv4() == dest.is_ipv4();
        advertised
            .filter(fits)
            .or_else(|| Some(self.default).filter(fits))
            .or_else(|| self.global_of(&dest))
            .or(advertised)
            .unwrap_or(self.default)
    }

    /// An address of the family that others than the machine itself and its links can reach.
    fn global_of(&self, dest: &IpAddr) -> Option<IpAddr> {
        let is_global = |ip: &IpAddr| match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
            IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
        };
        let all = self.interfaces.iter().map(|interface| interface.ip);
        all.filter(|ip| ip.is_ipv4() == dest.is_ipv4()).find(is_global)
    }

    /// The private address that a peer on the Internet would be told, and could not send its audio to; `None` if all
    /// is well, or the admin has said what to tell.
    #[must_use]
    pub fn hidden_from(&self, target: Target) -> Option<IpAddr> {
        let is_private = |ip: IpAddr| private_networks().any(|network| network.contains(ip));
        let dest = target.address.ip();
        let is_far = !dest.is_loopback()
            && !is_private(dest)
            && !self.local_networks.iter().any(|network| network.contains(dest));
        let (_, told) = self.source_for(&Dest::from(target));
        (is_far && self.advertise.is_none() && is_private(told.ip())).then_some(told.ip())
    }

    /// The address to write for a listener when a peer at `dest` reads it.
    #[must_use]
    pub fn written(&self, bound: SocketAddr, dest: Option<IpAddr>) -> SocketAddr {
        let ip = if bound.ip().is_unspecified() { self.ip_for(dest) } else { bound.ip() };
        SocketAddr::new(ip, bound.port())
    }

    /// The transports that we listen on, UDP first: what a next hop that names none may be reached by.
    #[must_use]
    pub fn transports(&self) -> Vec<Transport> {
        let listens = |wanted: &Transport| self.listeners.iter().any(|(t, _)| t == wanted);
        [Transport::Udp, Transport::Tcp, Transport::Tls].into_iter().filter(listens).collect()
    }

    /// Can a request be sent there? Connections are made without a listener too.
    #[must_use]
    pub fn can_reach(&self, target: Target) -> bool {
        let mut of_transport =
            self.listeners.iter().filter(|(t, _)| *t == target.transport).peekable();
        if of_transport.peek().is_none() {
            return target.transport.is_reliable();
        }
        of_transport.any(|(_, bound)| reaches(*bound, target.address.ip()))
    }

    /// The listener that a flow of before a restart is served by now, and our address on it: the same
    /// address where we still have it, because a NAT lets nothing else through; else whichever reaches the
    /// peer. `None` if nothing does.
    #[must_use]
    pub fn listener_again(&self, flow: &Flow) -> Option<(u16, SocketAddr)> {
        let of_transport = || {
            let all = self.listeners.iter().enumerate().filter(|(_, (t, _))| *t == flow.transport);
            all.map(|(index, (_, bound))| (u16::try_from(index).unwrap_or(u16::MAX), *bound))
        };
        let remote = flow.remote.ip();
        let written = |bound| self.written(bound, Some(remote));
        of_transport()
            .find(|(index, bound)| *index == flow.listener && written(*bound) == flow.local)
            .or_else(|| of_transport().find(|(_, bound)| written(*bound) == flow.local))
            .or_else(|| of_transport().find(|(_, bound)| reaches(*bound, remote)))
            .map(|(index, bound)| (index, written(bound)))
    }

    /// The listener a new request to `dest` leaves from, and our address on it.
    #[must_use]
    pub fn source_for(&self, dest: &Dest) -> (u16, SocketAddr) {
        if let Dest::Flow(flow) = dest {
            return (flow.listener, flow.local);
        }
        let transport = dest.transport();
        let ip = match dest {
            Dest::Hop(hop) => match hop.host {
                Host::Ip(ip) => Some(ip),
                Host::Name(_) => None,
            },
            Dest::Flow(flow) => Some(flow.remote.ip()),
        };
        let fits = |bound: &SocketAddr| ip.is_none_or(|ip| reaches(*bound, ip));
        let of_transport =
            || self.listeners.iter().enumerate().filter(|(_, (t, _))| *t == transport);
        let found =
            of_transport().find(|(_, (_, bound))| fits(bound)).or_else(|| of_transport().next());
        match found {
            Some((index, (_, bound))) => {
                (u16::try_from(index).unwrap_or(u16::MAX), self.written(*bound, ip))
            }
            // No listener of this transport: an outgoing connection can still be made.
            None => (u16::MAX, SocketAddr::new(self.ip_for(ip), transport.default_port())),
        }
    }
}

/// Can a socket bound to `bound` send to `ip`?
fn reaches(bound: SocketAddr, ip: IpAddr) -> bool {
    bound.is_ipv4() == ip.is_ipv4()
        && (bound.ip().is_unspecified() || bound.ip().is_loopback() == ip.is_loopback())
}

/// The networks that nobody outside reaches (RFC 1918, RFC 6598, RFC 4193) and those of one link (RFC 3927, RFC 4291).
pub fn private_networks() -> impl Iterator<Item = Network> {
    let v4 = |a, b, prefix| Network::new(IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)), prefix);
    let v6 =
        |first, prefix| Network::new(IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), prefix);
    [
        v4(10, 0, 8),
        v4(172, 16, 12),
        v4(192, 168, 16),
        v4(100, 64, 10),
        v4(169, 254, 16),
        v6(0xfc00, 7),
        v6(0xfe80, 10),
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A restart with the listeners in another order, or on another port.
    #[test]
    fn a_flow_finds_its_listener_again() {
        use Transport::{Tcp, Udp};
        let listeners = |ports: &[(Transport, u16)]| Locals {
            listeners: ports
                .iter()
                .map(|(transport, port)| (*transport, SocketAddr::from(([0, 0, 0, 0], *port))))
                .collect(),
            ..Locals::default()
        };
        let local = SocketAddr::from(([127, 0, 0, 1], 5060));
        let remote = SocketAddr::from(([127, 0, 0, 1], 6000));
        let flow = Flow { transport: Udp, listener: 0, local, remote, connection: 0 };
        let again = |ports: &[(Transport, u16)]| {
            let found = listeners(ports).listener_again(&flow);
            found.map(|(listener, local)| (listener, local.port()))
        };
        assert_eq!(again(&[(Udp, 5060), (Tcp, 5060)]), Some((0, 5060)));
        assert_eq!(again(&[(Tcp, 5060), (Udp, 5060)]), Some((1, 5060)));
        assert_eq!(again(&[(Udp, 5070), (Udp, 5060)]), Some((1, 5060)));
        assert_eq!(again(&[(Tcp, 5060), (Udp, 5070)]), Some((1, 5070)));
        assert_eq!(again(&[(Tcp, 5060)]), None);
    }

    #[test]
    fn the_interface_of_the_peers_network_is_written() {
        let locals = Locals {
            listeners: vec![(Transport::Udp, "0.0.0.0:5060".parse().unwrap())],
            interfaces: vec![Interface { ip: "10.1.2.3".parse().unwrap(), prefix: 8 }],
            default: "192.0.2.1".parse().unwrap(),
            ..Locals::default()
        };
        let written = |dest: &str| {
            locals.written(locals.listeners[0].1, Some(dest.parse().unwrap())).to_string()
        };
        assert_eq!(written("10.9.9.9"), "10.1.2.3:5060");
        assert_eq!(written("198.51.100.1"), "192.0.2.1:5060");
        assert_eq!(written("127.0.0.1"), "127.0.0.1:5060");
    }

    /// Behind a NAT: a public address for the Internet, our own for those on our side of it, whatever their subnet.
    #[test]
    fn an_advertised_address_is_told_outside_only() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let locals = Locals {
            listeners: vec![(Transport::Udp, "0.0.0.0:5060".parse().unwrap())],
            interfaces: vec![
                Interface { ip: ip("10.1.0.2"), prefix: 24 },
                Interface { ip: ip("fe80::1"), prefix: 64 },
                Interface { ip: ip("2001:db8:5::2"), prefix: 64 },
            ],
            default: ip("10.1.0.2"),
            advertise: Some(ip("198.51.100.7")),
            local_networks: private_networks().collect(),
        };
        for (dest, told) in [
            ("203.0.113.9", "198.51.100.7"),
            ("10.1.0.77", "10.1.0.2"),
            ("10.200.3.4", "10.1.0.2"),
            ("192.168.40.1", "10.1.0.2"),
            ("127.0.0.2", "127.0.0.1"),
            ("2001:db8:77::1", "2001:db8:5::2"),
        ] {
            assert_eq!(locals.ip_for(Some(ip(dest))), ip(told), "{dest}");
        }
        let everywhere = Locals { local_networks: Vec::new(), ..locals.clone() };
        assert_eq!(everywhere.ip_for(Some(ip("192.168.40.1"))), ip("198.51.100.7"));
    }

    #[test]
    fn a_private_address_is_not_for_the_internet() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let hidden = |default: &str, advertise: Option<&str>, local: &str, dest: &str| {
            let locals = Locals {
                listeners: vec![(Transport::Udp, "0.0.0.0:5060".parse().unwrap())],
                default: ip(default),
                advertise: advertise.map(ip),
                local_networks: Network::parse(local).into_iter().collect(),
                ..Locals::default()
            };
            let address = SocketAddr::new(ip(dest), 5060);
            locals.hidden_from(Target { transport: Transport::Udp, address }).is_some()
        };
        assert!(hidden("10.1.0.2", None, "", "203.0.113.9"));
        assert!(hidden("100.64.0.2", None, "", "203.0.113.9"));
        assert!(!hidden("198.51.100.7", None, "", "203.0.113.9"), "a public one");
        assert!(!hidden("10.1.0.2", Some("10.1.0.2"), "", "203.0.113.9"), "the admin said so");
        assert!(!hidden("10.1.0.2", None, "203.0.113.0/24", "203.0.113.9"), "it is local");
        assert!(!hidden("10.1.0.2", None, "", "10.9.9.9"));
        assert!(!hidden("10.1.0.2", None, "", "127.0.0.1"));
    }
}
