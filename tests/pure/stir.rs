//! Statements of who calls (STIR) that come by trunks: whom we believe, and what we do with whom we do not.

use tandem::proto::stir::Attestation;
use tandem::proto::time::Wall;
use tandem::switch::snapshot::{Snapshot, StirIn};
use tandem::switch::switchboard::CHECKED_MAX;

use crate::scene::outcome;
use crate::sim::office::{CARRIER, NUMBER, signing_office};
use crate::sim::phone::{Body, ok, ring};
use crate::sim::stir::{GONE, SLOW, STRANGE, Stated};
use crate::sim::world::{EPOCH, PhoneId, World};

pub const CALLER: &str = "12155551212";
/// [`NUMBER`], as tokens write it.
pub const CALLED: &str = "862012345678";

/// The phone 1002 and the trunk, whose caller is `+12155551212`.
fn called(policy: StirIn) -> (World, PhoneId, PhoneId) {
    called_with(signing_office(policy))
}

pub fn called_with(snapshot: Snapshot) -> (World, PhoneId, PhoneId) {
    let mut w = World::new(snapshot);
    let b = w.phone("1002");
    let carrier = w.party("carrier", CARRIER);
    w[carrier].user = format!("+{CALLER}");
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    (w, b, carrier)
}

pub fn story(w: &World, kind: &str) -> Vec<String> {
    let lines = w.records.iter().flat_map(|record| &record.timeline);
    lines.filter(|line| line.what == kind).map(|line| line.text.clone()).collect()
}

pub fn events(w: &World, kind: &str) -> usize {
    w.events.iter().filter(|(known, _)| *known == kind).count()
}

/// Everything that an INVITE may bring, with the status of whoever is refused.
fn brought(w: &World) -> Vec<(&'static str, String, u16)> {
    let good = Stated::now(w, CALLER, CALLED);
    let old = |by| Stated { iat: good.iat - by, ..good.clone() }.line();
    let line = good.line();
    let head = line.find('.').unwrap();
    let forged = Stated { attest: Attestation::C, ..good.clone() }.line();
    let signature = |line: &str| line.split(['.', ';']).nth(2).unwrap().to_owned();
    let spliced = line.replace(&signature(&line), &signature(&forged));
    let other = |x5u| Stated { x5u, ..good.clone() }.line();
    let nested = format!("Identity: {}.{}.x\r\n", "W1tb".repeat(1_000), "W1tb".repeat(1_000));
    vec![
        ("good", line.clone(), 0),
        ("a minute old", old(60), 0),
        ("older", old(61), 403),
        ("from the future", old(-62), 403),
        ("for another called number", Stated { dest: "862099999999", ..good.clone() }.line(), 438),
        ("of another caller", Stated { orig: "12155551213", ..good.clone() }.line(), 438),
        ("with another token's signature", spliced, 438),
        ("of a certificate that nobody trusts", other(STRANGE), 437),
        ("of a certificate that is gone", other(GONE), 436),
        ("garbage", "Identity: garbage\r\n".into(), 438),
        ("no Base64", format!("Identity: %%%{}", &line[head..]), 438),
        ("nested JSON", nested, 438),
        ("12 kB of it", format!("Identity: {}\r\n", "a".repeat(12_000)), 438),
        ("compact", format!("Identity: ..{};info=<https://good>\r\n", signature(&line)), 438),
        ("another algorithm", line.replace("alg=ES256", "alg=none"), 437),
        ("two certificates", line.replace("info=<https://good", "info=<https://bad"), 436),
        ("a good one among others", format!("{}{}{line}", other(STRANGE), other(GONE)), 0),
        ("a good one behind garbage", format!("Identity: garbage\r\n{line}"), 0),
        ("the compact name", line.replace("Identity: ", "y: "), 0),
    ]
}

/// Row 163: what is wrong with an Identity is answered as RFC 8224 §6.2.2 says, and leaves a record that says why.
#[test]
fn row_163_a_wrong_identity_is_refused_with_its_status() {
    let (w, ..) = called(StirIn::Reject);
    for (what, headers, status) in brought(&w) {
        let (mut w, b, carrier) = called(StirIn::Reject);
        w.dial_with(carrier, NUMBER, &Body::Auto, &headers);
        w.run_for(2_000);
        let rang = w[b].requests("INVITE").len();
        if status == 0 {
            assert_eq!((w[carrier].last().status, rang), (200, 1), "{what}");
            w.hang_up(carrier);
            w.assert_empty();
            assert_eq!(story(&w, "stir.verified"), ["attestation A"], "{what}");
            continue;
        }
        assert_eq!((w[carrier].last().status, rang), (status, 0), "{what}");
        let answer = w[carrier].response(status).unwrap();
        let reason = answer.all("Reason").find(|reason| reason.starts_with("STIR;")).unwrap();
        assert!(reason.contains(&format!("cause={status};")), "{what}: {reason}");
        if status == 403 {
            assert_eq!(answer.start, "SIP/2.0 403 Stale Date");
        }
        assert_eq!(events(&w, "stir.failed"), 1, "{what}");
        w.assert_empty();
        assert_eq!(story(&w, "stir.failed").len(), 1, "{what}");
        let causes =
            ["identity_stale", "identity_unfetched", "identity_unsupported", "identity_invalid"];
        assert!(causes.contains(&outcome(&w).0), "{what}: {:?}", outcome(&w));
    }
}

