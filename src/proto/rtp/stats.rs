//! What a leg receives: loss (RFC 3550 §A.3), jitter (§A.8), order.

use std::time::Duration;

use super::listening::float;
use super::packet::{Header, Ssrc};
use super::sequence::{Arrival, Sequence};
use crate::proto::time::Instant;

/// The reception of one leg, over all sources that it has had.
#[derive(Clone, Debug, Default)]
pub struct Reception {
    source: Option<Source>,
    /// Sources that are over.
    past: ReceptionTotals,
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: Ssrc,
    sequence: Sequence,
    received: u32,
    duplicates: u64,
    out_of_order: u64,
    loss_runs: u64,
    longest_loss: u16,
    jitter: Jitter,
}

/// Sums for a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionTotals {
    /// Packets that should have come, by their numbers.
    pub expected: u64,
    /// Packets that came, without duplicates.
    pub received: u64,
    /// Packets that came twice; they are not relayed.
    pub duplicates: u64,
    /// Packets that came after a later one.
    pub out_of_order: u64,
    /// How often the numbers had a gap.
    pub loss_runs: u64,
    /// The longest of those gaps, in packets.
    pub longest_loss: u16,
    /// Interarrival jitter, in microseconds.
    pub jitter_us: u32,
    /// The most that it came to.
    pub jitter_max_us: u32,
}

/// The source that is being received, as a report block tells of it (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its identifier.
    pub ssrc: Ssrc,
    /// Its newest number, with the wraps counted in the upper half.
    pub newest_extended: u32,
    /// Packets that should have come of it.
    pub expected: u32,
    /// Packets that came of it.
    pub received: u32,
    /// Interarrival jitter in its ticks.
    pub jitter_ticks: u32,
}

impl ReceptionTotals {
    /// Packets that never came. Signed: late packets of a source that has ended
    /// can make it negative (RFC 3550 §6.4.1).
    #[must_use]
    pub fn lost(&self) -> i64 {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        signed(self.expected).saturating_sub(signed(self.received))
    }

    /// The same as a report block carries it: 24 bits, clamped (RFC 3550 §A.3).
    #[must_use]
    pub fn lost_24_bit(&self) -> i32 {
        i32::try_from(self.lost().clamp(-0x80_0000, 0x7f_ffff)).unwrap_or_default()
    }

    /// What never came, in percent of what should have come.
    #[must_use]
    pub fn loss_percent(&self) -> f32 {
        let lost = u64::try_from(self.lost()).unwrap_or_default();
        100.0 * float(lost) / float(self.expected.max(1))
    }

    fn plus(self, other: Self) -> Self {
        Self {
            expected: self.expected.saturating_add(other.expected),
            received: self.received.saturating_add(other.received),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            out_of_order: self.out_of_order.saturating_add(other.out_of_order),
            loss_runs: self.loss_runs.saturating_add(other.loss_runs),
            longest_loss: self.longest_loss.max(other.longest_loss),
            jitter_us: other.jitter_us,
            jitter_max_us: self.jitter_max_us.max(other.jitter_max_us),
        }
    }
}

impl Reception {
    /// Takes a packet of the leg's peer. The first packet of a new source is
    /// trusted: the latch has already judged where it comes from.
    pub fn packet(&mut self, now: Instant, header: &Header, clock_rate: u32) -> Arrival {
        let source = match &mut self.source {
            Some(source) if source.ssrc == header.ssrc => source,
            _ => {
                self.past = self.totals();
                let mut source = Source::new(header);
                source.jitter.packet(now, header.timestamp, clock_rate);
                self.source = Some(source);
                return Arrival::Newer { missing: 0 };
            }
        };
        let expected = u64::from(source.sequence.expected());
        let arrival = source.sequence.packet(header.sequence);
        match arrival {
            Arrival::Restarted => {
                // The sequence has forgotten its base: keep what it stood for.
                self.past = self.past.plus(ReceptionTotals { expected, ..source.totals() });
                let mut source = Source::new(header);
                source.jitter.packet(now, header.timestamp, clock_rate);
                self.source = Some(source);
            }
            Arrival::Newer { missing } => {
                source.received = source.received.saturating_add(1);
                if missing > 0 {
                    source.loss_runs = source.loss_runs.saturating_add(1);
                    source.longest_loss = source.longest_loss.max(missing);
                }
                source.jitter.packet(now, header.timestamp, clock_rate);
            }
            Arrival::Late => {
                source.received = source.received.saturating_add(1);
                source.out_of_order = source.out_of_order.saturating_add(1);
            }
            Arrival::Duplicate => source.duplicates = source.duplicates.saturating_add(1),
            Arrival::Probation | Arrival::Jump => {}
        }
        arrival
    }

