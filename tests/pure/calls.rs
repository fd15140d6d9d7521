//! Phone to phone: every way a call can go.

use crate::scene::{heard, outcome, talking, two_phones};
use crate::sim::office::office;
use crate::sim::phone::{Body, Reply, early, ok, ring};
use crate::sim::sdp::TALK;
use crate::sim::world::World;

#[test]
fn two_phones_talk_and_the_caller_hangs_up() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (2000, ok())];
    w.dial(a, "1002");
    w.run_for(10_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn the_called_phone_hangs_up() {
    let (mut w, a, b) = talking();
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "called", true));
    assert_eq!(w[a].requests("BYE").len(), 1);
}

#[test]
fn both_phones_hang_up_at_once() {
    let (mut w, a, b) = talking();
    w.hang_up(a);
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
    assert_eq!((w[a].statuses("BYE"), w[b].statuses("BYE")), (vec![200], vec![200]));
}

#[test]
fn a_busy_phone_is_busy() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, Reply::status(486))];
    w.dial(a, "1002");
    w.assert_empty();
    assert_eq!(w[a].last().status, 486);
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn nobody_answers_within_the_ring_time() {
    let (mut w, a, b) = two_phones();
    w.dial(a, "1002");
    w.assert_empty();
    assert_eq!(w[a].last().status, 480);
    assert_eq!(w[b].last().status, 487);
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn a_phone_declines() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (900, Reply::status(603))];
    w.dial(a, "1002");
    w.assert_empty();
    assert_eq!(w[a].last().status, 603);
    assert_eq!(outcome(&w), ("declined", "called", false));
}

#[test]
fn a_phone_that_is_not_registered_is_unreachable() {
    let mut w = World::new(office());
    let a = w.phone("1001");
    w.dial(a, "1002");
    w.assert_empty();
    assert_eq!(w[a].last().status, 480);
    assert_eq!(outcome(&w), ("unreachable", "called", false));
}

#[test]
fn a_phone_that_is_registered_but_silent_is_unreachable() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = Vec::new();
    w.net.drop_all.push(Box::new(|wire| {
        wire.text.is("INVITE") && wire.to.port() == 5060 && wire.to.ip().to_string() == "10.0.0.12"
    }));
    w.dial(a, "1002");
    w.assert_empty();
    assert_eq!(w[a].last().status, 480);
    assert_eq!(outcome(&w), ("unreachable", "called", false));
}

#[test]
fn a_phone_whose_address_refuses_packets_is_unreachable_at_once() {
    let (mut w, a, b) = two_phones();
    let address = w[b].at;
    w.unreachable.insert(address);
    w.dial(a, "1002");
    w.run_for(500);
    assert_eq!(w[a].last().status, 480);
    w.assert_empty();
    assert_eq!(outcome(&w), ("unreachable", "called", false));
}

#[test]
fn an_unknown_number_is_not_found() {
    let (mut w, a, _) = two_phones();
    w.dial(a, "4711");
    w.assert_empty();
    assert_eq!(w[a].last().status, 404);
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn a_wrong_password_is_forbidden_and_leaves_a_record() {
    let (mut w, a, b) = two_phones();
    w[a].secret = "guess".into();
    w.dial(a, "1002");
    w.assert_empty();
    assert_eq!(w[a].last().status, 403);
    assert!(w[b].requests("INVITE").is_empty());
    assert_eq!(outcome(&w), ("wrong_password", "system", false));
    assert!(w.events.iter().any(|(kind, _)| *kind == "auth.failed"));
}

#[test]
fn the_caller_gives_up_before_anything_rings() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = Vec::new();
    w.dial(a, "1002");
    w.run_for(40);
    w.cancel(a);
    w.run_for(100);
    assert_eq!(w[a].last().status, 487);
    assert_eq!(outcome(&w), ("cancelled", "caller", false));
    w.assert_empty();
}

#[test]
fn the_caller_gives_up_while_it_rings() {
    let (mut w, a, b) = two_phones();
    w.dial(a, "1002");
    w.run_for(3_000);
    w.cancel(a);
    w.assert_empty();
    assert_eq!((w[a].last().status, w[b].last().status), (487, 487));
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn the_caller_gives_up_before_the_ports_are_open() {
    let (mut w, a, b) = two_phones();
    w.media_latency_us = 300_000;
    w.dial(a, "1002");
    w.run_for(50);
    w.cancel(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("cancelled", "caller", false));
    assert!(w[b].requests("INVITE").is_empty());
}

#[test]
fn without_ports_there_is_no_call() {
    let (mut w, a, _) = two_phones();
    w.media.refuses = true;
    w.dial(a, "1002");
    w.assert_empty();
    assert_eq!(w[a].last().status, 503);
    assert_eq!(outcome(&w), ("no_media", "system", false));
}

/// A media plane that did not take what was agreed would carry something else: the call ends and says why.
#[test]
fn a_refused_media_command_ends_the_call_and_its_ports_come_back() {
    let (mut w, a, b) = talking();
    let call = w.call();
    w.input(call, tandem::switch::call::Input::MediaRefused("it does not keep up"));
    w.assert_empty();
    assert_eq!(outcome(&w), ("no_media", "system", true));
    assert_eq!((w[a].requests("BYE").len(), w[b].requests("BYE").len()), (1, 1));
}

#[test]
fn a_draining_daemon_takes_no_new_call_and_keeps_the_old_one() {
    let (mut w, a, b) = talking();
    let c = w.phone("1003");
    w.board.drain();
    w.dial(c, "1002");
    w.run_for(500);
    assert_eq!(w[c].last().status, 503);
    assert_ne!(w[c].response(503).unwrap().get("Retry-After"), "");
    assert_eq!(heard(&w), (true, true));
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(w[a].requests("BYE").len(), 1);
}

#[test]
fn dead_audio_ends_the_call_with_its_own_cause() {
    use std::time::Duration;
    use tandem::switch::call::{Input, Side};
    let (mut w, a, b) = talking();
    let call = w.call();
    let snapshot = office();
    let asked = (snapshot.media.dead_after, snapshot.media.dead_after_hold);
    assert_eq!(w.media.open[&call].dead_after, Some(asked), "from the answer on");
    w.input(call, Input::Heard(Side::A));
    w.run_for(1_000);
    w.input(call, Input::DeadMedia(Side::B, Duration::from_secs(60)));
    w.assert_empty();
    assert_eq!(outcome(&w), ("dead_media", "system", true));
    assert_eq!((w[a].requests("BYE").len(), w[b].requests("BYE").len()), (1, 1));
}

#[test]
fn early_media_is_heard_before_the_answer() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, early()), (500, ring()), (2000, ok())];
    w.dial(a, "1002");
    w.run_for(400);
    assert!(w.media.open[&w.call()].a_hears_b(), "the announcement is heard");
    assert_eq!(w[a].last().status, 0, "without an answer");
    w.run_for(3_000);
    w.hang_up(a);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

