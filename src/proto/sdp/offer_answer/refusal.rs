//! Why a description cannot be agreed on, in the terms of a 488 (RFC 3261 §20.43).

use std::fmt;

use super::super::crypto::Unusable;
use super::super::session::SdpError;

/// Why an offer or answer is refused. The agreed session is untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpRefusal {
    /// The body is not a session description; answer 400.
    Malformed(SdpError),
    /// No audio stream that we could take part in.
    NoAudio,
    /// Audio only over SRTP, and the peer is to have none.
    SecureOnly,
    /// Audio only over SRTP with keys that are agreed on by DTLS, which the peer is not to use.
    KeysByDtls,
    /// The same, and no fingerprint of a certificate by a hash that is believed.
    NoFingerprint,
    /// Audio over SRTP, and no `a=crypto` line that we can use; why the first one is none.
    NoUsableKey(Option<Unusable>),
    /// Audio in the clear, from a peer that must encrypt it.
    ClearOnly,
    /// Fax over T.38, which this leg or the other one does not take.
    NoFax,
    /// No codec in common.
    NoCommonCodec,
    /// The peer makes an offer while ours is open; answer 491 (RFC 3261 §14.2).
    Glare,
    /// There is no open offer that this could answer.
    NoOffer,
}

impl SdpRefusal {
    /// The warn-code and text of the `Warning` header for a 488.
    #[must_use]
    pub fn warning(self) -> (u16, &'static str) {
        match self {
            Self::Malformed(_) | Self::Glare | Self::NoOffer => (399, "Miscellaneous warning"),
            Self::NoAudio | Self::NoFax => (304, "Media type not available"),
            Self::SecureOnly
            | Self::KeysByDtls
            | Self::NoFingerprint
            | Self::NoUsableKey(_)
            | Self::ClearOnly => (302, "Incompatible transport protocol"),
            Self::NoCommonCodec => (305, "Incompatible media format"),
        }
    }

    /// The response that a request with such an offer gets.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Glare => 491,
            Self::NoAudio
            | Self::NoFax
            | Self::SecureOnly
            | Self::KeysByDtls
            | Self::NoFingerprint
            | Self::NoUsableKey(_)
            | Self::ClearOnly
            | Self::NoCommonCodec
            | Self::NoOffer => 488,
        }
    }
}

impl From<SdpError> for SdpRefusal {
    fn from(error: SdpError) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for SdpRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::NoAudio => f.write_str("the offer has no audio stream"),
            Self::NoFax => f.write_str("fax by T.38 cannot be taken here"),
            Self::SecureOnly => f.write_str("there is audio only over SRTP, which is off here"),
            Self::KeysByDtls => f.write_str("there is audio only over SRTP with keys by DTLS"),
            Self::NoFingerprint => f.write_str(
                "there is audio over SRTP with keys by DTLS, and no fingerprint by SHA-256 or better",
            ),
            Self::NoUsableKey(None) => f.write_str("there is audio over SRTP and no key for it"),
            Self::NoUsableKey(Some(why)) => {
                write!(f, "no a=crypto line can be used, the first one because of {why}")
            }
            Self::ClearOnly => f.write_str("SRTP is required here, and there is audio without it"),
            Self::NoCommonCodec => f.write_str("the two sides share no codec"),
            Self::Glare => f.write_str("both sides made an offer"),
            Self::NoOffer => f.write_str("there is no open offer"),
        }
    }
}

impl std::error::Error for SdpRefusal {}
