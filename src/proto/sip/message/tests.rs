use super::framing::{Frame, Framer};
use super::*;
use crate::proto::sip::header::name_addr::NameAddrError;

fn invite(extra: &str, body: &str) -> String {
    format!(
        "INVITE sip:bob@b.example SIP/2.0\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\nFrom: <sip:a@a.example>;tag=1\r\nTo: <sip:bob@b.example>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n{extra}\r\n{body}"
    )
}

fn good(text: &str) -> Message {
    match Message::parse(text.as_bytes()) {
        Parsed::Message(message) => message,
        other => panic!("{other:?}\n{text}"),
    }
}

fn refused(text: &str) -> u16 {
    match Message::parse(text.as_bytes()) {
        Parsed::Refuse(_, defect) => defect.status(),
        other => panic!("{other:?}\n{text}"),
    }
}

/// Row 2: compact names, any case, folding and lists over lines or in one line read the same.
#[test]
fn row_002_compact_folded_and_listed_headers_read_alike() {
    let long = good(&invite("Via: SIP/2.0/UDP b\r\nSubject: I know you're there\r\n", ""));
    let short = good(
        "INVITE sip:bob@b.example SIP/2.0\r\nv: SIP/2.0/UDP a.example;branch=z9hG4bK1,\r\n  SIP/2.0/UDP b\r\nF:\r\n <sip:a@a.example>\r\n\t;tag=1\r\nt : <sip:bob@b.example>\r\nI: c1\r\nCSEQ: 1\r\n  INVITE\r\ns: I know\r\n you're there\r\n\r\n",
    );
    for message in [&long, &short] {
        assert_eq!(
            message.list(HeaderName::Via),
            ["SIP/2.0/UDP a.example;branch=z9hG4bK1", "SIP/2.0/UDP b"]
        );
        assert_eq!(message.branch().as_deref(), Some("z9hG4bK1"));
        assert_eq!(message.from_tag().as_deref(), Some("1"));
        assert_eq!(message.call_id(), "c1");
        assert_eq!(message.text(HeaderName::Subject).as_deref(), Some("I know you're there"));
    }
}

/// Row 3: without brackets, parameters are the header's; `,` `?` `;` need brackets.
#[test]
fn row_003_parameters_without_brackets_belong_to_the_header() {
    let parsed = NameAddr::parse("sip:a@b.example;expires=5").unwrap();
    assert_eq!((parsed.uri, parsed.params.as_str()), ("sip:a@b.example", "expires=5"));
    assert!(NameAddr::parse("sip:a@b.example?x=y").is_err());
    assert_eq!(refused(&invite("Contact: sip:user@example.com?Route=%3Csip:x%3E\r\n", "")), 400);
}

/// RFC 4475 §3.1.2.14: a blank or a control character in the brackets is refused, not carried on.
#[test]
fn row_003_a_uri_in_brackets_is_unbroken() {
    for to in ["< sip:b@x >", "<sip:b@x >", "<sip:b\0@x>", "<sip:b@x\t>", "<sip:b@x\u{7f}>"] {
        assert_eq!(NameAddr::parse(to), Err(NameAddrError::BadUri), "{to}");
        assert_eq!(
            refused(&invite("", "").replace("To: <sip:bob@b.example>", &format!("To: {to}"))),
            400
        );
    }
}

/// What goes back must be what came: a control character in a branch, a tag or a Call-ID would not, and an
/// open quote would swallow what is written behind it.
#[test]
fn row_004_what_cannot_go_back_as_it_came_is_refused() {
    for (from, to) in [
        ("z9hG4bK1", "z9hG4bK1\rx"),
        ("z9hG4bK1", "z9hG4bK1\u{1}"),
        ("z9hG4bK1", "z9hG4bK1;x=\""),
        ("z9hG4bK1", "z9<hG4bK1"),
        ("UDP a.example", "UDP;maddr= a.example"),
        ("tag=1", "tag=1\rx"),
        ("To: <sip:bob@b.example>", "To: sip:bob@b.example;user=phone,"),
        ("tag=1", "tag=\"1"),
        ("b.example>\r\nCall", "b.example>;x=\"\r\nCall"),
        ("c1", "c\u{7f}1"),
    ] {
        assert_eq!(refused(&invite("", "").replacen(from, to, 1)), 400, "{from} {to:?}");
    }
    good(&invite("", "").replace("z9hG4bK1", "z9hG4bK1;x=\"a;b\""));
}

