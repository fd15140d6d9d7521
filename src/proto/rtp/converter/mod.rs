//! From one codec to another, in the stream that a leg's peer hears.
//!
//! What comes is put in order and played by a jitter buffer, decoded, brought to the other rate and encoded. What was lost is
//! concealed, so the peer's stream has no holes but those that the source made itself.

mod digits;

use std::time::Duration;

use super::framing::PacketTime;
use super::jitter_buffer::{Delay, JitterBuffer, Play};
use super::packet::{HEADER_LEN, Header, PLAIN};
use super::relay::OutgoingStream;
use crate::proto::audio::{AudioError, Codec, Decoder, Encoder, Resampler};
use crate::proto::time::Instant;
use digits::Digit;

/// Milliseconds of a packet unless the peer asks for another length.
const PACKET_MS: u32 = 20;
/// Samples that may wait for their packet to be whole: more come from no packet.
const WAITING_MAX: usize = 48_000 / 1_000 * 240;

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
    buffer: JitterBuffer,
    decoder: Decoder,
    resampler: Resampler,
    encoder: Encoder,
    /// Samples as they were decoded.
    decoded: Vec<i16>,
    /// Samples at the outgoing rate whose packet is not whole.
    waiting: Vec<i16>,
    packet: Vec<u8>,
    /// Where the source's next packet begins if it is not silent meanwhile, in its ticks.
    expected: Option<u32>,
    /// The next packet that is sent is the first of a talkspurt.
    is_first: bool,
    digit: Option<Digit>,
}

impl Converter {
    /// A converter that has heard nothing.
    ///
    /// # Errors
    ///
    /// [`AudioError`] if one of the codecs cannot be had.
    pub fn new(conversion: Conversion) -> Result<Self, AudioError> {
        let Conversion { from, to, .. } = conversion;
        Ok(Self {
            conversion,
            buffer: JitterBuffer::new(from.clock_rate(), Delay::default()),
            decoder: from.decoder()?,
            resampler: Resampler::new(from.sample_rate(), to.sample_rate())?,
            encoder: to.encoder()?,
            decoded: Vec::new(),
            waiting: Vec::new(),
            packet: Vec::new(),
            expected: None,
            is_first: true,
            digit: None,
        })
    }

    /// What it does.
    #[must_use]
    pub const fn conversion(&self) -> Conversion {
        self.conversion
    }

    /// Takes a packet of speech.
    pub fn speech(&mut self, now: Instant, header: &Header, payload: &[u8]) {
        self.buffer.insert(now, header, payload);
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
        self.buffer.insert(now, header, &[]);
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
        self.waiting.clear();
        self.is_first = true;
        let header = outgoing.event(digit.began, digit.out_timestamp, report.duration, is_first);
        let header = Header { payload_type: digits.payload_type, ..header };
        if write(&mut self.packet, &header, &report.bytes(), send) {
            outgoing.sent(4);
        }
    }

    /// When [`Self::play`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.buffer.next_timeout()
    }

    /// Sends what is due.
    pub fn play(
        &mut self,
        now: Instant,
        outgoing: &mut OutgoingStream,
        send: &mut dyn FnMut(&[u8]) -> bool,
    ) {
        let is_digit = self.digit.as_ref().is_some_and(|digit| digit.is_on(now));
        loop {
            self.decoded.clear();
            let Self { buffer, decoder, decoded, expected, .. } = self;
            let Some(play) = buffer.pop(now) else { break };
            let rates = (self.conversion.from.sample_rate(), self.conversion.from.clock_rate());
            let mut begins_anew = false;
            match play {
                Play::Packet { header, payload } => {
                    begins_anew =
                        expected.is_some_and(|at| is_silence(at, header.timestamp, rates.1));
                    if decoder.decode(payload, decoded).is_err() {
                        let length = expected.map_or(0, |at| header.timestamp.wrapping_sub(at));
                        decoder.conceal(samples(length, rates), decoded);
                    }
                    let length = ticks(decoded.len(), rates);
                    *expected = Some(header.timestamp.wrapping_add(length));
                }
                Play::Lost { ticks, next } => {
                    let length = samples(ticks, rates);
                    let is_recovered =
                        next.is_some_and(|(_, payload)| decoder.recover(payload, length, decoded));
                    if !is_recovered {
                        decoder.conceal(length, decoded);
                    }
                    *expected = expected.map(|at| at.wrapping_add(ticks));
                }
            }
            if is_digit {
                continue;
            }
            if begins_anew {
                // The rest of what was said before the silence makes no packet.
                self.waiting.clear();
                self.is_first = true;
            }
            self.resampler.process(&self.decoded, &mut self.waiting);
            self.send_whole(now, outgoing, send);
        }
    }

    /// Encodes and sends every packet that is whole.
    fn send_whole(
        &mut self,
        now: Instant,
        outgoing: &mut OutgoingStream,
        send: &mut dyn FnMut(&[u8]) -> bool,
    ) {
        let Conversion { to, payload_type, packet_ms, .. } = self.conversion;
        let length = usize::try_from(to.sample_rate() * packet_ms / 1_000).unwrap_or(usize::MAX);
        let ticks = to.clock_rate() * packet_ms / 1_000;
        let mut from = 0_usize;
        while let Some(samples) = self.waiting.get(from..from.saturating_add(length)) {
            from += length;
            self.packet.clear();
            self.packet.resize(HEADER_LEN, 0);
            if self.encoder.encode(samples, &mut self.packet).is_err() {
                continue;
            }
            let first = std::mem::take(&mut self.is_first);
            let header = outgoing.own(now, payload_type, (to.clock_rate(), ticks), first);
            if let Some(begin) = self.packet.first_mut() {
                *begin = PLAIN;
            }
            header.write(&mut self.packet);
            if send(&self.packet) {
                outgoing.sent(self.packet.len() - HEADER_LEN);
            }
        }
        self.waiting.drain(..from.min(self.waiting.len()));
        self.waiting.truncate(WAITING_MAX);
    }

    /// How long a packet that the network did not hold up is held now.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.buffer.delay()
    }
}

/// Has the source been silent before this timestamp?
fn is_silence(expected: u32, timestamp: u32, clock_rate: u32) -> bool {
    let step = timestamp.wrapping_sub(expected).cast_signed();
    // Less is what rounding and careless senders make.
    step.unsigned_abs() > clock_rate / 100
}

fn samples(ticks: u32, (sample_rate, clock_rate): (u32, u32)) -> usize {
    // More than a tenth of a second is no packet.
    let ticks = u64::from(ticks.min(clock_rate / 10));
    let samples = ticks * u64::from(sample_rate) / u64::from(clock_rate.max(1));
    usize::try_from(samples).unwrap_or_default()
}

fn ticks(samples: usize, (sample_rate, clock_rate): (u32, u32)) -> u32 {
    let ticks = samples as u64 * u64::from(clock_rate) / u64::from(sample_rate.max(1));
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

fn write(
    packet: &mut Vec<u8>,
    header: &Header,
    payload: &[u8],
    send: &mut dyn FnMut(&[u8]) -> bool,
) -> bool {
    packet.clear();
    packet.resize(HEADER_LEN, 0);
    packet.extend_from_slice(payload);
    if let Some(begin) = packet.first_mut() {
        *begin = PLAIN;
    }
    header.write(packet) && send(packet)
}

#[cfg(test)]
mod tests;
