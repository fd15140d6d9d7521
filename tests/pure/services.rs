//! Service codes: what a phone dials to be left alone, or to send its calls elsewhere.

use tandem::switch::cause;

use crate::scene::{heard, outcome};
use crate::sim::office::{BACKUP, CARRIER, NUMBER, office};
use crate::sim::phone::{Body, Reply, State, ok, ring};
use crate::sim::world::{PhoneId, World};

/// 1001, 1002 and 1003, who ring and answer, and the carrier.
fn house() -> (World, [PhoneId; 3], PhoneId) {
    let mut w = World::new(office());
    let phones = ["1001", "1002", "1003"].map(|extension| w.phone(extension));
    let carrier = w.party("carrier", CARRIER);
    w.party("backup", BACKUP);
    for id in phones.into_iter().chain([carrier]) {
        w[id].habits.on_invite = vec![(20, ring()), (200, ok())];
    }
    (w, phones, carrier)
}

/// A phone dials a code and hears that it is served.
fn dials(w: &mut World, id: PhoneId, code: &str) {
    w.dial(id, code);
    w.run_for(1_000);
    assert_eq!(w[id].last().status, 200, "{code}");
    w.run_for(2_000);
    assert_eq!(w[id].last().state, State::Over, "it is let go");
    let record = w.records.last().unwrap();
    assert_eq!((record.cause.key, record.began.called.as_str()), ("served", code));
}

fn called(w: &World, id: PhoneId) -> usize {
    w[id].requests("INVITE").len()
}

#[test]
fn a_phone_that_wants_no_calls_gets_none_until_it_says_so() {
    let (mut w, [a, b, _], carrier) = house();
    dials(&mut w, b, "*78");
    assert!(w.services["1002"].dnd);
    for (from, number) in [(a, "1002"), (carrier, NUMBER)] {
        w.dial(from, number);
        w.run_for(1_000);
        assert_eq!(w[from].last().status, 486);
        assert_eq!(w.records.last().unwrap().cause.key, cause::DO_NOT_DISTURB.key);
    }
    assert_eq!(called(&w, b), 0);
    // It may call itself, and everybody else.
    w.dial(b, "1001");
    w.run_for(1_000);
    assert_eq!(heard(&w), (true, true));
    w.hang_up(b);
    w.run_for(1_000);
    dials(&mut w, b, "*79");
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(called(&w, b), 1);
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn every_call_goes_where_the_phone_said() {
    let (mut w, [a, b, c], carrier) = house();
    dials(&mut w, b, "*72*1003#");
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!((called(&w, b), called(&w, c)), (0, 1));
    assert_eq!(heard(&w), (true, true));
    assert!(w[c].requests("INVITE")[0].get("From").contains("sip:1001@"), "who calls is shown");
    w.hang_up(a);
    w.run_for(1_000);
    // From outside to a number outside: at the expense of who sends it there, and under its number.
    dials(&mut w, b, "*72013800138000");
    w.dial(carrier, NUMBER);
    w.run_for(1_000);
    let invite = w[carrier].requests("INVITE")[0];
    assert_eq!(invite.uri(), "sip:+8613800138000@203.0.113.10:5060");
    assert!(invite.get("From").contains("1002"), "{}", invite.get("From"));
    w.hang_up(carrier);
    w.run_for(40_000);
    assert_eq!(w.records.last().unwrap().began.direction.word(), "inbound");
    dials(&mut w, b, "*73");
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(called(&w, b), 1);
    w.hang_up(a);
    w.assert_empty();
}

#[test]
fn a_busy_phone_and_one_that_is_not_answered_send_calls_on() {
    for (code, says, reason, after) in [
        ("*901003", vec![(20, Reply::status(486))], "busy", 1_000),
        ("*921003", vec![(20, ring())], "not answered", 21_500),
        ("*921003", vec![(20, Reply::status(480))], "away", 1_000),
        ("*921003", vec![(20, Reply::status(503))], "out of order", 1_000),
    ] {
        let (mut w, [a, b, c], _) = house();
        dials(&mut w, b, code);
        w[b].habits.on_invite = says;
        w.dial(a, "1002");
        w.run_for(after);
        assert_eq!((called(&w, b), called(&w, c)), (1, 1), "{reason}");
        assert_eq!(heard(&w), (true, true), "{reason}");
        w.hang_up(a);
        w.assert_empty();
        assert_eq!(w.records.last().unwrap().cause.key, "normal");
    }
}

/// Forwarding when it is not answered is for a phone that cannot be reached, too; do-not-disturb is busy.
#[test]
fn a_phone_that_is_away_or_does_not_want_to_be_disturbed_sends_calls_on() {
    let (mut w, [a, b, c], _) = house();
    dials(&mut w, b, "*921003");
    let now = w.now;
    w[b].register(now, "*", "Expires: 0\r\n");
    w.flush(b.0);
    w.run_for(500);
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!((called(&w, b), called(&w, c)), (0, 1));
    w.hang_up(a);
    w.run_for(1_000);
    w.register(b);
    dials(&mut w, b, "*93");
    dials(&mut w, b, "*901003");
    dials(&mut w, b, "*78");
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!((called(&w, b), called(&w, c)), (0, 2));
    w.hang_up(a);
    w.assert_empty();
}

/// Two phones that send their calls to each other would ring nobody for ever.
#[test]
fn calls_that_go_round_end() {
    let (mut w, [a, b, c], _) = house();
    dials(&mut w, b, "*721003");
    dials(&mut w, c, "*721002");
    w.dial(a, "1002");
    w.run_for(1_000);
    assert_eq!(outcome_of_last(&w), "loop");
    assert_eq!((called(&w, b), called(&w, c)), (0, 0));
    // Each sends on what it does not answer: each is rung once.
    for id in [b, c] {
        dials(&mut w, id, "*73");
        w[id].habits.on_invite = vec![(20, Reply::status(486))];
    }
    dials(&mut w, b, "*901003");
    dials(&mut w, c, "*901002");
    w.dial(a, "1002");
    w.run_for(2_000);
    assert_eq!((called(&w, b), called(&w, c)), (1, 1));
    assert_eq!(w[a].last().status, 486);
    w.assert_empty();
}

fn outcome_of_last(w: &World) -> &'static str {
    w.records.last().unwrap().cause.key
}

