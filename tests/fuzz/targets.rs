//! What is fuzzed: one function for each way that bytes of a stranger come in.

use std::collections::HashSet;

use tandem::edge::control::rpc;
use tandem::proto::nat::ice;
use tandem::proto::rtp;
use tandem::proto::sdp;
use tandem::proto::sip::header::name_addr::NameAddr;
use tandem::proto::sip::header::params::{Params, quote, unquote};
use tandem::proto::sip::header::reason::Reasons;
use tandem::proto::sip::header::values::{CSeq, delta_seconds, digits, has_token, q_value};
use tandem::proto::sip::header::via::Via;
use tandem::proto::sip::header::{HeaderName, split_list};
use tandem::proto::sip::identity::{self, Diversion, Privacy};
use tandem::proto::sip::message::build::Builder;
use tandem::proto::sip::message::framing::{Frame, Framer};
use tandem::proto::sip::message::{MESSAGE_MAX, Message, Parsed};
use tandem::proto::sip::quality::{FIGURES, Report};
use tandem::proto::sip::session::{Digit, Replaces};
use tandem::proto::sip::subscription::{EventHeader, Package};
use tandem::proto::sip::transport::{Flow, Host, Transport};
use tandem::proto::sip::uri::{Uri, escape_user, unescape};
use tandem::proto::stir::authority::TnAuthList;
use tandem::proto::stir::source::CertificateUrl;
use tandem::proto::stir::verify::DIVERSIONS_MAX;
use tandem::proto::stir::{Expected, Home, Passport, canonical, chains_of, signature};
use tandem::proto::xml::escape;

use crate::board::{Board, STRANGER, TRUNK};

/// A target with the name that it is run by.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const ALL: &[Target] = &[
    ("message", message),
    ("stream", stream),
    ("sdp", sdp),
    ("rtp", rtp),
    ("control_line", control_line),
    ("uri_headers", uri_headers),
    ("identity", identity),
    ("switchboard", switchboard),
];

/// One datagram: everything that is ever asked of a message, and the answer to it can be read again.
pub fn message(bytes: &[u8]) {
    let (message, is_whole) = match Message::parse(bytes) {
        Parsed::Message(message) => (message, true),
        Parsed::Refuse(message, defect) => {
            assert!((400..700).contains(&defect.status()) && !defect.reason().is_empty());
            (message, false)
        }
        Parsed::Drop(_) | Parsed::KeepAlive => return,
    };
    assert!(message.raw().len() <= bytes.len());
    assert!(message.raw().ends_with(message.body()));
    let names: HashSet<_> = message.lines().map(|(name, _, _)| name).collect();
    for name in names {
        let _ = (message.text(name), message.list(name), message.lists(name, "100rel"));
    }
    let _ = (message.branch(), message.from_tag(), message.to_tag(), message.contact_uri());
    let _ = (message.max_forwards(), message.expires(), message.call_id(), message.reason());
    let _ = (Reasons::of(&message), Replaces::of(&message));
    identities(&message);
    let _ = (Digit::parse(true, message.body()), Digit::parse(false, message.body()));
    if let Some(body) = message.sdp() {
        sdp::fuzz_sdp(body);
    }
    let figures = Report::read(message.body()).map(|report| report.figures.len());
    assert!(figures.unwrap_or(0) <= FIGURES.len());
    if let Some(event) = EventHeader::of(&message) {
        assert!(event.is_same(&event) && !event.to_string().contains(['\r', '\n']));
    }
    let _ = Package::ALL.map(|package| package.is_accepted_by(&message));
    let document = escape(&String::from_utf8_lossy(message.body()));
    assert!(!document.contains(['<', '>', '"', '\'']) && !document.contains(char::is_control));
    if !message.is_request() {
        return;
    }
    let flow = Flow {
        transport: Transport::Udp,
        listener: 0,
        local: ([192, 0, 2, 1], 5060).into(),
        remote: ([203, 0, 113, 7], 5060).into(),
        connection: 0,
    };
    let answer = Builder::response(&message, 486, "Busy Here", Some("t"), &flow).finish();
    let again = Message::parse(&answer);
    // What was whole stays whole: our answer names the same transaction.
    if let (Parsed::Message(again), true) = (&again, is_whole) {
        assert_eq!(again.cseq(), message.cseq());
        assert_eq!(again.list(HeaderName::Via).len(), message.list(HeaderName::Via).len());
        assert_eq!(again.branch(), message.branch());
    } else {
        assert!(!is_whole, "our answer cannot be read: {}", String::from_utf8_lossy(&answer));
    }
}

/// Who a message says it is from: bounded, and what is written of it can be read again.
fn identities(message: &Message) {
    let told = [identity::asserted(message), identity::preferred(message)];
    let remote = identity::remote_party(message).map(|(party, _)| party);
    for party in told.into_iter().chain([remote]).flatten() {
        assert!(!party.number.is_empty() && party.number.len() <= identity::NUMBER_MAX);
        assert!(party.name.chars().count() <= identity::NAME_MAX);
    }
    let nobody = identity::is_from_anonymous(message);
    assert!(!nobody || identity::from(message).is_none());
    assert!(Privacy::of(message).unknown.len() <= 16);
    assert!(identity::user_to_user(message).len() <= 2);
    let diverted = Diversion::of(message);
    assert!(diverted.len() <= identity::DIVERSIONS_MAX);
    let history = Diversion::history(&diverted, "@h", "sip:x@h");
    for value in diverted.iter().map(|by| by.value("@h")).chain(history) {
        assert!(NameAddr::parse(&value).is_ok(), "{value}");
    }
}

