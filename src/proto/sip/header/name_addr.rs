//! `name-addr` and `addr-spec` values: From, To, Contact, Route (RFC 3261 §20.10).

use std::borrow::Cow;

use super::params::{Params, unquote};
use super::{is_closed, quoted_length};
use crate::proto::sip::uri::Uri;

/// An address with its display name and header parameters, borrowed from a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NameAddr<'a> {
    /// The display name as it stood, quotes included; empty if there was none.
    pub raw_name: &'a str,
    /// The URI, raw: without its angle brackets.
    pub uri: &'a str,
    /// The header's own parameters.
    pub params: Params<'a>,
}

/// Why an address could not be read; all of them mean 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameAddrError {
    /// A quoted display name or parameter without its closing quote.
    UnterminatedQuote,
    /// A `<` without its `>`.
    UnterminatedUri,
    /// No URI.
    Empty,
    /// A URI with `,`, `?` or `;` that is not in `<>` (RFC 3261 §20.10).
    NeedsBrackets,
    /// White space or a control character in the URI (RFC 4475 §3.1.2.14).
    BadUri,
    /// Text between the `>` and the first `;`.
    Trailing,
    /// A display name without quotes that has characters which need them.
    BadName,
}

impl<'a> NameAddr<'a> {
    /// Reads one address.
    ///
    /// # Errors
    ///
    /// See [`NameAddrError`]; the answer is 400.
    pub fn parse(text: &'a str) -> Result<Self, NameAddrError> {
        let text = text.trim();
        let (raw_name, rest) = if text.starts_with('"') {
            let end = quoted_length(text).ok_or(NameAddrError::UnterminatedQuote)?;
            let (name, rest) = text.split_at(end);
            (name, rest.trim_start())
        } else {
            match text.find('<') {
                Some(at) => {
                    let (name, rest) = text.split_at(at);
                    (name.trim(), rest)
                }
                None => return Self::bare(text),
            }
        };
        if !raw_name.starts_with('"') && raw_name.contains(['"', ';', ':', '@']) {
            return Err(NameAddrError::BadName);
        }
        let rest = rest.strip_prefix('<').ok_or(NameAddrError::Empty)?;
        let end = rest.find('>').ok_or(NameAddrError::UnterminatedUri)?;
        let (uri, after) = rest.split_at(end);
        let after = after.get(1..).unwrap_or("").trim();
        if uri.is_empty() {
            return Err(NameAddrError::Empty);
        }
        if !is_unbroken(uri) {
            return Err(NameAddrError::BadUri);
        }
        if !after.is_empty() && !after.starts_with(';') {
            return Err(NameAddrError::Trailing);
        }
        if !is_closed(after) {
            return Err(NameAddrError::UnterminatedQuote);
        }
        Ok(Self { raw_name, uri, params: Params::new(after) })
    }

    /// Without brackets, everything from the first `;` on belongs to the header.
    fn bare(text: &'a str) -> Result<Self, NameAddrError> {
        let (uri, params) = match text.find(';') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let uri = uri.trim();
        if uri.is_empty() {
            return Err(NameAddrError::Empty);
        }
        if uri.contains(['?', ',', '"', '>']) {
            return Err(NameAddrError::NeedsBrackets);
        }
        if !is_unbroken(uri) {
            return Err(NameAddrError::BadUri);
        }
        if !is_closed(params) {
            return Err(NameAddrError::UnterminatedQuote);
        }
        Ok(Self { raw_name: "", uri, params: Params::new(params) })
    }

    /// The display name without quotes.
    #[must_use]
    pub fn display_name(&self) -> Cow<'a, str> {
        unquote(self.raw_name)
    }

    /// The `tag` parameter.
    #[must_use]
    pub fn tag(&self) -> Option<&'a str> {
        self.params.raw("tag").flatten()
    }

    /// The URI read; `None` if it is broken or of a scheme that has no parts.
    #[must_use]
    pub fn parsed_uri(&self) -> Option<Uri<'a>> {
        Uri::parse(self.uri)
    }
}

/// Neither white space nor a control character: one of them inside a URI would end it for the next reader.
fn is_unbroken(uri: &str) -> bool {
    uri.bytes().all(|b| b > b' ' && b != 0x7f)
}
