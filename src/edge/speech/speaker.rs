//! From what is to be said to sounds that can be played.

use std::fmt;
use std::path::Path;

use crate::edge::media_io::PLAYLIST_MAX;
use crate::edge::sounds::{Clips, SoundError, Sounds};
use crate::switch::phrase::phrase;
use crate::switch::speech::{Say, Saying, SpeechSettings};

/// Why something cannot be said.
#[derive(Debug)]
pub enum SayError {
    /// A sound is not there, or cannot be read.
    Sound(SoundError),
    /// It has more parts than [`PLAYLIST_MAX`].
    TooLong,
    /// The system has no thread for it.
    Thread,
}

impl fmt::Display for SayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound(error) => error.fmt(f),
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
}

impl Speaker {
    /// With these sounds.
    #[must_use]
    pub fn new(sounds: Sounds) -> Self {
        Self { sounds }
    }

    /// The sounds, in order. Reads and encodes on another thread.
    ///
    /// # Errors
    ///
    /// [`SayError`]: nothing of it can be said.
    pub async fn clips(&self, settings: &SpeechSettings, say: Say) -> Result<Vec<Clips>, SayError> {
        let language = say.language.unwrap_or(settings.language);
        let library = self.sounds.library();
        let made = tokio::task::spawn_blocking(move || match say.what {
            Saying::Phrase(things) => {
                let names = phrase(language, &things);
                if names.len() > PLAYLIST_MAX {
                    return Err(SayError::TooLong);
                }
                Ok(library.phrase(language, &names)?)
            }
            Saying::File(path) => Ok(vec![library.file(Path::new(&path))?]),
        });
        made.await.unwrap_or(Err(SayError::Thread))
    }
}
