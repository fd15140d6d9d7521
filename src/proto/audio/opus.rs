//! Opus (RFC 6716, RFC 7587) by the system's libopus: 48 kHz, mono, for speech.

use audiopus::coder::{Decoder as Library, Encoder as LibraryEncoder};
use audiopus::packet::{self, Packet};
use audiopus::{Application, Bitrate, Channels, MutSignals, SampleRate};

use super::codec::{AudioError, SAMPLES_MAX};

/// Bits a second that we send: wideband speech with room for its repetition.
pub const OPUS_BIT_RATE: i32 = 24_000;
/// How hard the encoder tries, 0 to 10. Below 2 it falls back to narrowband once much is
/// lost and has to be repeated; from 5 on it takes half as long again and more, which is
/// what a core can transcode, and speech at this bit rate hardly shows it.
pub const OPUS_COMPLEXITY: u8 = 2;
/// The loss that the encoder expects until a peer reports its own: without any, it
/// repeats nothing, and the first packet that is lost is lost.
pub const OPUS_LOSS_PERCENT: u8 = 5;
/// Bytes of our longest packet; a longer one would not pass a link whole.
pub const OPUS_PACKET_MAX: usize = 1_200;

/// What every duration is a multiple of: 2.5 ms.
const STEP: usize = 120;
/// The longest frame of SILK, which has flags of its own: 20 ms.
const SILK_FRAME: usize = 960;

#[derive(Debug)]
pub(super) struct Decoder(Library);

impl Decoder {
    pub(super) fn new() -> Result<Self, AudioError> {
        let library = Library::new(SampleRate::Hz48000, Channels::Mono);
        library.map(Self).map_err(|_| AudioError::Library)
    }

    /// Appends the samples of a packet; `out` is as it was after an error.
    pub(super) fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Result<(), AudioError> {
        let samples = Packet::try_from(payload)
            .and_then(|packet| packet::nb_samples(packet, SampleRate::Hz48000))
            .map_err(|_| AudioError::Malformed)?;
        if samples > SAMPLES_MAX {
            return Err(AudioError::TooLong);
        }
        match self.run(Some(payload), samples, false, out) {
            true => Ok(()),
            false => Err(AudioError::Malformed),
        }
    }

    /// Appends `samples` of concealment.
    pub(super) fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        let end = out.len() + samples;
        self.run(None, samples.next_multiple_of(STEP), false, out);
        out.resize(end, 0);
    }

    /// Appends what `next_payload` repeats of the packet before it, if it does.
    pub(super) fn recover(
        &mut self,
        next_payload: &[u8],
        samples: usize,
        out: &mut Vec<i16>,
    ) -> bool {
        let samples = samples.min(SAMPLES_MAX);
        let end = out.len() + samples;
        let wanted = samples.next_multiple_of(STEP);
        if samples == 0 || !has_redundancy(next_payload) {
            return false;
        }
        let is_done = self.run(Some(next_payload), wanted, true, out);
        if is_done {
            out.resize(end, 0);
        }
        is_done
    }

    /// Appends `samples` at most; nothing, and `false`, if the library refuses.
    fn run(
        &mut self,
        payload: Option<&[u8]>,
        samples: usize,
        is_repeated: bool,
        out: &mut Vec<i16>,
    ) -> bool {
        let begin = out.len();
        out.resize(begin + samples, 0);
        let packet = payload.map(Packet::try_from).transpose();
        let signals = MutSignals::try_from(&mut out[begin..]);
        let decoded = match (packet, signals) {
            (Ok(packet), Ok(signals)) => self.0.decode(packet, signals, is_repeated).ok(),
            _ => None,
        };
        out.truncate(begin + decoded.unwrap_or(0).min(samples));
        decoded.is_some()
    }
}

#[derive(Debug)]
pub(super) struct Encoder(LibraryEncoder);

