//! Rows of the wire catalogue about transactions, seen from outside a call.

use crate::scene::{heard, outcome, talking, two_phones};
use crate::sim::network::Wire;
use crate::sim::office::office;
use crate::sim::phone::{Reply, ok, ring};
use crate::sim::sdp::{HOLD, TALK};
use crate::sim::text::Text;
use crate::sim::world::{PhoneId, World};

/// Requests or responses that we sent to a phone: when, in milliseconds, and the status or 0.
fn sent_to(w: &World, id: PhoneId, method: &str) -> Vec<(u64, u16)> {
    let to = w[id].at;
    let is_it = |wire: &&Wire| wire.to == to && wire.text.method() == method;
    w.wires.iter().filter(is_it).map(|wire| (wire.at / 1000, wire.text.status())).collect()
}

/// The phone's INVITE that we have let in, as it was.
fn last_invite(w: &World, id: PhoneId) -> String {
    let invite = w[id].last().invite.clone().unwrap();
    let mut text = format!("{}\r\n", invite.start);
    for (name, value) in &invite.headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n" + &invite.body
}

#[test]
fn row_021_a_repeated_invite_gets_the_last_response_and_makes_no_second_call() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (1000, Reply::status(486))];
    w.dial(a, "1002");
    w.run_for(500);
    let invite = last_invite(&w, a);
    w.raw(a, &invite);
    w.run_for(100);
    assert_eq!(w[a].statuses("INVITE"), [401, 100, 180, 180]);
    w.run_for(510);
    w[a].habits.acks = false;
    w.raw(a, &invite);
    w.assert_empty();
    assert_eq!(w[b].requests("INVITE").len(), 1);
    assert_eq!(w.records.len(), 1);
}

/// Row 23: the 2xx is repeated from T1 to T2 until the ACK comes.
#[test]
fn row_023_a_2xx_is_repeated_until_its_ack_comes() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(0, ok())];
    w[a].habits.acks = false;
    w[a].habits.logs_in = true;
    // The ACK of the 401 is withheld too; that one we do not wait for.
    w.dial(a, "1002");
    w.run_for(5_000);
    let oks: Vec<_> =
        sent_to(&w, a, "INVITE").into_iter().filter(|(_, s)| *s == 200).map(|(at, _)| at).collect();
    let gaps: Vec<_> = oks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [500, 1000, 2000]);
    let last = w[a].last().clone();
    w.raw(a, &format!(
        "ACK {} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};branch={{branch}}\r\nMax-Forwards: 70\r\nFrom: <sip:1001@tandem>;tag={}\r\n\
         To: <sip:1002@tandem>;tag={}\r\nCall-ID: {}\r\nCSeq: {} ACK\r\nContent-Length: 0\r\n\r\n",
        last.target, last.local_tag, last.remote_tag, last.call_id, last.cseq
    ));
    w.run_for(30_000);
    assert_eq!(sent_to(&w, a, "INVITE").iter().filter(|(_, s)| *s == 200).count(), oks.len());
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn row_023_without_an_ack_the_call_ends_with_bye_on_both_sides() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(0, ok())];
    w[a].habits.acks = false;
    w.dial(a, "1002");
    w.run_for(33_000);
    assert_eq!((w[a].requests("BYE").len(), w[b].requests("BYE").len()), (1, 1));
    w.assert_empty();
    assert_eq!(outcome(&w), ("no_ack", "system", true));
}

#[test]
fn row_023_a_hang_up_before_the_ack_waits_for_it() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(0, ok())];
    w.net
        .drop_once
        .push(Box::new(|wire| wire.text.is("ACK") && wire.text.uri().contains("10.0.0.1:")));
    w.dial(a, "1002");
    w.run_for(100);
    w.hang_up(b);
    w.run_for(200);
    assert!(w[a].requests("BYE").is_empty(), "the 200 has not been acknowledged");
    w.run_for(1_000);
    assert_eq!(w[a].requests("BYE").len(), 1);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "called", true));
}

/// Row 24: for a failure the INVITE's branch, for a success a new one.
#[test]
fn row_024_the_ack_of_a_failure_is_the_invites_the_ack_of_a_success_is_its_own() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, Reply::status(486))];
    w.dial(a, "1002");
    w.run_for(500);
    w[b].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    let (invites, acks) = (w[b].requests("INVITE"), w[b].requests("ACK"));
    assert_eq!((invites.len(), acks.len()), (2, 2));
    assert_eq!(acks[0].branch(), invites[0].branch());
    assert_ne!(acks[1].branch(), invites[1].branch());
    for (ack, invite) in acks.iter().zip(&invites) {
        assert_eq!(ack.cseq(), invite.cseq());
    }
    w.hang_up(a);
    w.assert_empty();
}

