//! Fifty-seven messages of our own, after RFC 4475 and from the field: 33 to accept, 24 to refuse or mend.

use tandem::proto::sip::message::{Message, Parsed};

use crate::board::{Board, TRUNK};
use crate::corpus::answered;

/// One message: its name, its bytes, the parser's verdict and the status that a trunk gets.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    parse: &'static str,
    status: &'static str,
}

fn case(
    name: &'static str,
    parse: &'static str,
    status: &'static str,
    bytes: impl Into<Vec<u8>>,
) -> Case {
    Case { name, bytes: bytes.into(), parse, status }
}

/// A request with every mandatory header; `more` stands before the blank line.
fn request(method: &str, uri: &str, more: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKc1\r\nMax-Forwards: 70\r\n\
         From: <sip:a@a.example>;tag=f1\r\nTo: <sip:b@b.example>\r\nCall-ID: c1@a.example\r\n\
         CSeq: 7 {method}\r\n{more}\r\n"
    )
}

fn options(more: &str) -> String {
    request("OPTIONS", "sip:b@b.example", more)
}

/// OPTIONS with one header line written otherwise.
fn options_with(from: &str, to: &str) -> String {
    let text = options("Content-Length: 0\r\n");
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn response(status_line: &str, more: &str) -> String {
    let text = options(more);
    let (_, rest) = text.split_once("\r\n").unwrap();
    format!("{status_line}\r\n{rest}")
}

fn ok(name: &'static str, status: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    case(name, "accept", status, bytes)
}

fn bad(name: &'static str, bytes: impl Into<Vec<u8>>) -> Case {
    case(name, "refuse 400", "400", bytes)
}

/// After RFC 4475: what must be accepted.
fn after_the_rfc() -> Vec<Case> {
    let long = "x".repeat(4000);
    let part = b"--b\r\nContent-Type: application/isup\r\n\r\n\x00\x01\x02\xff\r\n\r\n--b--\r\n";
    let kind =
        format!("Content-Type: multipart/mixed;boundary=b\r\nContent-Length: {}\r\n", part.len());
    let mut multipart = request("MESSAGE", "sip:b@b.example", &kind).into_bytes();
    multipart.extend_from_slice(part);
    let tortuous = "OPTIONS sip:b@b.example;unknownparam SIP/2.0\r\nTO :\r\n sip:b@b.example\r\n\
         from   : \"A \\\\\\\"\"    <sip:a@a.example>\r\n  ;\r\n  tag = f1\r\nCall-ID: c1\r\ncseq: 0009\r\n  OPTIONS\r\n\
         Via  : SIP  /   2.0\r\n /UDP\r\n    203.0.113.7;branch=z9hG4bKc1\r\ns :\r\nOdd: ;;,,;;,;\r\n\r\n";
    vec![
        ok("short tortuous request", "200", tortuous),
        ok("odd method token", "501", request("!m%_*+`'~.-", "sip:b@b.example", "")),
        ok("percent escapes", "404", request("INVITE", "sip:%62%6fb@b.example;%6C%72", "")),
        ok("escaped NUL", "404", request("INVITE", "sip:a%00b@b.example", "")),
        ok("no LWS before <", "200", options_with("From: <", "From: a<")),
        ok("very long values", "200", options(&format!("X-Long: {long}\r\n"))),
        ok("trailing second request", "200", [options("l: 0\r\n"), options("l: 0\r\n")].concat()),
        ok("; in the user part", "404", request("INVITE", "sip:b;par=u%40x@b.example", "")),
        ok(
            "unknown transports",
            "200",
            options("Via: SIP/2.0/CARRIER-PIGEON t;branch=z9hG4bK2\r\n"),
        ),
        ok("binary multipart", "405", multipart),
        ok("UTF-8 reason", "none", response("SIP/2.0 200 \u{597d}\u{7684}", "")),
        ok("empty reason", "none", response("SIP/2.0 180 ", "")),
    ]
}

/// From the field: what must be accepted.
fn from_the_field() -> Vec<Case> {
    let compact = "OPTIONS sip:b@b.example SIP/2.0\r\nv: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKc1\r\n\
         f: <sip:a@a.example>;tag=f1\r\nt: <sip:b@b.example>\r\ni: c1\r\nCSeq: 7 OPTIONS\r\n\
         m: <sip:a@a.example>\r\nk: timer\r\ns: x\r\ne: identity\r\nc: text/plain\r\nl: 0\r\n\r\n";
    vec![
        ok("all compact", "200", compact),
        ok(
            "folded WWW-Authenticate",
            "none",
            response(
                "SIP/2.0 401 Unauthorized",
                "WWW-Authenticate: Digest realm=\"r\",\r\n nonce=\"n\",\r\n\tqop=\"auth\"\r\n",
            ),
        ),
        ok("dotted user", "404", request("INVITE", "sip:john.doe@b.example", "")),
        ok("comma in quotes", "200", options("Contact: \"Doe, J\" <sip:a@x>;q=0.5, <sip:b@x>\r\n")),
        ok("two Vias in one line", "200", options_with("c1\r\nMax", "c1, SIP/2.0/UDP b\r\nMax")),
        ok(
            "IPv6 everywhere",
            "200",
            request(
                "OPTIONS",
                "sip:[2001:db8::10]:5070",
                "Contact: <sip:a@[2001:db8::9]>\r\nVia: SIP/2.0/UDP [2001:db8::9]:5060;received=2001:db8::9\r\n",
            ),
        ),
        ok(
            "Contact: *",
            "401",
            request("REGISTER", "sip:b.example", "Contact: *\r\nExpires: 0\r\n"),
        ),
        ok("< in a quoted name", "200", options_with("From: <", "From: \"a < b, c\" <")),
        ok(
            "Refer-To with Replaces",
            "403",
            request(
                "REFER",
                "sip:b@b.example",
                "Refer-To: <sip:c@x?Replaces=1%40x%3Bto-tag%3D2%3Bfrom-tag%3D3>\r\n",
            ),
        ),
        ok(
            "tel URI",
            "404",
            request("INVITE", "tel:+1-201-555-0123;phone-context=example.com", ""),
        ),
        ok(
            "nc=0000000a",
            "200",
            options(
                "Authorization: Digest username=\"a\", realm=\"r\", nonce=\"n\", uri=\"sip:b@b.example\", nc=0000000a, response=\"0\"\r\n",
            ),
        ),
        ok("unknown auth scheme", "200", options("Authorization: Pigeon coo=\"a, b\"\r\n")),
        ok("unknown URI scheme", "416", request("OPTIONS", "pigeon:coop-7", "")),
        ok("RAck", "481", request("PRACK", "sip:b@b.example", "RAck: 1 2 INVITE\r\n")),
    ]
}

/// What must be accepted; most of it by leniency.
fn lenient() -> Vec<Case> {
    let mut latin = options_with("From: <", "From: \"J?rg\" <").into_bytes();
    *latin.iter_mut().find(|byte| **byte == b'?').unwrap() = 0xf6;
    vec![
        ok("Session-Expires", "200", options("Session-Expires: 1800;refresher=uac\r\n")),
        ok("empty header", "200", options("Subject:\r\nSupported: \r\n")),
        ok("leading CRLF", "200", format!("\r\n\r\n{}", options(""))),
        ok("LF only", "200", options("").replace("\r\n", "\n")),
        ok("Latin-1 display name", "200", latin),
        ok("699 with parentheses", "none", response("SIP/2.0 699 (odd) [but] allowed", "")),
        ok(
            "5,000 parameters",
            "200",
            options_with("tag=f1", &format!("tag=f1{}", ";p".repeat(5000))),
        ),
    ]
}

/// Everything that must be accepted.
fn valid() -> Vec<Case> {
    [after_the_rfc(), from_the_field(), lenient()].into_iter().flatten().collect()
}

/// What must be refused, or mended without harm.
fn broken() -> Vec<Case> {
    let scalars = "Expires: 99999999999\r\nRetry-After: 99999999999999999999\r\n";
    let quotes = format!("From: \"{} <", "\\\"".repeat(2000));
    let random: Vec<u8> =
        (0..512_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    vec![
        bad("extra separators", options_with("c1\r\nMax", "c1;;,;,,\r\nMax")),
        bad("Content-Length too large", options("Content-Length: 10\r\n")),
        bad("Content-Length negative", options("Content-Length: -1\r\n")),
        bad("Content-Length doubled", options("Content-Length: 0\r\nl: 3\r\n")),
        bad("overlarge scalars, request", options_with("CSeq: 7", "CSeq: 4294967296")),
        case(
            "overlarge scalars, response",
            "drop",
            "none",
            response("SIP/2.0 503 x", scalars).replace("CSeq: 7", "CSeq: 9292394834772304023312"),
        ),
        bad("unbalanced quote", options_with("From: <", "From: \"a <")),
        bad("<Request-URI>", request("OPTIONS", "<sip:b@b.example>", "")),
        bad("space in the Request-URI", request("OPTIONS", "sip:b@b.example; lr", "")),
        bad("double spaces", request("OPTIONS", " sip:b@b.example ", "")),
        bad("trailing spaces", options_with("SIP/2.0\r\nVia", "SIP/2.0  \r\nVia")),
        bad("spaces in an addr-spec", options_with("<sip:b@b.example>", "< sip:b@b.example >")),
        case("SIP/7.0", "refuse 505", "505", options_with("SIP/2.0\r\nVia", "SIP/7.0\r\nVia")),
        bad("method mismatch", options_with("7 OPTIONS", "7 INVITE")),
        case("status 4294967301", "drop", "none", response("SIP/2.0 4294967301 x", "")),
        bad("missing mandatory headers", options_with("Call-ID: c1@a.example\r\n", "")),
        bad("doubled singletons", options("From: <sip:x@x>;tag=2\r\n")),
        bad("header without a colon", options("just words\r\n")),
        bad("NUL byte", options_with("<sip:b@b.example>", "<sip:b\0b@b.example>")),
        bad("truncated head", options("Subj").trim_end().to_owned()),
        case("HTTP request", "drop", "none", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        case("bare CRLF CRLF", "keep-alive", "none", "\r\n\r\n"),
        case("random bytes", "drop", "none", random),
        bad("2,000 escaped quotes", options_with("From: <", &quotes)),
    ]
}

/// The whole catalogue, for the seeds of other tests too.
fn all() -> Vec<Case> {
    let mut all = valid();
    all.extend(broken());
    all
}

#[test]
fn the_catalogue_has_57_messages() {
    assert_eq!((valid().len(), broken().len()), (33, 24));
}

#[test]
fn every_message_of_the_catalogue_is_read_and_answered_as_it_should_be() {
    let mut wrong = Vec::new();
    for Case { name, bytes, parse, status } in all() {
        let found = match Message::parse(&bytes) {
            Parsed::Message(_) => "accept".to_owned(),
            Parsed::Refuse(_, defect) => format!("refuse {}", defect.status()),
            Parsed::Drop(_) => "drop".to_owned(),
            Parsed::KeepAlive => "keep-alive".to_owned(),
        };
        let mut board = Board::new();
        let answer = answered(&board.datagram(TRUNK, &bytes));
        if (found.as_str(), answer.as_str()) != (parse, status) {
            wrong.push(format!("{name}: {found}, {answer} instead of {parse}, {status}"));
        }
        board.settle();
        if board.live() != (0, 0, 0) {
            wrong.push(format!("{name}: left behind {:?}", board.live()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