/// Row 4: several Contacts, quoted commas and escapes; an unterminated quote is 400.
#[test]
fn row_004_contacts_split_at_the_right_commas() {
    let message = good(&invite(
        "Contact: \"Doe, \\\"J\\\"\" <sip:a@x>;q=0.7, <sip:b@x;a,b>, sip:c@x\r\n",
        "",
    ));
    assert_eq!(
        message.list(HeaderName::Contact),
        ["\"Doe, \\\"J\\\"\" <sip:a@x>;q=0.7", "<sip:b@x;a,b>", "sip:c@x"]
    );
    let text = invite("", "").replace("To: <", "To: \"Mr. Bob <");
    assert_eq!(refused(&text), 400);
}

/// Row 5: bytes behind Content-Length are not body.
#[test]
fn row_005_bytes_after_the_content_length_are_ignored() {
    assert_eq!(good(&invite("Content-Length: 3\r\n", "abcdef")).body(), b"abc");
}

/// Row 6: a Content-Length beyond the datagram refuses a request and drops a response.
#[test]
fn row_006_a_content_length_beyond_the_datagram_is_refused() {
    assert_eq!(refused(&invite("Content-Length: 30\r\n", "abcdef")), 400);
    let response = invite("Content-Length: 30\r\n", "x")
        .replace("INVITE sip:bob@b.example SIP/2.0", "SIP/2.0 200 OK");
    assert!(matches!(Message::parse(response.as_bytes()), Parsed::Drop(_)));
}

/// Row 7: a stream is reassembled at every cut; two messages in one segment are two.
#[test]
fn row_007_a_stream_may_be_cut_anywhere() {
    let one = invite("Content-Length: 4\r\n", "v=0\n");
    let two = format!("{one}{one}");
    for cut in 0..two.len() {
        let mut framer = Framer::default();
        let mut frames = Vec::new();
        for part in [&two.as_bytes()[..cut], &two.as_bytes()[cut..]] {
            framer.push(part);
            while let Some(frame) = framer.next_frame() {
                frames.push(frame);
            }
        }
        let whole = Frame::Message(one.clone().into_bytes());
        assert_eq!(frames, [whole.clone(), whole], "cut at {cut}");
    }
    let mut framer = Framer::default();
    let mut frames = Vec::new();
    for byte in two.as_bytes() {
        framer.push(&[*byte]);
        frames.extend(framer.next_frame());
    }
    assert_eq!(frames.len(), 2);
}

/// Row 7: what is read byte by byte, or comes as thousands of pings, is framed in linear time: a head is
/// read once, and the buffer is cut once for each read.
#[test]
fn row_007_a_long_body_does_not_have_its_head_read_again() {
    let text = invite(&format!("X: {}\r\nContent-Length: 30000\r\n", "y".repeat(16_000)), "");
    let mut framer = Framer::default();
    framer.push(text.as_bytes());
    assert_eq!(framer.next_frame(), None);
    assert_eq!(framer.awaited, Some(text.len() + 30_000), "the head has been read");
    framer.push(&[b'z'; 29_999]);
    assert_eq!(framer.next_frame(), None);
    framer.push(b"z\r\n\r\n");
    assert!(matches!(framer.next_frame(), Some(Frame::Message(_))));
    assert_eq!((framer.next_frame(), framer.next_frame()), (Some(Frame::Ping), None));
    framer.push(&b"\r\n\r\n".repeat(10_000));
    let before = framer.buffer.as_ptr();
    let pings = std::iter::from_fn(|| framer.next_frame()).count();
    assert_eq!((pings, framer.buffer.as_ptr(), framer.buffer.len()), (10_000, before, 40_000));
}

