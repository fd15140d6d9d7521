//! INVITE with Replaces (RFC 3891): rows 119, 122 and 123 of the wire catalogue, and call pickup.

use tandem::switch::snapshot::{OtherFrom, Snapshot};

use crate::scene::{outcome, talking, two_phones};
use crate::sim::office::{CARRIER, NUMBER, office};
use crate::sim::phone::{Body, Reply, State, early, ok, ring};
use crate::sim::sdp::{G729, HOLD, PCMA, PCMU};
use crate::sim::world::{PhoneId, World};

/// The dialog of a phone's latest call as its own side writes it, or as the other side does.
fn named(w: &World, id: PhoneId, is_turned: bool) -> String {
    let call = w[id].last();
    let (to, from) = match is_turned {
        false => (&call.remote_tag, &call.local_tag),
        true => (&call.local_tag, &call.remote_tag),
    };
    format!("{};to-tag={to};from-tag={from}", call.call_id)
}

/// An INVITE that replaces; its final status, once there is one.
fn replace(w: &mut World, by: PhoneId, replaces: &str, body: &Body) -> u16 {
    w.dial_with(by, "1002", body, &format!("Require: replaces\r\nReplaces: {replaces}\r\n"));
    w.run_for(300);
    w[by].last().status
}

/// Does the only call carry audio between exactly these two, both ways?
fn connected(w: &World, one: PhoneId, other: PhoneId) -> bool {
    let open = &w.media.open[&w.call()];
    let mut ends = open.ends();
    let mut wanted = vec![Some(w[one].at.ip()), Some(w[other].at.ip())];
    ends.sort();
    wanted.sort();
    ends == wanted && open.a_hears_b() && open.b_hears_a()
}

/// An office where these phones share a group.
fn grouped(extensions: &[&str]) -> Snapshot {
    let mut snapshot = office();
    for extension in extensions {
        snapshot.phones.get_mut(*extension).unwrap().pickup_groups = vec!["sales".into()];
    }
    snapshot
}

/// 1001 calls 1002, which rings; 1003 is there. All are in one group.
fn ringing() -> (World, PhoneId, PhoneId, PhoneId) {
    let mut w = World::new(grouped(&["1001", "1002", "1003"]));
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    w.dial(a, "1002");
    w.run_for(500);
    (w, a, b, c)
}

/// Row 123: a device takes the place of another one of the same phone, whichever side that is and whoever's view
/// of the dialog is named. Twice over.
#[test]
fn row_123_a_phones_other_device_takes_the_call_over() {
    for (is_caller, is_turned) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut w, a, b) = talking();
        let (goes, stays, number) = if is_caller { (a, b, "1001") } else { (b, a, "1002") };
        let soft = w.second_phone("soft", number);
        let name = named(&w, goes, is_turned);
        let ports = w.media.open[&w.call()].ports;
        assert_eq!(replace(&mut w, soft, &name, &Body::Auto), 200, "{is_caller} {is_turned}");
        assert_eq!(w[goes].requests("BYE").len(), 1);
        assert!(connected(&w, soft, stays));
        assert_eq!(w.media.open[&w.call()].ports, ports, "no second relay");
        // And back again.
        let name = named(&w, soft, is_turned);
        assert_eq!(replace(&mut w, goes, &name, &Body::Auto), 200);
        assert_eq!(w[soft].requests("BYE").len(), 1);
        assert!(connected(&w, goes, stays));
        w.hang_up(stays);
        w.assert_empty();
        assert_eq!(w.record().cause.key, "normal");
        assert!(w.record().segments.iter().filter(|s| s.kind.word() == "talk").count() >= 1);
        assert_eq!(w.record().legs.len(), 4, "each leg that was");
    }
}

#[test]
fn row_122_the_ladder_of_a_replaced_leg() {
    let (mut w, a, b) = talking();
    let soft = w.second_phone("soft", "1002");
    let name = named(&w, b, false);
    assert_eq!(replace(&mut w, soft, &name, &Body::Auto), 200);
    w.run_for(500);
    w.hang_up(soft);
    w.assert_empty();
    assert_eq!(w[a].requests("BYE").len(), 1);
    assert_eq!(w[a].requests("INVITE").len(), 0, "who stays need not hear of it");
    assert_eq!(outcome(&w), ("normal", "called", true));
    insta::assert_snapshot!(w.ladder());
}

