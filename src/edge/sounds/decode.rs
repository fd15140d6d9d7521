//! From a file to samples.

use std::fmt;
use std::fs::File;
use std::io::Cursor;
use std::path::Path;

use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use crate::proto::audio::{AudioError, Codec, Decoder};

/// How long a sound may be: ten minutes, which are 60 MB of samples for as long as it is read.
pub const SECONDS_MAX: u32 = 600;
/// Samples a second of Opus, whatever its file says (RFC 7845 §5.1).
const OPUS_RATE: u32 = 48_000;

/// Why a sound cannot be used.
#[derive(Debug)]
pub enum SoundError {
    /// The file cannot be read.
    Io(std::io::Error),
    /// It is no sound that we know, or it is damaged.
    Unknown(String),
    /// Nothing is in it.
    Empty,
    /// It is longer than [`SECONDS_MAX`].
    TooLong,
    /// There is no prompt of this name in this language.
    NoSuchPrompt {
        /// Which.
        name: String,
        /// In which language.
        language: String,
    },
    /// The configuration names no folder that prompts are in.
    NoPrompts,
}

impl SoundError {
    pub(super) fn audio(error: AudioError) -> Self {
        Self::Unknown(error.to_string())
    }

    fn format(error: Error) -> Self {
        match error {
            Error::IoError(error) => Self::Io(error),
            other => Self::Unknown(other.to_string()),
        }
    }
}

impl fmt::Display for SoundError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "it cannot be read: {error}"),
            Self::Unknown(why) => write!(f, "it is no sound that is known here: {why}"),
            Self::Empty => f.write_str("there is nothing in it"),
            Self::TooLong => write!(f, "it is longer than {} minutes", SECONDS_MAX / 60),
            Self::NoSuchPrompt { name, language } => {
                write!(f, "there is no prompt `{name}` in {language}")
            }
            Self::NoPrompts => f.write_str(
                "there are no prompts: set `sounds` in the section [speech] of tandem.toml",
            ),
        }
    }
}

impl std::error::Error for SoundError {}

/// Samples of one voice.
#[derive(Debug)]
pub struct Sound {
    /// Samples a second.
    pub rate: u32,
    /// They.
    pub samples: Vec<i16>,
}

/// What decodes the packets of a file.
enum Packets {
    /// The library has no Opus; ours is libopus, which makes one channel of two.
    Opus(Box<Decoder>),
    Library(Box<dyn AudioDecoder>),
}

pub(super) fn file(path: &Path) -> Result<Sound, SoundError> {
    let file = File::open(path).map_err(SoundError::Io)?;
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    source(Box::new(file), &hint)
}

/// The same of a file that is not on the disk.
pub(super) fn bytes(bytes: Vec<u8>) -> Result<Sound, SoundError> {
    source(Box::new(Cursor::new(bytes)), &Hint::new())
}

fn source(source: Box<dyn MediaSource>, hint: &Hint) -> Result<Sound, SoundError> {
    let source = MediaSourceStream::new(source, Default::default());
    let (format, metadata) = (FormatOptions::default(), MetadataOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(hint, source, format, metadata)
        .map_err(SoundError::format)?;
    let none = || SoundError::Unknown("there is no audio in it".to_owned());
    let track = format.default_track(TrackType::Audio).ok_or_else(none)?;
    let id = track.id;
    let params = track.codec_params.as_ref().and_then(|params| params.audio()).ok_or_else(none)?;
    let (mut packets, rate) = if params.codec == CODEC_ID_OPUS {
        let decoder = Codec::Opus.decoder().map_err(SoundError::audio)?;
        (Packets::Opus(Box::new(decoder)), Some(OPUS_RATE))
    } else {
        let decoder = symphonia::default::get_codecs()
            .make_audio_decoder(params, &AudioDecoderOptions::default())
            .map_err(SoundError::format)?;
        (Packets::Library(decoder), params.sample_rate)
    };
    let rate = rate.ok_or_else(none)?;
    let samples = read(&mut *format, id, &mut packets, rate)?;
    if samples.is_empty() { Err(SoundError::Empty) } else { Ok(Sound { rate, samples }) }
}

fn read(
    format: &mut dyn FormatReader,
    track: u32,
    packets: &mut Packets,
    rate: u32,
) -> Result<Vec<i16>, SoundError> {
    let most = usize::try_from(rate).unwrap_or(usize::MAX).saturating_mul(SECONDS_MAX as usize);
    let (mut samples, mut frames) = (Vec::new(), Vec::<i16>::new());
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(samples),
            // Some files just stop: what is there is the sound.
            Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Ok(samples);
            }
            Err(error) => return Err(SoundError::format(error)),
        };
        if packet.track_id != track {
            continue;
        }
        match packets {
            Packets::Opus(decoder) => {
                frames.clear();
                // A packet that is damaged is silence, as it would be in a call.
                if decoder.decode(&packet.data, &mut frames).is_err() {
                    decoder.conceal(960, &mut frames);
                }
                // What an encoder puts in front, and fills the last packet up with, is not heard (RFC 7845 §4.2, §4.4).
                let trim = |ticks: u64| usize::try_from(ticks).unwrap_or(usize::MAX);
                let begin = trim(packet.trim_start.get()).min(frames.len());
                let end = frames.len().saturating_sub(trim(packet.trim_end.get())).max(begin);
                samples.extend_from_slice(frames.get(begin..end).unwrap_or_default());
            }
            Packets::Library(decoder) => match decoder.decode(&packet) {
                Ok(audio) => {
                    let channels = audio.spec().channels().count().max(1);
                    audio.copy_to_vec_interleaved(&mut frames);
                    samples.extend(frames.chunks_exact(channels).map(mean));
                }
                Err(Error::DecodeError(_)) => {}
                Err(error) => return Err(SoundError::format(error)),
            },
        }
        if samples.len() > most {
            return Err(SoundError::TooLong);
        }
    }
}

/// One sample of all channels.
fn mean(frame: &[i16]) -> i16 {
    let sum: i64 = frame.iter().map(|sample| i64::from(*sample)).sum();
    let count = i64::try_from(frame.len()).unwrap_or(1).max(1);
    i16::try_from(sum / count).unwrap_or_default()
}
