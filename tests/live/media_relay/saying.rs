//! What is said to a side: lists of sounds without a gap, each with its end.

use std::path::Path;

use tandem::edge::media_io::{Playlist, QUEUE_MAX};
use tandem::edge::sounds::{Clips, Library};
use tandem::proto::audio::Codec;
use tandem::proto::rtp::Clip;
use tandem::switch::phrase::{Currency, Language, Spoken, phrase};
use tandem::switch::speech::PlayEnd;

use super::keys::speech;
use super::*;

fn codec(payload_type: u8, name: &str) -> Format {
    Format::new(payload_type, Some(name), None).unwrap()
}

/// A sound of so many packets of A-law that are told apart by their bytes.
fn sound(level: i16, packets: usize) -> Clips {
    vec![Clip::encode(Codec::Pcma, &vec![level; 160 * packets]).unwrap()].into()
}

fn named(token: u64, clips: Vec<Clips>) -> Playlist {
    Playlist { clips, token: Some(token) }
}

impl Bed {
    /// Moves the clock by packets, and takes what the phone hears at each.
    fn listen(&self, time: &AtomicU64, phone: &Phone, packets: usize) -> Vec<(Header, Vec<u8>)> {
        (0..packets)
            .map(|_| {
                let heard = phone.hears_audio();
                self.pass(time);
                heard
            })
            .collect()
    }

    /// Lets 20 ms pass. A command for a call that is not there wakes the worker, which would wait for them otherwise.
    fn pass(&self, time: &AtomicU64) {
        time.fetch_add(20, Ordering::SeqCst);
        self.handle.silence(CALL + 1, Side::A).unwrap();
    }

    fn say(&self, list: Playlist) {
        self.handle.say(CALL, Side::B, list).unwrap();
    }

    /// What has ended by now, which is so much.
    fn ended(&self, count: usize) -> Vec<(u64, PlayEnd)> {
        let mut ended = Vec::new();
        // An answer may be of the turn in which the clock was moved: the worker is asked again until it has looked.
        for turn in 0..1_000 {
            if turn > 1 && ended.len() >= count {
                break;
            }
            self.handle.query(CALL).unwrap();
            loop {
                match self.event() {
                    MediaEvent::Played { side: Side::B, token, end } => ended.push((token, end)),
                    MediaEvent::Stats(_) => break,
                    other => assert!(matches!(other, MediaEvent::Heard { .. }), "{other:?}"),
                }
            }
        }
        ended
    }
}

/// No number is left out, and time goes on by a packet.
fn assert_joined(heard: &[(Header, Vec<u8>)], ticks: u32) {
    for pair in heard.windows(2) {
        let [(one, _), (next, _)] = pair else { continue };
        assert_eq!(next.sequence, one.sequence.wrapping_add(1));
        assert_eq!(next.timestamp.wrapping_sub(one.timestamp), ticks);
        assert_eq!((next.ssrc, next.marker), (one.ssrc, false));
    }
}

/// Row 141: sounds of a list, and lists behind it, are one stream, to the packet.
#[test]
fn row_141_lists_are_said_one_behind_the_other_in_one_stream() {
    let (bed, time) = Bed::on_a_stopped_clock(21_900, 21_903);
    let (_a, b) = bed.call();
    bed.say(named(1, vec![sound(100, 2), sound(200, 1), sound(300, 3)]));
    bed.say(named(2, vec![sound(400, 2)]));
    bed.say(Playlist { clips: vec![sound(500, 1)], token: None });
    let heard = bed.listen(&time, &b, 9);
    assert!(heard[0].0.marker);
    assert_joined(&heard, 160);
    let byte = |level: i16| sound(level, 1)[0].packet(0).unwrap()[0];
    let levels: Vec<u8> = heard.iter().map(|(_, payload)| payload[0]).collect();
    assert_eq!(levels, [100, 100, 200, 300, 300, 300, 400, 400, 500].map(byte));
    assert!(heard.iter().all(|(_, payload)| payload.len() == 160));
    // The end of the last one is when its last packet has been heard.
    assert_eq!(bed.ended(2), [(1, PlayEnd::Done), (2, PlayEnd::Done)]);
    assert!(bed.ended(0).is_empty(), "once");
}

