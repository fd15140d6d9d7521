//! Two tracks on one clock.

use std::collections::VecDeque;

use super::Reel;
use super::track::{Track, samples_in};
use super::wav::Shape;
use crate::proto::time::Instant;

/// Milliseconds that are kept back for packets that are late.
const KEPT_BACK_MS: u64 = 500;
/// Seconds that may lie between what is written and what comes; a packet further ahead is from a broken clock.
const AHEAD_MAX_SECONDS: u64 = 30;

/// What of the two sides a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tracks {
    /// A track for each side: the calling side is left, the called one right.
    #[default]
    Dual,
    /// Both in one.
    Mixed,
}

/// What becomes a file: samples of both sides by the time at which they were heard.
///
/// Positions count from the begin of the recording, which is the answer, so a file is as long as the conversation, with
/// silence for holds and pauses.
#[derive(Debug)]
pub struct Tape {
    began: Instant,
    rate: u32,
    tracks: Tracks,
    sides: [Track; 2],
    /// What is not written yet.
    waiting: VecDeque<[i16; 2]>,
    /// The position of its first frame.
    written: u64,
    late: u64,
}

impl Tape {
    /// A tape that begins now, with so many samples a second.
    #[must_use]
    pub fn new(began: Instant, rate: u32, tracks: Tracks) -> Self {
        Self {
            began,
            rate,
            tracks,
            sides: [Track::new(rate), Track::new(rate)],
            waiting: VecDeque::new(),
            written: 0,
            late: 0,
        }
    }

    /// The shape of the file.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let tracks = if self.tracks == Tracks::Dual { 2 } else { 1 };
        Shape { rate: self.rate, tracks }
    }

    /// Packets that came too late for their place, or could not be decoded.
    #[must_use]
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// Takes a reel in and appends to `out`, as little-endian samples, what is old enough that nothing more can belong there.
    pub fn take(&mut self, reel: &mut Reel, out: &mut Vec<u8>) {
        let until = reel.until;
        // Never more than that is kept back, whatever was lost on the way here.
        let ahead_max = u64::from(self.rate) * AHEAD_MAX_SECONDS;
        self.write_until(self.position(until).saturating_sub(ahead_max), out);
        for (packet, payload) in reel.in_order() {
            let Some(track) = self.sides.get_mut(packet.side) else { continue };
            let placed = track.place(self.began, &packet, payload);
            let Some(placed) = placed else {
                self.late += 1;
                continue;
            };
            let side = packet.side;
            let ahead = placed.position.saturating_sub(self.written);
            if ahead > 2 * ahead_max {
                self.late += 1;
                continue;
            }
            let skipped = usize::try_from(self.written.saturating_sub(placed.position));
            let samples = placed.samples.get(skipped.unwrap_or(usize::MAX)..).unwrap_or_default();
            let from = usize::try_from(ahead).unwrap_or_default();
            let end = from.saturating_add(samples.len());
            if self.waiting.len() < end {
                self.waiting.resize(end, [0; 2]);
            }
            for (frame, sample) in self.waiting.range_mut(from..end).zip(samples) {
                if let Some(place) = frame.get_mut(side) {
                    *place = *sample;
                }
            }
        }
        let kept_back = samples_in(self.rate, KEPT_BACK_MS);
        let ripe = self.position(until).saturating_sub(kept_back);
        self.write_until(ripe, out);
    }

    /// Everything up to the end, which comes now; silence where nothing was heard.
    pub fn finish(&mut self, now: Instant, out: &mut Vec<u8>) {
        let last = self.written + self.waiting.len() as u64;
        self.write_until(self.position(now).max(last), out);
    }

    /// How much was written.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        let whole = u32::try_from(self.written / u64::from(self.rate.max(1))).unwrap_or(u32::MAX);
        let rest = u32::try_from(self.written % u64::from(self.rate.max(1))).unwrap_or_default();
        f64::from(whole) + f64::from(rest) / f64::from(self.rate.max(1))
    }

    fn position(&self, at: Instant) -> u64 {
        let micros = u64::try_from(at.since(self.began).as_micros()).unwrap_or_default();
        micros.saturating_mul(self.rate.into()) / 1_000_000
    }

    fn write_until(&mut self, position: u64, out: &mut Vec<u8>) {
        while self.written < position {
            let [left, right] = self.waiting.pop_front().unwrap_or_default();
            match self.tracks {
                Tracks::Dual => {
                    out.extend_from_slice(&left.to_le_bytes());
                    out.extend_from_slice(&right.to_le_bytes());
                }
                Tracks::Mixed => out.extend_from_slice(&left.saturating_add(right).to_le_bytes()),
            }
            self.written += 1;
        }
    }
}