/// Row 123: without an offer in the INVITE, ours is in the 200.
#[test]
fn row_123_a_late_offer_takes_over_too() {
    let (mut w, a, b) = talking();
    let soft = w.second_phone("soft", "1002");
    let name = named(&w, b, false);
    assert_eq!(replace(&mut w, soft, &name, &Body::None), 200);
    assert!(connected(&w, a, soft));
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(w[soft].requests("BYE").len(), 1);
}

/// What the new party chose of our offer is known by its ACK only: who stays is told then.
#[test]
fn who_stays_learns_what_a_late_answer_chose() {
    let (mut w, a, b) = two_phones();
    w[a].codecs = vec![PCMA, PCMU];
    w[b].codecs = vec![PCMA, PCMU];
    w[b].habits.on_invite = vec![(20, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    let soft = w.second_phone("soft", "1002");
    w[soft].codecs = vec![PCMU];
    let name = named(&w, b, false);
    assert_eq!(replace(&mut w, soft, &name, &Body::None), 200);
    w.run_for(500);
    assert_eq!(w[a].requests("INVITE").len(), 1, "it sent PCMA, which nobody takes now");
    assert!(connected(&w, a, soft));
    w.assert_media_agrees(a, soft);
    w.hang_up(a);
    w.assert_empty();
}

/// What cannot be spoken to is not taken in, and the call goes on as it was.
#[test]
fn a_replacement_without_a_common_codec_changes_nothing() {
    let (mut w, a, b) = talking();
    let soft = w.second_phone("soft", "1002");
    w[soft].codecs = vec![G729];
    let name = named(&w, b, false);
    assert_eq!(replace(&mut w, soft, &name, &Body::Auto), 488);
    assert!(w[soft].response(488).unwrap().has("Warning"));
    assert!(connected(&w, a, b) && w[b].requests("BYE").is_empty());
    w.hang_up(b);
    w.assert_empty();
}

/// Whoever was held by the one that left is not any more.
#[test]
fn who_was_held_by_the_replaced_leg_is_taken_back() {
    let (mut w, a, b) = talking();
    w.modify(b, "INVITE", HOLD);
    w.run_for(500);
    let soft = w.second_phone("soft", "1002");
    let name = named(&w, b, false);
    assert_eq!(replace(&mut w, soft, &name, &Body::Auto), 200);
    w.run_for(500);
    assert!(connected(&w, a, soft));
    w.hang_up(a);
    w.assert_empty();
    let kinds: Vec<_> = w.record().segments.iter().map(|s| s.kind.word()).collect();
    assert!(kinds.windows(3).any(|k| k == ["talk", "hold", "talk"]), "{kinds:?}");
}

/// Row 123: what is not there, is over, or is not meant.
#[test]
fn row_123_what_cannot_be_replaced_is_refused_in_the_right_words() {
    let (mut w, a, b) = talking();
    let soft = w.second_phone("soft", "1002");
    let c = w.phone("1003");
    let (right, call) = (named(&w, b, false), w[b].last().clone());
    let (own, other) = (call.local_tag, call.remote_tag);
    let id = call.call_id;
    for (by, replaces, status) in [
        (soft, format!("nobody@knows;to-tag={other};from-tag={own}"), 481),
        (soft, format!("{id};to-tag={other};from-tag=another"), 481),
        (soft, format!("{id};to-tag=another;from-tag={own}"), 481),
        (soft, format!("{right};early-only"), 486),
        (c, right.clone(), 403),
        (soft, format!("{id};to-tag={other}"), 400),
        (soft, format!("{right};to-tag=again"), 400),
        (soft, id.clone(), 400),
        (soft, format!("{right}\r\nReplaces: {right}"), 400),
        (soft, format!("{right}\r\nJoin: {right}"), 400),
    ] {
        assert_eq!(replace(&mut w, by, &replaces, &Body::Auto), status, "{replaces}");
        assert!(connected(&w, a, b), "{replaces}");
    }
    w.hang_up(a);
    assert_eq!(replace(&mut w, soft, &right, &Body::Auto), 603, "it is over");
    w.run_for(60_000);
    assert_eq!(replace(&mut w, soft, &right, &Body::Auto), 603, "it is over for long");
    w.assert_empty();
}

/// Row 123: a BYE may be under way when the INVITE comes.
#[test]
fn row_123_a_call_that_is_ending_is_603() {
    let (mut w, a, b) = talking();
    let soft = w.second_phone("soft", "1002");
    w[b].habits.answers = false;
    let name = named(&w, b, false);
    w.hang_up(a);
    w.run_for(100);
    assert_eq!(replace(&mut w, soft, &name, &Body::Auto), 603);
    w.assert_empty();
}

#[test]
fn only_an_invite_can_replace() {
    let (mut w, a, b) = talking();
    let name = named(&w, b, false);
    let text = format!(
        "OPTIONS sip:{{us}} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
         From: <sip:1001@tandem>;tag=x\r\nTo: <sip:{{us}}>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n\
         Replaces: {name}\r\nContent-Length: 0\r\n\r\n"
    );
    w.raw(a, &text);
    w.run_for(100);
    assert_eq!(w[a].statuses("OPTIONS"), [400]);
    w.hang_up(a);
    w.assert_empty();
}

/// While a re-INVITE is under way nobody's place can be taken.
#[test]
fn a_call_that_is_being_modified_is_491() {
    let (mut w, a, b) = talking();
    let soft = w.second_phone("soft", "1002");
    w[b].habits.on_modify = None;
    w.modify(a, "INVITE", HOLD);
    w.run_for(100);
    let name = named(&w, b, false);
    assert_eq!(replace(&mut w, soft, &name, &Body::Auto), 491);
    w.say(b, &ok());
    w.run_for(100);
    assert_eq!(replace(&mut w, soft, &name, &Body::Auto), 200);
    w.hang_up(soft);
    w.assert_empty();
}

/// Call pickup: the new phone answers, the one that rang is told that it missed nothing.
#[test]
fn row_123_a_ringing_call_is_picked_up_by_the_group() {
    for is_turned in [false, true] {
        let (mut w, a, b, c) = ringing();
        let name = format!("{};early-only", named(&w, b, is_turned));
        assert_eq!(replace(&mut w, c, &name, &Body::Auto), 200);
        let cancels = w[b].requests("CANCEL");
        assert_eq!(cancels.len(), 1);
        assert_eq!(cancels[0].get("Reason"), "SIP;cause=200;text=\"Call completed elsewhere\"");
        assert_eq!(w[a].last().state, State::Up);
        assert!(connected(&w, a, c));
        w.assert_media_agrees(a, c);
        w.hang_up(c);
        w.assert_empty();
        assert_eq!(outcome(&w), ("normal", "called", true));
        if is_turned {
            insta::assert_snapshot!(w.ladder());
        }
    }
}

/// Without a group a call rings for nobody else; a phone's own devices are one phone.
#[test]
fn row_123_who_may_pick_up() {
    for (groups, number, status) in [
        (&[][..], "1003", 403),
        (&["1003"][..], "1003", 403),
        (&["1002"][..], "1003", 403),
        (&["1002", "1003"][..], "1003", 200),
        (&[][..], "1002", 200),
    ] {
        let mut w = World::new(grouped(groups));
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        w.dial(a, "1002");
        w.run_for(500);
        let by = w.second_phone("other", number);
        let name = named(&w, b, false);
        assert_eq!(replace(&mut w, by, &name, &Body::Auto), status, "{groups:?} {number}");
        if status == 200 {
            w.hang_up(by);
        } else {
            assert!(w[b].requests("CANCEL").is_empty());
            w.cancel(a);
        }
        w.assert_empty();
        assert_eq!(w.records.len(), 1);
    }
}

/// Only what we ring can be picked up: the caller's own early dialog is nobody else's.
#[test]
fn row_123_the_callers_early_dialog_cannot_be_replaced() {
    let (mut w, a, _, c) = ringing();
    let tag = w[a].response(180).unwrap().tag_of_to();
    let call = w[a].last_index();
    w[a].calls[call].remote_tag = tag;
    let name = named(&w, a, false);
    assert_eq!(replace(&mut w, c, &name, &Body::Auto), 481);
    w.cancel(a);
    w.assert_empty();
}

/// Every other branch stops; a caller without an offer is made one that the new phone can speak.
#[test]
fn a_pickup_among_branches_and_with_a_late_offer() {
    for body in [Body::Auto, Body::None] {
        let mut w = World::new(grouped(&["1002", "1003"]));
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        let soft = w.second_phone("soft", "1002");
        let c = w.phone("1003");
        w[c].codecs = vec![PCMA];
        w[soft].habits.on_invite = vec![(20, early())];
        w.dial_with(a, "1002", &body, "");
        w.run_for(500);
        let name = named(&w, b, false);
        assert_eq!(replace(&mut w, c, &name, &Body::Auto), 200);
        w.run_for(200);
        assert_eq!((w[b].requests("CANCEL").len(), w[soft].requests("CANCEL").len()), (1, 1));
        assert!(connected(&w, a, c));
        w.hang_up(a);
        w.assert_empty();
    }
}

/// A pickup of a call that has a reliable description already, and one without an offer.
#[test]
fn a_pickup_without_an_offer_is_refused_and_the_phone_rings_on() {
    let (mut w, a, b, c) = ringing();
    let name = named(&w, b, false);
    assert_eq!(replace(&mut w, c, &name, &Body::None), 488);
    assert!(w[b].requests("CANCEL").is_empty());
    w.say(b, &ok());
    w.run_for(200);
    assert!(connected(&w, a, b));
    // Too late now: it is a conversation, and that is only its own phone's to take.
    assert_eq!(replace(&mut w, c, &name, &Body::Auto), 403);
    w.hang_up(b);
    w.assert_empty();
}

#[test]
fn a_pickup_of_a_call_whose_early_media_is_agreed() {
    let (mut w, a, b, c) = ringing();
    w[b].codecs = vec![PCMU];
    w.say(b, &early());
    w.run_for(100);
    w[c].codecs = vec![PCMA];
    let name = named(&w, b, false);
    assert_eq!(replace(&mut w, c, &name, &Body::Auto), 200);
    w.run_for(200);
    assert!(connected(&w, a, c));
    w.hang_up(c);
    w.assert_empty();
}

/// The phone that a transfer rings is a ringing phone like any other.
#[test]
fn a_transferred_call_is_picked_up() {
    let mut w = World::new(grouped(&["1001", "1003"]));
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    w[b].habits.on_invite = vec![(20, ring()), (200, ok())];
    w.dial(a, "1002");
    w.run_for(600);
    w.in_dialog(b, "REFER", "Refer-To: <sip:1003@10.0.0.1>\r\n", "");
    w.run_for(300);
    let other = w.second_phone("other", "1003");
    let name = named(&w, c, false);
    assert_eq!(replace(&mut w, other, &name, &Body::Auto), 200);
    w.run_for(300);
    assert!(connected(&w, a, other));
    assert_eq!((w[b].requests("BYE").len(), w[c].requests("CANCEL").len()), (1, 1));
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w).0, "normal");
}