#[test]
fn a_phone_sends_its_calls_nowhere_that_it_may_not_dial() {
    let mut snapshot = office();
    snapshot.dial.country_code = Some("86".into());
    let mut w = World::new(snapshot);
    let b = w.phone("1002");
    for (code, status) in [
        // Itself, help, nobody, abroad, nothing.
        ("*721002", 483),
        ("*72110", 403),
        ("*7277777", 404),
        ("*72", 484),
    ] {
        w.dial(b, code);
        w.run_for(1_000);
        assert_eq!(w[b].last().status, status, "{code}");
        w.run_for(1_000);
    }
    assert!(w.services.is_empty(), "{:?}", w.services);
    w.assert_empty();
}

/// Codes are for phones: a caller from outside who dials one reaches nothing.
#[test]
fn a_trunk_has_no_codes() {
    let (mut w, _, carrier) = house();
    w.dial(carrier, "*78");
    w.run_for(1_000);
    assert_eq!(w[carrier].last().status, 404);
    assert!(w.services.is_empty());
    w.assert_empty();
}

#[test]
fn callers_without_a_number_are_refused_where_that_is_on() {
    let mut snapshot = office();
    snapshot.trunks[0].dialect.trust.inward = true;
    let mut w = World::new(snapshot);
    let (b, carrier) = (w.phone("1002"), w.party("carrier", CARRIER));
    w[b].habits.on_invite = vec![(20, ring()), (200, ok())];
    dials(&mut w, b, "*77");
    w.dial_with(carrier, NUMBER, &Body::Auto, "Privacy: id\r\n");
    w.run_for(1_000);
    assert_eq!(w[carrier].last().status, 433);
    assert_eq!(outcome_of_last(&w), "anonymous_rejected");
    w.dial(carrier, NUMBER);
    w.run_for(1_000);
    assert_eq!(called(&w, b), 1);
    w.hang_up(carrier);
    w.assert_empty();
}

/// A phone that is not configured any more leaves nothing behind, and an operator can clear what is on.
#[test]
fn what_is_on_goes_with_the_phone_or_by_an_operator() {
    let (mut w, [_, b, c], _) = house();
    dials(&mut w, b, "*78");
    dials(&mut w, c, "*721002");
    assert!(w.with_board(|board, out| board.clear_services("1003", out)));
    assert!(w.services["1003"].is_plain());
    assert!(!w.with_board(|board, out| board.clear_services("7777", out)));
    let mut snapshot = office();
    snapshot.phones.remove("1002");
    w.reload(snapshot);
    assert!(w.services["1002"].is_plain() && w.board.services().is_empty());
}

/// An INVITE without an offer is offered something, and the call ends as others do; so does one that is hung up first.
#[test]
fn a_code_is_served_whoever_offers_and_whoever_hangs_up() {
    let (mut w, [a, ..], _) = house();
    w.dial_with(a, "*78", &Body::None, "");
    w.run_for(500);
    assert_eq!(w[a].last().status, 200);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(outcome(&w), ("served", "caller", false));
    assert!(w.services["1001"].dnd);
}
