//! Sound of our own in place of the far side's.

use std::f32::consts::TAU;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::saying::Playlist;
use crate::edge::sounds::Clips;
use crate::proto::audio::Codec;
use crate::proto::rtp::{CLIP_PACKET_MS, Clip, HEADER_LEN, Header, OutgoingStream};
use crate::proto::sdp::Format;
use crate::proto::time::Instant;

/// The longest payload of a clip that is played: L16 at 48 kHz.
const PAYLOAD_MAX: usize = 1_920;
/// How late a packet may be before those that were due are left out: the thread was stopped.
const LATE_MAX: Duration = Duration::from_millis(200);
/// The tone that tells of a recording: within 1260 to 1540 Hz, and 170 to 250 ms (47 CFR §64.501).
const BEEP_HZ: f32 = 1_400.0;
const BEEP_MS: u32 = 200;
/// Loud enough to be noticed beside speech, and no louder: 18 dB below full scale.
const BEEP_LEVEL: f32 = 4_000.0;

/// The beep, encoded once in whatever a peer may want.
#[must_use]
pub(super) fn beep() -> Clips {
    static BEEP: OnceLock<Clips> = OnceLock::new();
    let made = BEEP.get_or_init(|| {
        let codecs = [Codec::Pcma, Codec::Pcmu, Codec::G722, Codec::Opus];
        codecs.iter().filter_map(|codec| Clip::encode(*codec, &tone(*codec)).ok()).collect()
    });
    Arc::clone(made)
}

/// The beep's samples; it swells and fades for 5 ms, so that it does not click.
fn tone(codec: Codec) -> Vec<i16> {
    let rate = codec.sample_rate();
    let (count, fade) = (rate * BEEP_MS / 1_000, rate / 200);
    let as_float = |number: u32| f32::from(u16::try_from(number).unwrap_or(u16::MAX));
    let sample = |index: u32| {
        let edge = as_float(index.min(count - index)) / as_float(fade);
        let phase = TAU * BEEP_HZ * as_float(index) / as_float(rate);
        let value = phase.sin() * BEEP_LEVEL * edge.min(1.0);
        #[expect(clippy::cast_possible_truncation, reason = "it is well within the range")]
        let value = value as i16;
        value
    };
    (0..count).map(sample).collect()
}

/// Sounds that are being played to a side, one behind the other.
#[derive(Debug)]
pub(super) struct Player {
    list: Playlist,
    codec: Codec,
    payload_type: u8,
    /// Which sound of the list, and which packet of it, comes next.
    at: usize,
    next: usize,
    pub(super) next_at: Instant,
    is_looped: bool,
    is_begun: bool,
}

/// In which codec a peer is sent sound of ours, if it is one that sounds are there in.
fn spoken(formats: &[Format]) -> Option<(Codec, u8)> {
    let format = formats.iter().find(|format| format.is_speech())?;
    Some((Codec::of(&format.name, format.clock_rate, format.channels)?, format.payload_type))
}

fn in_codec(clips: &Clips, codec: Codec) -> Option<&Clip> {
    clips.iter().find(|clip| clip.codec() == codec)
}

impl Player {
    /// Begins now, in the codec that the peer is sent; `None` if a sound is not there in it.
    pub(super) fn new(
        list: Playlist,
        formats: &[Format],
        now: Instant,
        is_looped: bool,
    ) -> Option<Self> {
        let (codec, payload_type) = spoken(formats)?;
        let is_there = list.clips.iter().all(|clips| in_codec(clips, codec).is_some());
        is_there.then_some(Self {
            list,
            codec,
            payload_type,
            at: 0,
            next: 0,
            next_at: now,
            is_looped,
            is_begun: false,
        })
    }

    /// Is it played again and again?
    pub(super) const fn is_looped(&self) -> bool {
        self.is_looped
    }

    /// The name of what is played.
    pub(super) const fn token(&self) -> Option<u64> {
        self.list.token
    }

