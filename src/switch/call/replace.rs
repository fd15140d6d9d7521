//! An INVITE takes the place of one of our dialogs (RFC 3891): a party goes on elsewhere, or a call that
//! rings is picked up.
//!
//! As in a transfer, who stays becomes leg a and the new party is one more branch on the other side of the
//! same relay, so the call keeps its ports, its record and its segments.

use super::setup::warning;
use super::transfer::{TRANSFERS_MAX, can_reach};
use super::*;
use crate::proto::sdp::{Direction, Hold, SdpRefusal};
use crate::proto::sip::message::build::reason_phrase;
use crate::proto::sip::session::State;
use crate::switch::identity::Shown;

/// An INVITE that names one of a call's dialogs in its Replaces header.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// Call-ID and our tag of that dialog.
    pub leg: (String, String),
    /// The peer's tag in it.
    pub remote_tag: String,
    /// Only a call that rings is meant.
    pub is_early_only: bool,
    /// May its sender take the place of that dialog's peer in a conversation?
    pub may_take_over: bool,
    /// May it answer what rings there?
    pub may_pick_up: bool,
    /// Who sent it.
    pub by: Origin,
    /// Who that is, as the other side is shown it.
    pub shown: Shown,
    /// The INVITE.
    pub incoming: Incoming,
}

/// Why an INVITE with Replaces comes to nothing: the status, and a header that says more.
type Refused = (u16, Option<(HeaderName, String)>);

impl Call {
    /// Somebody wants the place of one of our legs.
    pub(super) fn replace(&mut self, now: Instant, wish: Replacement, out: &mut Vec<Output>) {
        let verdict = self.place_for(&wish);
        let Replacement { by, shown, incoming, .. } = wish;
        let (server, flow) = (incoming.server, incoming.flow);
        let setting = self.setting(incoming.contact, &by, self.ids_of_called());
        let (request, tag) = (incoming.request, incoming.tag);
        let offer = request.sdp().map(<[u8]>::to_vec);
        let session = Session::incoming(setting, self.tokens.fork(), server, request, flow, tag);
        let (party, is_trunk) = match &by {
            Origin::Phone(extension) | Origin::Operator(extension) => (extension.clone(), false),
            Origin::Trunk(name) => (name.clone(), true),
        };
        let label = format!("b{}", self.branches.len() + 1);
        let id = self.tokens.next_u64();
        let mut leg = Leg::new(label, party, is_trunk, shown, session, id, incoming.media_ip);
        self.secure(&mut leg.negotiator, &by, flow.transport);
        (leg.signalling, leg.invite) = (Some(flow.remote), Some(server));
        leg.is_asserted = true;
        leg.negotiator.convert(self.extras_for(leg.is_trunk));
        let label = leg.label.clone();
        self.note(now, &label, "sip.in", format!("INVITE with Replaces from {flow}"));
        let done = match verdict {
            Ok((at, true)) => {
                self.pick_up(now, at, &mut leg, offer.as_deref()).map(|body| (at, true, body))
            }
            Ok((at, false)) => {
                self.take_over(at, &mut leg, offer.as_deref()).map(|body| (at, false, body))
            }
            Err(refused) => Err(refused),
        };
        let (at, is_early, body) = match done {
            Ok(done) => done,
            Err((status, header)) => {
                self.note(now, &label, "replace.refused", format!("{status}"));
                let headers: Vec<_> = header.into_iter().collect();
                let mut sip = Vec::new();
                leg.session.reject(status, reason_phrase(status), &headers, &mut sip);
                for item in sip {
                    if let session::Out::Respond { server, status, packet } = item {
                        out.push(Output::Respond { server, status, packet });
                    }
                }
                return;
            }
        };
        out.push(Output::Listen {
            call_id: leg.session.call_id().to_owned(),
            tag: leg.session.local_tag().to_owned(),
            peer: by,
            source: Some(flow.remote.ip()),
        });
        self.transfers += 1;
        let index = self.branches.len();
        self.branches.push(leg);
        if is_early {
            self.picked_up(now, index, &body, out);
        } else {
            self.taken_over(now, index, at, &body, out);
        }
    }

    /// The leg that is meant, and whether it rings, if it can be replaced (RFC 3891 §3).
    fn place_for(&self, wish: &Replacement) -> Result<(At, bool), Refused> {
        let found = self.legs().find(|(_, leg)| leg.key() == wish.leg);
        let Some((at, leg)) = found.filter(|(_, leg)| leg.session.is_with(&wish.remote_tag)) else {
            return Err((481, None));
        };
        let is_over = matches!(self.phase, Phase::Closing | Phase::Over);
        match leg.session.state() {
            _ if is_over => Err((603, None)),
            State::Ending | State::Over | State::Cancelling => Err((603, None)),
            // Only what we ring can be picked up: the other side of the call is nobody's but the caller's.
            State::Incoming => Err((481, None)),
            State::Outgoing if !matches!(at, At::B(_)) => Err((481, None)),
            State::Outgoing if !wish.may_pick_up => Err((403, None)),
            State::Outgoing if self.winner.is_some() => Err((603, None)),
            State::Outgoing => Ok((at, true)),
            State::Established if wish.is_early_only => Err((486, None)),
            State::Established if !wish.may_take_over => Err((403, None)),
            State::Established if self.is_settled_for(at) => Ok((at, false)),
            State::Established => Err((491, None)),
        }
    }

