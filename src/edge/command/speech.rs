//! Parameters of what is to be said.

use super::params::Params;
use crate::edge::control::rpc::RpcError;
use crate::switch::call::Side;
use crate::switch::cdr::record::CallId;
use crate::switch::phrase::{Language, Spoken};
use crate::switch::speech::{Say, Saying, TEXT_MAX};

/// Prompts of one wish.
const PROMPTS_MAX: usize = 64;
/// Bytes of a file's name.
const PATH_MAX: usize = 4_096;

/// A wish about speech.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpeechCommand {
    /// Says something to sides of a call: `{"say": …}`, the name by which its end is told.
    Say {
        /// Which.
        call: CallId,
        /// Who hears it.
        sides: Vec<Side>,
        /// What.
        say: Say,
    },
    /// Says nothing more of it all; answers `{}`.
    Silence {
        /// Which.
        call: CallId,
    },
    /// Writes down what is said from now on, or not any more; answers `{}`.
    Transcribe {
        /// Which.
        call: CallId,
        /// From now on?
        is_on: bool,
    },
    /// What somebody would hear: `{"wav": …, "samples": …, "rate": …}`, the file in Base64 for URLs.
    Preview {
        /// What.
        say: Say,
    },
}

impl Params<'_> {
    /// The methods about speech.
    pub(super) fn speech(&self, method: &str) -> Result<SpeechCommand, RpcError> {
        Ok(match method {
            "call.say" => SpeechCommand::Say {
                call: self.call("call")?,
                sides: self.sides()?,
                say: self.say()?,
            },
            "call.silence" => SpeechCommand::Silence { call: self.call("call")? },
            "call.transcribe" => SpeechCommand::Transcribe {
                call: self.call("call")?,
                is_on: self.flag("on")?.unwrap_or(true),
            },
            _ => SpeechCommand::Preview { say: self.say()? },
        })
    }

    /// `a`, `b` or `both`, which is what is meant without.
    fn sides(&self) -> Result<Vec<Side>, RpcError> {
        match self.text("side")?.unwrap_or("both") {
            "a" => Ok(vec![Side::A]),
            "b" => Ok(vec![Side::B]),
            "both" => Ok(vec![Side::A, Side::B]),
            _ => Err(RpcError::bad_params("`side` must be a, b or both")),
        }
    }

    /// One of `text`, `prompts` and `file`, with `language`.
    fn say(&self) -> Result<Say, RpcError> {
        let language = match self.text("language")? {
            None => None,
            Some(code) => Some(Language::of(code).ok_or_else(|| {
                let codes = Language::ALL.map(Language::code).join(" or ");
                RpcError::bad_params(format!("`language` must be {codes}"))
            })?),
        };
        let what = match (self.text("text")?, self.text("prompts")?, self.text("file")?) {
            (Some(text), None, None) => {
                let length = text.chars().count();
                if text.trim().is_empty() || length > TEXT_MAX {
                    let words =
                        format!("`text` must have 1 to {TEXT_MAX} characters, not {length}");
                    return Err(RpcError::bad_params(words));
                }
                Saying::Text(text.to_owned())
            }
            (None, Some(names), None) => {
                let names: Vec<&str> = names.split_whitespace().collect();
                if names.is_empty() || names.len() > PROMPTS_MAX {
                    let words = format!("`prompts` must be 1 to {PROMPTS_MAX} names of prompts");
                    return Err(RpcError::bad_params(words));
                }
                let prompt = |name: &&str| Spoken::Prompt((*name).to_owned().into());
                Saying::Phrase(names.iter().map(prompt).collect())
            }
            (None, None, Some(path)) if path.starts_with('/') && path.len() <= PATH_MAX => {
                Saying::File(path.to_owned())
            }
            (None, None, Some(_)) => {
                return Err(RpcError::bad_params("`file` must begin with /"));
            }
            _ => {
                let words = "one of `text`, `prompts` and `file` is needed";
                return Err(RpcError::bad_params(words));
            }
        };
        Ok(Say { what, language })
    }
}
