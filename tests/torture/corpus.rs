//! The messages of RFC 4475 and RFC 5118, byte for byte, each with its verdict beside it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tandem::proto::sdp::Sdp;
use tandem::proto::sip::header::name_addr::NameAddr;
use tandem::proto::sip::header::via::Via;
use tandem::proto::sip::header::{HeaderName, split_list};
use tandem::proto::sip::message::framing::{Frame, Framer};
use tandem::proto::sip::message::{Message, Parsed};
use tandem::proto::sip::uri::Uri;

use crate::board::{Board, STRANGER, Sent, TRUNK};

/// `NAME.verdict.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    /// Where the message is from.
    section: String,
    /// What the RFC calls it.
    #[expect(dead_code, reason = "for the reader of the file")]
    title: String,
    /// `accept`, `refuse STATUS` or `drop`: what the parser makes of the datagram.
    parse: String,
    /// The status that the switch answers a trunk with, or `none`.
    trunk: String,
    /// The status that it answers a stranger with, or `none`.
    stranger: String,
    /// What the stream framing makes of it: `message` for each one cut out, `broken` for the end.
    frames: Vec<String>,
    /// Why; the choice, where the RFC leaves one.
    why: String,
    /// What must have been read, by name; `"none"` says that it is not there.
    #[serde(default)]
    facts: BTreeMap<String, toml::Value>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torture")
}

/// Every message with its name and verdict, in order of names.
fn corpus() -> Vec<(String, Vec<u8>, Verdict)> {
    let mut names: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let is_message = path.extension().is_some_and(|extension| extension == "dat");
            is_message.then(|| path.file_stem().unwrap().to_string_lossy().into_owned())
        })
        .collect();
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let bytes = std::fs::read(folder().join(format!("{name}.dat"))).unwrap();
            let verdict = folder().join(format!("{name}.verdict.toml"));
            let text = std::fs::read_to_string(&verdict).unwrap_or_else(|e| panic!("{name}: {e}"));
            let verdict = toml::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            (name, bytes, verdict)
        })
        .collect()
}

