//! Reliable provisional responses (RFC 3262): rows 104, 105, 106 and 119 of the wire catalogue.

use crate::scene::{heard, outcome};
use crate::sim::office::office;
use crate::sim::phone::{Body, Reply, State, early, ok, ring};
use crate::sim::sdp::{self, HOLD, PCMA, PCMU, TALK};
use crate::sim::text::Text;
use crate::sim::world::{PhoneId, World};
use tandem::switch::snapshot::Reliable;

const REQUIRES: &str = "Require: 100rel\r\n";

/// An office whose phones have this policy.
fn world(reliable: Reliable) -> (World, PhoneId, PhoneId) {
    let mut snapshot = office();
    for phone in snapshot.phones.values_mut() {
        phone.reliable = reliable;
    }
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    (w, a, b)
}

/// The reliable responses that a phone got, repeats left out.
fn reliable(w: &World, id: PhoneId) -> Vec<Text> {
    let mut found: Vec<Text> = Vec::new();
    for (_, text) in &w[id].got {
        let is_new = found.iter().all(|known| known.get("RSeq") != text.get("RSeq"));
        if text.has("RSeq") && is_new {
            assert_eq!(text.get("Require"), "100rel");
            found.push(text.clone());
        }
    }
    found
}

/// Acknowledges a reliable response, with this RAck instead of the right one if it is given.
fn prack(w: &mut World, id: PhoneId, response: &Text, rack: Option<&str>, body: &str) {
    let call = w[id].last_index();
    let state = &mut w[id].calls[call];
    state.remote_tag = response.tag_of_to();
    state.target = crate::sim::text::uri_of(response.get("Contact"));
    let right = format!("{} {} INVITE", response.get("RSeq"), response.cseq());
    w.in_dialog(id, "PRACK", &format!("RAck: {}\r\n", rack.unwrap_or(&right)), body);
}

/// Acknowledges the latest reliable response.
fn prack_last(w: &mut World, id: PhoneId) {
    let last = reliable(w, id).pop().expect("a reliable response came");
    prack(w, id, &last, None, "");
}

/// A reliable response of a phone.
fn reliably(reply: Reply, rseq: u32) -> Reply {
    reply.header("Require: 100rel").header(&format!("RSeq: {rseq}"))
}

/// The times at which responses with this status reached a phone, in milliseconds from the first.
fn times(w: &World, id: PhoneId, status: u16) -> Vec<u64> {
    let times = w[id].got.iter().filter(|(_, text)| text.status() == status).map(|(at, _)| *at);
    let times: Vec<_> = times.collect();
    times.iter().map(|at| (at - times[0]) / 1000).collect()
}

/// Row 104, 105: the caller requires it and the called phone knows nothing of it.
#[test]
fn row_104_ringing_is_repeated_until_prack_comes() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w[b].habits.on_invite = vec![(20, ring()), (9_000, ok())];
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(4_000);
    assert_eq!(times(&w, a, 180), [0, 500, 1_500, 3_500], "T1, doubled each time");
    let ringing = reliable(&w, a);
    assert_eq!(ringing.len(), 1);
    assert!(
        ringing[0].get("Contact").starts_with("<sip:") && ringing[0].get("Allow").contains("PRACK")
    );
    prack_last(&mut w, a);
    w.run_for(4_000);
    assert_eq!(w[a].statuses("PRACK"), [200]);
    assert_eq!(times(&w, a, 180).len(), 4, "nothing is repeated any more");
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    assert!(!w[b].requests("INVITE")[0].get("Supported").contains("100rel"), "row 119");
    w.assert_media_agrees(a, b);
    w.hang_up(a);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

