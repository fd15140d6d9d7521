//! Where packets land on the tape.

use super::wav::{HEADER_LEN, Shape};
use super::*;
use crate::proto::audio::Codec;
use crate::proto::rtp::Ssrc;
use crate::proto::time::Instant;

/// 20 ms of G.711 that sound like this byte.
const FRAME: usize = 160;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// A u-law byte for a loud sample, and what it decodes to.
const LOUD: u8 = 0x80;

fn loud() -> i16 {
    let mut samples = Vec::new();
    Codec::Pcmu.decoder().unwrap().decode(&[LOUD], &mut samples).unwrap();
    samples[0]
}

struct Bench {
    tape: Tape,
    reel: Reel,
    out: Vec<u8>,
}

impl Bench {
    fn new(tracks: Tracks) -> Self {
        Self { tape: Tape::new(at(1_000), 8_000, tracks), reel: Reel::new(), out: Vec::new() }
    }

    /// A packet that comes so long after the begin, with this timestamp.
    fn heard(&mut self, side: usize, millis: u64, timestamp: u32) {
        self.from(7, side, millis, timestamp);
    }

    fn from(&mut self, ssrc: u32, side: usize, millis: u64, timestamp: u32) {
        let came = at(1_000 + millis);
        let payload = [LOUD; FRAME];
        assert!(self.reel.push((side, came), (Ssrc(ssrc), timestamp), Codec::Pcmu, &payload));
    }

    fn flush(&mut self, millis: u64) {
        self.reel.until = at(1_000 + millis);
        self.tape.take(&mut self.reel, &mut self.out);
        self.reel.clear();
    }

