//! Session descriptions (RFC 8866) and their offer/answer exchange (RFC 3264).
//!
//! [`Sdp`] reads what the field sends and writes what the RFC asks for. A
//! [`Negotiator`] holds one leg's side of the exchange; two of them, fed with
//! each other's [`Sdp`], make a back-to-back user agent that anchors media.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod attribute;
mod codec_match;
mod crypto;
mod media;
mod offer_answer;
mod session;
mod webrtc;

pub use attribute::{Direction, RtcpAttribute};
pub use codec_match::Format;
pub use crypto::{Crypto, Unusable};
pub use media::{Media, MediaKind};
pub use offer_answer::{
    Extras, FaxPlan, Hold, MediaAddress, MediaForm, Negotiator, PeerAnswer, PeerOffer, SdpRefusal,
    SrtpPolicy, StreamPlan,
};
pub use session::{Connection, Line, Origin, Sdp, SdpError};
pub use webrtc::{DtlsLines, IceLines, Setup};

use crate::proto::srtp::{Fingerprint, Hash};

/// Bytes of one description; a browser's largest is near 12 kB.
pub const BODY_MAX: usize = 64 * 1024;
/// Lines of one description.
pub const LINES_MAX: usize = 2_000;
/// `m=` lines of one description.
pub const MEDIA_MAX: usize = 16;
/// Formats on one `m=` line; there are only 128 payload types.
pub const FORMATS_MAX: usize = 128;

/// Runs one hostile body through everything that reads one: for fuzzing.
pub fn fuzz_sdp(body: &[u8]) {
    let at = MediaAddress { ip: [192, 0, 2, 1].into(), rtp_port: 4_000, rtcp_port: 4_001 };
    let mut near = Negotiator::new(1);
    let mut far = Negotiator::new(2);
    // Bodies of an odd length meet other policies than those of an even one.
    if body.len() % 2 == 1 {
        near.secure_by(SrtpPolicy::Optional, true, [1; 32]);
        far.secure_by(SrtpPolicy::Required, false, [2; 32]);
        let ours = Fingerprint { hash: Hash::Sha256, digest: vec![7; 32] };
        near.speak_webrtc(MediaForm::Auto, false, ours.clone(), [3; 32]);
        far.speak_webrtc(MediaForm::Webrtc, body.len() % 4 == 1, ours, [4; 32]);
    }
    if let Ok(offer) = near.offer_from_peer(body) {
        far.offer_to_peer(Some(&offer.sdp), at);
    } else {
        far.offer_to_peer(None, at);
    }
    if let Ok(answer) = far.answer_from_peer(body) {
        near.answer_to_peer(&answer.sdp, at).ok();
    }
    near.answer_locally(at).ok();
    let _ = (near.plan(), far.plan(), near.reoffer(at));
}

#[cfg(test)]
mod tests;
