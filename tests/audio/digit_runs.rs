//! Ten thousand strings of digits through every conversion, on networks that lose two packets in a hundred: none is lost, and
//! none comes twice.

use std::time::Duration;

use tandem::proto::audio::{Codec, DtmfDetector, DtmfGenerator, Heard};
use tandem::proto::rtp::telephone_event::{EventPacket, Received, Receiver, Sender, event_of};
use tandem::proto::rtp::{
    Conversion, Converter, Digits, Ear, HEADER_LEN, Header, OutgoingStream, Ssrc, Taken, payload_of,
};
use tandem::proto::time::Instant;

/// Strings of each run.
const STRINGS: usize = 10_000;
/// Strings where every sample is made and listened to, which takes a hundred times as long; `TANDEM_STRINGS=10000` runs them all.
const SOUNDING: usize = 300;
const FRAME: Duration = Duration::from_millis(20);

/// Numbers by chance, the same in every run (xorshift64*).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Does the network lose this packet?
    fn loses(&mut self) -> bool {
        self.below(100) < 2
    }

    /// A string of 1 to 8 keys.
    fn keys(&mut self) -> Vec<u8> {
        let count = 1 + self.below(8);
        (0..count)
            .map(|_| event_of(char::from(b"0123456789*#"[self.below(12) as usize])).unwrap())
            .collect()
    }
}

/// A phone's packet of an event, as RFC 4733 §2.5.1 has it, by hand.
fn event_packet(
    sequence: u16,
    timestamp: u32,
    event: u8,
    (duration, is_end): (u16, bool),
) -> (Header, [u8; 4]) {
    let header = Header { payload_type: 101, marker: false, sequence, timestamp, ssrc: Ssrc(5) };
    let [high, low] = duration.to_be_bytes();
    (header, [event, if is_end { 0x8a } else { 0x0a }, high, low])
}

/// What a phone sends for a string on a clock of so many ticks a second: when, and what. 60 to 200 ms a key.
fn pressed(
    chance: &mut Chance,
    keys: &[u8],
    rate: u32,
    from: Instant,
) -> Vec<(Instant, Header, [u8; 4])> {
    let (mut at, mut out, mut sequence) = (from, Vec::new(), 1_000_u16);
    let frame = rate / 50;
    for key in keys {
        let frames = 3 + chance.below(8) as u32;
        let timestamp =
            (at.since(Instant::START).as_micros() as u64 * u64::from(rate) / 1_000_000) as u32;
        for n in 1..=frames + 3 {
            let duration = u16::try_from(frame * n.min(frames)).unwrap();
            let (header, payload) = event_packet(sequence, timestamp, *key, (duration, n > frames));
            out.push((at + FRAME * n, header, payload));
            sequence = sequence.wrapping_add(1);
        }
        at += FRAME * (frames + 3) + Duration::from_millis(40 + chance.below(100));
    }
    out
}

/// The keys that a receiver makes of packets: each timestamp is one.
#[derive(Default)]
struct Phone {
    keys: Vec<(u32, u8)>,
}

impl Phone {
    fn takes(&mut self, timestamp: u32, event: u8) {
        if self.keys.last() != Some(&(timestamp, event)) {
            self.keys.push((timestamp, event));
        }
    }

    fn heard(&self) -> Vec<u8> {
        self.keys.iter().map(|(_, event)| *event).collect()
    }
}

#[test]
fn events_cross_to_another_clock() {
    let mut chance = Chance(1);
    for (from, to, to_rate) in
        [(Codec::Opus, Codec::Pcmu, 8_000), (Codec::Pcma, Codec::Opus, 48_000)]
    {
        let digits = Digits { payload_type: 96, to_rate };
        let conversion =
            Conversion { from, to, payload_type: 0, packet_ms: 20, digits: Some(digits) };
        for _ in 0..STRINGS / 2 {
            let keys = chance.keys();
            let mut converter = Converter::new(conversion).unwrap();
            let mut outgoing = OutgoingStream::new(Ssrc(1), 1, 1);
            let mut phone = Phone::default();
            for (at, header, payload) in
                pressed(&mut chance, &keys, from.clock_rate(), Instant::from_millis(500))
            {
                if chance.loses() {
                    continue;
                }
                let mut sent = Vec::new();
                let mut send = |packet: &[u8]| {
                    sent.push(packet.to_vec());
                    true
                };
                let rate = from.clock_rate();
                converter.digit(at, &header, (&payload, rate), &mut outgoing, &mut send);
                for packet in sent {
                    if !chance.loses() {
                        let header = Header::read(&packet).unwrap();
                        phone.takes(header.timestamp, packet[HEADER_LEN]);
                    }
                }
            }
            assert_eq!(phone.heard(), keys, "{from:?} to {to:?}");
        }
    }
}