/// A stream: its frames do not depend on how it was cut, and its memory is bounded.
pub fn stream(bytes: &[u8]) {
    let frames = |chunk: usize| {
        let mut framer = Framer::default();
        let mut frames = Vec::new();
        for part in bytes.chunks(chunk.max(1)) {
            framer.push(part);
            while let Some(frame) = framer.next_frame() {
                if let Frame::Message(message) = &frame {
                    assert!(message.len() <= MESSAGE_MAX);
                }
                // How many line ends are a ping depends on when they are looked at.
                if frame != Frame::Ping {
                    frames.push(match frame {
                        Frame::Broken { reason, .. } => Err(reason),
                        Frame::Message(message) => Ok(message),
                        Frame::Ping => continue,
                    });
                }
            }
        }
        frames
    };
    let whole = frames(bytes.len());
    assert_eq!(whole, frames(1), "cut into bytes");
    assert_eq!(
        whole,
        frames(usize::from(bytes.first().copied().unwrap_or(3)) + 2),
        "cut otherwise"
    );
}

/// A session description.
pub fn sdp(bytes: &[u8]) {
    sdp::fuzz_sdp(bytes);
    // What we write, we read the same.
    if let Ok(read) = sdp::Sdp::parse(bytes) {
        let written = read.to_bytes();
        // CR LF for LF may take it over the limit.
        if written.len() <= sdp::BODY_MAX {
            let again = sdp::Sdp::parse(&written);
            assert_eq!(again.map(|sdp| sdp.to_bytes()), Ok(written));
        }
    }
}

/// A datagram on a media port.
pub fn rtp(bytes: &[u8]) {
    rtp::fuzz_rtp(bytes);
    rtp::rtcp::fuzz_rtcp(bytes);
    ice::fuzz_ice(bytes);
}

/// A line on the control socket.
pub fn control_line(bytes: &[u8]) {
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = rpc::parse_line(line);
    }
}

/// The values of headers, one by one.
pub fn uri_headers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.as_ref();
    if let Some(uri) = Uri::parse(text) {
        assert_eq!(uri.raw, text);
        assert!(uri.is_equivalent(&uri), "{text}");
        let _ = (uri.dialled(), uri.next_hop());
    }
    for value in split_list(text) {
        if let Ok(address) = NameAddr::parse(value) {
            let _ = (address.display_name(), address.tag(), address.parsed_uri());
            assert!(value.contains(address.uri));
        }
        if let Some(via) = Via::parse(value) {
            let stamped = Via::stamp(value, ([203, 0, 113, 7], 5060).into());
            let again = Via::parse(&stamped);
            assert_eq!(again.as_ref().and_then(Via::branch), via.branch(), "{stamped}");
        }
    }
    let params = Params::new(text);
    for (name, _) in params.iter() {
        assert!(params.has(name));
    }
    assert_eq!(unquote(&quote(text)), text.replace(char::is_control, " "));
    assert_eq!(unescape(&escape_user(text)), text);
    let _ = (CSeq::parse(text), digits(text), delta_seconds(text), has_token(text, "x"));
    assert!(q_value(text) <= 1000);
    if let Some(host) = Host::parse(text) {
        assert_eq!(Host::parse(&host.to_string()), Some(host));
    }
}

/// The value of an Identity header, and the certificate that it may lead to: what is read is within bounds, and what is
/// said of a call is about that call.
pub fn identity(bytes: &[u8]) {
    let _ = TnAuthList::of_certificate(bytes);
    let _ = signature::from_der(bytes);
    let text = String::from_utf8_lossy(bytes);
    if let Some(url) = CertificateUrl::parse(&text) {
        assert!(!url.host.is_empty() && url.port > 0 && url.path.starts_with('/'));
    }
    let home = Home { country_code: Some("86"), national_prefix: "0", ..Home::default() };
    if let Some(number) = canonical(&text, home) {
        assert_eq!(canonical(&format!("+{number}"), home), Some(number));
    }
    let passports: Vec<_> = text
        .lines()
        .map(|line| match line.split_once('\x1e') {
            // As JSON, so that changes of it are changes of the token and not of its letters.
            Some((head, claims)) => {
                let part = |text: &str| base64url(text.as_bytes());
                format!("{}.{}.{};info=<{X5U}>", part(head), part(claims), part(&"s".repeat(64)))
            }
            None => line.to_owned(),
        })
        .filter_map(|line| Passport::read(&line).ok().flatten())
        .collect();
    for passport in &passports {
        assert!(!passport.dest.is_empty() && !passport.x5u.is_empty());
        let called = passport.dest[0].clone();
        let expected = Expected { caller: passport.orig.clone(), called, now: passport.iat };
        match chains_of(&passports, &expected) {
            Ok(chains) => assert!(chains.iter().all(|chain| chain.len() <= DIVERSIONS_MAX + 1)),
            Err(failure) => assert!((400..500).contains(&failure.kind.status())),
        }
    }
}

const X5U: &str = "https://cert.example.org/passport.cer";

fn base64url(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1));
    let letter = |at: usize| (0..6).fold(0, |sum, offset| sum << 1 | bit(6 * at + offset));
    (0..(8 * bytes.len()).div_ceil(6)).map(|at| char::from(alphabet[letter(at)])).collect()
}

/// Datagrams from a trunk and from a stranger: whatever they are, nothing of them is left in the end.
pub fn switchboard(bytes: &[u8]) {
    let mut board = Board::with_phone();
    for part in bytes.split(|byte| *byte == 0x1e) {
        board.datagram(TRUNK, part);
        board.datagram(STRANGER, part);
    }
    board.settle();
    // The binding lives on; everything else is over.
    assert_eq!(board.live(), (0, 0, 0), "something was left behind");
}
