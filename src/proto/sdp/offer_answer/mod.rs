//! One leg's side of the offer/answer exchange (RFC 3264).
//!
//! Tandem is a back-to-back user agent that anchors media, so each leg speaks a
//! description of its own: own `o=` line, own address, own numbers, own order of
//! streams. What crosses from leg to leg is the codec list and the wish to hold.

mod answer;
mod convert;
mod fax;
mod offer;
mod plan;
mod refusal;
mod security;
mod webrtc;

pub use convert::Extras;
pub use fax::FaxPlan;
pub use plan::{MediaAddress, StreamPlan};
pub use refusal::SdpRefusal;
pub use security::SrtpPolicy;
pub use webrtc::MediaForm;

use super::attribute::{Direction, RtcpAttribute};
use super::codec_match::Format;
use super::crypto::Crypto;
use super::media::{Media, MediaKind};
use super::session::{Connection, Line, Origin, Sdp};

/// One leg's description of itself and of its peer, agreed and in negotiation.
///
/// An exchange is an offer and its answer. The agreed session changes only when
/// the answer is there, so a failed re-INVITE leaves it intact (RFC 3261 §14.1).
#[derive(Clone, Debug)]
pub struct Negotiator {
    session_id: u64,
    /// What we sent last, with its version (RFC 3264 §8).
    last_sent: Option<Sdp>,
    version: u64,
    /// Every number that our descriptions have bound on this leg. A number keeps
    /// its codec for the whole session (RFC 3264 §8.3.2). At most 128 entries.
    bindings: Vec<Format>,
    /// What the peer last asked for on its own account: only it can lift its hold.
    peer_wish: Direction,
    /// What the far side last asked for, for answers that it is not asked about.
    far_wish: Direction,
    exchange: Option<Exchange>,
    agreed: Option<Agreed>,
    /// Names of the codecs that offers are made of; all if empty.
    offered_codecs: Vec<String>,
    /// What it may be offered that the far side does not speak.
    extras: Extras,
    /// It has refused what everybody takes.
    insists: bool,
    /// Whether and how its audio is encrypted; `None` is never.
    security: Option<security::Security>,
    /// What it needs for DTLS and ICE; `None` is neither.
    web: Option<webrtc::Web>,
    /// It never goes over to fax.
    is_without_fax: bool,
}

/// The latest offer and whether it has had its answer. It is kept after that,
/// because a 200 may repeat or, after forking, revise the answer of a 183.
#[derive(Clone, Debug)]
struct Exchange {
    side: OfferSide,
    offer: Sdp,
    /// The index of the stream that we take part in.
    audio: usize,
    is_answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OfferSide {
    Peer,
    /// `is_late`: the peer asked for our offer by an INVITE without one, so its
    /// answer is its own wish. `far_wish`: the direction the far side offered.
    Us {
        is_late: bool,
        far_wish: Direction,
    },
}

/// The session as both sides last agreed on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Agreed {
    local: Sdp,
    remote: Sdp,
    audio: usize,
    we_offered: bool,
    /// Numbers of the session before, which may still be in flight.
    previous: Vec<Format>,
}

/// What the peer's description says about hold (RFC 3264 §8.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Hold {
    /// The peer listens.
    #[default]
    Off,
    /// The peer does not listen but sends, perhaps music.
    SendOnly,
    /// The peer neither listens nor sends, or has set the port to zero.
    Inactive,
}

impl Hold {
    /// The hold that a direction means when the peer says it of itself.
    #[must_use]
    pub fn of(direction: Direction) -> Self {
        match direction {
            Direction::SendRecv | Direction::RecvOnly => Self::Off,
            Direction::SendOnly => Self::SendOnly,
            Direction::Inactive => Self::Inactive,
        }
    }
}

