//! Packets of the length that the peer wants, out of packets of any length
//! (RFC 8866 §6.4, RFC 3551 §4.2): one direction of a relay.

use std::ops::Range;
use std::time::Duration;

use super::framing::Packing;
use super::packet::{HEADER_LEN, Header, PLAIN, payload_of};
use super::relay::OutgoingStream;
use super::sequence::Arrival;
use crate::proto::time::Instant;

/// Room for what waits, with a header before it: less than one packet that is being
/// joined, and one that has just come.
const BUFFER_MAX: usize = 4_096;

/// How much later than its own length after the one before it a packet may come and
/// still be joined to it: as much as a usable network delays one more than another.
const PATIENCE: Duration = Duration::from_millis(40);

/// Cuts and joins the packets to one peer, and gives each its place in our stream.
///
/// A packet that has the wanted length, or a codec that cannot be cut, passes in its
/// own buffer. The length is what the payload says, never what was announced. Of all
/// others the payload is copied once, and packets are made of it in place:
///
/// - What is not contiguous is never joined: a gap, a marker, another payload type or
///   source sends what waits first, as the shorter packet that it is. So loss stays
///   loss, and every timestamp is that of its first sample.
/// - The pieces of a long packet go out at the pace of their own length, the first
///   at once; none waits for longer than the next packet of the source.
/// - A late packet goes out at once under the numbers left out for it. If there are
///   none, because its neighbours were joined without a gap, it is dropped: any other
///   number would be another packet's.
#[derive(Clone, Debug, Default)]
pub struct Repacketiser {
    /// Empty until the first packet that has to be cut or joined.
    buffer: Vec<u8>,
    /// What waits is here, and [`HEADER_LEN`] bytes before it are free.
    range: Range<usize>,
    held: Option<Held>,
}

/// What waits in the buffer.
#[derive(Clone, Copy, Debug)]
struct Held {
    packing: Packing,
    /// Of the next packet, with the source's timestamp and the peer's payload type.
    header: Header,
    ticks: u32,
    /// When the next full piece may go.
    due: Instant,
    /// How long the rest waits for the next packet of the source.
    patience: Instant,
}

/// A packet that has been found fit to be relayed.
#[derive(Clone, Copy, Debug)]
pub struct Incoming {
    /// As the source sent it.
    pub header: Header,
    /// What its number says.
    pub arrival: Arrival,
    /// What the peer calls its payload type.
    pub payload_type: u8,
    /// Ticks per second.
    pub clock_rate: u32,
    /// What the peer wants; `None` if the packet must pass as it is.
    pub packing: Option<Packing>,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was sent, or its audio is part of what was or will be sent.
    Relayed,
    /// It came too late for its place.
    TooLate,
    /// The system did not take it.
    NotSent,
}

impl Repacketiser {
    /// Takes a packet of the source. `packet` is overwritten. `send` sends one packet
    /// to the peer and tells whether it could; it may be called any number of times.
    pub fn packet(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        packet: &mut [u8],
        stream: &mut OutgoingStream,
        send: &mut impl FnMut(&[u8]) -> bool,
    ) -> Fate {
        let range = payload_of(packet);
        let payload = packet.get(range.clone()).unwrap_or_default();
        let cut = incoming.packing.and_then(|packing| Some((packing, packing.ticks(payload)?)));
        let cut = cut.filter(|(packing, ticks)| !packing.is_whole(payload, *ticks));
        let is_late =
            incoming.arrival == Arrival::Late && stream.source() == Some(incoming.header.ssrc);
        if is_late {
            return late(incoming, cut, packet, range, stream, send);
        }
        let Some((packing, ticks)) = cut else {
            self.flush(now, stream, send);
            return pass(now, incoming, packet, stream, send);
        };
        if self.continues(incoming, packing, stream) {
            self.send_full(None, now, stream, send);
        } else {
            self.flush(now, stream, send);
        }
        let added = self.append(payload);
        if !added {
            // Cannot be: a datagram is shorter than the buffer. Then it goes as it is.
            self.flush(now, stream, send);
            return pass(now, incoming, packet, stream, send);
        }
        self.take_in(now, incoming, packing, ticks, stream);
        self.send_full(Some(now), now, stream, send);
        Fate::Relayed
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let held = self.held.as_ref()?;
        let has_full = self.full_piece(held).is_some();
        Some(if has_full { held.due } else { held.patience })
    }

