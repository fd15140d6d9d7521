//! From digits to packets (RFC 4733 §2.5.1): one timestamp for each, a duration that
//! grows, an end that is repeated, and a pause before the next.

use std::collections::VecDeque;
use std::time::Duration;

use super::{KEYS, TelephoneEvent};
use crate::proto::time::Instant;

/// From one packet of an event to the next.
pub const UPDATE: Duration = Duration::from_millis(20);
/// How often the last packet is sent (RFC 4733 §2.5.1.4).
pub const END_PACKETS: u8 = 3;
/// A shorter digit is made this long: what ITU-T Q.24 has receivers know for certain.
pub const DIGIT_MIN: Duration = Duration::from_millis(40);
/// A longer one is cut.
pub const DIGIT_MAX: Duration = Duration::from_secs(10);
/// From the end of one digit to the next: more than the 40 ms of ITU-T Q.24, so that the
/// repetitions of the end are over.
pub const PAUSE: Duration = Duration::from_millis(60);
/// Digits that wait; a further one is refused.
pub const DIGITS_MAX: usize = 64;

/// Power of the digits, in dBm0 without its sign.
const VOLUME: u8 = 10;
/// What one segment of a long event lasts at most (RFC 4733 §2.5.1.3).
const SEGMENT: u64 = 0xffff;

/// A packet to be sent, with the next sequence number of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    /// Set on the first packet of an event.
    pub marker: bool,
    /// The start of the event or of its segment.
    pub timestamp: u32,
    /// What follows the header.
    pub payload: [u8; 4],
}

/// Why a digit is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// It is none of the keys, and not a flash.
    NotAKey,
    /// [`DIGITS_MAX`] are waiting.
    Full,
}

/// The digits of one leg. Audio is muted while [`Sender::is_muted`].
#[derive(Debug)]
pub struct Sender {
    clock_rate: u64,
    waiting: VecDeque<(u8, Duration)>,
    current: Option<Current>,
    /// Before this no other may begin.
    free_at: Instant,
    /// A moment and what the stream's timestamp was then.
    anchor: (Instant, u32),
}

#[derive(Clone, Copy, Debug)]
struct Current {
    event: u8,
    started: Instant,
    timestamp: u32,
    duration: Duration,
    /// When the next packet is sent, and whether one was.
    next: Instant,
    is_first: bool,
    segment: u64,
    ends: u8,
}

impl Sender {
    /// For a stream whose timestamps count `clock_rate` a second.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: u64::from(clock_rate.max(1)),
            waiting: VecDeque::new(),
            current: None,
            free_at: Instant::START,
            anchor: (Instant::START, 0),
        }
    }

    /// Sends an event for `duration`, after those that wait. `timestamp` is what audio
    /// would have at `now`, so that the row of timestamps goes on.
    ///
    /// # Errors
    ///
    /// [`SendError::NotAKey`] and [`SendError::Full`]; nothing is sent then.
    pub fn send(
        &mut self,
        now: Instant,
        timestamp: u32,
        event: u8,
        duration: Duration,
    ) -> Result<(), SendError> {
        if usize::from(event) >= KEYS.len() && event != super::FLASH {
            return Err(SendError::NotAKey);
        }
        if self.waiting.len() >= DIGITS_MAX {
            return Err(SendError::Full);
        }
        if self.current.is_none() && self.waiting.is_empty() {
            self.anchor = (now, timestamp);
        }
        self.waiting.push_back((event, duration.clamp(DIGIT_MIN, DIGIT_MAX)));
        self.begin(now);
        Ok(())
    }

    /// Is an event under way, so that no audio may be sent (RFC 4733 §2.5.1)?
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.current.is_some()
    }

    /// When the next packet is to be sent, or the next digit begins.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        match &self.current {
            Some(current) => Some(current.next),
            None => self.waiting.front().map(|_| self.free_at),
        }
    }

    /// Puts out the packets whose time has come.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<EventPacket>) {
        while let Some(at) = self.next_timeout().filter(|at| *at <= now) {
            match &mut self.current {
                None => self.begin(at),
                Some(current) => {
                    current.packet(self.clock_rate, out);
                    if current.ends >= END_PACKETS {
                        self.free_at = current.started + current.duration + PAUSE;
                        self.current = None;
                    }
                }
            }
        }
    }

    /// Begins with the next digit, if it may begin now.
    fn begin(&mut self, now: Instant) {
        if self.current.is_some() || now < self.free_at {
            return;
        }
        let Some((event, duration)) = self.waiting.pop_front() else { return };
        let (then, timestamp) = self.anchor;
        let passed = ticks(now.since(then), self.clock_rate);
        self.current = Some(Current {
            event,
            started: now,
            timestamp: low(u64::from(timestamp).wrapping_add(passed)),
            duration,
            next: now + UPDATE,
            is_first: true,
            segment: 0,
            ends: 0,
        });
    }
}

impl Current {
    /// The packet that is due, and before it the last of a segment that is full.
    fn packet(&mut self, clock_rate: u64, out: &mut Vec<EventPacket>) {
        let lasted = self.next.since(self.started).min(self.duration);
        let is_end = lasted == self.duration;
        let ticks = ticks(lasted, clock_rate);
        while ticks > (self.segment + 1) * SEGMENT {
            self.report(SEGMENT, false, out);
            self.segment += 1;
        }
        self.report(ticks - self.segment * SEGMENT, is_end, out);
        self.ends += u8::from(is_end);
        let next = self.next + UPDATE;
        let end = self.started + self.duration;
        self.next = if self.next < end { next.min(end) } else { next };
    }

    fn report(&mut self, duration: u64, is_end: bool, out: &mut Vec<EventPacket>) {
        let duration = u16::try_from(duration).unwrap_or(u16::MAX);
        let report = TelephoneEvent { event: self.event, is_end, volume: VOLUME, duration };
        let timestamp = low(u64::from(self.timestamp) + self.segment * SEGMENT);
        out.push(EventPacket { marker: self.is_first, timestamp, payload: report.write() });
        self.is_first = false;
    }
}

fn ticks(span: Duration, clock_rate: u64) -> u64 {
    let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    micros.saturating_mul(clock_rate) / 1_000_000
}

/// Timestamps wrap.
fn low(ticks: u64) -> u32 {
    u32::try_from(ticks & u64::from(u32::MAX)).unwrap_or(0)
}
