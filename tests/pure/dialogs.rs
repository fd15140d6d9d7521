//! Rows 79 to 90 of the wire catalogue: routes, targets, the order of requests, late offers, glare.

use crate::scene::{heard, outcome, talking, two_phones, with_trunks};
use crate::sim::office::{CARRIER, NUMBER, office};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::sdp::{self, HOLD, PCMU, TALK};
use crate::sim::world::World;

const CALLED: &str = "10.0.0.12";

/// Row 79 as the client: the Record-Route of the answer, reversed.
#[test]
fn row_079_the_callers_routes_are_those_of_the_answer_reversed() {
    for (lr, is_loose) in [(";lr", true), (";lr=on", true), (";lr=true", true), ("", false)] {
        let (mut w, a, carrier, _) = with_trunks();
        let near = w.party("near", "203.0.113.98:5060");
        let answer = ok()
            .header(&format!("Record-Route: <sip:203.0.113.99{lr}>"))
            .header(&format!("Record-Route: <sip:203.0.113.98{lr}>"));
        w[carrier].habits.on_invite = vec![(20, answer)];
        w.dial(a, "0123");
        w.run_for(500);
        w.hang_up(a);
        w.assert_empty();
        for method in ["ACK", "BYE"] {
            let sent = w[near].requests(method);
            // The hop passes nothing on, so the carrier repeats its answer, and hears an ACK each time.
            assert!(!sent.is_empty(), "{method} goes to the next hop");
            let routes: Vec<_> = sent[0].all("Route").collect();
            if is_loose {
                assert_eq!(sent[0].uri(), "sip:carrier@203.0.113.10:5060");
                let expected =
                    [format!("<sip:203.0.113.98{lr}>"), format!("<sip:203.0.113.99{lr}>")];
                assert_eq!(routes, expected);
            } else {
                assert_eq!(sent[0].uri(), "sip:203.0.113.98");
                assert_eq!(routes, ["<sip:203.0.113.99>", "<sip:carrier@203.0.113.10:5060>"]);
            }
        }
    }
}

/// Row 79 as the server: the Record-Route of the INVITE, in its order; the answer repeats it.
#[test]
fn row_079_the_called_sides_routes_are_those_of_the_invite() {
    let mut w = World::new(office());
    let b = w.phone("1002");
    w[b].habits.on_invite = vec![(20, ring()), (100, ok())];
    let carrier = w.party("carrier", CARRIER);
    let near = w.party("near", "203.0.113.98:5060");
    let routes = "Record-Route: <sip:203.0.113.98;lr>\r\nRecord-Route: <sip:203.0.113.99;lr>\r\n";
    w.dial_with(carrier, NUMBER, &Body::Auto, routes);
    w.run_for(500);
    for status in [180, 200] {
        let answer = w[carrier].response(status).unwrap();
        let echoed: Vec<_> = answer.all("Record-Route").collect();
        assert_eq!(echoed, ["<sip:203.0.113.98;lr>", "<sip:203.0.113.99;lr>"]);
    }
    w.hang_up(b);
    w.assert_empty();
    let bye = w[near].requests("BYE")[0];
    assert_eq!(bye.uri(), "sip:carrier@203.0.113.10:5060");
    assert_eq!(
        bye.all("Route").collect::<Vec<_>>(),
        ["<sip:203.0.113.98;lr>", "<sip:203.0.113.99;lr>"]
    );
}

/// Row 80: the Contact of re-INVITE and UPDATE and of their answers moves the target; that of INFO does not.
#[test]
fn row_080_only_target_refreshes_move_the_target() {
    for (method, is_moved) in [("INVITE", true), ("UPDATE", true), ("INFO", false)] {
        let (mut w, a, b) = talking();
        w[a].user = "moved".into();
        if method == "INFO" {
            w.in_dialog(a, "INFO", "", "");
        } else {
            w.modify(a, method, HOLD);
        }
        w.run_for(500);
        w.hang_up(b);
        w.assert_empty();
        let user = if is_moved { "moved" } else { "1001" };
        assert_eq!(w[a].requests("BYE")[0].uri(), format!("sip:{user}@10.0.0.11:5060"), "{method}");
    }
}

#[test]
fn row_080_the_contact_of_the_answer_to_a_re_invite_moves_the_target() {
    let (mut w, a, b) = talking();
    w[b].habits.on_modify = Some(ok().contact("<sip:newer@10.0.0.12:5060>"));
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[b].requests("BYE")[0].uri(), "sip:newer@10.0.0.12:5060");
}

