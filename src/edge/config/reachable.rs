//! What a configuration means on this machine: would a carrier be told an address that it cannot send to?

use std::net::{IpAddr, SocketAddr};

use super::decode::Source;
use super::{Diagnostic, Severity};
use crate::proto::sip::locals::Locals;
use crate::proto::sip::transport::{Target, Transport};
use crate::switch::snapshot::{Snapshot, TrunkMode};

/// The trunks whose peers are on the Internet while all that we have to tell them is a private address: they would
/// hear nothing, or be heard by nobody. Peers by name are not known before they are located.
#[must_use]
pub fn one_way_audio(snapshot: &Snapshot, locals: &Locals) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for trunk in snapshot.trunks.iter().filter(|trunk| trunk.mode != TrunkMode::Account) {
        let hidden = trunk.peers.iter().find_map(|peer| {
            let ip: IpAddr = peer.host.parse().ok()?;
            let transport = peer.transport.unwrap_or(Transport::Udp);
            let address = SocketAddr::new(ip, peer.port.unwrap_or(transport.default_port()));
            locals.hidden_from(Target { transport, address }).map(|ours| (ip, ours))
        });
        let Some((peer, ours)) = hidden else { continue };
        findings.push(Diagnostic {
            file: Source::Trunks.file().to_owned(),
            line: 0,
            col: 0,
            severity: Severity::Error,
            rule: "one-way-audio",
            message: format!(
                "trunk `{}`: {peer} would be told to send its audio to {ours}, which it cannot reach",
                trunk.name
            ),
            suggestion: Some(
                "set [sip] advertise to the address that the Internet knows us by, or add the network of the peer to [sip] local_networks"
                    .to_owned(),
            ),
        });
    }
    findings
}
