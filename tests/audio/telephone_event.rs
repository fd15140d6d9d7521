//! Telephone events: one key, one digit, whatever the network does to its packets.

use std::time::Duration;

use proptest::prelude::*;
use tandem::proto::rtp::telephone_event::{
    DIGITS_MAX, EVENT_MAX, EVENT_SILENCE, EventPacket, FLASH, Received, Receiver, SendError,
    Sender, TelephoneEvent, event_of, key_of,
};
use tandem::proto::rtp::{Header, Ssrc};
use tandem::proto::time::Instant;

/// A packet with when it comes, in milliseconds.
type Timed = (u64, Header, [u8; 4]);

fn header(sequence: u16, timestamp: u32) -> Header {
    Header { payload_type: 101, marker: false, sequence, timestamp, ssrc: Ssrc(7) }
}

fn report(event: u8, is_end: bool, duration: u16) -> [u8; 4] {
    TelephoneEvent { event, is_end, volume: 10, duration }.write()
}

/// A key as phones send it at 8 kHz: an update each 20 ms, three ends at once.
fn key(at: u64, event: u8, updates: u16, sequence: u16) -> Vec<Timed> {
    let timestamp = u32::try_from(at * 8).unwrap();
    let packet = |n: u16| {
        let is_end = n >= updates;
        let n = n.min(updates);
        let sequence = sequence + n;
        (at + u64::from(n) * 20, header(sequence, timestamp), report(event, is_end, (n + 1) * 160))
    };
    (0..updates + 3).map(packet).collect()
}

fn receive_at(clock_rate: u32, packets: &[Timed]) -> Vec<Received> {
    let mut receiver = Receiver::new(clock_rate);
    let mut out = Vec::new();
    for (at, header, payload) in packets {
        receiver.handle(Instant::from_millis(*at), header, payload, &mut out);
    }
    if let Some(at) = receiver.next_timeout() {
        receiver.handle_timeout(at, &mut out);
    }
    assert_eq!(receiver.next_timeout(), None);
    out
}

fn receive(packets: &[Timed]) -> Vec<Received> {
    receive_at(8_000, packets)
}

fn digit(event: u8, ms: u64) -> [Received; 2] {
    let duration = Duration::from_millis(ms);
    [Received::Started { event }, Received::Ended { event, duration }]
}

/// Row 149: every way to lose, repeat or swap packets of one key gives one digit, and
/// its length is the longest that was told.
#[test]
fn row_149_one_key_is_one_digit() {
    let whole = key(1_000, 5, 5, 1);
    assert_eq!(receive(&whole), digit(5, 120));
    for first in 1..whole.len() {
        assert_eq!(receive(&whole[first..]), digit(5, 120), "the first {first} lost");
    }
    for last in 1..6 {
        let told = u64::from(u16::try_from(last).unwrap()) * 20;
        assert_eq!(receive(&whole[..last]), digit(5, told), "all but {last} lost");
    }
    for (a, b) in [(0, 1), (3, 4), (4, 5), (1, 7)] {
        let mut swapped = whole.clone();
        swapped.swap(a, b);
        assert_eq!(receive(&swapped), digit(5, 120), "{a} and {b} swapped");
    }
    let twice: Vec<Timed> = whole.iter().flat_map(|packet| [*packet, *packet]).collect();
    assert_eq!(receive(&twice), digit(5, 120));
}

/// Row 149: two keys, one after the other, also the same one twice, also if all ends of
/// the first are lost or come after the second began.
#[test]
fn row_149_two_keys_are_two_digits() {
    for second in [5, 6] {
        let (first, next) = (key(1_000, 5, 5, 1), key(1_200, second, 4, 20));
        let two = [digit(5, 120), digit(second, 100)].concat();
        assert_eq!(receive(&[first.clone(), next.clone()].concat()), two);
        let cut = [first[..5].to_vec(), next.clone()].concat();
        assert_eq!(receive(&cut), [digit(5, 100), digit(second, 100)].concat());
        let mut crossed = [first[..7].to_vec(), next[..1].to_vec()].concat();
        crossed.push(first[7]);
        crossed.extend_from_slice(&next[1..]);
        assert_eq!(receive(&crossed), two, "an end that was overtaken");
    }
}

