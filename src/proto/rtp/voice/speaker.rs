//! Samples as packets of one codec.

use crate::proto::audio::{AudioError, Codec, Encoder, Resampler};
use crate::proto::rtp::packet::{HEADER_LEN, Header, PLAIN};
use crate::proto::rtp::relay::OutgoingStream;
use crate::proto::time::Instant;

/// Samples that may wait for their packet to be whole: more come from no packet.
const WAITING_MAX: usize = 48_000 / 1_000 * 240;

/// What a peer hears from us: in which codec, under which number, in packets of how many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speech {
    /// The codec.
    pub codec: Codec,
    /// Its number.
    pub payload_type: u8,
    /// Milliseconds of a packet.
    pub packet_ms: u32,
}

/// Makes packets of samples of any rate.
#[derive(Debug)]
pub struct Speaker {
    speech: Speech,
    resampler: Resampler,
    encoder: Encoder,
    /// Samples at the codec's rate whose packet is not whole.
    waiting: Vec<i16>,
    packet: Vec<u8>,
    /// The next packet is the first of a talkspurt.
    is_first: bool,
}

impl Speaker {
    /// For samples of this rate.
    ///
    /// # Errors
    ///
    /// [`AudioError`] if the codec cannot be had, or the rate is none of a codec.
    pub fn new(speech: Speech, rate: u32) -> Result<Self, AudioError> {
        Ok(Self {
            speech,
            resampler: Resampler::new(rate, speech.codec.sample_rate())?,
            encoder: speech.codec.encoder()?,
            waiting: Vec::new(),
            packet: Vec::new(),
            is_first: true,
        })
    }

    /// What it makes.
    #[must_use]
    pub const fn speech(&self) -> Speech {
        self.speech
    }

    /// Samples whose packet is not whole.
    #[cfg(test)]
    pub(in crate::proto::rtp) const fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets what waits: what comes next is a new beginning (RFC 3551 §4.1).
    pub fn begin_anew(&mut self) {
        self.waiting.clear();
        self.is_first = true;
    }

    /// Takes samples, and sends every packet that is whole.
    pub fn speak(
        &mut self,
        now: Instant,
        samples: &[i16],
        outgoing: &mut OutgoingStream,
        send: &mut dyn FnMut(&[u8]) -> bool,
    ) {
        self.resampler.process(samples, &mut self.waiting);
        let Speech { codec, payload_type, packet_ms } = self.speech;
        let length = usize::try_from(codec.sample_rate() * packet_ms / 1_000).unwrap_or(usize::MAX);
        let ticks = codec.clock_rate() * packet_ms / 1_000;
        let mut from = 0_usize;
        while let Some(samples) = self.waiting.get(from..from.saturating_add(length)) {
            from += length;
            self.packet.clear();
            self.packet.resize(HEADER_LEN, 0);
            if self.encoder.encode(samples, &mut self.packet).is_err() {
                continue;
            }
            let first = std::mem::take(&mut self.is_first);
            let header = outgoing.own(now, payload_type, (codec.clock_rate(), ticks), first);
            if write(&mut self.packet, &header, send) {
                outgoing.sent(self.packet.len() - HEADER_LEN);
            }
        }
        self.waiting.drain(..from.min(self.waiting.len()));
        self.waiting.truncate(WAITING_MAX);
    }

    /// Sends something else under the same stream: a digit.
    pub(in crate::proto::rtp) fn send_other(
        &mut self,
        header: &Header,
        payload: &[u8],
        outgoing: &mut OutgoingStream,
        send: &mut dyn FnMut(&[u8]) -> bool,
    ) {
        self.packet.clear();
        self.packet.resize(HEADER_LEN, 0);
        self.packet.extend_from_slice(payload);
        if write(&mut self.packet, header, send) {
            outgoing.sent(payload.len());
        }
    }
}

/// Puts the header before the payload that is there.
fn write(packet: &mut [u8], header: &Header, send: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    if let Some(begin) = packet.first_mut() {
        *begin = PLAIN;
    }
    header.write(packet) && send(packet)
}
