//! Our own addresses: what a peer is told to answer to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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
}

impl Default for Locals {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            interfaces: Vec::new(),
            default: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertise: None,
        }
    }
}

impl Locals {
    /// The address we answer on for a peer at `dest`: the interface in the same network, else the
    /// advertised address, else the one that the default route leaves from.
    #[must_use]
    pub fn ip_for(&self, dest: Option<IpAddr>) -> IpAddr {
        let Some(dest) = dest else { return self.advertise.unwrap_or(self.default) };
        if dest.is_loopback() {
            // Another loopback address of ours (127.0.0.2) reaches us under the usual one.
            return if dest.is_ipv6() { dest } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        }
        self.interfaces
            .iter()
            .find(|interface| same_network(interface.ip, dest, interface.prefix))
            .map(|interface| interface.ip)
            .or(self.advertise)
            .unwrap_or(self.default)
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

fn same_network(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let shift = 32_u32.saturating_sub(u32::from(prefix));
            a.to_bits().checked_shr(shift).unwrap_or(0)
                == b.to_bits().checked_shr(shift).unwrap_or(0)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let shift = 128_u32.saturating_sub(u32::from(prefix));
            a.to_bits().checked_shr(shift).unwrap_or(0)
                == b.to_bits().checked_shr(shift).unwrap_or(0)
        }
        _ => false,
    }
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
            advertise: None,
        };
        let written = |dest: &str| {
            locals.written(locals.listeners[0].1, Some(dest.parse().unwrap())).to_string()
        };
        assert_eq!(written("10.9.9.9"), "10.1.2.3:5060");
        assert_eq!(written("198.51.100.1"), "192.0.2.1:5060");
        assert_eq!(written("127.0.0.1"), "127.0.0.1:5060");
    }
}
