//! The resampler: what it adds, what it delays, what it lets through.

use std::f64::consts::TAU;

use tandem::proto::audio::{AudioError, Resampler};

use crate::measure::{allocated, decibel, fit, noise, power, tone, voice};

/// Every pair of rates of the codecs, both ways.
const PAIRS: [(u32, u32); 6] = [
    (8_000, 16_000),
    (16_000, 8_000),
    (8_000, 48_000),
    (48_000, 8_000),
    (16_000, 48_000),
    (48_000, 16_000),
];

fn run(from: u32, to: u32, samples: &[i16], frame: usize) -> Vec<i16> {
    let mut resampler = Resampler::new(from, to).unwrap();
    let mut out = Vec::new();
    samples.chunks(frame).for_each(|frame| resampler.process(frame, &mut out));
    out
}

/// A second of a tone, without its first tenth: level in dB, ratio to everything else in
/// dB, delay in milliseconds.
fn heard(from: u32, to: u32, hertz: f64) -> (f64, f64, f64) {
    let out = run(from, to, &tone(hertz, from, 10_000.0, from as usize), from as usize / 50);
    let (level, ratio, phase) = fit(hertz, to, &out[to as usize / 10..]);
    (20.0 * (level / 10_000.0).log10(), ratio, (-phase).rem_euclid(TAU) / TAU / hertz * 1_000.0)
}

#[test]
fn a_tone_is_as_loud_as_it_was_and_next_to_nothing_is_added() {
    for (from, to) in PAIRS {
        let telephone = f64::from(from.min(to)) / 8_000.0;
        for hertz in [100.0, 300.0, 1_000.0, 2_000.0, 3_000.0, 3_300.0] {
            let (level, ratio, _) = heard(from, to, hertz * telephone);
            assert!(level.abs() < 0.1, "{from} to {to}, {hertz} Hz: {level:.2} dB");
            assert!(ratio > 64.0, "{from} to {to}, {hertz} Hz: {ratio:.1} dB");
        }
        let (level, ..) = heard(from, to, 3_400.0 * telephone);
        assert!((-0.5..0.1).contains(&level), "{level:.2} dB at the end of the band");
        let (_, ratio, _) = heard(from, to, 1_000.0);
        assert!(ratio > 85.0, "{from} to {to}: {ratio:.1} dB");
    }
}

/// What the lower rate cannot carry must not come back as another tone.
#[test]
fn what_is_above_the_band_is_gone() {
    for (from, to) in PAIRS.into_iter().filter(|(from, to)| from > to) {
        for share in [0.52, 0.55, 0.7, 0.9] {
            let tone = tone(share * f64::from(to), from, 10_000.0, from as usize);
            let out = run(from, to, &tone, from as usize / 50);
            let rest = decibel(power(&out[to as usize / 10..]).max(1e-3) / power(&tone));
            assert!(rest < -55.0, "{from} to {to}, {share} of the rate: {rest:.1} dB");
        }
    }
}

#[test]
fn it_delays_by_two_and_a_half_milliseconds() {
    for (from, to) in PAIRS {
        let said = Resampler::new(from, to).unwrap().delay_samples();
        assert_eq!(said, to as usize / 400);
        let (.., delay) = heard(from, to, 300.0);
        assert!((delay - 2.5).abs() < 0.01, "{from} to {to}: {delay:.3} ms");
    }
    let copy = Resampler::new(8_000, 8_000).unwrap();
    assert_eq!(copy.delay_samples(), 0);
}

/// However the samples are cut, the same come out, and as many as they last.
#[test]
fn any_length_may_go_in() {
    for (from, to) in PAIRS.into_iter().chain([(44_100, 8_000), (8_000, 44_100), (8_000, 8_000)]) {
        let second = voice(from, from as usize);
        let whole = run(from, to, &second, second.len());
        assert_eq!(whole.len(), to as usize);
        for frame in [1, 7, 80, 161, 2_000] {
            assert!(run(from, to, &second, frame) == whole, "{from} to {to} by {frame}");
        }
    }
    assert_eq!(run(8_000, 8_000, &[1, -2, 3], 2), [1, -2, 3]);
}

#[test]
fn what_is_too_loud_is_cut_off() {
    let square: Vec<i16> = (0..8_000).map(|n| if n % 80 < 40 { 32_767 } else { -32_768 }).collect();
    let out = run(8_000, 48_000, &square, 160);
    assert_eq!((out.iter().max(), out.iter().min()), (Some(&32_767), Some(&-32_768)));
    // Wrapped, the top of the wave would be full of deep holes.
    let top = out[120 + 4_800 + 20..120 + 4_800 + 220].iter().min().unwrap();
    assert!(*top > 25_000, "{top}");
    run(48_000, 8_000, &noise(1).take(48_000).collect::<Vec<_>>(), 960);
}

#[test]
fn other_rates_are_refused() {
    for (from, to) in [(0, 8_000), (8_000, 0), (8_001, 8_000), (8_000, 96_000)] {
        assert_eq!(Resampler::new(from, to).unwrap_err(), AudioError::Unsupported);
    }
}

#[test]
fn nothing_is_allocated_for_a_frame() {
    for (from, to) in PAIRS.into_iter().chain([(44_100, 16_000)]) {
        let mut resampler = Resampler::new(from, to).unwrap();
        let frame = voice(from, from as usize / 50);
        let mut out = Vec::new();
        let mut second = || {
            for _ in 0..50 {
                out.clear();
                resampler.process(&frame, &mut out);
            }
        };
        second();
        let before = allocated();
        second();
        assert_eq!(allocated() - before, 0, "{from} to {to}");
    }
}
