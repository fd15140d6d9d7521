use super::super::{Block, RTCP_MAX, VERSION, VoipMetrics};
use super::*;

const STREAM: Stream =
    Stream { ssrc: Ssrc(7), timestamp: Some(16_000), packets: 100, octets: 16_000 };

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn written(
    reporter: &mut Reporter,
    now: Instant,
    stream: &Stream,
    heard: Option<Received>,
    is_bye: bool,
) -> Vec<u8> {
    let mut out = [0; RTCP_MAX];
    let length = reporter.write(now, stream, heard, ("tandem", is_bye), &mut out).unwrap();
    out[..length].to_vec()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn types(compound: &[u8]) -> Vec<(u8, u8)> {
    packets(compound).unwrap().map(|packet| (packet.packet_type, packet.count)).collect()
}

const fn heard(expected: u32, received: u32) -> Received {
    Received { ssrc: Ssrc(9), newest_extended: expected, expected, received, jitter_ticks: 16 }
}

/// Row 145: what is sent is a whole compound, a sender's or a receiver's, with our name, and ends with a BYE.
#[test]
fn row_145_a_report_of_our_own_is_a_compound_with_a_name() {
    let mut reporter = Reporter::new(1);
    assert!(!reporter.has_reported());
    let first = written(&mut reporter, at(3_000), &STREAM, Some(heard(100, 90)), false);
    assert_eq!(types(&first), [(SENDER_REPORT, 1), (202, 1)]);
    assert_eq!(first.len() % 4, 0);
    // Nothing was sent between this one and the two before: a receiver's report.
    written(&mut reporter, at(8_000), &STREAM, None, false);
    let third = written(&mut reporter, at(13_000), &STREAM, None, true);
    assert_eq!(types(&third), [(RECEIVER_REPORT, 0), (202, 1), (BYE, 1)]);
    assert!(reporter.has_reported());
    let mut small = [0; 20];
    assert_eq!(reporter.write(at(1), &STREAM, None, ("tandem", false), &mut small), None);
}

/// Row 145: RFC 3550 §A.3. The fraction is that of the interval, the sum has 24 bits and a sign.
#[test]
fn row_145_losses_are_a_fraction_of_the_interval_and_a_signed_sum() {
    let mut reporter = Reporter::new(1);
    let table = [
        (heard(100, 90), 25, 10),
        (heard(200, 140), 128, 60),
        // More came than should have: duplicates, or late ones.
        (heard(300, 310), 0, -10),
        (heard(20_000_000, 310), 255, 0x7f_ffff),
    ];
    for (heard, fraction, lost) in table {
        let compound = written(&mut reporter, at(3_000), &STREAM, Some(heard), false);
        let told = Told::read(&compound, Ssrc(9)).unwrap();
        let block = told.about.unwrap();
        assert_eq!((block.fraction, block.lost), (fraction, lost), "{heard:?}");
        assert_eq!((block.newest_extended, block.jitter_ticks), (heard.expected, 16));
    }
    // Another source begins at nothing.
    let other = Received { ssrc: Ssrc(10), ..heard(10, 5) };
    let compound = written(&mut reporter, at(4_000), &STREAM, Some(other), false);
    assert_eq!(Told::read(&compound, Ssrc(10)).unwrap().about.unwrap().fraction, 128);
}

/// Row 145: the worked example of RFC 3550 §6.4.1, figure 2: 6.125 s less the 5.25 s that the peer held it.
#[test]
fn row_145_a_round_trip_is_what_is_left_of_the_time_that_a_report_was_away() {
    let mut reporter = Reporter::new(1);
    let report = written(&mut reporter, at(10_000), &STREAM, None, false);
    reporter.went(at(10_000), &report);
    let mid = Told::read(&report, Ssrc(0)).unwrap().sender_time.unwrap();
    let answer = |last_report, delay| Told {
        about: Some(Block { last_report, delay, ..Block::default() }),
        ..Told::default()
    };
    reporter.told(at(16_125), &answer(mid.wrapping_add(1), 0), 100);
    reporter.told(at(16_125), &answer(0, 0), 100);
    assert_eq!(reporter.round_trip(), None, "no report of ours");
    reporter.told(at(16_125), &answer(mid, 0x0005_4000), 100);
    assert_eq!(reporter.round_trip(), Some(Duration::from_millis(875)));
    reporter.told(at(16_126), &answer(mid, u32::MAX), 100);
    assert_eq!(reporter.round_trip(), Some(Duration::from_millis(875)), "held for 18 hours");
    // And the peer can do the same with ours.
    let came = Told { sender_time: Some(0xb705_2000), ..Told::default() };
    reporter.told(at(20_000), &came, 100);
    let report = written(&mut reporter, at(25_250), &STREAM, Some(heard(1, 1)), false);
    let block = Told::read(&report, Ssrc(9)).unwrap().about.unwrap();
    assert_eq!((block.last_report, block.delay), (0xb705_2000, 0x0005_4000));
}

/// Row 145: five seconds at least, spread from half to one and a half, less the compensation; the first in half of it.
#[test]
fn row_145_reports_are_five_seconds_apart_and_not_in_step() {
    let millis = |size, has, part| interval(size, has, part).as_millis();
    assert_eq!((millis(128.0, false, 0.0), millis(128.0, false, 1.0)), (1_026, 3_078));
    assert_eq!((millis(128.0, true, 0.0), millis(128.0, true, 1.0)), (2_052, 6_156));
    // Large reports are rarer: 5 % of the audio.
    assert_eq!(millis(1_500.0, true, 0.5), 6_156);
    let mut reporter = Reporter::new(42);
    assert!(!reporter.is_due(at(0), true) && !reporter.is_due(at(1_000), true));
    assert!(!reporter.is_due(at(9_000), false), "the stream is another's again");
    assert!(!reporter.is_due(at(9_000), true) && reporter.is_due(at(12_100), true));
    written(&mut reporter, at(12_100), &STREAM, None, false);
    assert!(!reporter.is_due(at(14_100), true) && reporter.is_due(at(18_300), true));
}

fn extended(blocks: &[u8]) -> Vec<u8> {
    let mut compound = words(&[u32::from(VERSION) << 30 | 0x00c9_0001, 5]);
    let length = u8::try_from(1 + blocks.len() / 4).unwrap();
    compound.extend([VERSION << 6, 207, 0, length]);
    compound.extend(words(&[5]));
    compound.extend(blocks);
    compound
}

/// Row 146.
#[test]
fn row_146_voip_metrics_of_a_phone_are_read() {
    let metrics = words(&[
        0x0700_0008,
        7,
        0x0503_4001, // loss 5, discard 3, burst density 64, gap density 1
        0x0078_1388, // bursts of 120 ms, gaps of 5 s
        0x0032_0014, // 50 ms there and back, 20 ms in the phone
        0xc4ba_3710, // levels, echo, Gmin
        0x5d7f_2a29, // R 93, no external R, MOS 4.2 and 4.1
        0x3000_0028,
        0x0050_00c8,
    ]);
    let expected = VoipMetrics {
        loss_rate: 5,
        discard_rate: 3,
        burst_density: 64,
        burst_ms: 120,
        round_trip_ms: 50,
        end_system_ms: 20,
        r_factor: Some(93),
        mos_lq: Some(42),
        mos_cq: Some(41),
    };
    // Behind a block of another kind.
    let mut blocks = words(&[0x0400_0002, 1, 2]);
    blocks.extend(&metrics);
    assert_eq!(Told::read(&extended(&blocks), Ssrc(7)).unwrap().voip, Some(expected));
    assert_eq!(Told::read(&extended(&blocks), Ssrc(8)).unwrap().voip, None, "another stream's");
    // What is not available is nothing, and what cannot be neither.
    let mut unknown = metrics.clone();
    unknown[24..28].copy_from_slice(&[127, 127, 127, 200]);
    let told = Told::read(&extended(&unknown), Ssrc(7)).unwrap().voip.unwrap();
    assert_eq!((told.r_factor, told.mos_lq, told.mos_cq), (None, None, None));
    // Cut anywhere, it is nothing, and nobody is hurt.
    for length in (0..metrics.len()).step_by(4) {
        let told = Told::read(&extended(&metrics[..length]), Ssrc(7));
        assert_eq!(told.unwrap().voip, None, "{length}");
    }
    let mut wrong = metrics;
    wrong[3] = 255;
    assert_eq!(Told::read(&extended(&wrong), Ssrc(7)).unwrap().voip, None);
}
