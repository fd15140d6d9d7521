//! Audio through the relay, sent and measured by phones on real sockets.

use std::net::UdpSocket;

use crate::live::phone::{Phone, Talk, audio_of};
use crate::{
    assert_hears, assert_silent, connect, daemon, hang_up, only_call, phone, talk, tcp_phone,
};

/// One second.
const PACKETS: usize = 50;

#[test]
fn a_phone_over_udp_and_one_over_tcp_hear_each_other() {
    let daemon = daemon(&[]);
    let mut alice = phone(&daemon, 0);
    let mut bob = tcp_phone(&daemon, 1);
    let (a, b) = connect(&mut alice, &mut bob);
    let [at_alice, at_bob] = talk((&alice, &a), (&bob, &b), PACKETS);
    assert_hears("1001", &at_alice, 660.0, PACKETS);
    assert_hears("1002", &at_bob, 440.0, PACKETS);
    hang_up((&mut alice, &a), &mut bob);
    let records = daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "normal");
    assert!(records[0]["talk_seconds"].as_f64().unwrap() > 0.9, "{}", records[0]);
    daemon.assert_healthy();
}

#[test]
fn early_media_is_heard_before_the_answer() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let mut a = alice.invite("1002");
    let invite = bob.expect("INVITE");
    let sdp = bob.sdp();
    bob.respond(&invite, "183 Session Progress", &sdp);
    alice.progress(&mut a);
    let b = bob.talk_of(&invite);
    let [at_alice, _] = talk((&alice, &a), (&bob, &b), PACKETS);
    assert_hears("1001", &at_alice, 660.0, PACKETS);
    bob.respond(&invite, "486 Busy Here", "");
    alice.expect("SIP/2.0 486");
    let records = daemon.wait_for_records(1);
    assert_eq!((&records[0]["cause"], &records[0]["answered"]), (&"busy".into(), &().into()));
    daemon.assert_healthy();
}

fn reinvite(
    (alice, a): (&mut Phone, &Talk),
    bob: &mut Phone,
    asks: &'static str,
    answers: &'static str,
) {
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| bob.reinvited(answers));
        let answer = alice.reinvite(a, asks);
        assert!(answer.contains(&format!("a={answers}\r\n")), "{answer}");
        let asked = asked.join().unwrap();
        assert!(asked.contains(&format!("a={asks}\r\n")), "{asked}");
    });
}

#[test]
fn a_hold_stops_one_way_and_the_stream_goes_on_after_it() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    let [alice_before, bob_before] = talk((&alice, &a), (&bob, &b), PACKETS);
    reinvite((&mut alice, &a), &mut bob, "sendonly", "recvonly");
    assert_eq!(daemon.ask(&["calls"])[0]["state"], "hold");
    let [held, music] = talk((&alice, &a), (&bob, &b), PACKETS);
    assert_silent("1001", &held);
    assert_hears("1002", &music, 440.0, PACKETS);
    reinvite((&mut alice, &a), &mut bob, "sendrecv", "sendrecv");
    assert_eq!(daemon.ask(&["calls"])[0]["state"], "talk");
    let [alice_after, bob_after] = talk((&alice, &a), (&bob, &b), PACKETS);
    assert_hears("1001", &alice_after, 660.0, PACKETS);
    assert_hears("1002", &bob_after, 440.0, PACKETS);
    for (who, before, after) in
        [("1001", &alice_before, &alice_after), ("1002", &bob_before, &bob_after)]
    {
        assert_eq!(before.ssrcs, after.ssrcs, "{who}: the SSRC is one for the whole call");
        let (sequence, stamp) = *before.stamps.last().unwrap();
        let (next_sequence, next_stamp) = after.stamps[0];
        let step = next_sequence.wrapping_sub(sequence);
        let ahead = next_stamp.wrapping_sub(stamp);
        assert!((1..=PACKETS as u16 * 3).contains(&step), "{who}: {sequence} then {next_sequence}");
        assert!((160..80_000).contains(&ahead), "{who}: {stamp} then {next_stamp}");
    }
    let segments = daemon.ask(&["call", "show", &only_call(&daemon)])["segments"].clone();
    let kinds: Vec<_> = segments
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["kind"].as_str().unwrap().to_owned())
        .collect();
    assert!(kinds.ends_with(&["talk", "hold", "talk"].map(str::to_owned)), "{kinds:?}");
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    daemon.assert_healthy();
}