/// Row 26: the answer crosses our CANCEL: it is acknowledged and ended.
#[test]
fn row_026_an_answer_that_crosses_our_cancel_is_acknowledged_and_ended() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (1000, ok())];
    w.dial(a, "1002");
    // Its 200 leaves before our CANCEL is there.
    w.run_for(1_013);
    w.cancel(a);
    w.assert_empty();
    assert_eq!(w[a].last().status, 487);
    assert_eq!((w[b].requests("ACK").len(), w[b].requests("BYE").len()), (1, 1));
    assert_eq!(outcome(&w), ("cancelled", "caller", false));
    insta::assert_snapshot!(w.ladder());
}

/// Row 27: no CANCEL before a provisional response.
#[test]
fn row_027_a_cancel_waits_for_a_provisional_response() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(800, ring())];
    w.dial(a, "1002");
    w.run_for(200);
    w.cancel(a);
    w.run_for(300);
    assert!(w[b].requests("CANCEL").is_empty());
    w.run_for(1_000);
    assert_eq!(w[b].requests("CANCEL").len(), 1);
    assert_eq!(w[b].last().status, 487);
    w.assert_empty();
}

/// Row 27: a phone that never says anything ends with the transaction.
#[test]
fn row_027_a_silent_phone_is_given_up_without_a_cancel() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = Vec::new();
    w.dial(a, "1002");
    w.run_for(200);
    w.cancel(a);
    w.assert_empty();
    assert!(w[b].requests("CANCEL").is_empty());
}

fn cancel_text(invite: &Text, branch: &str) -> String {
    format!(
        "CANCEL {} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={branch}\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
         To: {}\r\nCall-ID: {}\r\nCSeq: {} CANCEL\r\nContent-Length: 0\r\n\r\n",
        invite.uri(),
        invite.get("From"),
        invite.get("To"),
        invite.call_id(),
        invite.cseq()
    )
}

#[test]
fn row_028_a_cancel_of_nothing_is_481_and_after_the_answer_200_without_effect() {
    let (mut w, a, _) = talking();
    let invite = w[a].last().invite.clone().unwrap();
    w.raw(a, &cancel_text(&invite, "z9hG4bKnone"));
    w.run_for(100);
    assert_eq!(w[a].statuses("CANCEL"), [481]);
    w.raw(a, &cancel_text(&invite, &invite.branch()));
    w.run_for(100);
    assert_eq!(w[a].statuses("CANCEL"), [481, 200]);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 29: 200 to the CANCEL, 487 to the INVITE, one To tag, no challenge.
#[test]
fn row_029_a_cancel_is_answered_and_ends_the_invite_under_the_same_tag() {
    let (mut w, a, _) = two_phones();
    w.dial(a, "1002");
    w.run_for(500);
    w.cancel(a);
    w.run_for(100);
    assert_eq!(w[a].statuses("CANCEL"), [200]);
    let tags: Vec<_> = w[a]
        .got
        .iter()
        .map(|(_, text)| text)
        .filter(|text| matches!(text.status(), 180 | 487) || text.method() == "CANCEL")
        .map(Text::tag_of_to)
        .collect();
    assert_eq!(tags.len(), 3);
    assert!(tags.iter().all(|tag| *tag == tags[0] && !tag.is_empty()), "{tags:?}");
    w.assert_empty();
}

#[test]
fn row_030_a_bye_ends_the_invite_that_is_still_open() {
    let (mut w, a, b) = talking();
    w[b].habits.on_modify = None;
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[a].statuses("INVITE").last(), Some(&487));
    assert_eq!(w[a].statuses("BYE"), [200]);
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

#[test]
fn row_030_the_other_sides_bye_ends_it_too() {
    let (mut w, a, b) = talking();
    w[b].habits.on_modify = None;
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(w[a].statuses("INVITE").last(), Some(&487));
    assert_eq!(w[a].requests("BYE").len(), 1);
}

/// Row 31: the caller may end an early dialog by BYE, the called side may not.
#[test]
fn row_031_only_the_caller_may_end_an_early_dialog_with_bye() {
    let (mut w, a, b) = two_phones();
    w.dial(a, "1002");
    w.run_for(500);
    w.in_dialog(b, "BYE", "", "");
    w.run_for(100);
    assert_eq!(w[b].statuses("BYE"), [481]);
    assert_eq!(w.records.len(), 0, "it still rings");
    let tag = w[a].response(180).unwrap().tag_of_to();
    let call = w[a].last_index();
    w[a].calls[call].remote_tag = tag;
    w.in_dialog(a, "BYE", "", "");
    w.assert_empty();
    assert_eq!(w[a].statuses("BYE"), [200]);
    assert_eq!(w[a].last().status, 487);
    assert_eq!(outcome(&w), ("cancelled", "caller", false));
}

#[test]
fn row_032_a_merged_request_is_482() {
    let (mut w, a, b) = two_phones();
    w.dial(a, "1002");
    w.run_for(500);
    let invite = last_invite(&w, a);
    let branch = w[a].last().invite.clone().unwrap().branch();
    w.raw(a, &invite.replace(&branch, "z9hG4bKotherpath"));
    w.run_for(100);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&482));
    assert_eq!(w[b].requests("INVITE").len(), 1);
    w.cancel(a);
    w.assert_empty();
    assert_eq!(w.records.len(), 1);
}

