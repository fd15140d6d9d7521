//! What a caller hears of a call: tones and cadences by country (ITU-T E.180 and its
//! Supplement 2), rendered without clicks.

use std::f32::consts::{PI, TAU};

/// Power of a tone, all its frequencies together: -13 dBm0, as an amplitude of one sine.
/// The loudest sine of 16 bits has 3.14 dBm0 (ITU-T G.711 §4).
const LEVEL: f32 = 5_108.0;
/// How long a tone takes to come and to go. Without, there would be a click.
const RAMP_MS: u32 = 5;

/// What the tone says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The other side is rung.
    Ringback,
    /// It is busy.
    Busy,
    /// There is no way to it.
    Congestion,
    /// Another call waits.
    Waiting,
}

/// Whose tones they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Country {
    /// Mainland China.
    Cn,
    /// The United States and Canada.
    Us,
    /// The United Kingdom.
    Uk,
    /// Germany.
    De,
    /// France.
    Fr,
    /// Japan.
    Jp,
    /// Australia.
    Au,
}

impl Country {
    /// By two letters, in any case; the United Kingdom is also `gb`.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        const CODES: [(&str, Country); 8] = [
            ("cn", Country::Cn),
            ("us", Country::Us),
            ("uk", Country::Uk),
            ("gb", Country::Uk),
            ("de", Country::De),
            ("fr", Country::Fr),
            ("jp", Country::Jp),
            ("au", Country::Au),
        ];
        let known = CODES.iter().find(|(known, _)| code.eq_ignore_ascii_case(known));
        known.map(|(_, country)| *country)
    }
}

/// How a tone sounds while it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// One frequency in hertz.
    One(u16),
    /// Two at once, equally loud.
    Two(u16, u16),
    /// The first, whose loudness comes and goes with the second.
    Modulated(u16, u16),
}

/// A tone with its cadence: milliseconds of sound and of silence, in turn, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tone {
    /// What sounds.
    pub sound: Sound,
    /// Pairs of sound and silence.
    pub cadence: &'static [(u16, u16)],
}

const fn tone(sound: Sound, cadence: &'static [(u16, u16)]) -> Tone {
    Tone { sound, cadence }
}

impl Tone {
    /// The tone of a country for a signal.
    #[must_use]
    pub const fn of(country: Country, signal: Signal) -> Self {
        use Country::{Au, Cn, De, Fr, Jp, Uk, Us};
        use Signal::{Busy, Congestion, Ringback, Waiting};
        use Sound::{Modulated, One, Two};
        match (country, signal) {
            (Cn, Ringback) => tone(One(450), &[(1_000, 4_000)]),
            (Cn, Busy) => tone(One(450), &[(350, 350)]),
            (Cn, Congestion) => tone(One(450), &[(700, 700)]),
            (Cn, Waiting) => tone(One(450), &[(400, 4_000)]),
            (Us, Ringback) => tone(Two(440, 480), &[(2_000, 4_000)]),
            (Us, Busy) => tone(Two(480, 620), &[(500, 500)]),
            (Us, Congestion) => tone(Two(480, 620), &[(250, 250)]),
            (Us, Waiting) => tone(One(440), &[(300, 10_000)]),
            (Uk, Ringback) => tone(Two(400, 450), &[(400, 200), (400, 2_000)]),
            (Uk, Busy) => tone(One(400), &[(375, 375)]),
            (Uk, Congestion) => tone(One(400), &[(400, 350), (225, 525)]),
            (Uk, Waiting) => tone(One(400), &[(100, 4_000)]),
            (De, Ringback) => tone(One(425), &[(1_000, 4_000)]),
            (De, Busy) => tone(One(425), &[(480, 480)]),
            (De, Congestion) => tone(One(425), &[(240, 240)]),
            (De, Waiting) => tone(One(425), &[(200, 200), (200, 5_000)]),
            (Fr, Ringback) => tone(One(440), &[(1_500, 3_500)]),
            (Fr, Busy) => tone(One(440), &[(500, 500)]),
            (Fr, Congestion) => tone(One(440), &[(250, 250)]),
            (Fr, Waiting) => tone(One(440), &[(300, 10_000)]),
            (Jp, Ringback) => tone(Modulated(400, 16), &[(1_000, 2_000)]),
            (Jp, Busy | Congestion) => tone(One(400), &[(500, 500)]),
            (Jp, Waiting) => tone(Modulated(400, 16), &[(500, 8_000)]),
            (Au, Ringback) => tone(Modulated(400, 17), &[(400, 200), (400, 2_000)]),
            (Au, Busy | Congestion) => tone(One(425), &[(375, 375)]),
            (Au, Waiting) => tone(One(425), &[(200, 200), (200, 4_400)]),
        }
    }
}