#[test]
fn what_is_said_is_silenced_and_too_much_is_refused() {
    let (bed, time) = Bed::on_a_stopped_clock(21_904, 21_907);
    let (a, b) = bed.call();
    bed.handle.silence(CALL, Side::B).unwrap();
    assert!(bed.ended(0).is_empty(), "there was nothing");
    bed.say(Playlist { clips: vec![sound(50, 2)], token: None });
    for token in 0..=u64::try_from(QUEUE_MAX).unwrap() {
        bed.say(named(token, vec![sound(100, 5)]));
    }
    assert_eq!(bed.ended(1), [(u64::try_from(QUEUE_MAX).unwrap(), PlayEnd::Refused)]);
    // What has no name is heard to its end.
    bed.handle.silence(CALL, Side::B).unwrap();
    let cut: Vec<_> = (0..u64::try_from(QUEUE_MAX).unwrap()).map(|n| (n, PlayEnd::Cut)).collect();
    assert_eq!(bed.ended(cut.len()), cut);
    assert_joined(&bed.listen(&time, &b, 2), 160);
    // And then the other side.
    speech(&a, &b, 1);
    // In the middle of a list as well.
    bed.say(named(20, vec![sound(100, 5)]));
    bed.listen(&time, &b, 2);
    b.hears();
    bed.handle.silence(CALL, Side::B).unwrap();
    assert_eq!(bed.ended(1), [(20, PlayEnd::Cut)]);
    assert!(speech(&a, &b, 300).marker);
    let too_long = named(30, vec![sound(1, 1); 129]);
    assert!(bed.handle.say(CALL, Side::B, too_long).is_err());
    // The end of the call is an end of what is said, and comes before it.
    bed.say(named(21, vec![sound(100, 50)]));
    bed.say(named(22, vec![sound(100, 50)]));
    bed.handle.close(CALL).unwrap();
    let mut last = Vec::new();
    loop {
        match bed.event() {
            MediaEvent::Played { token, end, .. } => last.push((token, end)),
            MediaEvent::Closed(_) => break,
            _ => {}
        }
    }
    assert_eq!(last, [(21, PlayEnd::Cut), (22, PlayEnd::Cut)]);
}

/// A side that cannot be sent to hears it later; one whose codec we do not have, never. A codec that changes goes on at the place.
#[test]
fn what_is_said_waits_for_the_side_and_follows_its_codec() {
    let (bed, time) = Bed::on_a_stopped_clock(21_908, 21_911);
    let (_a, b) = bed.call();
    let plan = |formats: &[Format], send| LegPlan {
        send_formats: formats.to_vec(),
        receive_formats: formats.to_vec(),
        send,
        rearm_latch: false,
        ..b.plan()
    };
    let set = |formats: &[Format], send| {
        bed.handle.set_leg(CALL, Side::B, plan(formats, send)).unwrap();
    };
    let pcma = codec(8, "PCMA/8000");
    set(std::slice::from_ref(&pcma), false);
    bed.say(named(1, vec![sound(100, 2)]));
    assert!(bed.ended(0).is_empty());
    set(std::slice::from_ref(&pcma), true);
    assert_eq!(bed.listen(&time, &b, 2)[1].1.len(), 160);
    assert_eq!(bed.ended(1), [(1, PlayEnd::Done)]);
    // Put on hold meanwhile: it is over, and what waits is said afterwards.
    bed.say(named(2, vec![sound(100, 9)]));
    bed.say(named(3, vec![sound(300, 1)]));
    bed.listen(&time, &b, 1);
    b.hears();
    set(std::slice::from_ref(&pcma), false);
    assert_eq!(bed.ended(1), [(2, PlayEnd::Cut)]);
    set(std::slice::from_ref(&pcma), true);
    bed.listen(&time, &b, 1);
    assert_eq!(bed.ended(1), [(3, PlayEnd::Done)]);
    // Another codec in the middle.
    let samples = vec![1_000; 160 * 5];
    let both: Clips =
        [Codec::Pcma, Codec::Pcmu].map(|codec| Clip::encode(codec, &samples).unwrap()).into();
    bed.say(named(4, vec![both]));
    bed.listen(&time, &b, 2);
    let before = b.hears();
    set(&[codec(0, "PCMU/8000")], true);
    bed.settled();
    bed.pass(&time);
    let after = bed.listen(&time, &b, 2);
    assert_eq!((before.payload_type, after[0].0.payload_type), (8, 0));
    assert_eq!(after[0].0.sequence, before.sequence.wrapping_add(1));
    assert_eq!(bed.ended(1), [(4, PlayEnd::Done)]);
    set(&[codec(18, "G729/8000")], true);
    bed.say(named(5, vec![sound(100, 2)]));
    assert_eq!(bed.ended(1), [(5, PlayEnd::Unplayable)]);
}

/// The longest quiet within samples, in milliseconds.
fn longest_quiet(samples: &[i16], rate: u32) -> u64 {
    let (mut longest, mut quiet) = (0_u64, 0_u64);
    for sample in samples {
        quiet = if sample.unsigned_abs() < 330 { quiet + 1 } else { 0 };
        longest = longest.max(quiet);
    }
    longest * 1_000 / u64::from(rate)
}

fn largest_step(samples: &[i16]) -> i32 {
    let step = |pair: &[i16]| (i32::from(pair[1]) - i32::from(pair[0])).abs();
    samples.windows(2).map(step).max().unwrap_or_default()
}

/// What a far end hears of prompts in one codec.
struct Ear {
    spoken: Codec,
    format: Format,
    ticks: u32,
}

