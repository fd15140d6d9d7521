//! What to do when a branch refuses, is silent or cannot be reached: another flow of the device, another number, the next
//! group, or the end.

use super::*;
use crate::proto::sip::session::State;
use crate::switch::cause;
use crate::switch::health::Outcome;
use crate::switch::identity::Reason;

impl Call {
    /// A leg's INVITE was refused.
    pub(super) fn rejected(
        &mut self,
        now: Instant,
        at: At,
        status: u16,
        reason: &str,
        contacts: &[String],
        out: &mut Vec<Output>,
    ) {
        let At::B(index) = at else {
            return self.fail(now, cause::from_status(status), None, HungUpBy::Caller, out);
        };
        // 305 and 380 do not name another party (RFC 3261 §21.3).
        if matches!(status, 300..=302) && self.redirect(now, index, contacts, out) {
            return;
        }
        if matches!(status, 415 | 488 | 606) && self.offer_more(now, index, status, out) {
            return;
        }
        // The edge that held the flow has lost it (RFC 5626 §5.3).
        if status == 430 && self.ring_next_flow(now, index, out) {
            return;
        }
        let cause = cause::from_status(status);
        let is_its_fault = matches!(status, 408 | 500..=599);
        self.count(index, if is_its_fault { Outcome::Failed } else { Outcome::Unanswered }, out);
        self.note_refusal(now, index, cause, status, reason);
        if self.forward_refused(now, index, status, out) {
            return;
        }
        if status >= 600 && !self.is_emergency {
            // Nobody else is to be asked (RFC 3261 §16.7 step 5), but for help.
            self.groups.clear();
            self.elsewhere.clear();
            self.cancel_branches(now, None, &cause::DECLINED, out);
            return self.give_up(now, cause, Some(status), HungUpBy::Called, out);
        }
        self.branch_gone(now, out);
    }

    /// A leg's INVITE got no answer at all.
    pub(super) fn unanswered(&mut self, now: Instant, at: At, why: Failure, out: &mut Vec<Output>) {
        let At::B(index) = at else {
            return self.fail(now, &cause::UNREACHABLE, None, HungUpBy::System, out);
        };
        if self.ring_next_flow(now, index, out) {
            return;
        }
        let is_trunk = self.branches.get(index).is_some_and(|leg| leg.is_trunk);
        let cause = match (is_trunk, why) {
            (false, _) => &cause::UNREACHABLE,
            (true, Failure::TimedOut) => &cause::PEER_TIMEOUT,
            (true, Failure::Transport) => &cause::PEER_UNREACHABLE,
        };
        self.count(index, Outcome::Failed, out);
        self.note_refusal(now, index, cause, 0, cause.text);
        if self.forward_refused(now, index, 0, out) {
            return;
        }
        self.branch_gone(now, out);
    }

    /// A device could not be reached on one of its flows: it is rung on the next one, if it has another.
    fn ring_next_flow(&mut self, now: Instant, index: usize, out: &mut Vec<Output>) -> bool {
        let is_wanted = self.winner.is_none() && self.ring_deadline.is_some();
        let Some(leg) = self.branches.get_mut(index).filter(|_| is_wanted) else { return false };
        let Some(next) = leg.next_flow.take() else { return false };
        let label = leg.label.clone();
        self.note(now, &label, "leg.flow_failed", "the device is tried on its next flow");
        self.ring(now, *next, out);
        true
    }

