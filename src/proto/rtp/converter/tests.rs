//! A tone, digits and rubbish through conversions.

use proptest::prelude::*;

use super::*;
use crate::proto::audio::Encoder;
use crate::proto::rtp::Ssrc;
use crate::proto::rtp::packet::HEADER_LEN;

/// What the peer got.
#[derive(Default)]
struct Peer {
    packets: Vec<(Header, Vec<u8>)>,
}

impl Peer {
    fn take(&mut self, packet: &[u8]) -> bool {
        let header = Header::read(packet).unwrap();
        self.packets.push((header, packet[HEADER_LEN..].to_vec()));
        true
    }

    /// The packets of speech, decoded.
    fn samples(&self, conversion: Conversion) -> Vec<i16> {
        let mut decoder = conversion.to.decoder().unwrap();
        let mut samples = Vec::new();
        for (header, payload) in &self.packets {
            if header.payload_type == conversion.payload_type {
                decoder.decode(payload, &mut samples).unwrap();
            }
        }
        samples
    }
}

struct Bench {
    converter: Converter,
    outgoing: OutgoingStream,
    encoder: Encoder,
    peer: Peer,
    phase: usize,
}

const START_MS: u64 = 5_000;

fn conversion(from: Codec, to: Codec) -> Conversion {
    let digits = Digits { payload_type: 101, to_rate: to.clock_rate() };
    Conversion { from, to, payload_type: 96, packet_ms: 20, digits: Some(digits) }
}

impl Bench {
    fn new(conversion: Conversion) -> Self {
        Self {
            converter: Converter::new(conversion).unwrap(),
            outgoing: OutgoingStream::new(Ssrc(9), 65_530, 4_000_000_000),
            encoder: conversion.from.encoder().unwrap(),
            peer: Peer::default(),
            phase: 0,
        }
    }

    fn header(&self, packet: u32) -> Header {
        let ticks = self.converter.conversion.from.clock_rate() / 50;
        Header {
            payload_type: 8,
            marker: false,
            sequence: u16::try_from(packet).unwrap(),
            timestamp: packet.wrapping_mul(ticks),
            ssrc: Ssrc(7),
        }
    }

    /// 20 ms of 1 kHz, encoded.
    fn tone(&mut self) -> Vec<u8> {
        let rate = self.converter.conversion.from.sample_rate();
        let samples: Vec<i16> = (0..rate as usize / 50)
            .map(|_| {
                let angle = self.phase as f64 * 1_000.0 / f64::from(rate) * std::f64::consts::TAU;
                self.phase += 1;
                #[expect(clippy::cast_possible_truncation, reason = "8000 at most")]
                let sample = (angle.sin() * 8_000.0) as i16;
                sample
            })
            .collect();
        let mut payload = Vec::new();
        self.encoder.encode(&samples, &mut payload).unwrap();
        payload
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(START_MS + millis)
    }

    /// Sends what is due until then.
    fn play(&mut self, millis: u64) {
        let Self { converter, outgoing, peer, .. } = self;
        converter.play(Self::at(millis), outgoing, &mut |packet| peer.take(packet));
    }

    fn digit(&mut self, millis: u64, header: Header, payload: &[u8]) {
        let Self { converter, outgoing, peer, .. } = self;
        let now = Self::at(millis);
        let rate = converter.conversion.from.clock_rate();
        converter.digit(now, &header, (payload, rate), outgoing, &mut |packet| peer.take(packet));
    }

    /// So many packets of the tone, of which some are left out.
    fn talk(&mut self, packets: std::ops::Range<u32>, is_lost: impl Fn(u32) -> bool) {
        for packet in packets {
            let payload = self.tone();
            let millis = u64::from(packet) * 20;
            if !is_lost(packet) {
                let header = self.header(packet);
                self.converter.speech(Self::at(millis), &header, &payload);
            }
            self.play(millis);
        }
    }

    /// Numbers go on by one, and timestamps by a packet.
    fn assert_continuous(&self) {
        let ticks = self.converter.conversion.to.clock_rate() / 50;
        for pair in self.peer.packets.windows(2) {
            let [(before, _), (after, _)] = pair else { continue };
            assert_eq!(after.sequence, before.sequence.wrapping_add(1));
            assert_eq!(after.timestamp, before.timestamp.wrapping_add(ticks), "{before:?}");
            assert!(!after.marker && after.ssrc == Ssrc(9));
        }
        assert!(self.peer.packets[0].0.marker);
    }
}

/// Of 1 kHz, how many periods in these samples.
fn periods(samples: &[i16]) -> usize {
    samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count()
}

const PAIRS: [(Codec, Codec); 6] = [
    (Codec::Pcma, Codec::Pcmu),
    (Codec::Pcmu, Codec::G722),
    (Codec::G722, Codec::Pcma),
    (Codec::Opus, Codec::Pcma),
    (Codec::Pcma, Codec::Opus),
    (Codec::Opus, Codec::G722),
];

