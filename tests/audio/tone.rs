//! Tones by country: what sounds, for how long, and without a click.

use tandem::proto::audio::{Country, Signal, Sound, Tone, TonePlayer};

use crate::measure::{FULL_SCALE_DBM0, allocated, decibel, fit, power};

const COUNTRIES: [Country; 7] =
    [Country::Cn, Country::Us, Country::Uk, Country::De, Country::Fr, Country::Jp, Country::Au];
const SIGNALS: [Signal; 4] = [Signal::Ringback, Signal::Busy, Signal::Congestion, Signal::Waiting];

fn every() -> impl Iterator<Item = (Country, Signal, Tone)> {
    let of = |country| SIGNALS.map(|signal| (country, signal, Tone::of(country, signal)));
    COUNTRIES.into_iter().flat_map(of)
}

fn play(tone: Tone, rate: u32, ms: u32) -> Vec<i16> {
    let mut player = TonePlayer::new(tone, rate);
    let (mut out, mut left) = (Vec::new(), (rate / 100 * ms / 10) as usize);
    // Frames of any length.
    for frame in [1, 160, 333].into_iter().cycle() {
        player.play(frame.min(left), &mut out);
        left = left.saturating_sub(frame);
        if left == 0 {
            return out;
        }
    }
    out
}

#[test]
fn sound_and_silence_are_those_of_the_cadence() {
    for (country, signal, tone) in every() {
        let whole: u32 = tone.cadence.iter().map(|(on, off)| u32::from(on + off)).sum();
        let out = play(tone, 8_000, whole * 2);
        let mut at = 0;
        for (on, off) in tone.cadence.iter().chain(tone.cadence) {
            let (on, off) = (usize::from(*on) * 8, usize::from(*off) * 8);
            let sounds = &out[at..at + on];
            let level = decibel(power(&sounds[80..on - 80]) / (32_767.0_f64.powi(2) / 2.0))
                + FULL_SCALE_DBM0;
            assert!((-16.5..-12.5).contains(&level), "{country:?} {signal:?}: {level:.1} dBm0");
            assert!(out[at + on..at + on + off].iter().all(|sample| *sample == 0));
            at += on + off;
        }
        assert_eq!(at, out.len());
    }
}

#[test]
fn what_sounds_are_its_frequencies() {
    for (country, signal, tone) in every() {
        for rate in [8_000, 16_000, 48_000] {
            let on = u32::from(tone.cadence[0].0);
            let out = play(tone, rate, on);
            let middle = &out[(rate / 100) as usize..out.len() - (rate / 100) as usize];
            match tone.sound {
                Sound::One(hertz) => {
                    let (_, ratio, _) = fit(f64::from(hertz), rate, middle);
                    assert!(ratio > 45.0, "{country:?} {signal:?} at {rate}: {ratio:.1} dB");
                }
                Sound::Two(first, second) => {
                    let levels = [first, second].map(|hertz| fit(f64::from(hertz), rate, middle).0);
                    assert!((levels[0] / levels[1]).log10().abs() < 0.03, "{levels:?}");
                }
                Sound::Modulated(hertz, by) => {
                    let carrier = fit(f64::from(hertz), rate, middle).0;
                    let side = fit(f64::from(hertz + by), rate, middle).0;
                    assert!((0.1..0.3).contains(&(side / carrier)), "{side} of {carrier}");
                }
            }
        }
    }
}

/// Where a tone begins and ends there is no step beyond those of the tone itself.
#[test]
fn there_are_no_clicks() {
    for (country, signal, tone) in every() {
        let whole: u32 = tone.cadence.iter().map(|(on, off)| u32::from(on + off)).sum();
        let out = play(tone, 8_000, whole);
        let bend = |w: &[i16]| (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs();
        let all = out.windows(3).map(bend).max().unwrap();
        let on = usize::from(tone.cadence[0].0) * 8;
        let inside = out[80..on - 80].windows(3).map(bend).max().unwrap();
        assert!(all <= inside + inside / 10 + 3, "{country:?} {signal:?}: {all} beside {inside}");
    }
}

#[test]
fn countries_have_their_codes() {
    let codes = ["cn", "US", "uk", "De", "fr", "jp", "au"];
    assert_eq!(codes.map(Country::of), COUNTRIES.map(Some));
    assert_eq!((Country::of("gb"), Country::of("xx")), (Some(Country::Uk), None));
    let ringback = Tone::of(Country::Cn, Signal::Ringback);
    assert_eq!(ringback, Tone { sound: Sound::One(450), cadence: &[(1_000, 4_000)] });
}

#[test]
fn nothing_is_allocated_for_a_frame() {
    let mut player = TonePlayer::new(Tone::of(Country::Us, Signal::Busy), 48_000);
    let mut out = Vec::with_capacity(960);
    let before = allocated();
    for _ in 0..100 {
        out.clear();
        player.play(960, &mut out);
    }
    assert_eq!(allocated() - before, 0);
}
