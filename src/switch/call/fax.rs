//! Fax by T.38 in the place of the audio (ITU-T T.38 Annex D): it crosses the call as any other offer does, and where it
//! cannot, the call goes on as it was.

use super::setup::warning;
use super::*;
use crate::proto::audio::FaxTone;
use crate::proto::sdp::{Negotiator, PeerOffer, SdpRefusal};

impl Call {
    /// Lets a new leg go over to fax, unless its trunk is to have none.
    pub(super) fn settle_fax(&self, negotiator: &mut Negotiator, peer: &Origin) {
        let is_allowed = match peer {
            Origin::Trunk(name) => self.snapshot.trunk(name).is_none_or(|trunk| trunk.dialect.t38),
            Origin::Phone(_) | Origin::Operator(_) => true,
        };
        negotiator.allow_fax(is_allowed);
    }

    /// Is the call a fax by T.38 now, on either side?
    pub(super) fn is_fax(&self) -> bool {
        let sides = [Some(At::A), self.winner.map(At::B)];
        sides.into_iter().flatten().any(|at| self.leg(at).is_some_and(|l| l.negotiator.is_fax()))
    }

    /// Why an offer of fax cannot cross to the other leg.
    pub(super) fn why_no_fax(&self, other: At, offer: &PeerOffer) -> Option<&'static str> {
        if !offer.is_fax {
            return None;
        }
        if !self.watchers.is_empty() {
            return Some("no fax while somebody listens to the call");
        }
        let takes = self.leg(other).is_some_and(|leg| leg.negotiator.takes_fax());
        (!takes).then_some("the other side is to have no fax, or its audio is encrypted")
    }

    /// Refuses it, and the audio goes on.
    pub(super) fn refuse_fax(
        &mut self,
        now: Instant,
        at: At,
        why: &'static str,
        out: &mut Vec<Output>,
    ) {
        let label = self.leg(at).map(|leg| leg.label.clone()).unwrap_or_default();
        self.note(now, &label, "media.refused", why);
        if let Some(leg) = self.leg_mut(at) {
            leg.negotiator.rollback();
        }
        let headers = [warning(SdpRefusal::NoFax)];
        self.on_session(now, at, out, |session, sip| session.refuse_offer(488, &headers, sip));
    }

    /// A leg answered an offer with what cannot be taken. If that was fax it may think that the audio is over: it is offered
    /// what is agreed once more.
    pub(super) fn offer_audio_again(&mut self, now: Instant, at: At, out: &mut Vec<Output>) {
        if self.leg(at).is_some_and(|leg| leg.session.can_modify()) {
            self.refresh(now, at, out);
        }
    }

    /// A side sent a tone of fax machines in its audio.
    pub(super) fn fax_tone(
        &mut self,
        now: Instant,
        side: Side,
        tone: FaxTone,
        out: &mut Vec<Output>,
    ) {
        let leg = self.side_name(side);
        let text = match tone {
            FaxTone::Calling => "a fax calls (CNG): its sound passes as it is",
            FaxTone::Answering => "a fax or modem answered (CED): its sound passes as it is",
        };
        self.note(now, &leg, "media.fax", text);
        let fields =
            vec![("leg", leg), ("form", "audio".to_owned()), ("tone", tone.word().to_owned())];
        self.event("call.fax", fields, out);
    }

    /// Notes when the audio gives way to fax, and when it is back.
    pub(super) fn review_fax(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.phase != Phase::Talking || self.modifying.is_some() {
            return;
        }
        let is_on = self.is_fax();
        if std::mem::replace(&mut self.is_fax_told, is_on) == is_on {
            return;
        }
        let text = if is_on { "T.38 in the place of the audio" } else { "audio again" };
        self.note(now, "", "media.fax", text);
        let form = if is_on { "t38" } else { "audio" };
        self.event("call.fax", vec![("form", form.to_owned())], out);
    }
}