#[test]
fn a_tone_crosses_every_pair_without_a_seam_and_without_delay() {
    for (from, to) in PAIRS {
        let mut bench = Bench::new(conversion(from, to));
        bench.talk(0..100, |_| false);
        assert_eq!(bench.peer.packets.len(), 100, "{from:?} to {to:?}: each leaves when it came");
        bench.assert_continuous();
        let samples = bench.peer.samples(bench.converter.conversion);
        let rate = to.sample_rate() as usize;
        assert_eq!(samples.len(), rate * 2);
        let heard = periods(&samples[rate / 2..]);
        assert!((1_498..=1_502).contains(&heard), "{from:?} to {to:?}: {heard} periods");
        let loudest = samples[rate / 2..].iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((7_000..9_200).contains(&loudest), "{from:?} to {to:?}: {loudest}");
    }
}

#[test]
fn what_was_lost_is_made_up_and_the_stream_has_no_hole() {
    for (from, to) in PAIRS {
        let mut bench = Bench::new(conversion(from, to));
        bench.talk(0..200, |packet| packet % 20 == 7);
        bench.assert_continuous();
        assert_eq!(bench.peer.packets.len(), 200, "{from:?} to {to:?}");
        let samples = bench.peer.samples(bench.converter.conversion);
        let heard = periods(&samples);
        assert!((3_900..=4_100).contains(&heard), "{from:?} to {to:?}: {heard} periods");
    }
}

/// Row 141: a pause of the source is a pause for the peer: the number goes on, the timestamp by the pause, with a marker.
#[test]
fn a_silence_of_the_source_stays_one() {
    let mut bench = Bench::new(conversion(Codec::Opus, Codec::Pcma));
    bench.talk(0..50, |_| false);
    for packet in 100..150_u32 {
        let payload = bench.tone();
        let header =
            Header { sequence: u16::try_from(packet - 50).unwrap(), ..bench.header(packet) };
        bench.converter.speech(Bench::at(u64::from(packet) * 20), &header, &payload);
        bench.play(u64::from(packet) * 20);
    }
    let [.., (last, _)] = &bench.peer.packets[..50] else { panic!() };
    let (next, _) = &bench.peer.packets[50];
    assert!(next.marker);
    assert_eq!(next.sequence, last.sequence.wrapping_add(1));
    let passed = next.timestamp.wrapping_sub(last.timestamp);
    assert!((8_000..8_200).contains(&passed), "{passed}");
}

#[test]
fn packets_have_the_length_that_the_peer_wants() {
    let wish = |ptime_ms, maxptime_ms| PacketTime { ptime_ms, maxptime_ms };
    let grid = [
        (Codec::Pcma, wish(None, None), 20),
        (Codec::Pcma, wish(Some(30), None), 30),
        (Codec::Opus, wish(Some(30), None), 20),
        (Codec::Opus, wish(Some(60), Some(40)), 40),
        (Codec::Pcma, wish(Some(5), None), 10),
        (Codec::Pcma, wish(Some(200), None), 60),
    ];
    for (to, wish, length) in grid {
        assert_eq!(Conversion::packet_ms(to, wish), length, "{to:?} {wish:?}");
    }
    let wished = Conversion { packet_ms: 60, ..conversion(Codec::Opus, Codec::Pcma) };
    let mut bench = Bench::new(wished);
    bench.talk(0..30, |_| false);
    assert_eq!(bench.peer.packets.len(), 10);
    assert!(bench.peer.packets.iter().all(|(_, payload)| payload.len() == 480));
}

/// Rows 149, 151: a digit crosses from the clock of one codec to that of the other: one timestamp, a length that grows, an end
/// that is told three times; nobody speaks meanwhile.
#[test]
fn row_151_a_digit_crosses_to_the_clock_of_the_other_codec() {
    let mut bench = Bench::new(conversion(Codec::Opus, Codec::Pcma));
    bench.talk(0..10, |_| false);
    for step in 0..8_u32 {
        let packet = 10 + step;
        let is_end = step >= 5;
        let duration = 960 * u16::try_from(step.min(5) + 1).unwrap();
        let [high, low] = duration.to_be_bytes();
        let payload = [5, if is_end { 0x8a } else { 0x0a }, high, low];
        let header = Header { timestamp: 10 * 960, ..bench.header(packet) };
        bench.digit(u64::from(packet) * 20, header, &payload);
    }
    bench.talk(18..28, |_| false);
    let digits: Vec<_> =
        bench.peer.packets.iter().filter(|(header, _)| header.payload_type == 101).collect();
    assert_eq!(digits.len(), 8);
    let speech_before = &bench.peer.packets[9].0;
    let began = digits[0].0.timestamp;
    assert_eq!(began.wrapping_sub(speech_before.timestamp), 160);
    let durations: Vec<u16> =
        digits.iter().map(|(_, payload)| u16::from_be_bytes([payload[2], payload[3]])).collect();
    assert_eq!(durations, [160, 320, 480, 640, 800, 960, 960, 960]);
    assert!(digits.iter().all(|(header, payload)| header.timestamp == began && payload[0] == 5));
    assert_eq!(
        digits.iter().map(|(header, _)| header.marker).collect::<Vec<_>>()[..2],
        [true, false]
    );
    let (after, _) = &bench.peer.packets[18];
    assert!(after.marker && after.payload_type == 96);
    assert!(after.timestamp.wrapping_sub(began) >= 960, "behind the digit");
    for pair in bench.peer.packets.windows(2) {
        assert_eq!(pair[1].0.sequence, pair[0].0.sequence.wrapping_add(1));
    }
}

