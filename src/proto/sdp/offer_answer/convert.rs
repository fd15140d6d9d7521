//! Codecs that the two sides of a call need not share, because what one speaks is turned into what the other takes.
//!
//! A codec that both have always comes first: nothing is decoded that could pass.

use super::super::codec_match::{Format, own_capabilities};
use super::plan::agreed_plan;
use super::{MediaAddress, Negotiator, OfferSide, relayable};
use crate::proto::audio::Codec;

/// What a peer may be offered beside what the far side speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Extras {
    /// Nothing: what both speak passes, and nothing else.
    #[default]
    None,
    /// G.711, which every carrier takes.
    Telephone,
    /// Whatever we can encode.
    All,
}

impl Negotiator {
    /// Lets this leg speak another codec than the one across.
    pub fn convert(&mut self, extras: Extras) {
        self.extras = extras;
    }

    /// Another offer for a peer that has refused the last one: with everything behind it that it could be converted to, and
    /// plain if it was only thought to be a browser.
    /// `None` if that was offered, or there is nothing more.
    pub fn offer_more(&mut self, at: MediaAddress) -> Option<Vec<u8>> {
        let open = self.exchange.as_ref().filter(|open| !open.is_answered && !self.insists)?;
        let OfferSide::Us { is_late: false, .. } = open.side else { return None };
        let (side, audio, mut media) = (open.side, open.audio, open.offer.media.clone());
        self.insists = true;
        let is_plain_now = self.give_up_webrtc(media.get_mut(audio)?);
        let offered = relayable(media.get(audio)?);
        let mut formats = offered.clone();
        self.widen(&mut formats);
        if formats == offered && !is_plain_now {
            return None;
        }
        let bound = self.bind(&formats);
        media.get_mut(audio)?.set_rtp_formats(&bound);
        Some(self.open_offer(media, audio, at, side))
    }

    /// Adds to an offer, behind what the far side speaks, what that can be converted to.
    pub(super) fn widen(&self, formats: &mut Vec<Format>) {
        if self.extras == Extras::None || !formats.iter().any(|format| codec(format).is_some()) {
            return;
        }
        let names = &self.offered_codecs;
        let is_wanted = |format: &Format| match self.extras {
            _ if !names.is_empty() => names.iter().any(|name| format.is_named(name)),
            Extras::Telephone => format.is_named("PCMA") || format.is_named("PCMU"),
            _ => true,
        };
        let is_common = |format: &Format| format.is_named("PCMA") || format.is_named("PCMU");
        let taken = self.agreed.as_ref().map(agreed_plan).unwrap_or_default().send_formats;
        let mut spoken = self.local_formats();
        spoken.retain(|own| {
            codec(own).is_some() && taken.iter().any(|known| known.is_same_codec(own))
        });
        let is_offered = |own: &Format| formats.iter().any(|format| format.is_same_codec(own));
        // What the peer speaks already it must be able to go on with: a hold of the far side is no reason to refuse.
        let is_kept = spoken.is_empty() || spoken.iter().any(is_offered);
        let has_common = formats.iter().any(|format| is_common(format) && is_wanted(format));
        if !self.insists && is_kept && has_common {
            // Everybody takes G.711. Who does not will say so.
            return;
        }
        let is_new = |own: &Format| formats.iter().all(|format| !format.is_same_codec(own));
        let others = own_capabilities().into_iter().filter(|own| {
            own.is_speech()
                && is_wanted(own)
                && spoken.iter().all(|known| !known.is_same_codec(own))
        });
        let mut more: Vec<Format> = spoken.iter().cloned().chain(others).filter(is_new).collect();
        more.sort_by_key(|own| names.iter().position(|name| own.is_named(name)));
        if more.is_empty() {
            return;
        }
        if !names.is_empty()
            && !formats.iter().any(|format| format.is_speech() && is_wanted(format))
        {
            // Nothing that the far side speaks is on the peer's list.
            formats.retain(|format| !format.is_speech());
        }
        let is_digits = |format: &&Format| format.is_telephone_event();
        let place = formats.iter().rposition(Format::is_speech).map_or(0, |last| last + 1);
        if formats.iter().any(|format| format.is_telephone_event())
            && !formats
                .iter()
                .any(|format| format.is_telephone_event() && format.clock_rate == 8_000)
        {
            // Digits go by the clock of the codec that is spoken (RFC 4733 §2.1).
            formats.extend(own_capabilities().iter().find(is_digits).cloned());
        }
        formats.splice(place..place, more);
    }

    /// What answers an offer that has no codec of the far side's: the offered one that is nearest to what the far side
    /// speaks, and digits if both sides have them. Empty if neither can be converted.
    pub(super) fn converted(&self, offered: &[Format], far: &[Format]) -> Vec<Format> {
        let spoken = far.iter().find_map(codec);
        let (Some(spoken), false) = (spoken, self.extras == Extras::None) else {
            return Vec::new();
        };
        let distance = |format: &&Format| {
            codec(format).map(|own| own.sample_rate().abs_diff(spoken.sample_rate()))
        };
        let able = offered.iter().filter(|format| codec(format).is_some());
        let Some(chosen) = able.min_by_key(distance) else { return Vec::new() };
        let mut formats = vec![chosen.clone()];
        if far.iter().any(Format::is_telephone_event) {
            let mut digits = offered.iter().filter(|format| format.is_telephone_event());
            let first = digits.clone().next();
            let same = digits.find(|format| format.clock_rate == chosen.clock_rate);
            formats.extend(same.or(first).cloned());
        }
        formats
    }
}

/// The codec, if it is one that we decode and encode.
fn codec(format: &Format) -> Option<Codec> {
    Codec::of(&format.name, format.clock_rate, format.channels)
}
