//! Reports of our own (RFC 3550 §6): about a stream that we make ourselves, and to a peer whose audio ends here.

use std::time::Duration;

use super::{RECEIVER_REPORT, SENDER_REPORT, Told, Writer, packets, source_description_of};
use crate::proto::rtp::{Received, Ssrc};
use crate::proto::time::Instant;

const BYE: u8 = 203;
/// The least time between reports (RFC 3550 §6.2), and before the first one half of it.
const INTERVAL_MIN: f32 = 5.0;
/// Octets a second that reports may take: 5 % of 64 kbit/s (RFC 3550 §6.2).
const BANDWIDTH: f32 = 400.0;
/// We and the peer.
const MEMBERS: f32 = 2.0;
/// What makes up for the reconsideration of the timer: e - 3/2 (RFC 3550 §6.3.1).
const COMPENSATION: f32 = 1.218_28;
/// Octets of a report with its UDP and IP header, before any is known.
const SIZE_GUESS: f32 = 128.0;
/// UDP and IP header.
const LOWER_LEN: f32 = 28.0;

/// The stream that we make, as a sender report tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Our identifier.
    pub ssrc: Ssrc,
    /// Its clock now; `None` if nothing was sent.
    pub timestamp: Option<u32>,
    /// Packets sent.
    pub packets: u32,
    /// Payload octets sent.
    pub octets: u32,
}

/// What one leg says in reports of its own, when, and how long the way to its peer is.
#[derive(Clone, Debug)]
pub struct Reporter {
    random: u32,
    next_at: Option<Instant>,
    has_reported: bool,
    average_size: f32,
    /// Packets sent as of the two reports before: what has sent nothing since is no sender (RFC 3550 §6.4).
    sent_before: [u32; 2],
    /// The source of the report before, with what should have come of it and what came.
    heard_before: Option<(Ssrc, u32, u32)>,
    /// The middle of the time in the last two sender reports that the peer was sent, and when they went: its report about one
    /// may cross the next one.
    sent: [Option<(u32, Instant)>; 2],
    /// The same of the last one that it sent.
    came: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
}

