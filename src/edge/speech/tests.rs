//! Texts that are spoken by the program and by a server, which is a socket that looks at every byte.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;
use crate::edge::control::EventLog;
use crate::edge::control::events::Next;
use crate::edge::sounds::{SoundSet, Sounds};
use crate::proto::audio::Codec;
use crate::proto::recording::wav::Shape;
use crate::proto::rtp::{Clip, Ssrc};
use crate::proto::time::{Instant, Wall};
use crate::switch::cdr::record::CallId;
use crate::switch::phrase::{Language, Spoken};
use crate::switch::speech::{
    AsrProvider, HotWord, Say, Saying, ServerUrl, SpeechSettings, TtsProvider,
};

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
        let material = Material { settings: settings.clone(), tts_key, ..Material::default() };
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

/// A call that speaks and is silent, as packets for an ear: loud and quiet stretches of 20 ms, one after the other.
fn speaks(ear: &mut Ear, plan: &[(u32, i16)]) {
    let mut number = 0;
    for (frames, level) in plan {
        let wave: Vec<i16> =
            (0..160).map(|n| if n / 8 % 2 == 0 { *level } else { -level }).collect();
        let clip = Clip::encode(Codec::Pcma, &wave).unwrap();
        for _ in 0..*frames {
            let at = Instant::from_millis(1_000 + u64::from(number) * 20);
            ear.packet((0, at), (Ssrc(1), number * 160), Codec::Pcma, clip.packet(0).unwrap());
            number += 1;
        }
    }
}

/// An utterance is one request, byte for byte as the interface of OpenAI takes it; its text is an event with its time.
#[tokio::test]
async fn an_utterance_is_asked_for_as_a_whole() {
    let (url, served) =
        serve(answer("200 OK", "application/json", b"{\"text\": \" Hello Tandem. \"}"));
    let settings = SpeechSettings {
        asr: AsrProvider::Http,
        asr_url: Some(url),
        asr_model: "base".to_owned(),
        language: Language::Chinese,
        ..SpeechSettings::default()
    };
    let hot = |line: &str| HotWord::parse(line).unwrap();
    let hot_words = vec![hot("rare|2"), hot("Tandem|10")];
    let asr_key = Some("asr-key".to_owned());
    let material = Material { settings, asr_key, hot_words, ..Material::default() };
    let events = EventLog::new(Wall(0));
    let (mut told, _) = events.subscribe(Some(0));
    let listener = Listener::new(Arc::new(material), events.clone());
    let (news, _news) = tokio::sync::mpsc::channel(4);
    let (mut ear, control) = listener.begin(CallId(7), Instant::from_millis(1_000), news).unwrap();
    // What is said while it is paused is not heard.
    control.pause(true);
    speaks(&mut ear, &[(10, 8_000)]);
    control.pause(false);
    speaks(&mut ear, &[(50, 0), (40, 8_000), (60, 0)]);
    drop(ear);
    let request = tokio::task::spawn_blocking(move || served.join().unwrap()).await.unwrap();
    let split = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&request[..split]).to_ascii_lowercase();
    assert!(head.starts_with("post /v1/audio http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer asr-key"), "{head}");
    let boundary = head.split("multipart/form-data; boundary=").nth(1).unwrap();
    let boundary = boundary.lines().next().unwrap();
    let body = &request[split + 4..];
    let mut expected = String::new();
    for (name, value) in [
        ("model", "base"),
        ("language", "zh"),
        ("response_format", "json"),
        ("prompt", "Tandem, rare"),
    ] {
        expected.push_str(&format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    expected.push_str(&format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"speech.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF"
    ));
    assert_eq!(String::from_utf8_lossy(&body[..expected.len()]), expected);
    let end = format!("\r\n--{boundary}--\r\n");
    assert!(body.ends_with(end.as_bytes()));
    let wav = &body[expected.len() - 4..body.len() - end.len()];
    let length = u32::from_le_bytes(wav[40..44].try_into().unwrap()) as usize;
    assert_eq!((wav.len(), &wav[24..28]), (44 + length, &16_000_u32.to_le_bytes()[..]));
    // 200 ms before it, 800 of speech, 700 of silence.
    assert!((1_600..=1_800).contains(&(length / 32)), "{} ms", length / 32);
    let event = loop {
        let ready = tokio::time::timeout(Duration::from_secs(5), told.ready()).await;
        ready.expect("an event in time");
        if let Next::Events(list) = told.take(10) {
            break list.into_iter().find(|event| event.kind == "transcript.final").unwrap();
        }
    };
    let fields: serde_json::Value = serde_json::from_str(event.fields.get()).unwrap();
    assert_eq!((&fields["text"], &fields["side"]), (&"Hello Tandem.".into(), &"a".into()));
    let (start, end) = (fields["start"].as_f64().unwrap(), fields["end"].as_f64().unwrap());
    assert!((0.7..1.0).contains(&start) && (2.3..2.7).contains(&end), "{start} {end}");
}

#[test]
fn a_transcript_that_cannot_begin_says_why() {
    let events = EventLog::new(Wall(0));
    let listener = Listener::new(Arc::new(Material::default()), events.clone());
    let begin = |listener: &Listener| {
        let (news, _) = tokio::sync::mpsc::channel(1);
        listener.begin(CallId(1), Instant::START, news)
    };
    assert_eq!(begin(&listener).unwrap_err(), ListenRefused::NoProvider);
    let settings = SpeechSettings {
        asr: AsrProvider::Http,
        asr_url: ServerUrl::parse("http://127.0.0.1:1/"),
        ..SpeechSettings::default()
    };
    listener.set(Arc::new(Material { settings, ..Material::default() }));
    let ears: Vec<_> = (0..CALLS_MAX).map(|_| begin(&listener).unwrap()).collect();
    assert_eq!(begin(&listener).unwrap_err(), ListenRefused::Full);
    drop(ears);
}

/// The audio path never waits: what a recogniser does not take in time is lost.
#[test]
fn an_ear_that_nobody_empties_loses_and_does_not_wait() {
    let (sender, mut reels) = tokio::sync::mpsc::channel(ear::REELS_MAX);
    let lane = Arc::new(ear::Lane::default());
    let (mut ear, _control) = Ear::new(Instant::from_millis(1_000), Arc::clone(&lane), sender);
    speaks(&mut ear, &[(500, 1_000)]);
    let mut kept = 0;
    while reels.try_recv().is_ok() {
        kept += 1;
    }
    assert_eq!(kept, ear::REELS_MAX);
    assert!(lane.lost.load(std::sync::atomic::Ordering::Relaxed) > 10);
}
