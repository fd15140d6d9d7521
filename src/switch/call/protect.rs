//! Encrypted audio: each leg has keys of its own, and what crosses is in the clear between them.

use super::*;
use crate::proto::sdp::{Negotiator, SdpRefusal};
use crate::proto::sip::transport::Transport;
use crate::proto::srtp::Suite;
use crate::switch::cause;

impl Call {
    /// Lets a new leg agree on keys, as far as its peer is to have any. Keys are offered where nobody on the way reads them.
    pub(super) fn secure(
        &mut self,
        negotiator: &mut Negotiator,
        peer: &Origin,
        transport: Transport,
    ) {
        let policy = self.snapshot.srtp_for(peer);
        negotiator.secure_by(policy, transport.is_secure(), self.tokens.fork());
    }

    /// Notes for each leg when its audio begins to be encrypted, by another suite, or no more.
    pub(super) fn note_protection(&mut self, now: Instant, out: &mut Vec<Output>) {
        let told = |(at, leg): (At, &Leg)| {
            let suite = leg.negotiator.suite();
            (suite != leg.suite_told).then(|| (at, leg.label.clone(), suite))
        };
        for (at, leg, suite) in self.legs().filter_map(told).collect::<Vec<_>>() {
            if let Some(leg) = self.leg_mut(at) {
                leg.suite_told = suite;
            }
            let name = suite.map_or("off", Suite::name);
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
        SdpRefusal::SecureOnly | SdpRefusal::KeysByDtls | SdpRefusal::NoUsableKey(_) => {
            &cause::SRTP_UNUSABLE
        }
        _ => otherwise,
    }
}
