//! Row 99: every pair of packet times, and everything that comes between packets.

use proptest::prelude::*;

use super::super::framing::PacketTime;
use super::super::packet::Ssrc;
use super::super::payload_map::PayloadMap;
use super::super::stats::Reception;
use super::*;
use crate::proto::sdp::Format;

const FIRST: u16 = 65_530;
const START: u32 = u32::MAX - 1_000;

/// One direction of a relay, as the media thread runs it.
struct Way {
    map: PayloadMap,
    reception: Reception,
    stream: OutgoingStream,
    repacketiser: Repacketiser,
    now: Instant,
    heard: Vec<Heard>,
}

/// A packet as the peer got it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    at_ms: u64,
    /// From the first number and timestamp of the stream.
    sequence: u16,
    timestamp: u32,
    marker: bool,
    payload_type: u8,
    payload: Vec<u8>,
}

fn format(number: u8, map: &str) -> Format {
    Format::new(number, Some(map), None).unwrap()
}

fn wish(ptime_ms: Option<u32>, maxptime_ms: Option<u32>) -> PacketTime {
    PacketTime { ptime_ms, maxptime_ms }
}

impl Way {
    fn new(codec: &str, wish: PacketTime) -> Self {
        let formats =
            [format(0, codec), format(101, "telephone-event/8000"), format(13, "CN/8000")];
        Self {
            map: PayloadMap::between(&formats, &formats, wish),
            reception: Reception::default(),
            // Both counters wrap soon.
            stream: OutgoingStream::new(Ssrc(42), FIRST, START),
            repacketiser: Repacketiser::default(),
            now: Instant::from_millis(1_000),
            heard: Vec::new(),
        }
    }

    fn pcmu(ptime_ms: u32) -> Self {
        Self::new("PCMU/8000", wish(Some(ptime_ms), None))
    }

    /// Lets time pass, with the timers that fall into it.
    fn wait(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(at) = self.repacketiser.next_timeout().filter(|at| *at <= end) {
            self.now = at;
            let Self { stream, repacketiser, heard, now, .. } = self;
            let mut send = |bytes: &[u8]| hear(heard, *now, bytes);
            repacketiser.handle_timeout(*now, stream, &mut send);
        }
        self.now = end;
    }

    fn send(&mut self, header: Header, payload: &[u8]) -> Option<Fate> {
        let mut packet = vec![0x80; HEADER_LEN];
        packet.extend(payload);
        header.write(&mut packet);
        self.send_bytes(&mut packet)
    }

    fn send_bytes(&mut self, packet: &mut [u8]) -> Option<Fate> {
        let header = Header::read(packet)?;
        let carried = self.map.get(header.payload_type)?;
        let arrival = self.reception.packet(self.now, &header, carried.clock_rate);
        if matches!(arrival, Arrival::Duplicate | Arrival::Jump | Arrival::Probation) {
            return None;
        }
        let incoming = Incoming {
            header,
            arrival,
            payload_type: carried.to?,
            clock_rate: carried.clock_rate,
            packing: carried.packing,
        };
        let Self { stream, repacketiser, heard, now, .. } = self;
        let mut send = |bytes: &[u8]| hear(heard, *now, bytes);
        Some(repacketiser.packet(*now, &incoming, packet, stream, &mut send))
    }

    /// Sends packets of this many milliseconds of PCMU, one after the other.
    fn speak(&mut self, numbers: impl IntoIterator<Item = u16>, ms: u32) {
        for number in numbers {
            self.send(audio(number, ms), &tone(u32::from(number) * ms * 8, ms * 8));
            self.wait(ms.into());
        }
    }

    /// Number, offset in milliseconds of PCMU, and length of what was heard.
    fn short(&self) -> Vec<(u16, u32, usize)> {
        self.heard.iter().map(|h| (h.sequence, h.timestamp / 8, h.payload.len() / 8)).collect()
    }
}

fn hear(heard: &mut Vec<Heard>, now: Instant, bytes: &[u8]) -> bool {
    let header = Header::read(bytes).expect("what we send is RTP");
    assert_eq!(header.ssrc, Ssrc(42));
    heard.push(Heard {
        at_ms: now.since(Instant::from_millis(1_000)).as_millis().try_into().unwrap(),
        sequence: header.sequence.wrapping_sub(FIRST),
        timestamp: header.timestamp.wrapping_sub(START),
        marker: header.marker,
        payload_type: header.payload_type,
        payload: bytes[payload_of(bytes)].to_vec(),
    });
    true
}

