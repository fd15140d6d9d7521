//! The transcription interface of OpenAI: utterances that silence ends, each asked for as a whole.

use std::time::Duration;

use serde_json::Value;

use super::super::http::{Post, post};
use super::{Final, RATE, Speaker, seconds};
use crate::proto::recording::wav::Shape;

/// Samples of a frame that is loud or not: 20 ms.
const FRAME: usize = 320;
/// The loudness of speech: 40 dB below full scale.
const LOUD: u64 = 300;
/// Frames of silence that end an utterance: 700 ms.
const SILENT_FRAMES: usize = 35;
/// Frames that are kept from before it: 200 ms.
const BEFORE_FRAMES: usize = 10;
/// Loud frames without which it is a click: 100 ms.
const LOUD_FRAMES: usize = 5;
/// Frames of the longest utterance: 20 s.
const FRAMES_MAX: usize = 1_000;
/// Bytes of an answer.
const ANSWER_MAX: usize = 64 << 10;
/// How long a server may take.
const WITHIN: Duration = Duration::from_secs(20);
/// Characters of hot words that fit into a prompt.
const PROMPT_MAX: usize = 800;
/// What parts of the request are told apart by; hot words cannot have it, and samples do not by chance.
const BOUNDARY: &str = "tandem-7d1f60a3c95b4e28";

/// Cuts one speaker into utterances.
#[derive(Default)]
struct Cutter {
    frames: Vec<i16>,
    loud: usize,
    silent: usize,
}

impl Cutter {
    /// Takes a frame; an utterance if it ends with it.
    fn frame(&mut self, frame: &[i16]) -> Option<Vec<i16>> {
        let energy: u64 = frame.iter().map(|s| u64::from(s.unsigned_abs()).pow(2)).sum();
        let is_loud = energy / (frame.len() as u64).max(1) > LOUD * LOUD;
        self.frames.extend_from_slice(frame);
        if is_loud {
            self.loud += 1;
            self.silent = 0;
        } else {
            self.silent += 1;
        }
        if self.loud == 0 {
            let kept = BEFORE_FRAMES * FRAME;
            let over = self.frames.len().saturating_sub(kept);
            self.frames.drain(..over);
            return None;
        }
        let is_over = self.silent >= SILENT_FRAMES || self.frames.len() >= FRAMES_MAX * FRAME;
        if is_over { self.end() } else { None }
    }

    fn end(&mut self) -> Option<Vec<i16>> {
        let Self { frames, loud, .. } = std::mem::take(self);
        (loud >= LOUD_FRAMES).then_some(frames)
    }
}

/// Transcribes one speaker until the call ends.
pub(super) async fn run(mut speaker: Speaker) {
    let (mut cutter, mut rest) = (Cutter::default(), Vec::new());
    let mut is_away = false;
    while let Some(piece) = speaker.pieces.recv().await {
        rest.extend(piece);
        let whole = rest.len() / FRAME * FRAME;
        for frame in rest.get(..whole).unwrap_or_default().chunks_exact(FRAME) {
            speaker.position += FRAME as u64;
            if let Some(utterance) = cutter.frame(frame) {
                ask(&speaker, utterance, &mut is_away).await;
            }
        }
        rest.drain(..whole);
    }
    if let Some(utterance) = cutter.end() {
        ask(&speaker, utterance, &mut is_away).await;
    }
}

async fn ask(speaker: &Speaker, samples: Vec<i16>, is_away: &mut bool) {
    let material = &speaker.material;
    let Some(url) = material.settings.asr_url.as_ref() else { return };
    let end = speaker.position;
    let start = end.saturating_sub(samples.len() as u64);
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    let key = material.asr_key.as_deref();
    let request = Post { url, key, content_type: &content_type, body: form(speaker, &samples) };
    let answer = post(request, material.https.as_ref(), (WITHIN, ANSWER_MAX)).await;
    let answer = answer.map_err(|error| error.to_string()).and_then(|body| {
        let answer = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let text = answer["text"].as_str().map(|text| text.trim().to_owned());
        text.ok_or_else(|| "the server's answer has no text".to_owned())
    });
    match answer {
        Ok(text) => {
            if std::mem::take(is_away) {
                speaker.tell("transcript.resumed", "the server answers again");
            }
            if !text.is_empty() {
                let (start, end) = (seconds(start), seconds(end));
                speaker.heard(&Final { text, start, end, confidence: None });
            }
        }
        Err(why) if !std::mem::replace(is_away, true) => speaker.tell("transcript.failed", &why),
        Err(_) => {}
    }
}

/// The form of the request (RFC 7578). Hot words are its prompt, the heaviest first.
fn form(speaker: &Speaker, samples: &[i16]) -> Vec<u8> {
    let settings = &speaker.material.settings;
    let language = settings.language.code().split('-').next().unwrap_or_default();
    let mut fields = vec![
        ("model", settings.asr_model.clone()),
        ("language", language.to_owned()),
        ("response_format", "json".to_owned()),
    ];
    let mut words: Vec<_> = speaker.material.hot_words.iter().collect();
    words.sort_by_key(|hot| std::cmp::Reverse(hot.weight));
    let mut prompt = String::new();
    for hot in words {
        if prompt.chars().count() + hot.word.chars().count() + 2 > PROMPT_MAX {
            break;
        }
        prompt.push_str(if prompt.is_empty() { "" } else { ", " });
        prompt.push_str(&hot.word);
    }
    if !prompt.is_empty() {
        fields.push(("prompt", prompt));
    }
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"speech.wav\"\r\n\
         Content-Type: audio/wav\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(&Shape { rate: RATE, tracks: 1 }.header(samples.len() as u64 * 2));
    body.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_ends_an_utterance_and_a_click_is_none() {
        let (loud, quiet) = ([2_000; FRAME], [20; FRAME]);
        let mut cutter = Cutter::default();
        let mut cut = Vec::new();
        // Long silence, speech of 400 ms with a pause in it, silence, a click, and speech without an end.
        let plan = [
            (100, false),
            (10, true),
            (20, false),
            (10, true),
            (60, false),
            (2, true),
            (60, false),
            (1_500, true),
        ];
        for (frames, is_loud) in plan {
            for _ in 0..frames {
                cut.extend(cutter.frame(if is_loud { &loud } else { &quiet }));
            }
        }
        let lengths: Vec<usize> = cut.iter().map(|cut| cut.len() / FRAME).collect();
        assert_eq!(lengths, [BEFORE_FRAMES + 40 + SILENT_FRAMES, FRAMES_MAX]);
        assert_eq!(cutter.end().unwrap().len() / FRAME, 1_500 + BEFORE_FRAMES - FRAMES_MAX);
        assert!(cutter.frames.is_empty());
    }
}
