//! Packets, sequence, statistics, relay and RTCP, by example and by random bytes.

use std::time::Duration;

use proptest::prelude::*;

use super::rtcp::{
    RTCP_MAX, Renumbering, ReportedView, SourceView, Translation, packets, translate,
};
use super::*;
use crate::proto::sdp::Format;
use crate::proto::time::Instant;

fn header(sequence: u16, timestamp: u32, ssrc: u32) -> Header {
    Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: Ssrc(ssrc) }
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(ms)
}

#[test]
fn a_header_is_rewritten_in_place_and_nothing_else_is() {
    let mut packet = vec![0x91, 0x88, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    packet.extend([0, 0, 0, 9, 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 0xaa, 0xbb]);
    let read = Header::read(&packet).unwrap();
    assert_eq!(read, Header { marker: true, ..header(1, 2, 3) });
    let tail = packet[12..].to_vec();
    let new = Header { payload_type: 96, ..header(500, 600, 700) };
    assert!(new.write(&mut packet));
    assert_eq!(Header::read(&packet), Some(new));
    assert_eq!((packet[0], &packet[12..]), (0x91, tail.as_slice()));
}

#[test]
fn packets_that_are_not_rtp_are_told_apart() {
    assert_eq!(Header::read(&[0x80; 11]), None);
    assert_eq!(Header::read(&[0x40; 12]), None, "version 1");
    assert_eq!(Header::read(&[0x8f; 20]), None, "fifteen sources in eight bytes");
    assert_eq!(Header::read(&[0x80, 200, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), None, "RTCP");
    assert!(!header(1, 2, 3).write(&mut [0; 11]));
}

/// Row 142.
#[test]
fn wraps_gaps_reordering_and_duplicates_are_told_apart() {
    let mut sequence = Sequence::trusted(65_533);
    let arrivals = [65_534, 0, 65_535, 65_535, 0, 65_534, 100, 1].map(|n| sequence.packet(n));
    let newer = |missing| Arrival::Newer { missing };
    assert_eq!(
        arrivals,
        [
            newer(0),
            newer(1),
            Arrival::Late,
            Arrival::Duplicate,
            Arrival::Duplicate,
            Arrival::Duplicate,
            newer(99),
            Arrival::Late
        ]
    );
    assert_eq!((sequence.extended_max(), sequence.expected()), (65_536 + 100, 104));
}

/// Row 142.
#[test]
fn a_restart_is_believed_at_the_second_packet() {
    let mut sequence = Sequence::trusted(100);
    assert_eq!(sequence.packet(100 + MAX_DROPOUT), Arrival::Jump);
    assert_eq!(sequence.packet(101), Arrival::Newer { missing: 0 });
    assert_eq!(sequence.packet(40_000), Arrival::Jump);
    assert_eq!(sequence.packet(40_001), Arrival::Restarted);
    assert_eq!(sequence.packet(40_002), Arrival::Newer { missing: 0 });
    assert_eq!(sequence.packet(40_002 - MAX_MISORDER), Arrival::Jump);
}

/// Row 142.
#[test]
fn a_source_on_probation_needs_two_in_sequence() {
    let mut sequence = Sequence::on_probation(5);
    assert_eq!(sequence.packet(9), Arrival::Probation);
    assert_eq!(sequence.packet(10), Arrival::Newer { missing: 0 });
    assert_eq!(sequence.expected(), 1);
}

/// Row 145.
#[test]
fn loss_is_counted_over_restarts_and_sources_and_clamped_to_24_bits() {
    let mut reception = Reception::default();
    for n in [10, 11, 13, 14] {
        reception.packet(at(0), &header(n, 0, 1), 8_000);
    }
    assert_eq!(reception.totals().lost(), 1);
    reception.packet(at(0), &header(40_000, 0, 1), 8_000);
    reception.packet(at(0), &header(40_001, 0, 1), 8_000);
    assert_eq!(reception.totals().lost(), 1, "a restart is no loss");
    for n in [7, 9, 8, 8] {
        reception.packet(at(0), &header(n, 0, 2), 8_000);
    }
    let totals = reception.totals();
    assert_eq!((totals.expected, totals.received, totals.lost()), (9, 8, 1));
    assert_eq!((totals.duplicates, totals.out_of_order), (1, 1));
    let many = ReceptionTotals { expected: u64::MAX, ..totals };
    assert_eq!(many.lost_24_bit(), 0x7f_ffff);
    let negative = ReceptionTotals { received: u64::MAX, ..totals };
    assert_eq!(negative.lost_24_bit(), -0x80_0000);
}

/// Row 145.
#[test]
fn jitter_follows_the_rfc_and_ignores_a_jump_of_the_clock() {
    let mut reception = Reception::default();
    for n in 0..200_u16 {
        let late = if n % 2 == 0 { 0 } else { 4 };
        let now = at(20 * u64::from(n) + late);
        reception.packet(now, &header(n, u32::from(n) * 160, 1), 8_000);
    }
    let steady = reception.totals().jitter_us;
    assert!((3_500..=4_500).contains(&steady), "{steady}");
    reception.packet(at(4_000), &header(200, 77_000_000, 1), 8_000);
    assert!(reception.totals().jitter_us <= steady);
}

/// Row 141.
#[test]
fn one_source_and_continuous_numbers_whoever_is_behind_them() {
    let mut stream = OutgoingStream::new(Ssrc(42), 1_000, 5_000);
    let mut relay = |ms, seq, ts, ssrc| {
        let h = stream.relay(at(ms), &header(seq, ts, ssrc), 8_000, false).header;
        assert_eq!(h.ssrc, Ssrc(42));
        (h.sequence, h.timestamp, h.marker)
    };
    assert_eq!(relay(0, 65_535, 70, 1), (1_000, 5_000, true));
    assert_eq!(relay(20, 0, 230, 1), (1_001, 5_160, false));
    // A loss and a reordering stay what they are.
    assert_eq!(relay(60, 2, 550, 1), (1_003, 5_480, false));
    assert_eq!(relay(61, 1, 390, 1), (1_002, 5_320, false));
    // Hold music 100 ms later: number + 1, 100 ms of ticks, marker.
    assert_eq!(relay(160, 9, 9, 2), (1_004, 6_280, true));
    // Back after 20 ms, also under the old name.
    assert_eq!(relay(180, 8, 1_510, 1), (1_005, 6_440, true));
}

/// Row 140.
#[test]
fn a_restart_under_the_same_name_is_a_switch() {
    let mut stream = OutgoingStream::new(Ssrc(42), 1, 0);
    stream.relay(at(0), &header(10, 0, 1), 8_000, false);
    let again = stream.relay(at(20), &header(50_000, 99, 1), 8_000, true);
    assert!(again.is_switch && again.header.marker);
    assert_eq!((again.header.sequence, again.header.timestamp), (2, 160));
}

/// Row 97.
#[test]
fn payload_types_are_mapped_by_codec() {
    let format = |number, map: &str| Format::new(number, Some(map), None).unwrap();
    let from =
        [format(96, "opus/48000/2"), format(101, "telephone-event/8000"), format(0, "PCMU/8000")];
    let to = [format(111, "OPUS/48000/2"), format(101, "telephone-event/8000")];
    let map = PayloadMap::between(&from, &to, PacketTime::default());
    let opus = Carried {
        to: Some(111),
        clock_rate: 48_000,
        is_speech: true,
        is_digits: false,
        conversion: None,
        packing: None,
    };
    assert_eq!(map.get(96), Some(opus));
    assert_eq!(map.get(101).unwrap().to, Some(101));
    assert_eq!(map.get(0).unwrap().to, None);
    assert_eq!(map.get(8), None);
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

const NAMES: Translation<'_> = Translation {
    sender: Ssrc(0xb0),
    source: Some(SourceView { ssrc: Ssrc(0xa1), timestamp_shift: 1_000, packets: 7, octets: 70 }),
    reported: Some(ReportedView {
        ours: Ssrc(0xa0),
        theirs: Ssrc(0xb1),
        sequence_shift: 10,
        newest_extended: 0x0003_0004,
        lost: 0,
        renumbering: None,
    }),
    cname: "tandem",
};

/// Row 145.
#[test]
fn a_sender_report_crosses_with_the_names_and_numbers_of_the_other_leg() {
    let report = [0x82c8_0012, 0xa1, 1, 2, 500, 99, 999];
    let about_us = [0xa0, 0x0500_0003, 0x0001_0008, 33, 44, 55];
    let about_other = [0xcc, 1, 2, 3, 4, 5];
    let bye = [0x81cb_0001, 0xa1];
    let sdes = [0x81ca_0003, 0xa1, 0x0102_6162, 0];
    let all = [report.as_slice(), &about_us, &about_other, &sdes, &bye].concat();
    let mut out = [0; RTCP_MAX];
    let length = translate(&words(&all), &NAMES, &mut out).unwrap();
    // 0x0008 - 10 = 0xfffe, just before the source's 0x3_0004: so 0x2_fffe.
    let expected = [
        0x81c8_000c,
        0xb0,
        1,
        2,
        1_500,
        7,
        70,
        0xb1,
        0x0500_0003,
        0x0002_fffe,
        33,
        44,
        55,
        0x81ca_0004,
        0xb0,
        0x0106_7461,
        0x6e64_656d,
        0,
    ];
    assert_eq!(out[..length], words(&expected));
}

/// Row 99, row 145: reports about a stream whose packets were cut in three tell of the source's packets.
#[test]
fn reports_about_a_cut_stream_count_in_packets_of_its_source() {
    let translated = |highest: u16, lost: i32, upstream: i64| {
        let [_, b0, b1, b2] = lost.to_be_bytes();
        let lost = u32::from_be_bytes([64, b0, b1, b2]);
        let report = [0x81c9_0007, 0xcc, 0xa0, lost, u32::from(highest), 33, 44, 55];
        let renumbering =
            Renumbering { newest_ours: 10, packets_in: 100, packets_out: 300, left_out: 4 };
        let reported = NAMES.reported.map(|view| ReportedView {
            lost: upstream,
            renumbering: Some(renumbering),
            ..view
        });
        let mut out = [0; RTCP_MAX];
        translate(&words(&report), &Translation { reported, ..NAMES }, &mut out).unwrap();
        let word = |n: usize| u32::from_be_bytes(out[n * 4..n * 4 + 4].try_into().unwrap());
        (word(2), word(3), word(4), word(5))
    };
    // 30 of ours behind our newest is 10 of theirs behind theirs, over the wrap.
    assert_eq!(translated(10, 0, 0), (0xb1, 0x4000_0000, 0x0003_0004, 33));
    assert_eq!(translated(0_u16.wrapping_sub(20), 0, 0).2, 0x0002_fffa);
    // Two never came: six numbers were left out. Nine more of ours were lost.
    assert_eq!(translated(10, 6, 2).1, 0x4000_0002);
    assert_eq!(translated(10, 15, 2).1, 0x4000_0005);
    assert_eq!(translated(10, 3, 2).1, 0x4000_0002, "the report is older than the gap");
    assert_eq!(translated(10, -3, 0).1, 0x40ff_fffd, "duplicates");
}

#[test]
fn a_report_of_another_source_keeps_its_blocks_but_not_its_clock() {
    let report = words(&[0x80c8_0006, 0xff, 1, 2, 500, 99, 999]);
    let mut out = [0; RTCP_MAX];
    let length = translate(&report, &NAMES, &mut out).unwrap();
    assert_eq!(out[..8], words(&[0x80c9_0001, 0xb0]));
    assert_eq!(packets(&out[..length]).unwrap().count(), 2);
}

#[test]
fn malformed_compounds_are_dropped_whole() {
    let mut out = [0; RTCP_MAX];
    let mut dropped = |bytes: &[u8]| translate(bytes, &NAMES, &mut out).is_none();
    assert!(dropped(&[]));
    assert!(dropped(&words(&[0x81cb_0001, 0xa1])), "BYE alone");
    assert!(dropped(&words(&[0x81c9_0001, 0xa1])), "a block is announced and missing");
    assert!(dropped(&words(&[0x80c9_0002, 0xa1])), "longer than the datagram");
    assert!(dropped(&words(&[0xa0c9_0001, 1, 0x80c9_0001, 1])), "padding inside");
    assert!(dropped(&[0x81, 0xcd, 0x00, 0x01, 0x67, 0xa8, 0x36, 0x56]), "NACK");
    assert!(dropped(&[0x84, 0xce, 0x00, 0x01, 0x3d, 0xb8, 0xde, 0xab]), "FIR");
    assert!(dropped(&words(&[0x80c9_0001, 0xa1]).repeat(200)), "over the limit");
    let too_small = translate(&words(&[0x80c9_0001, 0xa1]), &NAMES, &mut [0; 10]);
    assert_eq!(too_small, None);
}

proptest! {
    #[test]
    fn no_bytes_make_any_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        fuzz_rtp(&bytes);
    }

    #[test]
    fn no_report_shaped_bytes_make_the_translation_panic(
        count in 0..32_u8, kind in 200..208_u8, words in 0..12_u16,
        body in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let [hi, lo] = words.to_be_bytes();
        let mut bytes = vec![0x80 | count, kind, hi, lo];
        bytes.extend(body);
        fuzz_rtp(&bytes);
    }

    #[test]
    fn numbers_never_jump_whatever_the_source_does(
        steps in proptest::collection::vec((any::<u16>(), any::<u32>(), 0..3_u32, 0..2_000_u64), 1..60),
    ) {
        // Any source may send anything; only what the reception accepts is relayed.
        let mut reception = Reception::default();
        let mut stream = OutgoingStream::new(Ssrc(1), 100, 0);
        let mut now = at(0);
        let mut newest = 99_u16;
        for (sequence, timestamp, ssrc, wait) in steps {
            now += Duration::from_millis(wait);
            let h = header(sequence, timestamp, ssrc);
            let arrival = reception.packet(now, &h, 8_000);
            if matches!(arrival, Arrival::Duplicate | Arrival::Jump) {
                continue;
            }
            let restarts = arrival == Arrival::Restarted;
            let out = stream.relay(now, &h, 8_000, restarts).header;
            let step = out.sequence.wrapping_sub(newest).cast_signed();
            prop_assert!(step > -100 && step < 3_000, "{step}");
            if step > 0 {
                newest = out.sequence;
            }
        }
    }
}

/// Row 153: under a new key nobody is a round behind, whatever it misses; who has the old one counts along.
#[test]
fn row_153_a_new_key_near_the_end_of_a_round_begins_the_next_one() {
    for (first, next) in [(100, 101), (0xbfff, 0xc000), (0xc000, 128), (0xffff, 128)] {
        let mut stream = OutgoingStream::new(Ssrc(1), first, 0);
        let header = |sequence| Header {
            payload_type: 0,
            marker: false,
            sequence,
            timestamp: 160 * u32::from(sequence),
            ssrc: Ssrc(9),
        };
        let sent = stream.relay(Instant::from_millis(0), &header(7), 8_000, false).header;
        assert_eq!(sent.sequence, first);
        stream.begin_under_new_key();
        let sent_next = stream.relay(Instant::from_millis(20), &header(8), 8_000, false).header;
        assert_eq!((sent_next.sequence, sent_next.ssrc), (next, sent.ssrc));
        assert_eq!(sent_next.timestamp.wrapping_sub(sent.timestamp), 160);
    }
}