fn audio(number: u16, ms: u32) -> Header {
    let timestamp = (u32::MAX - 900).wrapping_add(u32::from(number) * ms * 8);
    let sequence = number.wrapping_add(65_534);
    Header { payload_type: 0, marker: false, sequence, timestamp, ssrc: Ssrc(7) }
}

/// Bytes that tell where they belong.
fn tone(from: u32, count: u32) -> Vec<u8> {
    (from..from + count).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// Row 99: every pair of packet times, byte for byte, over the wraps of both counters.
#[test]
fn every_packet_time_becomes_every_other() {
    let times = [10_u32, 20, 30, 40, 60];
    for from in times {
        for to in times {
            let mut way = Way::pcmu(to);
            let count = 2_400 / from;
            way.speak(0..u16::try_from(count).unwrap(), from);
            let all: Vec<u8> = way.heard.iter().flat_map(|h| h.payload.clone()).collect();
            assert_eq!(all, tone(0, 2_400 * 8), "{from} -> {to}");
            for (n, heard) in way.heard.iter().enumerate() {
                let n = u32::try_from(n).unwrap();
                let place = (u32::from(heard.sequence), heard.timestamp, heard.marker);
                assert_eq!(place, (n, n * to * 8, n == 0), "{from} -> {to}");
                assert_eq!(heard.payload.len(), to as usize * 8, "{from} -> {to}");
            }
            let (packets, octets) = way.stream.sent_totals();
            assert_eq!((packets, octets), (2_400 / to, 2_400 * 8));
        }
    }
}

/// Row 99: a long packet is no burst, and what has the right length waits for nothing.
#[test]
fn pieces_leave_at_their_own_pace() {
    let mut way = Way::pcmu(20);
    way.speak(0..2, 60);
    let times: Vec<u64> = way.heard.iter().map(|h| h.at_ms).collect();
    assert_eq!(times, [0, 20, 40, 60, 80, 100]);
    // The next one is early by 30 ms: what was left of the one before goes first.
    way.wait(35);
    way.heard.clear();
    way.send(audio(2, 60), &tone(0, 480));
    way.wait(30);
    way.send(audio(3, 60), &tone(0, 480));
    way.wait(60);
    let places: Vec<_> = way.heard.iter().map(|h| (h.at_ms - 155, h.sequence)).collect();
    assert_eq!(places, [(0, 6), (20, 7), (30, 8), (30, 9), (50, 10), (70, 11)]);
    let mut way = Way::pcmu(20);
    way.speak(0..3, 20);
    assert_eq!(way.heard.iter().map(|h| h.at_ms).collect::<Vec<_>>(), [0, 20, 40]);
    assert!(way.repacketiser.buffer.is_empty(), "nothing was copied");
}

/// Row 99: the announced maximum alone cuts and never joins; no wish cuts at 200 ms.
#[test]
fn without_a_wish_packets_pass_and_only_too_long_ones_are_cut() {
    let lengths = |wish, ms| {
        let mut way = Way::new("PCMU/8000", wish);
        way.speak(0..2, ms);
        way.short().into_iter().map(|(_, at, length)| (at, length)).collect::<Vec<_>>()
    };
    let max_40 = wish(None, Some(40));
    assert_eq!(lengths(max_40, 20), [(0, 20), (20, 20)]);
    assert_eq!(lengths(max_40, 60), [(0, 40), (40, 20), (60, 40), (100, 20)]);
    let none = PacketTime::default();
    assert_eq!(lengths(none, 60), [(0, 60), (60, 60)]);
    assert_eq!(lengths(none, 200), [(0, 200), (200, 200)]);
    assert_eq!(lengths(none, 240), [(0, 200), (200, 40), (240, 200), (440, 40)]);
    // The maximum bounds the wish.
    assert_eq!(lengths(wish(Some(60), Some(20)), 40), [(0, 20), (20, 20), (40, 20), (60, 20)]);
    // A wish beyond an Ethernet frame is met as far as one goes.
    let mut way = Way::pcmu(200);
    way.speak(0..10, 20);
    assert_eq!(way.short()[0], (0, 0, 175));
    way.wait(200);
    assert_eq!(way.short()[1..], [(1, 175, 25)]);
}

/// Row 99: loss stays loss: what follows keeps its timestamps, and a number is missing.
#[test]
fn a_gap_is_never_glued_over() {
    let mut way = Way::pcmu(60);
    way.speak([0, 1, 3, 4, 5, 6, 7, 8], 20);
    assert_eq!(way.short(), [(0, 0, 40), (2, 60, 60), (3, 120, 60)]);
    let mut way = Way::pcmu(20);
    way.speak([0, 2], 60);
    let expected = [(0, 0, 20), (1, 20, 20), (2, 40, 20), (6, 120, 20), (7, 140, 20), (8, 160, 20)];
    assert_eq!(way.short(), expected);
    // A pause of the source: a gap in its timestamps, none in its numbers.
    let mut way = Way::pcmu(40);
    way.send(audio(0, 20), &tone(0, 160));
    way.wait(500);
    assert_eq!(way.heard[0].at_ms, 60, "nothing follows, so it goes as it is");
    let after = Header { marker: true, timestamp: audio(25, 20).timestamp, ..audio(1, 20) };
    way.send(after, &tone(0, 160));
    way.send(
        Header {
            marker: false,
            sequence: audio(2, 20).sequence,
            timestamp: audio(26, 20).timestamp,
            ..after
        },
        &tone(0, 160),
    );
    assert_eq!(way.short(), [(0, 0, 20), (1, 500, 40)]);
    assert!(way.heard[1].marker, "the first of a talkspurt");
}

/// Row 99: a talkspurt begins with a packet of its own, though nothing is missing before it.
#[test]
fn a_marker_is_never_joined_to_what_was_before() {
    let mut way = Way::pcmu(60);
    way.speak([0, 1], 20);
    way.send(Header { marker: true, ..audio(2, 20) }, &tone(320, 160));
    way.speak([3, 4], 20);
    assert_eq!(way.short(), [(0, 0, 40), (1, 40, 60)]);
    // A packet that is cut passes its marker to its first piece only.
    let mut way = Way::pcmu(20);
    for number in [0, 1] {
        way.send(Header { marker: true, ..audio(number, 60) }, &tone(0, 480));
        way.wait(60);
    }
    let marks: Vec<bool> = way.heard.iter().map(|h| h.marker).collect();
    assert_eq!(marks, [true, false, false, true, false, false]);
}

/// Row 99: a late packet goes out at once, under the number that was left out for it.
#[test]
fn late_packets_fill_the_gap_that_they_left_and_others_are_dropped() {
    let mut way = Way::pcmu(60);
    way.speak([0, 2, 1, 3, 4, 4], 20);
    assert_eq!(way.short(), [(0, 0, 20), (1, 20, 20), (2, 40, 60)]);
    let all: Vec<u8> = way.heard.iter().flat_map(|h| h.payload.clone()).collect();
    assert_eq!(all, tone(0, 100 * 8));
    let mut way = Way::pcmu(20);
    way.send(audio(0, 60), &tone(0, 480));
    way.send(audio(2, 60), &tone(960, 480));
    way.send(audio(1, 60), &tone(480, 480));
    way.wait(60);
    let mut heard = way.short();
    heard.sort_unstable();
    let expected: Vec<_> = (0..9).map(|n| (n, u32::from(n) * 20, 20)).collect();
    assert_eq!(heard, expected);
    way.heard.sort_by_key(|h| h.sequence);
    let all: Vec<u8> = way.heard.iter().flat_map(|h| h.payload.clone()).collect();
    assert_eq!(all, tone(0, 1_440));
    // Nothing was left out for the packet before the first.
    let before = Header { sequence: audio(0, 60).sequence.wrapping_sub(1), ..audio(0, 60) };
    assert_eq!(way.send(before, &tone(0, 480)), Some(Fate::TooLate));
    // In a stream that passes whole, late packets pass as ever.
    let mut way = Way::pcmu(20);
    way.speak([0, 2, 1, 4, 3], 20);
    assert_eq!(way.short().iter().map(|h| h.0).collect::<Vec<_>>(), [0, 2, 1, 4, 3]);
}

/// Row 99, row 142: a packet that comes twice is heard once.
#[test]
fn duplicates_are_heard_once() {
    for to in [20, 60] {
        let mut way = Way::pcmu(to);
        way.speak([0, 0, 1, 1, 0, 2, 2, 3, 4, 5, 5], 30);
        let all: Vec<u8> = way.heard.iter().flat_map(|h| h.payload.clone()).collect();
        assert_eq!(all, tone(0, 180 * 8));
    }
}

/// Row 99: digits and comfort noise send what waits first, and pass unchanged.
#[test]
fn digits_and_comfort_noise_keep_their_place() {
    for other in [101_u8, 13] {
        let mut way = Way::pcmu(60);
        way.speak([0, 1], 20);
        for n in 2..5 {
            let digit = Header {
                payload_type: other,
                marker: n == 2,
                sequence: audio(n, 20).sequence,
                ..audio(2, 20)
            };
            way.send(digit, &[5, 10, 0, 160]);
            way.wait(20);
        }
        let places: Vec<_> = way
            .heard
            .iter()
            .map(|h| (h.sequence, h.timestamp / 8, h.payload_type, h.marker))
            .collect();
        let digit = |sequence, marker| (sequence, 40, other, marker);
        assert_eq!(places, [(0, 0, 0, true), digit(1, true), digit(2, false), digit(3, false)]);
        assert_eq!(way.heard[3].payload, [5, 10, 0, 160]);
        way.speak([5, 6, 7], 20);
        assert_eq!(way.short().last(), Some(&(4, 100, 60)));
    }
    // Cut audio in front of a digit does not overtake it.
    let mut way = Way::pcmu(20);
    way.send(audio(0, 60), &tone(0, 480));
    let digit = Header { payload_type: 101, ..audio(1, 60) };
    way.send(digit, &[5, 10, 0, 160]);
    assert_eq!(way.heard.iter().map(|h| h.payload_type).collect::<Vec<_>>(), [0, 0, 0, 101]);
    assert_eq!(way.short().iter().map(|h| h.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

/// Row 99: the length of what comes counts, not what was announced, also when it changes.
#[test]
fn a_sender_may_change_its_packet_time_at_any_moment() {
    let mut way = Way::pcmu(20);
    let mut at = 0;
    for (n, ms) in [30, 30, 30, 20, 20, 10, 10, 60, 33, 7, 20].into_iter().enumerate() {
        let number = u16::try_from(n).unwrap();
        let header =
            Header { timestamp: audio(0, 1).timestamp.wrapping_add(at), ..audio(number, 0) };
        way.send(header, &tone(at, ms * 8));
        way.wait(ms.into());
        at += ms * 8;
    }
    let all: Vec<u8> = way.heard.iter().flat_map(|h| h.payload.clone()).collect();
    assert_eq!(all, tone(0, at));
    let mut expected = 0;
    for (n, heard) in way.heard.iter().enumerate() {
        assert_eq!((usize::from(heard.sequence), heard.timestamp), (n, expected));
        assert!(heard.payload.len() <= 160);
        expected += u32::try_from(heard.payload.len()).unwrap();
    }
    // 10 ms were over when 20 came: no packet of the right length is cut for them.
    assert_eq!(way.short()[4..7], [(4, 80, 10), (5, 90, 20), (6, 110, 20)]);
}

/// Row 99, row 140: another source sends what waits first, and goes on in the same stream.
#[test]
fn a_new_source_flushes() {
    let mut way = Way::pcmu(60);
    way.speak([0, 1], 20);
    let other = |n: u16| Header {
        ssrc: Ssrc(8),
        sequence: 500 + n,
        timestamp: 77 + u32::from(n) * 160,
        ..audio(0, 20)
    };
    for n in 0..3 {
        way.send(other(n), &tone(0, 160));
        way.wait(20);
    }
    assert_eq!(way.short(), [(0, 0, 40), (1, 40, 60)]);
    assert!(way.heard.iter().all(|h| h.marker), "each begins a talkspurt");
    // The pieces that a change sends early leave room for their own length.
    let mut way = Way::pcmu(20);
    way.send(audio(0, 60), &tone(0, 480));
    way.send(other(0), &tone(0, 160));
    assert_eq!(way.short(), [(0, 0, 20), (1, 20, 20), (2, 40, 20), (3, 60, 20)]);
}

/// Row 99: G.729 is cut between frames; a silence frame ends a packet.
#[test]
fn g729_frames_stay_whole_and_silence_ends_a_packet() {
    let run = |ptime, payloads: &[usize]| {
        let mut way = Way::new("G729/8000", wish(Some(ptime), None));
        let (mut at, mut bytes) = (0, 0);
        for (n, length) in payloads.iter().enumerate() {
            let number = u16::try_from(n).unwrap();
            let timestamp = audio(0, 1).timestamp.wrapping_add(at);
            let length = u32::try_from(*length).unwrap();
            way.send(Header { timestamp, ..audio(number, 0) }, &tone(bytes, length));
            way.wait(u64::from(length.div_ceil(10) * 10));
            at += length.div_ceil(10) * 80;
            bytes += length;
        }
        way.wait(500);
        let all: Vec<u8> = way.heard.iter().flat_map(|h| h.payload.clone()).collect();
        assert_eq!(all, tone(0, bytes));
        way.heard.iter().map(|h| (h.timestamp / 80, h.payload.len())).collect::<Vec<_>>()
    };
    assert_eq!(run(40, &[20, 20, 20, 20]), [(0, 40), (4, 40)]);
    assert_eq!(run(20, &[60]), [(0, 20), (2, 20), (4, 20)]);
    assert_eq!(run(20, &[42]), [(0, 20), (2, 20), (4, 2)]);
    assert_eq!(run(30, &[42]), [(0, 30), (3, 12)]);
    assert_eq!(run(60, &[20, 12, 20]), [(0, 20), (2, 12), (4, 20)]);
    assert_eq!(run(25, &[10, 10, 2]), [(0, 20), (2, 2)]);
    assert_eq!(run(5, &[20]), [(0, 10), (1, 10)], "one frame at least");
    assert_eq!(run(20, &[7, 25]), [(0, 7), (1, 25)], "no whole frames: left alone");
}

/// Codec, wish, payload in, payloads out with their offsets in ticks.
type Row = (&'static str, u32, usize, &'static [(u32, usize)]);

/// Row 99: what a byte stands for in the other codecs.
#[test]
fn every_codec_is_cut_where_its_frames_end() {
    let table: [Row; 9] = [
        ("PCMA/8000", 20, 480, &[(0, 160), (160, 160), (320, 160)]),
        ("G722/8000", 20, 480, &[(0, 160), (160, 160), (320, 160)]),
        ("L16/16000", 10, 640, &[(0, 320), (160, 320)]),
        ("L16/44100/2", 5, 1_764, &[(0, 880), (220, 880), (440, 4)]),
        ("GSM/8000", 20, 99, &[(0, 33), (160, 33), (320, 33)]),
        ("iLBC/8000", 30, 100, &[(0, 50), (240, 50)]),
        ("G726-32/8000", 20, 160, &[(0, 80), (160, 80)]),
        ("opus/48000/2", 20, 480, &[(0, 480)]),
        ("AMR/8000", 20, 96, &[(0, 96)]),
    ];
    for (codec, ptime, length, expected) in table {
        let mut way = Way::new(codec, wish(Some(ptime), None));
        way.send(audio(0, 20), &tone(0, u32::try_from(length).unwrap()));
        way.wait(500);
        let heard: Vec<_> = way.heard.iter().map(|h| (h.timestamp, h.payload.len())).collect();
        assert_eq!(heard, expected, "{codec}");
        let all: Vec<u8> = way.heard.iter().flat_map(|h| h.payload.clone()).collect();
        assert_eq!(all, tone(0, u32::try_from(length).unwrap()));
    }
    // Frames of G.723.1 say themselves how long they are: 24, 4 and 20 bytes here.
    let mut way = Way::new("G723/8000", wish(Some(60), None));
    let mut payload = [[4_u8; 24].as_slice(), &[6; 4], &[5; 20]].concat();
    way.send(audio(0, 30), &payload);
    way.wait(500);
    let heard: Vec<_> = way.heard.iter().map(|h| (h.timestamp, h.payload.len())).collect();
    assert_eq!(heard, [(0, 28), (480, 20)]);
    payload[0] = 7;
    way.send(audio(1, 90), &payload);
    assert_eq!(way.heard.last().unwrap().payload, payload, "no frame of the RFC: left alone");
}

/// Row 99: a peer that asks for packets of 1 ms, or of less than it may, does not make a thousand of them a second.
#[test]
fn nobody_makes_us_send_packets_shorter_than_5_ms() {
    for asked in [wish(Some(1), None), wish(None, Some(1)), wish(Some(20), Some(2))] {
        let mut way = Way::new("PCMU/8000", asked);
        for number in 0..3 {
            way.send(audio(number, 20), &tone(u32::from(number) * 160, 160));
            way.wait(20);
        }
        assert_eq!(way.heard.len(), 12, "{asked:?}");
        assert!(way.heard.iter().all(|heard| heard.payload.len() == 40));
    }
}

/// Row 99: padding, sources and extension are no audio.
#[test]
fn only_the_payload_of_a_packet_counts() {
    let mut way = Way::pcmu(40);
    let mut packet = vec![0xb1; HEADER_LEN];
    packet.extend([0, 0, 0, 9, 0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
    packet.extend(tone(0, 480));
    packet.extend([0, 0, 0, 4]);
    audio(0, 60).write(&mut packet);
    way.send_bytes(&mut packet);
    way.send(audio(1, 60), &tone(480, 480));
    way.wait(100);
    assert_eq!(way.short(), [(0, 0, 40), (1, 40, 40), (2, 80, 40)]);
    let all: Vec<u8> = way.heard.iter().flat_map(|h| h.payload.clone()).collect();
    assert_eq!(all, tone(0, 960));
}

/// What happens to a stream in the property tests.
#[derive(Clone, Debug)]
struct Step {
    number: u16,
    timestamp: u32,
    flags: u8,
    length: usize,
    wait: u64,
}

fn step() -> impl Strategy<Value = Step> {
    (0..40_u16, 0..8_000_u32, any::<u8>(), 0..2_000_usize, 0..120_u64).prop_map(
        |(number, timestamp, flags, length, wait)| Step { number, timestamp, flags, length, wait },
    )
}

proptest! {
    #[test]
    fn contiguous_bytes_come_out_as_they_went_in(
        lengths in proptest::collection::vec(1..900_u32, 1..60),
        ptime in proptest::option::of(5..300_u32), maxptime in proptest::option::of(5..300_u32),
        waits in proptest::collection::vec(0..90_u64, 60),
    ) {
        let mut way = Way::new("PCMU/8000", wish(ptime, maxptime));
        let mut at = 0;
        for (n, length) in lengths.iter().enumerate() {
            let number = u16::try_from(n).unwrap();
            let timestamp = audio(0, 1).timestamp.wrapping_add(at);
            way.send(Header { timestamp, ..audio(number, 0) }, &tone(at, *length));
            way.wait(waits[n]);
            at += length;
        }
        way.wait(1_000);
        let mut expected = 0;
        for (n, heard) in way.heard.iter().enumerate() {
            prop_assert_eq!((usize::from(heard.sequence), heard.timestamp), (n, expected));
            prop_assert_eq!(&heard.payload, &tone(expected, u32::try_from(heard.payload.len()).unwrap()));
            expected += u32::try_from(heard.payload.len()).unwrap();
            let most = ptime.or(maxptime).unwrap_or(200).min(maxptime.unwrap_or(u32::MAX)) * 8;
            prop_assert!(heard.payload.len() <= most as usize);
        }
        prop_assert_eq!(expected, at);
        prop_assert!(way.repacketiser.held.is_none());
    }

    #[test]
    fn whatever_comes_no_number_is_used_twice_and_nothing_is_invented(
        steps in proptest::collection::vec(step(), 1..80), ptime in 0..80_u32,
        codec in 0..4_usize,
    ) {
        let codecs = ["PCMU/8000", "G729/8000", "G723/8000", "L16/16000"];
        let mut way = Way::new(codecs[codec], wish((ptime > 9).then_some(ptime), None));
        let mut bytes_in = 0;
        for step in steps {
            // No flag of a lone source is a restart, so every number must be new.
            let payload_type = [0, 0, 0, 0, 0, 0, 101, 13][usize::from(step.flags & 7)];
            let header = Header {
                payload_type,
                marker: step.flags > 250,
                sequence: step.number,
                timestamp: if step.flags & 8 == 0 { u32::from(step.number) * 160 } else { step.timestamp },
                ssrc: Ssrc(1),
            };
            let length = if step.flags & 16 == 0 { 160 } else { step.length };
            bytes_in += length;
            way.send(header, &vec![4; length]);
            way.wait(step.wait);
        }
        way.wait(1_000);
        let mut numbers: Vec<u16> = way.heard.iter().map(|h| h.sequence).collect();
        numbers.sort_unstable();
        let count = numbers.len();
        numbers.dedup();
        prop_assert_eq!(numbers.len(), count, "a number was used twice");
        let bytes_out: usize = way.heard.iter().map(|h| h.payload.len()).sum();
        prop_assert!(bytes_out <= bytes_in);
        let (packets, octets) = way.stream.sent_totals();
        prop_assert_eq!((packets as usize, octets as usize), (count, bytes_out));
    }
}
