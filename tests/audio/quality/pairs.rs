//! Every codec into every other: speech by PESQ, and a row of tones by level and noise.

use tandem::proto::audio::Codec;

use super::path::{bare, converted, encoded, in_time};
use super::{Band, CODECS, Judge, speech};
use crate::measure::{fit, tone};

/// How much worse than the bare codecs a conversion may be judged.
const WORSE_MAX: f64 = 0.1;
/// What the bare codecs must be worth, or being as good as they are would say nothing: Opus has a hard time with a synthetic voice.
const BARE_MIN: f64 = 2.0;

#[test]
fn speech_through_any_two_codecs_is_as_good_as_the_codecs_are() {
    let mut judge = Judge::new("pairs", 1);
    let mut asked = Vec::new();
    for (from_name, from) in CODECS {
        let packets = encoded(from, &speech(from.sample_rate()));
        for (to_name, to) in CODECS {
            let ours = converted(from, to, &in_time(&packets)).samples;
            let ceiling = bare(from, to, &packets);
            let is_wide = from.sample_rate().min(to.sample_rate()) >= 16_000;
            let band = if is_wide { Band::Wide } else { Band::Narrow };
            let mut ask = |what: &str, heard: &[i16]| {
                let name = format!("{from_name}-{to_name}-{what}");
                judge.ask(&name, band, to.sample_rate(), heard)
            };
            let places = (ask("ours", &ours), ask("bare", &ceiling));
            asked.push((from_name, to_name, band, places));
        }
    }
    let scores = judge.scores();
    println!("{:13} {:6} {:>6} {:>6}", "PESQ", "band", "ours", "bare");
    let mut worse = Vec::new();
    for (from, to, band, places) in asked {
        let (ours, bare) = (scores[places.0], scores[places.1]);
        let pair = format!("{from} to {to}");
        println!("{pair:13} {:6} {ours:6.2} {bare:6.2}", band.mode());
        if ours < bare - WORSE_MAX || bare < BARE_MIN {
            worse.push(format!("{pair} {}: {ours:.2}, bare {bare:.2}", band.mode()));
        }
    }
    assert!(worse.is_empty(), "{worse:#?}");
}

/// A row of tones, each for 400 ms; the first 100 of them are the one before still fading.
const TONES_HZ: [f64; 8] = [200.0, 300.0, 600.0, 1_000.0, 1_700.0, 2_500.0, 3_000.0, 3_400.0];
const WIDE_HZ: [f64; 3] = [4_500.0, 5_700.0, 6_800.0];
const LEVEL: f64 = 8_000.0;
/// How far a level may be from that of the bare codecs, in dB.
const LEVEL_MAX_DB: f64 = 1.0;
/// How much more noise there may be than with the bare codecs, in dB.
const NOISE_MAX_DB: f64 = 3.0;
/// A noise that is this far below the tone is none: L16 would be compared with its own rounding.
const CLEAN_DB: f64 = 55.0;

#[test]
fn a_row_of_tones_keeps_its_levels_and_gets_no_noise() {
    println!("{:13} {:>7} {:>14} {:>14}", "dB", "Hz", "level, bare", "SNR, bare");
    for (from_name, from) in CODECS {
        for (to_name, to) in CODECS {
            let is_wide = from.sample_rate().min(to.sample_rate()) >= 16_000;
            let tones = TONES_HZ.iter().chain(WIDE_HZ.iter().take(if is_wide { 3 } else { 0 }));
            for hertz in tones.copied() {
                let (ours, bare) = heard(from, to, hertz);
                println!(
                    "{:13} {hertz:7.0} {:6.2} {:7.2} {:6.1} {:7.1}",
                    format!("{from_name} to {to_name}"),
                    ours.0,
                    bare.0,
                    ours.1,
                    bare.1
                );
                let pair = format!("{from_name} to {to_name}, {hertz} Hz: {ours:?}, bare {bare:?}");
                assert!((ours.0 - bare.0).abs() <= LEVEL_MAX_DB, "level, {pair}");
                assert!(ours.1 >= (bare.1 - NOISE_MAX_DB).min(CLEAN_DB), "noise, {pair}");
            }
        }
    }
}

/// The level of a tone in dB, and what it is over everything else: of ours, and of the bare codecs.
fn heard(from: Codec, to: Codec, hertz: f64) -> ((f64, f64), (f64, f64)) {
    let rate = from.sample_rate();
    let packets = encoded(from, &tone(hertz, rate, LEVEL, rate as usize * 2 / 5));
    let judge = |samples: &[i16]| {
        let tenth = to.sample_rate() as usize / 10;
        let (level, ratio, _) =
            fit(hertz, to.sample_rate(), &samples[2 * tenth..3 * tenth + tenth / 2]);
        (20.0 * (level / LEVEL).log10(), ratio)
    };
    (judge(&converted(from, to, &in_time(&packets)).samples), judge(&bare(from, to, &packets)))
}