/// Row 104: 64 T1 without PRACK: 504, and the called phone stops ringing.
#[test]
fn row_104_a_response_that_is_never_acknowledged_ends_the_call() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(31_000);
    assert_eq!(w[a].last().state, State::Calling);
    w.run_for(3_000);
    assert_eq!(w[a].last().status, 504);
    assert_eq!(times(&w, a, 180), [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    assert_eq!(w[b].requests("CANCEL").len(), 1);
    w.assert_empty();
    assert_eq!(outcome(&w), ("no_prack", "system", false));
}

/// Row 104: the PRACK is lost on its way; its repeat arrives. So is the 200 to it.
#[test]
fn row_104_a_lost_prack_comes_again() {
    for lost in ["PRACK", "200"] {
        let (mut w, a, b) = world(Reliable::WhenRequired);
        w[b].habits.on_invite = vec![(20, ring()), (2_000, ok())];
        w.dial_with(a, "1002", &Body::Auto, REQUIRES);
        w.run_for(200);
        w.net.drop_once.push(Box::new(move |wire| {
            wire.text.method() == "PRACK" && wire.text.is_request() == (lost == "PRACK")
        }));
        prack_last(&mut w, a);
        w.run_for(4_000);
        assert_eq!(w[a].statuses("PRACK"), [200], "{lost}");
        assert_eq!(heard(&w), (true, true));
        w.hang_up(b);
        w.assert_empty();
    }
}

/// Row 104: a PRACK for nothing that waits.
#[test]
fn row_104_a_prack_with_another_rack_is_481() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(200);
    let ringing = reliable(&w, a).remove(0);
    let (rseq, cseq): (u32, u32) = (ringing.get("RSeq").parse().unwrap(), ringing.cseq());
    for wrong in [
        format!("{} {cseq} INVITE", rseq + 1),
        format!("{rseq} {} INVITE", cseq + 1),
        format!("{rseq} {cseq} PRACK"),
        "rubbish".to_owned(),
    ] {
        prack(&mut w, a, &ringing, Some(&wrong), "");
        w.run_for(100);
        assert_eq!(w[a].statuses("PRACK").last(), Some(&481), "{wrong}");
    }
    prack(&mut w, a, &ringing, None, "");
    w.run_for(100);
    assert_eq!(w[a].statuses("PRACK").last(), Some(&200));
    prack(&mut w, a, &ringing, None, "");
    w.run_for(100);
    assert_eq!(w[a].statuses("PRACK").last(), Some(&481), "it was acknowledged already");
    w.cancel(a);
    w.assert_empty();
    assert_eq!(w[b].requests("CANCEL").len(), 1);
}

/// Row 104: the 200 waits while a 183 with the answer is not acknowledged, and carries no answer itself.
#[test]
fn row_104_the_2xx_is_withheld_until_the_answer_is_acknowledged() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w[b].habits.on_invite = vec![(20, early()), (300, ring()), (500, ok())];
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(2_000);
    assert_eq!(w[b].last().state, State::Up);
    let got = reliable(&w, a);
    assert_eq!((got.len(), got[0].status()), (1, 183), "the 180 waits as well");
    assert_eq!(w[a].last().state, State::Calling);
    prack_last(&mut w, a);
    w.run_for(500);
    assert_eq!(w[a].last().state, State::Up);
    assert_eq!(reliable(&w, a).len(), 1, "who is answered need not hear that it rings");
    assert!(w[a].response(200).unwrap().method() == "INVITE");
    let answers = w[a].got.iter().filter(|(_, text)| !text.is_request() && !text.body.is_empty());
    assert!(answers.clone().all(|(_, text)| text.status() == 183), "one answer, in the 183");
    assert_eq!(heard(&w), (true, true));
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "called", true));
}

/// Row 104: without a description in it, an 18x does not hold up the 200; its PRACK is still welcome.
#[test]
fn row_104_a_2xx_overtakes_ringing_without_a_description() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w[b].habits.on_invite = vec![(20, ring()), (300, ok())];
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(450);
    assert_eq!(w[a].last().state, State::Up);
    prack_last(&mut w, a);
    w.run_for(3_000);
    assert_eq!(w[a].statuses("PRACK"), [200]);
    assert_eq!(times(&w, a, 180), [0]);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 104: one at a time, in order.
