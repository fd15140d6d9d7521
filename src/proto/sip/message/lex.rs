//! Bytes to ranges in one pass (RFC 3261 §7).

use std::ops::Range;

use super::validate::{Defect, validate};
use super::{HEADER_MAX, HEADERS_MAX, Line, MESSAGE_MAX, Message, Parsed, Start};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::values::CSeq;
use crate::proto::sip::method::Method;

pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let bytes = bytes.get(blank..).unwrap_or(&[]);
    if bytes.is_empty() {
        return if blank > 0 { Parsed::KeepAlive } else { Parsed::Drop("empty") };
    }
    if bytes.len() > MESSAGE_MAX {
        return Parsed::Drop("longer than a message may be");
    }
    let Some((first, mut at)) = next_line(bytes, 0) else {
        return Parsed::Drop("no line end in the start line");
    };
    let mut defect = None;
    let Some(start) = start_line(bytes, first, &mut defect) else {
        return Parsed::Drop("the start line is not SIP");
    };
    let mut lines = Vec::with_capacity(16);
    let mut ended = false;
    while let Some((line, next)) = next_line(bytes, at) {
        if line.is_empty() {
            (at, ended) = (next, true);
            break;
        }
        let (line, next) = with_continuations(bytes, line, next);
        at = next;
        if lines.len() >= HEADERS_MAX || line.len() > HEADER_MAX {
            note(&mut defect, Defect::TooLarge);
            continue;
        }
        match header_line(bytes, line) {
            Some(header) => lines.push(header),
            None => note(&mut defect, Defect::HeaderLine),
        }
    }
    if !ended {
        // The blank line never came: the head was cut, and what was left of it is not trusted.
        note(&mut defect, Defect::Truncated);
        at = bytes.len();
    }
    finish(bytes, start, lines, at, defect)
}

/// The first defect is the one that is answered.
fn note(defect: &mut Option<Defect>, found: Defect) {
    defect.get_or_insert(found);
}

fn finish(
    bytes: &[u8],
    start: Start,
    lines: Vec<Line>,
    at: usize,
    mut defect: Option<Defect>,
) -> Parsed {
    let cseq = lines
        .iter()
        .find(|line| line.name == HeaderName::CSeq)
        .and_then(|line| text(bytes, &line.value_at))
        .map(CSeq::parse);
    let is_request = matches!(start, Start::Request { .. });
    let cseq = match cseq {
        Some(Some(cseq)) => cseq,
        // Without a CSeq a request can still be told what is wrong with it: the line goes back as it came.
        _ if is_request => {
            note(&mut defect, if cseq.is_none() { Defect::Missing } else { Defect::CSeq });
            CSeq { number: 0, method: Method::Other("".into()) }
        }
        _ => return Parsed::Drop("a response without a usable CSeq"),
    };
    let length = body_length(bytes, &lines, bytes.len() - at.min(bytes.len()), &mut defect);
    let end = at + length;
    let Some(raw) = bytes.get(..end) else { return Parsed::Drop("a body out of bounds") };
    let message = Message { raw: raw.into(), start, lines, body: range(at, end), cseq };
    match defect.or_else(|| validate(&message)) {
        None => Parsed::Message(message),
        Some(_) if !is_request => Parsed::Drop("a malformed response"),
        Some(_) if message.method() == &Method::Ack => Parsed::Drop("a malformed ACK"),
        Some(_) if !message.has(HeaderName::Via) => Parsed::Drop("a malformed request without Via"),
        Some(defect) => Parsed::Refuse(message, defect),
    }
}

/// How many of the `available` bytes are body (RFC 3261 §18.3).
fn body_length(
    bytes: &[u8],
    lines: &[Line],
    available: usize,
    defect: &mut Option<Defect>,
) -> usize {
    let mut length = None;
    for line in lines.iter().filter(|line| line.name == HeaderName::ContentLength) {
        let value = text(bytes, &line.value_at).and_then(super::super::header::values::digits);
        match (value, length) {
            (None, _) => note(defect, Defect::ContentLength),
            (Some(value), Some(other)) if value != other => note(defect, Defect::ContentLength),
            (Some(value), _) => length = Some(value),
        }
    }
    match length.map(usize::try_from) {
        None => available,
        Some(Ok(length)) if length <= available => length,
        Some(_) => {
            note(defect, Defect::ContentLength);
            available
        }
    }
}