#[test]
fn row_081_an_older_cseq_is_500_and_a_gap_is_allowed() {
    let (mut w, a, _) = talking();
    let call = w[a].last_index();
    w[a].calls[call].cseq = 0;
    w.in_dialog(a, "UPDATE", "", "");
    w.run_for(100);
    assert_eq!(w[a].statuses("UPDATE"), [500]);
    w[a].calls[call].cseq = 500;
    w.in_dialog(a, "UPDATE", "", "");
    w.run_for(100);
    assert_eq!(w[a].statuses("UPDATE"), [500, 200]);
    w.hang_up(a);
    w.assert_empty();
}

fn stray(method: &str, call_id: &str, from_tag: &str, to_tag: &str) -> String {
    format!(
        "{method} sip:1002@{{us}} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
         From: <sip:1001@tandem>;tag={from_tag}\r\nTo: <sip:1002@tandem>;tag={to_tag}\r\nCall-ID: {call_id}\r\n\
         CSeq: 900 {method}\r\nContact: <sip:1001@{{me}}>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Row 82: 481 for whatever comes in a dialog that we do not know.
#[test]
fn row_082_requests_in_unknown_dialogs_are_481() {
    let (mut w, a, _) = talking();
    let last = w[a].last().clone();
    for method in ["BYE", "INVITE", "INFO", "NOTIFY", "UPDATE"] {
        w.raw(a, &stray(method, "no-such-call", "x", "y"));
        w.run_for(100);
        assert_eq!(w[a].statuses(method).last(), Some(&481), "{method}");
        // The right Call-ID and our tag, another tag of the peer: another dialog.
        w.raw(a, &stray(method, &last.call_id, "another", &last.remote_tag));
        w.run_for(100);
        assert_eq!(w[a].statuses(method).last(), Some(&481), "{method} with a wrong From tag");
    }
    assert_eq!(heard(&w), (true, true), "and the call goes on");
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn row_082_a_second_bye_in_a_dialog_that_just_ended_is_answered() {
    let (mut w, a, _) = talking();
    w.hang_up(a);
    w.run_for(500);
    w.hang_up(a);
    w.run_for(500);
    assert_eq!(w[a].statuses("BYE"), [200, 481]);
    w.assert_empty();
}

/// Row 83: the far end no longer knows the dialog: it is taken down on both sides.
#[test]
fn row_083_481_or_408_to_a_re_invite_ends_the_call() {
    for status in [481, 408] {
        let (mut w, a, b) = talking();
        w[b].habits.on_modify = Some(Reply::status(status));
        w.modify(a, "INVITE", HOLD);
        w.run_for(500);
        assert_eq!((w[a].requests("BYE").len(), w[b].requests("BYE").len()), (1, 1), "{status}");
        w.assert_empty();
        assert_eq!(outcome(&w), ("dialog_lost", "system", true));
    }
}

/// Row 84: the called side's offer in the 200, the caller's answer in the ACK.
#[test]
fn row_084_a_late_offer_is_answered_in_the_ack() {
    let (mut w, a, b) = two_phones();
    w[a].codecs = vec![PCMU];
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial_with(a, "1002", &Body::None, "");
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    assert!(w[b].requests("INVITE")[0].body.is_empty());
    let answer = &w[b].requests("ACK")[0].body;
    assert_eq!(sdp::codecs(answer), [(0, "PCMU/8000".to_owned())]);
    w.assert_media_agrees(a, b);
    w.hang_up(a);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn row_084_an_ack_without_the_answer_ends_the_call() {
    let (mut w, a, b) = two_phones();
    w[a].habits.answers_in_ack = false;
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial_with(a, "1002", &Body::None, "");
    w.run_for(2_000);
    assert_eq!((w[a].requests("BYE").len(), w[b].requests("BYE").len()), (1, 1));
    assert_eq!(w[b].requests("ACK").len(), 1);
    w.assert_empty();
    assert_eq!(outcome(&w).0, "bad_media_exchange");
}

#[test]
fn row_084_hang_ups_while_the_late_answer_is_awaited() {
    for by_caller in [true, false] {
        let (mut w, a, b) = two_phones();
        w[a].habits.acks = false;
        w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
        w.dial_with(a, "1002", &Body::None, "");
        w.run_for(1_000);
        w.hang_up(if by_caller { a } else { b });
        w.assert_empty();
        // The called side's 200 is acknowledged if it has not hung up by itself.
        assert_eq!(w[b].requests("ACK").len(), usize::from(by_caller));
        assert_eq!(w.records.len(), 1);
    }
}

/// Row 85: everything that the other side can do is offered, not only what is in use.
#[test]
fn row_085_a_re_invite_without_an_offer_is_offered_everything() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    let body = "v=0\r\no=phone 1 1 IN IP4 10.0.0.11\r\ns=-\r\nc=IN IP4 10.0.0.11\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    w.dial_with(a, "1002", &Body::Text(body.into()), "");
    w.run_for(2_000);
    w.in_dialog(a, "INVITE", "", "");
    w.run_for(500);
    let offer = &w[a].response(200).unwrap().body;
    let numbers: Vec<_> = sdp::codecs(offer).iter().map(|(number, _)| *number).collect();
    assert!(numbers.contains(&0) && numbers.contains(&8), "{numbers:?}");
    assert_eq!(heard(&w), (true, true));
    assert!(!w[b].requests("ACK").last().unwrap().body.is_empty(), "the answer crossed over");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 86: both modify at once; each side's re-INVITE gets through in the end.
#[test]
fn row_086_glare_is_resolved() {
    for method in ["INVITE", "UPDATE"] {
        let (mut w, a, b) = talking();
        // We own the Call-ID on b's leg, b waits less; a owns its own and waits longer.
        w[a].habits.again_after_491 = Some(2_500);
        w[b].habits.again_after_491 = Some(1_000);
        w[b].habits.on_method = vec![("INVITE", Reply::status(491))];
        w.modify(a, method, HOLD);
        w.modify(b, method, HOLD);
        w.run_for(15_000);
        assert_eq!(heard(&w), (false, false), "{method}: both hold");
        let refused = w[b].statuses(method).iter().filter(|status| **status == 491).count();
        assert!((1..=5).contains(&refused), "{method}: {refused} times 491");
        w.modify(a, "INVITE", TALK);
        w.run_for(6_000);
        w.modify(b, "INVITE", TALK);
        w.run_for(6_000);
        assert_eq!(heard(&w), (true, true), "{method}");
        w.assert_media_agrees(a, b);
        w.hang_up(a);
        w.assert_empty();
    }
}

/// Row 86: a peer that answers 491 for ever does not keep us busy for ever.
#[test]
fn row_086_glare_without_an_end_is_bounded() {
    let (mut w, a, b) = talking();
    w[b].habits.on_modify = Some(Reply::status(491));
    w.modify(a, "INVITE", HOLD);
    w.run_for(25_000);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&491));
    assert_eq!(w[b].requests("INVITE").len(), 6, "the INVITE, the re-INVITE and four tries more");
    let at: Vec<_> = w[b].got.iter().filter(|(_, t)| t.is("INVITE")).map(|(at, _)| *at).collect();
    for pair in at[1..].windows(2) {
        let pause = (pair[1] - pair[0]) / 1000;
        assert!((2_100..4_050).contains(&pause), "the owner of the Call-ID waits {pause} ms");
    }
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn row_087_a_second_re_invite_while_the_first_is_open_is_500() {
    let (mut w, a, b) = talking();
    w[b].habits.on_modify = None;
    w.modify(a, "INVITE", HOLD);
    w.run_for(100);
    w.modify(a, "INVITE", TALK);
    w.run_for(100);
    let refused = w[a].response(500).unwrap();
    let after: u32 = refused.get("Retry-After").parse().unwrap();
    assert!(after <= 10);
    w.say(b, &ok());
    w.run_for(100);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&200));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn row_087_a_second_invite_while_the_first_rings_is_500() {
    let (mut w, a, _) = two_phones();
    w.dial(a, "1002");
    w.run_for(500);
    let tag = w[a].response(180).unwrap().tag_of_to();
    let call = w[a].last_index();
    let first = w[a].calls[call].invite.clone();
    w[a].calls[call].remote_tag = tag;
    w.modify(a, "INVITE", HOLD);
    w.run_for(100);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&500));
    w[a].calls[call].invite = first;
    w.cancel(a);
    w.assert_empty();
}

