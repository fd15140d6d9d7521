//! Digits that cross with a conversion: packet by packet, on the clock of the other codec.

use std::time::Duration;

use crate::proto::time::Instant;

/// What is left of a digit whose end is lost: after this long without a packet it is over.
const SILENT_MAX: Duration = Duration::from_millis(200);

/// One packet's report of a digit (RFC 4733 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    event: u8,
    flags: u8,
    /// In the ticks of the way out.
    pub(super) duration: u16,
}

impl Report {
    pub(super) fn read(payload: &[u8], (from_rate, to_rate): (u32, u32)) -> Option<Self> {
        let &[event, flags, high, low, ..] = payload else { return None };
        let duration = u64::from(u16::from_be_bytes([high, low]));
        let duration = duration * u64::from(to_rate) / u64::from(from_rate.max(1));
        Some(Self { event, flags, duration: u16::try_from(duration).unwrap_or(u16::MAX) })
    }

    pub(super) fn bytes(self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.event, self.flags, high, low]
    }

    fn is_end(self) -> bool {
        self.flags & 0x80 != 0
    }
}

/// A digit that is being passed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digit {
    /// When it began.
    pub(super) began: Instant,
    /// The timestamp of its packets on the way in.
    pub(super) timestamp: u32,
    /// And on the way out.
    pub(super) out_timestamp: u32,
    heard_at: Instant,
    duration: u16,
    is_over: bool,
}

impl Digit {
    pub(super) fn begin(now: Instant, timestamp: u32, out_timestamp: u32) -> Self {
        Self { began: now, timestamp, out_timestamp, heard_at: now, duration: 0, is_over: false }
    }

    /// Does this one come after the one that began then?
    pub(super) fn is_after(&self, timestamp: u32) -> bool {
        self.timestamp.wrapping_sub(timestamp).cast_signed() > 0
    }

    /// A packet of it came; is it to be passed on? Not if it is older than one that was: its end is told three times, and
    /// nothing that comes after an end takes it back.
    pub(super) fn heard(self, now: Instant, report: &Report) -> (Self, bool) {
        let is_new = if self.is_over { report.is_end() } else { report.duration >= self.duration };
        let digit = Self {
            heard_at: now,
            duration: self.duration.max(report.duration),
            is_over: self.is_over || report.is_end(),
            ..self
        };
        (digit, is_new)
    }

    /// Is the key still down?
    pub(super) fn is_on(&self, now: Instant) -> bool {
        !self.is_over && now.since(self.heard_at) < SILENT_MAX
    }
}
