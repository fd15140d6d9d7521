//! The fixed header: read with bounds checked, rewritten in place (RFC 3550 §5.1).

use std::ops::Range;

use rtp_rs::RtpReader;

/// Bytes of the fixed header.
pub const HEADER_LEN: usize = 12;

/// The first byte of a packet without sources, extension and padding.
pub(super) const PLAIN: u8 = 0x80;

/// The identifier of one synchronisation source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ssrc(pub u32);

/// The fields of the fixed header that a relay changes or judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// 0 to 127.
    pub payload_type: u8,
    /// For audio, the first packet after a silence (RFC 3551 §4.1).
    pub marker: bool,
    /// Counts packets, modulo 2^16.
    pub sequence: u16,
    /// Counts clock ticks of the payload format, modulo 2^32.
    pub timestamp: u32,
    /// Who sent it.
    pub ssrc: Ssrc,
}

impl Header {
    /// Reads a datagram; `None` if it is not an RTP packet whose sources, extension
    /// and padding lie within it, or if it is RTCP on the RTP port.
    #[must_use]
    pub fn read(datagram: &[u8]) -> Option<Self> {
        if is_rtcp(datagram) {
            return None;
        }
        let reader = RtpReader::new(datagram).ok()?;
        Some(Self {
            payload_type: reader.payload_type(),
            marker: reader.mark(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: Ssrc(reader.ssrc()),
        })
    }

    /// Writes the fields over those of a packet; the rest of it stays. `false`, and
    /// nothing done, if there is no room for a header.
    pub fn write(&self, packet: &mut [u8]) -> bool {
        let Some(fixed) = packet.first_chunk_mut::<HEADER_LEN>() else { return false };
        let [first, ..] = *fixed;
        let marker = if self.marker { 0x80 } else { 0 };
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [i0, i1, i2, i3] = self.ssrc.0.to_be_bytes();
        let second = marker | (self.payload_type & 0x7f);
        *fixed = [first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3];
        true
    }
}

/// Where the payload of a packet lies: behind sources and extension, before padding.
/// Empty if it is no packet.
#[must_use]
pub fn payload_of(packet: &[u8]) -> Range<usize> {
    // The usual packet has none of them.
    if packet.len() >= HEADER_LEN && packet.first() == Some(&PLAIN) {
        return HEADER_LEN..packet.len();
    }
    let Ok(reader) = RtpReader::new(packet) else { return 0..0 };
    let start = reader.payload_offset();
    let length = reader.payload().len();
    start..start.saturating_add(length)
}

/// Whether a datagram on a shared port is RTCP (RFC 5761 §4).
#[must_use]
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|byte| (192..=223).contains(byte))
}
