//! The stream that a leg's peer hears: one source for the whole call (RFC 3550
//! §5.1), whoever is behind it.

use super::packet::{Header, Ssrc};
use super::rtcp::Renumbering;
use super::sequence::{Arrival, MAX_DROPOUT};
use super::stats::ticks;
use crate::proto::time::Instant;

/// Our own RTP towards one peer.
///
/// Numbers and timestamps of a source are shifted by a constant, so that its gaps
/// and reordering stay visible to the peer. When the source changes, the shift is
/// chosen anew: the number goes on by one, the timestamp by the time that passed.
///
/// Where packets are cut or joined ([`super::Repacketiser`]) the shift of the numbers
/// follows: a packet taken in lowers it by one, a packet made raises it by one. So
/// packets that pass whole need nothing else, before and after.
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
    /// Ticks that the newest packet stands for, as far as known.
    newest_ticks: u32,
    /// The source's newest number.
    newest_in: u16,
    /// How many of the source's newest numbers the present shift is right for;
    /// `u16::MAX` is "all".
    steady: u16,
    hole: Hole,
    made: Made,
    packets: u32,
    octets: u32,
}

/// Our numbers that were left out for packets of the source that are missing, when
/// last that happened: some may still come, late.
#[derive(Clone, Copy, Debug, Default)]
struct Hole {
    first_in: u16,
    missing: u16,
    first_out: u16,
    /// Our numbers for each of them.
    each: u16,
}

/// How the numbers of packets that were cut and joined differ from their source's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Made {
    /// Packets taken in.
    taken: u32,
    /// Packets made of them and sent.
    sent: u32,
    /// Numbers left out beyond those that the source left out.
    left_out: u32,
}

