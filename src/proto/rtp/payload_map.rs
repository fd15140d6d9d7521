//! Which payload types of one leg mean which of the other (RFC 3264 §6.1).

use super::framing::{PacketTime, Packing};
use crate::proto::sdp::Format;

/// The way from one leg to the other: what may pass, and under which number.
///
/// Two legs agree on codecs, not on numbers; a peer that answers with its own
/// numbers (interop row 97) costs a byte per packet and no renegotiation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayloadMap {
    rules: Vec<(u8, Carried)>,
}

/// How a payload type is carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The number on the other leg; `None` if that leg does not take the codec.
    pub to: Option<u8>,
    /// Ticks per second, for jitter and for continuing timestamps.
    pub clock_rate: u32,
    /// Whether it is a voice, as opposed to digits and comfort noise.
    pub is_speech: bool,
    /// What the other leg wants of its packets; `None` if they pass as they come.
    pub packing: Option<Packing>,
}

impl PayloadMap {
    /// From what one leg may send us (our numbers there) to what the other takes
    /// (its peer's numbers), and in packets of which length.
    #[must_use]
    pub fn between(receive: &[Format], send: &[Format], wish: PacketTime) -> Self {
        let carry = |from: &Format| {
            let same = |f: &&Format| f.is_same_codec(from);
            let by_number = send.iter().find(|f| f.payload_type == from.payload_type && same(f));
            let to = by_number.or_else(|| send.iter().find(same)).map(|f| f.payload_type);
            let carried = Carried {
                to,
                clock_rate: from.clock_rate,
                is_speech: from.is_speech(),
                packing: Packing::new(from, wish),
            };
            (from.payload_type, carried)
        };
        Self { rules: receive.iter().map(carry).collect() }
    }

    /// What to do with a payload type; `None` if it was never negotiated.
    #[must_use]
    pub fn get(&self, payload_type: u8) -> Option<Carried> {
        // A handful of entries: a scan is as fast as a table of 128.
        self.rules.iter().find(|(from, _)| *from == payload_type).map(|(_, carried)| *carried)
    }
}
