//! Prompts by language and name: read when one is wanted first, and kept encoded.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Clips, KEPT_BYTES_MAX, Kept, Sound, SoundError};
use crate::switch::phrase::{Language, PromptId};

/// The longest name of a prompt.
const NAME_MAX: usize = 64;
/// What a prompt's file may end with; the first that is there is taken, so a recording lies beside what we ship.
const EXTENSIONS: [&str; 5] = ["wav", "flac", "mp3", "opus", "ogg"];

/// A folder with a folder for each language; copies share it. Everything that reads blocks: not for async tasks.
#[derive(Clone, Debug)]
pub struct Library(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    folder: Option<PathBuf>,
    kept: Kept<PathBuf>,
}

impl Library {
    /// Of this folder; without one it is empty.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self(Arc::new(Mutex::new(Inner { folder, kept: Kept::new(KEPT_BYTES_MAX) })))
    }

    /// Another folder, or the same whose files may have changed.
    pub fn set_folder(&self, folder: Option<PathBuf>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.folder = folder;
        inner.kept.clear();
    }

    /// The file of a prompt.
    ///
    /// # Errors
    ///
    /// [`SoundError::NoSuchPrompt`], [`SoundError::NoPrompts`].
    pub fn find(&self, language: Language, name: &str) -> Result<PathBuf, SoundError> {
        let folder = self.0.lock().unwrap_or_else(PoisonError::into_inner).folder.clone();
        let folder = folder.ok_or(SoundError::NoPrompts)?.join(language.code());
        let is_name = (1..=NAME_MAX).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let file = |extension: &&str| folder.join(format!("{name}.{extension}"));
        let found = is_name.then(|| EXTENSIONS.iter().map(file).find(|path| path.is_file()));
        found.flatten().ok_or_else(|| SoundError::NoSuchPrompt {
            name: name.to_owned(),
            language: language.code().to_owned(),
        })
    }

    /// Prompts one behind the other, each as what is played.
    ///
    /// # Errors
    ///
    /// [`SoundError`] of the first one that is not there or cannot be read: half a phrase is worse than none.
    pub fn phrase(&self, language: Language, names: &[PromptId]) -> Result<Vec<Clips>, SoundError> {
        names.iter().map(|name| self.file(&self.find(language, name)?)).collect()
    }

    /// Any file, as what is played.
    ///
    /// # Errors
    ///
    /// [`SoundError`] if it cannot be read.
    pub fn file(&self, path: &Path) -> Result<Clips, SoundError> {
        let key = path.to_path_buf();
        if let Some(clips) = self.0.lock().unwrap_or_else(PoisonError::into_inner).kept.get(&key) {
            return Ok(clips);
        }
        // Nobody waits for the lock meanwhile; two who want the same read it twice.
        let clips = super::read(path)?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kept.put(key, &clips);
        Ok(clips)
    }

    /// Prompts one behind the other as samples of one rate, as they would be heard.
    ///
    /// # Errors
    ///
    /// As [`Library::phrase`].
    pub fn samples(&self, language: Language, names: &[PromptId]) -> Result<Sound, SoundError> {
        let mut all = Sound { rate: 16_000, samples: Vec::new() };
        for name in names {
            let sound = super::decode_file(&self.find(language, name)?)?;
            all.samples.extend(super::resampled(&sound, all.rate)?);
        }
        Ok(all)
    }
}
