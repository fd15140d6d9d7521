//! Sound files: read and encoded when the configuration is, so that to play one costs what to relay costs.

mod decode;
mod kept;
mod library;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub use decode::{SECONDS_MAX, Sound, SoundError};
pub use kept::{KEPT_BYTES_MAX, Kept};
pub use library::Library;

use crate::proto::audio::{Codec, Resampler};
use crate::proto::rtp::Clip;

/// One sound, encoded in whatever a peer may be sent.
pub type Clips = Arc<[Clip]>;

/// What clips are there in.
const CODECS: [Codec; 4] = [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus];

/// The sounds that the configuration names.
#[derive(Clone, Debug, Default)]
pub struct SoundSet {
    /// What who is on hold hears, again and again.
    pub hold: Option<Clips>,
    /// What both sides hear when they begin to be recorded.
    pub notice: Option<Clips>,
    /// The folder of prompts.
    pub prompts: Option<PathBuf>,
}

/// The set in force; copies share it. A reload puts another one into its place, and what is being played goes on.
#[derive(Clone, Debug)]
pub struct Sounds {
    set: Arc<Mutex<SoundSet>>,
    library: Library,
}

impl Sounds {
    /// With this set.
    #[must_use]
    pub fn new(set: SoundSet) -> Self {
        let library = Library::new(set.prompts.clone());
        Self { set: Arc::new(Mutex::new(set)), library }
    }

    /// The set in force.
    #[must_use]
    pub fn get(&self) -> SoundSet {
        self.set.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another one from now on.
    pub fn set(&self, set: SoundSet) {
        self.library.set_folder(set.prompts.clone());
        *self.set.lock().unwrap_or_else(PoisonError::into_inner) = set;
    }

    /// The prompts.
    #[must_use]
    pub fn library(&self) -> Library {
        self.library.clone()
    }
}

/// Reads a sound file: WAV, MP3, FLAC, Ogg Vorbis or Ogg Opus, any rate and any number of channels, which become one.
/// Takes about a second for ten minutes of music: not for async tasks.
///
/// # Errors
///
/// [`SoundError`] if it cannot be read, is none of these, is empty, or is longer than [`SECONDS_MAX`].
pub fn read(path: &Path) -> Result<Clips, SoundError> {
    encode(&decode::file(path)?)
}

/// Decodes what would be such a file; see [`read`].
///
/// # Errors
///
/// As [`read`].
pub fn decode(bytes: Vec<u8>) -> Result<Sound, SoundError> {
    decode::bytes(bytes)
}

/// Decodes a file; see [`read`].
///
/// # Errors
///
/// As [`read`].
pub fn decode_file(path: &Path) -> Result<Sound, SoundError> {
    decode::file(path)
}

/// Makes samples what is played. Takes time: not for async tasks.
///
/// # Errors
///
/// [`SoundError::Unknown`] if the rate is none that can be converted.
pub fn encode(sound: &Sound) -> Result<Clips, SoundError> {
    let mut clips = Vec::with_capacity(CODECS.len());
    for codec in CODECS {
        let samples = resampled(sound, codec.sample_rate())?;
        clips.push(Clip::encode(codec, &samples).map_err(SoundError::audio)?);
    }
    Ok(clips.into())
}

/// A sound at another rate, as long as it was.
///
/// # Errors
///
/// [`SoundError::Unknown`] if a rate is none that can be converted.
pub fn resampled(sound: &Sound, rate: u32) -> Result<Vec<i16>, SoundError> {
    let mut resampler = Resampler::new(sound.rate, rate).map_err(SoundError::audio)?;
    let mut samples = Vec::new();
    resampler.process(&sound.samples, &mut samples);
    // What waits for a whole block, and what the filter holds back.
    let rest = vec![0; usize::try_from(sound.rate / 20).unwrap_or_default()];
    resampler.process(&rest, &mut samples);
    let delay = resampler.delay_samples().min(samples.len());
    let length = sound.samples.len() as u64 * u64::from(rate) / u64::from(sound.rate.max(1));
    samples.drain(..delay);
    samples.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(samples)
}

#[cfg(test)]
mod tests;