/// Row 88: a call that has one leg only answers by itself.
#[test]
fn row_088_a_re_invite_on_a_call_with_one_leg_is_answered_here() {
    let (mut w, a, _) = two_phones();
    w[a].habits.on_invite = vec![(20, ok())];
    w.originate("1001", "1002").unwrap();
    w.run_for(500);
    w.modify(a, "INVITE", HOLD);
    w.run_for(200);
    assert_eq!(w[a].statuses("INVITE"), [200]);
    assert_eq!(sdp::direction(&w[a].response(200).unwrap().body), "recvonly");
    // Without an offer it gets ours, and what its ACK answers counts.
    w[a].media_port = 4_600;
    w.in_dialog(a, "INVITE", "", "");
    w.run_for(200);
    assert_eq!(w[a].statuses("INVITE"), [200, 200]);
    let open = &w.media.open[&w.call()];
    assert!(format!("{open:?}").contains(":4600"), "{open:?}");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 89: a re-INVITE before the ACK of our 200.
#[test]
fn row_089_a_re_invite_before_the_ack_is_491() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ok())];
    w.net
        .drop_once
        .push(Box::new(|wire| wire.text.is("ACK") && wire.text.uri().contains("10.0.0.1:")));
    w.dial(a, "1002");
    w.run_for(100);
    w.modify(a, "INVITE", HOLD);
    w.run_for(100);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&491));
    w.run_for(2_000);
    w.modify(a, "INVITE", HOLD);
    w.run_for(200);
    assert_eq!(heard(&w), (false, true), "after the ACK it is served");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 89: the called side modifies right behind its 200, before our ACK is there.