#[test]
fn a_phone_behind_nat_is_heard_and_reached_where_its_audio_comes_from() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    // Nobody sends from there.
    alice.claimed_audio_port = Some(9);
    let (a, b) = connect(&mut alice, &mut bob);
    // The latch needs some packets before it believes them.
    talk((&alice, &a), (&bob, &b), PACKETS);
    let [at_alice, at_bob] = talk((&alice, &a), (&bob, &b), PACKETS);
    assert_hears("1001", &at_alice, 660.0, PACKETS);
    assert_hears("1002", &at_bob, 440.0, PACKETS);
    let call = only_call(&daemon);
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    let legs = daemon.ask(&["call", "show", &call])["legs"].clone();
    assert_eq!(legs[0]["audio"], alice.audio_address().to_string(), "{legs:#}");
}

#[test]
fn reports_are_relayed_beside_the_audio() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let reports = UdpSocket::bind("127.0.0.1:0").unwrap();
    bob.sdp_extra = format!("a=rtcp:{}\r\n", reports.local_addr().unwrap().port());
    let (a, b) = connect(&mut alice, &mut bob);
    let [_, at_bob] = talk((&alice, &a), (&bob, &b), PACKETS);
    // A sender report of Alice's stream with a reception report on nothing, and her name.
    let ssrc = u32::from(alice.local().port()) << 8;
    let mut report = vec![0x80, 200, 0, 6];
    report.extend_from_slice(&ssrc.to_be_bytes());
    report.extend_from_slice(&[0xe9, 0, 0, 1, 0, 0, 0, 0]);
    report.extend_from_slice(&8000_u32.to_be_bytes());
    report.extend_from_slice(&50_u32.to_be_bytes());
    report.extend_from_slice(&8000_u32.to_be_bytes());
    report.extend_from_slice(&[0x81, 202, 0, 2]);
    report.extend_from_slice(&ssrc.to_be_bytes());
    report.extend_from_slice(&[1, 1, b'a', 0]);
    let mut target = a.audio.unwrap();
    target.set_port(target.port() + 1);
    alice.send_to_audio(target, &report);
    reports.set_read_timeout(Some(crate::live::daemon::PATIENCE)).unwrap();
    let mut buffer = [0; 1500];
    let (length, _) = reports.recv_from(&mut buffer).unwrap();
    assert!(length >= 28 && buffer[1] == 200, "{:?}", &buffer[..length]);
    // It speaks of the stream that Bob hears.
    let heard = u32::from_be_bytes(buffer[4..8].try_into().unwrap());
    assert_eq!(vec![heard], at_bob.ssrcs);
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    daemon.assert_healthy();
}

#[test]
fn silence_on_the_wire_ends_the_call() {
    let daemon =
        daemon(&[("tandem.toml", "[media]\nports = \"22000-32699\"\ndead_after_seconds = 1\n")]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    connect(&mut alice, &mut bob);
    std::thread::scope(|scope| {
        scope.spawn(|| alice.hung_up());
        scope.spawn(|| bob.hung_up());
    });
    let records = daemon.wait_for_records(1);
    assert_eq!(
        (&records[0]["cause"], &records[0]["hung_up_by"]),
        (&"dead_media".into(), &"system".into())
    );
    daemon.assert_healthy();
}

#[test]
fn what_a_phone_is_told_is_where_the_daemon_listens() {
    let daemon = daemon(&[]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    alice.invite("1002");
    let invite = bob.expect("INVITE");
    let audio = audio_of(&invite).unwrap();
    assert_eq!(audio.ip(), daemon.address().ip());
    assert!((20_000..32_700).contains(&audio.port()), "{audio}");
    bob.respond(&invite, "486 Busy Here", "");
    alice.expect("SIP/2.0 486");
}