    /// Sends the pieces whose time has come, and a rest that nothing has followed.
    pub fn handle_timeout(
        &mut self,
        now: Instant,
        stream: &mut OutgoingStream,
        send: &mut impl FnMut(&[u8]) -> bool,
    ) {
        self.send_full(Some(now), now, stream, send);
        if self.next_timeout().is_some_and(|at| at <= now) {
            self.flush(now, stream, send);
        }
    }

    /// Sends all that waits.
    pub fn flush(
        &mut self,
        now: Instant,
        stream: &mut OutgoingStream,
        send: &mut impl FnMut(&[u8]) -> bool,
    ) {
        while let Some(held) = self.held {
            let rest = self.buffer.get(self.range.clone()).unwrap_or_default();
            let piece = held.packing.first_piece(rest);
            self.make(now, held, piece, stream, send);
        }
    }

    /// Forgets what waits: the peer is not to hear it.
    pub fn clear(&mut self) {
        self.held = None;
    }

    /// Whether a packet goes on just where the audio that waits ends.
    fn continues(&self, incoming: &Incoming, packing: Packing, stream: &OutgoingStream) -> bool {
        let Some(held) = &self.held else { return false };
        let header = &incoming.header;
        incoming.arrival == (Arrival::Newer { missing: 0 })
            && header.timestamp == held.header.timestamp.wrapping_add(held.ticks)
            && !header.marker
            && held.header.payload_type == incoming.payload_type
            && held.packing == packing
            && stream.source() == Some(header.ssrc)
    }

    /// Copies a payload behind what waits; `false` if there is no room.
    fn append(&mut self, payload: &[u8]) -> bool {
        if self.buffer.is_empty() {
            // Once in a call, not once for a packet.
            self.buffer.resize(BUFFER_MAX, 0);
        }
        let kept = if self.held.is_some() { self.range.clone() } else { 0..0 };
        let end = HEADER_LEN.saturating_add(kept.len());
        if kept.start > HEADER_LEN {
            self.buffer.copy_within(kept, HEADER_LEN);
        }
        self.range = HEADER_LEN..end;
        let room = self.buffer.get_mut(end..).and_then(|room| room.get_mut(..payload.len()));
        let Some(room) = room else { return false };
        room.copy_from_slice(payload);
        self.range.end = end.saturating_add(payload.len());
        true
    }

    fn take_in(
        &mut self,
        now: Instant,
        incoming: &Incoming,
        packing: Packing,
        ticks: u32,
        stream: &mut OutgoingStream,
    ) {
        let Incoming { header, arrival, clock_rate, payload_type, .. } = *incoming;
        let each = packing.pieces(ticks);
        let is_switch = stream.take_in(now, &header, clock_rate, arrival, each);
        let patience = now + packing.span(ticks) + PATIENCE;
        let before = self.held.map(|held| (held.header, held.ticks));
        let marker = header.marker || is_switch;
        let (header, waiting) = before.unwrap_or((Header { payload_type, marker, ..header }, 0));
        let ticks = waiting.saturating_add(ticks);
        self.held = Some(Held { packing, header, ticks, due: now, patience });
    }

    /// The next piece that nothing needs to be added to.
    fn full_piece(&self, held: &Held) -> Option<(usize, u32)> {
        let rest = self.buffer.get(self.range.clone())?;
        let is_full = held.ticks >= held.packing.piece() || held.packing.is_closed(rest);
        is_full.then(|| held.packing.first_piece(rest))
    }