#[test]
fn row_089_a_re_invite_right_behind_the_200_is_served_or_491() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![(20, ok())];
    w[b].habits.again_after_491 = Some(500);
    w.dial(a, "1002");
    while w[b].calls.is_empty() || w[b].last().status != 200 {
        w.run_for(1);
    }
    w.modify(b, "INVITE", HOLD);
    w.run_for(3_000);
    assert_eq!(heard(&w), (true, false), "b holds");
    w.hang_up(a);
    w.assert_empty();
}

/// Row 90: what is refused changes nothing.
#[test]
fn row_090_a_refused_re_invite_leaves_the_call_as_it_was() {
    for (status, passed) in [(488, 488), (415, 415), (500, 488), (603, 488)] {
        let (mut w, a, b) = talking();
        let before = w.media.open[&w.call()].hearing();
        w[b].habits.on_modify = Some(Reply::status(status));
        w.modify(a, "INVITE", HOLD);
        w.run_for(500);
        assert_eq!(w[a].statuses("INVITE").last(), Some(&passed));
        assert_eq!(w.media.open[&w.call()].hearing(), before, "{status}");
        // And the next one is served.
        w[b].habits.on_modify = Some(ok());
        w.modify(a, "INVITE", HOLD);
        w.run_for(500);
        assert_eq!(heard(&w), (false, true), "{status}");
        w.assert_media_agrees(a, b);
        w.hang_up(b);
        w.assert_empty();
    }
}

/// Row 77: the right tags from another address: a phone proves itself, a stranger does not get in.
#[test]
fn row_077_a_dialogs_request_from_another_address_is_challenged() {
    let (mut w, a, b) = talking();
    let stranger = w.party("stranger", "10.0.9.66:5060");
    let last = w[a].last().clone();
    w[stranger].calls.push(last.clone());
    w[stranger].secret = "guess".into();
    w.hang_up(stranger);
    w.run_for(500);
    assert_eq!(w[stranger].statuses("BYE"), [401, 403]);
    assert_eq!(heard(&w), (true, true));
    // The phone got a new address by DHCP.
    let moved = w.party("moved", "10.0.9.11:5060");
    w[moved].user = "1001".into();
    w[moved].secret = crate::sim::office::secret_of("1001");
    w[moved].calls.push(last);
    let call = w[moved].last_index();
    w[moved].calls[call].cseq += 5;
    w.modify(moved, "INVITE", HOLD);
    w.run_for(500);
    assert_eq!(w[moved].statuses("INVITE"), [401, 100, 200]);
    assert_eq!(heard(&w), (false, true));
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(w[moved].requests("BYE").len(), 1, "from now on it is spoken to there");
}

#[test]
fn row_077_a_trunks_dialog_is_the_trunks_alone() {
    let (mut w, a, carrier, _) = with_trunks();
    w[carrier].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(500);
    let backup = crate::sim::world::PhoneId(2);
    let last = w[carrier].last().clone();
    w[backup].calls.push(last);
    w.hang_up(backup);
    w.run_for(500);
    assert_eq!(w[backup].statuses("BYE"), [403]);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// An answer without Contact: what it was sent to still reaches it.
#[test]
fn an_answer_without_contact_is_still_acknowledged_and_ended() {
    let (mut w, a, carrier, _) = with_trunks();
    w[carrier].habits.on_invite = vec![(20, ok().contact(""))];
    w.dial(a, "0123");
    w.run_for(500);
    assert_eq!(w[carrier].requests("ACK").len(), 1);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[carrier].requests("BYE").len(), 1);
}

