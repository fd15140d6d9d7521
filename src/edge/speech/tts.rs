//! Texts become speech: by a program on this machine or a server, once for each text and voice.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::http::{HttpError, Post, post};
use super::material::Material;
use crate::edge::sounds::{SoundError, decode};
use crate::proto::hex;
use crate::proto::recording::wav::Shape;
use crate::switch::phrase::Language;
use crate::switch::speech::{TEXT_MAX, TtsProvider, readable};

/// Texts that are made into speech at a time; a further one waits, and its time runs.
const AT_ONCE_MAX: usize = 4;
/// Bytes that a provider may send for a text: three minutes at 22 kHz.
const SPEECH_MAX: usize = 8 << 20;
/// What a file of the cache is called.
const EXTENSION: &str = "speech";
/// The program.
const ESPEAK: &str = "espeak-ng";

/// Why a text cannot be said.
#[derive(Debug)]
pub enum TtsError {
    /// It is empty, or longer than [`TEXT_MAX`] characters.
    Length(usize),
    /// `[speech] tts` says nobody.
    NoProvider,
    /// The program is not there, or failed.
    Program(String),
    /// It took too long.
    TooLate,
    /// The server did not do it.
    Server(HttpError),
    /// What came is no sound.
    Sound(SoundError),
    /// The cache cannot be written.
    Disk(std::io::Error),
}

impl fmt::Display for TtsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(length) => {
                write!(f, "a text has 1 to {TEXT_MAX} characters, and this one {length}")
            }
            Self::NoProvider => f.write_str("nobody speaks: set `tts` in the section [speech]"),
            Self::Program(why) => write!(f, "{ESPEAK} did not speak: {why}"),
            Self::TooLate => f.write_str("it took too long to speak"),
            Self::Server(error) => error.fmt(f),
            Self::Sound(error) => write!(f, "what was spoken is of no use: {error}"),
            Self::Disk(error) => write!(f, "speech cannot be stored: {error}"),
        }
    }
}

impl std::error::Error for TtsError {}

/// Makes speech; copies share the limit.
#[derive(Clone, Debug)]
pub(super) struct Tts {
    folder: PathBuf,
    places: Arc<Semaphore>,
}

impl Tts {
    /// Keeps what was made in this folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, places: Arc::new(Semaphore::new(AT_ONCE_MAX)) }
    }

    /// The file with a text as it is spoken, made now unless it was made before.
    pub(super) async fn file(
        &self,
        material: &Material,
        language: Language,
        text: &str,
    ) -> Result<PathBuf, TtsError> {
        let length = text.chars().count();
        if text.trim().is_empty() || length > TEXT_MAX {
            return Err(TtsError::Length(length));
        }
        let settings = &material.settings;
        let path = self.folder.join(name(material, language, text));
        if self.is_kept(&path).await {
            return Ok(path);
        }
        let text = readable(text);
        let spoken = timeout(settings.tts_timeout, async {
            // The semaphore is never closed.
            let _place = self.places.acquire().await;
            match settings.tts {
                TtsProvider::None => Err(TtsError::NoProvider),
                TtsProvider::Espeak => espeak(settings.voice(language), &text).await,
                TtsProvider::Http => server(material, settings.voice(language), &text).await,
            }
        });
        let bytes = spoken.await.unwrap_or(Err(TtsError::TooLate))?;
        let (folder, kept) = (self.folder.clone(), path.clone());
        let bytes_max = u64::from(settings.tts_cache_mb) << 20;
        let stored = tokio::task::spawn_blocking(move || {
            // What cannot be played is not kept either.
            let bytes = playable(bytes)?;
            store(&folder, &kept, &bytes, bytes_max).map_err(TtsError::Disk)
        });
        stored.await.unwrap_or(Err(TtsError::TooLate))?;
        Ok(path)
    }

    /// Is it there? Then it is the newest again.
    async fn is_kept(&self, path: &Path) -> bool {
        let path = path.to_path_buf();
        let micros = u64::try_from(crate::edge::clock::wall().0).unwrap_or_default();
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        let look =
            move || std::fs::File::open(&path).and_then(|file| file.set_modified(now)).is_ok();
        tokio::task::spawn_blocking(look).await.unwrap_or(false)
    }
}

