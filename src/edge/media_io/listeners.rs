//! Who listens to a call beside its parties.

use crate::edge::recording::Tap;
use crate::edge::speech::Ear;
use crate::proto::audio::Codec;
use crate::proto::rtp::Ssrc;
use crate::proto::time::Instant;

/// The recorder, and a recogniser.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) recorder: Option<Box<Tap>>,
    pub(super) ear: Option<Box<Ear>>,
}

impl Listeners {
    /// Takes a packet as it came.
    pub(super) fn packet(
        &mut self,
        from: (usize, Instant),
        place: (Ssrc, u32),
        codec: Codec,
        payload: &[u8],
    ) {
        if let Some(tap) = &mut self.recorder {
            tap.packet(from, place, codec, payload);
        }
        if let Some(ear) = &mut self.ear {
            ear.packet(from, place, codec, payload);
        }
    }

    /// To be called a few times a second.
    pub(super) fn tick(&mut self, now: Instant) {
        if let Some(ear) = &mut self.ear {
            ear.tick(now);
        }
    }
}
