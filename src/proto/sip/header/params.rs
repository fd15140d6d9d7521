//! Parameters: `;name=value` lists (RFC 3261 §25.1, `generic-param`).

use std::borrow::Cow;

/// A view on a parameter list as it stood on the wire, without the first `;`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Params<'a>(&'a str);

impl<'a> Params<'a> {
    /// A view on `text`, which may begin with a `;`.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let text = text.trim();
        Self(text.strip_prefix(';').unwrap_or(text))
    }

    /// The raw text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Every parameter with its raw value, in order. Space around `;` and `=` is allowed.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> {
        super::Split { rest: self.0, separator: b';' }.filter_map(|piece| {
            let piece = piece.trim();
            if piece.is_empty() {
                return None;
            }
            Some(match super::find_outside(piece, b'=').and_then(|at| piece.split_at_checked(at)) {
                Some((name, value)) => (name.trim(), Some(value.get(1..).unwrap_or("").trim())),
                None => (piece, None),
            })
        })
    }

    /// The raw value of the first parameter with this name; `Some(None)` if it stands without one.
    #[must_use]
    pub fn raw(self, name: &str) -> Option<Option<&'a str>> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Is it there, with or without a value?
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// The value with quotes and escapes taken off; `None` if it is absent or has no value.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name).flatten().map(unquote)
    }
}

/// Takes the quotes and escapes off a `quoted-string`; any other text is returned as it is.
#[must_use]
pub fn unquote(text: &str) -> Cow<'_, str> {
    let Some(inner) = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) else {
        return Cow::Borrowed(text);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    Cow::Owned(out)
}

/// Writes `text` as a `quoted-string`. Control characters, which could start a header of their own,
/// become spaces.
#[must_use]
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Is this a `token` (RFC 3261 §25.1)?
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
        })
}
