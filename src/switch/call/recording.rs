//! When a call is recorded, and who paused that.

use super::*;
use crate::switch::recording::{RecordOrder, wanted};

/// How far the recording of a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Recording {
    /// There is none.
    #[default]
    Off,
    /// What is said is recorded.
    On,
    /// Somebody ordered that what is said is not recorded for now.
    Paused,
    /// It rests while somebody is on the line whose calls are never recorded.
    Barred,
    /// It began, and the disk did not take all of it. It does not begin again.
    Failed,
}

impl Recording {
    /// The word in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Paused => "paused",
            Self::Barred => "barred",
            Self::Failed => "failed",
        }
    }
}

impl Call {
    /// Looks after who is on the line now: at the answer, and when a transfer has changed it.
    pub(super) fn review_recording(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.review_transcript(now, out);
        if self.phase != Phase::Talking || self.is_service || self.recording == Recording::Failed {
            return;
        }
        let Some(wanted) = self.recording_wanted() else {
            return self.record_to(now, Recording::Barred, "a party is never recorded", out);
        };
        match self.recording {
            Recording::Off if wanted => self.record_to(now, Recording::On, "recording", out),
            // What was ordered meanwhile, or before, still holds.
            Recording::Barred if self.is_pause_ordered => {
                self.recording = Recording::Paused;
                self.note(now, "", "recording.paused", "still, as it was ordered");
            }
            Recording::Barred => self.record_to(now, Recording::On, "recording again", out),
            _ => {}
        }
    }

    /// Somebody orders it. What makes no sense now, such as a pause of what is not recorded, changes nothing.
    pub(super) fn record_ordered(
        &mut self,
        now: Instant,
        order: RecordOrder,
        by: &str,
        out: &mut Vec<Output>,
    ) {
        if self.phase != Phase::Talking || self.is_service {
            return;
        }
        self.is_pause_ordered = match (order, self.recording) {
            (RecordOrder::Pause, Recording::On | Recording::Barred) => true,
            (RecordOrder::Pause, _) => self.is_pause_ordered,
            (RecordOrder::Start | RecordOrder::Resume, _) => false,
        };
        let to = match (order, self.recording) {
            (RecordOrder::Start, Recording::Off) if self.recording_wanted().is_some() => {
                Recording::On
            }
            (RecordOrder::Pause, Recording::On) => Recording::Paused,
            (RecordOrder::Resume | RecordOrder::Start, Recording::Paused) => Recording::On,
            _ => return,
        };
        self.record_to(now, to, by, out);
    }

    /// A phone's record key: on begins or goes on, off pauses. Only a phone that may do so is obeyed, and the timeline says if
    /// one was not.
    pub(super) fn record_key(&mut self, now: Instant, at: At, is_on: bool, out: &mut Vec<Output>) {
        let Some((label, peer)) = self.leg(at).map(|leg| (leg.label.clone(), leg.peer())) else {
            return;
        };
        let may = match &peer {
            Origin::Phone(extension) | Origin::Operator(extension) => {
                self.snapshot.phone(extension).is_some_and(|phone| phone.record_key)
            }
            Origin::Trunk(_) => false,
        };
        if !may {
            return self.note(now, &label, "recording.refused", "its record key is not on");
        }
        let order = if is_on { RecordOrder::Start } else { RecordOrder::Pause };
        self.record_ordered(now, order, &format!("the record key of {label}"), out);
    }

    /// The recorder did not take it, or takes no more of it; the recorder itself tells of a file that it began.
    pub(super) fn record_refused(
        &mut self,
        now: Instant,
        (why, has_begun): (&str, bool),
        out: &mut Vec<Output>,
    ) {
        self.recording = if has_begun { Recording::Failed } else { Recording::Off };
        self.note(now, "", "recording.failed", why);
        if !has_begun {
            self.event("recording.failed", vec![("error", why.to_owned())], out);
        }
    }

    pub(super) fn recording_wanted(&self) -> Option<bool> {
        let first = self.a.as_ref().map(Leg::peer)?;
        if self.is_in_room() {
            // What it says, and what it hears: nobody else is asked.
            return wanted(&self.snapshot, [&first, &first]);
        }
        let second = self.winner.and_then(|index| self.branches.get(index)).map(Leg::peer)?;
        wanted(&self.snapshot, [&first, &second])
    }

    fn record_to(&mut self, now: Instant, to: Recording, why: &str, out: &mut Vec<Output>) {
        let from = std::mem::replace(&mut self.recording, to);
        let (what, op) = match (from, to) {
            _ if from == to => return,
            // Nothing rests that has not begun.
            (Recording::Off, Recording::Barred) => return self.recording = Recording::Off,
            (Recording::Off, _) => {
                ("recording.began", TapeOp::Begin { beep: self.snapshot.recording.beep })
            }
            (_, Recording::On) => ("recording.resumed", TapeOp::Resume),
            _ => ("recording.paused", TapeOp::Pause),
        };
        self.note(now, "", what, why);
        if from != Recording::Off {
            self.event(what, vec![("why", why.to_owned())], out);
        }
        out.push(Output::Media(MediaOp::Tape(op)));
    }
}