/// Row 90: a re-INVITE that nobody answers, or that could not be sent, leaves the conversation as it is.
#[test]
fn row_090_a_re_invite_without_any_answer_leaves_the_call_as_it_was() {
    let (mut w, a, b) = talking();
    let before = w.media.open[&w.call()].hearing();
    w.net.drop_all.push(Box::new(|wire| wire.to.ip().to_string() == "10.0.0.12"));
    w.modify(a, "INVITE", HOLD);
    w.run_for(33_000);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&488));
    assert_eq!(w.media.open[&w.call()].hearing(), before);
    // The next one, after the peer is back, is served, and the call ends as calls do.
    w.net.drop_all.clear();
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    assert_eq!(heard(&w), (false, true));
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(w.record().cause.key, "normal");

    let (mut w, a, _) = talking();
    let at = w[b].at;
    w.unreachable.insert(at);
    let before = w.media.open[&w.call()].hearing();
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&488));
    assert_eq!(w.media.open[&w.call()].hearing(), before);
    w.unreachable.clear();
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w.record().cause.key, "normal");
}

/// Rows 29 and 90: a re-INVITE is cancelled across the call, and the session stays as it was.
#[test]
fn a_cancelled_re_invite_is_cancelled_on_the_other_side_too() {
    let (mut w, a, b) = talking();
    let before = w.media.open[&w.call()].hearing();
    w[b].habits.on_modify = Some(Reply::status(100));
    w.modify(a, "INVITE", HOLD);
    w.run_for(300);
    w.cancel(a);
    w.run_for(500);
    assert_eq!(w[b].requests("CANCEL").len(), 1);
    assert_eq!(w[a].statuses("CANCEL"), [200]);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&487));
    assert_eq!(w.media.open[&w.call()].hearing(), before);
    // One that lost a race, or would need a login, is not tried again for nobody.
    for status in [491, 401] {
        let asked = w[b].requests("INVITE").len();
        w[b].habits.on_modify = Some(Reply::status(status));
        w.modify(a, "INVITE", HOLD);
        w.cancel(a);
        w.run_for(10_000);
        assert_eq!(w[b].requests("INVITE").len(), asked + 1);
        assert_eq!(w[a].statuses("INVITE").last(), Some(&487), "{status}");
        assert_eq!(w.media.open[&w.call()].hearing(), before);
    }
    // An answer that was quicker than the CANCEL stands.
    w[b].habits.on_modify = Some(ok());
    w.modify(a, "INVITE", HOLD);
    w.cancel(a);
    w.run_for(500);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&200));
    assert_eq!(heard(&w), (false, true));
    w.assert_media_agrees(a, b);
    w.hang_up(a);
    w.assert_empty();
}

/// Row 126: a phone behind two proxies transfers: what we send in its dialog takes the dialog's routes, and the call
/// that comes of it takes none of them.
#[test]
fn row_126_a_refer_behind_two_proxies_keeps_to_the_dialogs_routes() {
    let (mut w, a, b) = two_phones();
    let c = w.phone("1003");
    let near = w.party("near", "10.0.0.98:5060");
    let answer =
        ok().header("Record-Route: <sip:10.0.0.99;lr>").header("Record-Route: <sip:10.0.0.98;lr>");
    w[b].habits.on_invite = vec![(20, answer)];
    w[b].habits.repeats = false;
    w[c].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    let (target, routes) = ("Refer-To: <sip:1003@10.0.0.1>\r\n", "Via: SIP/2.0/UDP 10.0.0.99\r\n");
    w.in_dialog(b, "REFER", &format!("{routes}{target}"), "");
    w.run_for(1_000);
    assert_eq!(w[b].statuses("REFER"), [202]);
    for method in ["ACK", "NOTIFY", "BYE"] {
        let sent = w[near].requests(method);
        assert!(!sent.is_empty(), "{method} goes to the first proxy");
        let routes: Vec<_> = sent[0].all("Route").collect();
        assert_eq!(routes, ["<sip:10.0.0.98;lr>", "<sip:10.0.0.99;lr>"], "{method}");
        assert_eq!(sent[0].uri(), "sip:1002@10.0.0.12:5060", "{method}");
    }
    let news: Vec<_> = w[near].requests("NOTIFY").iter().map(|n| n.body.clone()).collect();
    assert_eq!(news, ["SIP/2.0 100 Trying\r\n", "SIP/2.0 200 OK\r\n"]);
    assert!(w[b].requests("NOTIFY").is_empty() && w[b].requests("BYE").is_empty());
    assert!(!w[c].requests("INVITE")[0].has("Route"), "the new call goes its own way");
    w.hang_up(a);
    w.assert_empty();
}
