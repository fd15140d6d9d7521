use std::time::Duration;

use super::client::{Account, Credentials, Refused};
use super::digest::{Algorithm, Inputs};
use super::server::{Authenticator, Verdict};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::message::{Message, Parsed};
use crate::proto::time::Instant;
use crate::proto::token::Tokens;

const URI: &str = "sip:tandem.example";

fn server() -> Authenticator {
    Authenticator::new(
        "tandem",
        &[Algorithm::Sha256, Algorithm::Md5],
        Duration::from_secs(300),
        [3; 32],
    )
}

fn response(headers: &[String]) -> Message {
    let mut text = "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:a@x>;tag=2\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n".to_owned();
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let Parsed::Message(message) = Message::parse(text.as_bytes()) else { panic!("{text}") };
    message
}

fn challenge(server: &mut Authenticator, now: Instant) -> Message {
    let headers: Vec<_> = server
        .challenges(now, false)
        .into_iter()
        .map(|c| format!("WWW-Authenticate: {c}"))
        .collect();
    response(&headers)
}

fn account(secret: &str) -> Credentials {
    Credentials::new(Account { user: "1001".into(), secret: secret.into() })
}

fn answer(credentials: &mut Credentials, tokens: &mut Tokens) -> String {
    credentials.headers("REGISTER", URI, b"", tokens).remove(0).1
}

