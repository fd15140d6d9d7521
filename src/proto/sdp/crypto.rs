//! Keys in descriptions: `a=crypto` (RFC 4568).

use std::fmt;

use crate::proto::srtp::{LIFETIME_MAX, MasterKey, Suite};
use crate::proto::stir::base64url;

/// `a=crypto` lines of one stream that are kept; phones write four or fewer. Further ones are passed over.
pub(super) const CRYPTO_MAX: usize = 16;

/// Digits of a tag (RFC 4568 §9.1).
const TAG_DIGITS: usize = 9;

/// A line that we can use: a suite that we know, one key, and nothing agreed on that we do not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crypto {
    /// Names the line: an answer repeats the one that it chose.
    pub tag: u32,
    /// The suite with its key; `Debug` shows no key.
    pub key: MasterKey,
    /// Packets that the key is good for.
    pub lifetime: u64,
}

/// A line that cannot be used, and why: for the reason in a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Not by the grammar.
    Malformed,
    /// A suite that we do not know.
    Suite,
    /// A key of another length than the suite's, or that is no Base64.
    Key,
    /// Several keys, or one with an index (MKI).
    Index,
    /// A lifetime of nothing, or of more than there are packets.
    Lifetime,
    /// A session parameter that we do not do, and that must not be passed over: less protection than the suite gives,
    /// keys that change by themselves, error correction, or something unknown.
    Parameter,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "its form",
            Self::Suite => "its suite",
            Self::Key => "its key",
            Self::Index => "its key index (MKI)",
            Self::Lifetime => "its lifetime",
            Self::Parameter => "a session parameter",
        })
    }
}

impl Crypto {
    /// Reads the value of an `a=crypto` attribute.
    ///
    /// # Errors
    ///
    /// Why the line must be passed over (RFC 4568 §5.1.2, §6.3).
    pub fn parse(value: &str) -> Result<Self, Unusable> {
        let mut words = value.split_ascii_whitespace();
        let (Some(tag), Some(suite), Some(key)) = (words.next(), words.next(), words.next()) else {
            return Err(Unusable::Malformed);
        };
        let is_tag = tag.len() <= TAG_DIGITS && tag.bytes().all(|byte| byte.is_ascii_digit());
        let tag = tag.parse().ok().filter(|_| is_tag).ok_or(Unusable::Malformed)?;
        let suite = Suite::from_name(suite).ok_or(Unusable::Suite)?;
        let (key, lifetime) = parse_key(key, suite)?;
        if words.all(is_harmless) {
            Ok(Self { tag, key, lifetime })
        } else {
            Err(Unusable::Parameter)
        }
    }

    /// A line of ours.
    #[must_use]
    pub const fn new(tag: u32, key: MasterKey) -> Self {
        Self { tag, key, lifetime: LIFETIME_MAX }
    }

    /// What it protects by.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.key.suite()
    }
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = base64url::encode(self.key.material()).replace('-', "+").replace('_', "/");
        let padding = ["", "===", "==", "="].get(key.len() % 4).copied().unwrap_or_default();
        write!(f, "crypto:{} {} inline:{key}{padding}", self.tag, self.suite())?;
        if self.lifetime == LIFETIME_MAX { Ok(()) } else { write!(f, "|{}", self.lifetime) }
    }
}

/// Reads `inline:KEY[|LIFETIME][|MKI:LENGTH]`.
fn parse_key(text: &str, suite: Suite) -> Result<(MasterKey, u64), Unusable> {
    let (method, info) = text.split_once(':').ok_or(Unusable::Malformed)?;
    if !method.eq_ignore_ascii_case("inline") {
        return Err(Unusable::Malformed);
    }
    if info.contains(';') {
        return Err(Unusable::Index);
    }
    let mut parts = info.split('|');
    let key = parts.next().unwrap_or_default().trim_end_matches('=');
    let key = base64url::decode(&key.replace('+', "-").replace('/', "_")).ok_or(Unusable::Key)?;
    let key = MasterKey::new(suite, &key).ok_or(Unusable::Key)?;
    let mut lifetime = LIFETIME_MAX;
    for part in parts {
        if part.contains(':') {
            return Err(Unusable::Index);
        }
        lifetime = parse_lifetime(part).ok_or(Unusable::Lifetime)?;
    }
    Ok((key, lifetime))
}

/// Reads `2^20` or `1048576`.
fn parse_lifetime(text: &str) -> Option<u64> {
    let lifetime: u64 = match text.split_once('^') {
        Some((base, power)) => base.parse::<u64>().ok()?.checked_pow(power.parse().ok()?)?,
        None => text.parse().ok()?,
    };
    (1..=LIFETIME_MAX).contains(&lifetime).then_some(lifetime)
}

