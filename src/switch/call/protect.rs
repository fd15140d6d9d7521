//! Encrypted audio: each leg has keys of its own, and what crosses is in the clear between them.

use super::*;
use crate::proto::sdp::{Negotiator, SdpRefusal};
use crate::proto::sip::transport::Transport;
use crate::proto::srtp::Keys;
use crate::switch::cause;

impl Call {
    /// Lets a new leg agree on keys, as far as its peer is to have any. Keys are offered where nobody on the way reads them.
    pub(super) fn secure(
        &mut self,
        negotiator: &mut Negotiator,
        peer: &Origin,
        transport: Transport,
    ) {
        self.settle_fax(negotiator, peer);
        let policy = self.snapshot.srtp_for(peer);
        negotiator.secure_by(policy, transport.is_secure(), self.tokens.fork());
        let (form, seed) = (self.snapshot.media_form_for(peer), self.tokens.fork());
        if let Some(fingerprint) = self.snapshot.media.fingerprint.clone() {
            // Who registers over a WebSocket is a browser, or speaks as one does.
            let is_browser = matches!(transport, Transport::Ws | Transport::Wss);
            negotiator.speak_webrtc(form, is_browser, fingerprint, seed);
        }
    }

    /// DTLS agreed on the keys of a leg. The relay has them already; they stay with the leg wherever it goes.
    pub(super) fn keyed(&mut self, number: u64, keys: &Keys) {
        for at in self.legs().map(|(at, _)| at).collect::<Vec<_>>() {
            if let Some(leg) = self.leg_mut(at) {
                leg.negotiator.keyed(number, keys);
            }
        }
    }

    /// A side will have no keys: it would hear nothing, and whoever broke in is not to be talked to either.
    pub(super) fn not_keyed(
        &mut self,
        now: Instant,
        side: Side,
        why: &'static str,
        out: &mut Vec<Output>,
    ) {
        let label = self.side_name(side);
        self.note(now, &label, "media.unkeyed", why);
        self.fail(now, &cause::DTLS_FAILED, None, HungUpBy::System, out);
    }

    /// Notes for each leg when its audio begins to be encrypted, by another suite, or no more.
    pub(super) fn note_protection(&mut self, now: Instant, out: &mut Vec<Output>) {
        let told = |(at, leg): (At, &Leg)| {
            let name = leg.negotiator.protection_name();
            (name != leg.protection_told).then(|| (at, leg.label.clone(), name))
        };
        for (at, leg, name) in self.legs().filter_map(told).collect::<Vec<_>>() {
            if let Some(leg) = self.leg_mut(at) {
                leg.protection_told = name;
            }
            let name = if name.is_empty() { "off" } else { name };
            self.note(now, &leg, "media.srtp", name);
            self.event("media.srtp", vec![("leg", leg), ("srtp", name.to_owned())], out);
        }
    }

    /// Notes what came to the ports of an encrypted leg and was not its peer's.
    pub(super) fn note_unauthentic(&mut self, now: Instant) {
        for side in [Side::A, Side::B] {
            let stats = self.stats.as_deref().map(|[a, b]| if side == Side::A { a } else { b });
            let count = stats.map_or(0, |stats| stats.flow.unauthentic);
            if count > 0 {
                let leg = self.side_name(side);
                let text = format!("{count} packets were not encrypted by the key of this leg");
                self.note(now, &leg, "media.unauthentic", text);
            }
        }
    }
}

/// Why a call fails over a description: the row for its keys, or the one that the exchange has otherwise.
pub(super) fn cause_of(refusal: SdpRefusal, otherwise: &'static Cause) -> &'static Cause {
    match refusal {
        SdpRefusal::ClearOnly => &cause::SRTP_REQUIRED,
        SdpRefusal::SecureOnly
        | SdpRefusal::KeysByDtls
        | SdpRefusal::NoFingerprint
        | SdpRefusal::NoUsableKey(_) => &cause::SRTP_UNUSABLE,
        _ => otherwise,
    }
}
