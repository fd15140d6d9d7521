//! Several voices at once: who hears whom, in which codec, and what a side in a room can press.

use tandem::edge::media_io::{Audience, Part, RoomKey};
use tandem::proto::audio::{Codec, Decoder, DtmfGenerator, Encoder};
use tandem::proto::rtp::telephone_event::TelephoneEvent;

use super::*;

const ROOM: RoomKey = RoomKey::Numbered(800);
const FRAME_MS: u64 = 20;

/// A phone that speaks a tone of its own.
struct Voice {
    phone: Phone,
    call: u64,
    side: Side,
    codec: Codec,
    number: u8,
    hz: f32,
    encoder: Encoder,
    decoder: Decoder,
    sent: u32,
    /// What it has heard, at its codec's rate.
    heard: Vec<i16>,
    heard_packets: u64,
    /// The event of each packet of one.
    events: Vec<u8>,
    last: Option<Header>,
    is_seated: bool,
}

impl Voice {
    fn new(phone: Phone, (call, side): (u64, Side), (codec, number): (Codec, u8), hz: f32) -> Self {
        phone.rtp.set_nonblocking(true).unwrap();
        Self {
            phone,
            call,
            side,
            codec,
            number,
            hz,
            encoder: codec.encoder().unwrap(),
            decoder: codec.decoder().unwrap(),
            sent: 0,
            heard: Vec::new(),
            heard_packets: 0,
            events: Vec::new(),
            last: None,
            is_seated: false,
        }
    }

    fn format(&self) -> Format {
        let name = match self.codec {
            Codec::Pcma => "PCMA/8000",
            Codec::Pcmu => "PCMU/8000",
            Codec::G722 => "G722/8000",
            Codec::Opus => "opus/48000/2",
            Codec::L16 { .. } => "L16/16000",
        };
        Format::new(self.number, Some(name), None).unwrap()
    }

    fn plan(&self, with_events: bool) -> LegPlan {
        let mut formats = vec![self.format()];
        if with_events {
            formats.push(Format::new(101, Some("telephone-event/8000"), None).unwrap());
        }
        LegPlan { send_formats: formats.clone(), receive_formats: formats, ..self.phone.plan() }
    }

    /// Sends these samples as its next packet.
    fn says(&mut self, samples: &[i16]) {
        let mut bytes = vec![0x80; 12];
        let ticks = self.codec.clock_rate() / 50;
        let header = Header {
            payload_type: self.number,
            marker: self.sent == 0,
            sequence: u16::try_from(self.sent).unwrap(),
            timestamp: self.sent * ticks,
            ssrc: Ssrc(u32::from(self.number) + 1),
        };
        header.write(&mut bytes);
        self.encoder.encode(samples, &mut bytes).unwrap();
        self.phone.rtp.send_to(&bytes, self.phone.relay.0).unwrap();
        self.sent += 1;
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a tone")]
    fn speaks_its_tone(&mut self) {
        let rate = self.codec.sample_rate();
        let samples: Vec<i16> = (0..rate / 50)
            .map(|index| {
                let at = (self.sent * (rate / 50) + index) as f32 / rate as f32;
                ((std::f32::consts::TAU * self.hz * at).sin() * 6_000.0) as i16
            })
            .collect();
        self.says(&samples);
    }

    /// Takes all that has come: one stream without a gap.
    fn listens(&mut self) {
        let mut buffer = [0; 2_048];
        while let Ok((length, _)) = self.phone.rtp.recv_from(&mut buffer) {
            let header = Header::read(&buffer[..length]).unwrap();
            if let Some(last) = self.last.replace(header) {
                assert_eq!(header.ssrc, last.ssrc, "one stream, whoever is behind it");
                assert_eq!(header.sequence, last.sequence.wrapping_add(1), "no number is left out");
            }
            if header.payload_type == 101 {
                self.heard_packets += 1;
                self.events.push(buffer[12]);
                continue;
            }
            assert_eq!(header.payload_type, self.number);
            self.heard_packets += 1;
            self.decoder.decode(&buffer[12..length], &mut self.heard).unwrap();
        }
    }

    /// How loud a tone is in the last fifth of a second, as its amplitude.
    #[expect(clippy::cast_precision_loss, reason = "a tone")]
    fn hears(&self, hz: f32) -> f32 {
        let rate = self.codec.sample_rate();
        let length = usize::try_from(rate / 5).unwrap();
        let heard = &self.heard[self.heard.len().saturating_sub(length)..];
        let (mut re, mut im) = (0.0_f32, 0.0_f32);
        for (index, sample) in heard.iter().enumerate() {
            let phase = std::f32::consts::TAU * hz * index as f32 / rate as f32;
            re += f32::from(*sample) * phase.cos();
            im += f32::from(*sample) * phase.sin();
        }
        2.0 * re.hypot(im) / heard.len().max(1) as f32
    }

    /// The largest step from one sample to the next in what it has heard.
    fn largest_step(&self) -> i32 {
        let pairs = self.heard.iter().zip(self.heard.iter().skip(1));
        pairs.map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max().unwrap_or_default()
    }
}

impl Bed {
    /// A call with one phone, on side a.
    fn voice(&self, call: u64, codec: (Codec, u8), hz: f32, with_events: bool) -> Voice {
        self.handle.open(call, LOCAL, LOCAL).unwrap();
        let MediaEvent::Opened { a, .. } = self.event() else { panic!("not opened") };
        let voice = Voice::new(Phone::new(a), (call, Side::A), codec, hz);
        self.handle.set_leg(call, Side::A, voice.plan(with_events)).unwrap();
        // What comes before is from a stranger.
        self.until((call, Side::A), &mut Vec::new(), |_| true);
        voice
    }