/// What is left out at the begin of a round, so that late packets of the source have numbers of the same round.
const ROUND_BEGINS: u16 = 127;
/// Numbers from here on are near the end of a round: five minutes of 20 ms packets.
const ROUND_ENDS: u16 = 0xc000;

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
            newest_ticks: 1,
            newest_in: 0,
            steady: u16::MAX,
            hole: Hole::default(),
            made: Made::default(),
            packets: 0,
            octets: 0,
        }
    }

    /// The next packets are under a key that is new: near the end of a round of numbers they begin the next one, since a
    /// receiver that misses the last of this round would be a round behind for good (RFC 3711 §3.3.1).
    ///
    /// Only forward, and by less than half a round, so that whoever knows the stream counts along.
    pub fn begin_under_new_key(&mut self) {
        if self.newest >= ROUND_ENDS {
            self.newest = ROUND_BEGINS;
            // As if the source had changed: its next packet is given the next number.
            self.source = None;
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
            let step = header.sequence.wrapping_sub(self.newest_in);
            self.steady = self.steady.saturating_add(step);
            self.newest_in = header.sequence;
            self.newest(now, sequence, timestamp, 1);
        }
        let marker = header.marker || is_switch;
        let header = Header { sequence, timestamp, marker, ssrc: self.ssrc, ..*header };
        Relayed { header, is_switch }
    }

    fn newest(&mut self, now: Instant, sequence: u16, timestamp: u32, ticks: u32) {
        self.newest = sequence;
        self.newest_timestamp = timestamp;
        self.newest_at = Some(now);
        self.newest_ticks = ticks;
    }

    fn switch(&mut self, now: Instant, header: &Header, clock_rate: u32) {
        let passed =
            self.newest_at.map_or(0, |at| ticks(now.since(at), clock_rate).max(self.newest_ticks));
        self.steady = u16::MAX;
        self.newest_in = header.sequence.wrapping_sub(1);
        self.hole = Hole::default();
        let timestamp = self.newest_timestamp.wrapping_add(passed);
        self.source = Some(header.ssrc);
        self.sequence_shift = self.newest.wrapping_add(1).wrapping_sub(header.sequence);
        self.timestamp_shift = timestamp.wrapping_sub(header.timestamp);
    }

    /// Gives a packet of our own, of so many ticks of this clock, its place behind all others. Whichever source comes next
    /// begins behind it.
    pub fn own(
        &mut self,
        now: Instant,
        payload_type: u8,
        (clock_rate, length): (u32, u32),
        is_first: bool,
    ) -> Header {
        let timestamp = if is_first {
            // How long the packet before lasts is not known if it was relayed: as long as this one.
            self.newest_ticks = self.newest_ticks.max(length);
            self.next_timestamp(now, clock_rate)
        } else {
            self.newest_timestamp.wrapping_add(self.newest_ticks)
        };
        self.source = None;
        let sequence = self.newest.wrapping_add(1);
        self.newest(now, sequence, timestamp, length);
        Header { payload_type, marker: is_first, sequence, timestamp, ssrc: self.ssrc }
    }

    /// The timestamp of something that begins now.
    #[must_use]
    pub fn next_timestamp(&self, now: Instant, clock_rate: u32) -> u32 {
        let passed =
            self.newest_at.map_or(0, |at| ticks(now.since(at), clock_rate).max(self.newest_ticks));
        self.newest_timestamp.wrapping_add(passed)
    }

    /// What our clock, which runs at this rate, shows now: for a sender report (RFC 3550 §6.4.1). `None` before the first packet.
    #[must_use]
    pub fn timestamp_at(&self, now: Instant, clock_rate: u32) -> Option<u32> {
        let passed = ticks(now.since(self.newest_at?), clock_rate);
        Some(self.newest_timestamp.wrapping_add(passed))
    }

    /// A packet of an event that began then, with that timestamp, and has lasted for so many ticks (RFC 4733 §2.5.1.2).
    pub fn event(
        &mut self,
        began: Instant,
        timestamp: u32,
        duration: u16,
        is_first: bool,
    ) -> Header {
        self.source = None;
        let sequence = self.newest.wrapping_add(1);
        self.newest(began, sequence, timestamp, duration.into());
        Header { payload_type: 0, marker: is_first, sequence, timestamp, ssrc: self.ssrc }
    }

    /// Takes in a packet that is not sent as it stands. `missing` packets before it
    /// never came; each would have made `each` of ours. `true` if the source has
    /// changed with this packet.
    pub(super) fn take_in(
        &mut self,
        now: Instant,
        header: &Header,
        clock_rate: u32,
        arrival: Arrival,
        each: u16,
    ) -> bool {
        let is_switch = arrival == Arrival::Restarted || self.source != Some(header.ssrc);
        if is_switch {
            self.switch(now, header, clock_rate);
        } else if let Arrival::Newer { missing } = arrival
            && missing > 0
        {
            // A receiver takes a longer step for a restart.
            let fits = missing.checked_mul(each).is_some_and(|numbers| numbers < MAX_DROPOUT);
            let each = if fits { each } else { 1 };
            let first_in = header.sequence.wrapping_sub(missing);
            let first_out = first_in.wrapping_add(self.sequence_shift);
            self.hole = Hole { first_in, missing, first_out, each };
            let more = missing.saturating_mul(each.saturating_sub(1));
            self.sequence_shift = self.sequence_shift.wrapping_add(more);
            self.made.left_out = self.made.left_out.saturating_add(more.into());
        }
        self.newest_in = header.sequence;
        self.sequence_shift = self.sequence_shift.wrapping_sub(1);
        self.steady = 0;
        self.made.taken = self.made.taken.saturating_add(1);
        is_switch
    }

    /// Gives a packet made of what was taken in its place behind all others.
    /// `header` has the source's timestamp of its first sample.
    pub(super) fn make(&mut self, now: Instant, header: &Header, ticks: u32) -> Header {
        self.sequence_shift = self.sequence_shift.wrapping_add(1);
        self.steady = 0;
        let sequence = self.newest_in.wrapping_add(self.sequence_shift);
        let timestamp = header.timestamp.wrapping_add(self.timestamp_shift);
        self.newest(now, sequence, timestamp, ticks);
        self.made.sent = self.made.sent.saturating_add(1);
        Header { sequence, timestamp, ssrc: self.ssrc, ..*header }
    }

    /// The numbers of ours that are still free for a late packet of the source: the
    /// first, and how many. `None` if its neighbours have been given new numbers
    /// and none was left out for it.
    pub(super) fn place_of(&self, sequence: u16) -> Option<(u16, u16)> {
        let back = self.newest_in.wrapping_sub(sequence);
        if self.steady == u16::MAX || back < self.steady {
            return Some((sequence.wrapping_add(self.sequence_shift), 1));
        }
        let index = sequence.wrapping_sub(self.hole.first_in);
        let first = self.hole.first_out.wrapping_add(index.wrapping_mul(self.hole.each));
        (index < self.hole.missing).then_some((first, self.hole.each))
    }

    /// A late packet's header, or that of a piece of it.
    pub(super) fn fill_in(&self, header: &Header, sequence: u16) -> Header {
        let timestamp = header.timestamp.wrapping_add(self.timestamp_shift);
        Header { sequence, timestamp, ssrc: self.ssrc, ..*header }
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

    /// How our numbers differ from the source's in pace, for the reports about them;
    /// `None` while they only differ by a shift.
    #[must_use]
    pub fn renumbering(&self) -> Option<Renumbering> {
        let Made { taken, sent, left_out } = self.made;
        (taken > 0).then_some(Renumbering {
            newest_ours: self.newest,
            packets_in: self.packets.saturating_sub(sent).saturating_add(taken),
            packets_out: self.packets,
            left_out,
        })
    }

    /// Packets and payload octets sent, as a sender report counts them.
    #[must_use]
    pub fn sent_totals(&self) -> (u32, u32) {
        (self.packets, self.octets)
    }
}
