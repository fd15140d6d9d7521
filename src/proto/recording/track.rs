//! One side of a recording: where its packets belong on the recording's clock, and what they sound like.

use super::Heard;
use crate::proto::audio::{Codec, Decoder, Resampler};
use crate::proto::rtp::Ssrc;
use crate::proto::time::Instant;

/// Milliseconds by which a packet may miss its place and still follow the one before without a seam.
const SNAP_MS: u64 = 10;
/// Milliseconds of lost packets that are made up; what is longer is silence.
const CONCEALED_MS: u64 = 60;
/// Milliseconds by which the clock of the packets may be off ours before they are placed by their arrival again: the source
/// was replaced behind the same name, or its clock drifts.
const ASTRAY_MS: u64 = 400;

/// Where a source stands on the recording's clock.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    ssrc: Ssrc,
    codec: Codec,
    timestamp: u32,
    position: u64,
}

/// A decoder and what brings its samples to the recording's rate.
#[derive(Debug)]
struct Voice {
    codec: Codec,
    decoder: Decoder,
    resampler: Resampler,
}

/// One side. Positions are samples since the recording's begin, at its rate.
#[derive(Debug)]
pub(super) struct Track {
    rate: u32,
    voice: Option<Voice>,
    anchor: Option<Anchor>,
    /// Behind the last sample that was placed.
    next: u64,
    decoded: Vec<i16>,
    samples: Vec<i16>,
}

/// Samples and their place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placed<'a> {
    pub(super) position: u64,
    pub(super) samples: &'a [i16],
}

/// So many samples last so long.
pub(super) fn samples_in(rate: u32, millis: u64) -> u64 {
    u64::from(rate) * millis / 1_000
}

impl Track {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, voice: None, anchor: None, next: 0, decoded: Vec::new(), samples: Vec::new() }
    }

    /// Gives a packet its place and its sound; `None` if it came too late for it, or cannot be decoded.
    pub(super) fn place(
        &mut self,
        began: Instant,
        packet: &Heard,
        payload: &[u8],
    ) -> Option<Placed<'_>> {
        let mut position = self.position(began, packet);
        let snap = samples_in(self.rate, SNAP_MS);
        if position.abs_diff(self.next) <= snap {
            position = self.next;
        } else if position < self.next {
            return None;
        }
        self.ready(packet.codec)?;
        let Self { voice, decoded, samples, .. } = self;
        let voice = voice.as_mut()?;
        decoded.clear();
        samples.clear();
        let missing = position - self.next;
        if missing > 0 && self.next > 0 && missing <= samples_in(self.rate, CONCEALED_MS) {
            let wanted = missing * u64::from(packet.codec.sample_rate()) / u64::from(self.rate);
            voice.decoder.conceal(usize::try_from(wanted).unwrap_or_default(), decoded);
            position = self.next;
        }
        let concealed = decoded.len();
        if voice.decoder.decode(payload, decoded).is_err() && concealed == 0 {
            return None;
        }
        voice.resampler.process(decoded, samples);
        self.next = position + samples.len() as u64;
        Some(Placed { position, samples })
    }

    /// Where a packet belongs: by its timestamp, as long as that agrees with our clock.
    fn position(&mut self, began: Instant, packet: &Heard) -> u64 {
        let arrival = u64::try_from(packet.at.since(began).as_micros()).unwrap_or_default();
        let arrival = arrival.saturating_mul(self.rate.into()) / 1_000_000;
        if let Some(anchor) = self.anchor
            && (anchor.ssrc, anchor.codec) == (packet.ssrc, packet.codec)
        {
            let ticks = i64::from(packet.timestamp.wrapping_sub(anchor.timestamp).cast_signed());
            let samples = ticks * i64::from(self.rate) / i64::from(packet.codec.clock_rate());
            let position = anchor.position.saturating_add_signed(samples);
            if position.abs_diff(arrival) <= samples_in(self.rate, ASTRAY_MS) {
                // The difference is counted from the newest packet, so that it never grows out of its type.
                if samples > 0 {
                    self.anchor = Some(Anchor { timestamp: packet.timestamp, position, ..anchor });
                }
                return position;
            }
        }
        // A packet that arrives was spoken before: never earlier than what is there already.
        let position = arrival.max(self.next);
        self.anchor = Some(Anchor {
            ssrc: packet.ssrc,
            codec: packet.codec,
            timestamp: packet.timestamp,
            position,
        });
        position
    }

    /// Sees to it that there is a decoder for this codec.
    fn ready(&mut self, codec: Codec) -> Option<()> {
        if self.voice.as_ref().is_none_or(|voice| voice.codec != codec) {
            let decoder = codec.decoder().ok()?;
            let resampler = Resampler::new(codec.sample_rate(), self.rate).ok()?;
            self.voice = Some(Voice { codec, decoder, resampler });
        }
        Some(())
    }
}
