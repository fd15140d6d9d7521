//! Making and taking offers (RFC 3264 §5, §8).

use super::super::attribute::Direction;
use super::super::codec_match::{Format, own_capabilities};
use super::super::media::{Media, MediaKind};
use super::super::session::Sdp;
use super::super::webrtc::{DtlsLines, IceLines};
use super::fax::fax_of;
use super::security::Keying;
use super::webrtc::is_transport;
use super::{
    Agreed, AudioSection, Exchange, Hold, MediaAddress, Negotiator, OfferSide, PeerOffer,
    SdpRefusal, has_speech, refused, relayable, with_one_audio,
};

impl Negotiator {
    /// Takes the peer's offer and keeps it open for an answer.
    ///
    /// # Errors
    ///
    /// A malformed body, no audio over RTP that the policy on encryption allows, no
    /// codec that could be relayed, or an offer of ours that is still open (491).
    pub fn offer_from_peer(&mut self, body: &[u8]) -> Result<PeerOffer, SdpRefusal> {
        if self.awaits_answer() {
            return Err(SdpRefusal::Glare);
        }
        let sdp = Sdp::parse(body)?;
        let (audio, media) = self.audio_of_offer(&sdp)?;
        let direction = sdp.effective_direction_of(media);
        let is_refresh = self.agreed.as_ref().is_some_and(|a| a.remote.origin == sdp.origin);
        let contradicts_version =
            is_refresh && self.agreed.as_ref().is_some_and(|agreed| differs(agreed, &sdp));
        self.exchange =
            Some(Exchange { side: OfferSide::Peer, offer: sdp.clone(), audio, is_answered: false });
        let hold = Hold::of(direction);
        let sdp = with_one_audio(sdp, audio);
        let is_fax = sdp.media.get(audio).is_some_and(Media::is_fax);
        Ok(PeerOffer { sdp, audio, direction, hold, is_refresh, contradicts_version, is_fax })
    }

