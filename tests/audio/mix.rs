//! Levels, comfort noise and the mix of several voices.

use std::time::Duration;

use tandem::proto::audio::{
    ComfortNoise, Level, Mix, NoiseLevel, SILENT_DBOV, Silence, read_comfort_noise,
    write_comfort_noise,
};

use crate::measure::{allocated, decibel, noise, power, tone, voice};

#[test]
fn a_level_is_power_and_peak() {
    assert_eq!(Level::of(&[]), Level { power: 0.0, peak: 0 });
    assert_eq!(Level::of(&[3, -4]), Level { power: 12.5, peak: 4 });
    assert_eq!(Level::of(&[i16::MIN; 10]).minus_dbov(), 0);
    assert_eq!(Level::of(&[i16::MIN; 10]).peak, 32_768);
    assert_eq!(Level::of(&[0; 10]).minus_dbov(), SILENT_DBOV);
    // A sine has 3 dB less than a square wave of its height.
    assert_eq!(Level::of(&tone(1_000.0, 8_000, 32_767.0, 800)).minus_dbov(), 3);
    assert_eq!(Level::of(&tone(1_000.0, 8_000, 327.67, 800)).minus_dbov(), 43);
    assert_eq!(Level::of(&[1, 0, 0, 0]).minus_dbov(), 96);
}

#[test]
fn silence_is_counted_from_the_last_word() {
    let mut silence = Silence::new(8_000, 50);
    let room: Vec<i16> = noise(1).map(|n| n / 400).take(160).collect();
    assert_eq!(Level::of(&room).minus_dbov(), 57);
    let word = tone(300.0, 8_000, 2_000.0, 160);
    let heard: Vec<Duration> =
        [&room, &room, &word, &room, &room, &room].map(|frame| silence.listen(frame)).to_vec();
    assert_eq!(heard, [20, 40, 0, 20, 40, 60].map(Duration::from_millis));
}

/// Row 148: noise of the level that was told, and told of the level that is there.
#[test]
fn row_148_comfort_noise_has_its_level() {
    for level in [30, 45, 60, 75] {
        let mut noise = ComfortNoise::new(7);
        noise.set_level(read_comfort_noise(&write_comfort_noise(level)).unwrap());
        let mut out = Vec::new();
        noise.play(16_000, &mut out);
        let made = -decibel(power(&out[4_000..]) / 32_768.0_f64.powi(2));
        assert!((made - f64::from(level)).abs() < 0.5, "{level}: {made:.2} -dBov");
        assert!(power(&out[..10]) < power(&out[4_000..]) / 4.0, "it comes slowly");
        let mut told = NoiseLevel::default();
        let mut last = 0;
        out[4_000..].chunks(160).for_each(|frame| last = told.listen(frame));
        assert!(last.abs_diff(level) <= 2, "{level}: told {last}");
        noise.set_level(SILENT_DBOV);
        noise.play(8_000, &mut out);
        assert_eq!(power(&out[out.len() - 800..]), 0.0);
    }
    // The highest bit is none of the level, and coefficients may follow it.
    assert_eq!(read_comfort_noise(&[0x80 | 50, 1, 2, 3]), Some(50));
    assert_eq!(read_comfort_noise(&[]), None);
    assert_eq!(write_comfort_noise(200), [127]);
}

#[test]
fn a_word_is_no_noise() {
    let mut told = NoiseLevel::default();
    let room: Vec<i16> = noise(1).map(|n| n / 400).take(160).collect();
    let word = tone(300.0, 8_000, 5_000.0, 160);
    for _ in 0..20 {
        told.listen(&room);
    }
    let level = (0..5).map(|_| told.listen(&word)).last().unwrap();
    assert!((54..=57).contains(&level), "{level}");
}

#[test]
fn everybody_hears_the_others_and_not_themselves() {
    let voices: Vec<Vec<i16>> =
        (1..=5).map(|n| tone(f64::from(n) * 200.0, 8_000, 3_000.0, 160)).collect();
    let mut mix = Mix::default();
    mix.begin(160);
    voices.iter().for_each(|voice| mix.add(voice));
    for (index, own) in voices.iter().enumerate() {
        let mut heard = vec![9];
        mix.without(own, &mut heard);
        let others = voices.iter().enumerate().filter(|(other, _)| *other != index);
        let mut wanted = vec![0_i16; 160];
        others.for_each(|(_, voice)| wanted.iter_mut().zip(voice).for_each(|(w, v)| *w += v));
        assert_eq!(heard[0], 9);
        assert_eq!(heard[1..], wanted);
    }
}

/// Cut off once, at the end: what is too loud in between comes back.
#[test]
fn what_is_too_loud_is_cut_off_and_not_wrapped() {
    let mut mix = Mix::default();
    mix.begin(4);
    for voice in
        [[32_767, -32_768, 30_000, 1], [32_767, -32_768, 30_000, 1], [-32_768, 32_767, -30_000, 1]]
    {
        mix.add(&voice);
    }
    let mut heard = Vec::new();
    mix.without(&[], &mut heard);
    mix.without(&[-32_768, 32_767, -30_000, 1], &mut heard);
    assert_eq!(heard, [32_766, -32_768, 30_000, 3, 32_767, -32_768, 32_767, 2]);
    // A short voice, a long one, and one that is not there.
    mix.begin(3);
    mix.add(&[5]);
    mix.add(&[1, 2, 3, 4]);
    heard.clear();
    mix.without(&[5], &mut heard);
    assert_eq!(heard, [1, 2, 3]);
}

#[test]
fn nothing_is_allocated_for_a_frame() {
    let voices: Vec<Vec<i16>> = (0..8).map(|_| voice(16_000, 320)).collect();
    let (mut mix, mut noise, mut out) = (Mix::default(), ComfortNoise::new(1), Vec::new());
    noise.set_level(50);
    let mut frame = || {
        mix.begin(320);
        voices.iter().for_each(|voice| mix.add(voice));
        for voice in &voices {
            out.clear();
            mix.without(voice, &mut out);
        }
        out.clear();
        noise.play(320, &mut out);
    };
    frame();
    let before = allocated();
    frame();
    assert_eq!(allocated() - before, 0);
}
