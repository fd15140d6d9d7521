//! Digest authentication, both ways (RFC 7616, RFC 8760, RFC 3261 §22).

pub mod client;
pub mod digest;
pub mod server;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::header::params::unquote;
use super::header::split_list;

/// The parameters of a challenge or of credentials: `Digest a=b, c="d"`.
#[derive(Clone, Debug)]
pub struct AuthParams<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> AuthParams<'a> {
    /// Reads a value of the Digest scheme; `None` for any other scheme.
    #[must_use]
    pub fn digest(value: &'a str) -> Option<Self> {
        let value = value.trim();
        let (scheme, rest) = value.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case("digest") || !rest.starts_with([' ', '\t']) {
            return None;
        }
        let pairs = split_list(rest)
            .filter_map(|piece| piece.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        Some(Self { pairs })
    }

    /// The value of a parameter without its quotes.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.pairs
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| unquote(value))
    }
}
