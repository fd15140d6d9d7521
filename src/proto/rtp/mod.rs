//! RTP and RTCP (RFC 3550): packets, sequence, statistics and the pure half of
//! a relay. No function here allocates for a packet.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod clip;
mod converter;
mod framing;
mod jitter_buffer;
mod listening;
mod packet;
mod payload_map;
mod rating;
mod relay;
mod repacketiser;
pub mod rtcp;
mod sequence;
mod stats;
pub mod telephone_event;
mod voice;

pub use clip::{CLIP_PACKET_MS, Clip};
pub use converter::{Conversion, Converter, Digits};
pub use framing::{JOINED_MAX, PacketTime, Packing, RECEIVABLE_MS};
pub use jitter_buffer::{Delay, HELD_MAX, JitterBuffer, PAYLOAD_MAX, Play, Unplayed};
pub use listening::{Line, Listening, STRETCH, Sound};
pub use packet::{HEADER_LEN, Header, Ssrc, is_rtcp, payload_of};
pub use payload_map::{Carried, PayloadMap};
pub use rating::{Impairment, Network, Rating};
pub use relay::{OutgoingStream, Relayed};
pub use repacketiser::{Fate, Incoming, Repacketiser};
pub use sequence::{Arrival, MAX_DROPOUT, MAX_MISORDER, MIN_SEQUENTIAL, Sequence};
pub use stats::{Received, Reception, ReceptionTotals};
pub use voice::{EAR_FRAME_MS, Ear, Speaker, Speech, Taken};

/// Runs one hostile datagram through everything that reads one: for fuzzing.
pub fn fuzz_rtp(datagram: &[u8]) {
    let mut copy = datagram.to_vec();
    if let Some(header) = Header::read(&copy) {
        let mut reception = Reception::default();
        reception.packet(crate::proto::time::Instant::START, &header, 8_000);
        let mut stream = OutgoingStream::new(Ssrc(1), 2, 3);
        let relayed = stream.relay(crate::proto::time::Instant::START, &header, 8_000, false);
        relayed.header.write(&mut copy);
    }
    rtcp::fuzz_rtcp(datagram);
    crate::proto::srtp::fuzz_srtp(datagram);
    fuzz_repacketiser(datagram);
}

/// Reads hostile bytes as packets of one source, each with two bytes before it that
/// tell how many milliseconds after the last it comes and how long it is.
fn fuzz_repacketiser(bytes: &[u8]) {
    use crate::proto::sdp::Format;
    const CODECS: [&str; 4] = ["PCMU/8000", "G729/8000", "G723/8000", "L16/44100/2"];

    let Some(([first, ptime, maxptime], mut rest)) = bytes.split_first_chunk::<3>() else { return };
    let codec = CODECS.get(usize::from(first & 3));
    let Some(format) = codec.and_then(|codec| Format::new(first >> 2, Some(codec), None)) else {
        return;
    };
    let some = |byte: &u8| (*byte > 0).then_some(u32::from(*byte));
    let wish = PacketTime { ptime_ms: some(ptime), maxptime_ms: some(maxptime) };
    let mut reception = Reception::default();
    let mut stream = OutgoingStream::new(Ssrc(1), 2, 3);
    let mut repacketiser = Repacketiser::default();
    let mut now = crate::proto::time::Instant::START;
    let (mut bytes_in, mut bytes_out) = (0_usize, 0_usize);
    while let Some(([wait, length], after)) = rest.split_first_chunk::<2>() {
        now += std::time::Duration::from_millis(u64::from(*wait));
        let length = usize::from(*length).saturating_mul(8).min(after.len());
        let (datagram, after) = after.split_at(length);
        rest = after;
        let mut send = |packet: &[u8]| {
            debug_assert!(Header::read(packet).is_some(), "what we send can be read");
            bytes_out = bytes_out.saturating_add(packet.len().saturating_sub(HEADER_LEN));
            true
        };
        repacketiser.handle_timeout(now, &mut stream, &mut send);
        debug_assert!(repacketiser.next_timeout().is_none_or(|at| at > now));
        let mut packet = datagram.to_vec();
        let Some(header) = Header::read(&packet) else { continue };
        let arrival = reception.packet(now, &header, 8_000);
        if matches!(arrival, Arrival::Duplicate | Arrival::Jump | Arrival::Probation) {
            continue;
        }
        bytes_in = bytes_in.saturating_add(packet.len().saturating_sub(HEADER_LEN));
        let packing = Packing::new(&format, wish);
        let incoming = Incoming { header, arrival, payload_type: 0, clock_rate: 8_000, packing };
        repacketiser.packet(now, &incoming, &mut packet, &mut stream, &mut send);
    }
    repacketiser.flush(now, &mut stream, &mut |packet: &[u8]| {
        bytes_out = bytes_out.saturating_add(packet.len().saturating_sub(HEADER_LEN));
        true
    });
    debug_assert!(bytes_out <= bytes_in, "nothing is invented");
}

#[cfg(test)]
mod tests;
