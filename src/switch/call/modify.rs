//! re-INVITE and UPDATE across the call: what one leg asks is asked of the other (RFC 3261 §14).

use super::hangup::is_of_ours;
use super::setup::warning;
use super::*;
use crate::proto::sip::header::reason::Reasons;
use crate::switch::cause;

/// A modification of one leg that waits for the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Modifying {
    /// `from` made an offer; the other leg was offered the same.
    Forwarded { from: At },
    /// `from` asked for an offer; the other leg was asked for one.
    Asked { from: At },
    /// `from` was given the other leg's offer; its answer goes into the other leg's ACK.
    AwaitingAck { from: At },
}

impl Call {
    /// A leg wants to modify its session.
    pub(super) fn offered(
        &mut self,
        now: Instant,
        at: At,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) {
        let Some(address) = self.media_address(at) else {
            return self
                .on_session(now, at, out, |session, sip| session.refuse_offer(488, &[], sip));
        };
        let across = self.across(at);
        match body {
            Some(body) => self.pass_offer(now, at, across, address, body, out),
            None => self.pass_wish(now, at, across, address, out),
        }
    }

    fn pass_offer(
        &mut self,
        now: Instant,
        at: At,
        across: Option<At>,
        address: MediaAddress,
        body: &[u8],
        out: &mut Vec<Output>,
    ) {
        let Some(leg) = self.leg_mut(at) else { return };
        let held_before = leg.negotiator.hold();
        let offer = match leg.negotiator.offer_from_peer(body) {
            Ok(offer) => offer,
            Err(refusal) => {
                let headers = [warning(refusal)];
                let status = refusal.status();
                return self.on_session(now, at, out, |session, sip| {
                    session.refuse_offer(status, &headers, sip)
                });
            }
        };
        let is_refresh = offer.is_refresh && !offer.contradicts_version;
        let is_ours = is_refresh || self.is_held_here(at, held_before, &offer);
        let Some(other) = across.filter(|_| !is_ours) else {
            // A refresh concerns nobody else, and a leg without a partner is answered by us.
            return self.answer_here(now, at, address, out);
        };
        if let Some(why) = self.why_no_fax(other, &offer) {
            return self.refuse_fax(now, at, why, out);
        }
        if !self.leg(other).is_some_and(|leg| leg.session.can_modify()) || self.modifying.is_some()
        {
            return self.refuse_here(now, at, 491, out);
        }
        let Some(far) = self.media_address(other) else { return };
        let Some(leg) = self.leg_mut(other) else { return };
        let body = leg.negotiator.offer_to_peer(Some(&offer.sdp), far);
        self.modifying = Some(Modifying::Forwarded { from: at });
        self.apply_media(other, out);
        self.on_session(now, at, out, |session, sip| session.trying(sip));
        self.on_session(now, other, out, |session, sip| session.modify(Some(body), sip));
    }

    fn pass_wish(
        &mut self,
        now: Instant,
        at: At,
        across: Option<At>,
        address: MediaAddress,
        out: &mut Vec<Output>,
    ) {
        let can_ask = |other: &At| self.leg(*other).is_some_and(|leg| leg.session.can_modify());
        if let Some(other) = across.filter(can_ask).filter(|_| self.modifying.is_none()) {
            self.modifying = Some(Modifying::Asked { from: at });
            self.on_session(now, at, out, |session, sip| session.trying(sip));
            return self.on_session(now, other, out, |session, sip| session.modify(None, sip));
        }
        let far = across
            .and_then(|other| self.leg(other))
            .and_then(|leg| leg.negotiator.remote())
            .cloned();
        let Some(leg) = self.leg_mut(at) else { return };
        let body = leg.negotiator.late_offer_to_peer(far.as_ref(), address);
        self.on_session(now, at, out, |session, sip| session.accept_offer(now, Some(&body), sip));
    }

    fn answer_here(&mut self, now: Instant, at: At, address: MediaAddress, out: &mut Vec<Output>) {
        let Some(leg) = self.leg_mut(at) else { return };
        match leg.negotiator.answer_locally(address) {
            Ok(body) => {
                self.on_session(now, at, out, |session, sip| {
                    session.accept_offer(now, Some(&body), sip)
                });
                self.apply_media(at, out);
                self.note_hold(now, out);
            }
            Err(refusal) => self.refuse_here(now, at, refusal.status(), out),
        }
    }

    fn refuse_here(&mut self, now: Instant, at: At, status: u16, out: &mut Vec<Output>) {
        if let Some(leg) = self.leg_mut(at) {
            leg.negotiator.rollback();
        }
        self.on_session(now, at, out, |session, sip| session.refuse_offer(status, &[], sip));
    }

