//! Statements of who calls (STIR): whom we believe, what we do with whom we do not, and what we state ourselves.

use tandem::proto::sip::header::HeaderName;
use tandem::proto::stir::passport::Type;
use tandem::proto::stir::{Attestation, Expected, Party, Passport, chains_of};
use tandem::proto::time::Wall;
use tandem::switch::snapshot::{Destination, Snapshot, StirIn};
use tandem::switch::stir::Owned;
use tandem::switch::switchboard::CHECKED_MAX;

use crate::scene::outcome;
use crate::sim::office::{CARRIER, NUMBER, phone, signing_office};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::sdp::HOLD;
use crate::sim::stir::{GONE, STRANGE, Stated, seconds};
use crate::sim::text::{Login, md5_challenge};
use crate::sim::world::{EPOCH, PhoneId, World};

const CALLER: &str = "12155551212";
/// [`NUMBER`], as tokens write it.
const CALLED: &str = "862012345678";

/// The phone 1002 and the trunk, whose caller is `+12155551212`.
fn called(policy: StirIn) -> (World, PhoneId, PhoneId) {
    called_with(signing_office(policy))
}

fn called_with(snapshot: Snapshot) -> (World, PhoneId, PhoneId) {
    let mut w = World::new(snapshot);
    let b = w.phone("1002");
    let carrier = w.party("carrier", CARRIER);
    w[carrier].user = format!("+{CALLER}");
    w[b].habits.on_invite = vec![(20, ring()), (500, ok())];
    (w, b, carrier)
}

fn story(w: &World, kind: &str) -> Vec<String> {
    let lines = w.records.iter().flat_map(|record| &record.timeline);
    lines.filter(|line| line.what == kind).map(|line| line.text.clone()).collect()
}