/// An offer that the peer made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerOffer {
    /// The description, for the far leg's [`Negotiator::offer_to_peer`].
    pub sdp: Sdp,
    /// The index of the audio stream that is negotiated.
    pub audio: usize,
    /// What the peer is ready for, all forms of hold folded in.
    pub direction: Direction,
    /// The same as hold.
    pub hold: Hold,
    /// The `o=` line is the one we know: nothing is to be renegotiated and
    /// [`Negotiator::answer_locally`] is enough (RFC 3264 §8).
    pub is_refresh: bool,
    /// A refresh by its `o=` line whose streams differ all the same. The RFC
    /// forbids it; phones that never count their version do it to hold.
    pub contradicts_version: bool,
    /// It is about fax in the place of the audio.
    pub is_fax: bool,
}

/// The answer to an offer of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAnswer {
    /// The description, for the far leg's [`Negotiator::answer_to_peer`]. Its
    /// direction claims no more than the peer's own hold allows.
    pub sdp: Sdp,
    /// The index of the audio stream.
    pub audio: usize,
    /// What the peer is ready for, within its own hold.
    pub direction: Direction,
    /// The peer refused the audio stream (port 0).
    pub is_rejected: bool,
    /// The plan of this leg's stream is another one than before.
    pub is_changed: bool,
}

impl Negotiator {
    /// A leg that has said nothing yet. The id should be unique and hard to
    /// guess; it is cut to 63 bits, as some peers read it into a signed number.
    #[must_use]
    pub fn new(session_id: u64) -> Self {
        Self {
            session_id: session_id & (u64::MAX >> 1),
            last_sent: None,
            version: 0,
            bindings: Vec::new(),
            peer_wish: Direction::SendRecv,
            far_wish: Direction::SendRecv,
            exchange: None,
            agreed: None,
            offered_codecs: Vec::new(),
            extras: Extras::None,
            insists: false,
            security: None,
            web: None,
            is_without_fax: false,
        }
    }

    /// From now on our offers name these codecs alone, in this order, as far as there is one of them to offer.
    pub fn offer_only(&mut self, codecs: &[String]) {
        self.offered_codecs = codecs.to_vec();
    }

    /// Drops an offer of either side that has had no answer, after a 4xx or a
    /// timeout of its request. The agreed session stays (RFC 3261 §14.1). An
    /// offer that was answered stands.
    pub fn rollback(&mut self) {
        if self.exchange.as_ref().is_some_and(|exchange| !exchange.is_answered) {
            self.exchange = None;
        }
    }

    /// Whether an offer of either side waits for its answer.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| !exchange.is_answered)
    }

    /// Whether the peer has made an offer that we have not answered.
    #[must_use]
    pub fn owes_answer(&self) -> bool {
        self.is_pending() && self.exchange.as_ref().is_some_and(|e| e.side == OfferSide::Peer)
    }

    /// Whether an answer to an offer of ours is outstanding.
    #[must_use]
    pub fn awaits_answer(&self) -> bool {
        self.is_pending() && !self.owes_answer()
    }

    /// Whether a session has been agreed.
    #[must_use]
    pub fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }

    /// The hold that the peer itself has asked for and not taken back.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold::of(self.peer_wish)
    }

    /// The peer's latest description: the agreed one, else its open offer. For
    /// the far leg's offer when that is to be made afresh.
    #[must_use]
    pub fn remote(&self) -> Option<&Sdp> {
        let open = self.exchange.as_ref().filter(|e| e.side == OfferSide::Peer);
        open.map(|e| &e.offer).or(self.agreed.as_ref().map(|agreed| &agreed.remote))
    }

    /// The body that we sent last, for a 200 that repeats the answer of a 183.
    #[must_use]
    pub fn last_body(&self) -> Option<Vec<u8>> {
        self.last_sent.as_ref().map(Sdp::to_bytes)
    }

    /// Gives the description our origin, counts the version up if it differs
    /// from the last one sent, and remembers it.
    fn send(&mut self, mut sdp: Sdp, at: MediaAddress) -> Sdp {
        sdp.origin = Origin {
            username: "-".into(),
            session_id: self.session_id.to_string(),
            version: self.version.to_string(),
            address: Connection::of_ip(at.ip),
        };
        sdp.session_name = "-".into();
        sdp.connection = Some(Connection::of_ip(at.ip));
        if self.last_sent.as_ref() != Some(&sdp) {
            self.version = self.version.saturating_add(1);
            sdp.origin.version = self.version.to_string();
        }
        self.last_sent = Some(sdp.clone());
        sdp
    }

    /// Our formats with numbers that do not clash with earlier ones of this leg.
    fn bind(&mut self, wished: &[Format]) -> Vec<Format> {
        let mut bound: Vec<Format> = Vec::with_capacity(wished.len());
        for format in wished {
            let Some(number) = self.number_for(format, wished) else { continue };
            if bound.iter().any(|f| f.payload_type == number) {
                continue;
            }
            let format = Format { payload_type: number, ..format.clone() };
            if self.bindings.iter().all(|f| f.payload_type != number) {
                self.bindings.push(format.clone());
            }
            bound.push(format);
        }
        bound
    }

    /// The wished number if it is free or already means this codec; else the one
    /// that the codec has; else a dynamic one that nobody uses or wishes.
    fn number_for(&self, format: &Format, wished: &[Format]) -> Option<u8> {
        let owner = self.bindings.iter().find(|f| f.payload_type == format.payload_type);
        if owner.is_none_or(|owner| owner.is_same_codec(format)) {
            return Some(format.payload_type);
        }
        if let Some(known) = self.bindings.iter().find(|f| f.is_same_codec(format)) {
            return Some(known.payload_type);
        }
        let is_used = |n: &u8| self.bindings.iter().chain(wished).any(|f| f.payload_type == *n);
        (96..=127).find(|n| !is_used(n))
    }
}

