//! Keys that are agreed on by DTLS: who begins, whose certificate it must be, what comes of it (RFC 5763, RFC 5764).

use std::fmt;

use super::{Keys, LIFETIME_MAX, MasterKey, Suite};

/// Fingerprints of one description that are kept; further ones are passed over. Browsers write one.
pub const FINGERPRINTS_MAX: usize = 8;

/// What a certificate is hashed by (RFC 8122 §5). SHA-1 and MD5 are not among them: a certificate can be made to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    /// `sha-256`
    Sha256,
    /// `sha-384`
    Sha384,
    /// `sha-512`
    Sha512,
}

impl Hash {
    /// The word in a description.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// The hash of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint {
    /// By what.
    pub hash: Hash,
    /// As many bytes as that gives.
    pub digest: Vec<u8>,
}

impl Fingerprint {
    /// Reads `sha-256 4A:AD:…`; `None` if malformed, or by a hash that is not believed.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (name, digits) = value.trim().split_once(' ')?;
        let all = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
        let hash = all.into_iter().find(|hash| hash.name().eq_ignore_ascii_case(name))?;
        let is_byte = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let byte = |text: &str| u8::from_str_radix(text, 16).ok().filter(|_| is_byte(text));
        let digest: Option<Vec<u8>> =
            digits.trim().split(':').take(hash.len() + 1).map(byte).collect();
        let digest = digest.filter(|digest| digest.len() == hash.len())?;
        Some(Self { hash, digest })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (place, byte) in self.digest.iter().enumerate() {
            write!(f, "{}{byte:02X}", if place == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

/// One DTLS association of a leg, as its descriptions agree on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association {
    /// No other association of any leg has it: another number is another handshake.
    pub number: u64,
    /// We send the first message.
    pub is_active: bool,
    /// The peer's certificate has one of these; never empty.
    pub fingerprints: Vec<Fingerprint>,
    /// What came of the handshake.
    pub keys: Option<Box<Keys>>,
}

/// The keys of both sides, cut from what DTLS exports (RFC 5764 §4.2): the keys of client and server, then their salts.
/// `None` unless there are as many bytes as the suite has.
#[must_use]
pub fn exported(suite: Suite, is_client: bool, material: &[u8]) -> Option<Keys> {
    if material.len() != 2 * suite.material_len() {
        return None;
    }
    let (keys, salts) = material.split_at_checked(2 * suite.key_len())?;
    let of = |is_client: bool| {
        let half = |bytes: &[u8]| {
            let (client, server) = bytes.split_at(bytes.len() / 2);
            if is_client { client.to_vec() } else { server.to_vec() }
        };
        MasterKey::new(suite, &[half(keys), half(salts)].concat())
    };
    let (send, receive) = (of(is_client)?, of(!is_client)?);
    Some(Keys { send, receive, receive_lifetime: LIFETIME_MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Row 155.
    #[test]
    fn row_155_fingerprints_are_read_and_weak_ones_are_not() {
        let digits = |count: usize| vec!["0a"; count].join(":");
        for (hash, length) in [("sha-256", 32), ("SHA-384", 48), ("sha-512", 64)] {
            let read = Fingerprint::parse(&format!("{hash} {}", digits(length))).unwrap();
            assert_eq!(read.digest, vec![10; length]);
            assert_eq!(Fingerprint::parse(&read.to_string()), Some(read));
        }
        for wrong in [
            format!("sha-1 {}", digits(20)),
            format!("md5 {}", digits(16)),
            format!("sha-256 {}", digits(31)),
            format!("sha-256 {}", digits(33)),
            format!("sha-256 {}", digits(32).replace("0a", "xy")),
            format!("sha-256 {}", digits(32).replace("0a", "+a")),
            "sha-256".into(),
            String::new(),
        ] {
            assert_eq!(Fingerprint::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_exported_is_cut_alike_on_both_sides() {
        for suite in Suite::ALL {
            let material: Vec<u8> = (0..).take(2 * suite.material_len()).collect();
            let client = exported(suite, true, &material).unwrap();
            let server = exported(suite, false, &material).unwrap();
            assert_eq!((&client.send, &client.receive), (&server.receive, &server.send));
            let (key, salt) = client.send.material().split_at(suite.key_len());
            assert_eq!((key[0], usize::from(salt[0])), (0, 2 * suite.key_len()));
            assert_eq!(exported(suite, true, &material[1..]), None);
        }
    }

    proptest! {
        #[test]
        fn row_155_no_fingerprint_panics(text in "(sha-(1|256|384|512))? ?[0-9A-Fa-f:x é]{0,200}") {
            if let Some(read) = Fingerprint::parse(&text) {
                prop_assert_eq!(Fingerprint::parse(&read.to_string()), Some(read));
            }
        }
    }
}
