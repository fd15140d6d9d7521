//! The stream that a leg's peer hears: one source for the whole call (RFC 3550
//! §5.1), whoever is behind it.

use super::packet::{Header, Ssrc};
use super::stats::ticks;
use crate::proto::time::Instant;

/// Our own RTP towards one peer.
///
/// Numbers and timestamps of a source are shifted by a constant, so that its gaps
/// and reordering stay visible to the peer. When the source changes, the shift is
/// chosen anew: the number goes on by one, the timestamp by the time that passed.
#[derive(Clone, Debug)]
pub struct OutgoingStream {
    ssrc: Ssrc,
    source: Option<Ssrc>,
    sequence_shift: u16,
    timestamp_shift: u32,
    /// The newest number sent, its timestamp, and when.
    newest: u16,
    newest_timestamp: u32,
    newest_at: Option<Instant>,
    packets: u32,
    octets: u32,
}

/// A packet's new header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// To be written over the old one; the payload type is still the source's.
    pub header: Header,
    /// The source has changed with this packet.
    pub is_switch: bool,
}

impl OutgoingStream {
    /// A stream that has sent nothing. All three numbers should be random
    /// (RFC 3550 §5.1).
    #[must_use]
    pub fn new(ssrc: Ssrc, first_sequence: u16, first_timestamp: u32) -> Self {
        Self {
            ssrc,
            source: None,
            sequence_shift: 0,
            timestamp_shift: 0,
            newest: first_sequence.wrapping_sub(1),
            newest_timestamp: first_timestamp,
            newest_at: None,
            packets: 0,
            octets: 0,
        }
    }

    /// Gives a source's packet its place in our stream. `restarts`: the source has
    /// begun to count anew under its old name.
    pub fn relay(
        &mut self,
        now: Instant,
        header: &Header,
        clock_rate: u32,
        restarts: bool,
    ) -> Relayed {
        let is_switch = restarts || self.source != Some(header.ssrc);
        if is_switch {
            self.switch(now, header, clock_rate);
        }
        let sequence = header.sequence.wrapping_add(self.sequence_shift);
        let timestamp = header.timestamp.wrapping_add(self.timestamp_shift);
        if sequence.wrapping_sub(self.newest).cast_signed() > 0 {
            self.newest = sequence;
            self.newest_timestamp = timestamp;
            self.newest_at = Some(now);
        }
        let marker = header.marker || is_switch;
        let header = Header { sequence, timestamp, marker, ssrc: self.ssrc, ..*header };
        Relayed { header, is_switch }
    }

    fn switch(&mut self, now: Instant, header: &Header, clock_rate: u32) {
        let passed = self.newest_at.map_or(0, |at| ticks(now.since(at), clock_rate).max(1));
        let timestamp = self.newest_timestamp.wrapping_add(passed);
        self.source = Some(header.ssrc);
        self.sequence_shift = self.newest.wrapping_add(1).wrapping_sub(header.sequence);
        self.timestamp_shift = timestamp.wrapping_sub(header.timestamp);
    }

    /// Counts a packet as sent, for sender reports.
    pub fn sent(&mut self, payload_octets: usize) {
        let octets = u32::try_from(payload_octets).unwrap_or_default();
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(octets);
    }

    /// Our identifier towards this peer.
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Who is behind the stream at present.
    #[must_use]
    pub fn source(&self) -> Option<Ssrc> {
        self.source
    }

    /// What is added to the source's timestamps.
    #[must_use]
    pub fn timestamp_shift(&self) -> u32 {
        self.timestamp_shift
    }

    /// What is added to the source's sequence numbers.
    #[must_use]
    pub fn sequence_shift(&self) -> u16 {
        self.sequence_shift
    }

    /// Packets and payload octets sent, as a sender report counts them.
    #[must_use]
    pub fn sent_totals(&self) -> (u32, u32) {
        (self.packets, self.octets)
    }
}
