//! Early attended transfer (RFC 5589 §7): the phone that transfers does not wait until the other one answers.

use crate::sim::phone::{Reply, State, ok, ring};
use crate::sim::sdp::HOLD;
use crate::sim::world::{PhoneId, World};
use crate::transfer::{connected, news, refer_in, replacing, said, three};

/// 1001 talks to 1002, holds, and calls 1003, which rings.
fn asking() -> (World, PhoneId, PhoneId, PhoneId) {
    let (mut w, a, b, c) = three();
    w[c].habits.on_invite = vec![(20, ring())];
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.dial(a, "1003");
    w.run_for(1_000);
    assert_eq!(w[c].last().state, State::Incoming);
    (w, a, b, c)
}

/// 1001 names its second call in a REFER of its first.
fn hand_over(w: &mut World, a: PhoneId) {
    let (first, second) = (w[a].last_index() - 1, w[a].last_index());
    let to = replacing(w, a, second);
    refer_in(w, a, first, &to);
}

/// Row 122: whoever was ringing rings for the other party, shows no missed call of the one that let go, and the two talk.
#[test]
fn row_122_a_call_is_handed_to_whom_the_phone_still_rings() {
    let (mut w, a, b, c) = asking();
    w[c].habits.on_invite = vec![(20, ring()), (1_000, ok())];
    hand_over(&mut w, a);
    w.run_for(3_000);
    assert_eq!(w[a].statuses("REFER"), [202]);
    let cancel = w[c].requests("CANCEL")[0];
    assert!(cancel.get("Reason").contains("Call completed elsewhere"), "{}", cancel.get("Reason"));
    let invites = w[c].requests("INVITE");
    assert_eq!(invites.len(), 2);
    assert!(invites[1].get("From").contains("<sip:1002@"), "{}", invites[1].get("From"));
    assert!(connected(&w, b, c));
    assert_eq!(news(&w, a).last(), Some(&said("SIP/2.0 200 OK", true)));
    w.hang_up(c);
    w.assert_empty();
    let causes: Vec<_> = w.records.iter().map(|record| record.cause.key).collect();
    assert_eq!(causes, ["transferred", "normal"]);
    assert!(w.records[0].answered.is_none());
}

/// Row 124: who is handed over so and finds nobody is back with the phone that transferred.
#[test]
fn row_124_whom_nobody_takes_comes_back() {
    let (mut w, a, b, c) = asking();
    w[c].habits.on_invite = vec![(20, Reply::status(486))];
    hand_over(&mut w, a);
    w.run_for(2_000);
    assert!(news(&w, a).last().is_some_and(|(line, is_last)| line.contains("486") && *is_last));
    assert!(w[a].requests("BYE").is_empty(), "it has its call still");
    w.hang_up(b);
    w.assert_empty();
}

/// An answer that crosses the REFER makes it an ordinary attended transfer, or rings again: one conversation in either case,
/// and nothing is left.
#[test]
fn an_answer_that_crosses_the_transfer_leaves_one_conversation() {
    for wait in [0, 2, 4, 6, 8, 10, 12, 14, 20] {
        let (mut w, a, b, c) = asking();
        w.say(c, &ok());
        w.run_for(wait);
        w[c].habits.on_invite = vec![(20, ring()), (500, ok())];
        hand_over(&mut w, a);
        w.run_for(3_000);
        assert!(connected(&w, b, c), "{wait}");
        w.hang_up(b);
        w.run_for(40_000);
        w.assert_empty();
    }
}

/// Another phone's ringing call cannot be taken, nor can an emergency call.
#[test]
fn only_an_own_call_that_rings_can_be_handed_over() {
    let (mut w, a, b, c) = asking();
    let second = replacing(&w, a, w[a].last_index());
    refer_in(&mut w, b, 0, &second);
    w.run_for(1_000);
    assert!(w[c].requests("CANCEL").is_empty());
    assert_eq!(w[c].requests("INVITE").len(), 1);
    w.cancel(a);
    w.run_for(1_000);
    w.hang_up(b);
    w.assert_empty();
}
