//! Attended transfer: a phone that talks to two parties connects them (RFC 5589 §7, RFC 3891).
//!
//! Both parties are ours already, each in a call of its own with that phone. The call that is asked takes
//! the other one's party over: its leg moves here with its dialog, and is offered our ports.

use super::hangup::record_of;
use super::transfer::can_reach;
use super::*;
use crate::proto::sip::session::Replaces;
use crate::switch::cause;
use crate::switch::cdr::record::SegmentKind;

impl Call {
    pub(super) fn fetch(&mut self, now: Instant, replaces: Replaces, out: &mut Vec<Output>) {
        let by = self.transfer.as_ref().and_then(|transfer| self.leg(At::B(transfer.by)));
        let Some(by) = by.map(Leg::key) else { return };
        self.is_fetching = true;
        self.ring_deadline = Some(now + ASKED_MAX);
        out.push(Output::Fetch { replaces, by, bound: self.bound_for_branches() });
    }

    /// Another call wants the party across from one of our legs.
    pub(super) fn wanted(
        &mut self,
        now: Instant,
        key: &(String, String),
        to: CallId,
        bound: IpAddr,
        out: &mut Vec<Output>,
    ) {
        let talking = self.give(now, key, to, bound).map(|leg| Handed::Leg(Box::new(leg)));
        let handed = talking.or_else(|| self.give_up_ringing(now, key, to));
        let is_given = handed.is_some();
        out.push(Output::HandOver { to, handed });
        if is_given {
            self.fail(now, &cause::TRANSFERRED, None, HungUpBy::System, out);
        }
    }

    /// Whom this call rings is rung by the other one instead, if nobody has answered: who transfers does not wait for the
    /// answer (RFC 5589 §7, "early attended"). What rings stops, and shows no missed call.
    fn give_up_ringing(
        &mut self,
        now: Instant,
        key: &(String, String),
        to: CallId,
    ) -> Option<Handed> {
        let is_callers = self.leg(At::A).is_some_and(|leg| leg.key() == *key);
        let rings = matches!(self.phase, Phase::Setup | Phase::Ringing)
            && self.winner.is_none()
            && self.transfer.is_none();
        if !is_callers || !rings || self.is_emergency || self.is_service {
            return None;
        }
        self.is_answered_elsewhere = true;
        let number = self.began.called.clone();
        self.note(now, "a", "transfer.given", format!("{number} is rung by call {to}"));
        Some(Handed::Number(number))
    }

    /// Takes the party across from a leg out of the call, if both are connected, nothing is under way, and
    /// the ports that await it there can be reached from where it is.
    fn give(
        &mut self,
        now: Instant,
        key: &(String, String),
        to: CallId,
        bound: IpAddr,
    ) -> Option<Leg> {
        let (at, _) = self.legs().find(|(_, leg)| leg.key() == *key)?;
        let other = self.across(at)?;
        let is_ready = self.phase == Phase::Talking
            && self.transfer.is_none()
            && self.modifying.is_none()
            && !self.is_fax()
            && self
                .leg(other)
                .is_some_and(|leg| leg.session.can_modify() && can_reach(bound, leg.media_ip));
        if !is_ready {
            return None;
        }
        let side = self.side_of(other);
        self.given.extend(self.leg(other).map(|leg| (record_of(leg), side)));
        let leg = match other {
            At::A => self.a.take()?,
            At::B(index) => {
                self.winner = None;
                self.branches.remove(index)
            }
            At::First(_) => return None,
        };
        self.note(now, &leg.label, "transfer.given", format!("goes on in call {to}"));
        Some(leg)
    }

    /// The party of the other call is here, or will not come.
    pub(super) fn fetched(
        &mut self,
        now: Instant,
        result: Result<Handed, &'static Cause>,
        out: &mut Vec<Output>,
    ) {
        self.is_fetching = false;
        let mut leg = match result {
            Ok(Handed::Leg(leg)) => *leg,
            Ok(Handed::Number(number)) => return self.locate_for_transfer(now, number, None, out),
            Err(cause) => return self.transfer_failed(now, cause, None, out),
        };
        let index = self.branches.len();
        leg.label = format!("b{}", index + 1);
        // The numbers here are others than those that its keys were used with.
        leg.negotiator.renew_keys();
        self.branches.push(leg);
        let at = At::B(index);
        if self.transfer.is_none() {
            // The call ended meanwhile.
            return self.on_session(now, at, out, |session, sip| session.hang_up(480, None, sip));
        }
        self.ring_deadline = None;
        self.winner = Some(index);
        self.joining = Some(index);
        self.transferred(now, index, out);
        self.review_recording(now, out);
        self.reoffer_due = false;
        self.segments.change(self.elapsed(now), SegmentKind::Talk);
        let settings = &self.snapshot.media;
        let (talk, hold) = (settings.dead_after, settings.dead_after_hold);
        out.push(Output::Media(MediaOp::Watch { talk, hold }));
        let (Some(address), far) = (self.media_address(at), self.offer_to_who_comes()) else {
            return;
        };
        let Some(leg) = self.leg_mut(at) else { return };
        let body = leg.negotiator.offer_to_peer(far.as_ref(), address);
        self.on_session(now, at, out, |session, sip| session.modify(Some(body), sip));
    }

    /// Is this the branch that came from another call, and has not answered our offer?
    pub(super) fn is_joining(&self, at: At) -> bool {
        self.joining.is_some_and(|index| at == At::B(index))
    }

    /// Who came has our ports now: who stays is offered what it speaks.
    pub(super) fn joined(&mut self, at: At) {
        if self.is_joining(at) {
            self.joining = None;
            self.reoffer_due = true;
        }
    }
}