impl Reporter {
    /// With randomness of its own, so that no two legs report in step (RFC 3550 §6.2).
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        Self {
            random: seed,
            next_at: None,
            has_reported: false,
            average_size: SIZE_GUESS,
            sent_before: [0; 2],
            heard_before: None,
            sent: [None; 2],
            came: None,
            round_trip: None,
        }
    }

    /// The peer reported.
    pub fn told(&mut self, now: Instant, told: &Told, length: usize) {
        self.measure(length);
        if let Some(time) = told.sender_time {
            self.came = Some((time, now));
        }
        let Some(block) = told.about.filter(|block| block.last_report != 0) else { return };
        // When any other report of ours went is not known any more.
        let mut sent = self.sent.iter().flatten();
        if let Some((_, at)) = sent.find(|(time, _)| *time == block.last_report) {
            let held = Duration::from_micros(u64::from(block.delay) * 1_000_000 / 65_536);
            // Whoever held it for longer than it was away has no clock to be believed.
            self.round_trip = now.since(*at).checked_sub(held).or(self.round_trip);
        }
    }

    /// A report goes to the peer, ours or one that is translated. A sender report in it is what the peer's next one answers.
    pub fn went(&mut self, now: Instant, compound: &[u8]) {
        let told = packets(compound)
            .and_then(|mut all| all.find(|packet| packet.packet_type == SENDER_REPORT))
            .and_then(|packet| packet.body.get(6..10)?.first_chunk().copied());
        if let Some(time) = told {
            let [_, newer] = self.sent;
            self.sent = [newer, Some((u32::from_be_bytes(time), now))];
        }
    }

    /// From us to the peer and back by its latest report (RFC 3550 §6.4.1), if any has said it.
    #[must_use]
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Is a report due? While the leg has none of its own, the clock for it stands.
    pub fn is_due(&mut self, now: Instant, is_own: bool) -> bool {
        if !is_own {
            self.next_at = None;
            return false;
        }
        let at = match self.next_at {
            Some(at) => at,
            None => now + self.draw(),
        };
        self.next_at = Some(at);
        at <= now
    }

    /// Has the peer had reports of ours, so that it is to be told of the end?
    #[must_use]
    pub const fn has_reported(&self) -> bool {
        self.has_reported
    }

    /// Writes a compound packet: a sender report if anything was sent of late, else a receiver report, our name, and at the
    /// end a BYE. Returns its length; `None` if `out` is too small.
    pub fn write(
        &mut self,
        now: Instant,
        stream: &Stream,
        heard: Option<Received>,
        (cname, is_bye): (&str, bool),
        out: &mut [u8],
    ) -> Option<usize> {
        let mut w = Writer { out, length: 0 };
        let [older, _] = self.sent_before;
        let sends = stream.timestamp.filter(|_| stream.packets != older);
        let header = w.begin(if sends.is_some() { SENDER_REPORT } else { RECEIVER_REPORT })?;
        w.number(stream.ssrc.0)?;
        if let Some(timestamp) = sends {
            let (seconds, fraction) = clock(now);
            w.number(seconds)?;
            w.number(fraction)?;
            w.number(timestamp)?;
            w.number(stream.packets)?;
            w.number(stream.octets)?;
        }
        if let Some(heard) = heard {
            self.block(now, &heard, &mut w)?;
        }
        w.end(header, u8::from(heard.is_some()))?;
        source_description_of(stream.ssrc, cname, &mut w)?;
        if is_bye {
            let header = w.begin(BYE)?;
            w.number(stream.ssrc.0)?;
            w.end(header, 1)?;
        }
        let length = w.length;
        let [_, newer] = self.sent_before;
        self.sent_before = [newer, stream.packets];
        self.heard_before = heard.map(|heard| (heard.ssrc, heard.expected, heard.received));
        self.has_reported = true;
        self.measure(length);
        self.next_at = Some(now + self.draw());
        Some(length)
    }

    /// The report block about the peer's stream (RFC 3550 §A.3).
    fn block(&self, now: Instant, heard: &Received, w: &mut Writer<'_>) -> Option<()> {
        let known = self.heard_before.filter(|(ssrc, ..)| *ssrc == heard.ssrc);
        let (_, expected, received) = known.unwrap_or((heard.ssrc, 0, 0));
        let expected = i64::from(heard.expected.saturating_sub(expected));
        let received = i64::from(heard.received.saturating_sub(received));
        let fraction = match expected.saturating_sub(received) {
            lost if lost > 0 => lost.saturating_mul(256).checked_div(expected).unwrap_or_default(),
            _ => 0,
        };
        let lost = i64::from(heard.expected).saturating_sub(heard.received.into());
        let [.., l0, l1, l2] = lost.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
        w.number(heard.ssrc.0)?;
        w.bytes(&[u8::try_from(fraction).unwrap_or(u8::MAX), l0, l1, l2])?;
        w.number(heard.newest_extended)?;
        w.number(heard.jitter_ticks)?;
        let (time, held) =
            self.came.map_or((0, Duration::ZERO), |(time, at)| (time, now.since(at)));
        w.number(time)?;
        let held = held.as_micros().saturating_mul(65_536) / 1_000_000;
        w.number(u32::try_from(held).unwrap_or(u32::MAX))
    }

    fn measure(&mut self, length: usize) {
        let size = u16::try_from(length).map_or(f32::from(u16::MAX), f32::from) + LOWER_LEN;
        self.average_size += (size - self.average_size) / 16.0;
    }

    /// How long until the next report.
    fn draw(&mut self) -> Duration {
        self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [hi, lo, ..] = self.random.to_be_bytes();
        let part = f32::from(u16::from_be_bytes([hi, lo])) / 65_536.0;
        interval(self.average_size, self.has_reported, part)
    }
}

/// The interval of RFC 3550 §6.3.1 for two members; `part` is random, from 0 to 1.
fn interval(average_size: f32, has_reported: bool, part: f32) -> Duration {
    let least = if has_reported { INTERVAL_MIN } else { INTERVAL_MIN / 2.0 };
    let by_bandwidth = MEMBERS * average_size / BANDWIDTH;
    Duration::from_secs_f32(least.max(by_bandwidth) * (0.5 + part) / COMPENSATION)
}

/// Our clock as reports have it: seconds and their fraction. It counts from the daemon's start, which is as good as any begin
/// for round trips (RFC 3550 §4).
fn clock(now: Instant) -> (u32, u32) {
    let micros = now.as_micros();
    // Not from zero, which would say that there was no report.
    let seconds = (micros / 1_000_000).wrapping_add(1) & u64::from(u32::MAX);
    let fraction = (micros % 1_000_000) * (1 << 32) / 1_000_000;
    (u32::try_from(seconds).unwrap_or_default(), u32::try_from(fraction).unwrap_or_default())
}

#[cfg(test)]
mod tests;