fn events(w: &World, kind: &str) -> usize {
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

/// The statements of the last INVITE that a party got.
fn stated(w: &World, id: PhoneId) -> Vec<Passport> {
    let invite = w[id].requests("INVITE").last().copied().cloned().unwrap();
    invite.all(HeaderName::Identity.as_str()).map(|v| Passport::read(v).unwrap().unwrap()).collect()
}

fn number(text: &str) -> Party {
    Party::Number(text.to_owned())
}

/// Row 164: full attestation is for our own numbers, whoever of ours calls; any other number has B.
#[test]
fn row_164_an_invite_states_who_calls_and_how_sure_that_is() {
    for (caller_id, level) in [
        (NUMBER, Attestation::A),
        ("+862088888842", Attestation::A),
        ("+862088888942", Attestation::B),
        ("+12155551212", Attestation::B),
    ] {
        let mut snapshot = signing_office(StirIn::Off);
        snapshot.stir.numbers.push(Owned::parse("+8620888888xx").unwrap());
        snapshot.trunks[0].caller_id = Some(caller_id.to_owned());
        let mut w = World::new(snapshot);
        let a = w.phone("1001");
        let carrier = w.party("carrier", CARRIER);
        w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
        w.dial(a, "013800138000");
        w.run_for(2_000);
        assert_eq!(w[a].last().status, 200);
        let [passport] = stated(&w, carrier).try_into().unwrap();
        assert_eq!(passport.kind, Type::Shaken);
        assert_eq!(passport.attest, Some(level), "{caller_id}");
        assert_eq!(passport.orig, number(&caller_id[1..]));
        assert_eq!(passport.dest, [number("8613800138000")]);
        assert_eq!(passport.x5u, "https://certs.example.com/ours.pem");
        assert!((seconds(w.now) - passport.iat) <= 3);
        w.hang_up(a);
        w.assert_empty();
        let words = format!("who calls, attestation {}", level.word());
        assert_eq!(story(&w, "stir.signed"), [words]);
    }
}

/// Row 164: two phones have two origins, and one phone always the same; neither tells which it is.
#[test]
fn row_164_the_id_of_an_origin_is_a_phones() {
    let origin_of = |input: &str| {
        let claims = input.split_once('.').unwrap().1.to_owned();
        // Signed are the words that leave; only equality counts here.
        claims[claims.len() - 40..].to_owned()
    };
    let mut snapshot = signing_office(StirIn::Off);
    snapshot.trunks[0].caller_id = Some(NUMBER.to_owned());
    let mut w = World::new(snapshot);
    let (a, b) = (w.phone("1001"), w.phone("1003"));
    let carrier = w.party("carrier", CARRIER);
    w[carrier].habits.on_invite = vec![(20, Reply::status(486))];
    for phone in [a, b, a] {
        w.dial(phone, "013800138000");
        w.run_for(100);
    }
    let ids: Vec<_> = w.signed.iter().map(|input| origin_of(input)).collect();
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
    w.assert_empty();
}

/// Row 164: what is nobody's number outside is not stated, nor is anything on a trunk that does not want it; help is
/// called without a detour.
#[test]
fn row_164_some_calls_state_nothing() {
    for (caller_id, stir_out, dialled) in [
        (None, true, "013800138000"),
        (Some(NUMBER), false, "013800138000"),
        (Some(NUMBER), true, "110"),
    ] {
        let mut snapshot = signing_office(StirIn::Off);
        snapshot.trunks[0].caller_id = caller_id.map(str::to_owned);
        snapshot.trunks[0].stir_out = stir_out;
        let mut w = World::new(snapshot);
        let a = w.phone("1001");
        let carrier = w.party("carrier", CARRIER);
        w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
        w.dial(a, dialled);
        w.run_for(2_000);
        assert_eq!(w[a].last().status, 200, "{dialled}");
        assert!(stated(&w, carrier).is_empty() && w.signed.is_empty());
        w.hang_up(a);
        w.assert_empty();
    }
}

/// Row 164: an INVITE that is sent again, with credentials, is stated again; what follows in the dialog is not.
#[test]
fn row_164_an_invite_with_credentials_is_signed_anew() {
    let mut snapshot = signing_office(StirIn::Off);
    snapshot.trunks[0].caller_id = Some(NUMBER.to_owned());
    snapshot.trunks[0].user = Some("us".to_owned());
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    let challenge =
        "WWW-Authenticate: Digest realm=\"c\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
    w[carrier].habits.on_invite = vec![(20, Reply::status(401).header(challenge))];
    w.dial(a, "013800138000");
    w.run_for(30);
    w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.run_for(2_000);
    assert_eq!(w[a].last().status, 200);
    let invites = w[carrier].requests("INVITE");
    assert_eq!(invites.len(), 2);
    assert!(invites.iter().all(|invite| invite.all("Identity").count() == 1));
    w.modify(a, "INVITE", HOLD);
    w.run_for(500);
    let last = w[carrier].requests("INVITE").last().copied().cloned().unwrap();
    assert!(!last.tag_of_to().is_empty() && !last.has("Identity"));
    w.hang_up(a);
    w.assert_empty();
}

/// Row 164: who signs may be gone: after a second the INVITE leaves as it is.
#[test]
fn row_164_an_invite_waits_a_second_for_its_signature() {
    let mut snapshot = signing_office(StirIn::Off);
    snapshot.trunks[0].caller_id = Some(NUMBER.to_owned());
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    w[carrier].habits.on_invite = vec![(20, ring()), (500, ok())];
    w.is_stir_dead = true;
    w.dial(a, "013800138000");
    w.run_for(900);
    assert!(w[carrier].requests("INVITE").is_empty());
    w.run_for(2_000);
    assert_eq!(w[a].last().status, 200);
    assert!(stated(&w, carrier).is_empty());
    assert_eq!(events(&w, "stir.unsigned"), 1);
    w.hang_up(a);
    w.assert_empty();
    assert_eq!(story(&w, "stir.unsigned").len(), 1);
}

/// Row 164: a caller that gives up before the INVITE is signed: it never leaves.
#[test]
fn row_164_a_call_may_be_given_up_before_it_is_signed() {
    let mut snapshot = signing_office(StirIn::Off);
    snapshot.trunks[0].caller_id = Some(NUMBER.to_owned());
    let mut w = World::new(snapshot);
    let a = w.phone("1001");
    let carrier = w.party("carrier", CARRIER);
    w.is_stir_dead = true;
    w.dial(a, "013800138000");
    w.run_for(300);
    assert_eq!(w.board.counts().stir, 1);
    w.cancel(a);
    w.run_for(300);
    assert_eq!(w[a].last().status, 487);
    w.assert_empty();
    assert!(w[carrier].requests("INVITE").is_empty());
    assert_eq!(outcome(&w).0, "cancelled");
}

/// Row 164: a phone's own public number counts like a trunk's; a call that a phone sends outside leaves under its
/// number, and is ours as well.
#[test]
fn row_164_a_call_that_a_phone_sends_outside_is_that_phones() {
    let mut snapshot = signing_office(StirIn::Reject);
    snapshot.trunks[0].caller_id = Some(NUMBER.to_owned());
    let (mut w, b, carrier) = called_with(snapshot);
    let away = Reply::status(302).contact("<sip:013800138000@tandem>");
    w[b].habits.on_invite = vec![(20, away)];
    w[carrier].habits.on_invite = vec![(20, ring())];
    let line = Stated::now(&w, CALLER, CALLED).line();
    w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    w.run_for(500);
    let [passport] = stated(&w, carrier).try_into().unwrap();
    assert_eq!((passport.orig, passport.attest), (number(CALLED), Some(Attestation::A)));
    w[carrier].cancel(0);
    w.flush(carrier.0);
    w.assert_empty();
}

/// Row 164: an identity that a phone chose is signed as what it is.
#[test]
fn row_164_an_identity_of_a_phone_is_stated() {
    for (identity, level) in [("+862088888801", Attestation::A), ("+862077777701", Attestation::B)]
    {
        let mut snapshot = signing_office(StirIn::Off);
        snapshot.stir.numbers.push(Owned::parse("+8620888888xx").unwrap());
        let phone = snapshot.phones.get_mut("1001").unwrap();
        phone.rights.identities.push(identity.to_owned());
        let mut w = World::new(snapshot);
        let (a, carrier) = (w.phone("1001"), w.party("carrier", CARRIER));
        let uri = "sip:013800138000@tandem";
        let text = |extra: &str, cseq: u32| {
            format!(
                "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {{me}};rport;branch={{branch}}\r\nMax-Forwards: 70\r\n\
                 From: <sip:{identity}@tandem>;tag=f\r\nTo: <{uri}>\r\nCall-ID: who\r\nCSeq: {cseq} INVITE\r\n\
                 Contact: <sip:1001@{{me}}>\r\n{extra}Content-Length: 0\r\n\r\n"
            )
        };
        w.raw(a, &text("", 1));
        w.run_for(50);
        let (header, challenge) = md5_challenge(w[a].response(401).unwrap()).unwrap();
        let login = Login { user: "1001", secret: "secret-1001", method: "INVITE", uri, nc: 40 };
        w.raw(a, &text(&format!("{header}: {}\r\n", login.answer(&challenge)), 2));
        w.run_for(90);
        let [passport] = stated(&w, carrier).try_into().unwrap();
        assert_eq!((passport.orig, passport.attest), (number(&identity[1..]), Some(level)));
    }
}

/// The phone that has the caller's number for its extension, so that what it sends outside leaves under that number: as
/// a call does whose caller is shown where it is forwarded to.
fn forwarding(policy: StirIn) -> (World, PhoneId, PhoneId) {
    let mut snapshot = signing_office(policy);
    let extension = format!("+{CALLER}");
    snapshot.phones.extend([phone(&extension, "")]);
    snapshot.numbers[0].to = Destination::Phone(extension.clone());
    let mut w = World::new(snapshot);
    let b = w.phone(&extension);
    let carrier = w.party("carrier", CARRIER);
    w[carrier].user = extension;
    let away = Reply::status(302).contact("<sip:013800138000@tandem>");
    w[b].habits.on_invite = vec![(20, away)];
    w[carrier].habits.on_invite = vec![(20, ring())];
    (w, b, carrier)
}

/// Row 163: what a call came with goes on with it, and beside it that it was forwarded, and by which number (RFC 8946):
/// together they are a chain that the next one can check.
#[test]
fn row_163_a_call_that_is_forwarded_keeps_its_statement() {
    let (mut w, _, carrier) = forwarding(StirIn::Note);
    let line = Stated::now(&w, CALLER, CALLED).line();
    w.dial_with(carrier, NUMBER, &Body::Auto, &line);
    w.run_for(500);
    let invite = w[carrier].requests("INVITE").last().copied().cloned().unwrap();
    assert_eq!(format!("Identity: {}\r\n", invite.get("Identity")), line, "as it came");
    let passports = stated(&w, carrier);
    let [_, div] = passports.as_slice() else { panic!("{passports:?}") };
    assert_eq!((div.kind, &div.div), (Type::Div, &Some(number(CALLED))));
    assert_eq!((&div.orig, div.dest.as_slice()), (&number(CALLER), &[number("8613800138000")][..]));
    let expected =
        Expected { caller: number(CALLER), called: number("8613800138000"), now: seconds(w.now) };
    assert_eq!(chains_of(&passports, &expected).unwrap()[0].len(), 2);
    w[carrier].cancel(0);
    w.flush(carrier.0);
    w.assert_empty();
}

/// Row 164: a number that came in by a trunk and that nobody vouched for is stated as just that: C.
#[test]
fn row_164_a_strangers_number_is_only_passed_on() {
    for (policy, headers) in [(StirIn::Off, false), (StirIn::Note, false), (StirIn::Note, true)] {
        let (mut w, _, carrier) = forwarding(policy);
        let forged = Stated { x5u: STRANGE, ..Stated::now(&w, CALLER, CALLED) }.line();
        let headers = if headers { forged } else { String::new() };
        w.dial_with(carrier, NUMBER, &Body::Auto, &headers);
        w.run_for(500);
        let [passport] = stated(&w, carrier).try_into().unwrap();
        assert_eq!((passport.orig, passport.attest), (number(CALLER), Some(Attestation::C)));
        let invite = w[carrier].requests("INVITE").last().copied().cloned().unwrap();
        assert!(invite.get("Date").ends_with(" GMT"));
        w[carrier].cancel(0);
        w.flush(carrier.0);
        w.assert_empty();
    }
}