/// Whether a session parameter changes nothing that we do: a wish that may be passed over (`-`), a hint at the size of
/// the sender's window, and a key derivation that never repeats (RFC 4568 §6.3).
fn is_harmless(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    match name.to_ascii_uppercase().as_str() {
        "WSH" => value.bytes().all(|byte| byte.is_ascii_digit()),
        "KDR" => value == "0",
        // The minus is for extensions; one before a parameter that lowers the protection is no leave to agree on that.
        name => name.strip_prefix('-').is_some_and(|name| !name.starts_with("UN")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";
    const KEY_28: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGw==";

    fn read(rest: &str) -> Result<Crypto, Unusable> {
        Crypto::parse(&format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}{rest}"))
    }

    /// Row 154.
    #[test]
    fn row_154_lines_are_read_as_phones_write_them() {
        let plain = read("").unwrap();
        assert_eq!((plain.tag, plain.suite()), (1, Suite::AesCm128HmacSha1_80));
        assert_eq!(plain.to_string(), format!("crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
        assert_eq!(plain.lifetime, LIFETIME_MAX);
        for (rest, lifetime) in [("|2^31", 1 << 31), ("|1048576", 1 << 20), ("|2^48", 1 << 48)] {
            assert_eq!(read(rest).unwrap().lifetime, lifetime, "{rest}");
        }
        for harmless in [" WSH=128", " KDR=0", " -NEWTHING=3", "|2^20 WSH=64 KDR=0"] {
            assert!(read(harmless).is_ok(), "{harmless}");
        }
        for padding in [KEY_28, KEY_28.trim_end_matches('=')] {
            let line = Crypto::parse(&format!("123456789 aead_aes_128_gcm INLINE:{padding}"));
            assert_eq!(line.unwrap().key.material(), (0..28).collect::<Vec<u8>>());
        }
    }

    /// Row 154.
    #[test]
    fn row_154_what_we_cannot_keep_to_is_passed_over() {
        for (rest, why) in [
            ("|1:4", Unusable::Index),
            ("|2^20|1:4", Unusable::Index),
            (&format!(";inline:{KEY}"), Unusable::Index),
            ("|0", Unusable::Lifetime),
            ("|2^49", Unusable::Lifetime),
            ("|2^9999999", Unusable::Lifetime),
            ("|", Unusable::Lifetime),
            (" UNENCRYPTED_SRTP", Unusable::Parameter),
            (" -UNENCRYPTED_SRTP", Unusable::Parameter),
            (" UNENCRYPTED_SRTCP", Unusable::Parameter),
            (" UNAUTHENTICATED_SRTP", Unusable::Parameter),
            (" KDR=1", Unusable::Parameter),
            (" FEC_ORDER=FEC_SRTP", Unusable::Parameter),
            (" NEWTHING", Unusable::Parameter),
            ("AAAA", Unusable::Key),
            ("%", Unusable::Key),
        ] {
            assert_eq!(read(rest), Err(why), "{rest}");
        }
        let line = |text: &str| Crypto::parse(text).unwrap_err();
        assert_eq!(line(&format!("1 F8_128_HMAC_SHA1_80 inline:{KEY}")), Unusable::Suite);
        assert_eq!(line(&format!("1 AEAD_AES_256_GCM inline:{KEY}")), Unusable::Key);
        for malformed in ["", "1", "x AES_CM_128_HMAC_SHA1_80 inline:", "1 AES_CM_128_HMAC_SHA1_80"]
        {
            assert_eq!(line(malformed), Unusable::Malformed, "{malformed}");
        }
        for tag in ["1234567890", "-1", "+1"] {
            let text = format!("{tag} AES_CM_128_HMAC_SHA1_80 inline:{KEY}");
            assert_eq!(line(&text), Unusable::Malformed, "{tag}");
        }
        assert_eq!(line(&format!("1 AES_CM_128_HMAC_SHA1_80 x:{KEY}")), Unusable::Malformed);
    }

    proptest! {
        #[test]
        fn row_154_no_line_panics_and_what_is_read_is_written_back(
            text in "[0-9]{0,3} ?(AES_CM_128_HMAC_SHA1_(80|32)|AEAD_AES_128_GCM|X)? ?(inline:)?[A-Za-z0-9+/=|^:;]{0,64} ?.{0,24}",
        ) {
            if let Ok(line) = Crypto::parse(&text) {
                let written = line.to_string();
                let again = Crypto::parse(written.strip_prefix("crypto:").unwrap());
                prop_assert_eq!(again, Ok(line));
            }
        }

        #[test]
        fn row_154_every_key_is_written_and_read(bytes in prop::collection::vec(any::<u8>(), 44), suite in 0_usize..4) {
            let suite = Suite::ALL[suite];
            let line = Crypto::new(7, MasterKey::new(suite, &bytes[..suite.material_len()]).unwrap());
            let written = line.to_string();
            prop_assert_eq!(Crypto::parse(written.strip_prefix("crypto:").unwrap()), Ok(line));
        }
    }
}
