//! From packets to digits, whatever is lost, late or repeated (RFC 4733 §2.5.2).

use std::time::Duration;

use super::TelephoneEvent;
use crate::proto::rtp::packet::{Header, Ssrc};
use crate::proto::time::Instant;

/// An event of which nothing has been heard for this long is over: its ends are lost.
pub const EVENT_SILENCE: Duration = Duration::from_millis(300);
/// An event that goes on for longer is a stuck key, and over.
pub const EVENT_MAX: Duration = Duration::from_secs(60);

/// How far back a timestamp still is that of an earlier event, in seconds.
const EARLIER_SECONDS: u32 = 10;
/// What one segment of a long event lasts at most (RFC 4733 §2.5.1.3).
const SEGMENT: u32 = 0xffff;

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A key went down.
    Started {
        /// Its event.
        event: u8,
    },
    /// It is up again. Each start has exactly one end.
    Ended {
        /// Its event.
        event: u8,
        /// How long it was down, as far as that is known.
        duration: Duration,
    },
}

/// The events of one leg.
#[derive(Debug)]
pub struct Receiver {
    clock_rate: u32,
    ssrc: Option<Ssrc>,
    current: Option<Current>,
    /// The event and last timestamp of what ended last: its ends are repeated.
    ended: Option<(u8, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Current {
    event: u8,
    /// The timestamp of the segment that is under way; what came before it, in ticks.
    timestamp: u32,
    before: u64,
    duration: u16,
    sequence: u16,
    started: Instant,
    heard: Instant,
}

impl Receiver {
    /// For events whose timestamps count `clock_rate` a second, which is that of the
    /// audio they are in (RFC 4733 §2.1): 8000, 16,000, 48,000.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate: clock_rate.max(1), ssrc: None, current: None, ended: None }
    }

    /// Takes a packet of events. The marker is not looked at: it may be lost or missing.
    pub fn handle(
        &mut self,
        now: Instant,
        header: &Header,
        payload: &[u8],
        out: &mut Vec<Received>,
    ) {
        let Some(report) = TelephoneEvent::read(payload) else { return };
        if self.ssrc.replace(header.ssrc) != Some(header.ssrc) {
            self.end(out);
            self.ended = None;
        }
        self.handle_timeout(now, out);
        if self.is_over(&report, header.timestamp) {
            return;
        }
        let goes_on = self.current.as_mut().is_some_and(|c| c.goes_on(now, header, &report));
        if !goes_on {
            self.end(out);
            out.push(Received::Started { event: report.event });
            self.current = Some(Current {
                event: report.event,
                timestamp: header.timestamp,
                before: 0,
                duration: report.duration,
                sequence: header.sequence,
                started: now,
                heard: now,
            });
        }
        if report.is_end {
            self.end(out);
        }
    }

    /// When an event is over for want of packets.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        Some((current.heard + EVENT_SILENCE).min(current.started + EVENT_MAX))
    }

    /// Ends an event that nothing was heard of, or too much.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Received>) {
        if self.next_timeout().is_some_and(|at| at <= now) {
            self.end(out);
        }
    }

    /// Is it about an event that has ended: a repetition, or a packet that was overtaken?
    fn is_over(&mut self, report: &TelephoneEvent, timestamp: u32) -> bool {
        let is_earlier = |than: u32| {
            let back = than.wrapping_sub(timestamp);
            back != 0 && back < EARLIER_SECONDS.saturating_mul(self.clock_rate)
        };
        if let Some(current) = &self.current {
            return is_earlier(current.timestamp);
        }
        let Some((event, at)) = &mut self.ended else { return false };
        let is_same = *event == report.event;
        if is_same && timestamp.wrapping_sub(*at) == SEGMENT {
            // A stuck key that was ended goes on in further segments.
            *at = timestamp;
        }
        (is_same && *at == timestamp) || is_earlier(*at)
    }

    fn end(&mut self, out: &mut Vec<Received>) {
        let Some(current) = self.current.take() else { return };
        self.ended = Some((current.event, current.timestamp));
        let ticks = current.before.saturating_add(u64::from(current.duration));
        let micros = ticks.saturating_mul(1_000_000) / u64::from(self.clock_rate);
        out.push(Received::Ended { event: current.event, duration: Duration::from_micros(micros) });
    }
}

impl Current {
    /// Takes a report of the same event in; `false` if it is of another.
    fn goes_on(&mut self, now: Instant, header: &Header, report: &TelephoneEvent) -> bool {
        let step = header.timestamp.wrapping_sub(self.timestamp);
        let is_next_segment = step == SEGMENT;
        if report.event != self.event || (step != 0 && !is_next_segment) {
            return false;
        }
        let is_newer = header.sequence.wrapping_sub(self.sequence).cast_signed() > 0;
        if is_next_segment {
            self.before += u64::from(SEGMENT);
            (self.timestamp, self.duration) = (header.timestamp, report.duration);
        } else if is_newer && self.duration > 0xc000 && report.duration < 0x4000 {
            // Some count on over the wrap and keep the timestamp.
            self.before += 0x1_0000;
            self.duration = report.duration;
        } else {
            self.duration = self.duration.max(report.duration);
        }
        if is_newer {
            self.sequence = header.sequence;
        }
        self.heard = now;
        true
    }
}
