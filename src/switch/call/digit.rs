//! Digits that a leg sends in one form and the other takes in another.

use super::*;
use crate::proto::audio::Codec;
use crate::proto::rtp::telephone_event::{FLASH, event_of, key_of};
use crate::proto::sdp::{Format, StreamPlan};
use crate::proto::sip::session::Digit;
use crate::switch::dtmf::Dtmf;

impl Call {
    /// A key was pressed, and said so by INFO. It goes to the other leg: by INFO if that is known to take it, else in its
    /// stream; whoever else wants digits, such as a menu, has them by [`Output::Digit`]. The timeline says that there was
    /// one, not which: people type PINs.
    pub(super) fn digit(&mut self, now: Instant, at: At, digit: Digit, out: &mut Vec<Output>) {
        let label = self.leg(at).map(|leg| leg.label.clone()).unwrap_or_default();
        if self.key(now, digit.signal, out) {
            return;
        }
        let mut passed = Passed::No;
        if let Some(other) = self.across(at) {
            if self.dtmf_of(other).may_be_info() {
                self.on_session(now, other, out, |session, sip| {
                    if session.send_digit(digit, sip) {
                        passed = Passed::AsInfo;
                    }
                });
            }
            if passed == Passed::No {
                passed = self.press(other, &digit, out);
            }
        }
        let end = match passed {
            Passed::AsInfo => "passed on",
            Passed::AsEvent => "passed on as an event in the audio's stream",
            Passed::AsTone => "passed on as a tone",
            Passed::No => "kept: the other side takes it in no form that it may have",
        };
        self.note(now, &label, "digit", format!("by INFO, {} ms, {end}", digit.duration_ms));
        let ms = digit.duration_ms.to_string();
        let passed = (passed != Passed::No).to_string();
        let fields = vec![("leg", label.clone()), ("ms", ms), ("passed", passed)];
        self.event("call.digit", fields, out);
        out.push(Output::Digit { leg: label, digit });
    }

    fn dtmf_of(&self, at: At) -> Dtmf {
        self.leg(at).map(|leg| self.snapshot.dtmf_for(&leg.peer())).unwrap_or_default()
    }

    /// What may flow on a leg, with digits in the form that its peer is to have them.
    pub(super) fn plan_of(&self, leg: &Leg) -> StreamPlan {
        let dtmf = self.snapshot.dtmf_for(&leg.peer());
        let mut plan = leg.negotiator.plan();
        if !dtmf.may_be_events() {
            plan.send_formats.retain(|format| !format.is_telephone_event());
            plan.telephone_event_pt = None;
        }
        plan.is_toneless = !dtmf.may_be_tones();
        plan
    }

    /// Brings a leg a digit in its stream, if it can be had there.
    fn press(&self, at: At, digit: &Digit, out: &mut Vec<Output>) -> Passed {
        let event = if digit.signal == '!' { Some(FLASH) } else { event_of(digit.signal) };
        let plan = self.leg(at).map(|leg| self.plan_of(leg)).unwrap_or_default();
        let Some(event) = event.filter(|_| plan.send && matches!(self.media, Media::Open(..)))
        else {
            return Passed::No;
        };
        let is_encoded =
            |format: &Format| Codec::of(&format.name, format.clock_rate, format.channels).is_some();
        let spoken = plan.send_formats.iter().find(|format| format.is_speech());
        let passed = if plan.telephone_event_pt.is_some() {
            Passed::AsEvent
        } else if !plan.is_toneless && spoken.is_some_and(is_encoded) && event != FLASH {
            // A hook that is pressed has no sound.
            Passed::AsTone
        } else {
            return Passed::No;
        };
        let duration = Duration::from_millis(digit.duration_ms.into());
        out.push(Output::Media(MediaOp::Press { side: self.side_of(at), event, duration }));
        passed
    }

    /// A key came as an event that the leg on this side takes neither so nor as a tone: it is told by INFO, if it takes that.
    pub(super) fn pressed(
        &mut self,
        now: Instant,
        side: Side,
        event: u8,
        duration: Duration,
        out: &mut Vec<Output>,
    ) {
        let signal = if event == FLASH { Some('!') } else { key_of(event) };
        let sides = [Some(At::A), self.winner.map(At::B)];
        let at = sides.into_iter().flatten().find(|at| self.side_of(*at) == side);
        let (Some(signal), Some(at)) = (signal, at) else { return };
        let duration_ms = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let digit = Digit { signal, duration_ms, is_relay: true };
        let mut is_passed = false;
        if self.dtmf_of(at).may_be_info() {
            self.on_session(now, at, out, |session, sip| {
                is_passed = session.send_digit(digit, sip);
            });
        }
        let label = self.leg(at).map(|leg| leg.label.clone()).unwrap_or_default();
        let end = if is_passed { "passed on by INFO" } else { "kept: it takes none" };
        self.note(now, &label, "digit", format!("for this leg, {duration_ms} ms, {end}"));
    }
}

/// How a digit went on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Passed {
    AsInfo,
    AsEvent,
    AsTone,
    No,
}
