//! The digest computation (RFC 7616 §3.4).

use std::fmt;

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use crate::proto::hex::hex;

/// A digest algorithm; each has a `-sess` variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Algorithm {
    /// RFC 7616; still what most phones speak.
    Md5,
    /// RFC 7616, RFC 8760.
    Sha256,
    /// RFC 7616, RFC 8760.
    Sha512_256,
}

impl Algorithm {
    /// The token on the wire.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Reads a token: the algorithm and whether it is the `-sess` variant. Absent means MD5.
    #[must_use]
    pub fn parse(token: Option<&str>) -> Option<(Self, bool)> {
        let token = token.unwrap_or("MD5");
        let (name, is_session) =
            match token.len().checked_sub(5).and_then(|at| token.split_at_checked(at)) {
                Some((name, tail)) if tail.eq_ignore_ascii_case("-sess") => (name, true),
                _ => (token, false),
            };
        [Self::Md5, Self::Sha256, Self::Sha512_256]
            .into_iter()
            .find(|algorithm| algorithm.token().eq_ignore_ascii_case(name))
            .map(|algorithm| (algorithm, is_session))
    }

    /// H(data), in lower-case hex.
    #[must_use]
    pub fn hash(self, parts: &[&[u8]]) -> String {
        fn run<D: Digest>(parts: &[&[u8]]) -> String {
            let mut digest = D::new();
            for part in parts {
                digest.update(part);
            }
            hex(&digest.finalize())
        }
        match self {
            Self::Md5 => run::<Md5>(parts),
            Self::Sha256 => run::<Sha256>(parts),
            Self::Sha512_256 => run::<Sha512_256>(parts),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// Everything that the response is computed over.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// Which hash.
    pub algorithm: Algorithm,
    /// Is it the `-sess` variant?
    pub is_session: bool,
    /// The user name as it stands in the credentials.
    pub username: &'a str,
    /// The realm of the challenge.
    pub realm: &'a str,
    /// The password.
    pub secret: &'a str,
    /// The request's method.
    pub method: &'a str,
    /// The `uri` parameter, raw.
    pub uri: &'a str,
    /// The server's nonce.
    pub nonce: &'a str,
    /// With qop: its value (`auth`, `auth-int`), the nonce count as eight hex digits, the cnonce.
    pub qop: Option<(&'a str, &'a str, &'a str)>,
    /// The body, for `auth-int`.
    pub body: &'a [u8],
}

impl Inputs<'_> {
    /// The `response` parameter (RFC 7616 §3.4.1).
    #[must_use]
    pub fn response(&self) -> String {
        let hash = |parts: &[&[u8]]| self.algorithm.hash(parts);
        let colon: &[u8] = b":";
        let mut a1 = hash(&[
            self.username.as_bytes(),
            colon,
            self.realm.as_bytes(),
            colon,
            self.secret.as_bytes(),
        ]);
        if self.is_session {
            let cnonce = self.qop.map_or("", |(_, _, cnonce)| cnonce);
            a1 = hash(&[a1.as_bytes(), colon, self.nonce.as_bytes(), colon, cnonce.as_bytes()]);
        }
        let is_int = self.qop.is_some_and(|(qop, _, _)| qop.eq_ignore_ascii_case("auth-int"));
        let a2 = if is_int {
            let body = hash(&[self.body]);
            hash(&[self.method.as_bytes(), colon, self.uri.as_bytes(), colon, body.as_bytes()])
        } else {
            hash(&[self.method.as_bytes(), colon, self.uri.as_bytes()])
        };
        match self.qop {
            Some((qop, nc, cnonce)) => hash(&[
                a1.as_bytes(),
                colon,
                self.nonce.as_bytes(),
                colon,
                nc.as_bytes(),
                colon,
                cnonce.as_bytes(),
                colon,
                qop.as_bytes(),
                colon,
                a2.as_bytes(),
            ]),
            None => hash(&[a1.as_bytes(), colon, self.nonce.as_bytes(), colon, a2.as_bytes()]),
        }
    }
}

/// Compares two texts in a time that depends on their lengths only.
#[must_use]
pub fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (x, y)| sum | (x ^ y)) == 0
}
