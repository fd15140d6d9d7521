//! Writing messages: strict out, whatever came in.

use std::fmt::{Display, Write};

use super::{Message, Packet};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::via::Via;
use crate::proto::sip::method::Method;
use crate::proto::sip::transport::Flow;

/// A message in the making: start line and headers, in the order they are given.
///
/// Line ends, NUL and other control characters inside a value never reach the wire: each becomes a blank,
/// so that no name from a configuration or a peer can start a header of its own.
#[derive(Clone, Debug)]
pub struct Builder {
    out: String,
}

impl Builder {
    /// A request to `uri`, which goes out as it is given. The Via is added by the transaction layer.
    #[must_use]
    pub fn request(method: &Method, uri: &str) -> Self {
        let mut builder = Self { out: String::with_capacity(768) };
        builder.out.push_str(method.as_str());
        builder.out.push(' ');
        builder.push_clean(uri);
        builder.out.push_str(" SIP/2.0\r\n");
        builder
    }

    /// A response to a request: its Via, From, To (with `to_tag` if it has none), Call-ID and CSeq go
    /// back as they came, Record-Route too where it makes a dialog (RFC 3261 §8.2.6, §12.1.1).
    #[must_use]
    pub fn response(
        request: &Message,
        status: u16,
        reason: &str,
        to_tag: Option<&str>,
        flow: &Flow,
    ) -> Self {
        let mut builder = Self { out: String::with_capacity(768) };
        let _ = write!(builder.out, "SIP/2.0 {status} ");
        builder.push_clean(reason);
        builder.out.push_str("\r\n");
        for (index, line) in request.texts(HeaderName::Via).enumerate() {
            if index == 0 {
                let top = super::split_list(&line).next().unwrap_or("");
                let rest = line.get(line.find(top).unwrap_or(0) + top.len()..).unwrap_or("");
                let stamped = if Via::parse(top).is_some() {
                    Via::stamp(top, flow.remote)
                } else {
                    top.to_owned()
                };
                builder.add(HeaderName::Via, format_args!("{stamped}{rest}"));
            } else {
                builder.add(HeaderName::Via, line);
            }
        }
        let dialog = matches!(
            request.method(),
            Method::Invite | Method::Subscribe | Method::Refer | Method::Notify
        );
        if dialog && (101..300).contains(&status) {
            for line in request.texts(HeaderName::RecordRoute) {
                builder.add(HeaderName::RecordRoute, line);
            }
        }
        for line in request.texts(HeaderName::From) {
            builder.add(HeaderName::From, line);
        }
        for line in request.texts(HeaderName::To) {
            match to_tag {
                Some(tag) if status > 100 && request.to_tag().is_none() => {
                    builder.add(HeaderName::To, format_args!("{line};tag={tag}"));
                }
                _ => builder.add(HeaderName::To, line),
            }
        }
        for line in request.texts(HeaderName::CallId) {
            builder.add(HeaderName::CallId, line);
        }
        for line in request.texts(HeaderName::CSeq) {
            builder.add(HeaderName::CSeq, line);
        }
        builder
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Display) -> Self {
        self.add(name, value);
        self
    }

    /// Adds a header, by reference.
    pub fn add(&mut self, name: HeaderName, value: impl Display) {
        self.add_named(name.as_str(), value);
    }

    /// Adds a header that [`HeaderName`] does not know.
    pub fn add_named(&mut self, name: &str, value: impl Display) {
        self.out.push_str(name);
        self.out.push_str(": ");
        let from = self.out.len();
        let _ = write!(self.out, "{value}");
        let is_clean = self
            .out
            .as_bytes()
            .get(from..)
            .is_none_or(|v| v.iter().all(|b| *b >= b' ' && *b != 0x7f || *b == b'\t'));
        if !is_clean {
            let value = self.out.split_off(from);
            self.push_clean(&value);
        }
        self.out.push_str("\r\n");
    }

    fn push_clean(&mut self, text: &str) {
        self.out.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
    }

    /// Closes the message without a body.
    #[must_use]
    pub fn finish(mut self) -> Packet {
        self.out.push_str("Content-Length: 0\r\n\r\n");
        self.out.into_bytes().into()
    }

    /// Closes the message with a body.
    #[must_use]
    pub fn finish_with(mut self, content_type: &str, body: &[u8]) -> Packet {
        self.add(HeaderName::ContentType, content_type);
        self.add(HeaderName::ContentLength, body.len());
        self.out.push_str("\r\n");
        let mut bytes = self.out.into_bytes();
        bytes.extend_from_slice(body);
        bytes.into()
    }

    /// Closes the message, with a session description if there is one.
    #[must_use]
    pub fn finish_sdp(self, sdp: Option<&[u8]>) -> Packet {
        match sdp {
            Some(sdp) => self.finish_with("application/sdp", sdp),
            None => self.finish(),
        }
    }
}

/// Puts a Via line behind the start line of a request that has none of ours yet.
#[must_use]
pub fn with_via(request: &[u8], via: &str) -> Packet {
    let at = memchr::memchr(b'\n', request).map_or(request.len(), |at| at + 1);
    let (start, rest) = request.split_at_checked(at).unwrap_or((request, &[]));
    let mut out = Vec::with_capacity(request.len() + via.len() + 7);
    out.extend_from_slice(start);
    out.extend_from_slice(b"Via: ");
    out.extend_from_slice(via.as_bytes());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(rest);
    out.into()
}

/// Puts a header behind the others of a message of ours.
#[must_use]
pub fn with_header(packet: &[u8], name: HeaderName, value: &str) -> Packet {
    let at = memchr::memmem::find(packet, b"\r\n\r\n").map_or(packet.len(), |at| at + 2);
    let (head, rest) = packet.split_at_checked(at).unwrap_or((packet, &[]));
    let clean = value.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line = format!("{}: {}\r\n", name.as_str(), clean.collect::<String>());
    [head, line.as_bytes(), rest].concat().into()
}

/// The default reason phrase of a status (RFC 3261 §21 and later RFCs).
#[must_use]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        428 => "Use Identity Header",
        436 => "Bad Identity Info",
        437 => "Unsupported Credential",
        438 => "Invalid Identity Header",
        440 => "Max-Breadth Exceeded",
        439 => "First Hop Lacks Outbound Support",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => match status / 100 {
            1 => "Progress",
            2 => "OK",
            3 => "Redirect",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}