/// Row 7: a stream without Content-Length cannot be framed.
#[test]
fn row_007_a_stream_without_content_length_is_broken() {
    let mut framer = Framer::default();
    framer.push(invite("", "").as_bytes());
    assert!(matches!(framer.next_frame(), Some(Frame::Broken { .. })));
    framer.push(invite("Content-Length: 0\r\n", "").as_bytes());
    assert_eq!(framer.next_frame(), None, "nothing is read after the break");
}

/// Row 8: absurd, negative and contradicting lengths are refused before memory is taken.
#[test]
fn row_008_absurd_content_lengths_are_refused() {
    for lines in [
        "Content-Length: 4294967296\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0\r\nContent-Length: 4\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length: \r\n",
    ] {
        assert_eq!(refused(&invite(lines, "abcd")), 400, "{lines}");
        let mut framer = Framer::default();
        framer.push(invite(lines, "abcd").as_bytes());
        assert!(matches!(framer.next_frame(), Some(Frame::Broken { .. })), "{lines}");
    }
}

/// Row 9: line ends before the start line are skipped; alone they are a keep-alive.
#[test]
fn row_009_leading_line_ends_are_skipped() {
    good(&format!("\r\n\r\n{}", invite("", "")));
    assert!(matches!(Message::parse(b"\r\n\r\n"), Parsed::KeepAlive));
    let mut framer = Framer::default();
    framer.push(b"\r\n\r\n");
    assert_eq!(framer.next_frame(), Some(Frame::Ping));
    framer.push(b"\r\n");
    framer.push(invite("l: 0\r\n", "").as_bytes());
    assert!(matches!(framer.next_frame(), Some(Frame::Message(_))));
}

/// Row 10: control characters in what we emit never reach the wire.
#[test]
fn row_010_a_value_cannot_start_a_header_of_its_own() {
    let packet = build::Builder::request(&Method::Invite, "sip:a\r\nEvil: 1@b")
        .header(HeaderName::Subject, "x\r\nEvil: 2\0\n")
        .finish();
    let text = String::from_utf8(packet.to_vec()).unwrap();
    assert!(!text.lines().any(|line| line.starts_with("Evil")), "{text}");
    assert!(!text.contains('\0'));
}

/// Row 11: limits have their own answers, and a long Call-ID is whole.
#[test]
fn row_011_limits_are_answered_by_name() {
    let long = "x".repeat(500);
    assert_eq!(good(&invite("", "").replace("c1", &long)).call_id(), long);
    let uri = format!("sip:{}@b.example", "u".repeat(3000));
    assert_eq!(refused(&invite("", "").replacen("sip:bob@b.example", &uri, 1)), 414);
    assert_eq!(refused(&invite(&"X-A: 1\r\n".repeat(300), "")), 513);
    assert_eq!(refused(&invite(&format!("X-A: {}\r\n", "y".repeat(20_000)), "")), 513);
}

/// Row 12: the session description is found in a multipart body, whose bytes stay as they are.
#[test]
fn row_012_the_sdp_of_a_multipart_body_is_found() {
    let body = "--b1\r\nContent-Type: application/isup\r\nContent-Disposition: signal;handling=optional\r\n\r\n\u{1}\u{2}\r\n--b1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\no=x\r\n\r\n--b1--\r\n";
    let message = good(&invite("Content-Type: multipart/mixed;boundary=\"b1\"\r\n", body));
    assert_eq!(message.body(), body.as_bytes());
    assert_eq!(message.sdp(), Some(b"v=0\r\no=x\r\n".as_slice()));
}