impl Encoder {
    pub(super) fn new() -> Result<Self, AudioError> {
        let set_up = || -> audiopus::Result<LibraryEncoder> {
            let (rate, mode) = (SampleRate::Hz48000, Application::Voip);
            let mut encoder = LibraryEncoder::new(rate, Channels::Mono, mode)?;
            encoder.set_bitrate(Bitrate::BitsPerSecond(OPUS_BIT_RATE))?;
            encoder.set_complexity(OPUS_COMPLEXITY)?;
            encoder.set_inband_fec(true)?;
            encoder.set_packet_loss_perc(OPUS_LOSS_PERCENT)?;
            encoder.set_dtx(false)?;
            Ok(encoder)
        };
        set_up().map(Self).map_err(|_| AudioError::Library)
    }

    /// Appends one packet; `out` is as it was after an error.
    pub(super) fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) -> Result<(), AudioError> {
        if !matches!(samples.len(), 120 | 240 | 480) && !samples.len().is_multiple_of(SILK_FRAME) {
            return Err(AudioError::Length { samples: samples.len() });
        }
        let begin = out.len();
        out.resize(begin + OPUS_PACKET_MAX, 0);
        let written = self.0.encode(samples, &mut out[begin..]);
        out.truncate(begin + written.as_ref().copied().unwrap_or(0).min(OPUS_PACKET_MAX));
        written.map(|_| ()).map_err(|_| AudioError::Library)
    }

    /// How much is lost, 0 to 100. The library refuses nothing else.
    pub(super) fn set_packet_loss(&mut self, percent: u8) {
        let _ = self.0.set_packet_loss_perc(percent);
    }

    pub(super) fn set_dtx(&mut self, is_on: bool) {
        let _ = self.0.set_dtx(is_on);
    }
}

/// Does a packet repeat the one before it? The flags are the first bits of a SILK frame,
/// after one bit for each of its 20 ms (RFC 6716 §4.2.3 and §4.2.4); those are coded with
/// even odds, so they stand there as they are.
pub(super) fn has_redundancy(packet: &[u8]) -> bool {
    let Some(toc) = packet.first() else { return false };
    // Configurations from 16 on are CELT alone (RFC 6716 §3.1).
    if toc & 0x80 != 0 {
        return false;
    }
    let Some(frame) = first_frame(packet).and_then(|frame| frame.first()) else { return false };
    let duration = Packet::try_from(packet)
        .and_then(|packet| packet::samples_per_frame(packet, SampleRate::Hz48000));
    let count = duration.map_or(1, |samples| (samples / SILK_FRAME).clamp(1, 3));
    let is_stereo = toc & 0x04 != 0;
    let flag = |bits_before: usize| frame >> (7 - bits_before) & 1 != 0;
    flag(count) || (is_stereo && flag(2 * count + 1))
}

/// The first frame of a packet, from its first byte on, perhaps with what follows it
/// (RFC 6716 §3.2).
fn first_frame(packet: &[u8]) -> Option<&[u8]> {
    let (toc, rest) = packet.split_first()?;
    match toc & 3 {
        0 | 1 => Some(rest),
        2 => length(rest).map(|(_, rest)| rest),
        _ => {
            let (count, mut rest) = rest.split_first()?;
            if count & 0x40 != 0 {
                loop {
                    let (padding, after) = rest.split_first()?;
                    rest = after;
                    if *padding != 255 {
                        break;
                    }
                }
            }
            let mut first = None;
            if count & 0x80 != 0 {
                for _ in 1..count & 0x3f {
                    let (bytes, after) = length(rest)?;
                    first.get_or_insert(bytes);
                    rest = after;
                }
            }
            (first != Some(0)).then_some(rest)
        }
    }
}

/// A length of one or two bytes (RFC 6716 §3.2.1).
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [first, rest @ ..] if *first < 252 => Some((usize::from(*first), rest)),
        [first, second, rest @ ..] => Some((usize::from(*first) + 4 * usize::from(*second), rest)),
        _ => None,
    }
}
