//! What is said to the parties of a call, and in which language.

use std::time::Duration;

use super::phrase::{Language, Spoken};

/// Characters of a text that is said: the longest that anybody listens to.
pub const TEXT_MAX: usize = 600;
/// Hot words of a configuration, and characters of one.
pub const HOT_WORDS_MAX: usize = 1_000;
/// Characters of a hot word: ten if they are Chinese, whose words are short.
pub const HOT_WORD_CHARS_MAX: usize = 20;

/// Who makes speech of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TtsProvider {
    /// Nobody: prompts and files alone are said.
    None,
    /// The program espeak-ng on this machine.
    #[default]
    Espeak,
    /// A server with the speech interface of OpenAI.
    Http,
}

/// Who makes texts of speech.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AsrProvider {
    /// Nobody.
    #[default]
    None,
    /// A server with the WebSocket of vosk-server.
    Vosk,
    /// A server with the transcription interface of OpenAI.
    Http,
}

/// A server as an address names it: `http`, `https`, `ws` or `wss`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerUrl {
    /// By TLS?
    pub is_secure: bool,
    /// By WebSocket?
    pub is_socket: bool,
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Path and query, from the first `/`.
    pub path: String,
}

impl ServerUrl {
    /// Reads an address (RFC 3986 §3). No name and password can be in it, and no fragment.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (is_secure, is_socket) = match scheme {
            "http" => (false, false),
            "https" => (true, false),
            "ws" => (false, true),
            "wss" => (true, true),
            _ => return None,
        };
        if rest.chars().any(|c| !c.is_ascii_graphic() || "@#\\\"".contains(c)) {
            return None;
        }
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => authority.find(':').map_or((authority, ""), |at| authority.split_at(at)),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
            None if !port.is_empty() => return None,
            None if is_secure => 443,
            None => 80,
        };
        let is_host = !host.is_empty()
            && host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:_".contains(c));
        is_host.then(|| Self {
            is_secure,
            is_socket,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    /// Host and port as the header Host has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = &self.host;
        if host.contains(':') {
            format!("[{host}]:{}", self.port)
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

/// A word that recognition is told to expect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HotWord {
    /// The word.
    pub word: String,
    /// 1 to 10: the higher, the likelier.
    pub weight: u8,
}

impl HotWord {
    /// Reads `word|weight`; without a weight it is 10.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (word, weight) = line.split_once('|').unwrap_or((line, "10"));
        let word = word.trim();
        let weight = weight.trim().parse().ok().filter(|weight| (1..=10).contains(weight))?;
        let is_wide = |c: char| !c.is_ascii();
        let length: usize = word.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum();
        let is_good = |c: char| c.is_alphanumeric() || "_- ".contains(c);
        ((1..=HOT_WORD_CHARS_MAX).contains(&length) && word.chars().all(is_good))
            .then(|| Self { word: word.to_owned(), weight })
    }
}

/// `[speech]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpeechSettings {
    /// The folder with a folder of prompts for each language.
    pub sounds: Option<String>,
    /// The language where nothing else is asked for.
    pub language: Language,
    /// Who says texts.
    pub tts: TtsProvider,
    /// The voice of each language, as the provider names it.
    pub voices: Vec<(Language, String)>,
    /// The provider's server.
    pub tts_url: Option<ServerUrl>,
    /// What it is asked for.
    pub tts_model: String,
    /// The file with the key that it wants.
    pub tts_key_file: Option<String>,
    /// How long it may take.
    pub tts_timeout: Duration,
    /// Megabytes of speech that are kept on disk.
    pub tts_cache_mb: u32,
    /// Who listens.
    pub asr: AsrProvider,
    /// The provider's server.
    pub asr_url: Option<ServerUrl>,
    /// What it is asked for.
    pub asr_model: String,
    /// The file with the key that it wants.
    pub asr_key_file: Option<String>,
    /// The file of hot words.
    pub hot_words: Option<String>,
    /// Are all calls transcribed?
    pub transcribes_all: bool,
}

impl Default for SpeechSettings {
    fn default() -> Self {
        Self {
            sounds: None,
            language: Language::English,
            tts: TtsProvider::Espeak,
            voices: Vec::new(),
            tts_url: None,
            tts_model: "tts-1".to_owned(),
            tts_key_file: None,
            tts_timeout: Duration::from_secs(10),
            tts_cache_mb: 100,
            asr: AsrProvider::None,
            asr_url: None,
            asr_model: "whisper-1".to_owned(),
            asr_key_file: None,
            hot_words: None,
            transcribes_all: false,
        }
    }
}

impl SpeechSettings {
    /// The voice of a language, as the provider names it.
    #[must_use]
    pub fn voice(&self, language: Language) -> &str {
        let written = self.voices.iter().find(|(known, _)| *known == language);
        written.map_or_else(
            || match (self.tts, language) {
                (TtsProvider::Http, _) => "alloy",
                (_, Language::English) => "en-us",
                // espeak-ng 1.51 of Debian reads the syllables of its voice `cmn` as English.
                (_, Language::Chinese) => "cmn-latn-pinyin",
            },
            |(_, voice)| voice,
        )
    }
}

/// A text as it is to be read: digits one by one, because they are numbers of accounts, orders and telephones; who wants
/// a number read as one spells it. Signs that are no text are blanks.
#[must_use]
pub fn readable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut was_digit = false;
    for sign in text.chars() {
        let sign = if sign.is_control() { ' ' } else { sign };
        if was_digit && sign.is_ascii_digit() {
            out.push(' ');
        }
        was_digit = sign.is_ascii_digit();
        out.push(sign);
    }
    out
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
    /// A text of up to [`TEXT_MAX`] characters.
    Text(String),
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
            Self::Text(text) => format!("\"{text}\""),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_one_by_one() {
        assert_eq!(readable("Order 1207 of 3"), "Order 1 2 0 7 of 3");
        assert_eq!(readable("尾号8848的卡\n"), "尾号8 8 4 8的卡 ");
    }

    #[test]
    fn addresses_of_servers() {
        let url = ServerUrl::parse("http://127.0.0.1:8880/v1/audio/speech?a=1").unwrap();
        assert_eq!(
            (url.authority().as_str(), url.path.as_str()),
            ("127.0.0.1:8880", "/v1/audio/speech?a=1")
        );
        let url = ServerUrl::parse("wss://[::1]").unwrap();
        assert!(url.is_secure && url.is_socket);
        assert_eq!((url.authority().as_str(), url.path.as_str()), ("[::1]:443", "/"));
        for wrong in [
            "",
            "ftp://a/",
            "http://",
            "http://a:0/",
            "http://a:x/",
            "http://u@a/",
            "http://a/#b",
            "http://a b/",
            "a/b",
        ] {
            assert_eq!(ServerUrl::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hot_words_have_weights() {
        assert_eq!(HotWord::parse("Tandem|7"), Some(HotWord { word: "Tandem".into(), weight: 7 }));
        assert_eq!(HotWord::parse(" 呼叫中心 ").unwrap().weight, 10);
        for wrong in [
            "",
            "|5",
            "a|0",
            "a|11",
            "a|x",
            "a,b",
            "一二三四五六七八九十一|5",
            "abcdefghijklmnopqrstu",
        ] {
            assert_eq!(HotWord::parse(wrong), None, "{wrong}");
        }
    }
}