/// Row 107: 183 without SDP, 180 with SDP, 200 without SDP behind it.
#[test]
fn row_107_an_answer_in_180_stands_when_the_200_has_none() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite =
        vec![(20, Reply::status(183)), (400, ring().body(Body::Auto)), (2000, Reply::status(200))];
    w.dial(a, "1002");
    w.run_for(4_000);
    assert_eq!(heard(&w), (true, true));
    assert!(w[a].response(200).unwrap().body.contains("m=audio"), "the caller has its answer");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 107: the 200 says something else than the 183 on the same tag.
#[test]
fn row_107_the_200_revises_what_the_183_said() {
    let (mut w, a, b) = two_phones();
    let elsewhere = "v=0\r\no=phone 77 9 IN IP4 10.0.0.99\r\ns=-\r\nc=IN IP4 10.0.0.99\r\nt=0 0\r\n\
                     m=audio 6000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n";
    w[b].habits.on_invite =
        vec![(20, early()), (2000, Reply::status(200).body(Body::Text(elsewhere.into())))];
    w.dial(a, "1002");
    w.run_for(4_000);
    let open = &w.media.open[&w.call()];
    assert!(open.hearing().contains("yes PCMA/8000 (8) via 10.0.0.99:6000"), "{}", open.hearing());
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn a_phone_sends_the_call_elsewhere() {
    let (mut w, a, b) = two_phones();
    let c = w.phone("1003");
    w[b].habits.on_invite = vec![(20, Reply::status(302).contact("<sip:1003@10.0.0.1>"))];
    w[c].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "1002");
    w.run_for(3_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(c);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn a_phone_that_sends_calls_in_circles_is_left() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, Reply::status(302).contact("<sip:1002@10.0.0.1>"))];
    w.dial(a, "1002");
    w.assert_empty();
    assert!(w[b].requests("INVITE").len() <= 8);
    assert_eq!(w.record().answered, None);
}

#[test]
fn a_phone_that_sends_the_call_nowhere_gives_the_dial_plans_refusal() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, Reply::status(302).contact("<sip:9999@10.0.0.1>"))];
    w.dial(a, "1002");
    w.assert_empty();
    assert_eq!(w[a].last().status, 404);
}

/// One-way audio has a story: who says what is in the ladder.
#[test]
fn a_caller_that_only_listens_is_not_heard() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    let call = {
        let phone = &mut w[a];
        phone.calls.len()
    };
    let body = "v=0\r\no=phone 1 1 IN IP4 10.0.0.11\r\ns=-\r\nc=IN IP4 10.0.0.11\r\nt=0 0\r\n\
                m=audio 4000 RTP/AVP 0\r\na=recvonly\r\n";
    w.dial_with(a, "1002", &Body::Text(body.into()), "");
    assert_eq!(call, w[a].last_index());
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, false));
    w.modify(a, "INVITE", TALK);
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn the_records_leg_of_a_caller_that_gave_up_says_487() {
    let (mut w, a, _) = two_phones();
    w.dial(a, "1002");
    w.run_for(1_000);
    w.cancel(a);
    w.assert_empty();
    assert_eq!(w.record().legs[0].status, 487);
}

/// Row 101: no codec that both could use.
#[test]
fn row_101_a_call_without_a_common_codec_is_refused_with_a_warning() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, Reply::status(488))];
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(w[a].last().status, 488);
    let body = "v=0\r\no=phone 1 1 IN IP4 10.0.0.11\r\ns=-\r\nc=IN IP4 10.0.0.11\r\nt=0 0\r\n\
                m=video 4000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    w.dial_with(a, "1002", &Body::Text(body.into()), "");
    w.run_for(1_000);
    assert_eq!(w[a].last().status, 488);
    assert!(w[a].response(488).unwrap().get("Warning").starts_with("304"));
    w.assert_empty();
    let legs: Vec<_> = w.records.iter().map(|record| record.legs[0].status).collect();
    assert_eq!(legs, [488, 488]);
}
