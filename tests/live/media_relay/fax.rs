//! Fax on the ports of a call: whole datagrams, both ways, and audio again.

use tandem::proto::audio::{Codec, FaxTone};
use tandem::proto::sdp::FaxPlan;

use super::*;

impl Phone {
    fn fax_plan(&self, datagram_max: u16) -> LegPlan {
        LegPlan {
            remote_rtp: self.rtp.local_addr().ok(),
            send: true,
            receive: true,
            fax: Some(FaxPlan { datagram_max }),
            rearm_latch: true,
            ..LegPlan::default()
        }
    }

    fn faxes(&self, datagram: &[u8]) {
        self.rtp.send_to(datagram, self.relay.0).unwrap();
    }

    fn gets(&self) -> Vec<u8> {
        let mut buffer = [0; 2_048];
        let (length, from) = self.rtp.recv_from(&mut buffer).expect("a datagram");
        assert_eq!(from, self.relay.0, "from the port it is sent to");
        buffer[..length].to_vec()
    }
}

/// A datagram of UDPTL with this number: its first byte may be anything.
fn udptl(number: u16, length: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((2..length).map(|at| u8::try_from(at % 256).unwrap()));
    bytes
}

/// Row 159: UDPTL crosses byte by byte, whatever it looks like, and the audio afterwards goes on where it was.
#[test]
fn row_159_udptl_crosses_as_it_is_and_audio_goes_on_after_it() {
    let (bed, time) = Bed::on_a_stopped_clock(21_580, 21_583);
    let (a, b) = bed.call();
    a.speaks(&header(0, 1));
    let before = b.hears();
    bed.handle.set_leg(CALL, Side::A, a.fax_plan(1_400)).unwrap();
    bed.handle.set_leg(CALL, Side::B, b.fax_plan(600)).unwrap();
    bed.settled();
    // Audio that was on its way is none of the fax.
    a.speaks(&header(1, 1));
    // First bytes of a check, of DTLS, of nothing.
    for number in [0, 1, 0x0101, 0x1600, 0x4000, 0x7fff] {
        a.faxes(&udptl(number, 60));
        assert_eq!(b.gets(), udptl(number, 60), "{number}");
        b.faxes(&udptl(number, 200));
        assert_eq!(a.gets(), udptl(number, 200), "{number}");
    }
    // After some minutes the numbers look like audio.
    time.fetch_add(10_000, Ordering::SeqCst);
    a.faxes(&udptl(0x8000, 60));
    assert_eq!(b.gets(), udptl(0x8000, 60));
    // Too long for b's peer, too short for anybody, and a stranger's.
    a.faxes(&udptl(0x8001, 601));
    a.faxes(&[0, 1]);
    let stranger = socket();
    for number in 0..10 {
        stranger.send_to(&udptl(number, 60), a.relay.0).unwrap();
    }
    a.faxes(&udptl(0x8002, 600));
    assert_eq!(b.gets(), udptl(0x8002, 600));
    bed.handle.set_leg(CALL, Side::A, a.plan()).unwrap();
    bed.handle.set_leg(CALL, Side::B, b.plan()).unwrap();
    bed.settled();
    a.speaks(&header(2, 1));
    let after = b.hears();
    assert_eq!(after.ssrc, before.ssrc, "one stream for the whole call");
    assert!(
        (1..=3).contains(&after.sequence.wrapping_sub(before.sequence)),
        "{before:?} {after:?}"
    );
    let stats = bed.close();
    assert_eq!((stats.a.dropped_malformed, stats.a.dropped_stranger), (2, 10));
    assert_eq!((stats.a.packets_in, stats.b.packets_out), (2 + 8 + 1, 2 + 8));
    assert_eq!((stats.b.packets_in, stats.a.packets_out), (6, 6));
}

/// Row 159: who takes a long page says nothing for minutes, and is not dead.
#[test]
fn row_159_one_side_of_a_fax_keeps_both_alive() {
    let (bed, time) = Bed::on_a_stopped_clock(21_584, 21_587);
    let (a, b) = bed.call();
    bed.handle.set_leg(CALL, Side::A, a.fax_plan(1_400)).unwrap();
    bed.handle.set_leg(CALL, Side::B, b.fax_plan(1_400)).unwrap();
    let limits = DeadAfter { talk: Duration::from_secs(30), hold: Duration::from_secs(30) };
    bed.handle.set_dead_after(CALL, limits).unwrap();
    bed.settled();
    for number in 0..6 {
        time.fetch_add(20_000, Ordering::SeqCst);
        a.faxes(&udptl(number, 60));
        b.gets();
        bed.settled();
    }
    time.fetch_add(31_000, Ordering::SeqCst);
    let dead = loop {
        if let MediaEvent::Dead { silent_for, .. } = bed.event() {
            break silent_for;
        }
    };
    assert_eq!(dead, Duration::from_secs(31));
}

/// Row 160: once a tone of a fax was heard its packets pass as they come, also to a peer that wants others.
#[test]
#[expect(clippy::cast_possible_truncation, reason = "a tone within the range of its samples")]
fn row_160_packets_of_a_fax_are_neither_cut_nor_joined() {
    let (bed, _) = Bed::on_a_stopped_clock(21_588, 21_591);
    let (a, b) = bed.call();
    let packet_time = PacketTime { ptime_ms: Some(40), maxptime_ms: None };
    bed.handle.set_leg(CALL, Side::B, LegPlan { packet_time, ..b.plan() }).unwrap();
    let limits = DeadAfter { talk: Duration::ZERO, hold: Duration::ZERO };
    bed.handle.set_dead_after(CALL, limits).unwrap();
    bed.settled();
    let mut encoder = Codec::Pcma.encoder().unwrap();
    let tone: Vec<i16> = (0..8_000_u16)
        .map(|n| {
            ((std::f32::consts::TAU * 1_100.0 * f32::from(n) / 8_000.0).sin() * 5_000.0) as i16
        })
        .collect();
    let mut send = |number: u16| {
        let mut bytes = vec![0x80; 12];
        header(number, 1).write(&mut bytes);
        encoder.encode(&tone[usize::from(number) * 160..][..160], &mut bytes).unwrap();
        a.rtp.send_to(&bytes, a.relay.0).unwrap();
    };
    (0..30).for_each(&mut send);
    let heard = loop {
        if let MediaEvent::Fax { side, tone } = bed.event() {
            break (side, tone);
        }
    };
    assert_eq!(heard, (Side::A, FaxTone::Calling));
    (30..34).for_each(&mut send);
    let mut lengths = Vec::new();
    while lengths.iter().sum::<usize>() < 34 * 160 {
        lengths.push(b.hears_audio().1.len());
    }
    assert_eq!((lengths[0], lengths[lengths.len() - 1]), (320, 160), "{lengths:?}");
    assert!(lengths.is_sorted_by(|one, next| one >= next), "{lengths:?}");
    bed.close();
}
