//! Wire cases that need the whole switchboard, by their number in the interop catalogue.

use tandem::proto::sip::message::{Message, Parsed};
use tandem::proto::sip::registration::{Outcome, Policy, Registrar};
use tandem::proto::sip::transport::{Flow, Transport};
use tandem::proto::time::Instant;

use crate::board::{Board, PHONE, TRUNK};
use crate::corpus::{answered, message};

fn request(method: &str, uri: &str, more: &str, body: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKr1\r\nMax-Forwards: 70\r\n\
         From: <sip:+8613800138000@203.0.113.7>;tag=f1\r\nTo: <{uri}>\r\nCall-ID: r1\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:203.0.113.7>\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The one final answer to a request.
fn answer(source: &str, text: &str) -> String {
    let sent = Board::new().datagram(source, text.as_bytes());
    let last = sent.iter().rev().find(|(_, text)| text.starts_with("SIP/2.0 "));
    last.map(|(_, text)| text.clone()).unwrap_or_default()
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|found| found == line)
}

/// Row 13: a body that we cannot read is 415 with what we can, unless the caller says it does not matter.
#[test]
fn row_013_an_unknown_body_is_refused_unless_it_is_optional() {
    let uri = "sip:+862012345678@192.0.2.1";
    let odd = "Content-Type: application/x-odd\r\n";
    let refused = answer(TRUNK, &request("INVITE", uri, odd, "odd"));
    assert!(refused.starts_with("SIP/2.0 415 "), "{refused}");
    assert!(has_line(&refused, "Accept: application/sdp"), "{refused}");
    let optional = format!("{odd}Content-Disposition: render;handling=optional\r\n");
    let passed = answer(TRUNK, &request("INVITE", uri, &optional, "odd"));
    // The phone that the number leads to is not registered: the call got that far.
    assert!(passed.starts_with("SIP/2.0 480 "), "{passed}");
}

/// Row 14: a scheme that nobody knows is 416, a tel URI is dialled like a sip URI, and the emergency
/// service is a destination, not an unknown scheme.
#[test]
fn row_014_tel_is_dialled_and_unknown_schemes_are_416() {
    for scheme in ["pigeon:coop", "http://example.com/"] {
        let refused = answer(TRUNK, &request("INVITE", scheme, "", ""));
        assert!(refused.starts_with("SIP/2.0 416 "), "{scheme}: {refused}");
    }
    for uri in ["tel:+862012345678", "sip:+862012345678@192.0.2.1", "tel:+862012345678;ext=7"] {
        let found = answer(TRUNK, &request("INVITE", uri, "", ""));
        assert!(found.starts_with("SIP/2.0 480 "), "{uri}: {found}");
    }
    let call = request("INVITE", "tel:+862012345678", "", "");
    let rung = Board::with_phone().datagram(TRUNK, call.as_bytes());
    let invite = format!("INVITE sip:1001@{PHONE} SIP/2.0");
    assert!(rung.iter().any(|(to, text)| to.to_string() == PHONE && text.starts_with(&invite)));
    let unknown = answer(TRUNK, &request("INVITE", "tel:+4930123456", "", ""));
    assert!(unknown.starts_with("SIP/2.0 404 "), "{unknown}");
    let sos = answer(TRUNK, &request("INVITE", "urn:service:sos", "", ""));
    assert!(!sos.starts_with("SIP/2.0 416 "), "{sos}");
}

/// Row 17: a method that we have never heard of is 501, one that we know and do not serve 405; both say
/// what we do serve.
#[test]
fn row_017_an_unknown_method_is_answered_with_allow() {
    for (method, status) in [("NEWMETHOD", "501"), ("PUBLISH", "405"), ("MESSAGE", "405")] {
        let refused = answer(TRUNK, &request(method, "sip:x@192.0.2.1", "", ""));
        assert!(refused.starts_with(&format!("SIP/2.0 {status} ")), "{refused}");
        assert!(refused.contains("\r\nAllow: INVITE, ACK, "), "{refused}");
    }
}

/// Row 19: a request from an IPv6 peer is answered on the socket that it came from, to the address that it
/// came from.
#[test]
fn row_019_an_ipv6_peer_is_answered_where_it_asked() {
    let source = "[2001:db8::9:1]:5060";
    for name in ["via-received-param-no-delim", "via-received-param-with-delim"] {
        let sent = Board::new().datagram(source, &message(name));
        let [(to, text)] = sent.as_slice() else { panic!("{name}: {sent:?}") };
        assert_eq!(to.to_string(), source, "{name}");
        assert!(text.contains("\r\nVia: SIP/2.0/UDP [2001:db8::9:1];"), "{name}: {text}");
    }
    let nat = options_from("[2001:db8::1]:5060", ";rport");
    let sent = Board::new().datagram("[2001:db8::9:1]:6060", nat.as_bytes());
    let [(to, text)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!(to.to_string(), "[2001:db8::9:1]:6060");
    assert!(text.contains("rport=6060;branch") || text.contains(";rport=6060"), "{text}");
    assert!(text.contains(";received=2001:db8::9:1\r\n"), "no brackets: {text}");
}

fn options_from(sent_by: &str, params: &str) -> String {
    request("OPTIONS", "sip:[2001:db8::10]", "", "")
        .replace("203.0.113.7;branch", &format!("{sent_by}{params};branch"))
}

/// The number of a torture REGISTER is bound; the contacts come back as the registrar keeps them.
fn registered(name: &str) -> Vec<String> {
    let Parsed::Message(request) = Message::parse(&message(name)) else { panic!("{name}") };
    let flow = Flow {
        transport: Transport::Udp,
        listener: 0,
        local: "192.0.2.1:5060".parse().unwrap(),
        remote: "198.51.100.66:5060".parse().unwrap(),
        connection: 0,
    };
    let seconds = std::time::Duration::from_secs;
    let policy = Policy {
        expires_min: seconds(60),
        expires_max: seconds(7200),
        expires_default: seconds(3600),
        contacts_max: 5,
    };
    let outcome = Registrar::default().register(Instant::START, "x", &request, flow, &policy);
    match outcome {
        Outcome::Accepted { contacts, .. } => contacts,
        refused @ Outcome::Refused { .. } => panic!("{name}: {refused:?}"),
    }
}

/// RFC 4475 §3.3.12 to §3.3.14 and §3.1.1.4: whose parameter it is, escaped headers, escaped NULs.
#[test]
fn row_001_registrations_keep_what_belongs_to_the_uri() {
    assert_eq!(registered("cparam01"), ["<sip:+19725552222@gw1.example.net>;expires=3600"]);
    assert_eq!(
        registered("cparam02"),
        ["<sip:+19725552222@gw1.example.net;unknownparam>;expires=3600"]
    );
    assert_eq!(
        registered("regescrt"),
        ["<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires=3600"]
    );
    assert_eq!(
        registered("escnull"),
        ["<sip:%00@host5.example.com>;expires=3600", "<sip:%00%00@host5.example.com>;expires=3600"]
    );
}

/// RFC 4475 §3.3.5: both lists of unknown extensions are named.
#[test]
fn row_001_unsupported_names_every_extension() {
    let sent = Board::new().datagram(TRUNK, &message("bext01"));
    assert_eq!(answered(&sent), "420");
    let expected = "Unsupported: nothingSupportsThis, nothingSupportsThisEither, \
                    noProxiesSupportThis, norDoAnyProxiesSupportThis";
    assert!(has_line(&sent[0].1, expected), "{}", sent[0].1);
}
