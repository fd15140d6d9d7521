//! Making and taking answers (RFC 3264 §6, §7).

use super::super::attribute::Direction;
use super::super::codec_match::{Format, own_capabilities};
use super::super::media::Media;
use super::super::session::Sdp;
use super::super::webrtc::{attribute, is_bundled};
use super::fax::fax_of;
use super::plan::agreed_plan;
use super::webrtc::session_lines;
use super::{
    Agreed, AudioSection, Exchange, MediaAddress, Negotiator, OfferSide, PeerAnswer, SdpRefusal,
    has_speech, refused, relayable,
};

/// What an answer of ours is made of, besides the offer.
struct AnswerWish {
    formats: Vec<Format>,
    direction: Direction,
    ptime_ms: Option<u32>,
    maxptime_ms: Option<u32>,
    /// Answer the audio stream with port 0.
    rejects: bool,
}

impl Negotiator {
    /// Answers the peer's offer with what the far side answered. May be called
    /// again for the same offer, when the 200 comes from another branch than the
    /// 183 did.
    ///
    /// # Errors
    ///
    /// [`SdpRefusal::NoOffer`] without an offer of the peer,
    /// [`SdpRefusal::NoCommonCodec`] if the far side chose nothing that was offered.
    pub fn answer_to_peer(
        &mut self,
        far_answer: &Sdp,
        at: MediaAddress,
    ) -> Result<Vec<u8>, SdpRefusal> {
        if self.is_offered_fax() {
            return self.answer_fax(fax_of(far_answer).map(|(_, media)| media), at);
        }
        let far = far_answer.audio_index().and_then(|index| far_answer.media.get(index));
        let far = far.ok_or(SdpRefusal::NoAudio)?;
        let far_wish = far_answer.effective_direction_of(far);
        let is_refused = far.port == 0;
        let current = self.local_formats();
        let wish = AnswerWish {
            // A far side that refuses the stream of a running call has only
            // stopped it; this leg stays alive, inactive, with its codecs.
            formats: if is_refused { current } else { relayable(far) },
            direction: far_wish,
            ptime_ms: far.ptime_ms,
            maxptime_ms: far.maxptime_ms,
            rejects: is_refused && self.agreed.is_none(),
        };
        let body = self.answer(&wish, at)?;
        self.far_wish = far_wish;
        Ok(body)
    }

    /// Answers the peer's offer without asking the far side: the codecs in use,
    /// and the complement of the peer's direction within what the far side last
    /// allowed. Before any session is agreed, with our own capabilities.
    ///
    /// # Errors
    ///
    /// As [`Self::answer_to_peer`].
    pub fn answer_locally(&mut self, at: MediaAddress) -> Result<Vec<u8>, SdpRefusal> {
        if self.is_offered_fax() {
            return self.answer_fax_locally(at);
        }
        let current = self.local_formats();
        let media = self.agreed.as_ref().and_then(|a| a.local.media.get(a.audio));
        let wish = AnswerWish {
            direction: self.far_wish,
            ptime_ms: media.and_then(|m| m.ptime_ms),
            maxptime_ms: media.and_then(|m| m.maxptime_ms),
            formats: if current.is_empty() { own_capabilities() } else { current },
            rejects: false,
        };
        self.answer(&wish, at)
    }

    /// May the peer send and hear, as far as the far side has ever said?
    #[must_use]
    pub fn is_open_across(&self) -> bool {
        self.far_wish == Direction::SendRecv
    }

    /// Does the peer's open offer have the codec that is spoken with it?
    #[must_use]
    pub fn keeps_its_codec(&self) -> bool {
        let open = self.exchange.as_ref().filter(|open| open.side == OfferSide::Peer);
        let offered = open.and_then(|open| open.offer.media.get(open.audio)).map(relayable);
        let current = self.local_formats();
        let spoken = current.iter().find(|format| format.is_speech());
        spoken.zip(offered).is_some_and(|(spoken, offered)| {
            offered.iter().any(|format| format.is_same_codec(spoken))
        })
    }

    fn answer(&mut self, wish: &AnswerWish, at: MediaAddress) -> Result<Vec<u8>, SdpRefusal> {
        let exchange = self.exchange.clone().filter(|e| e.side == OfferSide::Peer);
        let Exchange { offer, audio, is_answered, .. } = exchange.ok_or(SdpRefusal::NoOffer)?;
        let offered = offer.media.get(audio).ok_or(SdpRefusal::NoAudio)?;
        let theirs = offer.effective_direction_of(offered);
        let is_off = offered.port == 0 || wish.rejects;
        let mut formats = common_formats(&relayable(offered), &wish.formats);
        if !has_speech(&formats) {
            formats = self.converted(&relayable(offered), &wish.formats);
        }
        if !has_speech(&formats) && !is_off {
            return Err(SdpRefusal::NoCommonCodec);
        }
        let (line, lines) = if is_off {
            (None, Vec::new())
        } else {
            (self.answering_line(&offer, offered)?, self.answering_lines(&offer, offered, at)?)
        };
        let formats = if is_off { relayable(offered) } else { self.bind(&formats) };
        let mut section = AudioSection {
            at,
            proto: &offered.proto,
            formats: &formats,
            direction: theirs.reverse().intersect(wish.direction),
            ptime_ms: wish.ptime_ms,
            maxptime_ms: wish.maxptime_ms,
            crypto: line.into_iter().collect(),
            lines,
        }
        .into_media();
        if is_off {
            section.port = 0;
            section.formats.clone_from(&offered.formats);
        }
        if let Some(mid) = offered.attribute("mid") {
            // The name of the section is mirrored (RFC 5888 §9).
            section.others.push(attribute(format!("mid:{mid}")));
        }
        let others = session_lines(&section, is_bundled(&offer, offered));
        let mut media: Vec<Media> = offer.media.iter().map(refused).collect();
        if let Some(place) = media.get_mut(audio) {
            *place = section;
        }
        let local = self.send(Sdp { media, others, ..Sdp::default() }, at);
        let body = local.to_bytes();
        self.peer_wish = theirs;
        self.agree(local, offer, audio, false, is_answered);
        Ok(body)
    }