#[test]
fn row_104_the_next_response_waits_for_the_prack_of_the_one_before() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w[b].habits.on_invite =
        vec![(20, ring()), (40, early()), (60, Reply::status(182)), (80, ring())];
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(200);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let got = reliable(&w, a);
        seen.push(got.iter().map(Text::status).collect::<Vec<_>>());
        prack_last(&mut w, a);
        w.run_for(100);
    }
    assert_eq!(seen, [vec![180], vec![180, 183], vec![180, 183, 180]]);
    let numbers: Vec<u32> =
        reliable(&w, a).iter().map(|t| t.get("RSeq").parse().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    w.cancel(a);
    w.assert_empty();
}

/// Row 104: CANCEL or BYE while a response waits for its PRACK, withheld 200 or not.
#[test]
fn row_104_the_caller_gives_up_meanwhile() {
    for (method, answers) in [("CANCEL", false), ("CANCEL", true), ("BYE", false), ("BYE", true)] {
        let (mut w, a, b) = world(Reliable::WhenRequired);
        w[b].habits.on_invite = vec![(20, early())];
        if answers {
            w[b].habits.on_invite.push((100, ok()));
        }
        w.dial_with(a, "1002", &Body::Auto, REQUIRES);
        w.run_for(700);
        if method == "CANCEL" {
            w.cancel(a);
        } else {
            let tag = w[a].response(183).unwrap().tag_of_to();
            let call = w[a].last_index();
            w[a].calls[call].remote_tag = tag;
            w.in_dialog(a, "BYE", "", "");
        }
        w.run_for(200);
        assert_eq!(w[a].last().status, 487, "{method} {answers}");
        let ends = (w[b].requests("CANCEL").len(), w[b].requests("BYE").len());
        assert_eq!(ends, if answers { (0, 1) } else { (1, 0) }, "{method}");
        prack_last(&mut w, a);
        w.run_for(100);
        assert_eq!(w[a].statuses("PRACK"), [481]);
        w.assert_empty();
    }
}

/// Row 104: the called phone hangs up while the 200 to the caller waits.
#[test]
fn row_104_the_called_side_hangs_up_before_the_2xx_goes_out() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w[b].habits.on_invite = vec![(20, early()), (100, ok())];
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(300);
    w.hang_up(b);
    w.run_for(200);
    assert_eq!(w[a].last().status, 480);
    w.assert_empty();
}

/// Row 104: the caller acknowledges the 18x and never the 200.
#[test]
fn row_104_the_callers_ack_is_lost_for_good() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w[b].habits.on_invite = vec![(20, early()), (500, ok())];
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(100);
    w[a].habits.acks = false;
    prack_last(&mut w, a);
    w.run_for(40_000);
    assert_eq!(w[a].requests("BYE").len(), 1);
    w.assert_empty();
    assert_eq!(outcome(&w), ("no_ack", "system", true));
}

/// Rows 104, 119: who may have it, by policy.
#[test]
fn row_119_100rel_is_as_the_policy_says() {
    use Reliable as R;
    for (policy, header, expected) in [
        (R::No, REQUIRES, (420, false)),
        (R::No, "Supported: 100rel\r\n", (180, false)),
        (R::WhenRequired, "Supported: 100rel\r\n", (180, false)),
        (R::WhenRequired, REQUIRES, (180, true)),
        (R::WhenSupported, "Supported: timer, 100rel\r\n", (180, true)),
        (R::WhenSupported, "", (180, false)),
    ] {
        let (mut w, a, b) = world(policy);
        w.dial_with(a, "1002", &Body::Auto, header);
        w.run_for(300);
        let last = *w[a].statuses("INVITE").last().unwrap();
        assert_eq!((last, !reliable(&w, a).is_empty()), expected, "{policy:?} {header}");
        if last == 420 {
            assert_eq!(w[a].response(420).unwrap().get("Unsupported"), "100rel");
        } else {
            let said =
                w[b].requests("INVITE")[0].all("Supported").any(|text| text.contains("100rel"));
            assert_eq!(said, policy == R::WhenSupported);
            w.cancel(a);
        }
        w.assert_empty();
    }
}