    /// The sums up to now.
    #[must_use]
    pub fn totals(&self) -> ReceptionTotals {
        self.source.as_ref().map_or(self.past, |source| self.past.plus(source.totals()))
    }

    /// The source that is being received, and its newest extended number.
    #[must_use]
    pub fn current(&self) -> Option<(Ssrc, u32)> {
        self.source.as_ref().map(|source| (source.ssrc, source.sequence.extended_max()))
    }

    /// What a report of ours says about that source.
    #[must_use]
    pub fn received(&self) -> Option<Received> {
        self.source.as_ref().map(|source| Received {
            ssrc: source.ssrc,
            newest_extended: source.sequence.extended_max(),
            expected: source.sequence.expected(),
            received: source.received,
            jitter_ticks: source.jitter.scaled >> 4,
        })
    }
}

impl Source {
    fn new(header: &Header) -> Self {
        Self {
            ssrc: header.ssrc,
            sequence: Sequence::trusted(header.sequence),
            received: 1,
            duplicates: 0,
            out_of_order: 0,
            loss_runs: 0,
            longest_loss: 0,
            jitter: Jitter::default(),
        }
    }

    fn totals(&self) -> ReceptionTotals {
        ReceptionTotals {
            expected: u64::from(self.sequence.expected()),
            received: u64::from(self.received),
            duplicates: self.duplicates,
            out_of_order: self.out_of_order,
            loss_runs: self.loss_runs,
            longest_loss: self.longest_loss,
            jitter_us: self.jitter.micros(self.jitter.scaled),
            jitter_max_us: self.jitter.micros(self.jitter.most),
        }
    }
}

/// The estimate of RFC 3550 §6.4.1, kept scaled by 16 as in §A.8.
#[derive(Clone, Debug, Default)]
struct Jitter {
    transit: Option<u32>,
    clock_rate: u32,
    scaled: u32,
    /// The most that it came to on this clock.
    most: u32,
}

impl Jitter {
    fn packet(&mut self, now: Instant, timestamp: u32, clock_rate: u32) {
        let transit = ticks(now.since(Instant::START), clock_rate).wrapping_sub(timestamp);
        if self.clock_rate != clock_rate {
            // Ticks of two clocks cannot be compared (RFC 7160 §4).
            self.clock_rate = clock_rate;
            self.transit = Some(transit);
            // Nor can their extremes.
            self.most = 0;
            return;
        }
        if let Some(before) = self.transit.replace(transit) {
            let difference = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            // A jump of the source's timestamps is no jitter.
            if difference < clock_rate {
                let decay = self.scaled.saturating_add(8) >> 4;
                self.scaled = self.scaled.saturating_add(difference).saturating_sub(decay);
                self.most = self.most.max(self.scaled);
            }
        }
    }

    fn micros(&self, scaled: u32) -> u32 {
        if self.clock_rate == 0 {
            return 0;
        }
        let micros = u64::from(scaled >> 4) * 1_000_000 / u64::from(self.clock_rate);
        u32::try_from(micros).unwrap_or(u32::MAX)
    }
}

/// A span in ticks of a clock, modulo 2^32 as timestamps are.
pub(super) fn ticks(span: Duration, clock_rate: u32) -> u32 {
    let ticks = span.as_micros().wrapping_mul(u128::from(clock_rate)) / 1_000_000;
    u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or_default()
}