    /// The peer takes no codec of the caller's, or not the form of audio that browsers want: it is asked again, with what those
    /// can be made into, and plainly.
    fn offer_more(
        &mut self,
        now: Instant,
        index: usize,
        status: u16,
        out: &mut Vec<Output>,
    ) -> bool {
        let is_wanted = self.winner.is_none() && self.ring_deadline.is_some();
        let Some(at) = self.media_address(At::B(index)).filter(|_| is_wanted) else { return false };
        let Some(leg) = self.branches.get_mut(index) else { return false };
        let was_web = leg.negotiator.offers_dtls();
        let Some(offer) = leg.negotiator.offer_more(at) else { return false };
        let is_plain_now = was_web && !leg.negotiator.offers_dtls();
        let label = leg.label.clone();
        let mut is_sent = false;
        self.on_session(now, At::B(index), out, |session, sip| {
            is_sent = session.invite_again(offer, sip);
        });
        if is_sent {
            let what = if is_plain_now { "plain audio" } else { "more codecs" };
            self.note(now, &label, "media.more", format!("{status}: it is offered {what}"));
        }
        is_sent
    }

    /// Tells what came of a branch to a trunk, the first time.
    pub(super) fn count(&mut self, index: usize, outcome: Outcome, out: &mut Vec<Output>) {
        let leg = self.branches.get_mut(index).filter(|leg| leg.is_trunk && !leg.is_counted);
        if let Some(leg) = leg {
            leg.is_counted = true;
            out.push(Output::Tried { trunk: leg.party.clone(), place: leg.place, outcome });
        }
    }

    fn note_refusal(
        &mut self,
        now: Instant,
        index: usize,
        cause: &'static Cause,
        status: u16,
        reason: &str,
    ) {
        let Some(leg) = self.branches.get(index) else { return };
        let label = leg.label.clone();
        let text = if status == 0 {
            reason.to_owned()
        } else {
            format!("{status} {reason}: {}", cause.key)
        };
        self.note(now, &label, "leg.refused", text);
        let is_better = self.refusal.is_none_or(|(known, _)| weight(cause) >= weight(known));
        if is_better {
            self.refusal = Some((cause, status));
            let told = self.leg(At::B(index)).and_then(|leg| leg.session.peer_reasons().q850);
            self.told_q850 = told.filter(|_| status != 0).map(|q850| (cause.key, q850));
        }
    }

    /// If nobody rings any more, the next group does, where the failure allows it.
    fn branch_gone(&mut self, now: Instant, out: &mut Vec<Output>) {
        let rings = self.branches.iter().any(|leg| leg.session.state() == State::Outgoing);
        if rings || self.winner.is_some() {
            return;
        }
        self.ring_deadline = None;
        self.try_deadline = None;
        let is_final = self.refusal.is_some_and(|(cause, _)| !cause.is_retryable);
        if is_final && !self.is_emergency {
            self.groups.clear();
        } else if let Some(next) = self.groups.front().and_then(|group| group.first()) {
            let text = format!("trying {}", next.party);
            self.note(now, "", "route.failover", text);
        }
        self.ring_next_group(now, out);
    }

    pub(super) fn try_expired(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.groups.is_empty() {
            return;
        }
        self.note(now, "", "leg.silent", "no response in time");
        self.refusal = Some((&cause::PEER_TIMEOUT, 0));
        for index in 0..self.branches.len() {
            self.count(index, Outcome::Failed, out);
        }
        self.cancel_branches(now, None, &cause::PEER_TIMEOUT, out);
        self.branch_gone(now, out);
    }

    pub(super) fn ring_expired(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.note(now, "", "call.no_answer", "nobody answered in time");
        self.cancel_branches(now, None, &cause::NO_ANSWER, out);
        let last = self.branches.len().checked_sub(1);
        if last.is_some_and(|index| self.forward(now, index, Reason::NoAnswer, out)) {
            return;
        }
        self.give_up(now, &cause::NO_ANSWER, None, HungUpBy::System, out);
    }
}

/// Which of several refusals tells the caller most (RFC 3261 §16.7 step 6 in our words).
pub(super) fn weight(cause: &Cause) -> u8 {
    match cause.key {
        "declined" => 5,
        "busy" => 4,
        "no_common_codec" | "refused_by_peer" | "unknown_number" | "invalid_number" => 3,
        "no_answer" | "peer_refused" => 2,
        "peer_error" | "peer_unavailable" => 1,
        _ => 0,
    }
}