/// The keys that our receiver makes of a lossy network's packets, with their lengths.
fn received(chance: &mut Chance, keys: &[u8], rate: u32) -> Vec<(Instant, u8, Duration)> {
    let mut receiver = Receiver::new(rate);
    let (mut out, mut heard) = (Vec::new(), Vec::new());
    let packets = pressed(chance, keys, rate, Instant::from_millis(500));
    let end = packets.last().unwrap().0 + Duration::from_secs(1);
    for (at, header, payload) in packets {
        if chance.loses() {
            continue;
        }
        receiver.handle_timeout(at, &mut heard);
        receiver.handle(at, &header, &payload, &mut heard);
        take(&mut heard, at, &mut out);
    }
    receiver.handle_timeout(end, &mut heard);
    take(&mut heard, end, &mut out);
    out
}

fn take(heard: &mut Vec<Received>, at: Instant, out: &mut Vec<(Instant, u8, Duration)>) {
    for one in heard.drain(..) {
        if let Received::Ended { event, duration } = one {
            out.push((at, event, duration));
        }
    }
}

#[test]
fn events_are_sent_anew() {
    // What comes by INFO, or as events of another kind, is given to our sender.
    let mut chance = Chance(2);
    for _ in 0..STRINGS {
        let keys = chance.keys();
        let mut sender = Sender::new(8_000);
        let mut phone = Phone::default();
        let mut due: Vec<EventPacket> = Vec::new();
        let mut now = Instant::START;
        for (at, event, duration) in received(&mut chance, &keys, 48_000) {
            sender.handle_timeout(at, &mut due);
            sender.send(at, at.as_micros() as u32 / 125, event, duration).unwrap();
            now = at;
        }
        sender.handle_timeout(now + Duration::from_secs(10), &mut due);
        for packet in due {
            if !chance.loses() {
                phone.takes(packet.timestamp, packet.payload[0]);
            }
        }
        assert_eq!(phone.heard(), keys);
    }
}

/// The keys that are heard of samples which go in packets of a codec over a network that loses some.
fn over_a_network(chance: &mut Chance, (codec, loss): (Codec, u64), samples: &[i16]) -> Vec<u8> {
    let mut encoder = codec.encoder().unwrap();
    let mut ear = Ear::new(codec.sample_rate());
    let length = usize::try_from(codec.sample_rate() / 50).unwrap();
    let mut detector = DtmfDetector::new(codec.sample_rate());
    let (mut heard, mut frame) = (Vec::new(), Vec::new());
    let mut listen = |ear: &mut Ear, at: Instant| match ear.take(at, &mut frame) {
        Taken::MadeUp => detector.skip(frame.len()),
        Taken::Sound | Taken::Silence => detector.listen(&frame, &mut heard),
    };
    let mut outgoing = OutgoingStream::new(Ssrc(1), 1, 1);
    let pieces = samples.chunks(length);
    let count = pieces.len();
    for (index, piece) in pieces.enumerate() {
        let now = Instant::START + FRAME * u32::try_from(index).unwrap();
        let mut piece = piece.to_vec();
        piece.resize(length, 0);
        let mut packet = vec![0x80; HEADER_LEN];
        encoder.encode(&piece, &mut packet).unwrap();
        let header =
            outgoing.own(now, 8, (codec.clock_rate(), codec.clock_rate() / 50), index == 0);
        header.write(&mut packet);
        if chance.below(100) >= loss {
            ear.hear(now, &header, codec, &packet[payload_of(&packet)]).unwrap();
        }
        listen(&mut ear, now + FRAME / 2);
    }
    for more in 0..10 {
        let now = Instant::START + FRAME * u32::try_from(count + more).unwrap();
        listen(&mut ear, now + FRAME / 2);
    }
    let started = |heard: &Heard| match heard {
        Heard::Started { event } => Some(*event),
        Heard::Ended { .. } => None,
    };
    heard.iter().filter_map(started).collect()
}

/// Tones in the audio itself. G.722 and Opus without losses only: their decoders are wrong
/// for some 50 ms after each, and who speaks them sends events.
#[test]
fn tones_are_heard_as_keys() {
    let wanted = std::env::var("TANDEM_STRINGS").ok().and_then(|text| text.parse().ok());
    let strings = wanted.unwrap_or(SOUNDING) / 3;
    let codecs =
        [(Codec::Pcma, 80, 2), (Codec::Pcmu, 80, 2), (Codec::Opus, 80, 0), (Codec::G722, 80, 0)];
    for (codec, least, loss) in codecs {
        let mut chance = Chance(3);
        let mut wrong = Vec::new();
        for _ in 0..strings {
            let keys = chance.keys();
            let rate = codec.sample_rate();
            let mut samples = vec![0; 160];
            for key in &keys {
                let tone = least + chance.below(120) as u16;
                let pause = 80 + chance.below(80) as u16;
                let mut made = DtmfGenerator::new(*key, tone, pause, rate).unwrap();
                made.play(usize::MAX, &mut samples);
            }
            let heard = over_a_network(&mut chance, (codec, loss), &samples);
            if heard != keys {
                wrong.push((keys, heard));
            }
        }
        let some = &wrong[..wrong.len().min(5)];
        assert!(wrong.is_empty(), "{codec:?}: {} of {strings}: {some:?}", wrong.len());
    }
}