/// Row 163: with `note` and `reason` every call goes on; with `reason` its sender hears what is wrong (RFC 9410).
#[test]
fn row_163_a_wrong_identity_may_be_noted_or_told() {
    for policy in [StirIn::Note, StirIn::Reason] {
        let (w, ..) = called(policy);
        for (what, headers, status) in brought(&w) {
            let (mut w, b, carrier) = called(policy);
            w.dial_with(carrier, NUMBER, &Body::Auto, &headers);
            w.run_for(2_000);
            assert_eq!(w[carrier].last().status, 200, "{what}");
            assert_eq!(w[b].requests("INVITE").len(), 1, "{what}");
            let is_told = policy == StirIn::Reason && status != 0;
            for answer in [180, 200].map(|status| w[carrier].response(status).unwrap()) {
                assert_eq!(answer.has("Reason"), is_told, "{what}");
            }
            assert!(!w[carrier].response(100).unwrap().has("Reason"));
            w.hang_up(carrier);
            w.assert_empty();
            assert_eq!(story(&w, "stir.failed").len(), usize::from(status != 0), "{what}");
            assert_eq!(events(&w, "stir.failed"), usize::from(status != 0), "{what}");
        }
    }
}

/// Row 163: a call without an Identity is refused only where the trunk's have to have one.
#[test]
fn row_163_a_missing_identity_is_428_where_it_is_required() {
    for (policy, status) in
        [(StirIn::Off, 200), (StirIn::Note, 200), (StirIn::Reject, 200), (StirIn::Require, 428)]
    {
        let (mut w, _, carrier) = called(policy);
        w.dial(carrier, NUMBER);
        w.run_for(2_000);
        assert_eq!(w[carrier].last().status, status, "{policy:?}");
        assert_eq!(events(&w, "stir.failed"), usize::from(status == 428));
        if status == 200 {
            w.hang_up(carrier);
        }
        w.assert_empty();
        let is_noted = usize::from(policy != StirIn::Off);
        assert_eq!(story(&w, "stir.missing").len(), is_noted, "{policy:?}");
    }
    // A type that nobody here knows is as good as none.
    let (mut w, _, carrier) = called(StirIn::Require);
    let line = Stated::now(&w, CALLER, CALLED).line();
    let (_, rest) = line.split_once('.').unwrap();
    // {"alg":"ES256","ppt":"rcd","typ":"passport","x5u":"https://a"}
    let head =
        "eyJhbGciOiJFUzI1NiIsInBwdCI6InJjZCIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9hIn0";
    let line = format!("Identity: {head}.{}", rest.replace("ppt=shaken", "ppt=rcd"));
    w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    w.run_for(500);
    assert_eq!(w[carrier].last().status, 428);
    w.assert_empty();
}

/// Row 163: a trunk that nobody configured so is not asked, whatever it brings.
#[test]
fn row_163_nothing_is_checked_unless_the_trunk_says_so() {
    let (mut w, _, carrier) = called(StirIn::Off);
    let headers = format!("{}Identity: garbage\r\n", Stated::now(&w, "1", "2").line());
    w.dial_with(carrier, NUMBER, &Body::Auto, &headers);
    w.run_for(2_000);
    assert_eq!(w[carrier].last().status, 200);
    assert!(w.checked.is_empty());
    w.hang_up(carrier);
    w.assert_empty();
}

/// Row 163: numbers are compared in one form, and 100 is there while a certificate is fetched.
#[test]
fn row_163_numbers_of_any_form_are_the_same() {
    for (caller, number) in [("+12155551212", "862012345678"), ("0012155551212", "+862012345678")] {
        let (mut w, _, carrier) = called(StirIn::Reject);
        w[carrier].user = caller.to_owned();
        let line = Stated::now(&w, CALLER, CALLED).line();
        w.dial_with(carrier, number, &Body::Auto, &line);
        w.run_for(2_000);
        assert_eq!(w[carrier].last().status, 200, "{caller} {number}");
        assert_eq!(w[carrier].statuses("INVITE"), [100, 180, 200]);
        w.hang_up(carrier);
        w.assert_empty();
        let check = &w.checked[0];
        assert_eq!(check.speaks_for.as_deref(), Some(CALLER), "the certificate has to cover it");
    }
}

