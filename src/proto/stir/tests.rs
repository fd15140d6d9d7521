//! Tokens: the example of RFC 8225, what is written and read again, and what may not pass.

use proptest::prelude::*;

use super::base64url::{decode, encode};
use super::passport::{IDENTITY_MAX, Statement, Type};
use super::*;

/// RFC 8225, appendix A.
const RFC_8225: &str = concat!(
    "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9j",
    "ZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9.",
    "eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI",
    "6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19.",
    "VLBCIVDCaeK6M4hLJb6SHQvacAQVvoiiEOWQ_iUkqk79UD81fHQ0E1b3_GluIkb",
    "a7UWYRM47ZbNFdOJquE35cw"
);
const X5U: &str = "https://cert.example.org/passport.cer";
const ORIGID: &str = "123e4567-e89b-12d3-a456-426655440000";

fn number(text: &str) -> Party {
    Party::Number(text.to_owned())
}

/// A SHAKEN token with a signature that nobody checks here.
fn shaken(orig: &str, dest: &str, iat: i64) -> String {
    let (orig, dest) = (number(orig), number(dest));
    let statement = Statement { x5u: X5U, iat, orig: &orig, dest: &dest };
    statement.value(Type::Shaken, &statement.shaken(Attestation::A, ORIGID), &[7; 64])
}

fn div(orig: &str, by: &str, dest: &str, iat: i64) -> String {
    let (orig, dest, by) = (number(orig), number(dest), number(by));
    let statement = Statement { x5u: X5U, iat, orig: &orig, dest: &dest };
    statement.value(Type::Div, &statement.div(&by), &[7; 64])
}

fn read(value: &str) -> Passport {
    Passport::read(value).unwrap().unwrap()
}

fn refused(value: &str) -> (u16, &'static str) {
    let failure = Passport::read(value).unwrap_err();
    (failure.kind.status(), failure.why)
}

/// A token of this head and these claims.
fn token(head: &str, claims: &str) -> String {
    let signature = encode(&[7; 64]);
    format!("{}.{}.{signature};info=<{X5U}>", encode(head.as_bytes()), encode(claims.as_bytes()))
}

const HEAD: &str = "{\"alg\":\"ES256\",\"ppt\":\"shaken\",\"typ\":\"passport\",\"x5u\":\"https://cert.example.org/passport.cer\"}";

#[test]
fn the_example_of_rfc_8225_is_read() {
    let passport = read(&format!("{RFC_8225};info=<{X5U}>;alg=ES256"));
    assert_eq!(passport.kind, Type::Base);
    assert_eq!((passport.iat, passport.x5u.as_str()), (1_471_375_418, X5U));
    assert_eq!(passport.orig, number("12155551212"));
    assert_eq!(passport.dest, [Party::Uri("sip:alice@example.com".into())]);
    assert!(RFC_8225.starts_with(&passport.input));
}

#[test]
fn what_is_written_is_read() {
    let value = shaken("12155551212", "862012345678", 1_500_000_000);
    let passport = read(&value);
    assert_eq!(passport.attest, Some(Attestation::A));
    assert_eq!(
        (passport.orig, passport.dest),
        (number("12155551212"), vec![number("862012345678")])
    );
    let claims = value.split('.').nth(1).and_then(decode).unwrap();
    assert_eq!(
        String::from_utf8(claims).unwrap(),
        format!(
            "{{\"attest\":\"A\",\"dest\":{{\"tn\":[\"862012345678\"]}},\"iat\":1500000000,\
             \"orig\":{{\"tn\":\"12155551212\"}},\"origid\":\"{ORIGID}\"}}"
        )
    );
    let passport = read(&div("1", "2", "3", 5));
    assert_eq!((passport.kind, passport.div), (Type::Div, Some(number("2"))));
}

/// Row 163: a malformed Identity header is one, whatever is malformed in it.
#[test]
fn row_163_malformed_headers_and_tokens_are_invalid() {
    let claims = |orig: &str, dest: &str, rest: &str| {
        format!(
            "{{\"attest\":\"A\",\"dest\":{dest},\"iat\":1,\"orig\":{orig},\"origid\":\"{ORIGID}\"{rest}}}"
        )
    };
    let (orig, dest) = ("{\"tn\":\"1\"}", "{\"tn\":[\"2\"]}");
    assert!(Passport::read(&token(HEAD, &claims(orig, dest, ""))).is_ok());
    let head = |from: &str, to: &str| token(&HEAD.replace(from, to), &claims(orig, dest, ""));
    for (value, status) in [
        (String::new(), 438),
        ("garbage".into(), 438),
        ("!!!.???.###;info=<x>".into(), 438),
        (format!("..{}", encode(&[7; 64])), 438),
        ("a.b.c.d".into(), 438),
        (token("[]", "{}"), 438),
        (token(HEAD, "[]"), 438),
        (token(HEAD, &claims("{}", dest, "")), 438),
        (token(HEAD, &claims("{\"tn\":\"+1\"}", dest, "")), 438),
        (token(HEAD, &claims("{\"tn\":\"1\",\"uri\":\"sip:a@b\"}", dest, "")), 438),
        (token(HEAD, &claims(orig, "{\"tn\":\"2\"}", "")), 438),
        (token(HEAD, &claims(orig, "{\"tn\":[]}", "")), 438),
        (token(HEAD, &claims(orig, dest, ",\"iat\":2")), 438),
        (token(HEAD, &claims(orig, dest, "").replace("\"A\"", "\"D\"")), 438),
        (token(HEAD, &claims(orig, dest, "").replace(ORIGID, "1")), 438),
        (token(HEAD, &claims(orig, dest, "").replace("\"iat\":1", "\"iat\":\"1\"")), 438),
        (head("ES256", "none"), 437),
        (head("ES256", "HS256"), 437),
        (head("passport", "JWT"), 438),
        (head("https:", ""), 436),
        (head(X5U, ""), 436),
        (format!("{};ppt=div", token(HEAD, &claims(orig, dest, ""))), 438),
        (format!("{};info=<{X5U}>", token(HEAD, &claims(orig, dest, ""))), 438),
        ("x".repeat(100_000), 438),
    ] {
        assert_eq!(refused(&value).0, status, "{value:.120}");
    }
    let short = token(HEAD, &claims(orig, dest, "")).replace(&encode(&[7; 64]), &encode(&[7; 63]));
    assert_eq!(refused(&short).0, 438);
    // A type that we know nothing of is passed over, whatever it claims.
    assert_eq!(Passport::read(&token(&HEAD.replace("shaken", "rcd"), "{}")), Ok(None));
}

