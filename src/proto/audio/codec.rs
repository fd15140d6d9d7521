//! The codecs that we decode and encode, behind one interface (RFC 3551 §4.5,
//! RFC 7587). What is not in here is passed through as it came.

use std::fmt;

use super::conceal::Concealment;
use super::g711::Law;
use super::{g722, l16, opus};

/// Samples that one payload may hold: 120 ms at 48 kHz, the longest Opus packet.
pub const SAMPLES_MAX: usize = 5_760;
/// Milliseconds that one payload may hold. It is what a leg may be sent
/// (`proto::rtp::RECEIVABLE_MS`); Opus and 48 kHz end at [`SAMPLES_MAX`] before.
pub const PAYLOAD_MS_MAX: u32 = 200;

/// Rates that L16 is taken at. 8 to 48 kHz: below is no speech, above is no use.
pub(super) const RATES: [u32; 8] = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

/// A codec that we can decode and encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus. Ours is mono; a stereo packet is decoded to mono.
    Opus,
    /// Samples as they are, big-endian. Two channels are mixed, and both sent the same.
    L16 {
        /// Samples a second.
        rate: u32,
        /// 1 or 2.
        channels: u8,
    },
}

/// Why a payload or some samples could not be coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioError {
    /// Nothing to code.
    Empty,
    /// More than [`SAMPLES_MAX`] or [`PAYLOAD_MS_MAX`].
    TooLong,
    /// Not what the codec writes.
    Malformed,
    /// A number of samples that makes no packet of this codec.
    Length {
        /// How many there were.
        samples: usize,
    },
    /// A rate or a number of channels that we do not code.
    Unsupported,
    /// The codec's library could not be set up: out of memory, in effect.
    Library,
}

impl fmt::Display for AudioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing to code"),
            Self::TooLong => f.write_str("longer than a packet may be"),
            Self::Malformed => f.write_str("not a packet of this codec"),
            Self::Length { samples } => write!(f, "{samples} samples make no packet"),
            Self::Unsupported => f.write_str("a rate or channels that are not coded"),
            Self::Library => f.write_str("the codec's library failed"),
        }
    }
}

impl std::error::Error for AudioError {}

impl Codec {
    /// By the name, clock rate and channels of an rtpmap (any case); `None`: we only
    /// pass it through.
    #[must_use]
    pub fn of(name: &str, clock_rate: u32, channels: u8) -> Option<Self> {
        let is = |codec: &str| name.eq_ignore_ascii_case(codec);
        match (clock_rate, channels) {
            (8_000, 1) if is("PCMU") => Some(Self::Pcmu),
            (8_000, 1) if is("PCMA") => Some(Self::Pcma),
            (8_000, 1) if is("G722") => Some(Self::G722),
            // Two channels whatever is sent (RFC 7587 §4.1); some write one, and mean the same.
            (48_000, 1 | 2) if is("opus") => Some(Self::Opus),
            (rate, 1 | 2) if is("L16") && RATES.contains(&rate) => {
                Some(Self::L16 { rate, channels })
            }
            _ => None,
        }
    }

    /// Samples a second that the decoder gives and the encoder takes.
    #[must_use]
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::G722 => 16_000,
            Self::Opus => 48_000,
            Self::L16 { rate, .. } => rate,
        }
    }

    /// Units of RTP timestamp a second: G.722 says 8000 (RFC 3551 §4.5.2).
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::G722 => 8_000,
            _ => self.sample_rate(),
        }
    }

    /// Samples that one payload may hold.
    fn samples_max(self) -> usize {
        let samples = self.sample_rate().saturating_mul(PAYLOAD_MS_MAX) / 1000;
        usize::try_from(samples).unwrap_or(SAMPLES_MAX).min(SAMPLES_MAX)
    }

    fn is_supported(self) -> bool {
        match self {
            Self::L16 { rate, channels } => RATES.contains(&rate) && matches!(channels, 1 | 2),
            _ => true,
        }
    }

    /// A decoder for one source.
    ///
    /// # Errors
    ///
    /// [`AudioError::Unsupported`] for L16 of other rates or channels than
    /// [`Codec::of`] gives, [`AudioError::Library`] if libopus has no memory.
    pub fn decoder(self) -> Result<Decoder, AudioError> {
        if !self.is_supported() {
            return Err(AudioError::Unsupported);
        }
        let concealed = || Box::new(Concealment::new(self.sample_rate()));
        let kind = match self {
            Self::Pcmu => Decoding::G711(Law::Mu, concealed()),
            Self::Pcma => Decoding::G711(Law::A, concealed()),
            Self::G722 => Decoding::G722(Box::new(g722::Decoder::new()), concealed()),
            Self::Opus => Decoding::Opus(opus::Decoder::new()?),
            Self::L16 { channels, .. } => Decoding::L16(usize::from(channels), concealed()),
        };
        Ok(Decoder { kind, samples_max: self.samples_max() })
    }

    /// An encoder for one stream of ours.
    ///
    /// # Errors
    ///
    /// As [`Codec::decoder`].
    pub fn encoder(self) -> Result<Encoder, AudioError> {
        if !self.is_supported() {
            return Err(AudioError::Unsupported);
        }
        let kind = match self {
            Self::Pcmu => Encoding::G711(Law::Mu),
            Self::Pcma => Encoding::G711(Law::A),
            Self::G722 => Encoding::G722(Box::new(g722::Encoder::new())),
            Self::Opus => Encoding::Opus(opus::Encoder::new()?),
            Self::L16 { channels, .. } => Encoding::L16(usize::from(channels)),
        };
        Ok(Encoder { kind, samples_max: self.samples_max() })
    }
}

