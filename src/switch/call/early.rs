//! Offers and answers before the final response, where 18x are reliable (RFC 3262 §5, RFC 3311 §5).
//!
//! Each leg ends its own PRACKs. What crosses is the description: the called side's answer, or its offer where
//! the caller made none. What one side offers once that is agreed is answered by us, since the other leg may
//! not be able to hear of it before the call is answered; a difference is put right then by a re-INVITE.

use super::hangup::refused_by;
use super::*;
use crate::proto::sdp::Sdp;
use crate::proto::sip::session::State;
use crate::switch::cause;

impl Call {
    /// A branch made the offer that our INVITE did not: it goes to the caller if that can take it now. Gives
    /// the body for the caller.
    pub(super) fn branch_offered(
        &mut self,
        now: Instant,
        index: usize,
        body: &[u8],
        out: &mut Vec<Output>,
    ) -> Option<Vec<u8>> {
        let address = self.media_address(At::B(index))?;
        let offer = self.branches.get_mut(index)?.negotiator.offer_from_peer(body);
        let offer = match offer {
            Ok(offer) => offer,
            Err(refusal) => {
                let label = self.leg(At::B(index)).map(|leg| leg.label.clone()).unwrap_or_default();
                self.note(now, &label, "media.refused", refusal.to_string());
                self.drop_branch(now, index, out);
                return None;
            }
        };
        let can_pass = self
            .a
            .as_ref()
            .is_some_and(|leg| leg.session.is_reliable() && !leg.session.has_early_sdp());
        if can_pass {
            let at = self.media_address(At::A)?;
            self.early_from = Some(index);
            return Some(self.a.as_mut()?.negotiator.late_offer_to_peer(Some(&offer.sdp), at));
        }
        let far = self.a.as_ref().and_then(|leg| leg.negotiator.agreed_remote());
        let leg = self.branches.get_mut(index)?;
        let common = far.and_then(|far| leg.negotiator.answer_to_peer(&far, address).ok());
        // What the caller agreed to is what another branch offered it: it may well speak this one's codecs too,
        // and is asked by a re-INVITE if this one answers.
        let answer = common.map_or_else(|| leg.negotiator.answer_locally(address), Ok);
        match answer {
            Ok(answer) => {
                self.on_session(now, At::B(index), out, |session, sip| {
                    session.prack(Some(&answer), sip)
                });
                self.apply_media(At::B(index), out);
            }
            Err(_) => self.drop_branch(now, index, out),
        }
        None
    }

    /// A branch with which no session can be: it is cancelled, and the others go on.
    fn drop_branch(&mut self, now: Instant, index: usize, out: &mut Vec<Output>) {
        let cause = &cause::NO_COMMON_CODEC;
        let reason = Some(format!("Q.850;cause={};text=\"{}\"", cause.q850, cause.text));
        self.on_session(now, At::B(index), out, |session, sip| session.hang_up(488, reason, sip));
        let rings = self.branches.iter().any(|leg| leg.session.state() == State::Outgoing);
        if !rings && self.winner.is_none() {
            self.give_up(now, cause, None, refused_by(cause), out);
        }
    }

    /// The offer of a caller that must have one in its first reliable response, where no branch has made one
    /// yet (RFC 3262 §5).
    pub(super) fn own_early_offer(&mut self) -> Option<Vec<u8>> {
        let at = self.media_address(At::A)?;
        let is_wanted = self.is_late && self.transfer.is_none();
        let leg = self.a.as_mut().filter(|leg| {
            is_wanted
                && leg.session.state() == State::Incoming
                && leg.session.is_reliable()
                && !leg.session.has_early_sdp()
        })?;
        Some(leg.negotiator.late_offer_to_peer(None, at))
    }

    /// The caller answered our early offer.
    pub(super) fn early_answered(
        &mut self,
        now: Instant,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) {
        let answer = self
            .a
            .as_mut()
            .zip(body)
            .and_then(|(leg, body)| leg.negotiator.answer_from_peer(body).ok());
        let Some(answer) = answer else {
            self.note(now, "a", "media.refused", "the PRACK brought no usable answer");
            return self.fail(now, &cause::BAD_MEDIA_EXCHANGE, None, HungUpBy::System, out);
        };
        self.apply_media(At::A, out);
        if let Some(index) = self.early_from.take() {
            self.answer_branch(now, index, &answer.sdp, out);
        }
        if let Some(index) = self.winner {
            self.connect_late(now, index, out);
        }
    }

    /// The caller's answer to a branch's early offer goes into the PRACK that waits for it.
    fn answer_branch(&mut self, now: Instant, index: usize, far: &Sdp, out: &mut Vec<Output>) {
        let Some(address) = self.media_address(At::B(index)) else { return };
        let rings = |leg: &&mut Leg| leg.session.state() == State::Outgoing;
        let Some(leg) = self.branches.get_mut(index).filter(rings) else { return };
        match leg.negotiator.answer_to_peer(far, address) {
            Ok(body) => {
                self.on_session(now, At::B(index), out, |session, sip| {
                    session.prack(Some(&body), sip)
                });
                self.apply_media(At::B(index), out);
            }
            Err(_) => self.drop_branch(now, index, out),
        }
    }

    /// The branch that answered by an offer gets what the caller has agreed to, if both are there.
    pub(super) fn connect_late(&mut self, now: Instant, index: usize, out: &mut Vec<Output>) {
        let far = self.a.as_ref().and_then(|leg| leg.negotiator.agreed_remote());
        let address = self.media_address(At::B(index));
        let owes = |leg: &&mut Leg| leg.negotiator.owes_answer();
        let leg = self.branches.get_mut(index).filter(owes);
        let (Some(far), Some(address), Some(leg)) = (far, address, leg) else { return };
        let mut is_other = false;
        let common = leg.negotiator.answer_to_peer(&far, address);
        let answer = common.or_else(|_| {
            is_other = true;
            leg.negotiator.answer_locally(address)
        });
        self.reoffer_due |= is_other;
        match answer {
            Ok(body) => {
                self.on_session(now, At::B(index), out, |session, sip| {
                    session.acknowledge(Some(&body), sip)
                });
                self.apply_media(At::B(index), out);
            }
            Err(refusal) => {
                self.note(now, "", "media.refused", refusal.to_string());
                self.fail(now, &cause::BAD_MEDIA_EXCHANGE, None, HungUpBy::System, out);
            }
        }
    }

    /// A leg offers something else before the call is answered.
    pub(super) fn early_offered(
        &mut self,
        now: Instant,
        at: At,
        body: &[u8],
        out: &mut Vec<Output>,
    ) {
        let address = self.media_address(at);
        let answer = match (self.leg_mut(at), address) {
            (Some(leg), Some(address)) => {
                let negotiator = &mut leg.negotiator;
                let offer = negotiator.offer_from_peer(body);
                let answer = offer.and_then(|_| negotiator.answer_locally(address));
                if answer.is_err() {
                    negotiator.rollback();
                }
                answer.map_err(|refusal| refusal.status())
            }
            _ => Err(500),
        };
        let answer = answer.as_deref().map_err(|status| *status);
        self.on_session(now, at, out, |session, sip| session.answer_early(answer, sip));
        self.apply_media(at, out);
    }
}
