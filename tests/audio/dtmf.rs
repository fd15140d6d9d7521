//! Digits in the audio: heard by the figures of ITU-T Q.24, and not where there are none.

use tandem::proto::audio::{Codec, DtmfDetector, DtmfGenerator, Heard};

use crate::measure::{FULL_SCALE_DBM0, noise, power, tone, voice};

const RATES: [u32; 3] = [8_000, 16_000, 48_000];

/// Two sines of these levels in dBm0 for `ms`, after `before_ms` of silence and before 100.
fn digit(rate: u32, hertz: [f64; 2], levels: [f64; 2], before_ms: u32, ms: u32) -> Vec<i16> {
    let samples = |ms: u32| (rate * ms / 1_000) as usize;
    let amplitude = |level: f64| 32_767.0 * 10_f64.powf((level - FULL_SCALE_DBM0) / 20.0);
    let row = tone(hertz[0], rate, amplitude(levels[0]), samples(ms));
    let column = tone(hertz[1], rate, amplitude(levels[1]), samples(ms));
    let mut all = vec![0; samples(before_ms)];
    all.extend(row.iter().zip(&column).map(|(row, column)| row + column));
    all.resize(all.len() + samples(100), 0);
    all
}

fn heard(rate: u32, samples: &[i16]) -> Vec<Heard> {
    let mut detector = DtmfDetector::new(rate);
    let mut out = Vec::new();
    samples.chunks(rate as usize / 50).for_each(|frame| detector.listen(frame, &mut out));
    out
}

fn started(rate: u32, samples: &[i16]) -> Vec<u8> {
    let event = |heard: &Heard| match heard {
        Heard::Started { event } => Some(*event),
        Heard::Ended { .. } => None,
    };
    heard(rate, samples).iter().filter_map(event).collect()
}

/// Row 152: what we make is heard, at every rate, and through every codec.
#[test]
fn row_152_every_digit_is_heard_once() {
    let mut cases: Vec<(Codec, u16)> =
        vec![(Codec::Pcmu, 40), (Codec::Pcma, 40), (Codec::G722, 50)];
    cases.extend(RATES.map(|rate| (Codec::L16 { rate, channels: 1 }, 40)));
    for (codec, ms) in cases {
        let rate = codec.sample_rate();
        let mut samples = vec![0; 37];
        for event in 0..16 {
            let mut generator = DtmfGenerator::new(event, ms, 45, rate).unwrap();
            while generator.play(rate as usize / 50, &mut samples) > 0 {}
        }
        samples.resize(samples.len().next_multiple_of(rate as usize / 50), 0);
        let (mut encoder, mut decoder) = (codec.encoder().unwrap(), codec.decoder().unwrap());
        let mut through = Vec::new();
        for frame in samples.chunks(rate as usize / 50) {
            let mut payload = Vec::new();
            encoder.encode(frame, &mut payload).unwrap();
            decoder.decode(&payload, &mut through).unwrap();
        }
        let all = heard(rate, &through);
        let starts: Vec<_> = (0..16).map(|event| Heard::Started { event }).collect();
        let is_start = |heard: &&Heard| matches!(heard, Heard::Started { .. });
        assert_eq!(all.iter().filter(is_start).copied().collect::<Vec<_>>(), starts, "{codec:?}");
        for heard in &all {
            let Heard::Ended { samples, .. } = heard else { continue };
            let ms = samples * 1_000 / u64::from(rate);
            assert!((25..=65).contains(&ms), "{codec:?}: {ms} ms");
        }
    }
    assert!(DtmfGenerator::new(16, 40, 40, 8_000).is_none());
}

/// Q.24: 40 ms have to be heard wherever a block begins, 20 ms must not be.
#[test]
fn the_length_decides() {
    for offset in 0..26 {
        let at =
            |ms| started(8_000, &digit(8_000, [770.0, 1_336.0], [-8.0, -8.0], 20 + offset, ms));
        assert_eq!(at(40), [5], "{offset} ms");
        assert!(at(20).is_empty(), "{offset} ms");
    }
}

