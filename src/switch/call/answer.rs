//! The answer: one branch wins, the others are cancelled, both sides are connected.

use super::protect::cause_of;
use super::setup::warning;
use super::*;
use crate::proto::sdp::{Hold, Sdp, SdpRefusal};
use crate::proto::sip::session::State;
use crate::switch::cause;
use crate::switch::cdr::record::SegmentKind;
use crate::switch::health::Outcome;

impl Call {
    /// A branch answered.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        index: usize,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) {
        let Some(leg) = self.branches.get_mut(index) else { return };
        leg.has_answered_anything = true;
        let (label, party) = (leg.label.clone(), leg.party.clone());
        let used = (leg.is_trunk && self.transfer.is_none()).then(|| party.clone());
        self.count(index, Outcome::Answered, out);
        if self.winner.is_some() {
            // Two phones answered within the same moment: the second one is hung up.
            self.note(now, &label, "leg.too_late", "another phone answered first");
            let reason = Some("SIP;cause=200;text=\"Call completed elsewhere\"".to_owned());
            return self.on_session(now, At::B(index), out, |session, sip| {
                session.hang_up(487, reason, sip)
            });
        }
        self.winner = Some(index);
        self.ring_deadline = None;
        self.try_deadline = None;
        self.groups.clear();
        self.trunk_used = used.or(self.trunk_used.take());
        self.cancel_branches(now, Some(index), &cause::NORMAL, out);
        self.introduce(At::A, At::B(index));
        let result = if self.is_late && self.transfer.is_none() {
            self.pass_late_offer(now, index, body, out)
        } else {
            self.pass_answer(now, index, body, out)
        };
        if let Err(refusal) = result {
            self.note(now, &label, "media.refused", refusal.to_string());
            if self.transfer.is_some() {
                self.winner = None;
                self.on_session(now, At::B(index), out, |session, sip| {
                    session.hang_up(488, None, sip)
                });
                let cause = cause_of(refusal, &cause::NO_COMMON_CODEC);
                return self.transfer_failed(now, cause, None, out);
            }
            let headers = [warning(refusal)];
            self.on_session(now, At::A, out, |session, sip| {
                session.reject(488, "Not Acceptable Here", &headers, sip)
            });
            let cause = cause_of(refusal, &cause::BAD_MEDIA_EXCHANGE);
            return self.fail(now, cause, None, HungUpBy::System, out);
        }
        out.push(Output::Answered(party.clone()));
        if self.transfer.is_some() {
            self.transferred(now, index, out);
        } else {
            self.note(now, &label, "call.answered", "answered");
            let ring_ms = self.elapsed(now).as_millis().to_string();
            self.event("call.answered", vec![("party", party), ("ring_ms", ring_ms)], out);
            self.phase = Phase::Talking;
            self.answered = Some(self.wall(now));
        }
        self.segments.change(self.elapsed(now), SegmentKind::Talk);
        self.apply_media(At::A, out);
        self.apply_media(At::B(index), out);
        let settings = &self.snapshot.media;
        let (talk, hold) = (settings.dead_after, settings.dead_after_hold);
        out.push(Output::Media(MediaOp::Watch { talk, hold }));
        self.review_recording(now, out);
        self.note_hold(now, out);
    }

    /// The usual case: the called side's answer becomes ours to the caller.
    fn pass_answer(
        &mut self,
        now: Instant,
        index: usize,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) -> Result<(), SdpRefusal> {
        let Some(leg) = self.branches.get_mut(index) else { return Ok(()) };
        let sdp = match body {
            Some(body) => leg.negotiator.answer_from_peer(body)?.sdp,
            // Its 183 carried the answer already, or it picked the call up.
            None => leg.negotiator.agreed_remote().ok_or(SdpRefusal::NoOffer)?,
        };
        if self.a.as_ref().is_some_and(|leg| leg.session.state() == State::Established) {
            // An operator's call, or a transfer: who is there already learns only of a change.
            self.reoffer_due = true;
            return Ok(());
        }
        let Some(at) = self.media_address(At::A) else { return Ok(()) };
        let Some(caller) = &mut self.a else { return Ok(()) };
        let answer = if caller.session.has_early_sdp() {
            // It has its answer: if that is not what is spoken, it learns of it afterwards.
            self.reoffer_due = true;
            caller.negotiator.last_body().unwrap_or_default()
        } else {
            caller.negotiator.answer_to_peer(&sdp, at)?
        };
        self.on_session(now, At::A, out, |session, sip| session.accept(now, Some(&answer), sip));
        Ok(())
    }

    /// The caller offered nothing: the called side's offer goes to it, its answer comes in the ACK.
    fn pass_late_offer(
        &mut self,
        now: Instant,
        index: usize,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) -> Result<(), SdpRefusal> {
        let Some(leg) = self.branches.get_mut(index) else { return Ok(()) };
        let offer = match body {
            Some(body) => leg.negotiator.offer_from_peer(body)?.sdp,
            // It was answered early.
            None => leg.negotiator.agreed_remote().ok_or(SdpRefusal::NoOffer)?,
        };
        let Some(at) = self.media_address(At::A) else { return Ok(()) };
        let Some(caller) = &mut self.a else { return Ok(()) };
        if caller.session.has_early_sdp() {
            // The caller was made an offer early. If it has not answered yet, the branch waits for that.
            let offer = caller.negotiator.last_body();
            self.reoffer_due = body.is_none();
            self.connect_late(now, index, out);
            self.on_session(now, At::A, out, |session, sip| {
                session.accept(now, offer.as_deref(), sip)
            });
            return Ok(());
        }
        let offer = caller.negotiator.late_offer_to_peer(Some(&offer), at);
        if body.is_some() {
            self.modifying = Some(Modifying::AwaitingAck { from: At::A });
        }
        self.on_session(now, At::A, out, |session, sip| session.accept(now, Some(&offer), sip));
        Ok(())
    }

    /// Offers leg a, which was connected before the other side, what that side chose: if that is another
    /// codec than the one it sends, or if it is held.
    pub(super) fn reoffer_first(&mut self, now: Instant, answer: &Sdp, out: &mut Vec<Output>) {
        let Some(at) = self.media_address(At::A) else { return };
        let Some(caller) = &mut self.a else { return };
        let chosen =
            answer.audio_index().and_then(|index| answer.media.get(index)?.formats.first());
        let sends = caller
            .negotiator
            .plan()
            .send_formats
            .first()
            .map(|format| format.payload_type.to_string());
        let plan = caller.negotiator.plan();
        let is_open = plan.send && plan.receive;
        if chosen.map(ToString::to_string) == sends && is_open {
            return;
        }
        let body = caller.negotiator.offer_to_peer(Some(answer), at);
        self.on_session(now, At::A, out, |session, sip| session.modify(Some(body), sip));
    }

    /// Our 2xx was acknowledged.
    pub(super) fn acked(
        &mut self,
        now: Instant,
        at: At,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) {
        if self.modifying != Some(Modifying::AwaitingAck { from: at }) {
            return self.acked_here(now, at, body, out);
        }
        self.modifying = None;
        let Some(other) = self.across(at) else { return };
        let result = self.pass_late_answer(at, other, body);
        match result {
            Ok(answer) => {
                self.on_session(now, other, out, |session, sip| {
                    session.acknowledge(Some(&answer), sip)
                });
                self.apply_media(at, out);
                self.apply_media(other, out);
                self.note_hold(now, out);
            }
            Err(refusal) => {
                // RFC 3261 §13.2.1: the answer has to be in the ACK. Without one there is no session.
                let label = self.leg(at).map(|leg| leg.label.clone()).unwrap_or_default();
                self.note(
                    now,
                    &label,
                    "media.refused",
                    format!("the ACK brought no usable answer: {refusal}"),
                );
                let cause = cause_of(refusal, &cause::BAD_MEDIA_EXCHANGE);
                self.fail(now, cause, None, HungUpBy::System, out);
            }
        }
    }

    /// The answer to an offer that we made by ourselves, because there was nobody to ask for one.
    fn acked_here(&mut self, now: Instant, at: At, body: Option<&[u8]>, out: &mut Vec<Output>) {
        let Some(leg) = self.leg_mut(at).filter(|leg| leg.negotiator.awaits_answer()) else {
            return;
        };
        let is_agreed = body.is_some_and(|body| leg.negotiator.answer_from_peer(body).is_ok());
        if !is_agreed {
            leg.negotiator.rollback();
        }
        self.apply_media(at, out);
        self.note_hold(now, out);
    }

    fn pass_late_answer(
        &mut self,
        at: At,
        other: At,
        body: Option<&[u8]>,
    ) -> Result<Vec<u8>, SdpRefusal> {
        let address = self.media_address(other).ok_or(SdpRefusal::NoOffer)?;
        let leg = self.leg_mut(at).ok_or(SdpRefusal::NoOffer)?;
        let answer = leg.negotiator.answer_from_peer(body.ok_or(SdpRefusal::NoOffer)?)?;
        let leg = self.leg_mut(other).ok_or(SdpRefusal::NoOffer)?;
        leg.negotiator.answer_to_peer(&answer.sdp, address)
    }

    /// Our description's address on a leg, once the ports are open.
    pub(super) fn media_address(&self, at: At) -> Option<MediaAddress> {
        let Media::Open(a, b) = &self.media else { return None };
        let ports = if self.side_of(at) == Side::B { b } else { a };
        let ip = self.leg(at)?.media_ip;
        Some(MediaAddress { ip, rtp_port: ports.rtp, rtcp_port: ports.rtcp })
    }

    /// Tells the media plane what a leg agreed on.
    pub(super) fn apply_media(&self, at: At, out: &mut Vec<Output>) {
        if !matches!(self.media, Media::Open(..)) {
            return;
        }
        let side = self.side_of(at);
        if let Some(leg) = self.leg(at) {
            out.push(Output::Media(MediaOp::Set(side, self.plan_of(leg))));
        }
    }

    /// Brings segments and timeline in line with who holds whom.
    pub(super) fn note_hold(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.phase != Phase::Talking || self.transfer.is_some() {
            return;
        }
        let sides = [Some(At::A), self.winner.map(At::B)];
        let holder = sides
            .into_iter()
            .flatten()
            .filter_map(|at| self.leg(at))
            .find(|leg| leg.negotiator.hold() != Hold::Off);
        let holder = holder.map(|leg| leg.label.clone());
        let kind = if holder.is_some() { SegmentKind::Hold } else { SegmentKind::Talk };
        if kind == self.segments.current() {
            return;
        }
        self.segments.change(self.elapsed(now), kind);
        let leg = holder.unwrap_or_default();
        let (what, text) = if kind == SegmentKind::Hold {
            ("call.held", "on hold")
        } else {
            ("call.resumed", "talking again")
        };
        self.note(now, &leg, what, text);
        self.event(what, vec![("leg", leg)], out);
    }
}