    fn is_settled_for(&self, at: At) -> bool {
        let stays = self.across(at).and_then(|other| self.leg(other));
        self.phase == Phase::Talking
            && self.transfer.is_none()
            && self.modifying.is_none()
            && !self.is_fetching
            && self.joining.is_none()
            && !self.is_fax()
            && self.transfers < TRANSFERS_MAX
            && stays.is_some_and(|leg| leg.session.state() == State::Established)
    }

    /// Takes the place of a connected leg: the new party is told what who stays speaks. Gives the body of
    /// the 200.
    fn take_over(
        &mut self,
        at: At,
        leg: &mut Leg,
        offer: Option<&[u8]>,
    ) -> Result<Vec<u8>, Refused> {
        let side = self.side_of(at);
        let stays = self.across(at).and_then(|other| self.leg(other)).ok_or((481, None))?;
        let mut far = stays.negotiator.agreed_remote().ok_or((491, None))?;
        // Who comes has not held anybody, nor is it held.
        if let Some(media) = far.audio_index().and_then(|index| far.media.get_mut(index)) {
            media.direction = Some(match stays.negotiator.hold() {
                Hold::Off => Direction::SendRecv,
                Hold::SendOnly => Direction::SendOnly,
                Hold::Inactive => Direction::Inactive,
            });
        }
        let address = self.address_of(side, leg.media_ip).ok_or((480, None))?;
        let Some(offer) = offer else {
            return Ok(leg.negotiator.late_offer_to_peer(Some(&far), address));
        };
        let answer = leg.negotiator.offer_from_peer(offer);
        answer.and_then(|_| leg.negotiator.answer_to_peer(&far, address)).map_err(unusable)
    }

    /// The new party is connected; who had its place is hung up.
    fn taken_over(
        &mut self,
        now: Instant,
        index: usize,
        goes: At,
        body: &[u8],
        out: &mut Vec<Output>,
    ) {
        let Some(replaced) = self.winner else { return };
        self.end_watch(out);
        if goes == At::A {
            if let (Some(a), Some(b)) = (&mut self.a, self.branches.get_mut(replaced)) {
                std::mem::swap(a, b);
            }
            self.is_swapped = !self.is_swapped;
        }
        self.winner = Some(index);
        self.introduce(At::A, At::B(index));
        self.tell_due = true;
        self.on_session(now, At::B(index), out, |session, sip| {
            session.accept(now, Some(body), sip)
        });
        let (old, new) = (self.party_of(replaced), self.party_of(index));
        let label = self.leg(At::B(index)).map(|leg| leg.label.clone()).unwrap_or_default();
        self.note(now, &label, "call.replaced", format!("{new} takes the place of {old}"));
        self.event("call.replaced", vec![("by", new), ("of", old)], out);
        self.on_session(now, At::B(replaced), out, |session, sip| {
            session.hang_up(480, Some("SIP;cause=200;text=\"replaced\"".to_owned()), sip);
        });
        self.apply_media(At::A, out);
        self.apply_media(At::B(index), out);
        self.reoffer_due = true;
        self.review_recording(now, out);
        self.note_hold(now, out);
    }

    /// Answers a call that rings at somebody else. Gives the body of the 200.
    fn pick_up(
        &mut self,
        now: Instant,
        at: At,
        leg: &mut Leg,
        offer: Option<&[u8]>,
    ) -> Result<Vec<u8>, Refused> {
        let side = self.side_of(at);
        let address = self.address_of(side, leg.media_ip).ok_or((480, None))?;
        let Some(offer) = offer else {
            // The caller has to be answered now, and cannot be before this party has said what it speaks.
            self.note(now, &leg.label, "media.refused", "a pickup without an offer");
            return Err(unusable(SdpRefusal::NoOffer));
        };
        // All that the caller can do: what it was told early is put right by a re-INVITE.
        let far = self.offer_of_who_stays();
        let read = leg.negotiator.offer_from_peer(offer);
        let answer = read.and_then(|_| match &far {
            Some(far) => leg.negotiator.answer_to_peer(far, address),
            None => leg.negotiator.answer_locally(address),
        });
        answer.map_err(unusable)
    }

    fn picked_up(&mut self, now: Instant, index: usize, body: &[u8], out: &mut Vec<Output>) {
        let party = self.party_of(index);
        let label = self.leg(At::B(index)).map(|leg| leg.label.clone()).unwrap_or_default();
        self.note(now, &label, "call.picked_up", format!("{party} picks the call up"));
        self.event("call.picked_up", vec![("by", party)], out);
        self.tell(At::B(index), At::A);
        self.on_session(now, At::B(index), out, |session, sip| {
            session.accept(now, Some(body), sip)
        });
        self.answered(now, index, None, out);
    }

    fn party_of(&self, index: usize) -> String {
        self.branches.get(index).map(|leg| leg.party.clone()).unwrap_or_default()
    }

    /// Our address for a new leg on a side of the relay, if the ports there can be reached at it.
    fn address_of(&self, side: Side, ip: IpAddr) -> Option<MediaAddress> {
        let Media::Open(a, b) = &self.media else { return None };
        let (bind_a, bind_b) = self.media_bind;
        let (ports, bound) = if side == Side::B { (b, bind_b) } else { (a, bind_a) };
        can_reach(bound, ip).then_some(MediaAddress {
            ip,
            rtp_port: ports.rtp,
            rtcp_port: ports.rtcp,
        })
    }
}

fn unusable(refusal: SdpRefusal) -> Refused {
    (refusal.status(), Some(warning(refusal)))
}