/// Q.24: a pause of 40 ms makes two digits, an interruption of 10 ms does not.
#[test]
fn the_pause_decides() {
    for offset in 0..13 {
        let with = |pause: usize| {
            let one = digit(8_000, [697.0, 1_209.0], [-8.0, -8.0], 20 + offset, 80);
            let mut two = one[..one.len() - 800].to_vec();
            two.resize(two.len() + pause * 8, 0);
            two.extend_from_slice(&one[(20 + offset as usize) * 8..]);
            started(8_000, &two)
        };
        assert_eq!(with(40), [1, 1], "{offset} ms");
        assert_eq!(with(10), [1], "{offset} ms");
    }
}

/// Q.24: 0 to -25 dBm0 for each frequency, 1.5 % off, and 4 dB of twist one way, 8 the other.
#[test]
fn level_frequency_and_twist() {
    let at = |hertz, levels| started(8_000, &digit(8_000, hertz, levels, 23, 60));
    let five = [770.0, 1_336.0];
    for level in [-3.0, -10.0, -20.0, -25.0, -29.0] {
        assert_eq!(at(five, [level, level]), [5], "{level} dBm0");
    }
    assert!(at(five, [-40.0, -40.0]).is_empty());
    for (row, column) in [(-12.0, -8.0), (-4.0, -12.0)] {
        assert_eq!(at(five, [row, column]), [5], "{row} and {column} dBm0");
    }
    for (row, column) in [(-20.0, -8.0), (-4.0, -18.0)] {
        assert!(at(five, [row, column]).is_empty(), "{row} and {column} dBm0");
    }
    for off in [-1.5, 1.5] {
        for (row, column, event) in [(697.0, 1_209.0, 1), (941.0, 1_633.0, 15), (852.0, 1_477.0, 9)]
        {
            let by = 1.0 + off / 100.0;
            assert_eq!(at([row * by, column * by], [-8.0, -8.0]), [event], "{off} %");
        }
    }
    assert!(at([770.0 * 1.05, 1_336.0 * 1.05], [-8.0, -8.0]).is_empty(), "5 % off");
    assert!(at([770.0, 0.0], [-8.0, -90.0]).is_empty(), "one frequency is no digit");
}

/// Row 152: a digit is heard in noise 15 dB below it, and none in noise, voices or tones.
#[test]
fn row_152_there_are_no_digits_where_there_are_none() {
    let mut loud = digit(8_000, [941.0, 1_336.0], [-10.0, -10.0], 20, 100);
    let quiet: Vec<i16> = noise(5).map(|n| n / 26).take(loud.len()).collect();
    assert!(power(&loud) > 10.0 * power(&quiet));
    loud.iter_mut().zip(&quiet).for_each(|(digit, noise)| *digit += noise);
    assert_eq!(started(8_000, &loud), [0]);

    let minute = 60 * 8_000;
    for seed in 0..5 {
        let noise: Vec<i16> = noise(seed).map(|n| n / 4).take(minute).collect();
        assert!(started(8_000, &noise).is_empty(), "noise {seed}");
    }
    assert!(started(8_000, &voice(8_000, 2 * minute)).is_empty(), "a voice");
    // The pitches of singing, with harmonics that pass over all the frequencies.
    for pitch in 60..500_u32 {
        let wave = |n: u32| {
            let phase = std::f64::consts::TAU * f64::from(pitch) * f64::from(n) / 8_000.0;
            let part = |k: u32| (f64::from(k) * phase).sin() / f64::from(k).sqrt();
            (1_500.0 * (1..3_400 / pitch + 1).map(part).sum::<f64>()) as i16
        };
        let second: Vec<i16> = (0..4_000).map(wave).collect();
        assert!(started(8_000, &second).is_empty(), "{pitch} Hz");
    }
}