/// A trunk may not unless it is told so: then it is not even said to.
#[test]
fn row_119_replaces_is_as_the_setting_says() {
    for is_on in [false, true] {
        let mut snapshot = office();
        snapshot.trunks[0].replaces = is_on;
        let mut w = World::new(snapshot);
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        let carrier = w.party("carrier", CARRIER);
        w[b].habits.on_invite = vec![(20, ring()), (100, ok())];
        w.dial(a, "1002");
        w.run_for(500);
        let said = w[b].requests("INVITE")[0].get("Supported").contains("replaces");
        assert!(said && w[a].response(200).unwrap().get("Supported").contains("replaces"));
        let headers = format!("Replaces: {}\r\nRequire: replaces\r\n", named(&w, b, false));
        w.dial_with(carrier, NUMBER, &Body::Auto, &headers);
        w.run_for(300);
        assert_eq!(w[carrier].last().status, if is_on { 200 } else { 420 });
        if is_on {
            assert!(connected(&w, a, carrier));
            assert_eq!(w[b].requests("BYE").len(), 1);
            assert!(w[carrier].response(200).unwrap().get("Supported").contains("replaces"));
        } else {
            assert_eq!(w[carrier].response(420).unwrap().get("Unsupported"), "replaces");
            assert!(connected(&w, a, b));
        }
        w.hang_up(a);
        w.assert_empty();
    }
}

