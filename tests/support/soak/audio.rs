//! The audio of the phones of a soak: what each sends every 20 ms, and what it notes of what comes.

use std::net::UdpSocket;

use tandem::proto::audio::Codec;
use tandem::proto::rtp::{Header, Ssrc};
use tandem::proto::sdp::Crypto;
use tandem::proto::srtp::{GuardedLeg, Keys, LIFETIME_MAX, Protection};

use crate::SECOND;
use crate::sim::phone::{Phone, State};
use crate::sim::sdp;

const FRAME_US: u64 = 20_000;
/// Packets that are sent in turn: a second.
const SPOKEN: usize = 50;
/// After somebody did something the audio is not judged for this long: the other side is told first.
const SETTLES: u64 = 3 * SECOND / 2;
/// A span of audio that is shorter says nothing.
const SPAN_MIN: u64 = SECOND;

/// What the phones may speak, each with its packets.
pub(crate) struct Voices(Vec<(&'static str, Codec, Vec<Vec<u8>>)>);

impl Voices {
    pub(crate) fn new() -> Self {
        let codecs = [
            (sdp::PCMU.1, Codec::Pcmu),
            (sdp::PCMA.1, Codec::Pcma),
            (sdp::G722.1, Codec::G722),
            (sdp::OPUS.1, Codec::Opus),
        ];
        Self(codecs.into_iter().map(|(map, codec)| (map, codec, packets(codec))).collect())
    }
}

/// A second of 400 Hz: whole waves, so that the last packet leads into the first.
fn packets(codec: Codec) -> Vec<Vec<u8>> {
    let rate = codec.sample_rate() as usize;
    let mut encoder = codec.encoder().unwrap();
    let packet = |number: usize| {
        let sample = |index: usize| {
            let at = (number * rate / 50 + index) as f64 / rate as f64;
            ((at * 400.0 * std::f64::consts::TAU).sin() * 8_000.0) as i16
        };
        let mut payload = Vec::new();
        encoder.encode(&(0..rate / 50).map(sample).collect::<Vec<_>>(), &mut payload).unwrap();
        payload
    };
    (0..SPOKEN).map(packet).collect()
}

/// What all phones noted together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    /// While a call was calm.
    pub(crate) heard: u64,
    /// Numbers that never came there.
    pub(crate) missing: u64,
    /// Times between two packets, less what this program was away itself, in tens of milliseconds: how many of each.
    pub(crate) waits: Vec<u64>,
    pub(crate) longest_us: u64,
    /// Spans of a call in which nothing came at all, and by whom.
    pub(crate) mute: Vec<String>,
    /// Packets under a wrong key.
    pub(crate) rejected: u64,
}

/// One phone's ear and mouth.
pub(crate) struct Line {
    socket: UdpSocket,
    next_at: u64,
    sequence: u16,
    timestamp: u32,
    guard: Option<(String, GuardedLeg)>,
    /// From when on what comes is judged; `None` while a call is not to be.
    calm_from: Option<u64>,
    /// The last packet of a calm span: when, by its number, and how long this program had been away until then.
    last: Option<(u64, Ssrc, u16, u64)>,
}

impl Line {
    pub(crate) fn new(phase: u64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let next_at = phase % FRAME_US;
        Self {
            socket,
            next_at,
            sequence: 0,
            timestamp: 0,
            guard: None,
            calm_from: None,
            last: None,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Somebody did something: a span ends, and another begins if audio is to be heard after it.
    pub(crate) fn stir(
        &mut self,
        now: u64,
        away: u64,
        name: &str,
        is_heard: bool,
        tally: &mut Tally,
    ) {
        if let Some(from) = self.calm_from
            && now > from + SPAN_MIN
        {
            match self.last {
                Some((at, .., before)) => tally.wait((now - at).saturating_sub(away - before)),
                None => tally.mute.push(format!("{name} at {} s", now / SECOND)),
            }
        }
        self.calm_from = is_heard.then_some(now + SETTLES);
        self.last = None;
    }

    /// Sends what is due.
    pub(crate) fn speak(&mut self, now: u64, phone: &Phone, voices: &Voices, tally: &mut Tally) {
        if self.next_at > now {
            return;
        }
        // What was missed while this program was away is not made up for: a phone's clock does not burst.
        self.next_at += FRAME_US * ((now - self.next_at) / FRAME_US + 1);
        let Some(call) = phone.calls.last().filter(|call| call.state == State::Up) else { return };
        let Some(to) = sdp::address(&call.remote_sdp) else { return };
        let agreed = sdp::codecs(&call.remote_sdp).into_iter().find_map(|(number, map)| {
            let is_own = phone.codecs.iter().any(|(_, own)| own.eq_ignore_ascii_case(&map));
            let voice = voices.0.iter().find(|(own, ..)| own.eq_ignore_ascii_case(&map));
            voice.filter(|_| is_own).map(|voice| (number, voice))
        });
        let Some((payload_type, (_, codec, packets))) = agreed else { return };
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(codec.clock_rate() / 50);
        let header = Header {
            payload_type,
            marker: false,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: Ssrc(u32::from(self.port())),
        };
        let mut packet = vec![0x80; 12];
        header.write(&mut packet);
        packet.extend_from_slice(&packets[usize::from(self.sequence) % SPOKEN]);
        self.take_keys(&call.local_sdp, &call.remote_sdp);
        let bytes = match &mut self.guard {
            Some((_, guard)) => guard.seal_rtp(&packet).expect("a new number"),
            None => &packet,
        };
        tally.sent += u64::from(self.socket.send_to(bytes, to).is_ok());
    }

    /// Takes the keys that both descriptions name, once.
    fn take_keys(&mut self, ours: &str, theirs: &str) {
        let key = |text: &str| sdp::crypto(text).first().map(|line| (*line).to_owned());
        let (Some(send), Some(receive)) = (key(ours), key(theirs)) else { return };
        if self.guard.as_ref().is_some_and(|(known, _)| *known == receive) {
            return;
        }
        let parse = |line: &str| Crypto::parse(line).unwrap().key;
        let (send, keyed) = (parse(&send), parse(&receive));
        let mut guard = GuardedLeg::default();
        let keys = Keys { send, receive: keyed, receive_lifetime: LIFETIME_MAX };
        guard.set(&Protection::Keyed(Box::new(keys)));
        self.guard = Some((receive, guard));
    }

    /// Notes what has come.
    pub(crate) fn listen(&mut self, now: u64, away: u64, tally: &mut Tally) {
        let mut buffer = [0; 2_048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let packet = &mut buffer[..length];
            let Some(header) = Header::read(packet) else { continue };
            if let Some((_, guard)) = &mut self.guard
                && guard.open_rtp(packet).is_err()
            {
                tally.rejected += u64::from(self.calm_from.is_some_and(|from| from <= now));
                continue;
            }
            if self.calm_from.is_none_or(|from| now < from) {
                continue;
            }
            tally.heard += 1;
            if let Some((at, ssrc, sequence, before)) = self.last {
                tally.wait((now - at).saturating_sub(away - before));
                if ssrc == header.ssrc {
                    let step = header.sequence.wrapping_sub(sequence);
                    // What is overtaken is not missing.
                    tally.missing +=
                        if step < 1_000 { u64::from(step.saturating_sub(1)) } else { 0 };
                }
            }
            self.last = Some((now, header.ssrc, header.sequence, away));
        }
    }
}

impl Tally {
    fn wait(&mut self, us: u64) {
        let place = (us / 10_000) as usize;
        if self.waits.len() <= place {
            self.waits.resize(place + 1, 0);
        }
        self.waits[place] += 1;
        self.longest_us = self.longest_us.max(us);
    }

    /// How many waits were as long as this or longer, in milliseconds.
    pub(crate) fn longer(&self, ms: usize) -> u64 {
        self.waits.iter().skip(ms / 10).sum()
    }
}
