//! Packets of one source in one codec, as the samples that are to be played now.

use std::time::Duration;

use crate::proto::audio::{AudioError, Codec, Decoder};
use crate::proto::rtp::jitter_buffer::{Delay, JitterBuffer, Play};
use crate::proto::rtp::packet::Header;
use crate::proto::time::Instant;

/// How long each packet of a fax is held: more than the jitter of most networks, and no modem minds.
const FAX_DELAY: Duration = Duration::from_millis(80);

/// Orders, holds and decodes. What was lost is concealed, so there are no holes but those that the source made itself.
#[derive(Debug)]
pub(in crate::proto::rtp) struct Listener {
    codec: Codec,
    pub(in crate::proto::rtp) buffer: JitterBuffer,
    decoder: Decoder,
    /// Samples as they were decoded, at the codec's rate.
    decoded: Vec<i16>,
    /// Where the source's next packet begins if it is not silent meanwhile, in its ticks.
    expected: Option<u32>,
    /// What was lost is silence: a fax is spoilt by what is made up.
    is_fax: bool,
}

/// A piece of what is heard.
pub(in crate::proto::rtp) struct Piece<'a> {
    /// Its samples, at the codec's rate.
    pub(in crate::proto::rtp) samples: &'a [i16],
    /// The source was silent before it.
    pub(in crate::proto::rtp) begins_anew: bool,
    /// It did not come, and is made up.
    pub(in crate::proto::rtp) is_made_up: bool,
}

impl Listener {
    pub(in crate::proto::rtp) fn new(codec: Codec, delay: Delay) -> Result<Self, AudioError> {
        Ok(Self {
            codec,
            buffer: JitterBuffer::new(codec.clock_rate(), delay),
            decoder: codec.decoder()?,
            decoded: Vec::new(),
            expected: None,
            is_fax: false,
        })
    }

    /// One for the sound of a fax: the same delay for all, and nothing is made up for what was lost.
    pub(in crate::proto::rtp) fn for_fax(codec: Codec) -> Result<Self, AudioError> {
        Ok(Self { is_fax: true, ..Self::new(codec, Delay::Fixed(FAX_DELAY))? })
    }

    pub(in crate::proto::rtp) const fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends what would have come, of so many samples at the codec's rate.
    pub(in crate::proto::rtp) fn conceal(&mut self, samples: usize) -> &[i16] {
        self.decoded.clear();
        self.decoder.conceal(samples, &mut self.decoded);
        &self.decoded
    }

    /// The next piece that is due; call it until there is none.
    pub(in crate::proto::rtp) fn next(&mut self, now: Instant) -> Option<Piece<'_>> {
        self.decoded.clear();
        let rates = (self.codec.sample_rate(), self.codec.clock_rate());
        let Self { buffer, decoder, decoded, expected, is_fax, .. } = self;
        let make_up = |decoder: &mut Decoder, samples: usize, decoded: &mut Vec<i16>| {
            if *is_fax {
                decoded.resize(decoded.len() + samples, 0);
            } else {
                decoder.conceal(samples, decoded);
            }
        };
        let (mut begins_anew, mut is_made_up) = (false, false);
        match buffer.pop(now)? {
            Play::Packet { header, payload } => {
                begins_anew = expected.is_some_and(|at| is_silence(at, header.timestamp, rates.1));
                if decoder.decode(payload, decoded).is_err() {
                    let length = expected.map_or(0, |at| header.timestamp.wrapping_sub(at));
                    make_up(decoder, samples(length, rates), decoded);
                    is_made_up = true;
                }
                let length = ticks(decoded.len(), rates);
                *expected = Some(header.timestamp.wrapping_add(length));
            }
            Play::Lost { ticks, next } => {
                let length = samples(ticks, rates);
                let is_recovered =
                    next.is_some_and(|(_, payload)| decoder.recover(payload, length, decoded));
                if !is_recovered {
                    make_up(decoder, length, decoded);
                    is_made_up = true;
                }
                *expected = expected.map(|at| at.wrapping_add(ticks));
            }
        }
        Some(Piece { samples: &self.decoded, begins_anew, is_made_up })
    }

    /// Takes a packet, or with an empty payload the number of one that is no speech.
    pub(in crate::proto::rtp) fn insert(&mut self, now: Instant, header: &Header, payload: &[u8]) {
        self.buffer.insert(now, header, payload);
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