/// One message of the corpus.
pub(crate) fn message(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.dat"))).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Interop row 1: the set is whole: 49 messages of RFC 4475 and twelve of RFC 5118. One of the former ends
/// too early, three of the latter print a wrong Content-Length: those have a mended copy.
#[test]
fn row_001_no_message_is_missing() {
    let corpus = corpus();
    let from = |rfc: &str| corpus.iter().filter(|(_, _, v)| v.section.starts_with(rfc)).count();
    assert_eq!((from("RFC 4475 §3."), from("RFC 5118 §4.")), (49 + 1, 12 + 3));
    for (name, _, verdict) in &corpus {
        assert!(!verdict.why.is_empty(), "{name} does not say why");
    }
}

/// Interop row 1: the parser's verdict, and what it read.
#[test]
fn row_001_every_torture_message_is_read_as_its_verdict_says() {
    let mut wrong = Vec::new();
    for (name, bytes, verdict) in corpus() {
        let parsed = Message::parse(&bytes);
        let found = match &parsed {
            Parsed::Message(_) => "accept".to_owned(),
            Parsed::Refuse(_, defect) => format!("refuse {}", defect.status()),
            Parsed::Drop(_) => "drop".to_owned(),
            Parsed::KeepAlive => "keep-alive".to_owned(),
        };
        if found != verdict.parse {
            wrong.push(format!("{name}: {found} instead of {}: {parsed:?}", verdict.parse));
        }
        if let Parsed::Message(message) = &parsed {
            for (fact, expected) in &verdict.facts {
                let found = read(message, fact);
                if found != *expected {
                    wrong.push(format!("{name}: {fact} is {found} instead of {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A fact of a message by its name in the verdict file.
fn read(message: &Message, fact: &str) -> toml::Value {
    let text = |value: &str| toml::Value::String(value.to_owned());
    let option = |value: Option<&str>| text(value.unwrap_or("none"));
    let number = |value: usize| toml::Value::Integer(i64::try_from(value).unwrap());
    let count = |name| number(message.list(name).len());
    let uri = Uri::parse(message.uri());
    let top = message.top_via().map(std::borrow::Cow::into_owned).unwrap_or_default();
    let via = Via::parse(&top);
    match fact {
        "method" => text(message.method().as_str()),
        "uri" => text(message.uri()),
        "user" => text(uri.unwrap().user),
        "dialled" => text(&uri.unwrap().dialled()),
        "host" => option(uri.and_then(|uri| uri.host).map(|host| host.to_string()).as_deref()),
        "port" => number(usize::from(uri.unwrap().port.unwrap_or(0))),
        "status" => number(usize::from(message.status())),
        "reason" => text(&message.reason()),
        "vias" => count(HeaderName::Via),
        "contacts" => count(HeaderName::Contact),
        "contact_uri" => option(message.contact_uri().as_deref()),
        "branch" => option(message.branch().as_deref()),
        "sent_by" => text(&via.unwrap().host.to_string()),
        "received" => option(via.unwrap().params.raw("received").flatten()),
        "from_tag" => option(message.from_tag().as_deref()),
        "to_tag" => option(message.to_tag().as_deref()),
        "from_name" => text(&name_in(message, HeaderName::From)),
        "to_name" => text(&name_in(message, HeaderName::To)),
        "to_user" => {
            let to = message.text(HeaderName::To).unwrap();
            text(NameAddr::parse(&to).unwrap().parsed_uri().unwrap().user)
        }
        "cseq" => toml::Value::Integer(i64::from(message.cseq().number)),
        "call_id" => text(&message.call_id()),
        "max_forwards" => message
            .max_forwards()
            .map_or_else(|| text("none"), |hops| toml::Value::Integer(i64::from(hops))),
        "body" => number(message.body().len()),
        "length" => number(message.raw().len()),
        "addresses" => toml::Value::Array(addresses(message.sdp().unwrap())),
        other => panic!("no fact is called {other}"),
    }
}

fn name_in(message: &Message, name: HeaderName) -> String {
    let value = message.text(name).unwrap();
    NameAddr::parse(&value).unwrap().display_name().into_owned()
}

/// The address of each stream of a session description.
fn addresses(sdp: &[u8]) -> Vec<toml::Value> {
    let description = Sdp::parse(sdp).unwrap();
    description
        .media
        .iter()
        .map(|media| description.connection_of(media).and_then(|c| c.ip()).unwrap().to_string())
        .map(toml::Value::String)
        .collect()
}

/// What a stream makes of each message: cut out whole, ended, or still waited for.
#[test]
fn row_001_every_torture_message_is_framed_as_its_verdict_says() {
    for (name, bytes, verdict) in corpus() {
        for chunk in [1, 7, bytes.len()] {
            let mut framer = Framer::default();
            let mut frames = Vec::new();
            for part in bytes.chunks(chunk) {
                framer.push(part);
                while let Some(frame) = framer.next_frame() {
                    match frame {
                        Frame::Message(_) => frames.push("message".to_owned()),
                        Frame::Ping => {}
                        Frame::Broken { .. } => frames.push("broken".to_owned()),
                    }
                }
            }
            assert_eq!(frames, verdict.frames, "{name} in chunks of {chunk}");
        }
    }
}

/// Interop row 1: what the whole switch answers, to a trunk that may ask and to a stranger who may not.
#[test]
fn row_001_every_torture_message_is_answered_as_its_verdict_says() {
    let mut wrong = Vec::new();
    for (name, bytes, verdict) in corpus() {
        for (who, source, expected) in
            [("trunk", TRUNK, &verdict.trunk), ("stranger", STRANGER, &verdict.stranger)]
        {
            let mut board = Board::new();
            let sent = board.datagram(source, &bytes);
            let found = answered(&sent);
            if found != *expected {
                wrong.push(format!("{name} from a {who}: {found} instead of {expected}"));
            }
            for (_, text) in &sent {
                check_form(&name, text, &mut wrong);
            }
            board.settle();
            if board.live() != (0, 0, 0) {
                wrong.push(format!("{name} from a {who}: left behind {:?}", board.live()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whatever came in, what goes out can be read again, and holds no control characters.
fn check_form(name: &str, text: &str, wrong: &mut Vec<String>) {
    let head = text.split("\r\n\r\n").next().unwrap_or("");
    if head.replace("\r\n", "").bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f) {
        wrong.push(format!("{name}: control characters in {head:?}"));
    }
    // An answer to a request without Call-ID, From and To cannot have them either; and a Via that could
    // not be read goes back as it came.
    let is_complete = ["\r\nCall-ID: ", "\r\nFrom: ", "\r\nTo: "].iter().all(|h| head.contains(h));
    let has_readable_via = head
        .lines()
        .filter_map(|line| line.strip_prefix("Via: "))
        .all(|line| split_list(line).all(|via| Via::parse(via).is_some()));
    let is_mirror = head.contains(" 400 ") || head.contains(" 505 ");
    if is_complete && has_readable_via && !is_mirror {
        let parsed = Message::parse(text.as_bytes());
        if !matches!(parsed, Parsed::Message(_)) {
            wrong.push(format!("{name}: our own answer cannot be read: {parsed:?}\n{text}"));
        }
    }
}

/// The status that came back: the last final one, else the first provisional one, else `none`.
pub(crate) fn answered(sent: &[Sent]) -> String {
    let statuses: Vec<_> =
        sent.iter().filter_map(|(_, text)| text.strip_prefix("SIP/2.0 ")?.get(..3)).collect();
    let last = statuses.iter().rev().find(|status| !status.starts_with('1'));
    last.or_else(|| statuses.first()).map_or("none", |status| status).to_owned()
}
