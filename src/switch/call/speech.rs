//! What is said to the sides of a call in place of each other.

use super::*;
use crate::switch::speech::{PlayEnd, Say};

/// What may be under way at a time for both sides together; what is wanted beyond is refused.
pub const SAYING_MAX: usize = 16;

/// What happens to what is said.
#[derive(Debug)]
pub enum SpeechInput {
    /// Somebody wants something said.
    Say {
        /// Who is to hear it.
        sides: Vec<Side>,
        /// Its name: whoever wants it chooses one that is not in use.
        token: u64,
        /// What.
        say: Say,
        /// Who wants it, in words.
        by: String,
    },
    /// Somebody wants nothing more said of it all.
    Silence {
        /// Who wants it, in words.
        by: String,
    },
    /// Somebody wants the call transcribed, or not.
    Transcribe {
        /// From now on?
        is_on: bool,
        /// Who wants it, in words.
        by: String,
    },
    /// It is not transcribed.
    NotTranscribed {
        /// Why.
        why: &'static str,
    },
    /// What a side was to hear has ended.
    Played {
        /// Who.
        side: Side,
        /// Its name.
        token: u64,
        /// How.
        end: PlayEnd,
    },
}

/// What is being said, or waits to be.
#[derive(Debug, Default)]
pub(super) struct Speech {
    under_way: Vec<(Side, u64)>,
    is_transcribed: bool,
    /// Somebody said whether it is to be: then nothing begins by itself.
    is_decided: bool,
}

impl Call {
    pub(super) fn speech(&mut self, now: Instant, input: SpeechInput, out: &mut Vec<Output>) {
        match input {
            SpeechInput::Say { sides, token, say, by } => {
                self.say(now, (sides, token), say, &by, out);
            }
            SpeechInput::Silence { by } => self.silence(now, &by, out),
            SpeechInput::Transcribe { is_on, by } => {
                self.speech.is_decided = true;
                self.transcribe(now, is_on, &by, out);
            }
            SpeechInput::NotTranscribed { why } => {
                self.speech.is_transcribed = false;
                self.note(now, "", "transcript.failed", why);
                self.event("transcript.failed", vec![("why", why.to_owned())], out);
            }
            SpeechInput::Played { side, token, end } => self.played(now, side, token, end, out),
        }
    }

    /// Is something being said to a side, or made for it?
    pub(super) fn is_saying(&self, side: Side) -> bool {
        self.speech.under_way.iter().any(|(of, _)| *of == side)
    }

    pub(super) fn say(
        &mut self,
        now: Instant,
        (sides, token): (Vec<Side>, u64),
        say: Say,
        by: &str,
        out: &mut Vec<Output>,
    ) {
        let room = SAYING_MAX.saturating_sub(self.speech.under_way.len());
        let is_refused = self.phase != Phase::Talking
            || self.is_service
            || sides.len() > room
            || !matches!(self.media, Media::Open(..));
        for side in &sides {
            let leg = self.side_name(*side);
            self.note(now, &leg, "speech.said", format!("{}, wanted by {by}", say.what.words()));
            self.speech.under_way.push((*side, token));
            if is_refused {
                self.played(now, *side, token, PlayEnd::Refused, out);
            }
        }
        if !is_refused {
            out.push(Output::Media(MediaOp::Say { sides, token, say }));
        }
    }

    fn silence(&mut self, now: Instant, by: &str, out: &mut Vec<Output>) {
        for side in [Side::A, Side::B] {
            if self.speech.under_way.iter().any(|(of, _)| *of == side) {
                let leg = self.side_name(side);
                self.note(now, &leg, "speech.silenced", by);
                out.push(Output::Media(MediaOp::Silence { side }));
            }
        }
    }

    fn played(
        &mut self,
        now: Instant,
        side: Side,
        token: u64,
        end: PlayEnd,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = self.speech.under_way.iter().position(|known| *known == (side, token))
        else {
            return;
        };
        self.speech.under_way.remove(at);
        let leg = self.side_name(side);
        self.note(now, &leg, "speech.ended", end.word());
        let side = if side == Side::A { "a" } else { "b" };
        let fields = vec![
            ("say", token.to_string()),
            ("side", side.to_owned()),
            ("leg", leg),
            ("end", end.word().to_owned()),
        ];
        self.event("call.played", fields, out);
    }

    /// Looks after who is on the line now, as for a recording: whose conversations are never recorded, theirs are not written
    /// down either.
    pub(super) fn review_transcript(&mut self, now: Instant, out: &mut Vec<Output>) {
        let may = self.recording_wanted().is_some();
        if self.speech.is_transcribed && !may {
            self.transcribe(now, false, "a party is never recorded", out);
        } else if may && !self.speech.is_decided && self.snapshot.speech.transcribes_all {
            self.transcribe(now, true, "[speech] transcribe", out);
        }
    }

    fn transcribe(&mut self, now: Instant, is_on: bool, by: &str, out: &mut Vec<Output>) {
        if self.speech.is_transcribed == is_on || self.phase != Phase::Talking || self.is_service {
            return;
        }
        if is_on && self.recording_wanted().is_none() {
            return self.note(now, "", "transcript.refused", "a party is never recorded");
        }
        self.speech.is_transcribed = is_on;
        let what = if is_on { "transcript.began" } else { "transcript.ended" };
        self.note(now, "", what, by);
        self.event(what, vec![("by", by.to_owned())], out);
        out.push(Output::Media(MediaOp::Listen { is_on }));
    }

    /// The call is over: what is being said has no other end.
    pub(super) fn end_speech(&mut self, now: Instant, out: &mut Vec<Output>) {
        for (side, token) in self.speech.under_way.clone() {
            self.played(now, side, token, PlayEnd::Cut, out);
        }
    }
}
