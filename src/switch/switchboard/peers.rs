//! Peers that are configured by name: located again and again, so that a call need not wait for it and a
//! carrier is known by all of its addresses.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::trunks::hop_of;
use super::*;
use crate::proto::sip::endpoint::Large;
use crate::proto::sip::locate::{Located, Why};
use crate::proto::sip::message::Parsed;
use crate::proto::sip::message::build::with_via;
use crate::proto::sip::transport::{NextHop, Target};
use crate::switch::snapshot::Trunk;

/// How often a name is located again; the edge remembers what its records allow.
const REFRESH_EVERY: Duration = Duration::from_secs(60);
/// How long an address of a configured name counts after it was last told: longer than a call.
const ADDRESS_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Addresses kept of one name; the oldest go first.
const ADDRESSES_MAX: usize = 64;

/// A peer by name.
#[derive(Debug, Default)]
struct Peer {
    /// Its servers as they were last found.
    located: Located,
    /// When that was told without a gap.
    whole_at: Option<Instant>,
    /// Every address of it, latest first, and when it was last told.
    seen: Vec<(SocketAddr, Instant)>,
}

/// All peers by name.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// In order, so that the same inputs give the same outputs.
    named: BTreeMap<NextHop, Peer>,
    refresh_at: Option<Instant>,
}

impl Peers {
    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        self.refresh_at
    }

    /// Is the flow from an address of this peer? On an address of the machine itself many programs live, so
    /// there the port counts too.
    pub(super) fn is_from(&self, hop: &NextHop, flow: &Flow) -> bool {
        let is_same = |address: &SocketAddr| {
            address.ip() == flow.remote.ip()
                && (!address.ip().is_loopback() || address.port() == flow.remote.port())
        };
        match hop.socket_address() {
            Some(address) => is_same(&address),
            None => self
                .named
                .get(hop)
                .is_some_and(|peer| peer.seen.iter().any(|(known, _)| is_same(known))),
        }
    }

    /// Every address that was found for a name.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.named.values().flat_map(|peer| &peer.seen).map(|(address, _)| address.ip())
    }

    /// The servers of a peer by name; none before it was found.
    pub(super) fn located(&self, hop: &NextHop) -> Option<&Located> {
        self.named.get(hop).map(|peer| &peer.located).filter(|found| !found.servers.is_empty())
    }

    /// Every place of a peer, as far as it is known.
    fn places(&self, hop: &NextHop) -> Vec<Target> {
        match hop.target() {
            Some(target) => vec![target],
            None => self.located(hop).map(|found| found.targets().collect()).unwrap_or_default(),
        }
    }
}

impl Switchboard {
    /// Takes over which peers are configured by name; they are located at once.
    pub(super) fn sync_peers(&mut self, now: Instant) {
        let peers = self.snapshot.trunks.iter().flat_map(|trunk| &trunk.peers).filter_map(hop_of);
        let mut old = std::mem::take(&mut self.peers.named);
        for hop in peers.filter(|hop| hop.target().is_none()) {
            // Several trunks may have the same one, such as two accounts at one carrier.
            let named = self.peers.named.entry(hop);
            named.or_insert_with_key(|hop| old.remove(hop).unwrap_or_default());
        }
        self.peers.refresh_at = (!self.peers.named.is_empty()).then_some(now);
    }

    pub(super) fn refresh_peers(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.peers.refresh_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        self.peers.refresh_at = Some(now + REFRESH_EVERY);
        let hops: Vec<_> = self.peers.named.keys().cloned().collect();
        self.with_endpoint(now, out, |endpoint, events| {
            for hop in &hops {
                endpoint.locate(now, hop, events);
            }
        });
    }

    /// A name was located. What was known is kept for [`ADDRESS_KEPT`], so that neither a name server that is
    /// down nor one that tells a few of many at a time makes a carrier a stranger in the middle of its calls.
    pub(super) fn peer_located(&mut self, now: Instant, hop: NextHop, located: Located) {
        let Some(peer) = self.peers.named.get_mut(&hop) else { return };
        if located.servers.is_empty() {
            return;
        }
        let mut addresses: Vec<_> = located.targets().map(|target| target.address).collect();
        addresses.dedup();
        let known: Vec<_> = addresses.iter().map(SocketAddr::ip).collect();
        peer.seen.retain(|(known, at)| now.since(*at) < ADDRESS_KEPT && !addresses.contains(known));
        peer.seen.splice(0..0, addresses.into_iter().map(|address| (address, now)));
        peer.seen.truncate(ADDRESSES_MAX);
        // Without its SRV records a domain looks like a host: a whole answer is worth more than half a one.
        let is_kept = peer.whole_at.is_some_and(|at| now.since(at) < ADDRESS_KEPT);
        if located.is_whole {
            peer.whole_at = Some(now);
        }
        if located.is_whole || !is_kept {
            peer.located = located;
        }
        self.guard_knows(known);
    }

