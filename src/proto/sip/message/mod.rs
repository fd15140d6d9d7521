//! A SIP message that keeps every byte it was made of (RFC 3261 §7).
//!
//! The text is lexed once into ranges; typed values are read from them when somebody asks. Nothing is
//! normalised: a URI that a digest was computed over is the URI that arrived.

pub mod build;
pub mod framing;
mod lex;
#[cfg(test)]
mod tests;
mod validate;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::header::name_addr::NameAddr;
use super::header::values::{CSeq, delta_seconds, has_token};
use super::header::via::Via;
use super::header::{HeaderName, split_list};
use super::method::Method;

pub use validate::Defect;

/// The largest message, in bytes. A datagram cannot be larger; a stream that announces more is answered
/// 513 and closed.
pub const MESSAGE_MAX: usize = 65_535;
/// The most header lines in a message; more are answered 513.
pub const HEADERS_MAX: usize = 256;
/// The longest header with its continuation lines, in bytes; a longer one is answered 513.
pub const HEADER_MAX: usize = 16_384;

/// Bytes on their way to a socket, shared with the transaction that may send them again.
pub type Packet = Arc<[u8]>;

#[derive(Clone, Debug)]
struct Line {
    name: HeaderName,
    name_at: Range<u32>,
    value_at: Range<u32>,
}

/// What the first line says.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Start {
    Request { method: Method, uri: Range<u32> },
    Response { status: u16, reason: Range<u32> },
}

/// A message that was lexed whole and had every header that a message needs.
#[derive(Clone, Debug)]
pub struct Message {
    raw: Packet,
    start: Start,
    lines: Vec<Line>,
    body: Range<u32>,
    cseq: CSeq,
}

/// What came of reading bytes as a message.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// A message fit for the transaction layer.
    Message(Message),
    /// A request with a defect, but enough of it to be answered.
    Refuse(Message, Defect),
    /// Nothing to answer: why it is dropped.
    Drop(&'static str),
    /// Keep-alive: nothing but line ends (RFC 5626 §3.5.1).
    KeepAlive,
}

impl Message {
    /// Reads one datagram, or one message that the stream framing cut out.
    ///
    /// Tolerated: line ends before the start line, LF without CR, any white space, bytes after
    /// Content-Length, bytes that are not UTF-8. What is refused and why is in [`Defect`].
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Parsed {
        lex::parse(bytes)
    }

    /// The message as it came, up to the end of its body.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The same bytes, shared.
    #[must_use]
    pub fn packet(&self) -> Packet {
        Arc::clone(&self.raw)
    }

    /// Is it a request?
    #[must_use]
    pub const fn is_request(&self) -> bool {
        matches!(self.start, Start::Request { .. })
    }

    /// The method: of the start line, or for a response of its CSeq.
    #[must_use]
    pub const fn method(&self) -> &Method {
        match &self.start {
            Start::Request { method, .. } => method,
            Start::Response { .. } => &self.cseq.method,
        }
    }

    /// The Request-URI, raw; empty for a response.
    #[must_use]
    pub fn uri(&self) -> &str {
        match &self.start {
            Start::Request { uri, .. } => std::str::from_utf8(self.bytes(uri)).unwrap_or(""),
            Start::Response { .. } => "",
        }
    }