/// A From that may not be is refused before anything is replaced; it leaves a record as always.
#[test]
fn who_claims_to_be_somebody_else_replaces_nothing() {
    let mut snapshot = office();
    snapshot.sip.other_from = OtherFrom::Refuse;
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1002"));
    w[b].habits.on_invite = vec![(20, ring()), (100, ok())];
    w.dial(a, "1002");
    w.run_for(500);
    let soft = w.second_phone("soft", "1002");
    // It logs in as 1002 and says that it is 1003.
    let name = named(&w, b, false);
    w[soft].user = "1003".into();
    w.dial_with(soft, "1002", &Body::Auto, &format!("Replaces: {name}\r\n"));
    w.run_for(300);
    assert!(w[soft].last().status >= 400);
    assert!(w[b].requests("BYE").is_empty());
    w.hang_up(a);
    w.assert_empty();
}

/// Somebody gives up at every moment around a pickup and a take-over.
#[test]
fn a_replacement_ended_at_any_moment_leaves_nothing() {
    for is_pickup in [true, false] {
        for who in 0..4 {
            for at in 0..45 {
                let (mut w, a, b, c) = ringing();
                if !is_pickup {
                    w.say(b, &ok());
                    w.run_for(200);
                }
                let by = if is_pickup { c } else { w.second_phone("soft", "1002") };
                let name = named(&w, b, false);
                w.dial_with(by, "1002", &Body::Auto, &format!("Replaces: {name}\r\n"));
                w.run_for(at);
                let id = [a, b, by, by][who];
                match w[id].last().state {
                    State::Calling => w.cancel(id),
                    State::Incoming => w.say(id, &Reply::status(486)),
                    State::Up => w.hang_up(id),
                    State::Over => {}
                }
                if who == 3 {
                    w[by].habits.acks = false;
                }
                w.run_for(2_000);
                for id in [a, by, b] {
                    if w[id].last().state == State::Up && !w.calls.is_empty() {
                        w.hang_up(id);
                    } else if w[id].last().state == State::Calling {
                        w.cancel(id);
                    }
                    w.run_for(500);
                }
                w.assert_empty();
                assert_eq!(w.records.len(), w.begun.len());
            }
        }
    }
}