/// Row 114: beside what we know, what we do not know is refused.
#[test]
fn row_114_a_second_extension_that_is_required_is_named() {
    let (mut w, a, _) = world(Reliable::WhenRequired);
    w.dial_with(a, "1002", &Body::Auto, "Require: 100rel, precondition\r\n");
    w.run_for(300);
    assert_eq!(w[a].response(420).unwrap().get("Unsupported"), "precondition");
    w.assert_empty();
}

/// Row 105: reliable on the called leg only; the caller gets what it always gets.
#[test]
fn row_105_the_called_phones_responses_are_acknowledged_in_order() {
    let (mut w, a, b) = world(Reliable::WhenSupported);
    let route = "Record-Route: <sip:10.0.0.12:5060;lr>";
    w[b].habits.on_invite = vec![
        (20, reliably(ring(), 7).header(route)),
        // Again, then one whose predecessor is missing.
        (40, reliably(ring(), 7).header(route)),
        (60, reliably(early(), 9).header(route)),
        (80, reliably(early(), 8).header(route)),
        (1_000, Reply::status(200).header(route)),
    ];
    w.dial(a, "1002");
    w.run_for(500);
    let pracks = w[b].requests("PRACK");
    let invite = w[b].requests("INVITE")[0].cseq();
    let racks: Vec<_> = pracks.iter().map(|prack| prack.get("RAck").to_owned()).collect();
    assert_eq!(racks, [format!("7 {invite} INVITE"), format!("8 {invite} INVITE")]);
    assert_eq!(pracks[0].get("Route"), "<sip:10.0.0.12:5060;lr>");
    assert_eq!(pracks[0].tag_of_to(), w[b].last().local_tag);
    assert_eq!(
        pracks.iter().map(|prack| prack.cseq()).collect::<Vec<_>>(),
        [invite + 1, invite + 2]
    );
    assert!(reliable(&w, a).is_empty(), "each leg for itself");
    w.run_for(1_000);
    // The 200 had no description: the reliable one stands.
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.run_for(100);
    assert!(w[b].requests("BYE")[0].cseq() > invite + 2, "the numbers go on");
    w.assert_empty();
}

/// Row 107: two branches of a proxy each answer reliably; the 200 without a description takes its own.
#[test]
fn row_107_each_branch_keeps_the_answer_that_it_gave_reliably() {
    let (mut w, a, b) = world(Reliable::WhenSupported);
    let said = |port: u16| {
        let audio = format!("10.0.0.12:{port}").parse().unwrap();
        Body::Text(sdp::Say { id: 5, version: 1, audio, codecs: &[PCMU], form: TALK }.write())
    };
    let one = reliably(Reply::status(183).body(said(7_000)), 1).tag("one");
    let two = reliably(Reply::status(183).body(said(7_100)), 900).tag("two");
    w[b].habits.on_invite = vec![(20, one), (40, two), (500, Reply::status(200).tag("one"))];
    w.dial(a, "1002");
    w.run_for(700);
    let tags: Vec<_> = w[b].requests("PRACK").iter().map(|prack| prack.tag_of_to()).collect();
    assert_eq!(tags, ["one", "two"]);
    let open = &w.media.open[&w.call()];
    assert_eq!(open.b.remote_rtp, Some("10.0.0.12:7000".parse().unwrap()));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 104: a peer that asks for it by 421 gets it.
#[test]
fn row_104_a_peer_that_requires_it_is_asked_again() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w[b].habits.on_method = vec![("INVITE", Reply::status(421).header("Require: 100rel"))];
    w.dial(a, "1002");
    w.run_for(300);
    let invites = w[b].requests("INVITE");
    let said: Vec<_> = invites.iter().map(|t| t.get("Supported").contains("100rel")).collect();
    assert_eq!(said, [false, true]);
    w.cancel(a);
    w.assert_empty();
}

