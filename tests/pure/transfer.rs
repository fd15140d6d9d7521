//! Rows 120 to 127 of the wire catalogue: blind transfer (RFC 3515, RFC 5589 §6).

use tandem::switch::call::Input;
use tandem::switch::cdr::record::CallId;

use crate::scene::{outcome, talking, two_phones, with_trunks};
use crate::sim::office::{CARRIER, NUMBER, office};
use crate::sim::phone::{Body, Reply, State, ok, ring};
use crate::sim::sdp::{HOLD, PCMA, PCMU, TALK};
use crate::sim::world::{PhoneId, World};

/// The news that a phone got by NOTIFY: the status line of each, and whether it was the last.
pub fn news(w: &World, id: PhoneId) -> Vec<(String, bool)> {
    w[id]
        .requests("NOTIFY")
        .iter()
        .map(|notify| {
            assert!(notify.get("Event").starts_with("refer"), "{}", notify.get("Event"));
            assert_eq!(notify.get("Content-Type"), "message/sipfrag;version=2.0");
            assert!(notify.get("Contact").starts_with("<sip:"), "RFC 3265 wants one");
            let line = notify.body.trim_end().to_owned();
            (line, notify.get("Subscription-State") == "terminated;reason=noresource")
        })
        .collect()
}

pub fn said(line: &str, is_last: bool) -> (String, bool) {
    (line.to_owned(), is_last)
}

/// Does the relay carry audio between exactly these two, both ways?
pub fn connected(w: &World, one: PhoneId, other: PhoneId) -> bool {
    let open = &w.media.open[&w.call()];
    let at = |id: PhoneId| Some(w[id].at.ip());
    let mut ends = open.ends();
    let mut wanted = vec![at(one), at(other)];
    ends.sort();
    wanted.sort();
    ends == wanted && open.a_hears_b() && open.b_hears_a()
}

fn refer(w: &mut World, by: PhoneId, to: &str, headers: &str) {
    w.in_dialog(by, "REFER", &format!("Refer-To: {to}\r\n{headers}"), "");
}

/// 1001 talks to 1002, and 1003 answers when it is called.
pub fn three() -> (World, PhoneId, PhoneId, PhoneId) {
    let (mut w, a, b) = talking();
    let c = w.phone("1003");
    w[c].habits.on_invite = vec![(20, ring()), (1_000, ok())];
    (w, a, b, c)
}

#[test]
fn row_120_the_called_phone_hands_the_caller_on() {
    let (mut w, a, b, c) = three();
    refer(&mut w, b, "<sip:1003@10.0.0.1>", "Referred-By: <sip:1002@10.0.0.1>\r\n");
    w.run_for(500);
    assert_eq!(w[b].statuses("REFER"), [202]);
    assert_eq!(news(&w, b), [said("SIP/2.0 100 Trying", false)]);
    let invite = &w[c].requests("INVITE")[0];
    assert!(invite.get("From").contains("<sip:1001@"), "who stays calls: {}", invite.get("From"));
    assert_eq!(invite.get("Referred-By"), "<sip:1002@10.0.0.1>", "row 127");
    w.run_for(2_000);
    assert_eq!(news(&w, b), [said("SIP/2.0 100 Trying", false), said("SIP/2.0 200 OK", true)]);
    assert_eq!(w[b].requests("BYE").len(), 1, "who transferred is let go");
    assert!(connected(&w, a, c));
    w.hang_up(c);
    w.assert_empty();
    assert_eq!(w[a].requests("BYE").len(), 1);
    assert_eq!(outcome(&w), ("normal", "called", true));
    let kinds: Vec<_> = w.record().segments.iter().map(|s| s.kind.word()).collect();
    assert_eq!(kinds, ["setup", "ring", "talk", "transfer", "talk", "release"][..kinds.len()]);
    insta::assert_snapshot!(w.ladder());
}

