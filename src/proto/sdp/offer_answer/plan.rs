//! What the exchange means for the packets of one leg.

use std::net::{IpAddr, SocketAddr};

use super::super::attribute::Direction;
use super::super::codec_match::Format;
use super::super::media::Media;
use super::super::session::{Connection, Sdp};
use super::fax::{FaxPlan, fax_plan};
use super::security::{Keying, protection};
use super::{Agreed, Hold, Negotiator, OfferSide, relayable, with_one_audio};
use crate::proto::nat::ice::IcePlan;
use crate::proto::srtp::Protection;

/// Where we want a stream's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaAddress {
    /// The address that the peer can reach.
    pub ip: IpAddr,
    /// The port for RTP.
    pub rtp_port: u16,
    /// The port for RTCP; announced if it is not the next one (RFC 3605).
    pub rtcp_port: u16,
}

/// One leg's stream as it stands: what may flow, where to, under which numbers.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StreamPlan {
    /// Where RTP goes; `None` for port 0, a hold by `0.0.0.0`, and a host name.
    pub remote_rtp: Option<SocketAddr>,
    /// Where RTCP goes (RFC 3605 §2.1, else RFC 3550 §11).
    pub remote_rtcp: Option<SocketAddr>,
    /// We may send to the peer.
    pub send: bool,
    /// The peer may send to us.
    pub receive: bool,
    /// The peer holds the call: it may be silent, whatever it said that it would send.
    pub is_holding: bool,
    /// What the peer takes, best first, under the **peer's** numbers
    /// (RFC 3264 §5.1, §6.1).
    pub send_formats: Vec<Format>,
    /// What the peer may send, under **our** numbers, with those of the session
    /// before while they may be in flight (RFC 3264 §8.3.2).
    pub receive_formats: Vec<Format>,
    /// Milliseconds of audio per packet that the peer asks for.
    pub ptime_ms: Option<u32>,
    /// Milliseconds of audio per packet that the peer takes at most.
    pub maxptime_ms: Option<u32>,
    /// The number to send digits under, on the clock of the first codec.
    pub telephone_event_pt: Option<u8>,
    /// How the packets are protected, both ways.
    pub protection: Protection,
    /// How the peer finds its way to us by ICE, and shows where it is.
    pub ice: Option<IcePlan>,
    /// Reports share the port of the audio (RFC 5761).
    pub is_rtcp_mux: bool,
    /// Digits that cannot go as events go by the signalling, and are not made tones.
    pub is_toneless: bool,
    /// It is fax, and no audio.
    pub fax: Option<FaxPlan>,
}

impl StreamPlan {
    /// Whether the other leg takes every voice codec that this one has agreed on.
    /// If not, and nothing transcodes, this leg must be offered the other's codecs
    /// (RFC 3264 §8.3.2), or its peer may pick one that reaches nobody.
    #[must_use]
    pub fn is_carried_by(&self, other: &Self) -> bool {
        // Not what may be received: that has the numbers of the session before.
        let mut speech = self.send_formats.iter().filter(|format| format.is_speech());
        speech.all(|format| is_known(&other.send_formats, format))
    }
}

impl Negotiator {
    /// The peer's description narrowed to what the leg has agreed on: what it can
    /// take without a re-INVITE of its own. For the offer to a further leg that
    /// joins a call in progress. `None` before any agreement.
    #[must_use]
    pub fn agreed_remote(&self) -> Option<Sdp> {
        let agreed = self.agreed.as_ref()?;
        let mut sdp = with_one_audio(agreed.remote.clone(), agreed.audio);
        let formats = agreed_plan(agreed).send_formats;
        let stream = sdp.media.get_mut(agreed.audio)?;
        if stream.is_audio() {
            stream.set_rtp_formats(&formats);
        }
        Some(sdp)
    }

    /// What may flow now. Before an answer it is what the open offer makes
    /// possible: an offerer must be ready to receive at once (RFC 3264 §5.1).
    #[must_use]
    pub fn plan(&self) -> StreamPlan {
        let mut plan = self.agreed.as_ref().map(|agreed| StreamPlan {
            protection: self.protection(agreed),
            ..agreed_plan(agreed)
        });
        let until_keyed = |is_keyed| {
            if is_keyed { Protection::Pending } else { Protection::Clear }
        };
        if let Some(exchange) = self.exchange.as_ref().filter(|e| !e.is_answered)
            && let Some(media) = exchange.offer.media.get(exchange.audio)
        {
            plan = match (plan, exchange.side) {
                (None, OfferSide::Peer) => Some(StreamPlan {
                    protection: until_keyed(
                        self.chosen(&exchange.offer, media).is_ok_and(|keys| keys != Keying::Clear),
                    ),
                    ..plan_of_offer(&exchange.offer, media)
                }),
                (None, OfferSide::Us { .. }) => Some(StreamPlan {
                    receive: media.direction.unwrap_or_default().receives(),
                    receive_formats: relayable(media),
                    protection: until_keyed(!media.crypto.is_empty() || media.is_secure_rtp()),
                    ..StreamPlan::default()
                }),
                (Some(mut agreed), OfferSide::Us { .. }) => {
                    add_new_numbers(&mut agreed.receive_formats, relayable(media));
                    Some(agreed)
                }
                (agreed, OfferSide::Peer) => agreed,
            };
        }
        let plan = self.with_transport(plan.unwrap_or_default());
        StreamPlan { is_holding: self.hold() != Hold::Off, ..plan }
    }
}

