//! What a codec without a concealment of its own plays for a packet that is lost: the
//! last waveform again, period by period, fading out; in the spirit of ITU-T G.711
//! Appendix I, but without its delay.

use super::saturate;

/// How much of what was played is kept: two periods of the lowest voice and more.
const HISTORY_MS: usize = 50;
/// Periods that are looked for: voices of 66 to 200 Hz.
const PERIOD_MIN_MS: usize = 5;
const PERIOD_MAX_MS: usize = 15;
/// The length over which two periods are compared.
const WINDOW_MS: usize = 20;
/// After this much the concealment begins to fade, and from `SILENT_MS` it is silence:
/// longer, a waveform is a hum that nobody spoke.
const STEADY_MS: usize = 10;
const SILENT_MS: usize = 60;
/// Over how much one waveform turns into the other; after a long loss more.
const OVERLAP_MS: usize = 4;
const OVERLAP_MAX_MS: usize = 10;
/// How many samples a second periods are first compared at.
const COARSE_RATE: usize = 4_000;

/// One in fixed point.
const ONE: i32 = 1 << 14;

/// The concealment of one source.
#[derive(Debug)]
pub(super) struct Concealment {
    /// Samples in a millisecond.
    millisecond: usize,
    /// Compared samples lie this far apart, at first.
    coarse: usize,
    /// What was played last, the newest at the end.
    history: Box<[i16]>,
    /// Samples since the last one that was received.
    lost: usize,
    /// The period that is repeated, and where in it we are.
    period: Vec<i16>,
    at: usize,
    /// The last samples, backwards: while the period comes in the waveform turns back, so
    /// there is no step where the loss begins.
    mirror: Vec<i16>,
}

impl Concealment {
    /// For `rate` samples a second, 8000 to 48,000.
    pub(super) fn new(rate: u32) -> Self {
        let rate = usize::try_from(rate).unwrap_or(48_000).max(8_000);
        let millisecond = rate / 1000;
        Self {
            millisecond,
            coarse: rate / COARSE_RATE,
            history: vec![0; HISTORY_MS * millisecond].into(),
            lost: 0,
            period: Vec::with_capacity(PERIOD_MAX_MS * millisecond),
            at: 0,
            mirror: Vec::with_capacity(OVERLAP_MS * millisecond),
        }
    }

    /// Takes samples that were received. If some were lost before, the first of them are
    /// blended with what the concealment would have gone on with.
    pub(super) fn received(&mut self, samples: &mut [i16]) {
        if self.lost > 0 {
            let more = self.lost / (10 * self.millisecond) * OVERLAP_MS;
            let overlap = (OVERLAP_MS + more).min(OVERLAP_MAX_MS) * self.millisecond;
            let overlap = overlap.min(samples.len());
            for (index, sample) in samples.iter_mut().take(overlap).enumerate() {
                *sample = blend(self.next(), *sample, index, overlap);
            }
            self.lost = 0;
        }
        self.remember(samples);
    }

    /// Appends `samples` of concealment.
    pub(super) fn conceal(&mut self, samples: usize, out: &mut Vec<i16>) {
        let begin = out.len();
        out.reserve(samples);
        if self.lost == 0 && samples > 0 {
            self.find_period();
        }
        for _ in 0..samples {
            let index = self.lost;
            let next = self.next();
            out.push(match self.mirror.get(index) {
                Some(before) => blend(*before, next, index, self.mirror.len()),
                None => next,
            });
        }
        self.remember(&out[begin..]);
    }

    /// The next sample of the concealment.
    fn next(&mut self) -> i16 {
        let steady = STEADY_MS * self.millisecond;
        let silent = SILENT_MS * self.millisecond;
        let lost = self.lost;
        self.lost = self.lost.saturating_add(1);
        if lost >= silent || self.period.is_empty() {
            return 0;
        }
        let sample = self.period[self.at];
        self.at = (self.at + 1) % self.period.len();
        blend(sample, 0, lost.saturating_sub(steady), silent - steady)
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = self.history.len();
        let kept = samples.len().min(length);
        self.history.copy_within(kept.., 0);
        self.history[length - kept..].copy_from_slice(&samples[samples.len() - kept..]);
    }

    /// Lays the last period aside, with an end that leads to its beginning.
    fn find_period(&mut self) {
        let length = self.best_period();
        let end = self.history.len();
        self.period.clear();
        self.period.extend_from_slice(&self.history[end - length..]);
        let overlap = length / 4;
        let before = &self.history[end - length - overlap..end - length];
        let tail = &mut self.period[length - overlap..];
        for (index, (sample, before)) in tail.iter_mut().zip(before).enumerate() {
            *sample = blend(*sample, *before, index, overlap);
        }
        self.at = 0;
        self.mirror.clear();
        let newest_first = self.history.iter().rev().skip(1);
        self.mirror.extend(newest_first.take(OVERLAP_MS * self.millisecond));
    }

    /// The period after which the last 20 ms are most like what was before them.
    fn best_period(&self) -> usize {
        let (min, max) = (PERIOD_MIN_MS * self.millisecond, PERIOD_MAX_MS * self.millisecond);
        let coarse = self.best_of((min..=max).step_by(self.coarse), self.coarse, max);
        let (min, max) = ((coarse - self.coarse).max(min), (coarse + self.coarse).min(max));
        self.best_of(min..=max, 1, coarse)
    }

    fn best_of(
        &self,
        periods: impl Iterator<Item = usize>,
        step: usize,
        otherwise: usize,
    ) -> usize {
        let mut best = (0.0, otherwise);
        for period in periods {
            let likeness = self.likeness(period, step);
            if likeness > best.0 {
                best = (likeness, period);
            }
        }
        best.1
    }

    /// The correlation of the last samples with those a period before, squared and over
    /// the energy of the latter; 0 if they are opposite.
    fn likeness(&self, period: usize, step: usize) -> f64 {
        let end = self.history.len();
        let begin = end - WINDOW_MS * self.millisecond;
        let now = self.history[begin..].iter().step_by(step);
        let before = self.history[begin - period..end - period].iter().step_by(step);
        let (mut both, mut energy) = (0_i64, 1_i64);
        for (now, before) in now.zip(before) {
            both += i64::from(*now) * i64::from(*before);
            energy += i64::from(*before) * i64::from(*before);
        }
        let both = both.max(0) as f64;
        both * both / energy as f64
    }
}

/// The sample at `index` of `length` on the way from one waveform to the other.
fn blend(from: i16, to: i16, index: usize, length: usize) -> i16 {
    let share = (index.min(length) << 14).checked_div(length);
    let share = share.and_then(|share| i32::try_from(share).ok()).unwrap_or(ONE);
    saturate((i32::from(from) * (ONE - share) + i32::from(to) * share) >> 14)
}