impl Ear {
    fn clip<'a>(&self, clips: &'a Clips) -> &'a Clip {
        clips.iter().find(|clip| clip.codec() == self.spoken).unwrap()
    }

    fn payloads(&self, clips: &Clips) -> Vec<Vec<u8>> {
        let clip = self.clip(clips);
        (0..clip.packets()).map(|n| clip.packet(n).unwrap().to_vec()).collect()
    }

    fn decoded(&self, payloads: impl IntoIterator<Item = Vec<u8>>) -> Vec<i16> {
        let (mut decoder, mut samples) = (self.spoken.decoder().unwrap(), Vec::new());
        for payload in payloads {
            decoder.decode(&payload, &mut samples).unwrap();
        }
        samples
    }

    /// The longest quiet that these parts have by themselves or where their ends meet, and a packet that is not full.
    fn quiet_max(&self, alone: &[Vec<i16>]) -> u64 {
        let rate = self.spoken.sample_rate();
        let loud = |sample: &i16| sample.unsigned_abs() >= 330;
        let ms = |count: Option<usize>| count.unwrap() as u64 * 1_000 / u64::from(rate);
        let begin = |samples: &[i16]| ms(samples.iter().position(loud));
        let end = |samples: &[i16]| ms(samples.iter().rev().position(loud));
        let joints = alone.windows(2).map(|pair| end(&pair[0]) + begin(&pair[1]));
        let inside = alone.iter().map(|samples| longest_quiet(samples, rate));
        joints.chain(inside).max().unwrap() + 20
    }

    fn call(&self, bed: &Bed) -> (Phone, Phone) {
        let (a, b) = bed.call();
        for (side, phone) in [(Side::A, &a), (Side::B, &b)] {
            let formats = vec![self.format.clone()];
            let plan =
                LegPlan { send_formats: formats.clone(), receive_formats: formats, ..phone.plan() };
            bed.handle.set_leg(CALL, side, plan).unwrap();
        }
        bed.settled();
        (a, b)
    }

    /// A packet of a voice that crosses.
    fn speaks(&self, phone: &Phone, number: u16, payload: &[u8]) {
        let timestamp = u32::from(number) * self.ticks;
        let payload_type = self.format.payload_type;
        let mut bytes = vec![0x80; 12];
        Header { payload_type, timestamp, ..header(number, 5) }.write(&mut bytes);
        bytes.extend(payload);
        phone.rtp.send_to(&bytes, phone.relay.0).unwrap();
    }

    /// A phrase, the other side, music, and the phrase again.
    fn listens(&self, port: u16, parts: &[Clips], music: &Clips) {
        let alone: Vec<_> = parts.iter().map(|part| self.decoded(self.payloads(part))).collect();
        let expected: Vec<_> = parts.iter().flat_map(|part| self.payloads(part)).collect();
        let (bed, time) = Bed::on_a_stopped_clock(port, port + 3);
        let (a, b) = self.call(&bed);
        bed.say(named(1, parts.to_vec()));
        let mut heard = bed.listen(&time, &b, expected.len());
        assert_joined(&heard, self.ticks);
        assert_eq!(bed.ended(1), [(1, PlayEnd::Done)]);
        assert!(heard.iter().map(|(_, payload)| payload).eq(&expected), "to the packet");
        let said = self.decoded(heard.iter().map(|(_, payload)| payload.clone()));
        let quiet = longest_quiet(&said, self.spoken.sample_rate());
        assert!(quiet <= self.quiet_max(&alone), "{:?}: {quiet} ms of quiet", self.spoken);

        for (number, payload) in (0_u16..).zip(self.payloads(&parts[0])) {
            self.speaks(&a, number, &payload);
            heard.extend(bed.listen(&time, &b, 1));
        }
        bed.handle.music(CALL, Side::B, Some(Clips::clone(music))).unwrap();
        heard.extend(bed.listen(&time, &b, 100));
        bed.say(named(2, parts.to_vec()));
        heard.extend(bed.listen(&time, &b, expected.len() + 20));
        for pair in heard.windows(2) {
            assert_eq!(pair[1].0.sequence, pair[0].0.sequence.wrapping_add(1));
        }
        let all = self.decoded(heard.into_iter().map(|(_, payload)| payload));
        let song = self.decoded(self.payloads(music).into_iter().take(130));
        let natural = alone.iter().chain([&song]).map(|samples| largest_step(samples)).max();
        let (step, natural) = (largest_step(&all), natural.unwrap());
        assert!(step <= natural * 5 / 4, "{:?}: a step of {step}, not {natural}", self.spoken);
    }
}

/// A phrase, the other side, and music on hold, as the far end decodes them: joined without a gap that its parts do not have, and
/// without a click.
#[test]
fn row_141_a_phrase_the_far_side_and_music_are_joined_without_a_click() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sounds");
    let library = Library::new(Some(folder.clone()));
    let music = library.file(&folder.join("music/hold.ogg")).unwrap();
    let ears = [
        (Codec::Pcma, codec(8, "PCMA/8000"), 160, 21_912),
        (Codec::G722, codec(9, "G722/8000"), 160, 21_916),
        (Codec::Opus, codec(111, "opus/48000/2"), 960, 21_920),
    ];
    for language in Language::ALL {
        let things = [Spoken::Place(21), Spoken::Money(7_350, Currency::Usd)];
        let parts = library.phrase(language, &phrase(language, &things)).unwrap();
        for (spoken, format, ticks, port) in ears.clone() {
            Ear { spoken, format, ticks }.listens(port, &parts, &music);
        }
    }
}
