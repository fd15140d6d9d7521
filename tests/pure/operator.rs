//! Calls that an operator places or ends.

use crate::scene::{heard, outcome, talking, two_phones};
use crate::sim::office::{CARRIER, office};
use crate::sim::phone::{Reply, ok, ring};
use crate::sim::sdp::{PCMA, PCMU};
use crate::sim::world::World;

#[test]
fn an_operator_connects_two_phones() {
    let (mut w, a, b) = two_phones();
    w[a].habits.on_invite = vec![(20, ring()), (1000, ok())];
    w[b].habits.on_invite = vec![(20, ring()), (1000, ok())];
    w.originate("1001", "1002").unwrap();
    w.run_for(5_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(b);
    w.assert_empty();
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn an_operator_connects_a_phone_with_a_number_outside() {
    let mut w = World::new(office());
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    w[a].habits.on_invite = vec![(20, ok())];
    w[carrier].habits.on_invite = vec![(20, ok())];
    w.originate("1001", "0123").unwrap();
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
    assert_eq!(w.record().began.direction.word(), "outbound");
}

/// The second phone chose another codec than the first one sends: the first is asked to change.
#[test]
fn the_first_phone_of_an_operators_call_learns_the_seconds_codec() {
    let (mut w, a, b) = two_phones();
    w[a].codecs = vec![PCMU, PCMA];
    w[b].codecs = vec![PCMA];
    w[a].habits.on_invite = vec![(20, ok())];
    w[b].habits.on_invite = vec![(20, ok())];
    w.originate("1001", "1002").unwrap();
    w.run_for(3_000);
    let open = &w.media.open[&w.call()];
    assert!(open.hearing().matches("yes PCMA/8000 (8)").count() == 2, "{}", open.hearing());
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn an_operators_call_whose_first_phone_does_not_answer_rings_nobody_else() {
    for (reply, cause) in [(None, "no_answer"), (Some(486), "busy"), (Some(603), "declined")] {
        let (mut w, a, b) = two_phones();
        w[a].habits.on_invite = vec![(20, ring())];
        w[a].habits.on_invite.extend(reply.map(|status| (1000, Reply::status(status))));
        w.originate("1001", "1002").unwrap();
        w.assert_empty();
        assert!(w[b].requests("INVITE").is_empty());
        assert_eq!(outcome(&w).0, cause);
    }
}

#[test]
fn an_operators_call_whose_second_phone_is_busy_ends_the_first() {
    let (mut w, a, b) = two_phones();
    w[a].habits.on_invite = vec![(20, ok())];
    w[b].habits.on_invite = vec![(20, Reply::status(486))];
    w.originate("1001", "1002").unwrap();
    w.assert_empty();
    assert_eq!(w[a].requests("BYE").len(), 1);
    assert_eq!(outcome(&w), ("busy", "called", false));
}

/// Nobody answered: the one who asked for the call gave up.
#[test]
fn an_operators_call_is_given_up_by_its_first_phone() {
    let (mut w, a, b) = two_phones();
    w[a].habits.on_invite = vec![(20, ok())];
    w.originate("1001", "1002").unwrap();
    w.run_for(2_000);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[b].requests("CANCEL").len(), 1);
    assert_eq!(outcome(&w), ("cancelled", "caller", false));
}

#[test]
fn an_operator_cannot_place_what_cannot_be_placed() {
    let (mut w, _, _) = two_phones();
    assert_eq!(w.originate("4711", "1002"), Err("NoSuchPhone".into()));
    assert_eq!(w.originate("1003", "1002"), Err("NotRegistered".into()));
    w.originate("1001", "4711").unwrap();
    w.assert_empty();
    assert_eq!(outcome(&w), ("unknown_number", "system", false));
    w.board.drain();
    assert_eq!(w.originate("1001", "1002"), Err("Refused".into()));
}

#[test]
fn an_operator_ends_a_call() {
    let (mut w, a, b) = talking();
    let call = w.call();
    w.operator_hangs_up(call);
    w.assert_empty();
    assert_eq!((w[a].requests("BYE").len(), w[b].requests("BYE").len()), (1, 1));
    assert_eq!(outcome(&w), ("operator", "operator", true));
}

#[test]
fn an_operator_ends_a_call_that_rings() {
    let (mut w, a, b) = two_phones();
    w.dial(a, "1002");
    w.run_for(500);
    let call = w.call();
    w.operator_hangs_up(call);
    w.assert_empty();
    assert_eq!((w[a].last().status, w[b].last().status), (480, 487));
    assert_eq!(outcome(&w), ("operator", "operator", false));
}

#[test]
fn a_redirected_call_shows_who_calls() {
    let (mut w, a, b) = two_phones();
    let c = w.phone("1003");
    w[b].habits.on_invite = vec![(20, Reply::status(302).contact("<sip:1003@10.0.0.1>"))];
    w.dial(a, "1002");
    w.run_for(500);
    let from = w[c].requests("INVITE")[0].get("From").to_owned();
    assert!(from.starts_with("\"Alice\" <sip:1001@"), "{from}");
    w.cancel(a);
    w.assert_empty();
}

/// A call sent out by a phone leaves under that phone's number: it pays, and carriers refuse others.
#[test]
fn a_call_redirected_to_a_trunk_leaves_under_the_redirecting_phones_number() {
    let (mut w, a, b) = two_phones();
    let carrier = w.party("carrier", CARRIER);
    w[b].habits.on_invite = vec![(20, Reply::status(302).contact("<sip:0123@10.0.0.1>"))];
    w.dial(a, "1002");
    w.run_for(500);
    let from = w[carrier].requests("INVITE")[0].get("From").to_owned();
    assert!(from.contains("<sip:1002@"), "{from}");
    w.cancel(a);
    w.assert_empty();
}

#[test]
fn a_reload_leaves_calls_alone_and_forgets_phones_that_are_gone() {
    let (mut w, a, b) = talking();
    let mut less = office();
    less.phones.remove("1002");
    w.reload(less);
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    assert!(w.bindings["1002"].is_empty());
    w.hang_up(b);
    w.run_for(500);
    assert_eq!(w[b].statuses("BYE"), [200]);
    w.dial(a, "1002");
    w.run_for(500);
    assert_eq!(w[a].last().status, 404);
    w.assert_empty();
}

#[test]
fn the_limit_of_calls_is_a_503() {
    let mut snapshot = office();
    snapshot.limits.calls_max = 1;
    let mut w = World::new(snapshot);
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    w[b].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    w.dial(c, "1002");
    w.run_for(500);
    assert_eq!(w[c].last().status, 503);
    w.hang_up(a);
    w.assert_empty();
    w.dial(c, "1002");
    w.run_for(500);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(c);
    w.assert_empty();
}

/// A panic ends one call and leaves nothing: whoever waits for an answer gets one.
#[test]
fn a_call_that_dies_while_it_rings_is_answered_and_cancelled() {
    let (mut w, a, b) = two_phones();
    w.dial(a, "1002");
    w.run_for(500);
    let call = w.call();
    w.kill(call);
    w.run_for(500);
    assert_eq!((w[a].last().status, w[b].last().status), (500, 487));
    w.assert_empty();
}

/// A request that reaches a call which has just ended is not left without an answer.
#[test]
fn a_call_that_dies_with_a_re_invite_open_refuses_it() {
    let (mut w, a, b) = talking();
    w[b].habits.on_modify = None;
    w.modify(a, "INVITE", crate::sim::sdp::HOLD);
    w.run_for(500);
    let call = w.call();
    w.kill(call);
    w.run_for(500);
    assert_eq!(w[a].statuses("INVITE").last(), Some(&481));
    w.hang_up(a);
    w.run_for(100);
    assert_eq!(w[a].statuses("BYE"), [481]);
    w.say(b, &ok());
    w.assert_empty();
}

/// The operator's own phone is a desk phone and a soft phone: both ring, the one that answers has the call.
#[test]
fn every_device_of_the_first_phone_rings() {
    let mut w = World::new(office());
    let (desk, b) = (w.phone("1001"), w.phone("1002"));
    let soft = w.second_phone("soft", "1001");
    w[soft].habits.on_invite = vec![(20, ring()), (500, ok())];
    w[b].habits.on_invite = vec![(20, ok())];
    w.originate("1001", "1002").unwrap();
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    let cancel = w[desk].requests("CANCEL")[0];
    assert_eq!(cancel.get("Reason"), "SIP;cause=200;text=\"Call completed elsewhere\"");
    w.hang_up(soft);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "caller", true));
    assert_eq!(w[b].requests("BYE").len(), 1);
}