/// Row 16: the Request-URI and every header keep the bytes that arrived.
#[test]
fn row_016_raw_bytes_are_kept() {
    let text = invite("X-Odd:   \t a  b \r\n", "")
        .replace("sip:bob@b.example SIP", "sip:%62ob@B.example;X=%41 SIP");
    let message = good(&text);
    assert_eq!(message.uri(), "sip:%62ob@B.example;X=%41");
    assert_eq!(message.raw(), text.as_bytes());
    let odd = message.lines().find(|(_, name, _)| *name == b"X-Odd").unwrap();
    assert_eq!(odd.2, b"a  b");
}

/// Row 18: a CSeq of another method, or above 2^31, is 400.
#[test]
fn row_018_a_wrong_cseq_is_refused() {
    assert_eq!(refused(&invite("", "").replace("1 INVITE", "1 OPTIONS")), 400);
    assert_eq!(refused(&invite("", "").replace("1 INVITE", "36893488147419103232 INVITE")), 400);
    assert_eq!(refused(&invite("", "").replace("1 INVITE", "2147483648 INVITE")), 400);
    good(&invite("", "").replace("1 INVITE", "2147483647 INVITE"));
}

/// Row 19: IPv6 literals in Via, Contact and `received`.
#[test]
fn row_019_ipv6_literals_are_read() {
    let text = invite("Contact: <sip:a@[2001:db8::9:1]:5070>\r\n", "")
        .replace("UDP a.example;", "UDP [2001:db8::9:1]:5070;received=2001:db8::9:255;");
    let message = good(&text);
    let top = message.top_via().unwrap();
    let via = Via::parse(&top).unwrap();
    assert_eq!((via.host.to_string(), via.port), ("[2001:db8::9:1]".to_owned(), Some(5070)));
    assert_eq!(message.contact_uri().as_deref(), Some("sip:a@[2001:db8::9:1]:5070"));
}

/// Row 20: a display name in UTF-8, or in no encoding at all, passes untouched.
#[test]
fn row_020_display_names_pass_untouched() {
    let message = good(&invite("", "").replace("From: <", "From: \"李雷 =?utf-8?q?x?=\" <"));
    assert!(message.text(HeaderName::From).unwrap().starts_with("\"李雷 =?utf-8?q?x?=\""));
    let mut latin = invite("", "").into_bytes();
    let at = latin.windows(6).position(|w| w == b"From: ").unwrap() + 6;
    latin.splice(at..at, *b"\"J\xf6rg\" ");
    let Parsed::Message(message) = Message::parse(&latin) else { panic!() };
    assert!(message.raw_values(HeaderName::From).next().unwrap().starts_with(b"\"J\xf6rg\""));
}

#[test]
fn a_response_goes_back_with_received_and_rport() {
    let request = good(&invite("", "").replace("z9hG4bK1", "z9hG4bK1;rport"));
    let flow = Flow {
        transport: crate::proto::sip::transport::Transport::Udp,
        listener: 0,
        local: "127.0.0.1:5060".parse().unwrap(),
        remote: "192.0.2.7:4444".parse().unwrap(),
        connection: 0,
    };
    let packet = build::Builder::response(&request, 180, "Ringing", Some("tt"), &flow).finish();
    let text = String::from_utf8(packet.to_vec()).unwrap();
    assert!(
        text.contains(
            "Via: SIP/2.0/UDP a.example;branch=z9hG4bK1;rport=4444;received=192.0.2.7\r\n"
        ),
        "{text}"
    );
    assert!(text.contains("To: <sip:bob@b.example>;tag=tt\r\n"), "{text}");
}

use crate::proto::sip::transport::Flow;

#[test]
fn garbage_is_dropped_and_never_panics() {
    for bytes in [
        &b""[..],
        b"x",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"SIP/2.0 2000 x\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"INVITE\r\n\r\n",
    ] {
        assert!(matches!(Message::parse(bytes), Parsed::Drop(_)), "{bytes:?}");
    }
}
