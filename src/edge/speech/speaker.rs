//! From what is to be said to sounds that can be played.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::material::Material;
use super::tts::{Tts, TtsError};
use crate::edge::media_io::PLAYLIST_MAX;
use crate::edge::sounds::{Clips, Sound, SoundError, Sounds, decode_file, resampled};
use crate::switch::phrase::{Language, PromptId, phrase};
use crate::switch::speech::{Say, Saying};

/// Samples a second of what is shown as a file.
pub const SHOWN_RATE: u32 = 16_000;

/// Why something cannot be said.
#[derive(Debug)]
pub enum SayError {
    /// A sound is not there, or cannot be read.
    Sound(SoundError),
    /// A text could not be spoken.
    Tts(TtsError),
    /// It has more parts than [`PLAYLIST_MAX`].
    TooLong,
    /// The system has no thread for it.
    Thread,
}

impl fmt::Display for SayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound(error) => error.fmt(f),
            Self::Tts(error) => error.fmt(f),
            Self::TooLong => write!(f, "it has more than {PLAYLIST_MAX} parts"),
            Self::Thread => f.write_str("there was no thread to make it"),
        }
    }
}

impl std::error::Error for SayError {}

impl From<SoundError> for SayError {
    fn from(error: SoundError) -> Self {
        Self::Sound(error)
    }
}

/// Makes sounds of what is to be said; copies share what was made before.
#[derive(Clone, Debug)]
pub struct Speaker {
    sounds: Sounds,
    tts: Tts,
    material: Arc<Mutex<Arc<Material>>>,
}

/// What is to be said, as far as it has a place.
enum Source {
    Prompts(Language, Vec<PromptId>),
    File(PathBuf),
}

impl Speaker {
    /// With these sounds, and a folder for speech that is made.
    #[must_use]
    pub fn new(sounds: Sounds, material: Arc<Material>, folder: PathBuf) -> Self {
        Self { sounds, tts: Tts::new(folder), material: Arc::new(Mutex::new(material)) }
    }

    /// With other settings from now on.
    pub fn set(&self, material: Arc<Material>) {
        *self.material.lock().unwrap_or_else(PoisonError::into_inner) = material;
    }

    fn material(&self) -> Arc<Material> {
        Arc::clone(&self.material.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The sounds, in order. Speaks, reads and encodes on other threads.
    ///
    /// # Errors
    ///
    /// [`SayError`]: nothing of it can be said.
    pub async fn clips(&self, say: Say) -> Result<Vec<Clips>, SayError> {
        let source = self.source(say).await?;
        let library = self.sounds.library();
        let made = tokio::task::spawn_blocking(move || match source {
            Source::Prompts(language, names) => Ok(library.phrase(language, &names)?),
            Source::File(path) => Ok(vec![library.file(&path)?]),
        });
        made.await.unwrap_or(Err(SayError::Thread))
    }

    /// The same as samples of [`SHOWN_RATE`], for who wants to hear it without a call.
    ///
    /// # Errors
    ///
    /// As [`Speaker::clips`].
    pub async fn samples(&self, say: Say) -> Result<Sound, SayError> {
        let source = self.source(say).await?;
        let library = self.sounds.library();
        let made = tokio::task::spawn_blocking(move || match source {
            Source::Prompts(language, names) => Ok(library.samples(language, &names)?),
            Source::File(path) => {
                let sound = decode_file(&path)?;
                let samples = resampled(&sound, SHOWN_RATE)?;
                Ok(Sound { rate: SHOWN_RATE, samples })
            }
        });
        made.await.unwrap_or(Err(SayError::Thread))
    }

    async fn source(&self, say: Say) -> Result<Source, SayError> {
        let material = self.material();
        let language = say.language.unwrap_or(material.settings.language);
        Ok(match say.what {
            Saying::Phrase(things) => {
                let names = phrase(language, &things);
                if names.len() > PLAYLIST_MAX {
                    return Err(SayError::TooLong);
                }
                Source::Prompts(language, names)
            }
            Saying::File(path) => Source::File(Path::new(&path).to_path_buf()),
            Saying::Text(text) => {
                let file = self.tts.file(&material, language, &text).await;
                Source::File(file.map_err(SayError::Tts)?)
            }
        })
    }
}