    fn seat(&self, voice: &mut Voice, part: Part) {
        voice.is_seated = true;
        self.handle.room(voice.call, voice.side, Some((ROOM, part))).unwrap();
    }

    /// Asks for a side's figures until they are so, and keeps what is told meanwhile.
    fn until(
        &self,
        (call, side): (u64, Side),
        told: &mut Vec<MediaEvent>,
        is_so: impl Fn(&LegStats) -> bool,
    ) {
        for _ in 0..10_000 {
            self.handle.query(call).unwrap();
            loop {
                match self.event() {
                    MediaEvent::Stats(stats) => {
                        if is_so(if side == Side::A { &stats.a } else { &stats.b }) {
                            return;
                        }
                        break;
                    }
                    event => told.push(event),
                }
            }
        }
        panic!("it never came to that");
    }

    /// So many frames in which everybody speaks.
    fn run(&self, time: &AtomicU64, voices: &mut [Voice], frames: usize) -> Vec<MediaEvent> {
        let mut told = Vec::new();
        for _ in 0..frames {
            for voice in voices.iter_mut() {
                voice.speaks_its_tone();
            }
            told.extend(self.frame(time, voices));
        }
        told
    }

    /// The next frame, once all that was sent has been taken in.
    fn frame(&self, time: &AtomicU64, voices: &mut [Voice]) -> Vec<MediaEvent> {
        let mut told = Vec::new();
        for voice in voices.iter() {
            let sent = u64::from(voice.sent);
            self.until((voice.call, voice.side), &mut told, |stats| stats.packets_in == sent);
        }
        time.fetch_add(FRAME_MS, Ordering::SeqCst);
        if let Some(voice) = voices.iter().find(|voice| voice.is_seated) {
            // Everybody's frame is sent in the same turn.
            let heard = voice.heard_packets;
            self.until((voice.call, voice.side), &mut told, |stats| stats.packets_out > heard);
        }
        for voice in voices.iter_mut() {
            voice.listens();
        }
        told
    }
}

const A_LAW: (Codec, u8) = (Codec::Pcma, 8);

#[test]
fn everybody_hears_the_others_and_not_itself() {
    let (bed, time) = Bed::on_a_stopped_clock(21_650, 21_661);
    let tones = [400.0, 700.0, 1_100.0];
    let mut voices: Vec<Voice> =
        (1..).zip(tones).map(|(call, hz)| bed.voice(call, A_LAW, hz, true)).collect();
    for voice in &mut voices {
        bed.seat(voice, Part::default());
    }
    bed.run(&time, &mut voices, 40);
    for voice in &voices {
        for hz in tones {
            let level = voice.hears(hz);
            let is_own = (voice.hz - hz).abs() < 1.0;
            assert!(
                if is_own { level < 200.0 } else { level > 4_500.0 },
                "{hz} at {}: {level}",
                voice.hz
            );
        }
        assert!(voice.heard.len() >= 38 * 160, "a packet for every frame");
        assert!(voice.largest_step() < 12_000, "{}", voice.largest_step());
    }
    // One is muted, one listens, and one goes.
    bed.seat(&mut voices[0], Part { is_muted: true, ..Part::default() });
    bed.seat(&mut voices[1], Part { audience: Audience::Nobody, ..Part::default() });
    bed.run(&time, &mut voices, 20);
    assert!(voices[2].hears(400.0) < 200.0 && voices[2].hears(700.0) < 200.0);
    assert!(voices[0].hears(1_100.0) > 4_500.0 && voices[1].hears(1_100.0) > 4_500.0);
    bed.seat(&mut voices[0], Part { gain_db: -12, ..Part::default() });
    bed.handle.room(3, Side::A, None).unwrap();
    bed.run(&time, &mut voices, 20);
    let quieter = voices[1].hears(400.0);
    assert!((1_200.0..1_900.0).contains(&quieter), "12 dB less: {quieter}");
    assert!(voices[1].hears(1_100.0) < 200.0);
    for call in 1..=3 {
        bed.handle.close(call).unwrap();
    }
}

#[test]
fn a_whisper_is_for_one() {
    let (bed, time) = Bed::on_a_stopped_clock(21_662, 21_673);
    let tones = [400.0, 700.0, 1_100.0];
    let mut voices: Vec<Voice> =
        (1..).zip(tones).map(|(call, hz)| bed.voice(call, A_LAW, hz, true)).collect();
    bed.seat(&mut voices[0], Part::default());
    bed.seat(&mut voices[1], Part::default());
    let part = Part { audience: Audience::Only(2, Side::A), ..Part::default() };
    bed.seat(&mut voices[2], part);
    bed.run(&time, &mut voices, 40);
    assert!(voices[1].hears(1_100.0) > 4_500.0, "whom it is for hears it");
    assert!(voices[0].hears(1_100.0) < 200.0, "nobody else does");
    assert!(voices[2].hears(400.0) > 4_500.0 && voices[2].hears(700.0) > 4_500.0);
    assert!(voices[2].hears(1_100.0) < 200.0);
}

#[test]
fn every_codec_meets_every_other() {
    let (bed, time) = Bed::on_a_stopped_clock(21_674, 21_689);
    let codecs = [(Codec::Pcma, 8), (Codec::Pcmu, 0), (Codec::G722, 9), (Codec::Opus, 111)];
    let tones = [400.0, 700.0, 1_100.0, 1_500.0];
    let mut voices: Vec<Voice> = (1..)
        .zip(codecs.into_iter().zip(tones))
        .map(|(call, (codec, hz))| bed.voice(call, codec, hz, true))
        .collect();
    for voice in &mut voices {
        bed.seat(voice, Part::default());
    }
    bed.run(&time, &mut voices, 60);
    for voice in &voices {
        for hz in tones {
            let level = voice.hears(hz);
            let is_own = (voice.hz - hz).abs() < 1.0;
            assert!(
                if is_own { level < 400.0 } else { level > 4_000.0 },
                "{hz} at {:?}: {level}",
                voice.codec
            );
        }
    }
}

#[test]
fn two_that_are_listened_to_hear_each_other_as_before() {
    let (bed, time) = Bed::on_a_stopped_clock(21_690, 21_701);
    bed.handle.open(CALL, LOCAL, LOCAL).unwrap();
    let MediaEvent::Opened { a, b } = bed.event() else { panic!("not opened") };
    let mut voices = vec![
        Voice::new(Phone::new(a), (CALL, Side::A), A_LAW, 400.0),
        Voice::new(Phone::new(b), (CALL, Side::B), A_LAW, 700.0),
    ];
    for voice in &voices {
        bed.handle.set_leg(CALL, voice.side, voice.plan(true)).unwrap();
    }
    bed.settled();
    voices.push(bed.voice(8, A_LAW, 1_100.0, true));
    bed.run(&time, &mut voices, 20);
    assert!(voices[0].hears(700.0) > 4_500.0 && voices[1].hears(400.0) > 4_500.0);
    let key = RoomKey::OfCall(CALL);
    for side in [Side::A, Side::B] {
        bed.handle.room(CALL, side, Some((key, Part::default()))).unwrap();
    }
    voices.iter_mut().for_each(|voice| voice.is_seated = true);
    let part = Part { audience: Audience::Nobody, ..Part::default() };
    bed.handle.room(8, Side::A, Some((key, part))).unwrap();
    bed.run(&time, &mut voices, 30);
    assert!(voices[0].hears(700.0) > 4_500.0 && voices[1].hears(400.0) > 4_500.0);
    assert!(voices[2].hears(400.0) > 4_500.0 && voices[2].hears(700.0) > 4_500.0);
    assert!(voices[0].hears(1_100.0) < 200.0 && voices[1].hears(1_100.0) < 200.0);
    for side in [Side::A, Side::B] {
        bed.handle.room(CALL, side, None).unwrap();
    }
    voices.iter_mut().for_each(|voice| voice.is_seated = false);
    bed.run(&time, &mut voices, 30);
    assert!(voices[0].hears(700.0) > 4_500.0 && voices[1].hears(400.0) > 4_500.0);
    let stats = bed.close();
    // One that comes between the two orders is heard by nobody.
    assert!(stats.a.passed >= 78 && stats.b.passed >= 78, "{stats:?}");
}

/// A customer keys something in while somebody listens: whom it talks to has it, once.
#[test]
fn two_that_are_listened_to_press_keys_for_each_other() {
    let (bed, time) = Bed::on_a_stopped_clock(21_746, 21_757);
    bed.handle.open(CALL, LOCAL, LOCAL).unwrap();
    let MediaEvent::Opened { a, b } = bed.event() else { panic!("not opened") };
    let mut voices = vec![
        Voice::new(Phone::new(a), (CALL, Side::A), A_LAW, 400.0),
        Voice::new(Phone::new(b), (CALL, Side::B), A_LAW, 700.0),
    ];
    for voice in &voices {
        bed.handle.set_leg(CALL, voice.side, voice.plan(true)).unwrap();
    }
    bed.settled();
    for side in [Side::A, Side::B] {
        let wish = Some((RoomKey::OfCall(CALL), Part::default()));
        bed.handle.room(CALL, side, wish).unwrap();
    }
    voices[0].is_seated = true;
    bed.run(&time, &mut voices, 5);
    let mut told = Vec::new();
    for n in 1..=8_u16 {
        let event =
            TelephoneEvent { event: 5, is_end: n > 5, volume: 10, duration: 160 * n.min(5) };
        let voice = &mut voices[0];
        let header = Header {
            payload_type: 101,
            marker: n == 1,
            sequence: u16::try_from(voice.sent).unwrap(),
            timestamp: 5_000,
            ssrc: Ssrc(9),
        };
        let mut bytes = vec![0x80; 12];
        header.write(&mut bytes);
        bytes.extend(event.write());
        voice.phone.rtp.send_to(&bytes, voice.phone.relay.0).unwrap();
        voice.sent += 1;
        voices[1].speaks_its_tone();
        told.extend(bed.frame(&time, &mut voices));
    }
    told.extend(bed.run(&time, &mut voices, 20));
    assert!(keys(&told).is_empty(), "it is not for us");
    assert!(voices[1].events.len() >= 4, "{:?}", voices[1].events);
    assert!(voices[1].events.iter().all(|event| *event == 5));
}

/// The keys that were told.
fn keys(told: &[MediaEvent]) -> Vec<u8> {
    let key = |event: &MediaEvent| match event {
        MediaEvent::Digit { key, .. } => Some(key.event),
        _ => None,
    };
    told.iter().filter_map(key).collect()
}

#[test]
fn keys_of_a_side_in_a_room_are_told_once() {
    let (bed, time) = Bed::on_a_stopped_clock(21_702, 21_709);
    let mut voices = vec![bed.voice(1, A_LAW, 400.0, true)];
    bed.seat(&mut voices[0], Part { is_muted: true, ..Part::default() });
    let mut told = bed.run(&time, &mut voices, 5);
    for (turn, event) in [(0_u32, 5_u8), (1, 11)] {
        for n in 1..=8_u16 {
            let is_end = n > 5;
            let event = TelephoneEvent { event, is_end, volume: 10, duration: 160 * n.min(5) };
            let voice = &mut voices[0];
            let header = Header {
                payload_type: 101,
                marker: n == 1,
                sequence: u16::try_from(voice.sent).unwrap(),
                timestamp: 5_000 + turn * 3_000,
                ssrc: Ssrc(9),
            };
            let mut bytes = vec![0x80; 12];
            header.write(&mut bytes);
            bytes.extend(event.write());
            voice.phone.rtp.send_to(&bytes, voice.phone.relay.0).unwrap();
            voice.sent += 1;
            told.extend(bed.frame(&time, &mut voices));
        }
    }
    assert_eq!(keys(&told), [5, 11]);
}

#[test]
fn tones_are_keys_where_there_are_no_events() {
    let (bed, time) = Bed::on_a_stopped_clock(21_710, 21_721);
    let mut voices = vec![bed.voice(1, A_LAW, 400.0, false), bed.voice(2, A_LAW, 700.0, true)];
    for voice in &mut voices {
        bed.seat(voice, Part::default());
    }
    let mut samples = Vec::new();
    for event in [1, 10] {
        let mut made = DtmfGenerator::new(event, 100, 100, 8_000).unwrap();
        made.play(usize::MAX, &mut samples);
    }
    samples.resize(samples.len().next_multiple_of(160) + 1_600, 0);
    let mut told = Vec::new();
    for piece in samples.chunks(160) {
        voices[0].says(piece);
        voices[1].says(&[0; 160]);
        told.extend(bed.frame(&time, &mut voices));
    }
    assert_eq!(keys(&told), [1, 10]);
}

#[test]
fn who_talks_is_told() {
    let (bed, time) = Bed::on_a_stopped_clock(21_722, 21_733);
    let mut voices = vec![bed.voice(1, A_LAW, 400.0, true), bed.voice(2, A_LAW, 700.0, true)];
    for voice in &mut voices {
        bed.seat(voice, Part::default());
    }
    let talking = |told: &[MediaEvent], on: bool| {
        let is = |event: &&MediaEvent| matches!(event, MediaEvent::Talking { is_on, .. } if *is_on == on);
        told.iter().filter(is).count()
    };
    let told = bed.run(&time, &mut voices, 30);
    assert_eq!((talking(&told, true), talking(&told, false)), (2, 0), "{told:?}");
    let mut told = Vec::new();
    for _ in 0..80 {
        for voice in &mut voices {
            voice.says(&[0; 160]);
        }
        told.extend(bed.frame(&time, &mut voices));
    }
    assert_eq!((talking(&told, true), talking(&told, false)), (0, 2), "{told:?}");
}

#[test]
fn a_chime_tells_who_comes_and_goes() {
    let (bed, time) = Bed::on_a_stopped_clock(21_734, 21_745);
    let mut voices = vec![bed.voice(1, A_LAW, 400.0, true), bed.voice(2, A_LAW, 700.0, true)];
    let part = Part { chimes: true, ..Part::default() };
    bed.seat(&mut voices[0], part);
    bed.run(&time, &mut voices, 20);
    assert!(voices[0].hears(660.0) < 100.0, "it is alone");
    bed.seat(&mut voices[1], Part { is_muted: true, ..part });
    bed.run(&time, &mut voices, 12);
    assert!(voices[0].hears(660.0) > 500.0 && voices[0].hears(880.0) > 500.0);
    bed.run(&time, &mut voices, 20);
    assert!(voices[0].hears(660.0) < 100.0);
    bed.handle.close(2).unwrap();
    voices.truncate(1);
    bed.run(&time, &mut voices, 12);
    assert!(voices[0].hears(880.0) > 500.0);
}
