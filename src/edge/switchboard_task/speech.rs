//! Serving what operators want said.

use super::*;
use crate::edge::command::{CommandError, SpeechCommand};
use crate::proto::recording::wav::Shape;
use crate::proto::stir::base64url;
use crate::switch::call::{Side, SpeechInput};
use crate::switch::speech::Say;

/// Who wants it, in the timeline.
const OPERATOR: &str = "an operator";

impl SwitchboardTask {
    pub(super) fn speech(&mut self, wish: SpeechCommand, request: CommandRequest) {
        match wish {
            SpeechCommand::Say { call, sides, say } => self.call_say(call, sides, say, request),
            SpeechCommand::Silence { call } => {
                self.call_wish(call, SpeechInput::Silence { by: OPERATOR.to_owned() }, request);
            }
            SpeechCommand::Transcribe { call, is_on } => {
                let wish = SpeechInput::Transcribe { is_on, by: OPERATOR.to_owned() };
                self.call_wish(call, wish, request);
            }
            SpeechCommand::Preview { say } => self.speech_preview(say, request),
        }
    }

    /// Answers with the name by which `call.played` will tell how it ended.
    fn call_say(&mut self, call: CallId, sides: Vec<Side>, say: Say, request: CommandRequest) {
        if !self.calls.contains_key(&call) {
            return request.answer::<()>(Err(CommandError::NoSuchCall(call)));
        }
        self.said += 1;
        let token = self.said;
        let wish = SpeechInput::Say { sides, token, say, by: OPERATOR.to_owned() };
        self.tell_call(call, Box::new(Input::Speech(wish)));
        request.answer(Ok(json!({ "say": token.to_string() })));
    }

    fn call_wish(&mut self, call: CallId, wish: SpeechInput, request: CommandRequest) {
        if !self.calls.contains_key(&call) {
            return request.answer::<()>(Err(CommandError::NoSuchCall(call)));
        }
        self.tell_call(call, Box::new(Input::Speech(wish)));
        request.answer(Ok(json!({})));
    }

    /// What a party would hear, as a WAV.
    fn speech_preview(&self, say: Say, request: CommandRequest) {
        let speaker = self.tools.speaker.clone();
        tokio::spawn(async move {
            let sound = match speaker.samples(say).await {
                Ok(sound) => sound,
                Err(error) => {
                    return request.answer::<()>(Err(CommandError::Speech(error.to_string())));
                }
            };
            let shown = tokio::task::spawn_blocking(move || {
                let shape = Shape { rate: sound.rate, tracks: 1 };
                let mut wav = shape.header(sound.samples.len() as u64 * 2).to_vec();
                wav.extend(sound.samples.iter().flat_map(|sample| sample.to_le_bytes()));
                json!({ "samples": sound.samples.len(), "rate": sound.rate, "wav": base64url::encode(&wav) })
            });
            request.answer(shown.await.map_err(|_| CommandError::Internal("no thread")));
        });
    }
}