/// Row 149: a key that is held longer than a duration can say: in segments (RFC 4733
/// §2.5.1.3), or by senders that count on and keep the timestamp.
#[test]
fn row_149_a_long_press_is_one_digit() {
    let segments: Vec<Timed> = (1..=1_000_u64)
        .map(|n| {
            let ticks = n * 160;
            let segment = (ticks - 1) / 0xffff;
            let timestamp = 8_000 + u32::try_from(segment * 0xffff).unwrap();
            let duration = u16::try_from(ticks - segment * 0xffff).unwrap();
            (1_000 + n * 20, header(n as u16, timestamp), report(1, n == 1_000, duration))
        })
        .collect();
    assert_eq!(receive(&segments), digit(1, 20_000));
    let wrapping: Vec<Timed> = (1..=1_000_u64)
        .map(|n| (1_000 + n * 20, header(n as u16, 8_000), report(1, n == 1_000, (n * 160) as u16)))
        .collect();
    assert_eq!(receive(&wrapping), digit(1, 20_000));
}

#[test]
fn a_stuck_key_ends_by_time() {
    let mut receiver = Receiver::new(8_000);
    let mut out = Vec::new();
    let heard = Instant::from_millis(1_000);
    receiver.handle(heard, &header(1, 8_000), &report(3, false, 160), &mut out);
    assert_eq!(receiver.next_timeout(), Some(heard + EVENT_SILENCE));
    receiver.handle_timeout(Instant::from_millis(1_299), &mut out);
    assert_eq!(out, [Received::Started { event: 3 }]);
    receiver.handle_timeout(heard + EVENT_SILENCE, &mut out);
    assert_eq!(out, digit(3, 20));
    // What comes of it later is no second digit.
    receiver.handle(
        Instant::from_millis(1_400),
        &header(9, 8_000),
        &report(3, true, 3_200),
        &mut out,
    );
    assert_eq!(out.len(), 2);

    // One that is told of for ever, without growing.
    let stuck: Vec<Timed> =
        (0..4_000_u64).map(|n| (n * 20, header(n as u16, 0), report(3, false, 800))).collect();
    let out = receive(&stuck);
    assert_eq!(out, digit(3, 100));
    let segments: Vec<Timed> = (0..8_000_u32)
        .map(|n| {
            let timestamp = n * 160 / 0xffff * 0xffff;
            let duration = (n * 160 - timestamp) as u16;
            (u64::from(n) * 20, header(n as u16, timestamp), report(3, false, duration))
        })
        .collect();
    assert_eq!(receive(&segments).len(), 2, "also in segments");
    assert!(stuck.last().unwrap().0 > u64::try_from(EVENT_MAX.as_millis()).unwrap());
}

/// Row 151: the clock is that of the audio, also 48 kHz beside Opus.
#[test]
fn row_151_the_length_is_by_the_clock_of_the_audio() {
    for rate in [8_000_u32, 16_000, 48_000] {
        let ticks = u16::try_from(rate / 10).unwrap();
        let packets = [
            (1_000, header(1, 1), report(9, false, ticks / 2)),
            (1_050, header(2, 1), report(9, true, ticks)),
        ];
        assert_eq!(receive_at(rate, &packets), digit(9, 100));
    }
}

#[test]
fn another_source_is_another_key() {
    let mut other = key(1_040, 5, 5, 1);
    other.iter_mut().for_each(|(_, header, _)| header.ssrc = Ssrc(8));
    let both = [key(1_000, 5, 5, 1)[..3].to_vec(), other].concat();
    assert_eq!(receive(&both), [digit(5, 60), digit(5, 120)].concat());
}

#[test]
fn keys_have_their_events() {
    for (event, key) in "0123456789*#ABCD".chars().enumerate() {
        assert_eq!(event_of(key), u8::try_from(event).ok());
        assert_eq!(key_of(u8::try_from(event).unwrap()), Some(key));
    }
    assert_eq!((event_of('d'), event_of('x'), key_of(16)), (Some(15), None, None));
    assert_eq!(TelephoneEvent::read(&[1, 2, 3]), None);
}

/// Runs a sender to its end: milliseconds, packet, and whether audio was muted before.
fn send(sender: &mut Sender) -> Vec<(u64, EventPacket)> {
    let mut sent = Vec::new();
    while let Some(at) = sender.next_timeout() {
        let mut out = Vec::new();
        let before = sender.is_muted();
        sender.handle_timeout(at, &mut out);
        assert!(before || out.is_empty(), "audio is muted while packets of it are sent");
        sent.extend(out.into_iter().map(|packet| (at.as_millis(), packet)));
    }
    assert!(!sender.is_muted());
    sent
}

fn read(packet: &EventPacket) -> TelephoneEvent {
    TelephoneEvent::read(&packet.payload).unwrap()
}

