//! What a recogniser hears of a call: packets as they come, handed on by the relay thread without waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

use crate::proto::audio::Codec;
use crate::proto::recording::Reel;
use crate::proto::rtp::Ssrc;
use crate::proto::time::Instant;

/// How much is handed on at once: as long as a partial result may be late by it.
const REEL_TIME: Duration = Duration::from_millis(200);
/// Reels that may wait for the recogniser's thread, some three seconds. When it is full the next one is thrown away and counted:
/// the transcript has a gap, and the call none.
pub(super) const REELS_MAX: usize = 16;

/// What an ear and its transcript share.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) lost: AtomicU64,
    is_paused: AtomicBool,
}

/// Listens to one call, on its relay thread. Dropping it ends the transcript.
#[derive(Debug)]
pub struct Ear {
    reel: Reel,
    handed_over_at: Instant,
    reels: mpsc::Sender<Reel>,
    lane: Arc<Lane>,
}

/// The call's end of it.
#[derive(Debug)]
pub struct EarControl(Arc<Lane>);

impl EarControl {
    /// From now on what is said is, or is not, listened to.
    pub fn pause(&self, is_paused: bool) {
        self.0.is_paused.store(is_paused, Ordering::Relaxed);
    }
}

impl Ear {
    pub(super) fn new(
        now: Instant,
        lane: Arc<Lane>,
        reels: mpsc::Sender<Reel>,
    ) -> (Self, EarControl) {
        let control = EarControl(Arc::clone(&lane));
        (Self { reel: Reel::new(), handed_over_at: now, reels, lane }, control)
    }

    /// Takes a packet as it came. Never waits; copies the payload.
    pub fn packet(
        &mut self,
        (side, at): (usize, Instant),
        (ssrc, timestamp): (Ssrc, u32),
        codec: Codec,
        payload: &[u8],
    ) {
        if payload.is_empty() || self.lane.is_paused.load(Ordering::Relaxed) {
            return;
        }
        if !self.reel.push((side, at), (ssrc, timestamp), codec, payload) {
            self.hand_over(at);
            self.reel.push((side, at), (ssrc, timestamp), codec, payload);
        }
        self.tick(at);
    }

    /// To be called a few times a second: silence goes on as well.
    pub fn tick(&mut self, now: Instant) {
        if now.since(self.handed_over_at) >= REEL_TIME {
            self.hand_over(now);
        }
    }

    fn hand_over(&mut self, now: Instant) {
        self.handed_over_at = now;
        self.reel.until = now;
        match self.reels.try_reserve() {
            Ok(place) => place.send(std::mem::take(&mut self.reel)),
            Err(_) => {
                self.lane.lost.fetch_add(1, Ordering::Relaxed);
                self.reel.clear();
            }
        }
    }
}
