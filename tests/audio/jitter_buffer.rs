//! The jitter buffer between a sender and a network that are made up, in virtual time.

use std::time::Duration;

use proptest::prelude::*;
use tandem::proto::rtp::{Delay, HELD_MAX, Header, JitterBuffer, PAYLOAD_MAX, Play, Ssrc};
use tandem::proto::time::Instant;

use crate::measure::{allocated, noise};

/// A packet on its way: when it arrives, in microseconds, and what it is.
#[derive(Clone)]
struct Packet {
    at: u64,
    header: Header,
    payload: Vec<u8>,
}

/// What came out, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    Packet(u16),
    Lost { ticks: u32, next: Option<u16> },
}

/// `count` packets of 20 ms at 8 kHz, sent from the first second on, each as late as `late`
/// says in microseconds; `None` is lost.
fn sent(count: u16, late: impl Fn(u16) -> Option<u64>) -> Vec<Packet> {
    let packet = |n: u16| {
        let at = 1_000_000 + u64::from(n) * 20_000 + late(n)?;
        Some(Packet { at, header: header(n, u32::from(n) * 160), payload: vec![n as u8; 160] })
    };
    let mut packets: Vec<_> = (0..count).filter_map(packet).collect();
    packets.sort_by_key(|packet| packet.at);
    packets
}

fn header(sequence: u16, timestamp: u32) -> Header {
    Header { payload_type: 0, marker: false, sequence, timestamp, ssrc: Ssrc(7) }
}

fn pop_all(buffer: &mut JitterBuffer, now: u64, out: &mut Vec<(u64, Out)>) {
    while let Some(play) = buffer.pop(Instant::from_micros(now)) {
        out.push(match play {
            Play::Packet { header, .. } => (now, Out::Packet(header.sequence)),
            Play::Lost { ticks, next } => {
                (now, Out::Lost { ticks, next: next.map(|(header, _)| header.sequence) })
            }
        });
    }
}

/// Runs the packets through a buffer to the end.
fn run(buffer: &mut JitterBuffer, packets: &[Packet]) -> Vec<(u64, Out)> {
    let mut out = Vec::new();
    let until = |buffer: &mut JitterBuffer, end: u64, out: &mut Vec<_>| {
        while let Some(at) = buffer.next_timeout().filter(|at| at.as_micros() < end) {
            let before = out.len();
            pop_all(buffer, at.as_micros(), out);
            assert!(out.len() > before, "a timeout at which there is nothing");
        }
    };
    for packet in packets {
        until(buffer, packet.at, &mut out);
        buffer.insert(Instant::from_micros(packet.at), &packet.header, &packet.payload);
        pop_all(buffer, packet.at, &mut out);
    }
    until(buffer, u64::MAX, &mut out);
    assert_eq!(buffer.held(), 0);
    out
}

fn adaptive() -> JitterBuffer {
    JitterBuffer::new(8_000, Delay::default())
}

/// How much later than it was sent each packet was played, in microseconds.
fn delays(out: &[(u64, Out)]) -> Vec<u64> {
    let delay = |(at, out): &(u64, Out)| match out {
        Out::Packet(n) => Some(at - 1_000_000 - u64::from(*n) * 20_000),
        Out::Lost { .. } => None,
    };
    out.iter().filter_map(delay).collect()
}

fn sequences(out: &[(u64, Out)]) -> Vec<u16> {
    let number = |(_, out): &(u64, Out)| match out {
        Out::Packet(n) => Some(*n),
        Out::Lost { .. } => None,
    };
    out.iter().filter_map(number).collect()
}

fn lost(out: &[(u64, Out)]) -> usize {
    out.iter().filter(|(_, out)| matches!(out, Out::Lost { .. })).count()
}

#[test]
fn a_clean_network_adds_nothing() {
    let mut buffer = adaptive();
    // Less than a millisecond is no jitter.
    let out = run(&mut buffer, &sent(500, |n| Some(5_000 + u64::from(n % 7) * 100)));
    assert_eq!(sequences(&out), (0..500).collect::<Vec<_>>());
    let late = delays(&out).into_iter().max().unwrap();
    assert!(late <= 5_600, "{late} us");
    assert_eq!(buffer.delay(), Duration::ZERO);
}

/// 40 ms of even jitter: after the first seconds nothing is missing, everything is in
/// order, and the delay is what the latest packets need.
#[test]
fn the_delay_is_what_the_network_needs() {
    let jitter: Vec<u64> =
        noise(3).map(|n| u64::from(n as u16) * 40_000 / 65_536).take(3_000).collect();
    let mut buffer = adaptive();
    let out = run(&mut buffer, &sent(3_000, |n| Some(10_000 + jitter[usize::from(n)])));
    let numbers = sequences(&out);
    assert!(numbers.is_sorted());
    let played_late = numbers.iter().filter(|n| **n > 100).count();
    assert!(played_late >= 2_899 - 29, "{played_late}: more than one in a hundred is missing");
    let held = buffer.delay().as_millis();
    assert!((36..=42).contains(&held), "{held} ms");
    // And it is played evenly: a packet every 20 ms, give or take what the delay moves.
    let steps = out.windows(2).skip(500).map(|w| w[1].0 - w[0].0);
    let uneven = steps.filter(|step| !(19_000..=21_500).contains(step)).count();
    assert!(uneven <= 60, "{uneven} of 2,500");
}

