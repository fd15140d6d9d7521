//! Fax as data in the place of the audio (ITU-T T.38 Annex D, RFC 3362).
//!
//! A stream of fax is only agreed on in a call that has its audio already, by a new offer in which no audio is live. The
//! attributes of T.38 are the peers' own business and cross as they are; addresses and ports are ours.

use super::super::attribute::Direction;
use super::super::media::{Media, MediaKind};
use super::super::session::{Line, Sdp};
use super::super::webrtc::attribute;
use super::plan::rtp_address;
use super::{
    Agreed, Exchange, MediaAddress, Negotiator, OfferSide, PeerAnswer, SdpRefusal, StreamPlan,
    refused,
};
use crate::proto::srtp::Protection;

/// No datagram of a fax is longer on its way through us: more than any stack makes, and it fits into a packet of every network.
const FAX_DATAGRAM_MAX: u16 = 1_400;
/// A peer that takes less by its own word is sent this much all the same: gateways that write 72 take what others send them.
const FAX_DATAGRAM_MIN: u16 = 400;

/// A leg's stream while it is fax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaxPlan {
    /// The longest datagram that the peer is sent, in bytes.
    pub datagram_max: u16,
}

/// The stream of fax that a description is about: no audio is live beside it.
pub(super) fn fax_of(sdp: &Sdp) -> Option<(usize, &Media)> {
    if sdp.media.iter().any(|media| media.is_audio() && media.port != 0) {
        return None;
    }
    sdp.media.iter().enumerate().find(|(_, media)| media.is_fax() && media.port != 0)
}

/// The plan of an agreed stream of fax; `None` while it is audio.
pub(super) fn fax_plan(agreed: &Agreed) -> Option<StreamPlan> {
    let (local, remote) =
        (agreed.local.media.get(agreed.audio)?, agreed.remote.media.get(agreed.audio)?);
    if !local.is_fax() {
        return None;
    }
    let declared = remote.attribute("T38FaxMaxDatagram").and_then(|text| text.trim().parse().ok());
    let datagram_max =
        declared.unwrap_or(FAX_DATAGRAM_MAX).clamp(FAX_DATAGRAM_MIN, FAX_DATAGRAM_MAX);
    let remote_rtp = rtp_address(&agreed.remote, remote);
    let is_on = remote_rtp.is_some();
    let fax = Some(FaxPlan { datagram_max });
    Some(StreamPlan { remote_rtp, send: is_on, receive: is_on, fax, ..StreamPlan::default() })
}

impl Negotiator {
    /// Whether this leg may ever go over to fax; it may, if nothing is said.
    pub fn allow_fax(&mut self, is_allowed: bool) {
        self.is_without_fax = !is_allowed;
    }

    /// Whether the agreed stream is fax.
    #[must_use]
    pub fn is_fax(&self) -> bool {
        self.agreed_stream().is_some_and(Media::is_fax)
    }

    /// Whether this leg can go over to fax: it talks already, and its audio is in the clear, since fax has no encryption
    /// of its own.
    #[must_use]
    pub fn takes_fax(&self) -> bool {
        let is_clear = |agreed: &Agreed| {
            self.protection(agreed) == Protection::Clear && agreed.ice().is_none()
        };
        !self.is_without_fax && self.agreed.as_ref().is_some_and(is_clear)
    }