/// Row 149: the end of a digit may be lost, packets may come in any order, and a digit before may come late.
#[test]
fn row_149_a_digit_without_an_end_lets_speech_go_on() {
    let mut bench = Bench::new(conversion(Codec::Pcma, Codec::Opus));
    bench.talk(0..10, |_| false);
    let report = |duration: u16| {
        let [high, low] = duration.to_be_bytes();
        [1, 10, high, low]
    };
    let header = |packet: u32, bench: &Bench| Header { timestamp: 1_600, ..bench.header(packet) };
    let (first, second, third) = (header(10, &bench), header(11, &bench), header(12, &bench));
    bench.digit(200, first, &report(160));
    bench.digit(240, third, &report(480));
    bench.digit(241, second, &report(320));
    let before = Header { timestamp: 800, ..bench.header(5) };
    bench.digit(242, before, &report(160));
    let digits = bench.peer.packets.iter().filter(|(header, _)| header.payload_type == 101);
    assert_eq!(digits.count(), 2, "what is older than what was told is left out");
    bench.talk(13..20, |_| false);
    assert_eq!(bench.peer.packets.len(), 12, "the key may still be down");
    bench.talk(20..40, |_| false);
    assert!(bench.peer.packets.len() > 25);
}

/// A source whose numbers jump by thousands while its clock hardly moves: nothing is made up for what never was.
#[test]
fn jumping_numbers_are_not_concealed_one_by_one() {
    let mut bench = Bench::new(conversion(Codec::Opus, Codec::Pcma));
    let payload = bench.tone();
    for packet in 0..20_u16 {
        let sequence = packet.wrapping_mul(2_999);
        let header = Header { sequence, timestamp: u32::from(packet) * 3_000, ..bench.header(0) };
        let millis = u64::from(packet) * 3_000 / 48;
        bench.converter.speech(Bench::at(millis), &header, &payload);
        for later in 0..62 {
            bench.play(millis + later);
        }
    }
    assert!(bench.peer.packets.len() < 100, "{} packets", bench.peer.packets.len());
}

proptest! {
    /// Whatever comes, and whenever, nothing panics, memory has its bound and the numbers of the stream go on by one.
    #[test]
    fn rubbish_is_converted_to_something(
        pair in 0..PAIRS.len(),
        packets in proptest::collection::vec(
            (any::<u16>(), any::<u32>(), any::<bool>(), 0_u64..100, proptest::collection::vec(any::<u8>(), 0..300)),
            1..60,
        ),
    ) {
        let (from, to) = PAIRS[pair];
        let mut bench = Bench::new(conversion(from, to));
        let mut millis = 0;
        for (sequence, timestamp, is_digit, later, payload) in packets {
            millis += later;
            let header = Header { sequence: sequence % 64, timestamp, ..bench.header(0) };
            if is_digit {
                bench.digit(millis, header, &payload);
            } else {
                bench.converter.speech(Bench::at(millis), &header, &payload);
            }
            bench.play(millis);
            prop_assert!(bench.converter.speaker.waiting() < 48_000);
        }
        bench.play(millis + 10_000);
        for pair in bench.peer.packets.windows(2) {
            prop_assert_eq!(pair[1].0.sequence, pair[0].0.sequence.wrapping_add(1));
        }
    }
}

/// Row 160: for a fax the delay is fixed, and what was lost is silence of the same length.
#[test]
fn row_160_what_is_lost_of_a_fax_is_silence() {
    let conversion = conversion(Codec::Pcma, Codec::Pcmu);
    let mut bench =
        Bench { converter: Converter::for_fax(conversion).unwrap(), ..Bench::new(conversion) };
    for number in 0..30 {
        let now = Instant::from_millis(START_MS + 20 * u64::from(number));
        if number != 10 && number < 20 {
            let (header, payload) = (bench.header(number), bench.tone());
            bench.converter.speech(now, &header, &payload);
        }
        let Bench { converter, outgoing, peer, .. } = &mut bench;
        converter.play(now, outgoing, &mut |bytes| peer.take(bytes));
        assert_eq!(converter.delay(), Duration::from_millis(80));
    }
    let samples = bench.peer.samples(conversion);
    let packets: Vec<bool> =
        samples.chunks(160).map(|piece| piece.iter().all(|sample| *sample == 0)).collect();
    let silent: Vec<usize> =
        packets.iter().enumerate().filter(|(_, is)| **is).map(|(at, _)| at).collect();
    assert_eq!(silent.first(), Some(&10), "{packets:?}");
    assert!(packets[..10].iter().chain(&packets[11..20]).all(|is_silent| !is_silent));
}