/// A stall that is over is forgotten, slowly while somebody talks.
#[test]
fn the_delay_goes_back_after_a_stall() {
    let late =
        |n: u16| Some(if (200..207).contains(&n) { (207 - u64::from(n)) * 20_000 } else { 0 });
    let mut buffer = adaptive();
    let out = run(&mut buffer, &sent(2_000, late));
    assert_eq!(sequences(&out), (0..2_000).collect::<Vec<_>>(), "nothing is thrown away");
    assert_eq!(lost(&out), 0);
    let delays = delays(&out);
    assert!((130_000..=140_000).contains(&delays[206]), "{}: paced after the first", delays[206]);
    let burst = out.windows(2).filter(|w| w[1].0 - w[0].0 < 16_000).count();
    assert_eq!(burst, 0, "no two packets at once");
    assert!(delays[600] < 30_000 && delays[1_999] == 0, "{} {}", delays[600], delays[1_999]);
}

#[test]
fn a_lost_packet_is_told_when_it_should_have_been_played() {
    let late = |n: u16| {
        (n != 50 && n != 60 && n != 61).then_some(if n < 20 && n % 2 == 1 { 30_000 } else { 0 })
    };
    let out = run(&mut adaptive(), &sent(100, late));
    let at = |wanted: Out| out.iter().position(|(_, out)| *out == wanted).unwrap();
    let fifty = at(Out::Lost { ticks: 160, next: Some(51) });
    let step = out[fifty].0 - out[fifty - 1].0;
    assert!((19_000..=20_500).contains(&step), "{step} us after the packet before");
    assert_eq!(out[fifty + 1].1, Out::Packet(51));
    let sixty = at(Out::Lost { ticks: 160, next: None });
    assert_eq!(out[sixty + 1].1, Out::Lost { ticks: 160, next: Some(62) });
    assert_eq!(lost(&out[at(Out::Packet(20))..]), 3);
}

/// Row 142: reordered within the delay is played in order; twice is played once.
#[test]
fn row_142_order_and_duplicates() {
    let mut packets = sent(200, |n| Some(if n % 10 == 5 { 30_000 } else { 0 }));
    for index in (0..packets.len()).rev().step_by(7) {
        let mut again = packets[index].clone();
        again.at += 1;
        packets.insert(index + 1, again);
    }
    packets.sort_by_key(|packet| packet.at);
    let mut buffer = adaptive();
    let out = run(&mut buffer, &packets);
    let numbers = sequences(&out);
    assert!(numbers.windows(2).all(|w| w[0] < w[1]), "in order and once each");
    assert!(buffer.unplayed().duplicate >= 25, "{:?}", buffer.unplayed());
    assert_eq!(numbers.len() + usize::try_from(buffer.unplayed().late).unwrap(), 200);
    assert!(buffer.unplayed().late <= 1, "{:?}", buffer.unplayed());
}

#[test]
fn numbers_and_timestamps_wrap() {
    let mut packets = sent(100, |n| Some(u64::from(n % 3) * 25_000));
    for packet in &mut packets {
        packet.header.sequence = packet.header.sequence.wrapping_add(65_500);
        packet.header.timestamp = packet.header.timestamp.wrapping_add(0xffff_f000);
    }
    let out = run(&mut adaptive(), &packets);
    let wanted: Vec<u16> = (0..100).map(|n: u16| n.wrapping_add(65_500)).collect();
    let played = sequences(&out);
    assert_eq!(played[5..], wanted[wanted.len() - played.len() + 5..]);
    assert!(played.len() >= 98, "{}", played.len());
}

/// Row 140: another SSRC begins at once, whatever its numbers are.
#[test]
fn row_140_another_source_begins_at_once() {
    let mut buffer = adaptive();
    let mut packets = sent(100, |n| Some(u64::from(n % 2) * 30_000));
    let mut others = sent(100, |_| Some(2_100_000));
    for packet in &mut others {
        packet.header.ssrc = Ssrc(8);
        packet.header.timestamp = packet.header.timestamp.wrapping_sub(90_000);
        packet.header.sequence = packet.header.sequence.wrapping_add(30_000);
    }
    packets.extend(others);
    let out = run(&mut buffer, &packets);
    let first = out.iter().find(|(_, out)| *out == Out::Packet(30_000)).unwrap();
    assert_eq!(first.0, 3_100_000);
    assert_eq!(
        sequences(&out)[sequences(&out).len() - 100..],
        (30_000..30_100).collect::<Vec<u16>>()
    );
}