impl MediaAddress {
    /// Says where RTCP is wanted if that is not the next port (RFC 3605 §2.1).
    fn rtcp_attribute(self) -> Option<RtcpAttribute> {
        let is_next = self.rtp_port.checked_add(1) == Some(self.rtcp_port);
        (!is_next).then_some(RtcpAttribute { port: self.rtcp_port, address: None })
    }
}

/// Everything about our audio section but its place in the description.
struct AudioSection<'a> {
    at: MediaAddress,
    proto: &'a str,
    formats: &'a [Format],
    direction: Direction,
    ptime_ms: Option<u32>,
    maxptime_ms: Option<u32>,
    crypto: Vec<Crypto>,
    /// Lines of DTLS, ICE and shared ports.
    lines: Vec<Line>,
}

impl AudioSection<'_> {
    fn into_media(self) -> Media {
        let mut media = Media::new(MediaKind::Audio, self.at.rtp_port, self.proto);
        media.set_rtp_formats(self.formats);
        media.direction = Some(self.direction);
        media.ptime_ms = self.ptime_ms;
        media.maxptime_ms = self.maxptime_ms;
        media.crypto = self.crypto;
        media.others = self.lines;
        media.rtcp = self.at.rtcp_attribute();
        media
    }
}

/// A stream that we do not take part in: its place is kept at port 0, with the
/// formats that stood there (RFC 3264 §6, §8.2).
fn refused(media: &Media) -> Media {
    let mut kept = Media::new(media.kind.clone(), 0, &media.proto);
    kept.formats.clone_from(&media.formats);
    kept
}

/// A description of the peer's in which the stream that we take part in is the only live audio: what crosses is its
/// codecs, where a phone offers one stream with keys and one without.
fn with_one_audio(mut sdp: Sdp, audio: usize) -> Sdp {
    let others = sdp
        .media
        .iter_mut()
        .enumerate()
        .filter(|(index, media)| *index != audio && media.is_audio());
    others.for_each(|(_, media)| media.port = 0);
    sdp
}

/// The formats of a stream that may cross to the other leg.
fn relayable(media: &Media) -> Vec<Format> {
    let mut formats = media.rtp_formats();
    formats.retain(|format| !format.is_redundancy());
    formats
}

fn has_speech(formats: &[Format]) -> bool {
    formats.iter().any(Format::is_speech)
}

#[cfg(test)]
mod tests;