    /// The stream of the peer's offer to take part in: where it was, if it still
    /// can be used there, else the first one that can, with keys before without.
    fn audio_of_offer<'a>(&self, sdp: &'a Sdp) -> Result<(usize, &'a Media), SdpRefusal> {
        if let Some(found) = self.fax_of_offer(sdp) {
            return found;
        }
        let is_live = |m: &Media| m.is_audio() && m.port != 0;
        let is_usable = |m: &Media| is_live(m) && self.chosen(sdp, m).is_ok();
        let is_keyed =
            |m: &Media| is_live(m) && self.chosen(sdp, m).is_ok_and(|keys| keys != Keying::Clear);
        let known = self.agreed.as_ref().map(|agreed| agreed.audio);
        let index = known
            .filter(|index| sdp.media.get(*index).is_some_and(is_usable))
            .or_else(|| sdp.media.iter().position(is_keyed))
            .or_else(|| sdp.media.iter().position(is_usable))
            .or_else(|| sdp.audio_index())
            .ok_or(SdpRefusal::NoAudio)?;
        let media = sdp.media.get(index).ok_or(SdpRefusal::NoAudio)?;
        if media.port == 0 && (media.is_plain_rtp() || media.is_secure_rtp()) {
            // Port zero alone is a hold; beside a live stream of another kind it
            // means "fax instead", or SRTP of a kind that is not ours instead.
            let live = sdp.media.iter().find(|m| m.port != 0);
            return match live {
                Some(other) if other.is_audio() => {
                    Err(self.chosen(sdp, other).err().unwrap_or(SdpRefusal::NoAudio))
                }
                Some(_) => Err(SdpRefusal::NoAudio),
                None => Ok((index, media)),
            };
        }
        self.chosen(sdp, media)?;
        if !has_speech(&relayable(media)) {
            return Err(SdpRefusal::NoCommonCodec);
        }
        Ok((index, media))
    }

    /// Offers the peer what the far side offers: its codecs in its order under its
    /// numbers, its parameters, its packet time, its direction.
    ///
    /// Without a far side, offers the full own capability set and what is in use.
    /// Not to be called while [`Self::owes_answer`]: it would replace that offer.
    pub fn offer_to_peer(&mut self, from_far: Option<&Sdp>, at: MediaAddress) -> Vec<u8> {
        self.make_offer(from_far, at, false)
    }

    /// The offer for an INVITE that came without one. It states everything that
    /// could be used, not only what is (RFC 6337 §5.3), and the answer counts as
    /// the peer's own wish: it can hold by it, and end its hold.
    pub fn late_offer_to_peer(&mut self, from_far: Option<&Sdp>, at: MediaAddress) -> Vec<u8> {
        self.make_offer(from_far, at, true)
    }

    /// Our current description again, as a session refresh (RFC 4028 §7.4): the
    /// same body and version, unless our address changed. Without an agreed
    /// session, the full capability set.
    pub fn reoffer(&mut self, at: MediaAddress) -> Vec<u8> {
        let Some(agreed) = &self.agreed else { return self.offer_to_peer(None, at) };
        let (audio, far_wish) = (agreed.audio, self.far_wish);
        let mut media = agreed.local.media.clone();
        if let Some(section) = media.get_mut(audio).filter(|section| section.port != 0) {
            section.port = at.rtp_port;
            section.rtcp = at.rtcp_attribute().filter(|_| section.is_audio());
            let mut lines = self.offering_transport(at);
            lines.extend(section.others.drain(..).filter(|line| !is_transport(line)));
            section.others = lines;
        }
        self.open_offer(media, audio, at, OfferSide::Us { is_late: false, far_wish })
    }

    fn make_offer(&mut self, from_far: Option<&Sdp>, at: MediaAddress, is_late: bool) -> Vec<u8> {
        if let Some((_, media)) = from_far.and_then(fax_of) {
            return self.offer_fax(media, at, is_late);
        }
        let far = from_far.and_then(|sdp| Some((sdp, sdp.media.get(sdp.audio_index()?)?)));
        let far_wish = far.map_or(Direction::SendRecv, |(sdp, m)| sdp.effective_direction_of(m));
        let mut wished = far.map(|(_, media)| relayable(media)).unwrap_or_default();
        if !has_speech(&wished) {
            wished = self.full_capabilities();
        }
        self.narrow(&mut wished);
        self.widen(&mut wished);
        let formats = self.bind(&wished);
        let (crypto, first_proto) = self.offering_lines(is_late);
        let (mut media, audio, proto) = self.layout(first_proto);
        let mut section = AudioSection {
            at,
            proto: &proto,
            formats: &formats,
            direction: far_wish,
            ptime_ms: far.and_then(|(_, media)| media.ptime_ms),
            maxptime_ms: far.and_then(|(_, media)| media.maxptime_ms),
            crypto,
            lines: self.offering_transport(at),
        }
        .into_media();
        section.others.extend(self.name_of_section());
        match media.get_mut(audio) {
            Some(place) => *place = section,
            None => media.push(section),
        }
        self.open_offer(media, audio, at, OfferSide::Us { is_late, far_wish })
    }

    /// Leaves the codecs that the peer is to be offered, in their order; digits and comfort noise stay behind them.
    /// Where none of them is left, the peer decides over what there is.
    fn narrow(&self, formats: &mut Vec<Format>) {
        let place = |format: &Format| {
            let names = &self.offered_codecs;
            names
                .iter()
                .position(|name| format.is_named(name))
                .or((!format.is_speech()).then_some(names.len()))
        };
        let mut kept: Vec<_> = formats.iter().filter(|f| place(f).is_some()).cloned().collect();
        if !self.offered_codecs.is_empty() && has_speech(&kept) {
            kept.sort_by_key(place);
            *formats = kept;
        }
    }

    pub(super) fn open_offer(
        &mut self,
        media: Vec<Media>,
        audio: usize,
        at: MediaAddress,
        side: OfferSide,
    ) -> Vec<u8> {
        let others = self.lines_of_session(&media, audio);
        let offer = self.send(Sdp { media, others, ..Sdp::default() }, at);
        let body = offer.to_bytes();
        self.exchange = Some(Exchange { side, offer, audio, is_answered: false });
        body
    }

    /// The streams that an offer of ours must keep in place: all that were ever
    /// agreed, refused but for ours (RFC 3264 §8). The transport stays what it is.
    fn layout(&self, first_proto: &str) -> (Vec<Media>, usize, String) {
        let Some(agreed) = &self.agreed else { return (Vec::new(), 0, first_proto.into()) };
        let place = self.place_of(&MediaKind::Audio);
        let before = agreed.local.media.get(place).filter(|media| media.is_audio());
        let proto = before.map(|media| media.proto.clone());
        let media = agreed.local.media.iter().map(refused).collect();
        (media, place, proto.unwrap_or_else(|| first_proto.into()))
    }

    /// What is in use first, then everything else that we can do.
    fn full_capabilities(&self) -> Vec<Format> {
        let mut formats: Vec<Format> = self.local_formats();
        for own in own_capabilities() {
            if formats.iter().all(|known| !known.is_same_codec(&own)) {
                formats.push(own);
            }
        }
        formats
    }

    /// The formats of our side of the agreed session.
    pub(super) fn local_formats(&self) -> Vec<Format> {
        let media = self.agreed.as_ref().and_then(|a| a.local.media.get(a.audio));
        media.map(relayable).unwrap_or_default()
    }
}

/// Whether an offer asks for anything else than what is agreed.
fn differs(agreed: &Agreed, offer: &Sdp) -> bool {
    let state = |sdp: &Sdp| {
        let list = sdp.media.iter().map(|media| {
            let connection = sdp.connection_of(media).cloned();
            let (direction, keys) = (sdp.effective_direction_of(media), media.crypto.clone());
            let transport = (IceLines::of(sdp, media), DtlsLines::of(sdp, media));
            (connection, media.port, direction, media.formats.clone(), keys, transport)
        });
        list.collect::<Vec<_>>()
    };
    state(&agreed.remote) != state(offer)
}
