//! Digits as sounds in the audio: heard by Goertzel's filters and made. The figures are
//! those of ITU-T Q.23 and Q.24.

use super::tone::{Oscillator, ramp, sample};

/// The frequencies of the rows and the columns (ITU-T Q.23).
const ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// The events of RFC 4733 §3.2 by row and column.
const EVENTS: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

/// Samples of a block at 8 kHz: 12.75 ms. One begins in the middle of each other.
const BLOCK: u32 = 102;
/// Blocks in a row that have a digit before it is believed. Four, of which the first and
/// the last may have two thirds of it, lie within any 40 ms, which has to be heard, and
/// within no 23, which must not be.
const BELIEVED: u8 = 4;
/// Blocks in a row that do not have it before it is over: more than an interruption of
/// 10 ms spoils, and fewer than a pause of 40 ms does.
const MISSED: u8 = 4;
/// The quietest tone, -33 dBm0, as the mean square of its samples.
const QUIETEST: f32 = 130_000.0;
/// How much louder a column may be than its row, 4 dB, and a row than its column, 8 dB
/// (ITU-T Q.24, the figures of AT&T); here with a margin of 1 dB.
const TWIST: f32 = 3.2;
const REVERSE_TWIST: f32 = 8.0;
/// How much louder a frequency is than the others of its group: 7 dB.
const APART: f32 = 5.0;
/// The share of the whole power that the two frequencies have. Speech has it spread, and
/// that is what keeps digits from being heard in it.
const SHARE: f32 = 0.68;
/// How far the power of a tone may move from one block to the next: 6 dB. A voice's does.
const STEADY: f32 = 4.0;

/// Blocks after a loss that say nothing where they do not have the digit: decoders with a memory need as long to be right again.
const SPOILT: u8 = 4;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A digit began; about 32 ms of it are over.
    Started {
        /// Its event (RFC 4733 §3.2).
        event: u8,
    },
    /// It is over.
    Ended {
        /// Its event.
        event: u8,
        /// How many samples it lasted, within a block.
        samples: u64,
    },
}

/// Hears digits in the audio of one leg.
#[derive(Clone, Debug)]
pub struct DtmfDetector {
    /// One is half a block behind the other.
    banks: [Bank; 2],
    block: u32,
    /// What the last block had, and its power.
    last: Option<(u8, f32)>,
    /// How many blocks in a row had it, and how many since were without the digit.
    hits: u8,
    misses: u8,
    /// Blocks that may still be spoilt by what was lost before them.
    spoilt: u8,
    /// The digit that is under way, and how many half blocks it has lasted.
    current: Option<(u8, u64)>,
}

impl DtmfDetector {
    /// For `rate` samples a second: 8000, 16,000, 48,000.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        let block = (rate * BLOCK / 8_000).max(2);
        let bank = Bank::new(rate);
        let behind = Bank { at: block / 2, ..bank };
        let banks = [bank, behind];
        Self { banks, block, last: None, hits: 0, misses: 0, spoilt: 0, current: None }
    }

    /// Listens to samples and appends what is heard.
    pub fn listen(&mut self, samples: &[i16], out: &mut Vec<Heard>) {
        for sample in samples {
            let value = f32::from(*sample);
            for index in 0..self.banks.len() {
                let bank = &mut self.banks[index];
                bank.push(value);
                if bank.at >= self.block {
                    let digit = bank.finish();
                    self.follow(digit, out);
                }
            }
        }
    }

    /// So many samples were lost, and what is played in their place says nothing: a digit that is under way goes on, and one
    /// that is about to be believed is neither nearer nor further.
    pub fn skip(&mut self, samples: usize) {
        self.spoilt = SPOILT;
        for (index, bank) in self.banks.iter_mut().enumerate() {
            bank.begin_anew(if index == 0 { 0 } else { self.block / 2 });
        }
        if let Some((_, blocks)) = &mut self.current {
            *blocks += samples as u64 / u64::from(self.block / 2);
        }
    }

    fn follow(&mut self, heard: Option<(u8, f32)>, out: &mut Vec<Heard>) {
        if self.spoilt > 0 {
            self.spoilt -= 1;
            if heard.is_none() {
                // It tells of the loss, and of no digit.
                if let Some((_, blocks)) = &mut self.current {
                    *blocks += 1;
                }
                return;
            }
        }
        let is_steady = match (heard, self.last) {
            (Some((event, power)), Some((last, before))) => {
                event == last && power < before * STEADY && before < power * STEADY
            }
            _ => false,
        };
        self.hits = match heard {
            Some(_) if is_steady => self.hits.saturating_add(1),
            Some(_) => 1,
            None => 0,
        };
        self.last = heard;
        if let Some((event, blocks)) = &mut self.current {
            *blocks += 1;
            if heard.is_some_and(|(heard, _)| heard == *event) {
                self.misses = 0;
                return;
            }
            self.misses += 1;
            if self.misses >= MISSED {
                let samples = (*blocks - u64::from(MISSED)) * u64::from(self.block / 2);
                out.push(Heard::Ended { event: *event, samples });
                self.current = None;
            }
        }
        let Some((event, _)) = heard.filter(|_| self.current.is_none()) else { return };
        if self.hits >= BELIEVED {
            out.push(Heard::Started { event });
            // The first of them is a whole block.
            self.current = Some((event, u64::from(BELIEVED) + 1));
            self.misses = 0;
        }
    }
}