    /// Takes the peer's answer to our offer. A second answer to the same offer,
    /// as in a 200 after a 183, replaces the first.
    ///
    /// # Errors
    ///
    /// A malformed body, no offer of ours, no audio over RTP as it was offered, with
    /// or without keys, or no codec of our offer. The agreed session stays.
    pub fn answer_from_peer(&mut self, body: &[u8]) -> Result<PeerAnswer, SdpRefusal> {
        let exchange = self.exchange.clone().ok_or(SdpRefusal::NoOffer)?;
        let OfferSide::Us { is_late, far_wish } = exchange.side else {
            return Err(SdpRefusal::NoOffer);
        };
        if exchange.offer.media.get(exchange.audio).is_some_and(Media::is_fax) {
            return self.fax_answer_from_peer(exchange, body);
        }
        let mut sdp = Sdp::parse(body)?;
        let ours = exchange.offer.media.get(exchange.audio).ok_or(SdpRefusal::NoOffer)?;
        let audio = exchange.audio;
        if !sdp.media.get(audio).is_some_and(Media::is_audio) {
            return Err(SdpRefusal::NoAudio);
        }
        let declared = sdp.media.get(audio).map(|media| sdp.effective_direction_of(media));
        let declared = declared.unwrap_or(Direction::Inactive);
        let allowed = if is_late { Direction::SendRecv } else { self.peer_wish };
        let ours_allows = ours.direction.unwrap_or_default().reverse();
        let direction = declared.intersect(ours_allows).intersect(allowed);
        let is_certified = self.is_certified(&sdp, audio, ours);
        let Some(media) = sdp.media.get_mut(audio) else { return Err(SdpRefusal::NoAudio) };
        let is_rejected = media.port == 0;
        if !is_rejected {
            is_certified?;
            self.match_line(media, ours)?;
            check_answer(media, ours)?;
        }
        media.direction = Some(direction);

        let before = self.agreed.as_ref().map(agreed_plan);
        self.far_wish = far_wish;
        if is_late {
            self.peer_wish = declared;
        }
        self.agree(exchange.offer, sdp.clone(), audio, true, exchange.is_answered);
        let is_changed = self.agreed.as_ref().map(agreed_plan) != before;
        Ok(PeerAnswer { sdp, audio, direction, is_rejected, is_changed })
    }

    /// Makes this the agreed session and closes the exchange. `revises`: the same
    /// exchange had an answer before, so the session before it stays "previous".
    pub(super) fn agree(
        &mut self,
        local: Sdp,
        remote: Sdp,
        audio: usize,
        we_offered: bool,
        revises: bool,
    ) {
        let previous = match (self.agreed.take(), revises) {
            (Some(agreed), true) => agreed.previous,
            (Some(agreed), false) => negotiated(agreed),
            (None, _) => Vec::new(),
        };
        self.agreed = Some(Agreed { local, remote, audio, we_offered, previous });
        if let Some(exchange) = &mut self.exchange {
            exchange.is_answered = true;
        }
        self.keys_are_fresh();
        self.associate();
    }
}

/// The formats that a session let the peer send, without those before it.
fn negotiated(agreed: Agreed) -> Vec<Format> {
    agreed_plan(&Agreed { previous: Vec::new(), ..agreed }).receive_formats
}

/// The offered formats that the far side chose, in its order, under the numbers
/// of the offer (RFC 3264 §6.1).
fn common_formats(offered: &[Format], chosen: &[Format]) -> Vec<Format> {
    let mut common: Vec<Format> = Vec::with_capacity(chosen.len());
    for far in chosen {
        let same = |ours: &&Format| ours.is_same_codec(far);
        // The same number first: one codec may be offered twice with other parameters.
        let by_number = offered.iter().find(|o| o.payload_type == far.payload_type && same(o));
        if let Some(ours) = by_number.or_else(|| offered.iter().find(same))
            && common.iter().all(|f| f.payload_type != ours.payload_type)
        {
            common.push(ours.answered_by(far));
        }
    }
    common
}

/// Whether a live stream of the answer can be used, after filling in the maps
/// that it left out because they were ours.
fn check_answer(media: &mut Media, ours: &Media) -> Result<(), SdpRefusal> {
    if !media.is_plain_rtp() && !media.is_secure_rtp() {
        return Err(SdpRefusal::NoAudio);
    }
    for (number, map) in &ours.rtpmaps {
        if media.rtpmaps.iter().all(|(n, _)| n != number) {
            media.rtpmaps.push((*number, map.clone()));
        }
    }
    let listed = media.formats.clone();
    media.rtpmaps.retain(|(n, _)| listed.iter().any(|word| *word == n.to_string()));
    let offered = relayable(ours);
    let is_common = |f: &Format| f.is_speech() && offered.iter().any(|o| o.is_same_codec(f));
    if relayable(media).iter().any(is_common) { Ok(()) } else { Err(SdpRefusal::NoCommonCodec) }
}