#[test]
fn row_120_the_caller_hands_the_called_phone_on() {
    let (mut w, a, b, c) = three();
    refer(&mut w, a, "sip:1003@10.0.0.1", "");
    w.run_for(500);
    let invite = &w[c].requests("INVITE")[0];
    assert!(invite.get("From").contains("<sip:1002@"), "who stays calls: {}", invite.get("From"));
    w.run_for(2_000);
    assert_eq!(news(&w, a).last(), Some(&said("SIP/2.0 200 OK", true)));
    assert!(connected(&w, b, c));
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(w[c].requests("BYE").len(), 1);
    assert_eq!(outcome(&w), ("normal", "called", true));
}

/// As desk phones do it: hold, REFER, hang up at once.
#[test]
fn row_124_who_transfers_hangs_up_at_once_and_the_held_party_is_taken_back() {
    for caller_transfers in [false, true] {
        let (mut w, a, b, c) = three();
        let (by, stays) = if caller_transfers { (a, b) } else { (b, a) };
        w.modify(by, "INVITE", HOLD);
        w.run_for(500);
        refer(&mut w, by, "<sip:1003@10.0.0.1>", "");
        w.run_for(100);
        w.hang_up(by);
        w.run_for(3_000);
        assert!(connected(&w, stays, c), "caller transfers: {caller_transfers}");
        assert_eq!(w[stays].requests("BYE").len(), 0);
        w.hang_up(c);
        w.assert_empty();
    }
}

#[test]
fn row_124_a_busy_target_gives_the_call_back() {
    for caller_transfers in [false, true] {
        let (mut w, a, b, c) = three();
        let by = if caller_transfers { a } else { b };
        w[c].habits.on_invite = vec![(20, Reply::status(486))];
        refer(&mut w, by, "<sip:1003@10.0.0.1>", "");
        w.run_for(1_000);
        assert_eq!(news(&w, by).last(), Some(&said("SIP/2.0 486 Busy Here", true)));
        assert!(connected(&w, a, b), "as before");
        // And the next one may succeed.
        w[c].habits.on_invite = vec![(20, ok())];
        refer(&mut w, by, "<sip:1003@10.0.0.1>", "");
        w.run_for(1_000);
        assert_eq!(news(&w, by).last(), Some(&said("SIP/2.0 200 OK", true)));
        let second = w[by].requests("NOTIFY").last().unwrap().get("Event").to_owned();
        assert!(second.starts_with("refer;id="), "{second}");
        w.hang_up(c);
        w.assert_empty();
    }
}

#[test]
fn row_124_who_transferred_and_left_is_rung_again_when_nobody_answers() {
    let (mut w, a, b, c) = three();
    w[c].habits.on_invite = vec![(20, ring())];
    refer(&mut w, b, "<sip:1003@10.0.0.1>", "");
    w.run_for(100);
    w.hang_up(b);
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.run_for(62_000);
    assert_eq!(w[c].requests("CANCEL").len(), 1, "it rang in vain");
    assert!(connected(&w, a, b), "recalled");
    w.hang_up(a);
    w.assert_empty();
    // And when nobody takes it at all, the call ends with the reason.
    let (mut w, a, b, c) = three();
    w[c].habits.on_invite = vec![(20, Reply::status(486))];
    w[b].habits.on_invite = vec![(20, Reply::status(603))];
    refer(&mut w, b, "<sip:1003@10.0.0.1>", "");
    w.hang_up(b);
    w.assert_empty();
    assert_eq!(w[a].requests("BYE").len(), 1);
    assert_eq!(outcome(&w), ("declined", "system", true));
}

#[test]
fn row_124_who_stays_hangs_up_meanwhile() {
    let (mut w, a, b, c) = three();
    refer(&mut w, b, "<sip:1003@10.0.0.1>", "");
    w.run_for(300);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[c].requests("CANCEL").len(), 1);
    assert_eq!(news(&w, b).last(), Some(&said("SIP/2.0 487 Request Terminated", true)));
    assert_eq!(w[b].requests("BYE").len(), 1);
    assert_eq!(outcome(&w), ("normal", "caller", true));
}