/// Row 84: an offer in a reliable 18x crosses the call; its answer comes and goes by PRACK.
#[test]
fn row_084_a_late_offer_crosses_in_18x_and_prack() {
    let (mut w, a, b) = world(Reliable::WhenSupported);
    w[b].habits.on_invite = vec![(20, reliably(early(), 1)), (1_000, Reply::status(200))];
    w.dial_with(a, "1002", &Body::None, REQUIRES);
    w.run_for(200);
    assert!(w[b].requests("PRACK").is_empty(), "it waits for the caller's answer");
    let offer = reliable(&w, a).pop().unwrap();
    assert_eq!(offer.status(), 183);
    let answer = {
        let call = w[a].last_index();
        w[a].codecs = vec![PCMA];
        w[a].offer(call)
    };
    prack(&mut w, a, &offer, None, &answer);
    w.run_for(200);
    let prack = w[b].requests("PRACK")[0].clone();
    assert_eq!(sdp::codecs(&prack.body), [(8, "PCMA/8000".to_owned())]);
    assert_eq!(heard(&w), (true, true), "before the answer already");
    w.run_for(1_000);
    assert_eq!(w[a].last().state, State::Up);
    assert!(w[a].response(200).unwrap().body.is_empty());
    w.hang_up(a);
    w.assert_empty();
}

/// Row 84: the caller must have an offer in the first reliable response, and nobody else has made one.
#[test]
fn row_084_a_caller_without_an_offer_is_made_ours_early() {
    for prack_first in [true, false] {
        let (mut w, a, b) = world(Reliable::WhenRequired);
        w[b].habits.on_invite = vec![(20, ring()), (1_000, ok())];
        w.dial_with(a, "1002", &Body::None, REQUIRES);
        w.run_for(if prack_first { 200 } else { 1_500 });
        let offer = reliable(&w, a).pop().unwrap();
        assert!(!offer.body.is_empty(), "RFC 3262 wants an offer in it");
        let answer = {
            let call = w[a].last_index();
            w[a].offer(call)
        };
        assert!(w[b].requests("ACK").is_empty());
        prack(&mut w, a, &offer, None, &answer);
        w.run_for(1_200);
        assert_eq!(w[b].requests("ACK").len(), 1);
        assert!(!w[b].requests("ACK")[0].body.is_empty(), "the caller's answer");
        assert_eq!(heard(&w), (true, true), "PRACK first: {prack_first}");
        w.hang_up(b);
        w.assert_empty();
        assert_eq!(outcome(&w), ("normal", "called", true));
    }
}

/// Row 84: a PRACK without the answer that it owes.
#[test]
fn row_084_a_prack_without_the_answer_ends_the_call() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w.dial_with(a, "1002", &Body::None, REQUIRES);
    w.run_for(200);
    prack_last(&mut w, a);
    w.run_for(200);
    assert_eq!(w[a].last().status, 488);
    assert_eq!(w[b].requests("CANCEL").len(), 1);
    w.assert_empty();
}