/// Two pick up within a millisecond: one has the call, the other is told that it is gone.
#[test]
fn two_pick_up_at_once() {
    let (mut w, a, b, c) = ringing();
    let soft = w.second_phone("soft", "1002");
    let name = named(&w, b, false);
    w.dial_with(c, "1002", &Body::Auto, &format!("Replaces: {name}\r\n"));
    w.dial_with(soft, "1002", &Body::Auto, &format!("Replaces: {name}\r\n"));
    w.run_for(500);
    let mut got = [w[c].last().status, w[soft].last().status];
    got.sort_unstable();
    assert_eq!(got, [200, 603]);
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn a_replaced_party_may_still_be_transferred() {
    let (mut w, a, b) = two_phones();
    let c = w.phone("1003");
    w[b].habits.on_invite = vec![(20, ring()), (200, ok())];
    w[c].habits.on_invite = vec![(20, ring()), (200, ok())];
    w.dial(a, "1002");
    w.run_for(600);
    let soft = w.second_phone("soft", "1001");
    let name = named(&w, a, false);
    assert_eq!(replace(&mut w, soft, &name, &Body::Auto), 200);
    w.run_for(300);
    w.in_dialog(soft, "REFER", "Refer-To: <sip:1003@10.0.0.1>\r\n", "");
    w.run_for(1_000);
    assert!(connected(&w, b, c));
    w.hang_up(c);
    w.assert_empty();
}
