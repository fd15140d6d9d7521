//! How a leg's audio arrived: for the whole call and for its worst five seconds.

use std::time::Duration;

use super::rating::{Impairment, Network, Rating};
use super::stats::ReceptionTotals;
use crate::proto::time::Instant;

/// How long a stretch is that is judged by itself.
pub const STRETCH: Duration = Duration::from_secs(5);
/// Packets that a stretch must have had to be judged: half a second of 20 ms packets. Fewer are a pause, or a hold.
const JUDGED_MIN: u64 = 25;

/// What is known of the way that a leg's audio takes, beside the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// The codec, if its impairment is known.
    pub codec: Option<Impairment>,
    /// From us to the peer and back, if it was measured.
    pub round_trip: Option<Duration>,
}

/// How it arrived. Percentages are of the packets that should have come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sound {
    /// What never came.
    pub loss_percent: f32,
    /// The same of the worst stretch.
    pub loss_percent_worst: f32,
    /// The most packets that were missing in a row.
    pub longest_loss: u16,
    /// The mean over the stretches of the interarrival jitter, in microseconds.
    pub jitter_mean_us: u32,
    /// The most that it came to.
    pub jitter_max_us: u32,
    /// How the whole of it sounded; `None` without packets, or in a codec that is not rated.
    pub rating: Option<Rating>,
    /// How its worst stretch sounded.
    pub worst: Option<Rating>,
}

/// Judges stretch by stretch, and keeps sums and extremes only.
///
/// It looks at the sums of [`super::Reception`] a few times a second, so a packet pays nothing for it: what a packet pays is
/// there already, but for one comparison for the largest jitter and two additions for each gap.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    began: Option<Instant>,
    before: ReceptionTotals,
    stretches: u32,
    jitter_sum_us: u64,
    loss_percent_worst: f32,
    worst: Option<Rating>,
}

impl Listening {
    /// Is a stretch over? To be asked a few times a second.
    pub fn is_due(&mut self, now: Instant) -> bool {
        now.since(*self.began.get_or_insert(now)) >= STRETCH
    }

    /// Judges the stretch that is over by the sums so far.
    pub fn judge(&mut self, now: Instant, totals: &ReceptionTotals, line: &Line) {
        self.began = Some(now);
        let stretch = since(totals, &self.before);
        self.before = *totals;
        if stretch.expected < JUDGED_MIN {
            return;
        }
        self.stretches = self.stretches.saturating_add(1);
        self.jitter_sum_us = self.jitter_sum_us.saturating_add(totals.jitter_us.into());
        self.loss_percent_worst = self.loss_percent_worst.max(stretch.loss_percent());
        if let Some(rating) = rate(&stretch, totals.jitter_us, line) {
            self.worst = Some(self.worst.filter(|worst| worst.r <= rating.r).unwrap_or(rating));
        }
    }

    /// How it arrived so far.
    #[must_use]
    pub fn sound(&self, totals: &ReceptionTotals, line: &Line) -> Sound {
        let mean = self.jitter_sum_us.checked_div(self.stretches.into());
        let mean = mean.and_then(|mean| u32::try_from(mean).ok()).unwrap_or(totals.jitter_us);
        let rating = rate(totals, mean, line);
        let loss_percent = totals.loss_percent();
        Sound {
            loss_percent,
            // Shorter than a stretch, it is its own worst.
            loss_percent_worst: if self.stretches == 0 {
                loss_percent
            } else {
                self.loss_percent_worst
            },
            longest_loss: totals.longest_loss,
            jitter_mean_us: mean,
            jitter_max_us: totals.jitter_max_us,
            rating,
            worst: self.worst.or(rating),
        }
    }
}

/// What was added to the sums.
fn since(now: &ReceptionTotals, before: &ReceptionTotals) -> ReceptionTotals {
    ReceptionTotals {
        expected: now.expected.saturating_sub(before.expected),
        received: now.received.saturating_sub(before.received),
        loss_runs: now.loss_runs.saturating_sub(before.loss_runs),
        ..*now
    }
}

fn rate(totals: &ReceptionTotals, jitter_us: u32, line: &Line) -> Option<Rating> {
    let codec = line.codec.filter(|_| totals.expected > 0)?;
    let round_trip = line.round_trip.map_or(0.0, |span| span.as_secs_f32() * 1_000.0);
    // A receiver holds packets for about twice the jitter, and a packet is 20 ms long before it is sent.
    let jitter_ms = float(u64::from(jitter_us)) / 1_000.0;
    let delay_ms = round_trip / 2.0 + 2.0 * jitter_ms + 20.0;
    let loss_percent = totals.loss_percent();
    let runs = float(totals.loss_runs.max(1));
    let lost = float(u64::try_from(totals.lost()).unwrap_or_default());
    let burst_ratio = lost / runs * (1.0 - loss_percent / 100.0);
    Some(Rating::of(codec, &Network { loss_percent, burst_ratio, delay_ms }))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage of some millions")]
pub(super) const fn float(number: u64) -> f32 {
    number as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rtp::{Header, Reception, Ssrc};

    /// Twenty seconds of 20 ms packets, of which those are missing that `is_lost` names.
    fn heard(is_lost: impl Fn(u16) -> bool) -> Sound {
        let line = Line { codec: Impairment::of("PCMA"), round_trip: None };
        let (mut reception, mut listening) = (Reception::default(), Listening::default());
        let mut now = Instant::START;
        for sequence in 0..1_000_u16 {
            now += Duration::from_millis(20);
            if !is_lost(sequence) {
                let timestamp = u32::from(sequence) * 160;
                let header =
                    Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: Ssrc(1) };
                reception.packet(now, &header, 8_000);
            }
            if listening.is_due(now) {
                listening.judge(now, &reception.totals(), &line);
            }
        }
        listening.sound(&reception.totals(), &line)
    }

    /// Row 145.
    #[test]
    fn row_145_the_worst_five_seconds_are_told_beside_the_whole() {
        let clean = heard(|_| false);
        assert_eq!((clean.loss_percent, clean.longest_loss, clean.worst), (0.0, 0, clean.rating));
        assert!(clean.rating.unwrap().mos > 4.39);
        // A second of nothing in the third stretch.
        let hole = heard(|sequence| (600..650).contains(&sequence));
        assert_eq!((hole.loss_percent, hole.longest_loss), (5.0, 50));
        assert!((19.0..21.0).contains(&hole.loss_percent_worst), "{hole:?}");
        let (whole, worst) = (hole.rating.unwrap(), hole.worst.unwrap());
        assert!(whole.mos > worst.mos + 0.5 && worst.mos < 3.0, "{hole:?}");
        // The same loss spread evenly is heard less.
        let spread = heard(|sequence| sequence > 0 && sequence % 20 == 0);
        assert!(spread.rating.unwrap().r > whole.r, "{spread:?} {hole:?}");
        assert_eq!(spread.longest_loss, 1);
    }

    #[test]
    fn silence_and_unknown_codecs_are_not_rated() {
        let nothing = heard(|_| true);
        assert_eq!(nothing, Sound::default());
        let totals = ReceptionTotals { expected: 100, received: 100, ..ReceptionTotals::default() };
        let sound = Listening::default().sound(&totals, &Line::default());
        assert_eq!((sound.rating, sound.loss_percent), (None, 0.0));
    }
}
