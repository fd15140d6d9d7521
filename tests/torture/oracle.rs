//! Another parser's reading of plain messages: rsip 0.4.0 and ours must agree.
//!
//! Plain means nothing that rsip is known to misread: no IPv6, no `tel:`, no folding, no compact names, no
//! dots or parameters in user parts, no lists in one line, no quoted parameters, a body of text, and a
//! Content-Length that is right.

use proptest::prelude::*;
use rsip::headers::{ToTypedHeader, UntypedHeader};
use rsip::message::HeadersExt;
use tandem::proto::sip::header::HeaderName;
use tandem::proto::sip::message::{Message, Parsed};

/// What both parsers are asked for.
#[derive(PartialEq, Debug)]
struct Reading {
    method: String,
    uri: String,
    vias: usize,
    from_tag: Option<String>,
    to_tag: Option<String>,
    call_id: String,
    cseq: (u32, String),
    body: Vec<u8>,
}

fn ours(bytes: &[u8]) -> Reading {
    let Parsed::Message(message) = Message::parse(bytes) else {
        panic!("refused: {}", String::from_utf8_lossy(bytes));
    };
    Reading {
        method: message.method().to_string(),
        uri: message.uri().to_owned(),
        vias: message.list(HeaderName::Via).len(),
        from_tag: message.from_tag(),
        to_tag: message.to_tag(),
        call_id: message.call_id().into_owned(),
        cseq: (message.cseq().number, message.cseq().method.to_string()),
        body: message.body().to_vec(),
    }
}

fn theirs(bytes: &[u8]) -> Reading {
    let request = rsip::Request::try_from(bytes).expect("rsip reads it");
    let cseq = request.cseq_header().unwrap().typed().unwrap();
    let tag = |tag: Option<rsip::param::Tag>| tag.map(|tag| tag.to_string());
    Reading {
        method: request.method.to_string(),
        uri: request.uri.to_string(),
        vias: request.headers.iter().filter(|h| matches!(h, rsip::Header::Via(_))).count(),
        from_tag: tag(request.from_header().unwrap().tag().unwrap()),
        to_tag: tag(request.to_header().unwrap().tag().unwrap()),
        call_id: request.call_id_header().unwrap().value().to_owned(),
        cseq: (cseq.seq, cseq.method.to_string()),
        body: request.body,
    }
}

prop_compose! {
    fn host()(name in "[a-z][a-z0-9]{0,8}", domain in "(example\\.com|test|invalid)") -> String {
        format!("{name}.{domain}")
    }
}

prop_compose! {
    fn address()(
        name in "(|Alice|\"Bob Smith\")",
        user in "[a-zA-Z][a-zA-Z0-9_-]{0,10}",
        host in host(),
        port in prop::option::of(1024_u16..65_535),
    ) -> (String, String) {
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        let uri = format!("sip:{user}@{host}{port}");
        let value = if name.is_empty() { format!("<{uri}>") } else { format!("{name} <{uri}>") };
        (uri, value)
    }
}

prop_compose! {
    fn plain_request()(
        method in prop::sample::select(vec![
            "INVITE", "OPTIONS", "REGISTER", "BYE", "SUBSCRIBE", "NOTIFY", "MESSAGE", "INFO", "UPDATE",
        ]),
        (uri, _) in address(),
        (_, from) in address(),
        (_, to) in address(),
        tags in ("[a-z0-9]{1,12}", prop::option::of("[a-z0-9]{1,12}")),
        vias in prop::collection::vec((host(), "[a-zA-Z0-9]{1,16}"), 1..5),
        call_id in "[a-zA-Z0-9-]{1,30}(@[a-z]{1,8}\\.test)?",
        number in 0_u32..0x7fff_ffff,
        subject in "[a-zA-Z0-9 ]{0,20}",
        body in "[ -~]{0,60}",
    ) -> String {
        let vias: String = vias
            .iter()
            .map(|(host, branch)| format!("Via: SIP/2.0/UDP {host};branch=z9hG4bK{branch}\r\n"))
            .collect();
        let to_tag = tags.1.map_or(String::new(), |tag| format!(";tag={tag}"));
        format!(
            "{method} {uri} SIP/2.0\r\n{vias}Max-Forwards: 70\r\nFrom: {from};tag={}\r\nTo: {to}{to_tag}\r\n\
             Call-ID: {call_id}\r\nCSeq: {number} {method}\r\nSubject: x{subject}\r\n\
             Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
            tags.0,
            body.len()
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn plain_messages_read_as_another_parser_reads_them(text in plain_request()) {
        prop_assert_eq!(ours(text.as_bytes()), theirs(text.as_bytes()));
    }
}

/// The messages of RFC 4475 that are plain in this sense.
#[test]
fn plain_torture_messages_read_as_another_parser_reads_them() {
    for name in ["baddate", "invut", "zeromf", "cparam02"] {
        let bytes = crate::corpus::message(name);
        assert_eq!(ours(&bytes), theirs(&bytes), "{name}");
    }
}
