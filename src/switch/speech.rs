//! What is said to the parties of a call, and in which language.

use super::phrase::{Language, Spoken};

/// `[speech]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SpeechSettings {
    /// The folder with a folder of prompts for each language.
    pub sounds: Option<String>,
    /// The language where nothing else is asked for.
    pub language: Language,
}

/// Something that is said to a party in place of the other one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Say {
    /// What.
    pub what: Saying,
    /// In which language; `None`: that of `[speech]`.
    pub language: Option<Language>,
}

/// Where its sound comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Saying {
    /// Prompts, one behind the other.
    Phrase(Vec<Spoken>),
    /// A sound file on this machine.
    File(String),
}

/// Characters of a text that the timeline shows.
const SHOWN_MAX: usize = 80;

impl Saying {
    /// For the timeline.
    #[must_use]
    pub fn words(&self) -> String {
        let words = match self {
            Self::Phrase(things) => {
                let word = |thing: &Spoken| match thing {
                    Spoken::Prompt(name) => name.to_string(),
                    other => format!("{other:?}"),
                };
                things.iter().map(word).collect::<Vec<_>>().join(" ")
            }
            Self::File(path) => path.clone(),
        };
        words.chars().take(SHOWN_MAX).collect()
    }
}

/// How something that was to be said has ended. It is told exactly once for each side that was to hear it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayEnd {
    /// It was said to its end.
    Done,
    /// It was silenced, the side was put on hold meanwhile, or the call is over.
    Cut,
    /// The side's codec is none that sounds are there in.
    Unplayable,
    /// Too much waited before it, or nobody is connected.
    Refused,
    /// There is no such sound, or it could not be made.
    Failed,
}

impl PlayEnd {
    /// The word in events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cut => "cut",
            Self::Unplayable => "unplayable",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}
