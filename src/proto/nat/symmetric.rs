//! Symmetric RTP (RFC 4961): learning where a peer behind NAT really sends from,
//! without letting a stranger take the stream (RFC 7362 §5).

use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::rtp::{Header, Ssrc};
use crate::proto::time::Instant;

/// How long after (re)arming a source at another address may be believed.
pub const ARMED_FOR: Duration = Duration::from_secs(5);
/// Packets in sequence from one source before it is believed. Spraying ports
/// with single packets gains nothing.
pub const PROBATION: u8 = 3;
/// A source silent for this long no longer defends its place.
pub const QUIET_AFTER: Duration = Duration::from_millis(500);

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// From the peer.
    Accept,
    /// From the peer, who from now on is at this address.
    Moved(SocketAddr),
    /// From somebody else, or not yet believed: drop and count.
    Stranger,
}

/// Where one leg's RTP comes from and goes to.
///
/// The address of the session description wins whenever it sends. While armed, a
/// source elsewhere is believed after [`PROBATION`] packets in sequence; later,
/// only another port of the same host, unless the packets are known to be the peer's.
#[derive(Clone, Debug, Default)]
pub struct Latch {
    announced: Option<SocketAddr>,
    current: Option<SocketAddr>,
    armed_until: Instant,
    /// When a packet was last accepted, and whether any was since arming.
    last_accepted: Option<Instant>,
    candidate: Option<Candidate>,
    /// Only packets that are known to be the peer's come here.
    is_vouched: bool,
    /// The peer shows where it is by connectivity checks, and in no other way.
    checked: Option<Checked>,
}

/// Addresses that one leg's peer has checked from; the one that was checked from longest ago leaves for a further one.
pub const CHECKED_MAX: usize = 8;

/// Where the checks of a peer came from (RFC 8445 §7.3).
#[derive(Clone, Debug, Default)]
struct Checked {
    /// Latest last.
    valid: Vec<SocketAddr>,
    nominated: Option<SocketAddr>,
}

impl Checked {
    /// `true`: another address is nominated than before.
    fn check(&mut self, from: SocketAddr, is_nominated: bool) -> bool {
        self.valid.retain(|known| *known != from);
        if self.valid.len() >= CHECKED_MAX {
            self.valid.remove(0);
        }
        self.valid.push(from);
        is_nominated && self.nominated.replace(from) != Some(from)
    }

    fn has(&self, from: SocketAddr) -> bool {
        self.valid.contains(&from)
    }
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    from: SocketAddr,
    ssrc: Ssrc,
    next_sequence: u16,
    seen: u8,
}

impl Latch {
    /// Opens the window, after an offer or answer. An address that differs from
    /// the last announced one is believed at once; an equal one keeps what was
    /// learned until the peer shows itself elsewhere.
    pub fn arm(&mut self, now: Instant, announced: Option<SocketAddr>) {
        if announced.is_some() && announced != self.announced {
            self.current = None;
            self.last_accepted = None;
        }
        self.announced = announced.or(self.announced);
        self.armed_until = now + ARMED_FOR;
        self.candidate = None;
    }

    /// Whether every packet is known to be the peer's before it comes here, as under SRTP: then it may go to
    /// another host in the middle of a call, once the old one is quiet.
    pub fn vouch(&mut self, is_vouched: bool) {
        self.is_vouched = is_vouched;
    }

    /// Whether the peer shows where it is by connectivity checks: then what it announces and where its packets come from
    /// decide nothing.
    pub fn follow_checks(&mut self, is_checked: bool) {
        if is_checked != self.checked.is_some() {
            self.checked = is_checked.then(Checked::default);
        }
    }

    /// A check of the peer's came from there; the address, if it is to be sent to from now on and was not before.
    pub fn checked(&mut self, from: SocketAddr, is_nominated: bool) -> Option<SocketAddr> {
        let is_new = self.checked.as_mut().is_some_and(|known| known.check(from, is_nominated));
        is_new.then_some(from)
    }

    /// Whether what is no audio may be the peer's, by where it comes from. Where nobody checks that is anybody.
    #[must_use]
    pub fn may_be_from(&self, from: SocketAddr) -> bool {
        self.checked.as_ref().is_none_or(|known| known.has(from))
    }

    /// Somebody at this address has proved to be the peer otherwise than by its packets.
    pub fn proved(&mut self, now: Instant, at: SocketAddr) -> Verdict {
        if self.checked.is_some() || self.destination() == Some(at) {
            return Verdict::Accept;
        }
        self.move_to(now, at)
    }

    /// What the description says.
    #[must_use]
    pub fn announced(&self) -> Option<SocketAddr> {
        self.announced
    }

