//! From one codec to another, in the stream that a leg's peer hears.
//!
//! What comes is put in order and played by a jitter buffer, decoded, brought to the other rate and encoded. What was lost is
//! concealed, so the peer's stream has no holes but those that the source made itself.

mod digits;

use std::time::Duration;

use super::framing::PacketTime;
use super::jitter_buffer::Delay;
use super::packet::Header;
use super::relay::OutgoingStream;
use super::voice::{Listener, Speaker, Speech};
use crate::proto::audio::{AudioError, Codec};
use crate::proto::time::Instant;
use digits::Digit;

/// Milliseconds of a packet unless the peer asks for another length.
const PACKET_MS: u32 = 20;

/// What becomes what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// What comes.
    pub from: Codec,
    /// What goes.
    pub to: Codec,
    /// Under which number.
    pub payload_type: u8,
    /// In packets of how many milliseconds.
    pub packet_ms: u32,
    /// How digits cross, if the peer takes them.
    pub digits: Option<Digits>,
}

/// How digits cross (RFC 4733): they share the clock of the codec they come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Their number on the way out.
    pub payload_type: u8,
    /// Ticks a second on the way out.
    pub to_rate: u32,
}

impl Conversion {
    /// How long the packets are that a peer gets which wants this, in this codec.
    #[must_use]
    pub fn packet_ms(to: Codec, wish: PacketTime) -> u32 {
        let most = wish.maxptime_ms.unwrap_or(u32::MAX);
        let wished = wish.ptime_ms.unwrap_or(PACKET_MS).min(most);
        // Opus has frames of these lengths (RFC 6716 §2.1.4); the others are cut anywhere.
        let lengths: &[u32] =
            if to == Codec::Opus { &[60, 40, 20, 10] } else { &[60, 50, 40, 30, 20, 10] };
        lengths.iter().copied().find(|length| *length <= wished).unwrap_or(10)
    }
}

/// One direction of a call whose sides speak different codecs.
#[derive(Debug)]
pub struct Converter {
    conversion: Conversion,
    listener: Listener,
    speaker: Speaker,
    digit: Option<Digit>,
}

impl Converter {
    /// A converter that has heard nothing.
    ///
    /// # Errors
    ///
    /// [`AudioError`] if one of the codecs cannot be had.
    pub fn new(conversion: Conversion) -> Result<Self, AudioError> {
        let Conversion { from, to, payload_type, packet_ms, .. } = conversion;
        let speech = Speech { codec: to, payload_type, packet_ms };
        Ok(Self {
            conversion,
            listener: Listener::new(from, Delay::default())?,
            speaker: Speaker::new(speech, from.sample_rate())?,
            digit: None,
        })
    }

    /// A converter for the sound of a fax: its delay never changes, and what is lost is left silent.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub fn for_fax(conversion: Conversion) -> Result<Self, AudioError> {
        let listener = Listener::for_fax(conversion.from)?;
        Ok(Self { listener, ..Self::new(conversion)? })
    }

    /// What it does.
    #[must_use]
    pub const fn conversion(&self) -> Conversion {
        self.conversion
    }

    /// Takes a packet of speech.
    pub fn speech(&mut self, now: Instant, header: &Header, payload: &[u8]) {
        self.listener.insert(now, header, payload);
    }

    /// Takes a packet of a digit, whose clock counts `from_rate` a second, and sends it at once (RFC 4733 §2.5.1). What is said meanwhile is left out, or the peer
    /// would hear the digit twice.
    pub fn digit(
        &mut self,
        now: Instant,
        header: &Header,
        (payload, from_rate): (&[u8], u32),
        outgoing: &mut OutgoingStream,
        send: &mut dyn FnMut(&[u8]) -> bool,
    ) {
        // Its number is no loss.
        self.listener.insert(now, header, &[]);
        let Some(digits) = self.conversion.digits else { return };
        let Some(report) = digits::Report::read(payload, (from_rate, digits.to_rate)) else {
            return;
        };
        let rate = self.conversion.to.clock_rate();
        let digit = match self.digit {
            Some(digit) if digit.timestamp == header.timestamp => digit,
            // A packet of a digit before that comes late says nothing new.
            Some(digit) if digit.is_after(header.timestamp) => return,
            _ => Digit::begin(now, header.timestamp, outgoing.next_timestamp(now, rate)),
        };
        let (digit, is_new) = digit.heard(now, &report);
        let is_first = self.digit.is_none_or(|known| known.timestamp != digit.timestamp);
        self.digit = Some(digit);
        if !is_new {
            return;
        }
        self.speaker.begin_anew();
        let header = outgoing.event(digit.began, digit.out_timestamp, report.duration, is_first);
        let header = Header { payload_type: digits.payload_type, ..header };
        self.speaker.send_other(&header, &report.bytes(), outgoing, send);
    }

    /// When [`Self::play`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.listener.buffer.next_timeout()
    }

    /// Sends what is due.
    pub fn play(
        &mut self,
        now: Instant,
        outgoing: &mut OutgoingStream,
        send: &mut dyn FnMut(&[u8]) -> bool,
    ) {
        let is_digit = self.digit.as_ref().is_some_and(|digit| digit.is_on(now));
        while let Some(piece) = self.listener.next(now) {
            if is_digit {
                continue;
            }
            if piece.begins_anew {
                // The rest of what was said before the silence makes no packet.
                self.speaker.begin_anew();
            }
            self.speaker.speak(now, piece.samples, outgoing, send);
        }
    }

    /// How long a packet that the network did not hold up is held now.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.listener.buffer.delay()
    }
}

#[cfg(test)]
mod tests;
