//! Row 137 of the wire catalogue: who may make a phone answer by itself (RFC 5373).

use tandem::switch::identity::Trust;
use tandem::switch::snapshot::Snapshot;

use crate::scene::outcome;
use crate::sim::office::{CARRIER, NUMBER, office};
use crate::sim::phone::{Body, ok, ring};
use crate::sim::text::Text;
use crate::sim::world::World;

/// What phones send who want to be answered.
const ASKS: [&str; 5] = [
    "Answer-Mode: Auto\r\n",
    "Priv-Answer-Mode: auto\r\n",
    "Call-Info: <sip:tandem>;answer-after=0\r\n",
    "Alert-Info: <http://www.notused.com>;info=alert-autoanswer;delay=0\r\n",
    "Alert-Info: Auto Answer\r\n",
];

fn letting(by: &[&str], trust: Trust) -> Snapshot {
    let mut snapshot = office();
    let phone = snapshot.phones.get_mut("1002").unwrap();
    phone.auto_answer_for = by.iter().map(|by| (*by).to_owned()).collect();
    snapshot.trunks[0].dialect.trust = trust;
    snapshot
}

fn asks_to_answer(invite: &Text) -> bool {
    let has = ["Answer-Mode", "Call-Info", "Alert-Info"].map(|name| invite.has(name));
    assert!(has == [true; 3] || has == [false; 3], "all of them or none: {invite:?}");
    assert!(!invite.has("Priv-Answer-Mode"));
    if has[0] {
        assert_eq!(invite.get("Answer-Mode"), "Auto");
        assert_eq!(invite.get("Call-Info"), "<sip:tandem>;answer-after=0");
        assert_eq!(invite.get("Alert-Info"), "<http://tandem>;info=alert-autoanswer;delay=0");
    }
    has[0]
}

#[test]
fn row_137_a_phone_makes_another_answer_only_if_that_lets_it() {
    for headers in ASKS {
        for (by, expected) in [(&["1001"][..], true), (&["1003"], false), (&[], false)] {
            let mut w = World::new(letting(by, Trust::default()));
            let (a, b) = (w.phone("1001"), w.phone("1002"));
            w[b].habits.on_invite = vec![(20, ok())];
            w.dial_with(a, "1002", &Body::Auto, headers);
            w.run_for(500);
            let invite = w[b].requests("INVITE")[0].clone();
            assert_eq!(asks_to_answer(&invite), expected, "{headers} {by:?}");
            w.hang_up(a);
            w.assert_empty();
        }
    }
    // Who asks for nothing makes nobody answer, and manual is manual.
    for headers in ["", "Answer-Mode: Manual\r\n", "Alert-Info: <http://x/ring.wav>\r\n"] {
        let mut w = World::new(letting(&["1001"], Trust::default()));
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        w.dial_with(a, "1002", &Body::Auto, headers);
        w.run_for(500);
        assert!(!asks_to_answer(&w[b].requests("INVITE")[0].clone()));
        w.cancel(a);
        w.assert_empty();
    }
}

/// RFC 5373 §4.2.2: who cannot be answered so does not want to ring either.
#[test]
fn row_137_an_answer_that_is_required_and_not_allowed_is_refused() {
    for (by, status) in [(&["1001"][..], 200), (&[], 403)] {
        let mut w = World::new(letting(by, Trust::default()));
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        w[b].habits.on_invite = vec![(20, ok())];
        w.dial_with(a, "1002", &Body::Auto, "Require: answermode\r\nAnswer-Mode: Auto;require\r\n");
        w.run_for(500);
        assert_eq!(w[a].last().status, status);
        assert_eq!(w[b].requests("INVITE").is_empty(), status == 403);
        if status == 200 {
            w.hang_up(a);
        }
        w.assert_empty();
        assert_eq!(outcome(&w).0, if status == 200 { "normal" } else { "forbidden" });
    }
}

#[test]
fn row_137_a_trunk_makes_a_phone_answer_only_if_it_is_trusted_and_let() {
    let inward = Trust { inward: true, outward: false };
    for (trust, by, expected) in [
        (inward, &["trunk:carrier"][..], true),
        (inward, &["carrier"], false),
        (inward, &["1001"], false),
        (Trust::default(), &["trunk:carrier"], false),
    ] {
        let mut w = World::new(letting(by, trust));
        let b = w.phone("1002");
        let carrier = w.party("carrier", CARRIER);
        w[b].habits.on_invite = vec![(20, ok())];
        // It calls itself like a phone that is let: that makes it none.
        w[carrier].user = "1001".into();
        w.dial_with(carrier, NUMBER, &Body::Auto, "Answer-Mode: Auto;require\r\n");
        w.run_for(500);
        assert_eq!(w[carrier].last().status, if expected { 200 } else { 403 });
        if expected {
            w.hang_up(carrier);
            w.run_for(40_000);
            w[b].got.clear();
        }
        w.dial_with(carrier, NUMBER, &Body::Auto, ASKS[0]);
        w.run_for(500);
        let invite = w[b].requests("INVITE")[0].clone();
        assert_eq!(asks_to_answer(&invite), expected, "{trust:?} {by:?}");
        w.hang_up(carrier);
        w.assert_empty();
    }
}

/// One phone was asked; whoever it sends the call to was not.
#[test]
fn row_137_a_redirection_takes_no_answer_with_it() {
    let mut snapshot = letting(&["1001"], Trust::default());
    snapshot.phones.get_mut("1003").unwrap().auto_answer_for = vec!["1001".into()];
    let mut w = World::new(snapshot);
    let (a, b, c) = (w.phone("1001"), w.phone("1002"), w.phone("1003"));
    w[b].habits.on_invite =
        vec![(20, crate::sim::phone::Reply::status(302).contact("<sip:1003@tandem>"))];
    w[c].habits.on_invite = vec![(20, ring())];
    w.dial_with(a, "1002", &Body::Auto, ASKS[0]);
    w.run_for(500);
    assert!(!asks_to_answer(&w[c].requests("INVITE")[0].clone()));
    w.cancel(a);
    w.assert_empty();
}

#[test]
fn row_137_an_operator_may_have_the_first_phone_answer() {
    for is_asked in [true, false] {
        let mut w = World::new(office());
        let (a, b) = (w.phone("1001"), w.phone("1002"));
        for phone in [a, b] {
            w[phone].habits.on_invite = vec![(20, ok())];
        }
        if is_asked {
            w.originate_answered("1001", "1002").unwrap();
        } else {
            w.originate("1001", "1002").unwrap();
        }
        w.run_for(1_000);
        assert_eq!(asks_to_answer(&w[a].requests("INVITE")[0].clone()), is_asked);
        assert!(!asks_to_answer(&w[b].requests("INVITE")[0].clone()), "the other side rings");
        w.hang_up(a);
        w.assert_empty();
    }
}
