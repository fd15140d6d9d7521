//! Why calls are refused, sent elsewhere and ended: rows 108, 109, 111, 113, 115 and 116 of the wire catalogue.

use crate::scene::{heard, outcome, talking, two_phones, with_trunks};
use crate::sim::office::{CARRIER, NUMBER, office, phone};
use crate::sim::phone::{Body, Reply, State, early, ok, ring};
use crate::sim::sdp::TALK;
use crate::sim::world::{PhoneId, World};
use tandem::switch::snapshot::Reliable;

/// Row 108: a branch behind a proxy ended; the others ring on, and the caller hears nothing of it.
#[test]
fn row_108_a_199_ends_that_early_dialog_only() {
    let (mut w, a, b) = two_phones();
    w[b].habits.on_invite = vec![
        (20, ring().tag("one")),
        (40, ring()),
        (60, Reply::status(199).tag("one")),
        (1_000, ok()),
    ];
    w.dial(a, "1002");
    w.run_for(500);
    assert!(!w[a].statuses("INVITE").contains(&199));
    // The dialog that ended is not there any more; the other one is.
    w.modify(b, "UPDATE", TALK);
    w.run_for(50);
    assert_eq!(w[b].statuses("UPDATE"), [491]);
    let call = w[b].last_index();
    let own = std::mem::replace(&mut w[b].calls[call].local_tag, "one".into());
    w.modify(b, "UPDATE", TALK);
    w.run_for(50);
    assert_eq!(w[b].statuses("UPDATE"), [491, 481]);
    w[b].calls[call].local_tag = own;
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
}

/// An office of five phones, all registered; 1002 sends its calls away by this response.
fn redirecting(reply: Reply) -> (World, PhoneId, Vec<PhoneId>) {
    let mut snapshot = office();
    snapshot.phones.extend([phone("1004", ""), phone("1005", "")]);
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let others: Vec<_> = ["1002", "1003", "1004", "1005"].map(|number| w.phone(number)).into();
    w[others[0]].habits.on_invite = vec![(20, reply)];
    (w, a, others)
}

/// The extensions that were rung, in order.
fn rung(w: &World, phones: &[PhoneId]) -> Vec<String> {
    let mut rung: Vec<_> = phones
        .iter()
        .flat_map(|id| {
            let got = w[*id].got.iter().filter(|(_, text)| text.is("INVITE"));
            got.map(|(at, _)| (*at, w[*id].name.clone())).collect::<Vec<_>>()
        })
        .collect();
    rung.sort();
    rung.into_iter().map(|(_, name)| name).collect()
}

