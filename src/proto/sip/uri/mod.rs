//! URIs (RFC 3261 §19.1): read as a view, compared by the table of §19.1.4, never rewritten.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::proto::sip::header::params::Params;
use crate::proto::sip::header::via::split_host_port;
use crate::proto::sip::transport::{Host, NextHop, Transport};

/// The longest URI that Tandem reads, in bytes; a longer Request-URI is answered 414.
pub const URI_MAX: usize = 2048;

/// What a URI's scheme is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:` (RFC 3966)
    Tel,
    /// `urn:` (RFC 5031 among others)
    Urn,
    /// Any other: a Request-URI with it is answered 416.
    Other,
}

/// A URI, borrowed from the message it stood in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uri<'a> {
    /// The whole, as it stood.
    pub raw: &'a str,
    /// Its scheme.
    pub scheme: Scheme,
    /// The raw user part with any password; for `tel:` the number; empty if there is none.
    pub user: &'a str,
    /// The host; `None` for `tel:`, `urn:` and unknown schemes.
    pub host: Option<Host>,
    /// The port, if written.
    pub port: Option<u16>,
    /// The URI's own parameters.
    pub params: Params<'a>,
    /// What follows the `?`.
    pub headers: &'a str,
}

impl<'a> Uri<'a> {
    /// Reads a URI. `None` if it has no scheme, is longer than [`URI_MAX`], holds white space or angle
    /// brackets, or is a `sip:` URI without a readable host.
    #[must_use]
    pub fn parse(raw: &'a str) -> Option<Self> {
        if raw.len() > URI_MAX
            || raw.bytes().any(|b| b.is_ascii_whitespace() || b == b'<' || b == b'>')
        {
            return None;
        }
        let (scheme, rest) = raw.split_once(':')?;
        let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(valid) {
            return None;
        }
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "sip" => Scheme::Sip,
            "sips" => Scheme::Sips,
            "tel" => Scheme::Tel,
            "urn" => Scheme::Urn,
            _ => Scheme::Other,
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => Self::parse_sip(raw, scheme, rest),
            Scheme::Tel => {
                let (number, params) = rest.split_once(';').unwrap_or((rest, ""));
                Some(Self::opaque(raw, scheme, number, Params::new(params)))
            }
            Scheme::Urn | Scheme::Other => Some(Self::opaque(raw, scheme, "", Params::default())),
        }
    }

    const fn opaque(raw: &'a str, scheme: Scheme, user: &'a str, params: Params<'a>) -> Self {
        Self { raw, scheme, user, host: None, port: None, params, headers: "" }
    }

    fn parse_sip(raw: &'a str, scheme: Scheme, rest: &'a str) -> Option<Self> {
        // The user part may hold `;`, `?` and `/`, so the `@` is looked for first.
        let (user, rest) = match rest.find('@') {
            Some(at) => (rest.get(..at)?, rest.get(at + 1..)?),
            None => ("", rest),
        };
        let (rest, headers) = rest.split_once('?').unwrap_or((rest, ""));
        let (host_port, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = split_host_port(host_port)?;
        Some(Self {
            raw,
            scheme,
            user,
            host: Some(host),
            port,
            params: Params::new(params),
            headers,
        })
    }

    /// The user with escapes undone, without password and without user parameters: what a dial plan
    /// works on (`+86138;phone-context=…` gives `+86138`).
    #[must_use]
    pub fn dialled(&self) -> Cow<'a, str> {
        let user = self.user.split(':').next().unwrap_or("");
        let user = user.split(';').next().unwrap_or("");
        unescape(user)
    }

    /// Where a request to this URI goes if it is the next hop: its `maddr` or host, and its port and
    /// `transport` as far as they are written (RFC 3263 §4). `None` for a transport that we do not speak.
    #[must_use]
    pub fn next_hop(&self) -> Option<NextHop> {
        let host = match self.params.raw("maddr").flatten() {
            Some(maddr) => Host::parse(maddr)?,
            None => self.host.clone()?,
        };
        let transport = match self.params.raw("transport").flatten() {
            Some(word) => Some(Transport::from_word(word)?),
            None => None,
        };
        // `sips` is TLS on every hop, whatever stream its parameter names (RFC 5630 §3.1).
        let transport = match (self.scheme, transport) {
            (Scheme::Sips, Some(Transport::Ws | Transport::Wss)) => Some(Transport::Wss),
            (Scheme::Sips, _) => Some(Transport::Tls),
            (_, transport) => transport,
        };
        Some(NextHop { transport, host, port: self.port, domain: None })
    }

    /// Are the two the same address by the rules of RFC 3261 §19.1.4? Other schemes compare as text.
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        // A URI is itself, even one that names a parameter twice.
        if self.raw == other.raw {
            return true;
        }
        if self.scheme != other.scheme || self.host.is_none() {
            return false;
        }
        self.host == other.host
            && self.port == other.port
            && unescape_bytes(self.user) == unescape_bytes(other.user)
            && same_params(self.params, other.params)
            && same_headers(self.headers, other.headers)
    }
}

/// Parameters that must be in both URIs or in neither (§19.1.4); any other one counts only if both
/// have it.
const ALWAYS_COMPARED: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];

fn same_params(a: Params<'_>, b: Params<'_>) -> bool {
    let one_way = |x: Params<'_>, y: Params<'_>| {
        x.iter().all(|(name, value)| match y.raw(name) {
            Some(other) => {
                let text = |v: Option<&str>| unescape_bytes(v.unwrap_or("")).to_ascii_lowercase();
                text(value) == text(other)
            }
            None => !ALWAYS_COMPARED.iter().any(|always| always.eq_ignore_ascii_case(name)),
        })
    };
    one_way(a, b) && one_way(b, a)
}

fn same_headers(a: &str, b: &str) -> bool {
    let sorted = |text: &str| {
        let mut list: Vec<_> = text
            .split('&')
            .filter(|piece| !piece.is_empty())
            .map(|piece| {
                let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
                (name.to_ascii_lowercase(), unescape_bytes(value).into_owned())
            })
            .collect();
        list.sort();
        list
    };
    a == b || sorted(a) == sorted(b)
}

/// Undoes `%41` escapes; what is not UTF-8 then is replaced.
#[must_use]
pub fn unescape(text: &str) -> Cow<'_, str> {
    match unescape_bytes(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn unescape_bytes(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match (byte, tail) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            out.push(high << 4 | low);
            rest = tail.get(2..).unwrap_or(&[]);
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    Cow::Owned(out)
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Escapes what may not stand in a URI's user part (RFC 3261 §25.1, `user-unreserved`).
#[must_use]
pub fn escape_user(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')')
            || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',' | b'/');
        if plain {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