/// The loudest of a group and its power, if it stands out.
fn loudest(powers: &[f32]) -> Option<(usize, f32)> {
    let (index, power) = powers.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    let is_apart = |(other, theirs): (usize, &f32)| other == index || *power >= theirs * APART;
    powers.iter().enumerate().all(is_apart).then_some((index, *power))
}

/// The filters over one block.
#[derive(Clone, Copy, Debug)]
struct Bank {
    filters: [Goertzel; 8],
    energy: f32,
    /// Samples of the block that are over.
    at: u32,
}

impl Bank {
    fn new(rate: u32) -> Self {
        let [r0, r1, r2, r3] = ROWS;
        let [c0, c1, c2, c3] = COLUMNS;
        let filters = [r0, r1, r2, r3, c0, c1, c2, c3].map(|hertz| Goertzel::new(hertz, rate));
        Self { filters, energy: 0.0, at: 0 }
    }

    fn push(&mut self, value: f32) {
        self.energy += value * value;
        for filter in &mut self.filters {
            filter.push(value);
        }
        self.at += 1;
    }

    fn begin_anew(&mut self, at: u32) {
        for filter in &mut self.filters {
            (filter.newest, filter.before) = (0.0, 0.0);
        }
        (self.at, self.energy) = (at, 0.0);
    }

    /// What the block had: an event and its power.
    fn finish(&mut self) -> Option<(u8, f32)> {
        let length = self.at as f32;
        let powers = self.filters.each_mut().map(|filter| filter.take(length));
        let whole = self.energy / length;
        (self.at, self.energy) = (0, 0.0);
        let (rows, columns) = powers.split_at(4);
        let (row, row_power) = loudest(rows)?;
        let (column, column_power) = loudest(columns)?;
        let is_twisted =
            column_power > row_power * TWIST || row_power > column_power * REVERSE_TWIST;
        let is_quiet = row_power.min(column_power) < QUIETEST;
        let power = row_power + column_power;
        if is_twisted || is_quiet || power < whole * SHARE {
            return None;
        }
        Some((EVENTS[row][column], power))
    }
}

/// The power of one frequency in a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goertzel {
    factor: f32,
    newest: f32,
    before: f32,
}

impl Goertzel {
    pub(super) fn new(hertz: f32, rate: u32) -> Self {
        let step = std::f32::consts::TAU * hertz / rate.max(1) as f32;
        Self { factor: 2.0 * step.cos(), newest: 0.0, before: 0.0 }
    }

    pub(super) fn push(&mut self, value: f32) {
        let next = value + self.factor * self.newest - self.before;
        (self.newest, self.before) = (next, self.newest);
    }

    /// The mean square of that frequency's part, and begins anew.
    pub(super) fn take(&mut self, length: f32) -> f32 {
        let (newest, before) = (self.newest, self.before);
        (self.newest, self.before) = (0.0, 0.0);
        let square = newest * newest + before * before - self.factor * newest * before;
        2.0 * square / (length * length)
    }
}

/// Makes digits, for peers that take them in no other way.
#[derive(Clone, Debug)]
pub struct DtmfGenerator {
    rate: u32,
    tones: [Oscillator; 2],
    at: u32,
    length: u32,
    whole: u32,
}

impl DtmfGenerator {
    /// A digit of `tone_ms` and the pause of `pause_ms` after it; `None` if the event is
    /// no key. ITU-T Q.24 wants 40 ms of each at least.
    #[must_use]
    pub fn new(event: u8, tone_ms: u16, pause_ms: u16, rate: u32) -> Option<Self> {
        let place = |row: usize| EVENTS[row].iter().position(|known| *known == event);
        let (row, column) = (0..4).find_map(|row| place(row).map(|column| (row, column)))?;
        let tones = [ROWS[row], COLUMNS[column]].map(|hertz| Oscillator::new(hertz, rate));
        let samples = |ms: u16| u32::from(ms) * (rate / 100) / 10;
        let length = samples(tone_ms);
        Some(Self { rate, tones, at: 0, length, whole: length + samples(pause_ms) })
    }

    /// Appends up to `samples` more, and says how many: fewer when it is over.
    pub fn play(&mut self, samples: usize, out: &mut Vec<i16>) -> usize {
        // -9 dBm0 for the row and -7 for the column, as ETSI ES 201 235-2 has it.
        const LEVELS: [f32; 2] = [8_095.0, 10_190.0];
        let left = usize::try_from(self.whole - self.at).unwrap_or(0);
        let samples = samples.min(left);
        out.reserve(samples);
        for _ in 0..samples {
            let loudness = ramp(self.at, self.length, self.rate / 500);
            let [row, column] = &mut self.tones;
            let wave = row.next() * LEVELS[0] + column.next() * LEVELS[1];
            out.push(sample(wave * loudness));
            self.at += 1;
        }
        samples
    }
}
