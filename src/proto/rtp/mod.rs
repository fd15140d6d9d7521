//! RTP and RTCP (RFC 3550): packets, sequence, statistics and the pure half of
//! a relay. No function here allocates for a packet.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod packet;
mod payload_map;
mod relay;
pub mod rtcp;
mod sequence;
mod stats;

pub use packet::{HEADER_LEN, Header, Ssrc, is_rtcp};
pub use payload_map::{Carried, PayloadMap};
pub use relay::{OutgoingStream, Relayed};
pub use sequence::{Arrival, MAX_DROPOUT, MAX_MISORDER, MIN_SEQUENTIAL, Sequence};
pub use stats::{Reception, ReceptionTotals};

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
}

#[cfg(test)]
mod tests;