/// Payloads to samples, for one source.
#[derive(Debug)]
pub struct Decoder {
    kind: Decoding,
    samples_max: usize,
}

#[derive(Debug)]
enum Decoding {
    G711(Law, Box<Concealment>),
    G722(Box<g722::Decoder>, Box<Concealment>),
    /// Has a concealment of its own.
    Opus(opus::Decoder),
    L16(usize, Box<Concealment>),
}

impl Decoder {
    /// Appends the samples of one payload to `out`, [`SAMPLES_MAX`] at most.
    ///
    /// # Errors
    ///
    /// [`AudioError::Empty`], [`AudioError::TooLong`] or [`AudioError::Malformed`]; `out`
    /// is as it was then. Treat the packet as one that was lost.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), AudioError> {
        if payload.is_empty() {
            return Err(AudioError::Empty);
        }
        let samples_max = self.samples_max;
        let fits = |samples: usize| match samples <= samples_max {
            true => Ok(()),
            false => Err(AudioError::TooLong),
        };
        let begin = out.len();
        match &mut self.kind {
            Decoding::G711(law, concealment) => {
                fits(payload.len())?;
                law.decode(payload, out);
                concealment.received(&mut out[begin..]);
            }
            Decoding::G722(decoder, concealment) => {
                fits(payload.len().saturating_mul(2))?;
                decoder.decode(payload, out);
                concealment.received(&mut out[begin..]);
            }
            Decoding::Opus(decoder) => decoder.decode(payload, out)?,
            Decoding::L16(channels, concealment) => {
                fits(payload.len() / (2 * *channels))?;
                l16::decode(payload, *channels, out)?;
                concealment.received(&mut out[begin..]);
            }
        }
        Ok(())
    }

    /// Appends what would have been: `samples` of it, [`SAMPLES_MAX`] at most.
    ///
    /// Opus knows best itself; for the others the last waveform is repeated and fades
    /// out within 60 ms, in the spirit of G.711 Appendix I.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        let samples = samples.min(SAMPLES_MAX);
        match &mut self.kind {
            Decoding::G711(_, concealment) | Decoding::L16(_, concealment) => {
                concealment.conceal(samples, out);
            }
            Decoding::G722(decoder, concealment) => {
                let begin = out.len();
                concealment.conceal(samples, out);
                decoder.follow(out.get(begin..).unwrap_or_default());
            }
            Decoding::Opus(decoder) => decoder.conceal(samples, out),
        }
    }

    /// Appends `samples` of the lost packet, out of what the one after it repeats of it
    /// (the in-band FEC of Opus, RFC 7587 §3.3). `false`, and nothing, if that has none:
    /// then [`Decoder::conceal`]. The next packet is to be decoded afterwards all the same.
    pub fn recover(&mut self, next_payload: &[u8], samples: usize, out: &mut Vec<i16>) -> bool {
        match &mut self.kind {
            Decoding::Opus(decoder) => decoder.recover(next_payload, samples, out),
            _ => false,
        }
    }
}

/// Samples to payloads, for one stream.
#[derive(Debug)]
pub struct Encoder {
    kind: Encoding,
    samples_max: usize,
}

#[derive(Debug)]
enum Encoding {
    G711(Law),
    G722(Box<g722::Encoder>),
    Opus(opus::Encoder),
    L16(usize),
}

impl Encoder {
    /// Appends exactly one packet of these samples to `out`. Opus takes 2.5, 5, 10 or a
    /// multiple of 20 ms, G.722 an even number of samples.
    ///
    /// # Errors
    ///
    /// [`AudioError::Empty`], [`AudioError::TooLong`] or [`AudioError::Length`]; `out` is
    /// as it was then.
    pub fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<(), AudioError> {
        if samples.is_empty() {
            return Err(AudioError::Empty);
        }
        if samples.len() > self.samples_max {
            return Err(AudioError::TooLong);
        }
        match &mut self.kind {
            Encoding::G711(law) => law.encode(samples, out),
            Encoding::G722(encoder) => {
                if !samples.len().is_multiple_of(2) {
                    return Err(AudioError::Length { samples: samples.len() });
                }
                encoder.encode(samples, out);
            }
            Encoding::Opus(encoder) => encoder.encode(samples, out)?,
            Encoding::L16(channels) => l16::encode(samples, *channels, out),
        }
        Ok(())
    }

    /// How much of what we send is lost, in percent, as the peer's reports say: the more,
    /// the more Opus spends on repeating it. The others have nothing to set.
    pub fn set_packet_loss(&mut self, percent: u8) {
        if let Encoding::Opus(encoder) = &mut self.kind {
            encoder.set_packet_loss(percent.min(100));
        }
    }

    /// Whether silence is left out, in Opus. A packet of it that has two bytes or fewer
    /// need not be sent (RFC 7587 §3.1.3). Off unless it is set.
    pub fn set_dtx(&mut self, is_on: bool) {
        if let Encoding::Opus(encoder) = &mut self.kind {
            encoder.set_dtx(is_on);
        }
    }
}