/// Row 106: once offer and answer are acknowledged, UPDATE and PRACK may offer anew; we answer.
#[test]
fn row_106_an_early_offer_is_answered_once_the_first_one_is_settled() {
    let (mut w, a, b) = world(Reliable::WhenRequired);
    w[b].habits.on_invite = vec![(20, early()), (300, ring()), (2_000, ok())];
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(100);
    let first = reliable(&w, a).pop().unwrap();
    let call = w[a].last_index();
    w[a].calls[call].remote_tag = first.tag_of_to();
    w.modify(a, "UPDATE", HOLD);
    w.run_for(100);
    let refused = w[a].response(500).expect("the answer is not acknowledged");
    assert!(refused.has("Retry-After"));
    let hold = w[a].last().local_sdp.clone();
    prack(&mut w, a, &first, None, &hold);
    w.run_for(300);
    let answer = w[a].got.iter().rev().find(|(_, t)| t.method() == "PRACK").unwrap().1.clone();
    assert_eq!((answer.status(), sdp::direction(&answer.body)), (200, "recvonly"));
    w.modify(a, "UPDATE", TALK);
    w.run_for(100);
    let answer = w[a].got.iter().rev().find(|(_, t)| t.method() == "UPDATE").unwrap().1.clone();
    assert_eq!((answer.status(), sdp::direction(&answer.body)), (200, "sendrecv"));
    assert!(answer.get("Contact").starts_with("<sip:"));
    assert_eq!(w[b].requests("UPDATE").len(), 0, "answered here");
    prack_last(&mut w, a);
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 106: the called phone's UPDATE: 491 while our offer is open, an answer once it is not.
#[test]
fn row_106_an_update_of_the_called_phone_is_glare_until_it_has_answered() {
    let (mut w, a, b) = world(Reliable::WhenSupported);
    w[b].habits.on_invite = vec![(20, ring())];
    w.dial(a, "1002");
    w.run_for(100);
    w.modify(b, "UPDATE", TALK);
    w.run_for(100);
    assert_eq!(w[b].statuses("UPDATE"), [491]);
    w.say(b, &reliably(early(), 3));
    w.run_for(100);
    w.modify(b, "UPDATE", HOLD);
    w.run_for(100);
    assert_eq!(w[b].statuses("UPDATE"), [491, 200]);
    w.modify(b, "UPDATE", TALK);
    w.run_for(100);
    w.say(b, &Reply::status(200));
    w.run_for(200);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(b);
    w.assert_empty();
}

/// Row 81 in an early dialog.
#[test]
fn row_081_an_early_request_that_is_out_of_order_is_500() {
    let (mut w, a, _) = world(Reliable::WhenRequired);
    w.dial_with(a, "1002", &Body::Auto, REQUIRES);
    w.run_for(100);
    let ringing = reliable(&w, a).pop().unwrap();
    let call = w[a].last_index();
    w[a].calls[call].cseq -= 1;
    prack(&mut w, a, &ringing, None, "");
    w.run_for(50);
    assert_eq!(w[a].statuses("PRACK"), [500]);
    prack(&mut w, a, &ringing, None, "");
    w.run_for(50);
    assert_eq!(w[a].statuses("PRACK"), [500, 200]);
    w.cancel(a);
    w.assert_empty();
}

/// Every moment of a call with reliable responses on both legs is a moment to give up.
#[test]
fn a_reliable_call_ended_at_any_moment_leaves_nothing() {
    for at in (0..120).step_by(3) {
        for by_caller in [true, false] {
            let (mut w, a, b) = world(Reliable::WhenSupported);
            w[b].habits.on_invite = vec![(10, reliably(early(), 1)), (60, ok())];
            let body = if at % 2 == 0 { Body::Auto } else { Body::None };
            w.dial_with(a, "1002", &body, REQUIRES);
            w.run_for(at);
            match (by_caller, w[b].calls.is_empty()) {
                (true, _) if w[a].last().state == State::Calling => w.cancel(a),
                (false, false) if w[b].last().state == State::Incoming => {
                    w.say(b, &Reply::status(486))
                }
                (false, false) => w.hang_up(b),
                _ => {}
            }
            w.run_for(50);
            if reliable(&w, a).len() == 1 {
                prack_last(&mut w, a);
            }
            w.run_for(400);
            match w[a].last().state {
                State::Up if w[b].last().state == State::Up => w.hang_up(a),
                State::Calling => w.cancel(a),
                _ => {}
            }
            w.assert_empty();
        }
    }
}
