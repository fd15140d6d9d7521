//! The WebSocket of vosk-server: a configuration, samples as they come, and results while they are spoken.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::super::http::{Stream, connect};
use super::{Final, RATE, Speaker, seconds};

/// Bytes of a result.
const RESULT_MAX: usize = 256 << 10;
/// How long a connection, or a piece on it, may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last results may take once everything was said.
const LAST_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon a server that broke off is asked again: at first, and at last.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

type Socket = WebSocketStream<Box<dyn Stream>>;

/// Streams one speaker until the call ends; asks again for as long as it lasts.
pub(super) async fn run(mut speaker: Speaker) {
    let mut back_off = BACK_OFF.0;
    let mut is_away = false;
    loop {
        let result = match open(&speaker).await {
            Ok(socket) => {
                if std::mem::take(&mut is_away) {
                    speaker.tell("transcript.resumed", "the recogniser is back");
                }
                back_off = BACK_OFF.0;
                converse(&mut speaker, socket).await
            }
            Err(why) => Err(why),
        };
        let Err(why) = result else { return };
        if !std::mem::replace(&mut is_away, true) {
            speaker.tell("transcript.failed", &why);
        }
        // What is said meanwhile is lost, and its time passes.
        let waited = timeout(back_off, async {
            while let Some(piece) = speaker.pieces.recv().await {
                speaker.position += piece.len() as u64;
            }
        });
        if waited.await.is_ok() {
            return;
        }
        back_off = (back_off * 2).min(BACK_OFF.1);
    }
}

async fn open(speaker: &Speaker) -> Result<Socket, String> {
    let material = &speaker.material;
    let url = material.settings.asr_url.as_ref().ok_or("there is no address of a recogniser")?;
    let scheme = if url.is_secure { "wss" } else { "ws" };
    let address = format!("{scheme}://{}{}", url.authority(), url.path);
    let config = WebSocketConfig::default()
        .max_message_size(Some(RESULT_MAX))
        .max_frame_size(Some(RESULT_MAX));
    let opened = timeout(STEP_TIMEOUT, async {
        let stream = connect(url, material.https.as_ref()).await.map_err(|e| e.to_string())?;
        let opened = client_async_with_config(address, stream, Some(config)).await;
        let (mut socket, _) = opened.map_err(|error| error.to_string())?;
        let config = Message::text(config_of(speaker).to_string());
        socket.send(config).await.map_err(|error| error.to_string())?;
        Ok(socket)
    });
    opened.await.unwrap_or_else(|_| Err("the recogniser took too long".to_owned()))
}

/// Hot words are its grammar: it hears them and nothing else, whatever they weigh.
fn config_of(speaker: &Speaker) -> Value {
    let mut config = json!({ "sample_rate": RATE, "words": true });
    let hot_words = &speaker.material.hot_words;
    if !hot_words.is_empty() {
        let words = hot_words.iter().map(|hot| hot.word.as_str());
        config["phrase_list"] = words.chain(["[unk]"]).collect();
    }
    json!({ "config": config })
}

async fn converse(speaker: &mut Speaker, mut socket: Socket) -> Result<(), String> {
    let begin = speaker.position;
    let mut session = Session { begin, told: begin, partial: String::new() };
    loop {
        tokio::select! {
            piece = speaker.pieces.recv() => {
                let Some(piece) = piece else { break };
                speaker.position += piece.len() as u64;
                let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                send(&mut socket, Message::binary(bytes)).await?;
            }
            message = socket.next() => match message {
                Some(Ok(message)) => session.message(speaker, &message),
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the recogniser broke off".to_owned()),
            },
        }
    }
    send(&mut socket, Message::text(r#"{"eof" : 1}"#)).await?;
    let rest = timeout(LAST_TIMEOUT, async {
        while let Some(Ok(message)) = socket.next().await {
            session.message(speaker, &message);
            // The answer to the end is a final result, be it an empty one.
            if message.to_text().is_ok_and(|text| text.contains("\"text\"")) {
                return;
            }
        }
    });
    let _ = rest.await;
    let _ = timeout(STEP_TIMEOUT, socket.close(None)).await;
    Ok(())
}

async fn send(socket: &mut Socket, message: Message) -> Result<(), String> {
    let sent = timeout(STEP_TIMEOUT, socket.send(message)).await;
    sent.map_err(|_| "the recogniser does not keep up".to_owned())?
        .map_err(|error| error.to_string())
}

/// What is known of one connection.
struct Session {
    /// Where its samples begin.
    begin: u64,
    /// Up to where results have come.
    told: u64,
    partial: String,
}

impl Session {
    fn message(&mut self, speaker: &Speaker, message: &Message) {
        let Some(result) = message.to_text().ok().and_then(|text| serde_json::from_str(text).ok())
        else {
            return;
        };
        let result: Value = result;
        if let Some(partial) = result["partial"].as_str() {
            if !partial.is_empty() && partial != self.partial {
                speaker.partial(partial);
                partial.clone_into(&mut self.partial);
            }
            return;
        }
        let Some(text) = result["text"].as_str().map(str::trim) else { return };
        self.partial.clear();
        let (told, now) = (self.told, speaker.position);
        self.told = now;
        if text.is_empty() {
            return;
        }
        let words = result["result"].as_array().map(Vec::as_slice).unwrap_or_default();
        let offset = seconds(self.begin);
        let time = |word: Option<&Value>, name: &str| Some(word?[name].as_f64()? + offset);
        let sure: Vec<f64> = words.iter().filter_map(|word| word["conf"].as_f64()).collect();
        let count = u32::try_from(sure.len()).unwrap_or(u32::MAX);
        speaker.heard(&Final {
            text: text.to_owned(),
            start: time(words.first(), "start").unwrap_or_else(|| seconds(told)),
            end: time(words.last(), "end").unwrap_or_else(|| seconds(now)),
            confidence: (count > 0).then(|| sure.iter().sum::<f64>() / f64::from(count)),
        });
    }
}