    /// Where to send: what was learned, else what was announced.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        match &self.checked {
            Some(checked) => checked.nominated,
            None => self.current.or(self.announced),
        }
    }

    /// The learned address, if it is not the announced one.
    #[must_use]
    pub fn learned(&self) -> Option<SocketAddr> {
        let found = match &self.checked {
            Some(checked) => checked.nominated,
            None => self.current,
        };
        found.filter(|found| Some(*found) != self.announced)
    }

    /// Judges a packet by where it came from.
    pub fn packet(&mut self, now: Instant, from: SocketAddr, header: &Header) -> Verdict {
        if let Some(checked) = &self.checked {
            return if checked.has(from) { Verdict::Accept } else { Verdict::Stranger };
        }
        if Some(from) == self.current {
            self.last_accepted = Some(now);
            return Verdict::Accept;
        }
        if Some(from) == self.announced {
            return self.move_to(now, from);
        }
        if !self.may_move_to(now, from) {
            return Verdict::Stranger;
        }
        let seen = match self.candidate {
            Some(known) if known.continues(from, header) => known.seen.saturating_add(1),
            _ => 1,
        };
        if seen >= PROBATION {
            return self.move_to(now, from);
        }
        let next_sequence = header.sequence.wrapping_add(1);
        self.candidate = Some(Candidate { from, ssrc: header.ssrc, next_sequence, seen });
        Verdict::Stranger
    }

    fn may_move_to(&self, now: Instant, from: SocketAddr) -> bool {
        let is_quiet = self.last_accepted.is_none_or(|at| now.since(at) >= QUIET_AFTER);
        let is_same_host = self.destination().is_some_and(|known| known.ip() == from.ip());
        is_quiet && (is_same_host || self.is_vouched || now <= self.armed_until)
    }

    fn move_to(&mut self, now: Instant, to: SocketAddr) -> Verdict {
        let is_known = self.destination() == Some(to);
        self.current = Some(to);
        self.last_accepted = Some(now);
        self.candidate = None;
        if is_known { Verdict::Accept } else { Verdict::Moved(to) }
    }
}

impl Candidate {
    fn continues(&self, from: SocketAddr, header: &Header) -> bool {
        self.from == from && self.ssrc == header.ssrc && self.next_sequence == header.sequence
    }
}

/// Where one leg's RTCP comes from and goes to. RTCP is too sparse to be on
/// probation, so it follows the host that RTP has been found at.
#[derive(Clone, Debug, Default)]
pub struct RtcpLatch {
    announced: Option<SocketAddr>,
    current: Option<SocketAddr>,
    /// Reports share the port of the audio.
    is_multiplexed: bool,
    /// Where they do not, and the peer checks.
    checked: Option<Checked>,
}

impl RtcpLatch {
    /// Takes a newly announced address.
    pub fn arm(&mut self, announced: Option<SocketAddr>) {
        if announced.is_some() && announced != self.announced {
            self.current = None;
            self.announced = announced;
        }
    }

    /// Whether reports share the port of the audio (RFC 5761), and whether the peer shows by checks where they go otherwise.
    pub fn follow(&mut self, is_multiplexed: bool, is_checked: bool) {
        self.is_multiplexed = is_multiplexed;
        let is_checked = is_checked && !is_multiplexed;
        if is_checked != self.checked.is_some() {
            self.checked = is_checked.then(Checked::default);
        }
    }

    /// Do reports share the port of the audio?
    #[must_use]
    pub fn is_multiplexed(&self) -> bool {
        self.is_multiplexed
    }

    /// A check of the peer's came to the port of the reports.
    pub fn checked(&mut self, from: SocketAddr, is_nominated: bool) {
        if let Some(checked) = &mut self.checked {
            checked.check(from, is_nominated);
        }
    }

    /// Whether a packet is the peer's; remembers its source if so.
    pub fn packet(&mut self, from: SocketAddr, rtp: &Latch) -> bool {
        match (&rtp.checked, &self.checked) {
            (Some(checked), _) if self.is_multiplexed => return checked.has(from),
            // A peer that took reports and audio for one may still send them so.
            (Some(audio), Some(checked)) => return checked.has(from) || audio.has(from),
            _ => {}
        }
        let is_peer = rtp.destination().is_some_and(|known| known.ip() == from.ip())
            || (Some(from) == self.announced && rtp.learned().is_none());
        if is_peer {
            self.current = Some(from);
        }
        is_peer
    }

    /// Where to send. `None` where RTP was found at a host that has not shown its
    /// RTCP port: the announced address is then most likely a private one.
    #[must_use]
    pub fn destination(&self, rtp: &Latch) -> Option<SocketAddr> {
        if self.is_multiplexed {
            return rtp.destination();
        }
        if let Some(checked) = &self.checked {
            return checked.nominated;
        }
        let is_reachable =
            |address: &SocketAddr| rtp.learned().is_none_or(|learned| learned.ip() == address.ip());
        self.current.or(self.announced).filter(is_reachable)
    }
}

#[cfg(test)]
mod tests;
