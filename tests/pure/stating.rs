//! Statements of who calls (STIR) that leave by trunks: what is stated, how sure that is, and what is passed on.

use tandem::proto::sip::header::HeaderName;
use tandem::proto::stir::passport::Type;
use tandem::proto::stir::{Attestation, Expected, Party, Passport, chains_of};
use tandem::switch::snapshot::{Destination, StirIn};
use tandem::switch::stir::Owned;

use crate::scene::outcome;
use crate::sim::office::{CARRIER, NUMBER, phone, signing_office};
use crate::sim::phone::{Body, Reply, ok, ring};
use crate::sim::sdp::HOLD;
use crate::sim::stir::{STRANGE, Stated, seconds};
use crate::sim::text::{Login, md5_challenge};
use crate::sim::world::{PhoneId, World};
use crate::stir::{CALLED, CALLER, called_with, events, story};

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

/// Row 164, row 163: with a carrier that is shown the original caller of a forwarded call, what that one's carrier signed
/// goes on with a `div` of ours; without it the number is only passed on.
#[test]
fn row_164_an_original_caller_keeps_its_statement() {
    for (signed, kinds) in [(true, &[Type::Shaken, Type::Div][..]), (false, &[Type::Shaken][..])] {
        let mut snapshot = signing_office(StirIn::Note);
        snapshot.trunks[0].dialect.forwarded_caller =
            tandem::switch::identity::ForwardedCaller::Original;
        let (mut w, b, carrier) = called_with(snapshot);
        let away = Reply::status(302).contact("<sip:013800138000@tandem>");
        w[b].habits.on_invite = vec![(20, away)];
        w[carrier].habits.on_invite = vec![(20, ring())];
        let line = if signed { Stated::now(&w, CALLER, CALLED).line() } else { String::new() };
        w.dial_with(carrier, NUMBER, &Body::Auto, &line);
        w.run_for(500);
        let passports = stated(&w, carrier);
        let found: Vec<_> = passports.iter().map(|passport| passport.kind).collect();
        assert_eq!(found, kinds);
        assert!(passports.iter().all(|passport| passport.orig == number(CALLER)));
        let level = if signed { Attestation::A } else { Attestation::C };
        assert_eq!(passports[0].attest, Some(level));
        w[carrier].cancel(0);
        w.flush(carrier.0);
        w.assert_empty();
    }
}