#[test]
fn row_121_without_a_subscription_nothing_is_told() {
    let (mut w, a, b, c) = three();
    refer(&mut w, b, "<sip:1003@10.0.0.1>", "Refer-Sub: false\r\n");
    w.run_for(2_000);
    assert_eq!(w[b].response(202).unwrap().get("Refer-Sub"), "false");
    assert!(w[b].requests("NOTIFY").is_empty());
    assert!(connected(&w, a, c));
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn row_125_what_cannot_be_called_is_refused_and_the_call_goes_on() {
    let refusals = [
        ("<mailto:x@y>", 416),
        ("<sip:10.0.0.1>", 403),
        ("<sip:1003@10.0.0.1;method=BYE>", 403),
        ("<sip:1003@10.0.0.1>, <sip:1001@10.0.0.1>", 400),
        ("<sip:1003@10.0.0.1?Replaces=nonsense>", 400),
    ];
    for (target, status) in refusals {
        let (mut w, a, b, _) = three();
        refer(&mut w, b, target, "");
        w.run_for(500);
        assert_eq!(w[b].statuses("REFER"), [status], "{target}");
        assert!(w[b].requests("NOTIFY").is_empty());
        assert!(connected(&w, a, b));
        w.hang_up(a);
        w.assert_empty();
    }
    // A number that is none is found out later: the news says so.
    let (mut w, a, b, _) = three();
    refer(&mut w, b, "<sip:4711@10.0.0.1>", "");
    w.run_for(500);
    assert_eq!(news(&w, b).last(), Some(&said("SIP/2.0 404 Not Found", true)));
    assert!(connected(&w, a, b));
    w.hang_up(a);
    w.assert_empty();
}

/// Who calls from outside may not place calls at our expense.
#[test]
fn row_125_a_trunk_may_not_transfer() {
    let mut w = World::new(office());
    let b = w.phone("1002");
    w[b].habits.on_invite = vec![(20, ok())];
    let carrier = w.party("carrier", CARRIER);
    w.dial_with(carrier, NUMBER, &Body::Auto, "");
    w.run_for(500);
    refer(&mut w, carrier, "<sip:1003@10.0.0.1>", "");
    w.run_for(500);
    assert_eq!(w[carrier].statuses("REFER"), [403]);
    w.hang_up(carrier);
    w.assert_empty();
}

#[test]
fn a_call_from_a_trunk_is_handed_on_to_another_phone_and_one_to_a_trunk_too() {
    let mut w = World::new(office());
    let b = w.phone("1002");
    w[b].habits.on_invite = vec![(20, ok())];
    let c = w.phone("1003");
    w[c].habits.on_invite = vec![(20, ok())];
    let carrier = w.party("carrier", CARRIER);
    w.dial_with(carrier, NUMBER, &Body::Auto, "");
    w.run_for(500);
    refer(&mut w, b, "<sip:1003@10.0.0.1>", "");
    w.run_for(1_000);
    assert!(connected(&w, carrier, c));
    w.hang_up(carrier);
    w.assert_empty();
    assert_eq!(w.record().began.trunk, "carrier");

    // The phone called out, and hands the outside party to a colleague.
    let (mut w, a, carrier, _) = with_trunks();
    w[carrier].habits.on_invite = vec![(20, ok())];
    let c = w.phone("1003");
    w[c].habits.on_invite = vec![(20, ok())];
    w.dial(a, "0123");
    w.run_for(500);
    refer(&mut w, a, "<sip:1003@10.0.0.1>", "");
    w.run_for(1_000);
    assert!(connected(&w, carrier, c));
    w.hang_up(c);
    w.assert_empty();
    assert_eq!(w.record().began.trunk, "carrier", "the trunk stays the record's");
}

/// The new phone speaks another codec: who stays is asked again.
#[test]
fn another_codec_is_negotiated_with_who_stays() {
    let (mut w, a, b) = two_phones();
    w[a].codecs = vec![PCMU, PCMA];
    w[b].codecs = vec![PCMU];
    w[b].habits.on_invite = vec![(20, ok())];
    let c = w.phone("1003");
    w[c].codecs = vec![PCMA];
    w[c].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    refer(&mut w, b, "<sip:1003@10.0.0.1>", "");
    w.run_for(1_000);
    assert!(connected(&w, a, c));
    w.assert_media_agrees(a, c);
    w.modify(c, "INVITE", HOLD);
    w.run_for(500);
    w.modify(c, "INVITE", TALK);
    w.run_for(500);
    assert!(connected(&w, a, c), "hold and resume cross the new call");
    w.hang_up(a);
    w.assert_empty();
}

/// One after the other, back and forth: sides swap and nothing stays behind.
#[test]
fn a_call_is_handed_on_many_times() {
    let (mut w, a, b, c) = three();
    w[a].habits.on_invite = vec![(20, ok())];
    w[b].habits.on_invite = vec![(20, ok())];
    w[c].habits.on_invite = vec![(20, ok())];
    let (mut one, mut other, mut free) = ((a, "1001"), (b, "1002"), (c, "1003"));
    for turn in 0..6 {
        let (by, stays) = if turn % 2 == 0 { (one, other) } else { (other, one) };
        refer(&mut w, by.0, &format!("<sip:{}@10.0.0.1>", free.1), "");
        w.run_for(2_000);
        assert!(connected(&w, stays.0, free.0), "turn {turn}");
        (one, other, free) = (stays, free, by);
    }
    w.hang_up(one.0);
    w.assert_empty();
    assert_eq!(w.records.len(), 1);
}

/// The caller has gone, and then the called phone too: who stays is neither of them.
#[test]
fn who_stays_after_two_transfers_is_who_calls() {
    let (mut w, a, b, c) = three();
    w[a].habits.on_invite = vec![(20, ok())];
    refer(&mut w, a, "<sip:1003@10.0.0.1>", "");
    w.run_for(2_000);
    assert!(connected(&w, b, c));
    refer(&mut w, b, "<sip:1001@10.0.0.1>", "");
    w.run_for(2_000);
    assert!(connected(&w, c, a));
    let from = w[a].requests("INVITE").last().unwrap().get("From").to_owned();
    assert!(from.contains("<sip:1003@"), "who stays calls: {from}");
    w.hang_up(a);
    w.assert_empty();
}

/// 1001 talks to 1002, holds, and calls 1003, which answers: two calls, the second one on top.
fn consulting() -> (World, PhoneId, PhoneId, PhoneId) {
    let (mut w, a, b, c) = three();
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    w.dial(a, "1003");
    w.run_for(2_000);
    assert_eq!(w.media.open.len(), 2);
    (w, a, b, c)
}

/// The Refer-To of an attended transfer, as the phone sees its second call.
pub fn replacing(w: &World, id: PhoneId, call: usize) -> String {
    let call = &w[id].calls[call];
    format!(
        "<sip:1003@10.0.0.1?Replaces={}%3Bto-tag%3D{}%3Bfrom-tag%3D{}>",
        call.call_id.replace('@', "%40"),
        call.remote_tag,
        call.local_tag
    )
}

/// Sends REFER in an earlier call of a phone than its latest one.
pub fn refer_in(w: &mut World, by: PhoneId, call: usize, to: &str) {
    let now = w.now;
    w[by].in_dialog(now, call, "REFER", &format!("Refer-To: {to}\r\n"), String::new());
    w.flush(by.0);
    w.run_for(10);
}

#[test]
fn row_122_two_parties_of_a_phone_are_connected() {
    let (mut w, a, b, c) = consulting();
    let (first, second) = (w[a].last_index() - 1, w[a].last_index());
    let to = replacing(&w, a, second);
    refer_in(&mut w, a, first, &to);
    w.run_for(2_000);
    assert_eq!(w[a].statuses("REFER"), [202]);
    assert_eq!(news(&w, a).last(), Some(&said("SIP/2.0 200 OK", true)));
    assert_eq!(w[a].requests("BYE").len(), 2, "it is let go in both calls");
    assert_eq!(w.media.open.len(), 1, "the second call is over");
    assert!(connected(&w, b, c));
    let second = &w.records[0];
    assert_eq!((second.cause.key, second.legs.len()), ("transferred", 2));
    // What is asked in the new call crosses it.
    w.modify(c, "INVITE", HOLD);
    w.run_for(500);
    w.modify(c, "INVITE", TALK);
    w.run_for(500);
    assert!(connected(&w, b, c));
    w.hang_up(c);
    w.assert_empty();
    assert_eq!(w[b].requests("BYE").len(), 1);
    assert_eq!(w.records[1].cause.key, "normal");
    insta::assert_snapshot!(w.ladder_of(&w.records[1]));
}

/// The other way round: who was called consults, and its first call was from outside.
#[test]
fn row_122_a_called_phone_connects_an_outside_caller_to_a_colleague() {
    let mut w = World::new(office());
    let b = w.phone("1002");
    w[b].habits.on_invite = vec![(20, ok())];
    let c = w.phone("1003");
    w[c].habits.on_invite = vec![(20, ok())];
    let carrier = w.party("carrier", CARRIER);
    w.dial_with(carrier, NUMBER, &Body::Auto, "");
    w.run_for(500);
    w.modify(b, "INVITE", HOLD);
    w.run_for(500);
    w.dial(b, "1003");
    w.run_for(1_000);
    let to = replacing(&w, b, w[b].last_index());
    let first = w[b].last_index() - 1;
    refer_in(&mut w, b, first, &to);
    w.run_for(2_000);
    assert!(connected(&w, carrier, c));
    w.hang_up(carrier);
    w.assert_empty();
}

/// An outside caller came from another call, and is handed on once more: its own number is shown.
#[test]
fn an_outside_caller_that_was_fetched_is_shown_by_its_number() {
    let mut w = World::new(office());
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    w[b].habits.on_invite = vec![(20, ok())];
    w[c].habits.on_invite = vec![(20, ok())];
    let carrier = w.party("carrier", CARRIER);
    w.dial(a, "1002");
    w.run_for(500);
    w.dial_with(carrier, NUMBER, &Body::Auto, "");
    w.run_for(500);
    let to = replacing(&w, b, w[b].last_index());
    let first = w[b].last_index() - 1;
    refer_in(&mut w, b, first, &to);
    w.run_for(1_000);
    assert!(connected(&w, a, carrier));
    refer(&mut w, a, "<sip:1003@10.0.0.1>", "");
    w.run_for(1_000);
    assert!(connected(&w, carrier, c));
    let from = w[c].requests("INVITE")[0].get("From").to_owned();
    assert!(from.contains("<sip:carrier@"), "who stays calls: {from}");
    w.hang_up(carrier);
    w.assert_empty();
}

#[test]
fn row_123_a_dialog_that_is_not_there_or_not_the_phones_own_is_not_replaced() {
    let (mut w, a, b, c) = consulting();
    let first = w[a].last_index() - 1;
    refer_in(&mut w, a, first, "<sip:1003@10.0.0.1?Replaces=x%3Bto-tag%3D1%3Bfrom-tag%3D2>");
    w.run_for(500);
    assert_eq!(
        news(&w, a).last(),
        Some(&said("SIP/2.0 481 Call/Transaction Does Not Exist", true))
    );
    // 1002 names a dialog of 1001.
    let theirs = replacing(&w, a, w[a].last_index());
    refer(&mut w, b, &theirs, "");
    w.run_for(500);
    assert_eq!(news(&w, b).last(), Some(&said("SIP/2.0 403 Forbidden", true)));
    assert_eq!(w.media.open.len(), 2, "both calls go on");
    for id in [b, c] {
        w.hang_up(id);
    }
    w.assert_empty();
}

/// The ports that await the party are bound where it cannot be told to send: it stays where it is.
#[test]
fn a_party_that_could_not_reach_the_other_calls_ports_is_not_given_away() {
    for (bound, is_given) in [("10.0.0.9", false), ("::", false), ("0.0.0.0", true)] {
        let (mut w, a, b) = talking();
        let leg = (w[a].last().call_id.clone(), w[a].last().remote_tag.clone());
        w.input(w.call(), Input::Wanted { leg, to: CallId(1), bound: bound.parse().unwrap() });
        w.run_for(500);
        assert_eq!(w[a].requests("BYE").len(), usize::from(is_given), "{bound}");
        assert_eq!(w[b].requests("BYE").len(), usize::from(is_given), "{bound}");
        if !is_given {
            assert!(connected(&w, a, b));
            w.hang_up(a);
        }
        w.assert_empty();
    }
}

/// The call that was asked for its party died before it could answer.
#[test]
fn a_call_that_does_not_answer_gives_no_party_and_the_first_one_goes_on() {
    let (mut w, a, b, _) = consulting();
    let (first, second) = (w[a].last_index() - 1, w[a].last_index());
    let to = replacing(&w, a, second);
    let dead = *w.calls.keys().last().unwrap();
    w.calls.remove(&dead);
    refer_in(&mut w, a, first, &to);
    w.run_for(6_000);
    assert_eq!(news(&w, a).last(), Some(&said("SIP/2.0 480 Temporarily Unavailable", true)));
    let open = &w.media.open[&w.call()];
    assert!(open.dead_after.is_some_and(|(talk, _)| !talk.is_zero()), "watched again");
    w.hang_up(b);
    w.run_for(1_000);
    w.kill(dead);
    w.assert_empty();
}

/// Who came from the other call has not taken our ports yet when the next transfer is wished.
#[test]
fn a_party_that_is_still_joining_is_not_handed_on() {
    for answer in [ok(), Reply::status(488)] {
        let (mut w, a, b, c) = consulting();
        let (first, second) = (w[a].last_index() - 1, w[a].last_index());
        w[c].habits.on_modify = None;
        let to = replacing(&w, a, second);
        refer_in(&mut w, a, first, &to);
        w.run_for(300);
        refer(&mut w, b, "<sip:1001@10.0.0.1>", "");
        w.run_for(300);
        assert_eq!(w[b].statuses("REFER"), [491]);
        w.say(c, &answer);
        w.run_for(1_000);
        if answer.status == 200 {
            assert!(connected(&w, b, c));
            w.hang_up(b);
        }
        w.assert_empty();
        assert_eq!(w[c].requests("BYE").len(), 1);
    }
}

#[test]
fn a_fetched_party_that_holds_is_seen_to_hold() {
    let (mut w, a, b, c) = consulting();
    w.modify(c, "INVITE", HOLD);
    w.run_for(500);
    let to = replacing(&w, a, w[a].last_index());
    let first = w[a].last_index() - 1;
    refer_in(&mut w, a, first, &to);
    w.run_for(2_000);
    w.hang_up(b);
    w.assert_empty();
    let kinds: Vec<_> = w.records[1].segments.iter().map(|s| s.kind.word()).collect();
    assert_eq!(kinds, ["setup", "ring", "talk", "hold", "talk", "hold"]);
}

/// Anybody hangs up at any millisecond of an attended transfer: everybody is let go in the end.
#[test]
fn an_attended_transfer_ended_at_any_moment() {
    for at in 0..160 {
        for who in 0..5 {
            let (mut w, a, b, c) = consulting();
            let first = w[a].last_index() - 1;
            let to = replacing(&w, a, w[a].last_index());
            let now = w.now;
            w[a].in_dialog(now, first, "REFER", &format!("Refer-To: {to}\r\n"), String::new());
            w.flush(a.0);
            w.run_for(at);
            let hang_up = |w: &mut World, id: PhoneId| {
                let now = w.now;
                for call in 0..w[id].calls.len() {
                    if w[id].calls[call].state == State::Up {
                        w[id].hang_up(now, call);
                    }
                }
                w.flush(id.0);
            };
            match who {
                0 => hang_up(&mut w, a),
                1 => hang_up(&mut w, b),
                2 => hang_up(&mut w, c),
                3 => {
                    hang_up(&mut w, b);
                    hang_up(&mut w, c);
                }
                _ => {
                    for call in w.calls.keys().copied().collect::<Vec<_>>() {
                        w.operator_hangs_up(call);
                    }
                }
            }
            w.run_for(5_000);
            for id in [a, b, c] {
                hang_up(&mut w, id);
            }
            w.assert_empty();
            for id in [a, b, c] {
                let left = w[id].calls.iter().filter(|call| call.state != State::Over).count();
                assert_eq!(left, 0, "{who} at {at} ms leaves {} in a call", w[id].name);
            }
        }
    }
}
