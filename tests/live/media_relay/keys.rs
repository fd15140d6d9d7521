//! Digits that one side sends and the other takes in another form.

use tandem::edge::media_io::Key;
use tandem::proto::audio::{Codec, DtmfDetector, Heard};
use tandem::proto::rtp::telephone_event::TelephoneEvent;

use super::*;

const EVENTS: u8 = 101;

impl Phone {
    /// One packet of a digit that began at this number, as the RFC has it: one timestamp, a duration that grows.
    fn presses(&self, sequence: u16, begin: u16, event: TelephoneEvent) {
        let at = Header {
            payload_type: EVENTS,
            marker: sequence == begin,
            timestamp: u32::from(begin) * 160,
            ..header(sequence, 1)
        };
        let mut bytes = vec![0x80; 12];
        at.write(&mut bytes);
        bytes.extend(event.write());
        self.rtp.send_to(&bytes, self.relay.0).unwrap();
    }

    /// A digit of 100 ms; the end is told as often as this.
    fn presses_key(&self, begin: u16, event: u8, ends: u16) {
        let packet = |duration, is_end| TelephoneEvent { event, is_end, volume: 10, duration };
        for n in 0..5 {
            self.presses(begin + n, begin, packet(160 * (n + 1), false));
        }
        for n in 0..ends {
            self.presses(begin + 5 + n, begin, packet(800, true));
        }
    }

    /// The digits in the next so many packets of A-law.
    fn hears_tones(&self, packets: usize) -> Vec<u8> {
        let mut decoder = Codec::Pcma.decoder().unwrap();
        let (mut samples, mut heard) = (Vec::new(), Vec::new());
        let mut next: Option<Header> = None;
        for _ in 0..packets {
            let (header, payload) = self.hears_audio();
            assert_eq!(header.payload_type, 8);
            if let Some(last) = next.replace(header) {
                assert_eq!(header.sequence, last.sequence.wrapping_add(1));
            }
            decoder.decode(&payload, &mut samples).unwrap();
        }
        samples.resize(samples.len() + 800, 0);
        DtmfDetector::new(8_000).listen(&samples, &mut heard);
        let started = |heard: &Heard| match heard {
            Heard::Started { event } => Some(*event),
            Heard::Ended { .. } => None,
        };
        heard.iter().filter_map(started).collect()
    }
}

impl Bed {
    /// A call whose second side takes only these.
    fn call_with(&self, formats: &[Format]) -> (Phone, Phone) {
        let (a, b) = self.call();
        let formats = formats.to_vec();
        let plan = LegPlan { send_formats: formats.clone(), receive_formats: formats, ..b.plan() };
        self.handle.set_leg(CALL, Side::B, plan).unwrap();
        self.settled();
        (a, b)
    }
}

/// Speaks until the other side hears it: the last packet of a tone covers what is said while it lasts.
pub(super) fn speech(a: &Phone, b: &Phone, first: u16) -> Header {
    b.rtp.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let mut buffer = [0; 2_048];
    for sequence in first..first + 250 {
        a.speaks(&header(sequence, 1));
        if let Ok((length, _)) = b.rtp.recv_from(&mut buffer) {
            assert_eq!(buffer[12..length], packet(&header(sequence, 1))[12..], "no tone");
            return Header::read(&buffer[..length]).unwrap();
        }
    }
    panic!("nothing is heard any more");
}

fn pcma() -> Format {
    Format::new(8, None, None).unwrap()
}

/// Row 151: a side without telephone-event hears each digit once, as a tone of its length in place of the audio.
#[test]
fn row_151_a_digit_is_a_tone_for_a_side_that_takes_no_events() {
    let bed = Bed::new(21_628, 21_631);
    let (a, b) = bed.call_with(&[pcma()]);
    a.presses_key(0, 5, 3);
    // 100 ms, and the pause.
    assert_eq!(b.hears_tones(8), [5]);
    // Two in a row stay two, also of one key.
    a.presses_key(20, 11, 3);
    a.presses_key(40, 11, 1);
    assert_eq!(b.hears_tones(16), [11, 11]);
    assert!(speech(&a, &b, 60).marker, "and then speech again");
    let stats = bed.close();
    assert_eq!((stats.b.packets_out, stats.a.dropped_payload_type), (25, 0));
}