    /// The other leg accepted.
    pub(super) fn modified(
        &mut self,
        now: Instant,
        at: At,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) {
        match self.modifying.take() {
            Some(Modifying::Forwarded { from }) => self.pass_accepted(now, from, at, body, out),
            Some(Modifying::Asked { from }) => self.pass_asked(now, from, at, body, out),
            other => {
                self.modifying = other;
                // A modification of our own, such as the codec of an operator's call.
                if let Some(leg) = self.leg_mut(at) {
                    let is_agreed =
                        body.is_some_and(|body| leg.negotiator.answer_from_peer(body).is_ok());
                    if !is_agreed && leg.negotiator.awaits_answer() {
                        // An offer that stays open would refuse every one of the peer's.
                        leg.negotiator.rollback();
                    }
                }
                self.apply_media(at, out);
                self.joined(at);
                self.note_hold(now, out);
            }
        }
    }

    fn pass_accepted(
        &mut self,
        now: Instant,
        from: At,
        at: At,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) {
        let address = self.media_address(from);
        let answer =
            self.leg_mut(at).zip(body).map(|(leg, body)| leg.negotiator.answer_from_peer(body));
        let passed = match (answer, address) {
            (Some(Ok(answer)), Some(address)) => {
                let answer = self.as_told(at, answer.sdp);
                let leg = self.leg_mut(from);
                leg.and_then(|leg| leg.negotiator.answer_to_peer(&answer, address).ok())
            }
            _ => None,
        };
        let Some(body) = passed else {
            let is_fax = self.leg(from).is_some_and(|leg| leg.negotiator.is_offered_fax());
            if let Some(leg) = self.leg_mut(at) {
                leg.negotiator.rollback();
            }
            self.refuse_here(now, from, 488, out);
            if is_fax {
                self.offer_audio_again(now, at, out);
            }
            return;
        };
        self.on_session(now, from, out, |session, sip| session.accept_offer(now, Some(&body), sip));
        self.apply_media(from, out);
        self.apply_media(at, out);
        self.note_hold(now, out);
    }

    fn pass_asked(
        &mut self,
        now: Instant,
        from: At,
        at: At,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) {
        let address = self.media_address(from);
        let offer =
            self.leg_mut(at).zip(body).map(|(leg, body)| leg.negotiator.offer_from_peer(body));
        let (Some(Ok(offer)), Some(address)) = (offer, address) else {
            // The peer was asked for an offer and gave none: the exchange cannot be completed.
            return self.fail(now, &cause::BAD_MEDIA_EXCHANGE, None, HungUpBy::System, out);
        };
        let Some(leg) = self.leg_mut(from) else { return };
        let body = leg.negotiator.late_offer_to_peer(Some(&offer.sdp), address);
        self.modifying = Some(Modifying::AwaitingAck { from });
        self.on_session(now, from, out, |session, sip| session.accept_offer(now, Some(&body), sip));
    }

    /// A leg's session timer wants a re-INVITE: what was agreed is offered again (RFC 4028 §7.4).
    pub(super) fn refresh(&mut self, now: Instant, at: At, out: &mut Vec<Output>) {
        let Some(address) = self.media_address(at) else { return };
        let Some(leg) = self.leg_mut(at) else { return };
        let body = leg.negotiator.reoffer(address);
        self.on_session(now, at, out, |session, sip| session.modify(Some(body), sip));
    }

    /// A peer cancelled an INVITE of its: the first one ends the call; a later one is cancelled on the other
    /// leg too, and what comes of it there is the answer here. An answer that was quicker stands (§9.2).
    pub(super) fn cancelled(
        &mut self,
        now: Instant,
        server: ServerKey,
        why: Reasons,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = self.legs().find(|(_, leg)| leg.session.is_open(server)).map(|(at, _)| at)
        else {
            return;
        };
        if self.leg(at).is_some_and(|leg| leg.session.state() == session::State::Incoming) {
            self.is_answered_elsewhere = why.is_elsewhere();
            self.told_q850 = why.q850.map(|q850| (cause::CANCELLED.key, q850));
            return self.on_session(now, at, out, |session, sip| session.cancelled(sip));
        }
        let is_passed = matches!(
            self.modifying,
            Some(Modifying::Forwarded { from } | Modifying::Asked { from }) if from == at
        );
        if let Some(other) = self.across(at).filter(|_| is_passed) {
            self.on_session(now, other, out, |session, sip| session.cancel_modify(sip));
        }
    }

    /// The other leg refused: the session stays as it was on both (§14.1).
    pub(super) fn not_modified(
        &mut self,
        now: Instant,
        at: At,
        status: u16,
        out: &mut Vec<Output>,
    ) {
        if let Some(leg) = self.leg_mut(at) {
            leg.negotiator.rollback();
        }
        self.apply_media(at, out);
        if self.is_joining(at) {
            // It was connected elsewhere, and will not be here.
            return self.fail(now, &cause::BAD_MEDIA_EXCHANGE, None, HungUpBy::System, out);
        }
        let from = match self.modifying.take() {
            Some(
                Modifying::Forwarded { from }
                | Modifying::Asked { from }
                | Modifying::AwaitingAck { from },
            ) => from,
            None => return,
        };
        let passed = if (400..500).contains(&status) && !is_of_ours(status) { status } else { 488 };
        self.refuse_here(now, from, passed, out);
    }
}
