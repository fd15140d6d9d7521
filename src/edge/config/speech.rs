//! `[speech]`: prompts, and the voices that say what is none.

use std::path::Path;
use std::sync::Arc;

use super::decode::Drafts;
use super::item::{Given, Item};
use super::secure::optional;
use super::settings::{Settings, in_seconds, quoted, seconds};
use super::source::{Marked, Report, Wrong};
use crate::edge::sip_io::tls::web_client;
use crate::edge::speech::Material;
use crate::switch::phrase::Language;
use crate::switch::speech::{AsrProvider, HOT_WORDS_MAX, HotWord, ServerUrl, TtsProvider};

type Key = Item<Settings>;

/// Bytes of the file of hot words.
const HOT_WORDS_BYTES_MAX: u64 = 100_000;

pub(super) static SPEECH: &[Key] = &[
    Key::text(
        "sounds",
        "a folder, or nothing",
        Given::Default { shows: |s| quoted(s.speech.sounds.as_deref().unwrap_or("")) },
        |s, text| {
            s.speech.sounds = optional(text)?;
            Ok(())
        },
        "Where the prompts are: a folder with `en` and `zh-CN` in it, beside this file unless it begins with /. A reload reads changed files again.",
    ),
    Key::text(
        "language",
        "en or zh-CN",
        Given::Default { shows: |s| quoted(s.speech.language.code()) },
        |s, text| {
            s.speech.language = language(text)?;
            Ok(())
        },
        "What prompts and texts are said in where nothing else is asked for.",
    ),
    Key::text(
        "tts",
        "none, espeak or http",
        Given::Default { shows: |s| quoted(tts_word(s.speech.tts)) },
        |s, text| {
            s.speech.tts = match text.value {
                "none" => TtsProvider::None,
                "espeak" => TtsProvider::Espeak,
                "http" => TtsProvider::Http,
                other => return Err(unknown(other, "write \"none\", \"espeak\" or \"http\"")),
            };
            Ok(())
        },
        "Who makes speech of texts: the program espeak-ng, or a server with OpenAI's interface at `tts_url`.",
    ),
    Key::texts(
        "voices",
        "language=voice",
        (0, 2),
        Given::Default { shows: |s| voices(&s.speech.voices) },
        |s, text| {
            let wrong = || unknown(text.value, "write \"en=en-gb\"");
            let (code, voice) = text.value.split_once('=').ok_or_else(wrong)?;
            let is_good = |c: char| c.is_ascii_alphanumeric() || "-_+.".contains(c);
            if voice.is_empty()
                || voice.len() > 64
                || voice.starts_with('-')
                || !voice.chars().all(is_good)
            {
                return Err(wrong());
            }
            s.speech.voices.push((Language::of(code).ok_or_else(wrong)?, voice.to_owned()));
            Ok(())
        },
        "The voice of each language as the provider names it; en-us and cmn-latn-pinyin for espeak, alloy for http if it is not written.",
    ),
    Key::text(
        "tts_url",
        "an http or https address, or nothing",
        Given::Default { shows: |s| quoted(&url_text(s.speech.tts_url.as_ref())) },
        |s, text| {
            s.speech.tts_url = url(text, false)?;
            Ok(())
        },
        "The provider's server, such as https://api.openai.com/v1/audio/speech. TLS trusts the authorities of [tls].",
    ),
    Key::text(
        "tts_model",
        "a name",
        Given::Default { shows: |s| quoted(&s.speech.tts_model) },
        |s, text| {
            s.speech.tts_model = text.value.to_owned();
            Ok(())
        },
        "The model that it is asked for.",
    ),
    Key::text(
        "tts_key_file",
        "a file, or nothing",
        Given::Default { shows: |s| quoted(s.speech.tts_key_file.as_deref().unwrap_or("")) },
        |s, text| {
            s.speech.tts_key_file = optional(text)?;
            Ok(())
        },
        "A file whose first line is the key that the server wants.",
    ),
    Key::whole(
        "tts_timeout_seconds",
        (1, 60),
        |s, n| s.speech.tts_timeout = seconds(n),
        |s| in_seconds(s.speech.tts_timeout),
        "How long a text may take to become speech before nothing is said.",
    ),
    Key::whole(
        "tts_cache_mb",
        (1, 100_000),
        |s, n| s.speech.tts_cache_mb = n,
        |s| s.speech.tts_cache_mb.to_string(),
        "Megabytes of speech that are kept in `speech` in the state folder, so that a text is made once; the oldest goes first.",
    ),
    Key::text(
        "asr",
        "none, vosk or http",
        Given::Default { shows: |s| quoted(asr_word(s.speech.asr)) },
        |s, text| {
            s.speech.asr = match text.value {
                "none" => AsrProvider::None,
                "vosk" => AsrProvider::Vosk,
                "http" => AsrProvider::Http,
                other => return Err(unknown(other, "write \"none\", \"vosk\" or \"http\"")),
            };
            Ok(())
        },
        "Who makes texts of what is said: a server with vosk-server's WebSocket, or with OpenAI's transcription interface, at `asr_url`.",
    ),
    Key::text(
        "asr_url",
        "a ws, wss, http or https address, or nothing",
        Given::Default { shows: |s| quoted(&url_text(s.speech.asr_url.as_ref())) },
        |s, text| {
            s.speech.asr_url = url(text, true)?;
            Ok(())
        },
        "The recogniser's server, such as ws://127.0.0.1:2700.",
    ),
    Key::text(
        "asr_model",
        "a name",
        Given::Default { shows: |s| quoted(&s.speech.asr_model) },
        |s, text| {
            s.speech.asr_model = text.value.to_owned();
            Ok(())
        },
        "The model that an http server is asked for.",
    ),
    Key::text(
        "asr_key_file",
        "a file, or nothing",
        Given::Default { shows: |s| quoted(s.speech.asr_key_file.as_deref().unwrap_or("")) },
        |s, text| {
            s.speech.asr_key_file = optional(text)?;
            Ok(())
        },
        "A file whose first line is the key that an http server wants.",
    ),
    Key::text(
        "hot_words",
        "a file, or nothing",
        Given::Default { shows: |s| quoted(s.speech.hot_words.as_deref().unwrap_or("")) },
        |s, text| {
            s.speech.hot_words = optional(text)?;
            Ok(())
        },
        "A file with words to expect, one a line as `word|weight`, up to 1000; weights from 1 to 10. http takes them as its prompt, the heaviest first; vosk takes them as its grammar and hears nothing else.",
    ),
    Key::text(
        "transcribe",
        "none or all",
        Given::Default { shows: |s| quoted(if s.speech.transcribes_all { "all" } else { "none" }) },
        |s, text| {
            s.speech.transcribes_all = match text.value {
                "none" => false,
                "all" => true,
                other => return Err(unknown(other, "write \"none\" or \"all\"")),
            };
            Ok(())
        },
        "Which conversations are written down as events, but those with a party that is never recorded. What the law asks for comes first.",
    ),
];