    /// The status code; 0 for a request.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.start {
            Start::Response { status, .. } => status,
            Start::Request { .. } => 0,
        }
    }

    /// The reason phrase; empty for a request.
    #[must_use]
    pub fn reason(&self) -> Cow<'_, str> {
        match &self.start {
            Start::Response { reason, .. } => String::from_utf8_lossy(self.bytes(reason)),
            Start::Request { .. } => Cow::Borrowed(""),
        }
    }

    /// The body, byte for byte.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.bytes(&self.body)
    }

    fn bytes(&self, range: &Range<u32>) -> &[u8] {
        self.raw.get(range.start as usize..range.end as usize).unwrap_or(&[])
    }

    /// The raw values of a header, in order, folding included; one item per header line.
    pub fn raw_values(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.lines
            .iter()
            .filter(move |line| line.name == name)
            .map(|line| self.bytes(&line.value_at))
    }

    /// Every header line as it stood: its name and its raw value.
    pub fn lines(&self) -> impl Iterator<Item = (HeaderName, &[u8], &[u8])> {
        self.lines.iter().map(|l| (l.name, self.bytes(&l.name_at), self.bytes(&l.value_at)))
    }

    /// The values of a header line by line, unfolded; bytes that are not UTF-8 are replaced.
    pub fn texts(&self, name: HeaderName) -> impl Iterator<Item = Cow<'_, str>> {
        self.raw_values(name).map(unfold)
    }

    /// The first value line of a header.
    #[must_use]
    pub fn text(&self, name: HeaderName) -> Option<Cow<'_, str>> {
        self.texts(name).next()
    }

    /// Is the header there?
    #[must_use]
    pub fn has(&self, name: HeaderName) -> bool {
        self.lines.iter().any(|line| line.name == name)
    }

    /// Every value of a list header, over all its lines (RFC 3261 §7.3.1), each as it stood.
    #[must_use]
    pub fn list(&self, name: HeaderName) -> Vec<String> {
        self.texts(name)
            .flat_map(|line| split_list(&line).map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// The topmost Via as it stood.
    #[must_use]
    pub fn top_via(&self) -> Option<Cow<'_, str>> {
        match self.text(HeaderName::Via)? {
            Cow::Borrowed(line) => split_list(line).next().map(Cow::Borrowed),
            Cow::Owned(line) => split_list(&line).next().map(|via| Cow::Owned(via.to_owned())),
        }
    }

    /// The branch of the topmost Via.
    #[must_use]
    pub fn branch(&self) -> Option<String> {
        Via::parse(&self.top_via()?)?.branch().map(str::to_owned)
    }

    /// The Call-ID.
    #[must_use]
    pub fn call_id(&self) -> Cow<'_, str> {
        self.text(HeaderName::CallId).unwrap_or_default()
    }

    /// The CSeq.
    #[must_use]
    pub const fn cseq(&self) -> &CSeq {
        &self.cseq
    }

    /// The tag of From.
    #[must_use]
    pub fn from_tag(&self) -> Option<String> {
        self.tag(HeaderName::From)
    }

    /// The tag of To.
    #[must_use]
    pub fn to_tag(&self) -> Option<String> {
        self.tag(HeaderName::To)
    }

    fn tag(&self, name: HeaderName) -> Option<String> {
        NameAddr::parse(&self.text(name)?).ok()?.tag().map(str::to_owned)
    }

    /// Max-Forwards; `None` if it is absent or not a number up to 255.
    #[must_use]
    pub fn max_forwards(&self) -> Option<u8> {
        self.text(HeaderName::MaxForwards)?.trim().parse().ok()
    }

    /// The Expires header in seconds.
    #[must_use]
    pub fn expires(&self) -> Option<u32> {
        delta_seconds(&self.text(HeaderName::Expires)?)
    }

    /// Does a token list (`Supported`, `Allow`, `Require`) name this token?
    #[must_use]
    pub fn lists(&self, name: HeaderName, token: &str) -> bool {
        self.texts(name).any(|line| has_token(&line, token))
    }

    /// The URI of the first Contact, raw.
    #[must_use]
    pub fn contact_uri(&self) -> Option<String> {
        let line = self.text(HeaderName::Contact)?;
        let first = split_list(&line).next()?;
        NameAddr::parse(first).ok().map(|contact| contact.uri.to_owned())
    }

    /// The body if it is, or carries, a session description: `application/sdp` itself or the first
    /// such part of a multipart body (RFC 5621 §3).
    #[must_use]
    pub fn sdp(&self) -> Option<&[u8]> {
        let body = self.body();
        if body.is_empty() {
            return None;
        }
        let Some(content_type) = self.text(HeaderName::ContentType) else {
            // A body without a type is taken for what an INVITE usually carries.
            return body.starts_with(b"v=").then_some(body);
        };
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        if media_type.eq_ignore_ascii_case("application/sdp") {
            return Some(body);
        }
        let is_multipart =
            media_type.get(..10).is_some_and(|t| t.eq_ignore_ascii_case("multipart/"));
        is_multipart.then(|| framing::part(&content_type, body, framing::SDP)).flatten()
    }

    /// The first part of this type in a multipart body, or the body if it is of this type; in lower case.
    #[must_use]
    pub fn part(&self, wanted: &str) -> Option<&[u8]> {
        let content_type = self.text(HeaderName::ContentType)?;
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        if media_type.eq_ignore_ascii_case(wanted) {
            return Some(self.body());
        }
        framing::part(&content_type, self.body(), wanted)
    }
}

/// Joins continuation lines (RFC 3261 §7.3.1): a line end and the white space behind it become one blank.
fn unfold(value: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(value);
    if !text.contains('\n') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_end_matches('\r');
        if index == 0 {
            out.push_str(line);
        } else {
            out.push(' ');
            out.push_str(line.trim_start());
        }
    }
    Cow::Owned(out)
}