/// The line that begins at `at`, without its line end, and where the next one begins.
fn next_line(bytes: &[u8], at: usize) -> Option<(Range<usize>, usize)> {
    let rest = bytes.get(at..)?;
    let end = at + memchr::memchr(b'\n', rest)?;
    let is_crlf = end > at && bytes.get(end - 1) == Some(&b'\r');
    Some((at..if is_crlf { end - 1 } else { end }, end + 1))
}

/// Stretches a header line over the lines that continue it.
fn with_continuations(bytes: &[u8], line: Range<usize>, mut next: usize) -> (Range<usize>, usize) {
    let mut end = line.end;
    while matches!(bytes.get(next), Some(b' ' | b'\t')) {
        let Some((more, after)) = next_line(bytes, next) else { break };
        end = more.end;
        next = after;
    }
    (line.start..end, next)
}

fn header_line(bytes: &[u8], line: Range<usize>) -> Option<Line> {
    let content = bytes.get(line.clone())?;
    let colon = memchr::memchr(b':', content)?;
    let name = content.get(..colon)?.trim_ascii_end();
    if name.is_empty() || !name.iter().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let value = content.get(colon + 1..)?;
    let lead = value.len() - value.trim_ascii_start().len();
    let from = line.start + colon + 1 + lead;
    let value_end = (line.start + colon + 1 + value.trim_ascii_end().len()).max(from);
    Some(Line {
        name: HeaderName::from_bytes(name),
        name_at: range(line.start, line.start + name.len()),
        value_at: range(from, value_end),
    })
}

/// Reads `METHOD uri SIP/2.0` or `SIP/2.0 200 reason`. `None` if it is neither.
fn start_line(bytes: &[u8], line: Range<usize>, defect: &mut Option<Defect>) -> Option<Start> {
    let content = bytes.get(line.clone())?;
    if content.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/")) {
        return status_line(content, line.start);
    }
    let first = content.iter().position(|b| *b == b' ')?;
    let last = content.iter().rposition(|b| *b == b' ')?;
    let method = std::str::from_utf8(content.get(..first)?).ok()?;
    let mut version = content.get(last + 1..)?;
    let mut uri = content.get(first + 1..last.max(first + 1))?;
    if version.is_empty() {
        // Blanks behind the version: find it, and refuse (RFC 4475 §3.1.2.9 lets us be strict).
        let trimmed = content.trim_ascii_end();
        let at = trimmed.iter().rposition(|b| *b == b' ')?;
        version = trimmed.get(at + 1..)?;
        uri = trimmed.get(first + 1..at.max(first + 1))?;
        note(defect, Defect::StartLine);
    }
    if !version.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"SIP/")) {
        return None;
    }
    if !crate::proto::sip::header::params::is_token(method) {
        return None;
    }
    if !version.eq_ignore_ascii_case(b"SIP/2.0") {
        note(defect, Defect::Version);
    }
    let is_clean =
        !uri.is_empty() && uri.iter().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'));
    if uri.len() > crate::proto::sip::uri::URI_MAX {
        note(defect, Defect::UriTooLong);
    } else if !is_clean {
        note(defect, Defect::RequestUri);
    }
    let at = line.start + first + 1;
    Some(Start::Request { method: Method::from_token(method), uri: range(at, at + uri.len()) })
}

fn status_line(content: &[u8], base: usize) -> Option<Start> {
    let rest = content.strip_prefix(b"SIP/2.0 ").or_else(|| content.strip_prefix(b"sip/2.0 "))?;
    let code = rest.get(..3)?;
    if !code.iter().all(u8::is_ascii_digit) || !matches!(rest.get(3), None | Some(b' ')) {
        return None;
    }
    let status = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    if !(100..=699).contains(&status) {
        return None;
    }
    let at = base + content.len() - rest.get(4..).unwrap_or(&[]).len();
    Some(Start::Response { status, reason: range(at, base + content.len()) })
}

fn text<'a>(bytes: &'a [u8], range: &Range<u32>) -> Option<&'a str> {
    std::str::from_utf8(bytes.get(range.start as usize..range.end as usize)?).ok()
}

/// Positions fit: a message is at most [`MESSAGE_MAX`] bytes.
fn range(from: usize, to: usize) -> Range<u32> {
    let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    short(from)..short(to)
}