fn voices(list: &[(Language, String)]) -> String {
    let texts = list.iter().map(|(language, voice)| format!("{}={voice}", language.code()));
    format!("{:?}", texts.collect::<Vec<_>>())
}

const fn tts_word(provider: TtsProvider) -> &'static str {
    match provider {
        TtsProvider::None => "none",
        TtsProvider::Espeak => "espeak",
        TtsProvider::Http => "http",
    }
}

const fn asr_word(provider: AsrProvider) -> &'static str {
    match provider {
        AsrProvider::None => "none",
        AsrProvider::Vosk => "vosk",
        AsrProvider::Http => "http",
    }
}

fn unknown(text: &str, help: &'static str) -> Wrong {
    Wrong::new("bad-value", format!("`{text}` is not known")).help(help)
}

fn url(text: Marked<&str>, is_socket: bool) -> Result<Option<ServerUrl>, Wrong> {
    if text.value.is_empty() {
        return Ok(None);
    }
    let url = ServerUrl::parse(text.value).filter(|url| !url.is_socket || is_socket);
    url.map(Some).ok_or_else(|| {
        Wrong::new("bad-url", format!("`{}` is no address of a server", text.value))
            .help("write it as in \"http://127.0.0.1:8880/v1/audio/speech\"")
    })
}

fn url_text(url: Option<&ServerUrl>) -> String {
    url.map(|url| {
        let scheme = match (url.is_socket, url.is_secure) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "ws",
            (true, true) => "wss",
        };
        format!("{scheme}://{}{}", url.authority(), url.path)
    })
    .unwrap_or_default()
}

