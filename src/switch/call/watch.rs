//! A call that others listen to.

use super::*;
use crate::proto::audio::Codec;
use crate::proto::sdp::Format;

/// Calls that may listen to one.
pub const WATCHERS_MAX: usize = 8;

impl Call {
    /// Another call wants to listen to this one, or does not any more.
    pub(super) fn watched(
        &mut self,
        now: Instant,
        (by, who, is_on): (CallId, &str, bool),
        out: &mut Vec<Output>,
    ) {
        let was_watched = !self.watchers.is_empty();
        if is_on {
            let is_allowed = self.can_be_watched() && self.watchers.len() < WATCHERS_MAX;
            out.push(Output::Watched { by, is_allowed });
            if !is_allowed {
                return;
            }
            self.watchers.push(by);
            self.note(now, "", "call.watched", format!("{who} listens"));
        } else {
            self.watchers.retain(|known| *known != by);
            self.note(now, "", "call.unwatched", format!("{who} listens no more"));
        }
        let is_watched = !self.watchers.is_empty();
        if was_watched != is_watched {
            self.share(is_watched, out);
        }
    }

    /// Both sides talk, and speak what we can mix.
    fn can_be_watched(&self) -> bool {
        let is_settled = self.modifying.is_none() && self.joining.is_none() && !self.reoffer_due;
        is_settled && self.is_mixable()
    }

    /// Ends it when a side begins to speak what we cannot mix: the two go on without those who listened.
    pub(super) fn review_watch(&mut self, now: Instant, out: &mut Vec<Output>) {
        let is_talking = self.phase == Phase::Talking && self.modifying.is_none();
        if !self.watchers.is_empty() && is_talking && !self.is_mixable() {
            self.note(now, "", "call.unwatched", "what is spoken now cannot be listened to");
            self.end_watch(out);
        }
    }

    fn is_mixable(&self) -> bool {
        let speaks = |at: At| {
            self.leg(at).is_some_and(|leg| {
                let plan = leg.negotiator.plan();
                plan.send_formats.iter().find(|format| format.is_speech()).is_some_and(is_known)
                    && plan.receive_formats.iter().filter(|f| f.is_speech()).all(is_known)
            })
        };
        self.phase == Phase::Talking
            && self.transfer.is_none()
            && self.winner.is_some_and(|winner| speaks(At::A) && speaks(At::B(winner)))
    }

    /// The sides hear each other by way of a room of this call, with those who listen; or without it again.
    fn share(&self, is_shared: bool, out: &mut Vec<Output>) {
        let place = is_shared.then_some(Seat {
            room: InRoom::Own,
            heard_by: HeardBy::Both,
            is_muted: false,
            gain_db: 0,
            chimes: false,
        });
        for side in [Side::A, Side::B] {
            out.push(Output::Media(MediaOp::Room { side, place }));
        }
    }

    /// A transfer begins: nobody listens to what comes of it.
    pub(super) fn end_watch(&mut self, out: &mut Vec<Output>) {
        if !std::mem::take(&mut self.watchers).is_empty() {
            self.share(false, out);
            out.push(Output::WatchOver);
        }
    }
}

fn is_known(format: &Format) -> bool {
    Codec::of(&format.name, format.clock_rate, format.channels).is_some()
}
