//! What is said to the parties of a call, and in which language.

use super::phrase::Language;

/// `[speech]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SpeechSettings {
    /// The folder with a folder of prompts for each language.
    pub sounds: Option<String>,
    /// The language where nothing else is asked for.
    pub language: Language,
}