#[test]
fn row_033_a_request_whose_hops_ran_out_is_483() {
    let (mut w, carrier) = carrier_world();
    for (header, status) in [("Max-Forwards: 0", 483), ("Max-Forwards: many", 400)] {
        w.raw(carrier, &trunk_invite(header));
        w.run_for(500);
        assert!(w[carrier].statuses("INVITE").contains(&status), "{header}");
    }
    w.assert_empty();
    assert_eq!(outcome(&w).0, "loop");
}

#[test]
fn row_033_max_forwards_goes_down_and_is_added() {
    for (header, expected) in
        [("Max-Forwards: 17", "16"), ("Max-Forwards: 1", "0"), ("X-None: 1", "69")]
    {
        let (mut w, carrier) = carrier_world();
        w.raw(carrier, &trunk_invite(header));
        w.run_for(500);
        let b = PhoneId(0);
        assert_eq!(w[b].requests("INVITE")[0].get("Max-Forwards"), expected);
        w.run_for(70_000);
        w.assert_empty();
    }
}

fn carrier_world() -> (World, PhoneId) {
    let mut w = World::new(office());
    w.phone("1002");
    let carrier = w.party("carrier", crate::sim::office::CARRIER);
    (w, carrier)
}

fn trunk_invite(header: &str) -> String {
    let body = "v=0\r\no=- 1 1 IN IP4 203.0.113.10\r\ns=-\r\nc=IN IP4 203.0.113.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    format!(
        "INVITE sip:+862012345678@{{us}} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\n{header}\r\n\
         From: <sip:123@carrier>;tag=x{{branch}}\r\nTo: <sip:+862012345678@us>\r\nCall-ID: c{{branch}}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:123@{{me}}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Row 36: `received` and `rport`, and the answer to the source port.
#[test]
fn row_036_a_request_with_rport_is_answered_where_it_came_from() {
    let mut w = World::new(office());
    let nat = w.party("nat", "192.0.2.7:31337");
    w.raw(
        nat,
        "OPTIONS sip:{us} SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.5:5060;rport;branch={branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@y>;tag=1\r\nTo: <sip:{us}>\r\nCall-ID: o1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
    );
    w.run_for(100);
    let answer = w[nat].response(200).expect("it came to the source port");
    let via = answer.get("Via");
    assert!(via.contains(";rport=31337") && via.contains(";received=192.0.2.7"), "{via}");
    assert_eq!(w.wires.last().unwrap().from, w[nat].us);
}

/// Row 37: without `rport` the answer goes to the port in Via.
#[test]
fn row_037_a_request_without_rport_is_answered_at_the_port_in_via() {
    let mut w = World::new(office());
    let sender = w.party("sender", "192.0.2.7:31337");
    let listener = w.party("listener", "192.0.2.7:5070");
    w.raw(
        sender,
        "OPTIONS sip:{us} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5070;branch={branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@y>;tag=1\r\nTo: <sip:{us}>\r\nCall-ID: o1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
    );
    w.run_for(100);
    assert!(w[listener].response(200).is_some());
    assert!(w[sender].got.is_empty());
}

/// Row 48: what was in flight on a connection fails when the connection closes, not at timer B.
#[test]
fn row_048_a_broken_connection_fails_the_call_at_once() {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let b = w.party("1002", "10.0.0.77:40000");
    w[b].is_tcp = true;
    w[b].domain = "tandem".into();
    w.register(b);
    w[b].habits.on_invite = Vec::new();
    w.dial(a, "1002");
    w.run_for(500);
    assert_eq!(w[a].last().status, 0);
    w.break_connection(b);
    w.run_for(50);
    assert_eq!(w[a].last().status, 480);
    w.assert_empty();
    assert!(w.bindings["1002"].is_empty(), "its binding went with the connection");
}

#[test]
fn a_phone_on_tcp_and_a_phone_on_udp_talk() {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let b = w.party("1002", "10.0.0.77:40000");
    w[b].is_tcp = true;
    w[b].domain = "tandem".into();
    w.register(b);
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    assert!(w[b].requests("INVITE")[0].get("Via").contains("/TCP "));
    assert!(w[b].requests("INVITE")[0].get("Contact").contains("transport=tcp"));
    w.hang_up(b);
    w.assert_empty();
}

/// Row 22: a call that nobody acknowledges, cancels or answers leaves nothing behind.
#[test]
fn row_022_a_failure_that_nobody_acknowledges_is_repeated_and_given_up() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(0, Reply::status(486))];
    w.net.drop_all.push(Box::new(|wire| wire.text.is("ACK")));
    w.dial(a, "1002");
    w.run_for(40_000);
    let busy: Vec<_> =
        sent_to(&w, a, "INVITE").into_iter().filter(|(_, s)| *s == 486).map(|(at, _)| at).collect();
    let gaps: Vec<_> = busy.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps[..4], [500, 1000, 2000, 4000]);
    assert!(busy.last().unwrap() - busy[0] < 32_000);
    w.assert_empty();
}

