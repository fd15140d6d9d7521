//! A source on a network that is not, heard by a mixer's clock.

use std::time::Duration;

use super::*;
use crate::proto::audio::{Codec, Level};
use crate::proto::rtp::packet::{Header, Ssrc};
use crate::proto::time::Instant;

const FRAME: Duration = Duration::from_millis(20);

fn header(number: u16) -> Header {
    Header {
        payload_type: 8,
        marker: number == 0,
        sequence: number,
        timestamp: u32::from(number) * 160,
        ssrc: Ssrc(7),
    }
}

/// A tone of 400 Hz as packets of A-law.
fn payloads(packets: usize) -> Vec<Vec<u8>> {
    let samples: Vec<i16> = (0..packets * 160)
        .map(|index| {
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let phase = index as f32 * std::f32::consts::TAU * 400.0 / 8_000.0;
            #[expect(clippy::cast_possible_truncation, reason = "it is in the range")]
            let value = (phase.sin() * 8_000.0) as i16;
            value
        })
        .collect();
    let mut encoder = Codec::Pcma.encoder().unwrap();
    let encode = |piece: &[i16]| {
        let mut payload = Vec::new();
        encoder.encode(piece, &mut payload).unwrap();
        payload
    };
    samples.chunks(160).map(encode).collect()
}

/// What a mixer hears of packets that come `late` after their time, by a clock of its own that begins `phase` after theirs.
fn heard(rate: u32, phase: Duration, packets: usize, late: impl Fn(usize) -> Duration) -> Run {
    let payloads = payloads(packets);
    let mut arrivals: Vec<_> = (0..packets)
        .map(|index| (FRAME * u32::try_from(index).unwrap() + late(index), index))
        .collect();
    arrivals.sort();
    let mut arrivals = arrivals.into_iter().peekable();
    let mut ear = Ear::new(rate);
    let mut run = Run::default();
    let mut frame = Vec::new();
    for tick in 0..u32::try_from(packets).unwrap() + 20 {
        let at = phase + FRAME * tick;
        while let Some((when, index)) = arrivals.next_if(|(when, _)| *when <= at) {
            let number = u16::try_from(index).unwrap();
            let now = Instant::START + when;
            ear.hear(now, &header(number), Codec::Pcma, &payloads[index]).unwrap();
        }
        let is_there = ear.take(Instant::START + at, &mut frame) != Taken::Silence;
        assert_eq!(frame.len(), ear.frame());
        run.silent += usize::from(!is_there);
        let steps = run.samples.last().into_iter().chain(&frame).zip(&frame);
        let step = steps.map(|(a, b)| i32::from(*b) - i32::from(*a)).map(i32::abs).max();
        run.step = run.step.max(step.unwrap_or_default());
        run.samples.extend_from_slice(&frame);
        run.waiting = ear.waiting();
    }
    run
}

#[derive(Default)]
struct Run {
    samples: Vec<i16>,
    silent: usize,
    /// The largest step from one sample to the next.
    step: i32,
    waiting: usize,
}

/// The largest step of the tone itself is 2,500; a hole of silence in it or a wrong splice makes one of up to 16,000.
const STEP_MAX: i32 = 4_500;

#[test]
fn a_source_in_time_is_heard_whole() {
    for phase in [0, 1, 7, 13, 19].map(Duration::from_millis) {
        for rate in [8_000, 16_000, 48_000] {
            let run = heard(rate, phase, 100, |_| Duration::ZERO);
            assert!(run.silent <= 21, "{rate} {phase:?}: {}", run.silent);
            assert!(run.step <= STEP_MAX, "{rate} {phase:?}: {}", run.step);
            assert_eq!(run.samples.len(), 120 * usize::try_from(rate / 50).unwrap());
            let middle = &run.samples[run.samples.len() / 4..run.samples.len() / 2];
            assert!(Level::of(middle).minus_dbov() <= 16, "{rate} {phase:?}");
        }
    }
}

#[test]
fn packets_about_the_tick_leave_no_holes() {
    // Every packet comes a little before or a little behind the mixer's tick.
    let run = heard(8_000, Duration::from_millis(5), 500, |index| {
        Duration::from_micros(4_000 + u64::try_from(index * 7919 % 2_000).unwrap())
    });
    assert!(run.silent <= 22, "{}", run.silent);
    assert!(run.step <= STEP_MAX, "{}", run.step);
}

#[test]
fn a_delay_that_is_over_is_given_back() {
    // Once packets come 60 ms late, and never again: 40 s later no more than a frame waits.
    let run = heard(16_000, Duration::from_millis(3), 2_000, |index| {
        if (50..60).contains(&index) { Duration::from_millis(60) } else { Duration::ZERO }
    });
    assert!(run.silent <= 30, "{}", run.silent);
    assert!(run.step <= STEP_MAX, "{}", run.step);
    assert!(run.waiting <= 640, "{}", run.waiting);
}

#[test]
fn a_clock_that_is_too_fast_never_gathers() {
    // 1,000 ppm too fast: 40 ms in 40 s.
    let payloads = payloads(4_000);
    let mut ear = Ear::new(8_000);
    let mut frame = Vec::new();
    let mut index = 0_usize;
    for tick in 0..3_900_u32 {
        let now = Duration::from_millis(5) + FRAME * tick;
        while Duration::from_micros(u64::try_from(index).unwrap() * 19_980) <= now {
            let number = u16::try_from(index).unwrap();
            let at = Instant::START + now;
            ear.hear(at, &header(number), Codec::Pcma, &payloads[index]).unwrap();
            index += 1;
        }
        ear.take(Instant::START + now, &mut frame);
        assert!(ear.waiting() <= 480, "{tick}: {}", ear.waiting());
    }
}

#[test]
fn another_codec_is_another_beginning() {
    let mut ear = Ear::new(16_000);
    let mut frame = Vec::new();
    let mut payload = Vec::new();
    for tick in 0..50_u16 {
        let now = Instant::START + FRAME * tick.into();
        let codec = if tick < 25 { Codec::Pcmu } else { Codec::G722 };
        let samples = vec![1_000; usize::try_from(codec.sample_rate() / 50).unwrap()];
        payload.clear();
        codec.encoder().unwrap().encode(&samples, &mut payload).unwrap();
        ear.hear(now, &header(tick), codec, &payload).unwrap();
        ear.take(now, &mut frame);
    }
    assert_eq!(frame.len(), 320);
    assert!(frame.iter().any(|sample| *sample > 500));
}

#[test]
fn silence_is_silence() {
    let mut ear = Ear::new(8_000);
    let mut frame = vec![1; 3];
    assert_eq!(ear.take(Instant::START, &mut frame), Taken::Silence);
    assert_eq!(frame, [0; 160]);
}
