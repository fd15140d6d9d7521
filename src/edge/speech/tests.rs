//! Texts that are spoken by the program and by a server, which is a socket that looks at every byte.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;
use crate::edge::sounds::{SoundSet, Sounds};
use crate::proto::recording::wav::Shape;
use crate::switch::phrase::{Language, Spoken};
use crate::switch::speech::{Say, Saying, ServerUrl, SpeechSettings, TtsProvider};

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("tandem-speech-{:016x}", crate::edge::entropy::seed().unwrap());
        Self(std::env::temp_dir().join(name))
    }

    fn speaker(&self, settings: &SpeechSettings, key: Option<&str>) -> Speaker {
        let prompts = Some(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sounds"));
        let sounds = Sounds::new(SoundSet { prompts, ..SoundSet::default() });
        let tts_key = key.map(str::to_owned);
        let material = Material { settings: settings.clone(), tts_key, https: None };
        Speaker::new(sounds, Arc::new(material), self.0.clone())
    }

    fn files(&self) -> usize {
        std::fs::read_dir(&self.0).map_or(0, Iterator::count)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(text: &str, language: Language) -> Say {
    Say { what: Saying::Text(text.to_owned()), language: Some(language) }
}

/// Answers one request with these bytes, and returns what it was.
pub(super) fn serve(answer: Vec<u8>) -> (ServerUrl, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let url = ServerUrl::parse(&format!("http://{address}/v1/audio")).unwrap();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let (mut request, mut buffer) = (Vec::new(), [0; 65_536]);
        loop {
            let length = stream.read(&mut buffer).unwrap();
            assert!(length > 0, "the request ends in its middle");
            request.extend_from_slice(&buffer[..length]);
            let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("a length").parse().unwrap();
            if request.len() >= end + 4 + length {
                break;
            }
        }
        stream.write_all(&answer).unwrap();
        request
    });
    (url, served)
}

