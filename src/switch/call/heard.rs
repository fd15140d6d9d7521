//! Who was heard by whom: said once while the call lives, and in its record.

use super::*;
use crate::switch::hearing::Facts;

impl Call {
    /// A line of the timeline about the leg on a side.
    pub(super) fn note_of(
        &mut self,
        now: Instant,
        side: Side,
        what: &'static str,
        text: impl Into<String>,
    ) {
        let leg = self.side_name(side);
        self.note(now, &leg, what, text);
    }

    /// Somebody has not been heard for some seconds.
    pub(super) fn unheard(
        &mut self,
        now: Instant,
        stats: Box<[SideStats; 2]>,
        out: &mut Vec<Output>,
    ) {
        self.stats = Some(stats);
        if self.phase != Phase::Talking {
            return;
        }
        if let Some(hearing) = self.hearing().filter(Hearing::is_fault) {
            self.note(now, "", "media.unheard", hearing.to_string());
            self.tell_hearing("call.unheard", &hearing, out);
        }
    }

    /// The call is over: the verdict, and an event if somebody was not heard.
    pub(super) fn judge(&mut self, out: &mut Vec<Output>) {
        self.hearing = self.hearing();
        if let Some(hearing) = self.hearing.clone().filter(Hearing::is_fault) {
            self.tell_hearing("call.one_way", &hearing, out);
        }
    }

    fn tell_hearing(&self, kind: &'static str, hearing: &Hearing, out: &mut Vec<Output>) {
        let fields = vec![("audio", hearing.word().to_owned()), ("why", hearing.to_string())];
        self.event(kind, fields, out);
    }

    /// The verdict by the figures that are known. `None` while they are not, and for a call that is too short or has one
    /// side only.
    pub(super) fn hearing(&self) -> Option<Hearing> {
        let [a, b] = self.stats.as_deref()?;
        let here = self.side_of(At::A);
        let (a, b) = if here == Side::A { (a, b) } else { (b, a) };
        let called = self.winner.map(At::B)?;
        Hearing::of(&self.facts(At::A, a)?, &self.facts(called, b)?, a.talked)
    }

    fn facts(&self, at: At, stats: &SideStats) -> Option<Facts> {
        let leg = self.leg(at)?;
        let plan = leg.negotiator.plan();
        Some(Facts {
            party: leg.party.clone(),
            told: plan.remote_rtp,
            // Who holds with music may send and need not.
            may_speak: plan.receive && !plan.is_holding,
            may_hear: plan.send,
            flow: stats.talk,
            stranger: stats.stranger,
            far_loss_percent: stats.sound.far_loss_percent,
        })
    }
}
