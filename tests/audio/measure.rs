//! Signals to test with, and the figures that they are judged by.

use std::f64::consts::TAU;

/// The power of the loudest sine (ITU-T G.711 §4).
#[expect(clippy::approx_constant, reason = "it is no pi")]
pub const FULL_SCALE_DBM0: f64 = 3.14;

/// A tone of `hertz` at `rate` samples a second, `level` being its amplitude.
pub fn tone(hertz: f64, rate: u32, level: f64, samples: usize) -> Vec<i16> {
    let step = TAU * hertz / f64::from(rate);
    (0..samples).map(|n| (level * (step * n as f64).sin()).round() as i16).collect()
}

/// Something like a voice: harmonics of a pitch that moves, in syllables.
pub fn voice(rate: u32, samples: usize) -> Vec<i16> {
    let mut phase = 0.0;
    (0..samples)
        .map(|n| {
            let second = n as f64 / f64::from(rate);
            phase += TAU * (120.0 + 20.0 * (TAU * 0.7 * second).sin()) / f64::from(rate);
            let syllable = (TAU * 2.0 * second).sin().abs().sqrt();
            let harmonics = (1..=20).map(|k| (f64::from(k) * phase).sin() / f64::from(k));
            (4_000.0 * syllable * harmonics.sum::<f64>()) as i16
        })
        .collect()
}

/// Numbers that look random and are the same every time: noise of full scale.
pub fn noise(seed: u32) -> impl Iterator<Item = i16> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16
    })
}

/// The mean power of some samples.
pub fn power(samples: &[i16]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

pub fn decibel(ratio: f64) -> f64 {
    10.0 * ratio.log10()
}

/// The ratio in dB between `signal` and what `heard` differs from it.
pub fn snr(signal: &[i16], heard: &[i16]) -> f64 {
    let pairs = signal.iter().zip(heard);
    let noise: f64 = pairs.map(|(s, h)| (f64::from(*s) - f64::from(*h)).powi(2)).sum();
    decibel(power(signal) / (noise / signal.len().min(heard.len()) as f64))
}

/// The delay of `heard` in samples, 0 to `most`, at which it is most like `signal`.
pub fn delay(signal: &[i16], heard: &[i16], most: usize) -> usize {
    let likeness = |delay: &usize| {
        let pairs = signal.iter().zip(&heard[*delay..]);
        pairs.map(|(s, h)| f64::from(*s) * f64::from(*h)).sum::<f64>()
    };
    let by_likeness = |a: &usize, b: &usize| likeness(a).total_cmp(&likeness(b));
    (0..=most.min(heard.len() - 1)).max_by(by_likeness).unwrap()
}

/// A tone in `heard` taken as it is, whatever its phase: its amplitude, the ratio in dB
/// of it to everything else, and its phase in radians.
pub fn fit(hertz: f64, rate: u32, heard: &[i16]) -> (f64, f64, f64) {
    let step = TAU * hertz / f64::from(rate);
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, sample) in heard.iter().enumerate() {
        let angle = step * n as f64;
        sine += f64::from(*sample) * angle.sin();
        cosine += f64::from(*sample) * angle.cos();
    }
    let half = heard.len() as f64 / 2.0;
    let (sine, cosine) = (sine / half, cosine / half);
    let rest = heard.iter().enumerate().map(|(n, sample)| {
        let angle = step * n as f64;
        (f64::from(*sample) - sine * angle.sin() - cosine * angle.cos()).powi(2)
    });
    let rest = rest.sum::<f64>() / heard.len() as f64;
    let power = (sine * sine + cosine * cosine) / 2.0;
    ((2.0 * power).sqrt(), decibel(power / rest), cosine.atan2(sine))
}

/// Bytes that this thread has allocated since it began.
pub fn allocated() -> u64 {
    tikv_jemalloc_ctl::thread::allocatedp::read().unwrap().get()
}

/// FNV-1a, so that a long vector is one number.
pub fn digest(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, step)
}