    /// The stream of fax in a new offer of the peer's.
    pub(super) fn fax_of_offer<'a>(
        &self,
        sdp: &'a Sdp,
    ) -> Option<Result<(usize, &'a Media), SdpRefusal>> {
        let found = fax_of(sdp).filter(|_| self.agreed.is_some())?;
        Some(if self.takes_fax() { Ok(found) } else { Err(SdpRefusal::NoFax) })
    }

    fn agreed_stream(&self) -> Option<&Media> {
        self.agreed.as_ref().and_then(|agreed| agreed.local.media.get(agreed.audio))
    }

    /// The place of a stream of this kind in an offer of ours: where it was, else in the place of what was agreed on, since
    /// it carries the same call (RFC 3264 §8.3.3).
    pub(super) fn place_of(&self, kind: &MediaKind) -> usize {
        let Some(agreed) = &self.agreed else { return 0 };
        let is_kind = |media: &Media| media.kind == *kind;
        if agreed.local.media.get(agreed.audio).is_some_and(is_kind) {
            return agreed.audio;
        }
        agreed.local.media.iter().position(is_kind).unwrap_or(agreed.audio)
    }

    /// Offers the peer the fax that the far side offers.
    pub(super) fn offer_fax(&mut self, far: &Media, at: MediaAddress, is_late: bool) -> Vec<u8> {
        let place = self.place_of(&MediaKind::Image);
        let agreed = self.agreed.as_ref();
        let mut media: Vec<Media> =
            agreed.map(|a| a.local.media.iter().map(refused).collect()).unwrap_or_default();
        match media.get_mut(place) {
            Some(known) => *known = fax_section(far, at),
            None => media.push(fax_section(far, at)),
        }
        let side = OfferSide::Us { is_late, far_wish: Direction::SendRecv };
        self.open_offer(media, place, at, side)
    }

    /// Is the peer's offer that waits for its answer one of fax?
    #[must_use]
    pub fn is_offered_fax(&self) -> bool {
        let exchange = self.exchange.as_ref().filter(|e| e.side == OfferSide::Peer);
        exchange.is_some_and(|e| e.offer.media.get(e.audio).is_some_and(Media::is_fax))
    }

    /// Answers an offer of fax with what the far side made of it; `None` is nothing.
    pub(super) fn answer_fax(
        &mut self,
        far: Option<&Media>,
        at: MediaAddress,
    ) -> Result<Vec<u8>, SdpRefusal> {
        let exchange = self.exchange.clone().filter(|e| e.side == OfferSide::Peer);
        let Exchange { offer, audio, is_answered, .. } = exchange.ok_or(SdpRefusal::NoOffer)?;
        let offered = offer.media.get(audio).ok_or(SdpRefusal::NoFax)?;
        let mut section = fax_section(far.ok_or(SdpRefusal::NoFax)?, at);
        section.proto.clone_from(&offered.proto);
        section.formats.clone_from(&offered.formats);
        if let Some(mid) = offered.attribute("mid") {
            section.others.push(attribute(format!("mid:{mid}")));
        }
        let mut media: Vec<Media> = offer.media.iter().map(refused).collect();
        if let Some(place) = media.get_mut(audio) {
            *place = section;
        }
        let local = self.send(Sdp { media, ..Sdp::default() }, at);
        let body = local.to_bytes();
        self.peer_wish = offer.effective_direction_of(offered);
        self.far_wish = Direction::SendRecv;
        self.agree(local, offer, audio, false, is_answered);
        Ok(body)
    }

    /// Answers an offer of fax by ourselves: only one that repeats what is agreed.
    pub(super) fn answer_fax_locally(&mut self, at: MediaAddress) -> Result<Vec<u8>, SdpRefusal> {
        let current = self.agreed_stream().filter(|media| media.is_fax()).cloned();
        self.answer_fax(current.as_ref(), at)
    }

    /// Takes the peer's answer to our offer of fax.
    pub(super) fn fax_answer_from_peer(
        &mut self,
        exchange: Exchange,
        body: &[u8],
    ) -> Result<PeerAnswer, SdpRefusal> {
        let OfferSide::Us { is_late, far_wish } = exchange.side else {
            return Err(SdpRefusal::NoOffer);
        };
        let mut sdp = Sdp::parse(body)?;
        let audio = exchange.audio;
        let others = sdp.media.iter_mut().enumerate().filter(|(index, _)| *index != audio);
        others.for_each(|(_, media)| media.port = 0);
        let answered = sdp.media.get(audio).filter(|media| media.is_fax() && media.port != 0);
        let direction = sdp.effective_direction_of(answered.ok_or(SdpRefusal::NoFax)?);
        self.far_wish = far_wish;
        if is_late {
            self.peer_wish = direction;
        }
        self.agree(exchange.offer, sdp.clone(), audio, true, exchange.is_answered);
        Ok(PeerAnswer { sdp, audio, direction, is_rejected: false, is_changed: true })
    }
}

/// Our section of fax, with what the far side's says of T.38.
fn fax_section(far: &Media, at: MediaAddress) -> Media {
    let mut media = Media::new(MediaKind::Image, at.rtp_port, &far.proto);
    media.formats.clone_from(&far.formats);
    let is_of_t38 = |line: &&Line| {
        let name = line.value.get(..3).unwrap_or_default();
        line.kind == 'a' && name.eq_ignore_ascii_case("T38")
    };
    media.others = far.others.iter().filter(is_of_t38).cloned().collect();
    media
}