#[test]
fn timestamps_that_count_anew_are_followed() {
    for jump in [80_000_000_u32, 80_000_000_u32.wrapping_neg(), 40_000_u32.wrapping_neg()] {
        let mut packets = sent(200, |_| Some(0));
        for packet in packets.iter_mut().skip(100) {
            packet.header.timestamp = packet.header.timestamp.wrapping_add(jump);
        }
        let out = run(&mut adaptive(), &packets);
        assert_eq!(sequences(&out), (0..200).collect::<Vec<_>>(), "{jump}");
        assert_eq!(lost(&out), 0);
        assert!(delays(&out).iter().all(|late| *late < 1_000));
    }
}

/// Jumps of days with every packet, one way or both, for an hour: nothing overflows, and
/// each packet is played.
#[test]
fn timestamps_that_run_wild_are_played() {
    for clock_rate in [1, 8_000] {
        for step in [0x7fff_ffff_u32, 0x8000_0001, 0x4000_0000] {
            let mut buffer = JitterBuffer::new(clock_rate, Delay::default());
            let mut played = 0;
            for n in 0..20_000_u32 {
                let now = Instant::from_millis(u64::from(n) * 20);
                buffer.insert(now, &header(n as u16, n.wrapping_mul(step)), &[1; 20]);
                while buffer.pop(now).is_some() {
                    played += 1;
                }
            }
            assert_eq!(played, 20_000, "{clock_rate} {step:#x}");
        }
    }
}

/// A network that has become slower for good: a fifth of a second is lost, not the call.
#[test]
fn a_slower_way_is_accepted() {
    let out = run(&mut adaptive(), &sent(400, |n| Some(if n < 200 { 0 } else { 500_000 })));
    let numbers = sequences(&out);
    assert!(numbers.len() >= 388, "{}", numbers.len());
    assert!(delays(&out).into_iter().max().unwrap() <= 500_000);
}

/// Row 143: an hour of two clocks that differ.
#[test]
fn row_143_two_clocks_that_differ_for_an_hour() {
    for ppm in [-200_i64, 200] {
        let mut buffer = adaptive();
        let (mut played, mut most) = (0_u64, 0);
        let mut jitter = noise(9).map(|n| u64::from(n as u16) * 8_000 / 65_536);
        for n in 0..180_000_i64 {
            let sent = n * 20_000 + n * 20_000 * ppm / 1_000_000;
            let at = 1_000_000 + u64::try_from(sent).unwrap() + jitter.next().unwrap();
            let header = header(n as u16, (n as u32).wrapping_mul(160));
            while let Some(due) = buffer.next_timeout().filter(|due| due.as_micros() < at) {
                while buffer.pop(due).is_some() {
                    played += 1;
                }
            }
            buffer.insert(Instant::from_micros(at), &header, &[0; 160]);
            most = most.max(buffer.held());
            assert!(buffer.delay() < Duration::from_millis(16), "{ppm} ppm: {:?}", buffer.delay());
        }
        assert!(most <= 2, "{ppm} ppm: {most} packets held");
        assert!(played >= 179_990, "{ppm} ppm: {played} played");
        assert_eq!(buffer.unplayed().late, 0, "{ppm} ppm: {:?}", buffer.unplayed());
    }
}

/// Row 148: what a sender that is silent does not send is no loss, and the next words
/// are played when they come.
#[test]
fn row_148_silence_is_no_loss() {
    let mut packets = Vec::new();
    let mut sequence = 0;
    for talk in 0..20_u64 {
        for n in 0..50_u64 {
            let media = talk * 3_000_000 + n * 20_000;
            let late = if talk < 3 && n % 2 == 1 { 60_000 } else { 0 };
            let mut header = header(sequence, (media * 8 / 1_000) as u32);
            header.marker = n == 0;
            packets.push(Packet { at: 1_000_000 + media + late, header, payload: vec![1; 160] });
            sequence += 1;
        }
    }
    packets.sort_by_key(|packet| packet.at);
    let mut buffer = adaptive();
    let out = run(&mut buffer, &packets);
    // The first that came late found no delay yet.
    assert_eq!(lost(&out), 1);
    assert_eq!(sequences(&out).len(), 999);
    assert_eq!(buffer.delay(), Duration::ZERO, "forgotten in a silence");
}

