//! The relay's end: packets are copied onto a reel, and full reels handed over without waiting.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::recorder::Job;
use crate::proto::audio::Codec;
use crate::proto::recording::Reel;
use crate::proto::rtp::Ssrc;
use crate::proto::time::Instant;

/// How old the first packet of a reel may become before it is handed over: what a power cut costs, beside the half second that
/// the tape keeps back.
const REEL_TIME: Duration = Duration::from_secs(1);
/// Empty reels that are kept for the next call.
const SPARE_MAX: usize = 256;

/// Reels that were read and may be filled again.
#[derive(Clone, Debug, Default)]
pub(super) struct Spares(Arc<Mutex<Vec<Reel>>>);

impl Spares {
    /// An empty reel. Whoever asks does not wait for another thread: it gets a new one then.
    fn take(&self) -> Reel {
        let spare = self.0.try_lock().ok().and_then(|mut spares| spares.pop());
        spare.unwrap_or_default()
    }

    pub(super) fn give_back(&self, mut reel: Reel) {
        reel.clear();
        if let Ok(mut spares) = self.0.lock()
            && spares.len() < SPARE_MAX
        {
            spares.push(reel);
        }
    }
}

/// What a tap and its recording share.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Microseconds of the daemon's clock at which it ended.
    pub(super) ended_at: AtomicU64,
    pub(super) is_over: AtomicBool,
    /// What is said now is not to be recorded.
    pub(super) is_paused: AtomicBool,
    /// The disk did not take it, and takes no more of it.
    pub(super) is_failed: AtomicBool,
    /// Reels that found no room.
    pub(super) lost: AtomicU64,
}

/// Listens to one call, on its relay thread. Dropping it ends the recording.
#[derive(Debug)]
pub struct Tap {
    call: u64,
    reel: Reel,
    handed_over_at: Instant,
    seen_at: Instant,
    lane: Arc<Lane>,
    jobs: SyncSender<Job>,
    spares: Spares,
}

impl Tap {
    pub(super) fn new(
        call: u64,
        now: Instant,
        lane: Arc<Lane>,
        jobs: SyncSender<Job>,
        spares: Spares,
    ) -> Self {
        let reel = spares.take();
        Self { call, reel, handed_over_at: now, seen_at: now, lane, jobs, spares }
    }

    /// When the recording began: tests speak from then on, however late they are run.
    #[cfg(test)]
    pub(super) fn began(&self) -> Instant {
        self.handed_over_at
    }

    /// Takes a packet as it came. Never waits; copies the payload.
    pub fn packet(
        &mut self,
        (side, at): (usize, Instant),
        (ssrc, timestamp): (Ssrc, u32),
        codec: Codec,
        payload: &[u8],
    ) {
        self.seen_at = at;
        if payload.is_empty() || self.is_paused() || self.has_failed() {
            return;
        }
        if !self.reel.push((side, at), (ssrc, timestamp), codec, payload) {
            self.hand_over(at);
            // A packet that no empty reel can hold is longer than any that a socket gives.
            self.reel.push((side, at), (ssrc, timestamp), codec, payload);
        }
    }

    /// Does the recorder take no more of it?
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lane.is_failed.load(Ordering::Relaxed)
    }

    /// Is what is said now not recorded?
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.lane.is_paused.load(Ordering::Relaxed)
    }

    /// To be called a few times a second: what lies here for a second goes on, be it nothing.
    pub fn tick(&mut self, now: Instant) {
        self.seen_at = now;
        if now.since(self.handed_over_at) >= REEL_TIME {
            self.hand_over(now);
        }
    }

    fn hand_over(&mut self, now: Instant) {
        self.handed_over_at = now;
        let mut reel = std::mem::replace(&mut self.reel, self.spares.take());
        reel.until = now;
        match self.jobs.try_send(Job::Reel(self.call, reel)) {
            Ok(()) => {}
            Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                self.lane.lost.fetch_add(1, Ordering::Relaxed);
                if let Job::Reel(_, mut reel) = job {
                    reel.clear();
                    self.reel = reel;
                }
            }
        }
    }
}

/// The call's end: whoever decides when nothing is to be recorded.
#[derive(Debug)]
pub struct TapControl(Arc<Lane>);

impl TapControl {
    pub(super) fn new(lane: Arc<Lane>) -> Self {
        Self(lane)
    }

    /// From now on what is said does, or does not, reach the recorder; a pause is silence of its length in the recording. It
    /// works at once, whatever waits in whose mailbox.
    pub fn pause(&self, is_paused: bool) {
        self.0.is_paused.store(is_paused, Ordering::Relaxed);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let now = self.seen_at;
        if !self.reel.is_empty() {
            self.hand_over(now);
        }
        let micros = now.as_micros();
        self.lane.ended_at.store(micros, Ordering::Relaxed);
        // The last reel is in the queue by now: who sees this finds it there.
        self.lane.is_over.store(true, Ordering::Release);
    }
}