/// Plays a tone at one sample rate, as long as it is asked.
#[derive(Clone, Debug)]
pub struct TonePlayer {
    tone: Tone,
    rate: u32,
    oscillators: [Oscillator; 2],
    /// Which pair of the cadence, and how many samples of it are over.
    pair: usize,
    at: u32,
}

impl TonePlayer {
    /// At `rate` samples a second, from the beginning of the cadence.
    #[must_use]
    pub fn new(tone: Tone, rate: u32) -> Self {
        let (first, second) = match tone.sound {
            Sound::One(hertz) => (hertz, 0),
            Sound::Two(first, second) | Sound::Modulated(first, second) => (first, second),
        };
        let oscillators = [first, second].map(|hertz| Oscillator::new(f32::from(hertz), rate));
        Self { tone, rate, oscillators, pair: 0, at: 0 }
    }

    /// Appends the next `samples`.
    pub fn play(&mut self, samples: usize, out: &mut Vec<i16>) {
        out.reserve(samples);
        for _ in 0..samples {
            let sample = self.next();
            out.push(sample);
        }
    }

    fn next(&mut self) -> i16 {
        let Some(&(on, off)) = self.tone.cadence.get(self.pair) else { return 0 };
        let length = |ms: u16| u32::from(ms) * (self.rate / 100) / 10;
        let (on, off) = (length(on), length(off));
        let loudness = ramp(self.at, on, self.rate * RAMP_MS / 1000);
        self.at += 1;
        if self.at >= on + off {
            self.at = 0;
            self.pair = (self.pair + 1) % self.tone.cadence.len();
        }
        if loudness <= 0.0 {
            return 0;
        }
        let [first, second] = &mut self.oscillators;
        let wave = match self.tone.sound {
            Sound::One(_) => first.next(),
            Sound::Two(..) => (first.next() + second.next()) * std::f32::consts::FRAC_1_SQRT_2,
            Sound::Modulated(..) => first.next() * (0.75 + 0.25 * second.next()),
        };
        sample(wave * loudness * LEVEL)
    }
}

/// How loud the sample at `at` of `length` is: it comes and goes along a cosine.
pub(super) fn ramp(at: u32, length: u32, ramp: u32) -> f32 {
    if at >= length {
        return 0.0;
    }
    let ramp = ramp.clamp(1, (length / 2).max(1));
    let edge = at.min(length - 1 - at).min(ramp);
    0.5 - 0.5 * (PI * edge as f32 / ramp as f32).cos()
}

/// A sine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Oscillator {
    phase: f32,
    step: f32,
}

impl Oscillator {
    pub(super) fn new(hertz: f32, rate: u32) -> Self {
        Self { phase: 0.0, step: TAU * hertz / rate.max(1) as f32 }
    }

    pub(super) fn next(&mut self) -> f32 {
        let value = self.phase.sin();
        self.phase += self.step;
        if self.phase >= TAU {
            self.phase -= TAU;
        }
        value
    }
}

/// The nearest sample, cut off at the loudest.
#[expect(clippy::cast_possible_truncation, reason = "it is cut off, which is what is wanted")]
pub(super) fn sample(value: f32) -> i16 {
    value.round() as i16
}