    /// Sends full pieces: those that are due, or all.
    fn send_full(
        &mut self,
        due: Option<Instant>,
        now: Instant,
        stream: &mut OutgoingStream,
        send: &mut impl FnMut(&[u8]) -> bool,
    ) {
        while let Some(held) = self.held
            && due.is_none_or(|due| held.due <= due)
            && let Some(piece) = self.full_piece(&held)
        {
            self.make(now, held, piece, stream, send);
        }
    }

    /// Makes a packet of the first bytes that wait, and sends it.
    fn make(
        &mut self,
        now: Instant,
        held: Held,
        (length, ticks): (usize, u32),
        stream: &mut OutgoingStream,
        send: &mut impl FnMut(&[u8]) -> bool,
    ) {
        let start = self.range.start;
        let end = start.saturating_add(length);
        let Some(packet) = start.checked_sub(HEADER_LEN).and_then(|s| self.buffer.get_mut(s..end))
        else {
            return self.clear();
        };
        if length == 0 {
            return self.clear();
        }
        let header = stream.make(now, &held.header, ticks);
        put(&header, packet);
        if send(packet) {
            stream.sent(length);
        }
        self.range.start = end;
        let timestamp = held.header.timestamp.wrapping_add(ticks);
        let due = held.due + held.packing.span(ticks);
        let header = Header { timestamp, marker: false, ..held.header };
        let ticks = held.ticks.saturating_sub(ticks);
        self.held = (!self.range.is_empty()).then_some(Held { header, ticks, due, ..held });
    }
}

/// Sends a packet as it is, under its new header.
fn pass(
    now: Instant,
    incoming: &Incoming,
    packet: &mut [u8],
    stream: &mut OutgoingStream,
    send: &mut impl FnMut(&[u8]) -> bool,
) -> Fate {
    let restarts = incoming.arrival == Arrival::Restarted;
    let relayed = stream.relay(now, &incoming.header, incoming.clock_rate, restarts);
    Header { payload_type: incoming.payload_type, ..relayed.header }.write(packet);
    if !send(packet) {
        return Fate::NotSent;
    }
    stream.sent(packet.len().saturating_sub(HEADER_LEN));
    Fate::Relayed
}

/// Sends a late packet under the numbers that are left for it, in as many pieces.
fn late(
    incoming: &Incoming,
    cut: Option<(Packing, u32)>,
    packet: &mut [u8],
    range: Range<usize>,
    stream: &mut OutgoingStream,
    send: &mut impl FnMut(&[u8]) -> bool,
) -> Fate {
    let Some((mut number, room)) = stream.place_of(incoming.header.sequence) else {
        return Fate::TooLate;
    };
    let mut header = Header { payload_type: incoming.payload_type, ..incoming.header };
    let Some((packing, ticks)) = cut else {
        stream.fill_in(&header, number).write(packet);
        if !send(packet) {
            return Fate::NotSent;
        }
        stream.sent(packet.len().saturating_sub(HEADER_LEN));
        return Fate::Relayed;
    };
    if packing.pieces(ticks) > room {
        return Fate::TooLate;
    }
    let mut range = range;
    while let Some(payload) = packet.get(range.clone()).filter(|payload| !payload.is_empty()) {
        let (length, ticks) = packing.first_piece(payload);
        let end = range.start.saturating_add(length.max(1));
        let start = range.start.saturating_sub(HEADER_LEN);
        // The header is written over what has been sent already.
        let Some(piece) = packet.get_mut(start..end) else { break };
        put(&stream.fill_in(&header, number), piece);
        if send(piece) {
            stream.sent(length);
        }
        number = number.wrapping_add(1);
        header.timestamp = header.timestamp.wrapping_add(ticks);
        header.marker = false;
        range.start = end;
    }
    Fate::Relayed
}

/// Writes a whole header, with nothing behind it but payload.
fn put(header: &Header, packet: &mut [u8]) {
    if let Some(first) = packet.first_mut() {
        *first = PLAIN;
    }
    header.write(packet);
}

#[cfg(test)]
mod tests;