#[test]
fn an_operators_call_ends_when_no_device_of_the_first_phone_is_left() {
    for (first, second, cause) in [(486, 480, "busy"), (404, 486, "busy"), (603, 200, "declined")] {
        let mut w = World::new(office());
        let (desk, b) = (w.phone("1001"), w.phone("1002"));
        let soft = w.second_phone("soft", "1001");
        w[desk].habits.on_invite = vec![(20, Reply::status(first))];
        w[soft].habits.on_invite = vec![(20, ring())];
        if second != 200 {
            w[soft].habits.on_invite.push((500, Reply::status(second)));
        }
        w.originate("1001", "1002").unwrap();
        w.assert_empty();
        assert!(w[b].requests("INVITE").is_empty());
        assert_eq!(outcome(&w).0, cause);
    }
}

/// Both devices are picked up within a millisecond: the second one is taken and hung up.
#[test]
fn two_devices_of_the_first_phone_answer_at_once() {
    let mut w = World::new(office());
    let (desk, b) = (w.phone("1001"), w.phone("1002"));
    let soft = w.second_phone("soft", "1001");
    w[desk].habits.on_invite = vec![(500, ok())];
    w[soft].habits.on_invite = vec![(500, ok())];
    w[b].habits.on_invite = vec![(20, ok())];
    w.originate("1001", "1002").unwrap();
    w.run_for(2_000);
    assert_eq!(heard(&w), (true, true));
    assert_eq!(w[desk].requests("BYE").len() + w[soft].requests("BYE").len(), 1);
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(outcome(&w), ("normal", "called", true));
}
