//! Header names, and the values that Tandem reads (RFC 3261 §20).

pub mod name_addr;
pub mod params;
pub mod reason;
pub mod values;
pub mod via;

use std::fmt;

macro_rules! names {
    ($($id:ident = $text:literal $(, $compact:literal)?;)*) => {
        /// A header that Tandem knows by name; the names are those of RFC 3261 §20 and later RFCs.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(missing_docs, reason = "the variants are the header names themselves")]
        pub enum HeaderName { $($id,)* Other }

        impl HeaderName {
            /// The canonical spelling; empty for a header that is not known.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$id => $text,)* Self::Other => "" }
            }

            /// The id of a name in its long or compact form, whatever its case (RFC 3261 §7.3.3).
            #[must_use]
            pub fn from_bytes(name: &[u8]) -> Self {
                const TABLE: &[(&str, HeaderName)] = &[$(($text, HeaderName::$id),)*];
                if let [letter] = name {
                    return match letter.to_ascii_lowercase() {
                        $($($compact => Self::$id,)?)*
                        _ => Self::Other,
                    };
                }
                let first = name.first().map(u8::to_ascii_uppercase);
                TABLE
                    .iter()
                    .find(|(text, _)| {
                        text.len() == name.len()
                            && text.as_bytes().first().copied() == first
                            && text.as_bytes().eq_ignore_ascii_case(name)
                    })
                    .map_or(Self::Other, |(_, id)| *id)
            }
        }
    };
}

names! {
    Via = "Via", b'v';
    From = "From", b'f';
    To = "To", b't';
    CallId = "Call-ID", b'i';
    CSeq = "CSeq";
    MaxForwards = "Max-Forwards";
    MaxBreadth = "Max-Breadth";
    Contact = "Contact", b'm';
    ContentLength = "Content-Length", b'l';
    ContentType = "Content-Type", b'c';
    Route = "Route";
    RecordRoute = "Record-Route";
    Authorization = "Authorization";
    ProxyAuthorization = "Proxy-Authorization";
    WwwAuthenticate = "WWW-Authenticate";
    ProxyAuthenticate = "Proxy-Authenticate";
    Expires = "Expires";
    MinExpires = "Min-Expires";
    Supported = "Supported", b'k';
    Require = "Require";
    ProxyRequire = "Proxy-Require";
    Unsupported = "Unsupported";
    Allow = "Allow";
    Accept = "Accept";
    AcceptEncoding = "Accept-Encoding";
    AcceptLanguage = "Accept-Language";
    UserAgent = "User-Agent";
    Server = "Server";
    Date = "Date";
    Path = "Path";
    Reason = "Reason";
    RetryAfter = "Retry-After";
    Warning = "Warning";
    Subject = "Subject", b's';
    ContentDisposition = "Content-Disposition";
    ContentEncoding = "Content-Encoding", b'e';
    Geolocation = "Geolocation";
    GeolocationRouting = "Geolocation-Routing";
    ServiceRoute = "Service-Route";
    SessionExpires = "Session-Expires", b'x';
    MinSe = "Min-SE";
    RSeq = "RSeq";
    RAck = "RAck";
    ReferTo = "Refer-To", b'r';
    ReferredBy = "Referred-By", b'b';
    ReferSub = "Refer-Sub";
    Replaces = "Replaces";
    Join = "Join";
    InfoPackage = "Info-Package";
    Record = "Record";
    RecvInfo = "Recv-Info";
    Event = "Event", b'o';
    AllowEvents = "Allow-Events", b'u';
    SubscriptionState = "Subscription-State";
    SipEtag = "SIP-ETag";
    SipIfMatch = "SIP-If-Match";
    PAssertedIdentity = "P-Asserted-Identity";
    Identity = "Identity", b'y';
    PPreferredIdentity = "P-Preferred-Identity";
    RemotePartyId = "Remote-Party-ID";
    SessionId = "Session-ID";
    UserToUser = "User-to-User";
    AnswerMode = "Answer-Mode";
    PrivAnswerMode = "Priv-Answer-Mode";
    Privacy = "Privacy";
    Diversion = "Diversion";
    HistoryInfo = "History-Info";
    AlertInfo = "Alert-Info";
    CallInfo = "Call-Info";
    MimeVersion = "MIME-Version";
    Organization = "Organization";
    Timestamp = "Timestamp";
}

impl HeaderName {
    /// May this header stand only once in a message (RFC 3261 §7.3.1)?
    #[must_use]
    pub const fn is_single(self) -> bool {
        matches!(
            self,
            Self::From
                | Self::To
                | Self::CallId
                | Self::CSeq
                | Self::MaxForwards
                | Self::ContentLength
                | Self::ContentType
                | Self::Expires
                | Self::MinExpires
                | Self::RetryAfter
                | Self::Event
                | Self::SipEtag
                | Self::SipIfMatch
                | Self::RAck
                | Self::RSeq
                | Self::Date
        )
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Splits a header value at the commas that separate values: not those in quotes, in `<>` or behind
/// a backslash (RFC 3261 §7.3.1). Empty pieces are left out.
pub fn split_list(value: &str) -> impl Iterator<Item = &str> {
    Split { rest: value, separator: b',' }.map(str::trim).filter(|piece| !piece.is_empty())
}

/// Splits at a separator outside quotes and `<>`.
struct Split<'a> {
    rest: &'a str,
    separator: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let at = find_outside(self.rest, self.separator).unwrap_or(self.rest.len());
        let (piece, rest) = self.rest.split_at(at);
        self.rest = rest.get(1..).unwrap_or("");
        Some(piece)
    }
}

/// Is every quote and every `<` closed again? An open one would swallow what is written behind it.
#[must_use]
pub fn is_closed(text: &str) -> bool {
    scan(text, None).is_err_and(|open| !open)
}

/// How long the `quoted-string` is that `text` begins with; `None` if it never ends.
#[must_use]
pub fn quoted_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Does the text hold a control character other than a tab? What we write has none, so it would come back
/// changed.
#[must_use]
pub fn has_control(text: &str) -> bool {
    text.bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f)
}

/// Where `wanted` stands for the first time outside quotes and `<>`.
#[must_use]
pub fn find_outside(text: &str, wanted: u8) -> Option<usize> {
    scan(text, Some(wanted)).ok()
}

/// Where `wanted` stands outside quotes and `<>`; if nowhere, whether one of them is left open.
fn scan(text: &str, wanted: Option<u8>) -> Result<usize, bool> {
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted {
            match byte {
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if Some(byte) == wanted && !angle {
            return Ok(at);
        } else {
            match byte {
                b'"' if !angle => quoted = true,
                b'<' => angle = true,
                b'>' => angle = false,
                _ => {}
            }
        }
    }
    Err(quoted || angle)
}
