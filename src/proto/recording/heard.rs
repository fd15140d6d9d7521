//! Packets on their way from the relay to the recorder.

use crate::proto::audio::Codec;
use crate::proto::rtp::Ssrc;
use crate::proto::time::Instant;

/// Bytes of payload that a reel holds: a second of a call with G.711.
const PAYLOAD_MAX: usize = 16_384;
/// Packets that a reel holds: a second of a call with packets of 10 ms, both ways.
const PACKETS_MAX: usize = 200;

/// One packet as a side sent it.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Which of the two sides: 0 is the calling one.
    pub side: usize,
    /// When it came.
    pub at: Instant,
    /// Its source.
    pub ssrc: Ssrc,
    /// Its timestamp, in units of the codec's clock.
    pub timestamp: u32,
    /// What its payload is.
    pub codec: Codec,
    /// Where its payload lies in the reel.
    start: u32,
    length: u32,
}

/// About a second of a call's packets. It is filled where nothing may wait, and read elsewhere; its memory is used again.
#[derive(Debug)]
pub struct Reel {
    packets: Vec<Heard>,
    payloads: Vec<u8>,
    /// How far it goes: later packets are in the next one.
    pub until: Instant,
}

impl Default for Reel {
    fn default() -> Self {
        Self::new()
    }
}

impl Reel {
    /// An empty one with all the memory that it will ever have.
    #[must_use]
    pub fn new() -> Self {
        Self {
            packets: Vec::with_capacity(PACKETS_MAX),
            payloads: Vec::with_capacity(PAYLOAD_MAX),
            until: Instant::START,
        }
    }

    /// Forgets what was on it.
    pub fn clear(&mut self) {
        self.packets.clear();
        self.payloads.clear();
    }

    /// Is nothing on it?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Takes a packet; `false`, and nothing done, if there is no room for it.
    pub fn push(
        &mut self,
        (side, at): (usize, Instant),
        (ssrc, timestamp): (Ssrc, u32),
        codec: Codec,
        payload: &[u8],
    ) -> bool {
        let start = self.payloads.len();
        if self.packets.len() >= PACKETS_MAX || start.saturating_add(payload.len()) > PAYLOAD_MAX {
            return false;
        }
        let (Ok(start), Ok(length)) = (u32::try_from(start), u32::try_from(payload.len())) else {
            return false;
        };
        self.payloads.extend_from_slice(payload);
        self.packets.push(Heard { side, at, ssrc, timestamp, codec, start, length });
        true
    }

    /// The packets in the order in which they were sent, each side for itself, with their payloads.
    pub fn in_order(&mut self) -> impl Iterator<Item = (Heard, &[u8])> {
        self.packets.sort_by_key(|packet| packet.side);
        let same = |a: &Heard, b: &Heard| a.side == b.side && a.ssrc == b.ssrc;
        for run in self.packets.chunk_by_mut(same) {
            let Some(first) = run.first().map(|packet| packet.timestamp) else { continue };
            run.sort_by_key(|packet| packet.timestamp.wrapping_sub(first).cast_signed());
        }
        let payloads = &self.payloads;
        self.packets.iter().map(|packet| {
            let start = packet.start as usize;
            let payload = payloads.get(start..start + packet.length as usize);
            (*packet, payload.unwrap_or_default())
        })
    }
}