    /// Where a request to this peer goes: each of its places in order, or its name as long as that has not
    /// been located.
    pub(super) fn ways_to(&mut self, now: Instant, hop: NextHop) -> Vec<Dest> {
        match self.peers.located(&hop) {
            Some(located) if hop.target().is_none() => {
                let targets = self.endpoint.order(now, located);
                targets.into_iter().map(|target| Dest::Hop(hop.found_at(target))).collect()
            }
            _ => vec![Dest::Hop(hop)],
        }
    }

    /// Is this a place that failed of late?
    pub(super) fn is_backing_off(&self, now: Instant, dest: &Dest) -> bool {
        let Dest::Hop(hop) = dest else { return false };
        hop.target().is_some_and(|target| self.endpoint.back_off(now, target).is_some())
    }

    /// Tells for which trunks a place is tried last from now on.
    pub(super) fn trunk_backs_off(
        &self,
        target: Target,
        span: Duration,
        why: Why,
        out: &mut Vec<Output>,
    ) {
        for trunk in &self.snapshot.trunks {
            let mut hops = trunk.peers.iter().filter_map(hop_of);
            if hops.any(|hop| self.peers.places(&hop).contains(&target)) {
                let fields = vec![
                    ("trunk", trunk.name.clone()),
                    ("target", target.to_string()),
                    ("seconds", whole_seconds(span).to_string()),
                    ("reason", words(span, why)),
                ];
                out.push(Output::Event { kind: "trunk.backing_off", fields });
            }
        }
    }

    /// How long and why a place is tried last, in words; `None` if it is not.
    pub(super) fn back_off_words(&self, now: Instant, target: Target) -> Option<String> {
        let back_off = self.endpoint.back_off(now, target)?;
        Some(words(back_off.until.since(now), back_off.why))
    }

    /// How a trunk's places stand: the words for those that are tried last, and whether that is all of them.
    pub(super) fn back_offs_of(&self, now: Instant, trunk: &Trunk) -> (Vec<String>, bool) {
        let hops = trunk.peers.iter().filter_map(hop_of);
        let mut places: Vec<_> = hops.flat_map(|hop| self.peers.places(&hop)).collect();
        // An address of a family that no socket of ours speaks is not tried at all.
        places.retain(|place| self.endpoint.locals().can_reach(*place));
        places.sort_unstable();
        places.dedup();
        let list: Vec<_> = places
            .iter()
            .filter_map(|place| {
                let words = self.back_off_words(now, *place)?;
                Some(if places.len() == 1 { words } else { format!("{place} {words}") })
            })
            .collect();
        let is_all = !list.is_empty() && list.len() == places.len();
        (list, is_all)
    }

    /// How a call's request goes if it is too large for a datagram: as its trunk wants it.
    pub(super) fn large_of(&self, request: &[u8]) -> Large {
        if self.snapshot.trunks.iter().all(|trunk| trunk.large_to_tcp) {
            return Large::ToTcp;
        }
        // It has no Via yet, without which nothing is a message.
        let request = with_via(request, "SIP/2.0/UDP request.invalid;branch=z9hG4bK0");
        let Parsed::Message(request) = Message::parse(&request) else { return Large::ToTcp };
        let key = (request.call_id().into_owned(), request.from_tag().unwrap_or_default());
        match self.dialogs.get(&key).map(|entry| &entry.peer) {
            Some(Origin::Trunk(name)) => large_on(self.snapshot.trunk(name)),
            _ => Large::ToTcp,
        }
    }
}

/// How a trunk wants large requests.
pub(super) fn large_on(trunk: Option<&Trunk>) -> Large {
    if trunk.is_none_or(|trunk| trunk.large_to_tcp) { Large::ToTcp } else { Large::Datagram }
}

fn words(span: Duration, why: Why) -> String {
    format!("backing off {} s {}", whole_seconds(span), why.words())
}

/// Rounded up, so that what is not over does not say 0.
fn whole_seconds(span: Duration) -> u64 {
    span.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}