    /// Goes on now, with a packet that is the first of its kind again.
    pub(super) fn from(self, now: Instant) -> Self {
        Self { next_at: now, is_begun: false, ..self }
    }

    /// Goes on with another list where this one ended; `false`, and nothing done, if it is not there in the codec.
    pub(super) fn go_on_with(&mut self, list: Playlist) -> bool {
        if list.clips.iter().any(|clips| in_codec(clips, self.codec).is_none()) {
            return false;
        }
        (self.list, self.at, self.next) = (list, 0, 0);
        true
    }

    /// The same in what the peer takes now: at the packet where it was, since packets of all codecs last equally long. `None` if
    /// it takes nothing that the sound is there in.
    pub(super) fn fitted(mut self, formats: &[Format]) -> Option<Self> {
        if formats.iter().any(|format| format.payload_type == self.payload_type)
            && spoken(formats).is_some_and(|(codec, _)| codec == self.codec)
        {
            return Some(self);
        }
        let (codec, payload_type) = spoken(formats)?;
        let is_there = self.list.clips.iter().all(|clips| in_codec(clips, codec).is_some());
        // Another clock: a packet that is the first of its kind says so.
        (self.codec, self.payload_type, self.is_begun) = (codec, payload_type, false);
        is_there.then_some(self)
    }

    /// Sends what is due; `false` when that was the last of it.
    pub(super) fn play(
        &mut self,
        now: Instant,
        outgoing: &mut OutgoingStream,
        send: &mut dyn FnMut(&[u8]) -> bool,
    ) -> bool {
        if now.since(self.next_at) > LATE_MAX {
            self.next_at = now;
        }
        while self.next_at <= now {
            if !self.find_next() {
                return false;
            }
            let clips = self.list.clips.get(self.at);
            let Some(clip) = clips.and_then(|clips| in_codec(clips, self.codec)) else {
                return false;
            };
            let Some(payload) = clip.packet(self.next) else { return false };
            let is_first = !self.is_begun;
            let header = outgoing.own(
                now,
                self.payload_type,
                (clip.codec().clock_rate(), clip.packet_ticks()),
                is_first,
            );
            if write(&header, payload, send) {
                outgoing.sent(payload.len());
            }
            self.is_begun = true;
            self.next += 1;
            self.next_at += Duration::from_millis(CLIP_PACKET_MS.into());
        }
        true
    }

    /// Moves to the sound that the next packet is of; `false` behind the last one.
    fn find_next(&mut self) -> bool {
        let packets = |clips: &Clips| in_codec(clips, self.codec).map_or(0, Clip::packets);
        while let Some(clips) = self.list.clips.get(self.at) {
            if self.next < packets(clips) {
                return true;
            }
            (self.at, self.next) = (self.at + 1, 0);
            let is_end = self.at == self.list.clips.len();
            if is_end && self.is_looped && self.list.clips.iter().any(|clips| packets(clips) > 0) {
                self.at = 0;
            }
        }
        false
    }
}

fn write(header: &Header, payload: &[u8], send: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    let mut packet = [0; HEADER_LEN + PAYLOAD_MAX];
    let length = HEADER_LEN.saturating_add(payload.len());
    let Some(room) = packet.get_mut(HEADER_LEN..length) else { return false };
    room.copy_from_slice(payload);
    if let Some(first) = packet.first_mut() {
        // Version 2, no sources, extension or padding.
        *first = 0x80;
    }
    header.write(&mut packet) && packet.get(..length).is_some_and(send)
}

/// When the next beep is due.
#[derive(Debug)]
pub(super) struct Beep {
    every: Duration,
    next_at: Instant,
    clips: Clips,
}

impl Beep {
    /// The first one comes at once.
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self { every, next_at: now, clips: beep() }
    }

    /// The sound, if it is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<Clips> {
        if now < self.next_at {
            return None;
        }
        self.next_at = now + self.every;
        Some(Arc::clone(&self.clips))
    }
}