/// Reads the files that the section names, and looks for what is missing.
pub(super) fn read(
    report: &mut Report,
    drafts: &Drafts,
    base: &Path,
    is_last_good: bool,
) -> Material {
    let settings = &drafts.settings;
    let speech = &settings.speech;
    if speech.tts == TtsProvider::Http && speech.tts_url.is_none() {
        let wrong =
            Wrong::new("missing-key", "`tts = \"http\"` needs the key `tts_url` under [speech]")
                .help("add the address of the server");
        report.error(settings.spot("speech", "tts"), wrong);
    }
    let is_right = |url: &ServerUrl| url.is_socket == (speech.asr == AsrProvider::Vosk);
    if speech.asr != AsrProvider::None && !speech.asr_url.as_ref().is_some_and(is_right) {
        let wrong = Wrong::new("missing-key", "`asr` needs the key `asr_url` under [speech]").help(
            "add the server's address: ws:// or wss:// for vosk, http:// or https:// for http",
        );
        report.error(settings.spot("speech", "asr"), wrong);
    }
    if speech.transcribes_all && speech.asr == AsrProvider::None {
        let wrong = Wrong::new("missing-key", "`transcribe` needs the key `asr` under [speech]")
            .help("say who listens: \"vosk\" or \"http\"");
        report.error(settings.spot("speech", "transcribe"), wrong);
    }
    let hot_words = hot_words(report, settings, base, is_last_good);
    let mut key = |file: &Option<String>, name: &str| {
        let path = base.join(file.as_ref()?);
        let found = std::fs::read_to_string(&path);
        let line = found.as_ref().ok().and_then(|text| text.lines().next()).map(str::trim);
        if let Some(line) =
            line.filter(|line| !line.is_empty() && line.chars().all(|c| c.is_ascii_graphic()))
        {
            return Some(line.to_owned());
        }
        let why =
            found.err().map_or("its first line is no key".to_owned(), |error| error.to_string());
        let wrong = Wrong::new("bad-key-file", format!("{}: {why}", path.display()))
            .help("a file with the key alone is needed, which the daemon's user may read");
        if is_last_good {
            report.warn(settings.spot("speech", name), wrong);
        } else {
            report.error(settings.spot("speech", name), wrong);
        }
        None
    };
    let tts_key = key(&speech.tts_key_file, "tts_key_file");
    let asr_key = key(&speech.asr_key_file, "asr_key_file");
    let is_secure = |url: &Option<ServerUrl>| url.as_ref().is_some_and(|url| url.is_secure);
    let needs_tls = is_secure(&speech.tts_url) || is_secure(&speech.asr_url);
    // What is wrong with the files of [tls] is told there.
    let https = needs_tls.then(|| web_client(&settings.sip.tls, base).ok()).flatten().map(Arc::new);
    Material { settings: speech.clone(), tts_key, asr_key, hot_words, https }
}

/// The file of hot words; the first line that is none is told with its number.
fn hot_words(
    report: &mut Report,
    settings: &Settings,
    base: &Path,
    is_last_good: bool,
) -> Vec<HotWord> {
    let Some(file) = &settings.speech.hot_words else { return Vec::new() };
    let path = base.join(file);
    let size = std::fs::metadata(&path).map(|meta| meta.len());
    let text = size.and_then(|size| match size {
        0..=HOT_WORDS_BYTES_MAX => std::fs::read_to_string(&path),
        _ => Err(std::io::Error::other("the file is larger than 100 kB")),
    });
    let mut words = Vec::new();
    let mut why = text.as_ref().err().map(ToString::to_string);
    let lines = text.as_deref().unwrap_or_default().lines().zip(1_usize..);
    for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
        match HotWord::parse(line) {
            Some(word) if words.len() < HOT_WORDS_MAX => words.push(word),
            Some(_) => why = why.or(Some(format!("more than {HOT_WORDS_MAX} words"))),
            None => why = why.or(Some(format!("line {number} is no `word|weight`"))),
        }
    }
    if let Some(why) = why {
        let wrong = Wrong::new("bad-hot-words", format!("{}: {why}", path.display()))
            .help("one word a line, of letters, digits, _ and -, up to 20 of them (10 Chinese), and a weight from 1 to 10");
        let at = settings.spot("speech", "hot_words");
        if is_last_good {
            report.warn(at, wrong);
        } else {
            report.error(at, wrong);
        }
    }
    words
}

fn language(text: Marked<&str>) -> Result<Language, Wrong> {
    Language::of(text.value).ok_or_else(|| {
        Wrong::new("bad-value", format!("`{}` is no language that is spoken here", text.value))
            .help("write \"en\" or \"zh-CN\"")
    })
}