/// Row 149: the end may be lost, every time it is told.
#[test]
fn row_149_a_digit_whose_end_is_lost_is_one_digit_all_the_same() {
    let bed = Bed::new(21_632, 21_635);
    let (a, b) = bed.call_with(&[pcma()]);
    a.presses_key(0, 7, 0);
    assert_eq!(b.hears_tones(8), [7]);
    // The end that comes after all says nothing new.
    a.presses(5, 0, TelephoneEvent { event: 7, is_end: true, volume: 10, duration: 800 });
    speech(&a, &b, 9);
    assert_eq!(bed.close().b.packets_out, 9);
}

/// Row 150: what comes by signalling is an event in the stream: one timestamp, a duration that grows, three ends, and no audio
/// meanwhile.
#[test]
fn row_150_a_digit_of_the_signalling_is_an_event_in_the_audios_stream() {
    let (bed, time) = Bed::on_a_stopped_clock(21_636, 21_639);
    let (a, b) = bed.call();
    a.speaks(&header(1, 1));
    let first = b.hears();
    let key = Key { event: 9, duration: Duration::from_millis(100) };
    bed.handle.press(CALL, Side::B, key).unwrap();
    bed.settled();
    let mut heard = Vec::new();
    for n in 0..7 {
        time.fetch_add(20, Ordering::SeqCst);
        a.speaks(&header(2 + n, 1));
        let (header, payload) = b.hears_audio();
        heard.push((header, TelephoneEvent::read(&payload).expect("an event, and no audio")));
    }
    let begin = heard[0].0.timestamp;
    for (n, (header, event)) in (0_u16..).zip(&heard) {
        assert_eq!(header.sequence.wrapping_sub(first.sequence), n + 1);
        assert_eq!((header.payload_type, header.ssrc), (EVENTS, first.ssrc));
        assert_eq!((header.timestamp, header.marker), (begin, n == 0));
        let duration = 160 * (n + 1).min(5);
        assert_eq!((event.event, event.duration, event.is_end), (9, duration, n >= 4));
    }
    time.fetch_add(100, Ordering::SeqCst);
    bed.settled();
    a.speaks(&header(20, 1));
    let after = b.hears();
    assert_eq!((after.payload_type, after.marker), (8, true));
    assert!(after.timestamp.wrapping_sub(begin) < 1 << 31 && after.timestamp != begin);
    bed.close();
}

/// Row 151: where there is neither an event nor a codec that we can make, the signalling is asked.
#[test]
fn row_151_a_digit_that_the_stream_cannot_have_is_told() {
    let bed = Bed::new(21_640, 21_643);
    let told = || loop {
        if let MediaEvent::Pressed { side, key } = bed.event() {
            return (side, key.event, key.duration);
        }
    };
    let g729 = Format::new(18, None, None).unwrap();
    let (a, b) = bed.call_with(&[g729]);
    a.presses_key(0, 3, 3);
    assert_eq!(told(), (Side::B, 3, Duration::from_millis(100)));
    // Nor where the configuration wants no tones.
    let formats = vec![pcma()];
    let plan = LegPlan {
        is_toneless: true,
        send_formats: formats.clone(),
        receive_formats: formats,
        ..b.plan()
    };
    bed.handle.set_leg(CALL, Side::B, plan).unwrap();
    bed.settled();
    a.presses_key(20, 4, 1);
    assert_eq!(told(), (Side::B, 4, Duration::from_millis(100)));
    assert_eq!(bed.close().b.packets_out, 0);
}