/// Row 163: a caller who hides may be stated beside From: nobody is shown a number that was not signed.
#[test]
fn row_163_a_hidden_caller_is_the_one_that_is_asserted() {
    for (user, asserted, status) in [
        ("anonymous", CALLER, 200),
        ("anonymous", "12155551213", 438),
        ("+12155551213", CALLER, 438),
    ] {
        let (mut w, _, carrier) = called(StirIn::Reject);
        w[carrier].user = user.to_owned();
        let line = Stated::now(&w, CALLER, CALLED).line();
        let headers = format!("P-Asserted-Identity: <sip:+{asserted}@203.0.113.10>\r\n{line}");
        w.dial_with(carrier, NUMBER, &Body::Auto, &headers);
        w.run_for(2_000);
        assert_eq!(w[carrier].last().status, status, "{user} {asserted}");
        if status == 200 {
            w.hang_up(carrier);
        }
        w.assert_empty();
    }
}

/// Row 163: a header that no message may have costs its sender an answer, and nobody a check.
#[test]
fn row_163_a_token_without_end_is_not_even_a_header() {
    let (mut w, _, carrier) = called(StirIn::Note);
    let line = format!("Identity: {}\r\n", "a".repeat(60_000));
    w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    w.run_for(500);
    assert_eq!(w[carrier].last().status, 513);
    assert!(w.checked.is_empty());
    w.assert_empty();
}

/// Row 163: a call that was forwarded before it came is vouched for by who forwarded it (RFC 8946).
#[test]
fn row_163_a_forwarded_call_needs_an_unbroken_chain() {
    let other = "862099999999";
    for (with_div, status) in [(true, 200), (false, 438)] {
        let (mut w, _, carrier) = called(StirIn::Reject);
        let first = Stated::now(&w, CALLER, other);
        let div = Stated { dest: CALLED, by: Some(other), ..first.clone() };
        let div = if with_div { div.line() } else { String::new() };
        w.dial_with(carrier, NUMBER, &Body::Auto, &format!("{div}{}", first.line()));
        w.run_for(2_000);
        assert_eq!(w[carrier].last().status, status);
        if with_div {
            w.hang_up(carrier);
            let speaks_for: Vec<_> = w.checked.iter().map(|c| c.speaks_for.clone()).collect();
            assert_eq!(speaks_for, [Some(CALLER.to_owned()), Some(other.to_owned())]);
        }
        w.assert_empty();
    }
}

/// Row 163: who checks may be slow or gone: after three seconds the call goes on as one that nobody has checked, and
/// is never refused for what is our own trouble.
#[test]
fn row_163_a_call_waits_three_seconds_for_a_verdict() {
    let (mut w, b, carrier) = called(StirIn::Require);
    w.is_stir_dead = true;
    let line = Stated::now(&w, CALLER, CALLED).line();
    w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    w.run_for(2_900);
    assert_eq!(w[carrier].statuses("INVITE"), [100], "its copies were absorbed");
    assert!(w[b].requests("INVITE").is_empty());
    assert_eq!(w.board.counts().stir, 1);
    w.run_for(2_000);
    assert_eq!(w[carrier].last().status, 200);
    w.hang_up(carrier);
    w.assert_empty();
    assert_eq!(story(&w, "stir.unchecked"), ["no verdict in time"]);
}

/// Row 163: whoever has brought what is wrong is not let in for something else whose certificate does not come.
#[test]
fn row_163_a_wrong_identity_is_not_made_good_by_a_slow_one() {
    let (mut w, b, carrier) = called(StirIn::Require);
    let stated = Stated::now(&w, CALLER, CALLED);
    let at = |x5u| Stated { x5u, ..stated.clone() }.line();
    w.dial_with(carrier, NUMBER, &Body::Auto, &format!("{}{}", at(GONE), at(SLOW)));
    w.run_for(4_000);
    assert_eq!(w[carrier].last().status, 436);
    assert!(w[b].requests("INVITE").is_empty());
    w.assert_empty();
    assert_eq!(outcome(&w).0, "identity_unfetched");
}

/// Calls that wait for a verdict are calls: no more of them begin than there may be.
#[test]
fn calls_that_wait_for_a_verdict_count() {
    let mut snapshot = signing_office(StirIn::Reject);
    snapshot.limits.calls_max = 2;
    let (mut w, _, carrier) = called_with(snapshot);
    w.is_stir_dead = true;
    let line = Stated::now(&w, CALLER, CALLED).line();
    for _ in 0..3 {
        w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    }
    w.run_for(500);
    assert_eq!(w.board.counts().stir, 2);
    assert_eq!(w[carrier].last().status, 503);
    for call in 0..2 {
        w[carrier].cancel(call);
    }
    w.flush(carrier.0);
    w.run_for(1_000);
    w.assert_empty();
}

