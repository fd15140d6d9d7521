//! The machine's own addresses.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;

use crate::proto::network::Network;
use crate::proto::sip::locals::{Interface, Locals};
use crate::proto::sip::transport::Transport;

/// Our listeners with the addresses behind them.
#[must_use]
pub fn locals(
    listeners: Vec<(Transport, SocketAddr)>,
    advertise: Option<IpAddr>,
    local_networks: Vec<Network>,
) -> Locals {
    let interfaces = interfaces();
    let default = default_address()
        .or_else(|| interfaces.iter().map(|interface| interface.ip).find(|ip| !ip.is_loopback()))
        .unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Locals { listeners, interfaces, default, advertise, local_networks }
}

fn interfaces() -> Vec<Interface> {
    let Ok(list) = getifaddrs() else { return Vec::new() };
    list.filter_map(|entry| {
        let ip = ip_of(entry.address.as_ref()?)?;
        let prefix = match ip_of(entry.netmask.as_ref()?)? {
            IpAddr::V4(mask) => mask.to_bits().leading_ones(),
            IpAddr::V6(mask) => mask.to_bits().leading_ones(),
        };
        Some(Interface { ip, prefix: u8::try_from(prefix).unwrap_or(128) })
    })
    .collect()
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(IpAddr::V4(v4.ip()));
    }
    address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()))
}

/// The address that the default route leaves from: connecting a datagram socket looks the route up and
/// sends nothing. The destination is one of the addresses kept for documentation (RFC 5737).
fn default_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}