/// Row 150: one timestamp, a duration that grows, three ends, and nothing shorter than
/// what a receiver is sure to know.
#[test]
fn row_150_a_digit_as_it_is_sent() {
    let mut sender = Sender::new(8_000);
    let begin = Instant::from_millis(1_000);
    sender.send(begin, 5_000, 11, Duration::from_millis(90)).unwrap();
    assert!(sender.is_muted());
    let sent: Vec<_> = send(&mut sender)
        .iter()
        .map(|(at, packet)| {
            let report = read(packet);
            (*at, packet.marker, packet.timestamp, report.event, report.is_end, report.duration)
        })
        .collect();
    assert_eq!(
        sent,
        [
            (1_020, true, 5_000, 11, false, 160),
            (1_040, false, 5_000, 11, false, 320),
            (1_060, false, 5_000, 11, false, 480),
            (1_080, false, 5_000, 11, false, 640),
            (1_090, false, 5_000, 11, true, 720),
            (1_110, false, 5_000, 11, true, 720),
            (1_130, false, 5_000, 11, true, 720),
        ]
    );
    let mut sender = Sender::new(8_000);
    sender.send(begin, 0, 1, Duration::from_millis(1)).unwrap();
    let last = read(&send(&mut sender).last().unwrap().1);
    assert_eq!((last.is_end, last.duration), (true, 320), "40 ms at least");
}

/// Row 150: the next digit has its own timestamp, on the same clock, after a pause.
#[test]
fn row_150_digits_in_a_row() {
    for rate in [8_000, 16_000, 48_000] {
        let mut sender = Sender::new(rate);
        for event in [1, 1, 2] {
            let begin = Instant::from_millis(500);
            sender.send(begin, u32::MAX - 10, event, Duration::from_millis(100)).unwrap();
        }
        let sent = send(&mut sender);
        let starts: Vec<_> = sent.iter().filter(|(_, packet)| packet.marker).collect();
        let times: Vec<_> = starts.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [520, 680, 840], "60 ms after the end of the one before");
        for (at, packet) in starts {
            let passed = u32::try_from(at - 520).unwrap() * (rate / 1_000);
            assert_eq!(packet.timestamp, (u32::MAX - 10).wrapping_add(passed));
        }
        let timed = |(sequence, (at, packet)): (usize, &(u64, EventPacket))| {
            (*at, header(sequence as u16, packet.timestamp), packet.payload)
        };
        let timed: Vec<Timed> = sent.iter().enumerate().map(timed).collect();
        let heard = receive_at(rate, &timed);
        assert_eq!(heard, [digit(1, 100), digit(1, 100), digit(2, 100)].concat());
    }
}

/// Eight seconds at 48 kHz are six segments, and one digit for who receives them.
#[test]
fn a_long_digit_is_sent_in_segments() {
    let mut sender = Sender::new(48_000);
    sender.send(Instant::START, 7, 1, Duration::from_secs(8)).unwrap();
    let sent = send(&mut sender);
    let full = sent.iter().filter(|(_, packet)| read(packet).duration == 0xffff).count();
    assert_eq!(full, 5);
    let timed = |(sequence, (at, packet)): (usize, &(u64, EventPacket))| {
        (*at, header(sequence as u16, packet.timestamp), packet.payload)
    };
    let timed: Vec<Timed> = sent.iter().enumerate().map(timed).collect();
    assert_eq!(receive_at(48_000, &timed), digit(1, 8_000));
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let mut sender = Sender::new(8_000);
    let mut send = |event| sender.send(Instant::START, 0, event, Duration::from_millis(100));
    assert_eq!((send(17), send(FLASH)), (Err(SendError::NotAKey), Ok(())));
    for _ in 0..DIGITS_MAX {
        send(1).unwrap();
    }
    assert_eq!(send(1), Err(SendError::Full));
}

proptest! {
    /// Whatever comes: each start has its end, and one event at a time.
    #[test]
    fn hostile_events_are_balanced(
        packets in prop::collection::vec((0_u64..500, any::<u16>(), any::<u32>(), any::<[u8; 4]>(), 0_u32..2), 0..200),
        small in any::<bool>(),
    ) {
        let mut now = 0;
        let timed: Vec<Timed> = packets.into_iter().map(|(wait, sequence, timestamp, mut payload, ssrc)| {
            now += wait;
            if small { payload[0] &= 1; }
            let mut header = header(sequence, if small { timestamp % 4 * 160 } else { timestamp });
            header.ssrc = Ssrc(ssrc);
            (now, header, payload)
        }).collect();
        let out = receive(&timed);
        prop_assert_eq!(out.len() % 2, 0);
        for pair in out.chunks(2) {
            let (Received::Started { event }, Received::Ended { event: ended, .. }) = (pair[0], pair[1]) else {
                return Err(TestCaseError::fail("not a start and its end"));
            };
            prop_assert_eq!(event, ended);
        }
    }
}