/// Telephone events have numbers of the same row; they are no loss.
#[test]
fn what_is_not_audio_is_no_loss() {
    let mut packets = sent(200, |n| Some(u64::from(n % 3) * 15_000));
    for packet in packets.iter_mut().filter(|packet| (80..95).contains(&packet.header.sequence)) {
        packet.payload.clear();
        packet.header.timestamp = 80 * 160;
    }
    let out = run(&mut adaptive(), &packets);
    assert_eq!(lost(&out), 1, "the first that came late, before there was a delay");
    let wanted: Vec<u16> = (3..80).chain(95..200).collect();
    let played = sequences(&out);
    assert_eq!(played[played.len() - wanted.len()..], wanted);
}

/// However much comes at once, no more is held than the longest delay lasts.
#[test]
fn a_burst_is_bounded() {
    let max = Duration::from_millis(200);
    let mut buffer = adaptive();
    let mut packets = sent(100, |_| Some(0));
    for packet in packets.iter_mut().skip(10) {
        packet.at = 1_200_000;
    }
    for packet in &packets {
        buffer.insert(Instant::from_micros(packet.at), &packet.header, &packet.payload);
        assert!(buffer.held() <= HELD_MAX);
        let now = Instant::from_micros(packet.at);
        pop_all(&mut buffer, packet.at, &mut Vec::new());
        assert!(buffer.next_timeout().is_none_or(|at| at - now <= max));
        assert!(buffer.held() <= 11, "{} held", buffer.held());
    }
    assert!(buffer.unplayed().skipped >= 70, "{:?}", buffer.unplayed());
    let mut buffer = adaptive();
    buffer.insert(Instant::from_millis(1), &header(1, 1), &[0; PAYLOAD_MAX + 1]);
    assert_eq!((buffer.held(), buffer.unplayed().refused), (0, 1));
}

/// Fax: the delay is what it was set to, from the first packet to the last.
#[test]
fn a_fixed_delay_stays() {
    let jitter: Vec<u64> =
        noise(4).map(|n| u64::from(n as u16) * 30_000 / 65_536).take(1_000).collect();
    let mut buffer = JitterBuffer::new(8_000, Delay::Fixed(Duration::from_millis(60)));
    let out = run(&mut buffer, &sent(1_000, |n| Some(jitter[usize::from(n)])));
    assert_eq!(sequences(&out), (0..1_000).collect::<Vec<_>>());
    let delays = delays(&out);
    assert!(delays.iter().all(|delay| *delay == delays[0]), "not one moves");
}

#[test]
fn nothing_is_allocated_once_it_runs() {
    let jitter: Vec<u64> =
        noise(3).map(|n| u64::from(n as u16) * 60_000 / 65_536).take(4_000).collect();
    let late = |n: u16| (n % 50 != 49).then_some(jitter[usize::from(n)]);
    let packets = sent(4_000, late);
    let mut buffer = adaptive();
    let mut before = 0;
    for (index, packet) in packets.iter().enumerate() {
        if index == 1_000 {
            before = allocated();
        }
        while let Some(at) = buffer.next_timeout().filter(|at| at.as_micros() < packet.at) {
            while buffer.pop(at).is_some() {}
        }
        buffer.insert(Instant::from_micros(packet.at), &packet.header, &packet.payload);
    }
    assert_eq!(allocated() - before, 0);
}

proptest! {
    /// Whatever comes, in any order and at any time: bounded, in order, and it ends.
    #[test]
    fn a_hostile_source_is_bounded(
        packets in prop::collection::vec(
            (0_u64..300_000, any::<u16>(), any::<u32>(), 0_u32..2, 0_usize..4, any::<bool>()),
            1..300,
        ),
        fixed in any::<bool>(),
        clock_rate in prop::sample::select(vec![0, 8_000, 48_000, u32::MAX]),
    ) {
        let delay = if fixed { Delay::Fixed(Duration::from_millis(80)) } else { Delay::default() };
        let mut buffer = JitterBuffer::new(clock_rate, delay);
        let (mut now, mut sequence, mut timestamp) = (0, 0_u16, 0_u32);
        for (wait, jump, far, ssrc, size, sound) in packets {
            now += wait % 40_000;
            (sequence, timestamp) = match sound {
                true => (sequence.wrapping_add(jump % 3), timestamp.wrapping_add(160)),
                false => (jump, far),
            };
            let mut header = header(sequence, timestamp);
            header.ssrc = Ssrc(if sound { 0 } else { ssrc });
            buffer.insert(Instant::from_micros(now), &header, &vec![0; size * 700]);
            prop_assert!(buffer.held() <= HELD_MAX);
            let mut told = 0;
            while buffer.pop(Instant::from_micros(now)).is_some() {
                told += 1;
                prop_assert!(told < 10_000);
            }
            prop_assert!(buffer.next_timeout().is_none_or(|at| at > Instant::from_micros(now)));
            let latest = Instant::from_micros(now + 1_000_000);
            prop_assert!(buffer.next_timeout().is_none_or(|at| at <= latest), "{:?}", buffer.next_timeout());
        }
    }
}