pub(super) fn agreed_plan(agreed: &Agreed) -> StreamPlan {
    if let Some(plan) = fax_plan(agreed) {
        return plan;
    }
    let (Some(local), Some(remote)) =
        (agreed.local.media.get(agreed.audio), agreed.remote.media.get(agreed.audio))
    else {
        return StreamPlan::default();
    };
    let (ours, theirs) = (relayable(local), relayable(remote));
    // The answer's order is the order to prefer.
    let send_formats: Vec<Format> = if agreed.we_offered {
        theirs.iter().filter(|f| is_known(&ours, f)).cloned().collect()
    } else {
        ours.iter().filter_map(|our| counterpart(&theirs, our)).cloned().collect()
    };
    let mut receive_formats: Vec<Format> =
        ours.iter().filter(|f| is_known(&theirs, f)).cloned().collect();
    // Some answerers send under their own numbers; harmless where ours are free.
    add_new_numbers(&mut receive_formats, send_formats.clone());
    add_new_numbers(&mut receive_formats, agreed.previous.clone());
    let (we, they) =
        (agreed.local.effective_direction_of(local), agreed.remote.effective_direction_of(remote));
    let flow = if remote.port == 0 { Direction::Inactive } else { we.intersect(they.reverse()) };
    let plan = fill(&agreed.remote, remote, flow, send_formats, receive_formats);
    StreamPlan { protection: protection(agreed), ..plan }
}

fn plan_of_offer(offer: &Sdp, media: &Media) -> StreamPlan {
    let formats = relayable(media);
    let flow = offer.effective_direction_of(media).reverse();
    fill(offer, media, flow, formats.clone(), formats)
}

fn fill(
    remote: &Sdp,
    media: &Media,
    flow: Direction,
    send_formats: Vec<Format>,
    receive_formats: Vec<Format>,
) -> StreamPlan {
    StreamPlan {
        is_toneless: false,
        fax: None,
        ice: None,
        is_rtcp_mux: false,
        remote_rtp: rtp_address(remote, media),
        remote_rtcp: rtcp_address(remote, media),
        send: flow.sends(),
        receive: flow.receives(),
        is_holding: false,
        ptime_ms: media.ptime_ms,
        maxptime_ms: media.maxptime_ms,
        telephone_event_pt: telephone_event(&send_formats),
        protection: Protection::Clear,
        send_formats,
        receive_formats,
    }
}

fn is_known(list: &[Format], format: &Format) -> bool {
    counterpart(list, format).is_some()
}

/// The entry of the other side's list that means this codec, under the same
/// number if it can be.
fn counterpart<'a>(list: &'a [Format], format: &Format) -> Option<&'a Format> {
    let same = |f: &&Format| f.is_same_codec(format);
    list.iter()
        .find(|f| f.payload_type == format.payload_type && same(f))
        .or_else(|| list.iter().find(same))
}

fn add_new_numbers(list: &mut Vec<Format>, more: Vec<Format>) {
    for format in more {
        if list.iter().all(|known| known.payload_type != format.payload_type) {
            list.push(format);
        }
    }
}

/// Digits on the clock of the first codec, since the two share timestamps
/// (RFC 4733 §2.1); else any.
fn telephone_event(formats: &[Format]) -> Option<u8> {
    let clock_rate = formats.iter().find(|f| f.is_speech()).map(|f| f.clock_rate);
    let mut events = formats.iter().filter(|f| f.is_telephone_event());
    let fallback = events.clone().next();
    events.find(|f| Some(f.clock_rate) == clock_rate).or(fallback).map(|f| f.payload_type)
}

pub(super) fn rtp_address(sdp: &Sdp, media: &Media) -> Option<SocketAddr> {
    let ip = sdp.connection_of(media)?.unicast_ip()?;
    (media.port != 0).then(|| SocketAddr::new(ip, media.port))
}

fn rtcp_address(sdp: &Sdp, media: &Media) -> Option<SocketAddr> {
    let rtp = rtp_address(sdp, media)?;
    match &media.rtcp {
        Some(rtcp) => {
            let ip = match &rtcp.address {
                Some(address) => Connection::unicast_ip(address)?,
                None => rtp.ip(),
            };
            (rtcp.port != 0).then(|| SocketAddr::new(ip, rtcp.port))
        }
        None => Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)),
    }
}
