//! What makes a lexed message unfit, and how a request with that defect is answered.

use super::Message;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::header::values::delta_seconds;
use crate::proto::sip::header::via::Via;
use crate::proto::sip::header::{HeaderName, has_control, split_list};
use crate::proto::sip::method::Method;

/// A defect of a request, worth an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Defect {
    /// The start line has stray white space.
    StartLine,
    /// Not SIP/2.0.
    Version,
    /// The Request-URI is not a URI.
    RequestUri,
    /// The Request-URI is longer than [`crate::proto::sip::uri::URI_MAX`].
    UriTooLong,
    /// Too many header lines, or one too long.
    TooLarge,
    /// A header line without a colon or with a broken name.
    HeaderLine,
    /// The blank line after the head is missing.
    Truncated,
    /// Content-Length is not a number, contradicts itself or announces more than there is.
    ContentLength,
    /// From, To, Call-ID, CSeq or Via is missing.
    Missing,
    /// A header that may stand once stands twice.
    Doubled(HeaderName),
    /// CSeq is malformed, too large, or names another method.
    CSeq,
    /// A value that cannot be read.
    Malformed(HeaderName),
}

impl Defect {
    /// The status to answer with.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Version => 505,
            Self::UriTooLong => 414,
            Self::TooLarge => 513,
            _ => 400,
        }
    }

    /// The reason phrase to answer with: it says what is wrong.
    #[must_use]
    pub fn reason(self) -> String {
        match self {
            Self::StartLine => "Bad Request: white space in the start line".to_owned(),
            Self::Version => "Version Not Supported".to_owned(),
            Self::RequestUri => "Bad Request: malformed Request-URI".to_owned(),
            Self::UriTooLong => "Request-URI Too Long".to_owned(),
            Self::TooLarge => "Message Too Large".to_owned(),
            Self::HeaderLine => "Bad Request: malformed header line".to_owned(),
            Self::Truncated => "Bad Request: the message is cut off".to_owned(),
            Self::ContentLength => "Bad Request: wrong Content-Length".to_owned(),
            Self::Missing => "Bad Request: a mandatory header is missing".to_owned(),
            Self::Doubled(name) => format!("Bad Request: more than one {name}"),
            Self::CSeq => "Bad Request: wrong CSeq".to_owned(),
            Self::Malformed(name) => format!("Bad Request: malformed {name}"),
        }
    }
}

/// The first defect of a lexed message.
pub(super) fn validate(message: &Message) -> Option<Defect> {
    doubled(message)
        .or_else(|| mandatory(message))
        .or_else(|| addresses(message))
        .or_else(|| call_id(message))
        .or_else(|| numbers(message))
}

fn doubled(message: &Message) -> Option<Defect> {
    message.lines.iter().enumerate().find_map(|(index, line)| {
        // Equal Content-Length lines say the same thing; unequal ones were refused before.
        let counts = line.name.is_single() && line.name != HeaderName::ContentLength;
        let again = counts && message.lines.iter().skip(index + 1).any(|l| l.name == line.name);
        again.then_some(Defect::Doubled(line.name))
    })
}

fn mandatory(message: &Message) -> Option<Defect> {
    use HeaderName::{CSeq, CallId, From, To, Via};
    let is_missing =
        |name| !message.lines.iter().any(|line| line.name == name && !line.value_at.is_empty());
    if [Via, From, To, CallId, CSeq].into_iter().any(is_missing) {
        return Some(Defect::Missing);
    }
    let matches = !message.is_request() || &message.cseq.method == message.method();
    (!matches).then_some(Defect::CSeq)
}

fn addresses(message: &Message) -> Option<Defect> {
    for name in [HeaderName::From, HeaderName::To] {
        let value = message.text(name)?;
        let Ok(address) = NameAddr::parse(&value) else { return Some(Defect::Malformed(name)) };
        // A comma at the end is a list as soon as our tag is behind it.
        let is_list = (split_list(&value).count() > 1 || value.trim_end().ends_with(','))
            && address.raw_name.is_empty();
        // A tag goes back byte for byte, or the sender does not know it again.
        if is_list || address.tag().is_some_and(has_control) {
            return Some(Defect::Malformed(name));
        }
    }
    for line in message.texts(HeaderName::Via) {
        if split_list(&line).any(|via| Via::parse(via).is_none())
            || split_list(&line).next().is_none()
        {
            return Some(Defect::Malformed(HeaderName::Via));
        }
    }
    let is_register = message.method() == &Method::Register;
    for name in [HeaderName::Contact, HeaderName::Route, HeaderName::RecordRoute, HeaderName::Path]
    {
        for line in message.texts(name) {
            if line.trim() == "*" && name == HeaderName::Contact && is_register {
                continue;
            }
            if split_list(&line).any(|value| NameAddr::parse(value).is_err()) {
                return Some(Defect::Malformed(name));
            }
        }
    }
    None
}

/// A Call-ID goes back byte for byte, or the sender does not know it again.
fn call_id(message: &Message) -> Option<Defect> {
    has_control(&message.call_id()).then_some(Defect::Malformed(HeaderName::CallId))
}

fn numbers(message: &Message) -> Option<Defect> {
    for name in [HeaderName::Expires, HeaderName::MinExpires, HeaderName::RetryAfter] {
        let bad = message.text(name).is_some_and(|value| delta_seconds(&value).is_none());
        if bad && message.is_request() {
            return Some(Defect::Malformed(name));
        }
    }
    // Max-Forwards that is no number is refused; above 255 it is read as 255 (RFC 3261 §20.22).
    let value = message.text(HeaderName::MaxForwards)?;
    let is_number = !value.is_empty() && value.trim().bytes().all(|b| b.is_ascii_digit());
    (!is_number).then_some(Defect::Malformed(HeaderName::MaxForwards))
}
