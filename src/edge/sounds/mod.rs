//! Sound files: read and encoded when the configuration is, so that to play one costs what to relay costs.

mod decode;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

pub use decode::{SECONDS_MAX, SoundError};

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
}

/// The set in force; copies share it. A reload puts another one into its place, and what is being played goes on.
#[derive(Clone, Debug, Default)]
pub struct Sounds(Arc<Mutex<SoundSet>>);

impl Sounds {
    /// With this set.
    #[must_use]
    pub fn new(set: SoundSet) -> Self {
        Self(Arc::new(Mutex::new(set)))
    }

    /// The set in force.
    #[must_use]
    pub fn get(&self) -> SoundSet {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Another one from now on.
    pub fn set(&self, set: SoundSet) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = set;
    }
}

/// Reads a sound file: WAV, MP3, FLAC, Ogg Vorbis or Ogg Opus, any rate and any number of channels, which become one.
/// Takes about a second for ten minutes of music: not for async tasks.
///
/// # Errors
///
/// [`SoundError`] if it cannot be read, is none of these, is empty, or is longer than [`SECONDS_MAX`].
pub fn read(path: &Path) -> Result<Clips, SoundError> {
    let sound = decode::file(path)?;
    let mut clips = Vec::with_capacity(CODECS.len());
    for codec in CODECS {
        let mut resampler =
            Resampler::new(sound.rate, codec.sample_rate()).map_err(SoundError::audio)?;
        let mut samples = Vec::new();
        resampler.process(&sound.samples, &mut samples);
        // What waits for a whole block, and what the filter holds back.
        let rest = vec![0; usize::try_from(sound.rate / 20).unwrap_or_default()];
        resampler.process(&rest, &mut samples);
        let delay = resampler.delay_samples().min(samples.len());
        let length = sound.samples.len() as u64 * u64::from(codec.sample_rate());
        let length = usize::try_from(length / u64::from(sound.rate.max(1))).unwrap_or_default();
        let end = delay.saturating_add(length).min(samples.len());
        let samples = samples.get(delay..end).unwrap_or_default();
        clips.push(Clip::encode(codec, samples).map_err(SoundError::audio)?);
    }
    Ok(clips.into())
}

#[cfg(test)]
mod tests;
