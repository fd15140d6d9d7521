//! What providers of speech are used with: settings, and the files that they name.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

use crate::switch::speech::{HotWord, SpeechSettings};

/// `[speech]` with its files.
#[derive(Default)]
pub struct Material {
    /// The settings.
    pub settings: SpeechSettings,
    /// The key that the server of speech wants.
    pub tts_key: Option<String>,
    /// The key that the recogniser's server wants.
    pub asr_key: Option<String>,
    /// Words that it is told to expect.
    pub hot_words: Vec<HotWord>,
    /// What servers are reached by with TLS.
    pub https: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material").field("settings", &self.settings).finish_non_exhaustive()
    }
}