#[test]
fn a_lost_bye_is_repeated() {
    let (mut w, a, b) = talking();
    w.net
        .drop_once
        .push(Box::new(|wire| wire.text.is("BYE") && wire.to.ip().to_string() == "10.0.0.12"));
    w.hang_up(a);
    w.run_for(1_000);
    assert_eq!(w[b].statuses("BYE").len(), 0);
    assert_eq!(w[b].requests("BYE").len(), 1);
    w.assert_empty();
}

#[test]
fn a_phone_that_never_answers_our_bye_is_forgotten() {
    let (mut w, a, b) = talking();
    w[b].habits.answers = false;
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

/// A re-INVITE that has to be asked of the other side is at least told that somebody works on it.
#[test]
fn row_049_a_re_invite_that_takes_its_time_gets_100() {
    let (mut w, a, b) = talking();
    w[b].habits.on_modify = None;
    w.modify(a, "INVITE", HOLD);
    w.run_for(3_000);
    assert_eq!(w[a].statuses("INVITE").iter().filter(|status| **status == 100).count(), 2);
    assert_eq!(sent_to(&w, b, "INVITE").len(), 4, "INVITE, re-INVITE and two repetitions");
    w.say(b, &ok());
    w.run_for(100);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&200));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 23: the ACK of an answer is lost, and before it comes again there are re-INVITEs: the answer that comes again still gets
/// its own ACK, and not those of the later ones. Without it the phone hangs up after 32 s.
#[test]
fn row_023_an_answer_whose_ack_was_lost_is_acknowledged_after_re_invites() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (200, ok())];
    let at = w[b].at;
    w.net.drop_once.push(Box::new(move |wire| wire.to == at && wire.text.is("ACK")));
    w.dial(a, "1002");
    w.run_for(350);
    assert_eq!(w[a].last().status, 200);
    for form in [HOLD, TALK] {
        w.modify(a, "INVITE", form);
        w.run_for(60);
    }
    w.run_for(600);
    let numbers: Vec<_> = w[b].requests("ACK").iter().map(|ack| ack.cseq()).collect();
    assert_eq!(w[b].requests("INVITE").len(), 3);
    let first = w[b].requests("INVITE")[0].cseq();
    assert!(numbers.contains(&first), "the first answer is acknowledged: {numbers:?}");
    assert!(w[b].is_acknowledged(0));
    w.run_for(40_000);
    assert_eq!(heard(&w), (true, true), "the call lives");
    w.hang_up(a);
    w.assert_empty();
}