/// The name in the cache: all that decides how it sounds.
fn name(material: &Material, language: Language, text: &str) -> String {
    let settings = &material.settings;
    let mut hash = Sha256::new();
    let provider = format!("{:?} {:?} {}", settings.tts, settings.tts_url, settings.tts_model);
    for part in [provider.as_str(), settings.voice(language), language.code(), text] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    format!("{}.{EXTENSION}", hex::hex(&hash.finalize()))
}

/// No shell, nothing of our environment, and the text is not among the arguments.
async fn espeak(voice: &str, text: &str) -> Result<Vec<u8>, TtsError> {
    let failed = |error: std::io::Error| TtsError::Program(error.to_string());
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut child = Command::new(ESPEAK)
        .args(["-v", voice, "-s", "150", "-b", "1", "--stdin", "--stdout"])
        .env_clear()
        .env("PATH", path)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It reads all of it before it speaks.
        stdin.write_all(text.as_bytes()).await.map_err(failed)?;
    }
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let most = SPEECH_MAX as u64;
        stdout.take(most).read_to_end(&mut bytes).await.map_err(failed)?;
        if bytes.len() >= SPEECH_MAX {
            return Err(TtsError::Program("it does not end".to_owned()));
        }
    }
    let status = child.wait().await.map_err(failed)?;
    if !status.success() {
        return Err(TtsError::Program(format!("{status}; is there a voice `{voice}`?")));
    }
    whole(bytes).ok_or_else(|| TtsError::Program("it said nothing".to_owned()))
}

/// A WAV that was written to a pipe has no length in its header: it is given one.
fn whole(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let rate = bytes.get(24..28).and_then(|rate| rate.try_into().ok()).map(u32::from_le_bytes)?;
    let data = bytes.windows(4).take(256).position(|word| word == b"data")?;
    let samples = bytes.get(data + 8..).filter(|samples| !samples.is_empty())?;
    let mut out =
        Shape { rate, tracks: 1 }.header(u32::try_from(samples.len()).ok()?.into()).to_vec();
    out.extend_from_slice(samples);
    Some(out)
}

/// The speech interface of OpenAI.
async fn server(material: &Material, voice: &str, text: &str) -> Result<Vec<u8>, TtsError> {
    let settings = &material.settings;
    let url = settings.tts_url.as_ref().ok_or(TtsError::NoProvider)?;
    let body = json!({
        "model": settings.tts_model, "input": text, "voice": voice, "response_format": "wav",
    });
    let ask = Post {
        url,
        key: material.tts_key.as_deref(),
        content_type: "application/json",
        body: body.to_string().into_bytes(),
    };
    let limits = (settings.tts_timeout, SPEECH_MAX);
    post(ask, material.https.as_ref(), limits).await.map_err(TtsError::Server)
}

fn playable(bytes: Vec<u8>) -> Result<Vec<u8>, TtsError> {
    // Servers write WAVs as they speak them, without a length.
    let is_wav = bytes.starts_with(b"RIFF") && bytes.get(20..24) == Some(&[1, 0, 1, 0]);
    let bytes = if is_wav { whole(bytes.clone()).unwrap_or(bytes) } else { bytes };
    decode(bytes.clone()).map(|_| bytes).map_err(TtsError::Sound)
}

/// Writes a file whole or not at all, and deletes the oldest where there is too much.
fn store(folder: &Path, path: &Path, bytes: &[u8], bytes_max: u64) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let seed = crate::edge::entropy::seed().map_err(std::io::Error::other)?;
    let draft = folder.join(format!("{seed:016x}.draft"));
    std::fs::write(&draft, bytes)?;
    std::fs::rename(&draft, path)?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let (entry, path) = entry.map(|entry| (entry.metadata(), entry.path()))?;
        if let Ok(meta) = entry
            && meta.is_file()
        {
            files.push((meta.modified()?, meta.len(), path));
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
    for (_, length, old) in files {
        if total <= bytes_max || old == path {
            break;
        }
        std::fs::remove_file(&old)?;
        total -= length;
    }
    Ok(())
}