pub(super) fn answer(status: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A second of a square wave, as a server writes it that does not know yet how long it will be.
fn streamed_wav() -> Vec<u8> {
    let mut wav = Shape { rate: 24_000, tracks: 1 }.header(0).to_vec();
    wav[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    wav[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    for n in 0..24_000_u32 {
        let sample: i16 = if n / 30 % 2 == 0 { 4_000 } else { -4_000 };
        wav.extend(sample.to_le_bytes());
    }
    wav
}

fn http(url: ServerUrl) -> SpeechSettings {
    SpeechSettings {
        tts: TtsProvider::Http,
        tts_url: Some(url),
        tts_timeout: Duration::from_secs(2),
        ..SpeechSettings::default()
    }
}

/// Row 107 of the manual: a text is made once, and lies encoded from then on.
#[tokio::test]
async fn a_text_is_spoken_by_the_program_once() {
    let folder = Folder::new();
    let speaker = folder.speaker(&SpeechSettings::default(), None);
    for (words, language) in
        [("Order 12 is ready.", Language::English), ("您的订单已经准备好。", Language::Chinese)]
    {
        let sound = speaker.samples(text(words, language)).await.unwrap();
        let seconds = sound.samples.len() / 16_000;
        let loudest = sound.samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((1..=4).contains(&seconds) && loudest > 5_000, "{words}: {seconds} {loudest}");
    }
    assert_eq!(folder.files(), 2);
    let clips = speaker.clips(text("Order 12 is ready.", Language::English)).await.unwrap();
    let again = speaker.clips(text("Order 12 is ready.", Language::English)).await.unwrap();
    assert!(Arc::ptr_eq(&clips[0], &again[0]));
    assert_eq!(folder.files(), 2);
    // Read from the disk by another one, who has no program that could speak.
    let deaf = SpeechSettings { tts: TtsProvider::Espeak, ..SpeechSettings::default() };
    let other = folder.speaker(&deaf, None);
    assert!(other.samples(text("Order 12 is ready.", Language::English)).await.is_ok());
    let say = Say { what: Saying::Phrase(vec![Spoken::Number(21)]), language: None };
    assert_eq!(other.clips(say).await.unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_spoken_is_told_in_words() {
    let folder = Folder::new();
    let error = async |settings: SpeechSettings, words: &str| {
        let speaker = folder.speaker(&settings, None);
        speaker.samples(text(words, Language::English)).await.unwrap_err().to_string()
    };
    let usual = SpeechSettings::default;
    assert!(error(usual(), "").await.contains("1 to 600"));
    assert!(error(usual(), &"x".repeat(601)).await.contains("this one 601"));
    let none = SpeechSettings { tts: TtsProvider::None, ..usual() };
    assert!(error(none, "Hello").await.contains("[speech]"));
    let voices = vec![(Language::English, "nobody".to_owned())];
    assert!(error(SpeechSettings { voices, ..usual() }, "Hello").await.contains("nobody"));
    let url = ServerUrl::parse("http://127.0.0.1:1/").unwrap();
    assert!(error(http(url), "Hello").await.contains("cannot be reached"));
    // A server that takes the connection and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut late = http(ServerUrl::parse(&format!("http://{address}/")).unwrap());
    late.tts_timeout = Duration::from_millis(200);
    assert!(error(late, "Hello").await.contains("too long"));
    for (bytes, words) in [
        (
            answer("401 Unauthorized", "application/json", b"{\"error\":\"no\r\nkey\"}"),
            "401: {\"error\":\"no  key",
        ),
        (answer("302 Found", "text/plain", b""), "302"),
        (answer("200 OK", "audio/wav", b"this is no sound"), "of no use"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nabc".to_vec(), "reached"),
        (b"nonsense\r\n\r\n".to_vec(), "reached"),
    ] {
        let (url, served) = serve(bytes);
        let told = error(http(url), "Hello").await;
        assert!(told.contains(words), "{told}");
        served.join().unwrap();
    }
    assert_eq!(folder.files(), 0, "nothing of it is kept");
}

/// Byte for byte what the interface of OpenAI takes.
#[tokio::test]
async fn a_server_is_asked_as_it_expects() {
    let folder = Folder::new();
    let (url, served) = serve(answer("200 OK", "audio/wav", &streamed_wav()));
    let mut settings = http(url.clone());
    settings.voices = vec![(Language::Chinese, "nova".to_owned())];
    let speaker = folder.speaker(&settings, Some("secret-key"));
    let sound = speaker.samples(text("编号 42 \"好\"", Language::Chinese)).await.unwrap();
    assert!((15_900..=16_100).contains(&sound.samples.len()), "{}", sound.samples.len());
    let request = String::from_utf8(served.join().unwrap()).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST /v1/audio HTTP/1.1"));
    let headers: Vec<String> = lines.map(str::to_ascii_lowercase).collect();
    for header in [
        format!("host: {}", url.authority()),
        "content-type: application/json".to_owned(),
        "authorization: bearer secret-key".to_owned(),
    ] {
        assert!(headers.contains(&header), "{header} in {headers:?}");
    }
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let wanted = serde_json::json!({
        "model": "tts-1", "input": "编号 4 2 \"好\"", "voice": "nova", "response_format": "wav",
    });
    assert_eq!(body, wanted);
    // The server is gone, and is not needed.
    assert!(speaker.samples(text("编号 42 \"好\"", Language::Chinese)).await.is_ok());
    assert!(!format!("{speaker:?}").contains("secret-key"));
}

/// What was wanted longest ago is deleted when there is too much.
#[tokio::test]
async fn the_cache_has_a_limit() {
    let folder = Folder::new();
    let settings = SpeechSettings { tts_cache_mb: 1, ..SpeechSettings::default() };
    let speaker = folder.speaker(&settings, None);
    let words = "This is a text that takes a while to be spoken, so that a few of them are a lot of sound. ";
    for number in ["one", "two", "three", "four"] {
        speaker
            .samples(text(&words.repeat(3).replace("few", number), Language::English))
            .await
            .unwrap();
    }
    let total: u64 = std::fs::read_dir(&folder.0)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(total <= 1 << 20 && folder.files() < 4, "{total} in {} files", folder.files());
}