/// Row 163: a caller that gives up while its certificate is fetched leaves a record like any other.
#[test]
fn row_163_a_caller_may_give_up_while_it_is_checked() {
    let (mut w, b, carrier) = called(StirIn::Note);
    w.is_stir_dead = true;
    let line = Stated::now(&w, CALLER, CALLED).line();
    w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    w.run_for(1_000);
    w.cancel(carrier);
    w.run_for(1_000);
    assert_eq!(w[carrier].last().status, 487);
    assert!(w[b].requests("INVITE").is_empty());
    w.assert_empty();
    assert_eq!(outcome(&w), ("cancelled", "caller", false));
}

/// Row 163: only so many wait; the next one goes on unchecked.
#[test]
fn row_163_what_waits_for_a_verdict_is_bounded() {
    let (mut w, _, carrier) = called(StirIn::Reject);
    w.is_stir_dead = true;
    let line = Stated::now(&w, CALLER, CALLED).line();
    for _ in 0..CHECKED_MAX {
        w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    }
    w.run_for(100);
    assert_eq!(w.board.counts().stir, CHECKED_MAX);
    w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    w.run_for(1_000);
    assert_eq!(w.board.counts().stir, CHECKED_MAX);
    assert_eq!(w[carrier].last().status, 200);
    w.hang_up(carrier);
    for call in 0..CHECKED_MAX {
        w[carrier].cancel(call);
    }
    w.flush(carrier.0);
    w.run_for(1_000);
    assert_eq!(w.board.counts().stir, 0);
    w.assert_empty();
    assert_eq!(story(&w, "stir.unchecked"), ["too many calls wait to be checked"]);
}

/// Row 163: tokens are good for a minute of the world's time, and somebody may set the machine's clock.
#[test]
fn row_163_the_clock_is_that_of_the_world() {
    let (mut w, _, carrier) = called(StirIn::Reject);
    let now = w.instant();
    let hour = 3_600_000_000;
    let since = i64::try_from(w.now).unwrap();
    w.with_board(|board, _| board.clock_is(now, Wall(EPOCH.0 + since + hour)));
    let good = Stated::now(&w, CALLER, CALLED);
    for (iat, status) in [(good.iat, 403), (good.iat + 3_600, 200)] {
        w.dial_with(carrier, NUMBER, &Body::Auto, &Stated { iat, ..good.clone() }.line());
        w.run_for(2_000);
        assert_eq!(w[carrier].last().status, status);
    }
    w.hang_up(carrier);
    w.assert_empty();
}

/// Row 163: phones that are to be told are told behind the number, and a caller without one is left alone.
#[test]
fn row_163_phones_are_shown_what_came_of_the_check() {
    let good = |w: &World| Stated::now(w, CALLER, CALLED);
    for (what, verstat) in [
        (Some(Attestation::A), ";verstat=TN-Validation-Passed@"),
        (Some(Attestation::B), ";verstat=TN-Validation-Passed-B@"),
        (Some(Attestation::C), ";verstat=TN-Validation-Passed-C@"),
        (None, ";verstat=No-TN-Validation@"),
    ] {
        let mut snapshot = signing_office(StirIn::Note);
        snapshot.stir.verstat = true;
        let (mut w, b, carrier) = called_with(snapshot);
        let line = what.map(|attest| Stated { attest, ..good(&w) }.line()).unwrap_or_default();
        w.dial_with(carrier, NUMBER, &Body::Auto, &line);
        w.run_for(200);
        let from = w[b].requests("INVITE")[0].get("From").to_owned();
        assert!(from.contains(&format!("+{CALLER}{verstat}")), "{from}");
        w.cancel(carrier);
        w.assert_empty();
    }
    let (mut w, b, carrier) = called(StirIn::Note);
    w.dial_with(carrier, NUMBER, &Body::Auto, &good(&w).line());
    w.run_for(200);
    assert!(!w[b].requests("INVITE")[0].get("From").contains("verstat"), "it is off");
    w.cancel(carrier);
    w.assert_empty();
}

/// Row 163: the story of a call that is sent elsewhere says what came of the check as well.
#[test]
fn row_163_a_call_that_is_forwarded_tells_what_came_of_the_check() {
    let (mut w, b, carrier) = called(StirIn::Note);
    let c = w.phone("1003");
    w[c].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.dial(b, "*721003");
    w.run_for(3_000);
    let line = Stated::now(&w, CALLER, CALLED).line();
    w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    w.run_for(2_000);
    assert_eq!(w[c].requests("INVITE").len(), 1);
    w.hang_up(carrier);
    w.assert_empty();
    assert_eq!(story(&w, "call.forwarded"), ["1002 sends the call to 1003"]);
    assert_eq!(story(&w, "stir.verified"), ["attestation A"]);
}
