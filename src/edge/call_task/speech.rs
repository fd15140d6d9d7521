//! What a call says: made elsewhere, and played in the order in which it was wanted.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::*;
use crate::edge::sounds::Clips;
use crate::edge::speech::{EarControl, SayError, Told};
use crate::switch::call::{SAYING_MAX, SpeechInput};
use crate::switch::speech::{PlayEnd, Say};

/// What was made for a call: its name, and the sounds.
pub(super) type Made = (u64, Result<Vec<Clips>, SayError>);
/// News of its transcript that wait for a call; more are told by events alone.
const TOLD_MAX: usize = 16;

/// What is being made for a call. The call itself limits how much that may be.
#[derive(Debug)]
pub(super) struct Lines {
    waiting: VecDeque<Line>,
    made: mpsc::Sender<Made>,
    told: mpsc::Sender<Told>,
    ear: Option<EarControl>,
    /// The recording rests.
    is_paused: bool,
}

/// What comes to a call from those who make its sounds and its transcript.
pub(super) struct News {
    pub(super) made: mpsc::Receiver<Made>,
    pub(super) told: mpsc::Receiver<Told>,
}

#[derive(Debug)]
struct Line {
    token: u64,
    sides: Vec<Side>,
    clips: Option<Vec<Clips>>,
}

impl Lines {
    pub(super) fn new() -> (Self, News) {
        // Room for all that a call may have under way: whoever made it never waits.
        let (made, made_in) = mpsc::channel(SAYING_MAX);
        let (told, told_in) = mpsc::channel(TOLD_MAX);
        let lines = Self { waiting: VecDeque::new(), made, told, ear: None, is_paused: false };
        (lines, News { made: made_in, told: told_in })
    }
}

impl Task {
    pub(super) fn say(&mut self, sides: Vec<Side>, token: u64, say: Say) {
        self.lines.waiting.push_back(Line { token, sides, clips: None });
        let (speaker, made) = (self.tools.speaker.clone(), self.lines.made.clone());
        tokio::spawn(async move {
            let clips = speaker.clips(say).await;
            // The call may be over by now.
            let _ = made.send((token, clips)).await;
        });
    }

    /// What waits to be made for a side is not said to it any more.
    pub(super) fn silence(&mut self, side: Side) {
        let call = self.began.call;
        for line in &mut self.lines.waiting {
            if line.sides.contains(&side) {
                line.sides.retain(|of| *of != side);
                self.next.push_back(played(side, line.token, PlayEnd::Cut));
            }
        }
        if let Err(busy) = self.tools.media.silence(call.0, media_side(side)) {
            tracing::warn!(%call, %busy, "what is said goes on");
        }
    }

    /// Begins or ends the transcript. One that fails costs itself, never the call.
    pub(super) fn listen(&mut self, is_on: bool) {
        let (call, now) = (self.began.call, self.tools.clock.now());
        self.lines.ear = None;
        let why = if is_on {
            match self.tools.listener.begin(call, now, self.lines.told.clone()) {
                Ok((ear, control)) => match self.tools.media.listen(call.0, Some(ear)) {
                    Ok(()) => {
                        // A recording that rests already lets nothing be written down.
                        control.pause(self.lines.is_paused);
                        self.lines.ear = Some(control);
                        return;
                    }
                    Err(_) => "the media worker does not keep up",
                },
                Err(refused) => refused.words(),
            }
        } else {
            if let Err(busy) = self.tools.media.listen(call.0, None) {
                tracing::warn!(%call, %busy, "the transcript goes on");
            }
            return;
        };
        self.next.push_back(Input::Speech(SpeechInput::NotTranscribed { why }));
    }

    /// What is not to be recorded is not written down either.
    pub(super) fn pause_ear(&mut self, is_paused: bool) {
        self.lines.is_paused = is_paused;
        if let Some(ear) = &self.lines.ear {
            ear.pause(is_paused);
        }
    }

    /// Plays what has been made, and whatever waited for it.
    pub(super) fn made(&mut self, (token, clips): Made) {
        let Some(at) = self.lines.waiting.iter().position(|line| line.token == token) else {
            return;
        };
        match (clips, self.lines.waiting.get_mut(at)) {
            (Ok(clips), Some(line)) => line.clips = Some(clips),
            (Err(error), _) => {
                let call = self.began.call;
                tracing::warn!(%call, %error, "nothing is said");
                let text = error.to_string();
                self.next.push_back(Input::Noted { what: "speech.failed", text });
                if let Some(line) = self.lines.waiting.remove(at) {
                    let ends = line.sides.iter().map(|side| played(*side, token, PlayEnd::Failed));
                    self.next.extend(ends);
                }
            }
            (Ok(_), None) => {}
        }
        while self.lines.waiting.front().is_some_and(|line| line.clips.is_some()) {
            let Some(Line { token, sides, clips: Some(clips) }) = self.lines.waiting.pop_front()
            else {
                return;
            };
            for side in sides {
                let list = Playlist { clips: clips.clone(), token: Some(token) };
                if self.tools.media.say(self.began.call.0, media_side(side), list).is_err() {
                    self.next.push_back(played(side, token, PlayEnd::Refused));
                }
            }
        }
    }
}

fn played(side: Side, token: u64, end: PlayEnd) -> Input {
    Input::Speech(SpeechInput::Played { side, token, end })
}
