//! Which payload types of one leg mean which of the other (RFC 3264 §6.1).

use super::converter::{Conversion, Digits};
use super::framing::{PacketTime, Packing};
use crate::proto::audio::Codec;
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
    /// Whether it is digits.
    pub is_digits: bool,
    /// What is made of it, if the other leg does not take the codec.
    pub conversion: Option<Conversion>,
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
            let conversion = if to.is_none() && from.is_speech() {
                conversion_of(from, send, wish)
            } else {
                None
            };
            let carried = Carried {
                to,
                clock_rate: from.clock_rate,
                is_speech: from.is_speech(),
                is_digits: from.is_telephone_event(),
                conversion,
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

    /// Is this still made of something?
    #[must_use]
    pub fn converts(&self, conversion: Conversion) -> bool {
        self.rules.iter().any(|(_, carried)| carried.conversion == Some(conversion))
    }
}

/// What becomes of a codec on a leg that does not take it: the first one there that we can encode.
fn conversion_of(from: &Format, send: &[Format], wish: PacketTime) -> Option<Conversion> {
    let codec = |format: &Format| Codec::of(&format.name, format.clock_rate, format.channels);
    let from = codec(from)?;
    let (format, to) = send.iter().find_map(|format| Some((format, codec(format)?)))?;
    // Digits are on the clock of the codec that they come with (RFC 4733 §2.1).
    let mut digits = send.iter().filter(|format| format.is_telephone_event());
    let first = digits.clone().next();
    let same = digits.find(|format| format.clock_rate == to.clock_rate());
    let digits = same
        .or(first)
        .map(|format| Digits { payload_type: format.payload_type, to_rate: format.clock_rate });
    let packet_ms = Conversion::packet_ms(to, wish);
    Some(Conversion { from, to, payload_type: format.payload_type, packet_ms, digits })
}