    /// Ends it; the samples of one side.
    fn finish(mut self, millis: u64) -> [Vec<i16>; 2] {
        self.flush(millis);
        self.tape.finish(at(1_000 + millis), &mut self.out);
        let samples: Vec<i16> =
            self.out.chunks(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        [0, 1].map(|side| samples.iter().skip(side).step_by(2).copied().collect())
    }
}

/// From which millisecond to which something is heard.
fn spans(samples: &[i16]) -> Vec<(usize, usize)> {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    for (index, _) in samples.iter().enumerate().filter(|(_, sample)| **sample == loud()) {
        match spans.last_mut() {
            Some((_, end)) if *end == index => *end += 1,
            _ => spans.push((index, index + 1)),
        }
    }
    spans.into_iter().map(|(from, until)| (from / 8, until / 8)).collect()
}

#[test]
fn each_side_has_its_track_and_both_have_the_length_of_the_call() {
    let mut bench = Bench::new(Tracks::Dual);
    for packet in 0..10_u32 {
        bench.heard(0, 100 + u64::from(packet) * 20, 160 * packet);
    }
    bench.heard(1, 900, 99);
    let [a, b] = bench.finish(2_000);
    assert_eq!((a.len(), b.len()), (16_000, 16_000));
    assert_eq!(spans(&a), [(100, 300)]);
    assert_eq!(spans(&b), [(900, 920)]);
}

#[test]
fn jitter_and_reordering_leave_no_seam() {
    let mut bench = Bench::new(Tracks::Dual);
    let arrivals = [(0, 0), (45, 2), (46, 1), (90, 3), (91, 4), (95, 5), (121, 6)];
    for (millis, packet) in arrivals {
        bench.heard(0, millis, 160 * packet);
    }
    let [a, _] = bench.finish(500);
    assert_eq!(spans(&a), [(0, 140)]);
}

#[test]
fn what_was_lost_is_made_up_if_it_is_short_and_silent_if_it_is_not() {
    let mut bench = Bench::new(Tracks::Dual);
    for packet in [0_u32, 1, 4, 5, 40] {
        bench.heard(0, u64::from(packet) * 20, 160 * packet);
    }
    let [a, _] = bench.finish(1_000);
    let silent = |from: usize, until: usize| a[from * 8..until * 8].iter().all(|s| *s == 0);
    assert!(!silent(45, 75), "two packets are made up");
    assert!(silent(120, 800) && !silent(800, 820) && silent(820, 1_000));
}

/// A pause, a new source, and a source that counts anew: placed by when they came.
#[test]
fn a_source_that_jumps_is_placed_by_its_arrival() {
    let mut bench = Bench::new(Tracks::Dual);
    bench.heard(0, 0, 0);
    bench.heard(0, 500, 3_000_000);
    bench.from(8, 0, 1_000, 160);
    bench.flush(1_200);
    bench.from(8, 0, 5_000, 160 * 201);
    let [a, _] = bench.finish(6_000);
    assert_eq!(spans(&a), [(0, 20), (500, 520), (1_000, 1_020), (5_000, 5_020)]);
}

#[test]
fn a_packet_that_is_too_late_is_counted_and_changes_nothing() {
    let mut bench = Bench::new(Tracks::Dual);
    bench.heard(0, 0, 0);
    bench.heard(0, 40, 320);
    bench.flush(2_000);
    bench.heard(0, 2_010, 160);
    bench.flush(2_020);
    assert_eq!(bench.tape.late(), 0, "so late that it counts as a jump");
    let mut bench = Bench::new(Tracks::Dual);
    bench.heard(0, 0, 0);
    bench.heard(0, 40, 320);
    bench.flush(100);
    bench.heard(0, 110, 160);
    bench.flush(200);
    assert_eq!(bench.tape.late(), 1);
}

#[test]
fn one_track_has_the_sum() {
    let mut bench = Bench::new(Tracks::Mixed);
    bench.heard(0, 0, 0);
    bench.heard(1, 0, 0);
    bench.flush(1_000);
    bench.tape.finish(at(2_000), &mut bench.out);
    assert_eq!(bench.out.len(), 16_000);
    let first = i16::from_le_bytes([bench.out[0], bench.out[1]]);
    assert_eq!(first, loud().saturating_add(loud()));
}

#[test]
fn a_full_reel_takes_no_more() {
    let mut reel = Reel::new();
    let mut count = 0;
    while reel.push((0, at(0)), (Ssrc(1), 0), Codec::Pcmu, &[0; FRAME]) {
        count += 1;
    }
    assert_eq!(count, 16_384 / FRAME);
}

#[test]
fn a_header_is_read_as_it_was_written_and_frames_stay_whole() {
    let shape = Shape { rate: 16_000, tracks: 2 };
    let header = shape.header(4_000);
    assert_eq!((&header[..4], &header[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
    assert_eq!(Shape::read(&header), Some(shape));
    assert_eq!(Shape::read(&[0; HEADER_LEN]), None);
    assert_eq!(Shape::read(&header[..20]), None);
    assert_eq!(shape.whole_frames(44 + 4_003), 4_000);
    assert_eq!(shape.whole_frames(10), 0);
}

/// A tone of 1 kHz in this codec, 50 packets of 20 ms, on the left.
fn tone_of(codec: Codec, rate: u32) -> Vec<i16> {
    let mut encoder = codec.encoder().unwrap();
    let mut tape = Tape::new(at(0), rate, Tracks::Dual);
    let (mut reel, mut out) = (Reel::new(), Vec::new());
    let length = codec.sample_rate() as usize / 50;
    for packet in 0..50_u32 {
        let samples: Vec<i16> = (0..length)
            .map(|index| {
                let index = packet as usize * length + index;
                let phase = index as f64 * 1_000.0 / f64::from(codec.sample_rate());
                #[expect(clippy::cast_possible_truncation, reason = "8000 at most")]
                let sample = ((phase * std::f64::consts::TAU).sin() * 8_000.0) as i16;
                sample
            })
            .collect();
        let mut payload = Vec::new();
        encoder.encode(&samples, &mut payload).unwrap();
        let came = at(u64::from(packet) * 20);
        let timestamp = packet * codec.clock_rate() / 50;
        assert!(reel.push((0, came), (Ssrc(1), timestamp), codec, &payload));
        if packet % 10 == 9 {
            reel.until = came;
            tape.take(&mut reel, &mut out);
            reel.clear();
        }
    }
    tape.finish(at(1_000), &mut out);
    out.chunks(4).map(|frame| i16::from_le_bytes([frame[0], frame[1]])).collect()
}

/// Every codec at either rate: the tone is as loud and as high as it was, without a seam.
#[test]
fn every_codec_lands_on_the_tape_at_the_rate_of_the_file() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus] {
        for rate in [8_000_u32, 16_000] {
            let samples = tone_of(codec, rate);
            assert_eq!(samples.len(), rate as usize);
            let middle = &samples[rate as usize / 5..rate as usize * 9 / 10];
            let crossings = middle.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
            assert!((698..=702).contains(&crossings), "{codec:?} at {rate}: {crossings} periods");
            let loudest = middle.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
            assert!((7_000..9_200).contains(&loudest), "{codec:?} at {rate}: {loudest}");
        }
    }
}
