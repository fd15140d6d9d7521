//! Cutting messages out of a stream (RFC 3261 §18.3) and parts out of a multipart body (RFC 5621).

use super::MESSAGE_MAX;
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::params::Params;
use crate::proto::sip::header::values::digits;

/// What the framer found in a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A whole message.
    Message(Vec<u8>),
    /// A double line end: the peer asks whether we live (RFC 5626 §3.5.1). Answer with one.
    Ping,
    /// The stream cannot be framed any further: answer 400 to `head` if it is a request, then close.
    Broken {
        /// The message's head as far as it came.
        head: Vec<u8>,
        /// Why.
        reason: &'static str,
    },
}

/// Collects the bytes of one connection. Its memory is bounded by [`MESSAGE_MAX`] and one read.
#[derive(Debug, Default)]
pub struct Framer {
    pub(super) buffer: Vec<u8>,
    /// What of the buffer has been handed out; it is cut off once for each read, not once for each frame.
    taken: usize,
    /// Where the search for the end of the head goes on, so that one byte at a time is not quadratic.
    searched: usize,
    /// Where the message ends whose head is there already: a head is read once, however its body arrives.
    pub(super) awaited: Option<usize>,
    broken: bool,
}

impl Framer {
    /// Adds what was read. After [`Frame::Broken`] everything is ignored.
    pub fn push(&mut self, bytes: &[u8]) {
        if !self.broken {
            let taken = std::mem::take(&mut self.taken).min(self.buffer.len());
            self.buffer.drain(..taken);
            self.searched = self.searched.saturating_sub(taken);
            self.awaited = self.awaited.map(|end| end.saturating_sub(taken));
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Was a single line end all that was left (RFC 5626 §3.5.1, the answer to a ping)? Then it is taken. Only who has
    /// sent a ping asks: it may as well be the first half of the peer's.
    pub fn take_pong(&mut self) -> bool {
        let is_pong = !self.broken && self.awaited.is_none() && self.rest() == b"\r\n";
        if is_pong {
            self.taken += 2;
        }
        is_pong
    }

    /// The next frame, if a whole one is there.
    pub fn next_frame(&mut self) -> Option<Frame> {
        if self.broken {
            return None;
        }
        let end = match self.awaited {
            Some(end) => end,
            None => match self.find_end()? {
                Ok(end) => end,
                Err(frame) => return Some(frame),
            },
        };
        self.awaited = Some(end);
        let message = self.buffer.get(self.taken..end)?.to_vec();
        self.taken = end;
        self.awaited = None;
        Some(Frame::Message(message))
    }

    /// Where the next message ends, or what stands before it; `None` if its head is not there yet.
    fn find_end(&mut self) -> Option<Result<usize, Frame>> {
        if let Some(ping) = self.skip_line_ends() {
            return Some(Err(ping));
        }
        let Some(head_end) = self.find_head_end() else {
            let is_long = self.rest().len() > MESSAGE_MAX;
            return is_long.then(|| Err(self.fail("the head is too long")));
        };
        let head = self.buffer.get(self.taken..head_end).unwrap_or(&[]);
        let length = match content_length(head) {
            Ok(length) => length,
            Err(reason) => return Some(Err(self.fail(reason))),
        };
        let end = head_end.saturating_add(length);
        if end.saturating_sub(self.taken) > MESSAGE_MAX {
            return Some(Err(self.fail("the message is too long")));
        }
        Some(Ok(end))
    }

    /// What has not been handed out yet.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or(&[])
    }

    /// Drops line ends before a start line; two in a row are a ping. One CR LF alone may be half a ping.
    fn skip_line_ends(&mut self) -> Option<Frame> {
        let rest = self.rest();
        if rest.starts_with(b"\r\n\r\n") {
            self.taken += 4;
            return Some(Frame::Ping);
        }
        let is_partial = matches!(rest, b"\r" | b"\r\n" | b"\r\n\r");
        if !is_partial {
            self.taken += rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        }
        None
    }

    /// Where the head ends, counted from the start of the buffer.
    fn find_head_end(&mut self) -> Option<usize> {
        let from = self.searched.saturating_sub(3).max(self.taken);
        let tail = self.buffer.get(from..)?;
        for at in memchr::memchr_iter(b'\n', tail) {
            let after = tail.get(at + 1..).unwrap_or(&[]);
            if after.starts_with(b"\r\n") {
                return Some(from + at + 3);
            }
            if after.starts_with(b"\n") {
                return Some(from + at + 2);
            }
        }
        self.searched = self.buffer.len();
        None
    }

    fn fail(&mut self, reason: &'static str) -> Frame {
        self.broken = true;
        let mut head = self.rest().to_vec();
        head.truncate(MESSAGE_MAX);
        self.buffer = Vec::new();
        Frame::Broken { head, reason }
    }
}

/// The one Content-Length of a head; a stream cannot do without (RFC 3261 §18.3).
fn content_length(head: &[u8]) -> Result<usize, &'static str> {
    let mut found = None;
    for line in head.split(|b| *b == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = line.split_at(colon);
        if HeaderName::from_bytes(name.trim_ascii()) != HeaderName::ContentLength {
            continue;
        }
        let value = value.get(1..).unwrap_or(&[]).trim_ascii();
        let length = std::str::from_utf8(value).ok().and_then(digits);
        let length =
            length.and_then(|n| usize::try_from(n).ok()).ok_or("Content-Length is no number")?;
        if found.is_some_and(|other| other != length) {
            return Err("two Content-Length values contradict each other");
        }
        found = Some(length);
    }
    found.ok_or("a stream needs Content-Length")
}

/// The type of a session description.
pub(super) const SDP: &str = "application/sdp";
/// The most parts of a multipart body that are looked at.
const PARTS_MAX: usize = 16;

/// The first part of this type of a multipart body. A session description whose Content-Disposition is not `session`
/// is passed over (RFC 5621 §8).
pub(super) fn part<'a>(content_type: &str, body: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let (_, params) = content_type.split_once(';')?;
    let boundary = Params::new(params).get("boundary")?;
    let delimiter = [b"--", boundary.as_bytes()].concat();
    let mut cuts = memchr::memmem::find_iter(body, &delimiter)
        .filter(|at| *at == 0 || body.get(at - 1) == Some(&b'\n'));
    let mut from = cuts.next()?;
    for next in cuts.take(PARTS_MAX) {
        let part = body.get(from + delimiter.len()..next)?;
        if let Some(found) = as_type(part, wanted) {
            return Some(found);
        }
        from = next;
    }
    None
}

fn as_type<'a>(part: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    // The line end after the delimiter stays in front, so that a part without headers is found too.
    let (head, body) = match memchr::memmem::find(part, b"\r\n\r\n") {
        Some(at) => (part.get(..at)?, part.get(at + 4..)?),
        None => {
            let at = memchr::memmem::find(part, b"\n\n")?;
            (part.get(..at)?, part.get(at + 2..)?)
        }
    };
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = |name: &str| {
        head.lines()
            .find_map(|line| line.split_once(':').filter(|(n, _)| n.trim() == name))
            .map(|(_, v)| v.trim().to_owned())
    };
    let is_wanted = value("content-type").is_some_and(|v| v.starts_with(wanted));
    let is_session =
        wanted != SDP || value("content-disposition").is_none_or(|v| v.starts_with("session"));
    // The line end before the next delimiter belongs to the delimiter.
    let body = body.strip_suffix(b"\r\n").or_else(|| body.strip_suffix(b"\n")).unwrap_or(body);
    (is_wanted && is_session).then_some(body)
}