/// Row 109: the best Contact first, the next one when it comes to nothing.
#[test]
fn row_109_contacts_are_rung_by_preference() {
    let to = "<sip:1003@tandem>;q=0.3, <sip:1004@tandem>, <sip:1005@tandem>;q=0.9, <sip:9999@tandem>;q=0.95";
    let (mut w, a, others) = redirecting(Reply::status(302).contact(to));
    w[others[2]].habits.on_invite = vec![(20, Reply::status(486))];
    w[others[3]].habits.on_invite = vec![(20, Reply::status(500))];
    w[others[1]].habits.on_invite = vec![(20, ring()), (200, ok())];
    w.dial(a, "1002");
    w.run_for(2_000);
    // 9999 is no number here; the next one follows all the same.
    assert_eq!(rung(&w, &others), ["1002", "1004", "1005", "1003"]);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

/// Row 109: phones that send calls to each other; a decline is meant for all.
#[test]
fn row_109_circles_and_declines_end_the_search() {
    let (mut w, a, others) =
        redirecting(Reply::status(300).contact("<sip:1003@tandem>;q=0.5, <sip:1004@tandem>;q=0.1"));
    let back =
        Reply::status(301).contact("<sip:1002@tandem>, <sip:1003@tandem>, <sip:1005@tandem>");
    w[others[1]].habits.on_invite = vec![(20, back)];
    w[others[3]].habits.on_invite = vec![(20, Reply::status(603))];
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!(rung(&w, &others), ["1002", "1003", "1005"]);
    assert_eq!(w[a].last().status, 603);
    w.assert_empty();
    let lines: Vec<_> = w.record().timeline.iter().map(|line| line.what).collect();
    assert_eq!(lines.iter().filter(|what| **what == "leg.not_redirected").count(), 2);
}

/// Row 113: 305 and 380 are not places to ring; 181 and 182 pass; 484 asks for more digits.
#[test]
fn row_113_other_responses_are_what_they_say() {
    for (status, answer) in [(305, 480), (380, 480), (484, 484)] {
        let (mut w, a, others) = redirecting(Reply::status(status).contact("<sip:1003@tandem>"));
        w.dial(a, "1002");
        w.run_for(500);
        assert_eq!((rung(&w, &others).len(), w[a].last().status), (1, answer), "{status}");
        w.assert_empty();
    }
    for status in [181, 182, 183] {
        let (mut w, a, b) = two_phones();
        w[b].habits.on_invite = vec![(20, Reply::status(status)), (200, ring()), (400, ok())];
        w.dial(a, "1002");
        w.run_for(800);
        let got = w[a].statuses("INVITE");
        assert_eq!(got[got.len() - 4..], [100, status, 180, 200]);
        w.hang_up(b);
        w.assert_empty();
    }
}

/// Row 111: a caller that was answered on another device says so, and so do we.
#[test]
fn row_111_a_call_answered_elsewhere_is_no_missed_call_here() {
    for (reason, is_elsewhere) in [
        ("SIP;cause=200;text=\"Call completed elsewhere\"", true),
        ("Q.850;cause=16, SIP;cause=200", true),
        ("SIP;cause=487", false),
    ] {
        let mut w = World::new(office());
        let b = w.phone("1002");
        let carrier = w.party("carrier", CARRIER);
        w.dial(carrier, NUMBER);
        w.run_for(500);
        let call = w[carrier].last_index();
        w[carrier].cancel(call);
        let text = w[carrier].out.pop().unwrap();
        let text = text.replace("Content-Length", &format!("Reason: {reason}\r\nContent-Length"));
        w[carrier].out.push(text);
        w.flush(carrier.0);
        w.assert_empty();
        let said = w[b].requests("CANCEL")[0].get("Reason").to_owned();
        assert_eq!(
            said == "SIP;cause=200;text=\"Call completed elsewhere\"",
            is_elsewhere,
            "{said}"
        );
        assert_eq!(outcome(&w), ("cancelled", "caller", false));
    }
}

/// Row 115: the cause of ISDN goes through, in a BYE and in a refusal, whichever side says it.
#[test]
fn row_115_the_cause_that_one_side_gives_reaches_the_other() {
    for (reason, passed) in [
        ("Reason: Q.850;cause=38\r\n", "Q.850;cause=38"),
        ("Reason: SIP;cause=600, q.850 ;cause=27;text=\"out, of order\"\r\n", "Q.850;cause=27"),
        ("Reason: Q.850;text=\"no cause\"\r\n", "Q.850;cause=16;text=\"hung up\""),
        ("", "Q.850;cause=16;text=\"hung up\""),
    ] {
        for by_caller in [true, false] {
            let (mut w, a, b) = talking();
            let (by, other) = if by_caller { (a, b) } else { (b, a) };
            w.in_dialog(by, "BYE", reason, "");
            w.assert_empty();
            assert_eq!(w[other].requests("BYE")[0].get("Reason"), passed, "{reason}");
        }
    }
    for (status, reason, answer, passed) in [
        (480, "Q.850;cause=18", 480, "Q.850;cause=18"),
        (503, "Q.850;cause=34", 500, "Q.850;cause=34"),
        (608, "SIP;cause=608", 608, "Q.850;cause=21;text=\"the called party declined\""),
        (607, "", 607, "Q.850;cause=21;text=\"the called party declined\""),
    ] {
        let (mut w, a, carrier, backup) = with_trunks();
        let refusal = Reply::status(status);
        let refusal =
            if reason.is_empty() { refusal } else { refusal.header(&format!("Reason: {reason}")) };
        w[carrier].habits.on_invite = vec![(20, refusal.clone())];
        w[backup].habits.on_invite = vec![(20, refusal)];
        w.dial(a, "0123");
        w.run_for(1_000);
        assert_eq!(w[a].last().status, answer);
        assert_eq!(w[a].response(answer).unwrap().get("Reason"), passed, "{status} {reason}");
        w.assert_empty();
    }
}

/// Row 115: what one branch said is not said of a call that ended for another cause.
#[test]
fn row_115_a_cause_is_said_only_of_what_it_was_given_for() {
    let mut w = World::new(office());
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    let soft = w.second_phone("soft", "1002");
    w[b].habits.on_invite = vec![(20, Reply::status(486).header("Reason: Q.850;cause=34"))];
    w[soft].habits.on_invite = vec![(20, ring())];
    w.dial(a, "1002");
    w.run_for(70_000);
    assert_eq!(w[a].last().status, 480);
    assert!(w[a].response(480).unwrap().get("Reason").starts_with("Q.850;cause=19"));
    w.assert_empty();
}

/// Row 116: what we are, outside a call and in one.
#[test]
fn row_116_options_says_what_is_on() {
    for is_on in [true, false] {
        let mut snapshot = office();
        let reliable = if is_on { Reliable::WhenRequired } else { Reliable::No };
        snapshot.phones.values_mut().for_each(|phone| phone.reliable = reliable);
        snapshot.trunks.iter_mut().for_each(|trunk| trunk.reliable = reliable);
        let mut w = World::new(snapshot);
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        w.raw(
            a,
            "OPTIONS sip:{us} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:1001@tandem>;tag=x\r\nTo: <sip:{us}>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n",
        );
        w.run_for(100);
        let got = w[a].got.last().unwrap().1.clone();
        assert_eq!((got.status(), got.method()), (200, "OPTIONS"));
        let supported = if is_on { "timer, 100rel, replaces" } else { "timer, replaces" };
        assert_eq!(got.get("Supported"), supported);
        assert!(
            got.get("Allow").contains("PRACK") && got.get("Accept").contains("application/sdp")
        );
        w[b].habits.on_invite = vec![(20, early()), (200, ok())];
        w.dial_with(a, "1002", &Body::Auto, "");
        w.run_for(500);
        assert_eq!(w[a].last().state, State::Up);
        w.in_dialog(a, "OPTIONS", "", "");
        w.run_for(100);
        let got = w[a].got.last().unwrap().1.clone();
        assert_eq!((got.status(), got.get("Supported")), (200, "timer, replaces"));
        assert!(got.get("Accept").contains("application/dtmf-relay"));
        w.hang_up(b);
        w.assert_empty();
    }
}

/// Row 116: a monitor's ping needs no login unless the configuration wants one.
#[test]
fn row_116_options_needs_a_login_only_if_configured() {
    for wants_login in [false, true] {
        let mut snapshot = office();
        snapshot.sip.authenticate_options = wants_login;
        let mut w = World::new(snapshot);
        let monitor = w.party("monitor", "198.51.100.77:5060");
        w.raw(
            monitor,
            "OPTIONS sip:{us} SIP/2.0\r\nVia: SIP/2.0/UDP {me};rport;branch={branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:m@{me}>;tag=x\r\nTo: <sip:{us}>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n\
             Content-Length: 0\r\n\r\n",
        );
        w.run_for(100);
        assert_eq!(w[monitor].statuses("OPTIONS"), [if wants_login { 401 } else { 200 }]);
        w.assert_empty();
    }
}