fn expected(caller: &str, called: &str, now: i64) -> Expected {
    Expected { caller: number(caller), called: number(called), now }
}

/// Row 163: sixty seconds either way, and the right numbers.
#[test]
fn row_163_a_token_is_for_one_call_and_one_minute() {
    let now = 1_800_000_000;
    for (orig, dest, iat, verdict) in [
        ("1", "2", now, Ok(1)),
        ("1", "2", now - 60, Ok(1)),
        ("1", "2", now + 60, Ok(1)),
        ("1", "2", now - 61, Err(403)),
        ("1", "2", now + 61, Err(403)),
        ("1", "2", i64::MIN, Err(403)),
        ("1", "2", i64::MAX, Err(403)),
        ("9", "2", now, Err(438)),
        ("1", "9", now, Err(438)),
    ] {
        let passports = [read(&shaken(orig, dest, iat))];
        let chains = chains_of(&passports, &expected("1", "2", now));
        let found = chains.map(|chains| chains[0].len()).map_err(|failure| failure.kind.status());
        assert_eq!(found, verdict, "{orig} {dest} {iat}");
    }
    let failure = chains_of(&[], &expected("1", "2", now)).unwrap_err();
    assert_eq!(failure.kind.status(), 428);
}

/// Row 163: a call that was sent elsewhere is vouched for by an unbroken chain (RFC 8946).
#[test]
fn row_163_a_chain_of_diversions_leads_to_the_called_number() {
    let now = 1_800_000_000;
    let chain = |values: &[String]| {
        let passports: Vec<_> = values.iter().map(|value| read(value)).collect();
        let chains = chains_of(&passports, &expected("1", "4", now));
        chains.map(|chains| chains[0].len()).map_err(|failure| failure.kind.status())
    };
    let first = shaken("1", "2", now - 200);
    let (second, third) = (div("1", "2", "3", now - 30), div("1", "3", "4", now));
    assert_eq!(chain(&[third.clone(), first.clone(), second.clone()]), Ok(3));
    assert_eq!(chain(&[first.clone(), third.clone()]), Err(438), "a link is missing");
    assert_eq!(chain(&[first.clone(), second.clone()]), Err(438), "it ends elsewhere");
    assert_eq!(chain(&[second.clone(), third.clone()]), Err(428), "nobody says who calls");
    let other = div("9", "3", "4", now);
    assert_eq!(chain(&[first.clone(), second.clone(), other]), Err(438), "of another caller");
    let old = div("1", "3", "4", now - 61);
    assert_eq!(chain(&[first, second.clone(), old]), Err(403), "the last one is old");
    let ancient = shaken("1", "2", now - 301);
    assert_eq!(chain(&[ancient, second, third]), Err(403));
    // In circles, and longer than anybody forwards.
    let circle = [shaken("1", "2", now), div("1", "2", "3", now), div("1", "3", "2", now)];
    assert_eq!(chain(&circle), Err(438));
}

#[test]
fn a_failure_is_told_as_rfc_9410_says() {
    let failure = Failure::new(Kind::BadInfo, "no answer");
    assert_eq!(failure.reason(), "STIR;cause=436;text=\"Bad Identity Info\"");
    assert_eq!(failure.to_string(), "436 Bad Identity Info: no answer");
}

proptest! {
    #[test]
    fn no_header_panics(value in "\\PC{0,200}") {
        let _ = Passport::read(&value);
    }

    #[test]
    fn no_token_panics(head in "[ -~]{0,120}", claims in "[ -~]{0,200}", tail in "[ -~]{0,60}") {
        let _ = Passport::read(&format!("{}{tail}", token(&head, &claims)));
        prop_assert!(token(HEAD, &claims).len() < IDENTITY_MAX);
        let _ = Passport::read(&token(HEAD, &claims));
    }
}