/// The worked example of RFC 7616 §3.9.1, both algorithms.
#[test]
fn the_examples_of_rfc_7616_come_out() {
    let response = |algorithm| {
        Inputs {
            algorithm,
            is_session: false,
            username: "Mufasa",
            realm: "http-auth@example.org",
            secret: "Circle of Life",
            method: "GET",
            uri: "/dir/index.html",
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            qop: Some(("auth", "00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
            body: b"",
        }
        .response()
    };
    assert_eq!(response(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(
        response(Algorithm::Sha256),
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

/// The worked example of RFC 7616 §3.9.2 (SHA-512-256), whose user name is hashed.
#[test]
fn sha_512_256_is_the_truncated_variant_of_its_own() {
    assert_eq!(
        Algorithm::Sha512_256.hash(&[b""]),
        "c672b8d1ef56ed28ab87c3622c5114069bdd3ad7b8f9737498d0c01ecef0967a"
    );
}

#[test]
fn the_right_password_is_accepted_and_the_wrong_one_is_not() {
    let (mut server, mut tokens) = (server(), Tokens::new([1; 32]));
    for (secret, verdict) in [("right", Verdict::Accepted), ("wrong", Verdict::Wrong)] {
        let mut client = account(secret);
        client.challenged(&challenge(&mut server, Instant::START)).unwrap();
        let header = answer(&mut client, &mut tokens);
        assert_eq!(server.user_of(&header).as_deref(), Some("1001"));
        assert_eq!(server.check(Instant::START, &header, "REGISTER", URI, b"", "right"), verdict);
    }
}

/// Row 68: a replayed request is refused; counts may arrive out of order within the window.
#[test]
fn row_068_a_replayed_count_is_refused() {
    let (mut server, mut tokens) = (server(), Tokens::new([1; 32]));
    let mut client = account("right");
    client.challenged(&challenge(&mut server, Instant::START)).unwrap();
    let mut check =
        |header: &str| server.check(Instant::START, header, "REGISTER", URI, b"", "right");
    let first = answer(&mut client, &mut tokens);
    let second = answer(&mut client, &mut tokens);
    let third = answer(&mut client, &mut tokens);
    assert!(third.contains("nc=00000003"), "{third}");
    assert_eq!(check(&third), Verdict::Accepted);
    assert_eq!(check(&third), Verdict::Replayed);
    assert_eq!(check(&first), Verdict::Accepted);
    assert_eq!(check(&second), Verdict::Accepted);
    assert_eq!(check(&first), Verdict::Replayed);
    for _ in 0..64 {
        answer(&mut client, &mut tokens);
    }
    let late = answer(&mut client, &mut tokens);
    assert_eq!(check(&late), Verdict::Accepted);
    assert_eq!(check(&second), Verdict::Replayed, "behind the window");
}

/// Row 68: with qop, a cnonce and a count of eight digits must be there; without qop a nonce serves once.
#[test]
fn row_068_qop_needs_cnonce_and_count() {
    let (mut server, mut tokens) = (server(), Tokens::new([1; 32]));
    let old = "Digest realm=\"tandem\", nonce=\"N\"";
    let nonce = {
        let text = server.challenges(Instant::START, false).remove(0);
        text.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    let mut client = account("right");
    client
        .challenged(&response(&[format!("WWW-Authenticate: {}", old.replace('N', &nonce))]))
        .unwrap();
    let header = answer(&mut client, &mut tokens);
    assert!(!header.contains("qop"));
    assert_eq!(
        server.check(Instant::START, &header, "REGISTER", URI, b"", "right"),
        Verdict::Accepted
    );
    assert_eq!(
        server.check(Instant::START, &header, "REGISTER", URI, b"", "right"),
        Verdict::Replayed
    );
}

/// Row 69: an old nonce with the right password is stale, as is one of another run of the daemon; with
/// the wrong password it is wrong.
#[test]
fn row_069_an_old_nonce_with_the_right_password_is_stale() {
    let (mut server, mut tokens) = (server(), Tokens::new([1; 32]));
    let later = Instant::from_millis(301_000);
    for (secret, verdict) in [("right", Verdict::Stale), ("wrong", Verdict::Wrong)] {
        let mut client = account(secret);
        client.challenged(&challenge(&mut server, Instant::START)).unwrap();
        let header = answer(&mut client, &mut tokens);
        assert_eq!(server.check(later, &header, "REGISTER", URI, b"", "right"), verdict);
    }
    let mut other =
        Authenticator::new("tandem", &[Algorithm::Md5], Duration::from_secs(300), [4; 32]);
    let mut client = account("right");
    client.challenged(&challenge(&mut other, Instant::START)).unwrap();
    let header = answer(&mut client, &mut tokens);
    assert_eq!(
        server.check(Instant::START, &header, "REGISTER", URI, b"", "right"),
        Verdict::Stale
    );
    assert!(server.challenges(later, true).iter().all(|text| text.ends_with(", stale=true")));
}

/// Row 70: a new nonce starts the client's count at 1 again, stale or not.
#[test]
fn row_070_a_new_nonce_starts_its_count_at_one() {
    let (mut server, mut tokens) = (server(), Tokens::new([1; 32]));
    let mut client = account("right");
    client.challenged(&challenge(&mut server, Instant::START)).unwrap();
    answer(&mut client, &mut tokens);
    answer(&mut client, &mut tokens);
    client.accepted();
    client.challenged(&challenge(&mut server, Instant::START)).unwrap();
    assert!(answer(&mut client, &mut tokens).contains("nc=00000001"));
}

/// Row 71: `auth-int` and `-sess`, as client and as server.
#[test]
fn row_071_auth_int_and_session_variants_agree() {
    let mut tokens = Tokens::new([1; 32]);
    for (qop, algorithm) in
        [("auth-int", "MD5"), ("auth", "MD5-sess"), ("auth-int", "SHA-256-sess")]
    {
        let mut server = server();
        let offered = server.challenges(Instant::START, false).remove(1);
        let offered = offered
            .replace("algorithm=MD5", &format!("algorithm={algorithm}"))
            .replace("\"auth\"", &format!("\"{qop}\""));
        let mut client = account("right");
        client.challenged(&response(&[format!("WWW-Authenticate: {offered}")])).unwrap();
        let header = client.headers("REGISTER", URI, b"body", &mut tokens).remove(0).1;
        assert!(header.contains(&format!("qop={qop}")), "{header}");
        assert_eq!(
            server.check(Instant::START, &header, "REGISTER", URI, b"body", "right"),
            Verdict::Accepted,
            "{algorithm}"
        );
        if qop == "auth-int" {
            assert_eq!(
                server.check(Instant::START, &header, "REGISTER", URI, b"other", "right"),
                Verdict::Wrong
            );
        }
    }
}

/// Row 72: the strongest challenge stands first, and a phone that only knows MD5 still gets in.
#[test]
fn row_072_challenges_go_from_strong_to_old() {
    let (mut server, mut tokens) = (server(), Tokens::new([1; 32]));
    let list = server.challenges(Instant::START, false);
    assert!(list[0].contains("SHA-256") && list[1].contains("algorithm=MD5"), "{list:?}");
    let mut modern = account("right");
    modern.challenged(&challenge(&mut server, Instant::START)).unwrap();
    assert!(answer(&mut modern, &mut tokens).contains("algorithm=SHA-256"));
    let mut client = account("right");
    let unknown =
        "WWW-Authenticate: Digest realm=\"tandem\", nonce=\"x\", algorithm=AKAv1-MD5, qop=\"auth\""
            .to_owned();
    client.challenged(&response(&[unknown, format!("WWW-Authenticate: {}", list[1])])).unwrap();
    let header = answer(&mut client, &mut tokens);
    assert_eq!(
        server.check(Instant::START, &header, "REGISTER", URI, b"", "right"),
        Verdict::Accepted
    );
}

/// Row 73: a 401 and a 407 in one response are both answered, each with its own header.
#[test]
fn row_073_both_kinds_of_challenge_are_answered() {
    let mut tokens = Tokens::new([1; 32]);
    let mut client = account("right");
    let both = response(&[
        "WWW-Authenticate: Digest realm=\"a\", nonce=\"1\", qop=\"auth\"".into(),
        "Proxy-Authenticate: Digest realm=\"b\", nonce=\"2\", qop=\"auth\"".into(),
    ]);
    client.challenged(&both).unwrap();
    let names: Vec<_> =
        client.headers("INVITE", URI, b"", &mut tokens).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [HeaderName::Authorization, HeaderName::ProxyAuthorization]);
}

/// Row 74: a peer that challenges again gets no third try; only a worn-out nonce does.
#[test]
fn row_074_retries_are_bounded() {
    let stale =
        |n| response(&[format!("WWW-Authenticate: Digest realm=\"a\", nonce=\"{n}\", stale=true")]);
    let fresh = |n| response(&[format!("WWW-Authenticate: Digest realm=\"a\", nonce=\"{n}\"")]);
    let mut client = account("right");
    client.challenged(&fresh(1)).unwrap();
    assert_eq!(client.challenged(&fresh(2)), Err(Refused::WrongPassword));
    let mut client = account("right");
    client.challenged(&fresh(1)).unwrap();
    client.challenged(&stale(2)).unwrap();
    client.challenged(&stale(3)).unwrap();
    assert_eq!(client.challenged(&stale(4)), Err(Refused::WrongPassword));
}

/// Row 75: `user@domain`, quoted escapes and a comma in `opaque`; another realm is not ours.
#[test]
fn row_075_names_quotes_and_realms() {
    let (mut server, mut tokens) = (server(), Tokens::new([1; 32]));
    let with_domain = "Digest username=\"1001@x.example\", realm=\"tandem\", nonce=\"n\", uri=\"sip:x\", response=\"0\"";
    assert_eq!(server.user_of(with_domain).as_deref(), Some("1001"));
    assert_eq!(server.user_of(&with_domain.replace("tandem", "other")), None);
    let mut client = Credentials::new(Account { user: "a\"b".into(), secret: "s".into() });
    client
        .challenged(&response(&[
            "WWW-Authenticate: Digest realm=\"a\\\"b\", nonce=\"n\", opaque=\"x,y\"".into(),
        ]))
        .unwrap();
    let header = answer(&mut client, &mut tokens);
    assert!(
        header.contains("username=\"a\\\"b\", realm=\"a\\\"b\"")
            && header.contains("opaque=\"x,y\""),
        "{header}"
    );
    assert_eq!(
        server.check(Instant::START, "Basic abc", "REGISTER", URI, b"", "s"),
        Verdict::Malformed
    );
}

/// Row 77 and RFC 7616 §3.4.6: credentials for another resource are refused.
#[test]
fn credentials_of_another_uri_are_refused() {
    let (mut server, mut tokens) = (server(), Tokens::new([1; 32]));
    let mut client = account("right");
    client.challenged(&challenge(&mut server, Instant::START)).unwrap();
    let header = answer(&mut client, &mut tokens);
    assert_eq!(
        server.check(Instant::START, &header, "REGISTER", "sip:other.example", b"", "right"),
        Verdict::OtherUri
    );
}

/// Row 78: a challenge from another realm than before is not answered.
#[test]
fn row_078_no_digest_for_a_realm_that_was_not_ours_before() {
    let mut client = account("right");
    client
        .challenged(&response(&["WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\"".into()]))
        .unwrap();
    client.accepted();
    let leak = response(&["WWW-Authenticate: Digest realm=\"leak\", nonce=\"n\"".into()]);
    assert_eq!(client.challenged(&leak), Err(Refused::OtherRealm));
}

/// Row 78: inside a dialog only a realm is answered that asked before: for the INVITE, or at our registration. Another
/// header does not make another realm ours.
#[test]
fn row_078_no_digest_for_a_realm_that_asks_first_inside_a_dialog() {
    let asks = |header: &str, realm: &str| {
        response(&[format!("{header}: Digest realm=\"{realm}\", nonce=\"n\"")])
    };
    let leak = asks("WWW-Authenticate", "leak");
    let mut unasked = account("right");
    assert_eq!(unasked.challenged_in_dialog(&leak), Err(Refused::OtherRealm));
    let mut asked = account("right");
    asked.challenged(&asks("Proxy-Authenticate", "carrier")).unwrap();
    asked.accepted();
    assert_eq!(asked.challenged_in_dialog(&leak), Err(Refused::OtherRealm));
    assert_eq!(asked.challenged_in_dialog(&asks("WWW-Authenticate", "carrier")), Ok(()));
    let mut registered = account("right").known_in(Some("carrier".into()));
    assert_eq!(registered.challenged_in_dialog(&leak), Err(Refused::OtherRealm));
    assert_eq!(registered.challenged_in_dialog(&asks("WWW-Authenticate", "carrier")), Ok(()));
}
