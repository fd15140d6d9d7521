//! SRTP and SRTCP (RFC 3711, RFC 7714): one leg's keys, and packets protected and opened in place.
//!
//! Where the keys come from is nothing to this module: [`crate::proto::sdp`] reads them from `a=crypto` lines, or the
//! media plane has them of DTLS. No function here allocates for a packet.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod association;
mod cipher;
mod derivation;
mod guarded;
mod receiver;
mod sender;
mod sequence;

use std::fmt;

use super::rtp::HEADER_LEN;

pub use association::{Association, FINGERPRINTS_MAX, Fingerprint, Hash, exported};
pub use guarded::{GUARDED_MAX, GuardedLeg};

/// A cipher with its authentication, as `a=crypto` names them (RFC 4568 §6.2, RFC 7714 §14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suite {
    /// AES in counter mode, HMAC-SHA1 cut to 80 bits: what every phone has.
    AesCm128HmacSha1_80,
    /// The same, cut to 32 bits on RTP.
    AesCm128HmacSha1_32,
    /// AES-128 in Galois/counter mode.
    AeadAes128Gcm,
    /// AES-256 in Galois/counter mode.
    AeadAes256Gcm,
}

impl Suite {
    /// All that we know, in the order that we offer them in.
    pub const ALL: [Self; 4] = [
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
    ];

    /// Its name in `a=crypto`, and for operators.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
        }
    }

    /// Its name for operators, where DTLS agreed on the keys.
    #[must_use]
    pub const fn name_by_dtls(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "DTLS AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "DTLS AES_CM_128_HMAC_SHA1_32",
            Self::AeadAes128Gcm => "DTLS AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "DTLS AEAD_AES_256_GCM",
        }
    }

    /// The suite of this name; the names are written in capitals, and read in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of the master key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            _ => 16,
        }
    }

    /// Bytes of the master salt (RFC 3711 §8.2, RFC 7714 §12).
    #[must_use]
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }

    /// Bytes of both, as they stand behind `inline:`.
    #[must_use]
    pub const fn material_len(self) -> usize {
        self.key_len() + self.salt_len()
    }

    /// Bytes that a tag adds to an RTP packet.
    const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 => 10,
            Self::AesCm128HmacSha1_32 => 4,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }

    /// Bytes of the tag of an RTCP packet: the short one is for RTP alone (RFC 4568 §6.2.2).
    const fn rtcp_tag_len(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 10,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bytes of the longest master key with its salt.
pub const MATERIAL_MAX: usize = 44;

/// A master key with its salt. Its `Debug` shows the suite alone.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    /// Key and salt; zeros behind them.
    material: [u8; MATERIAL_MAX],
}

impl MasterKey {
    /// From key and salt in a row; `None` unless there are as many bytes as the suite has.
    #[must_use]
    pub fn new(suite: Suite, bytes: &[u8]) -> Option<Self> {
        let mut material = [0; MATERIAL_MAX];
        if bytes.len() != suite.material_len() {
            return None;
        }
        material.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { suite, material })
    }

    /// The first bytes of these, which must be unguessable.
    #[must_use]
    pub fn cut(suite: Suite, bytes: &[u8; MATERIAL_MAX]) -> Self {
        let mut material = [0; MATERIAL_MAX];
        for (to, from) in material.iter_mut().zip(bytes).take(suite.material_len()) {
            *to = *from;
        }
        Self { suite, material }
    }

    /// What it is for.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt in a row. Not for logs.
    #[must_use]
    pub fn material(&self) -> &[u8] {
        self.material.get(..self.suite.material_len()).unwrap_or_default()
    }

    fn key(&self) -> &[u8] {
        self.material.get(..self.suite.key_len()).unwrap_or_default()
    }

    /// The salt, with zeros behind it where it is shorter than the longest (RFC 7714 §11).
    fn salt(&self) -> [u8; 14] {
        let salt = self.material().get(self.suite.key_len()..).unwrap_or_default();
        let mut padded = [0; 14];
        for (to, from) in padded.iter_mut().zip(salt) {
            *to = *from;
        }
        padded
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({}, …)", self.suite)
    }
}

/// The keys of one leg's audio, whoever agreed on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Ours: what we send is under it.
    pub send: MasterKey,
    /// The peer's.
    pub receive: MasterKey,
    /// Packets that the peer's key is good for, of either kind (RFC 4568 §6.1).
    pub receive_lifetime: u64,
}

/// Packets that a key is good for if nobody says less (RFC 3711 §9.2).
pub const LIFETIME_MAX: u64 = 1 << 48;

/// How one leg's audio is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// Not at all: RTP as it is.
    #[default]
    Clear,
    /// It will be, and the keys are not there yet: nothing passes.
    Pending,
    /// By these keys.
    Keyed(Box<Keys>),
    /// By keys that DTLS agrees on beside the audio.
    Dtls(Box<Association>),
}

impl Protection {
    /// The suite in use.
    #[must_use]
    pub fn suite(&self) -> Option<Suite> {
        match self {
            Self::Keyed(keys) => Some(keys.send.suite()),
            Self::Dtls(association) => association.keys.as_ref().map(|keys| keys.send.suite()),
            Self::Clear | Self::Pending => None,
        }
    }
}

/// Why a packet that came is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// Too short for what it should be.
    Malformed,
    /// Its number was there before, or is too old to tell (RFC 3711 §3.3.2).
    Replayed,
    /// The tag is not one of the peer's key, or the key is worn out.
    Unauthentic,
    /// There is no key yet.
    Unkeyed,
}

/// SSRC and sequence number of an RTP packet; `None` if it is shorter than the fixed header.
fn split_header(packet: &[u8]) -> Option<(u32, u16)> {
    let [_, _, s0, s1, _, _, _, _, i0, i1, i2, i3] = *packet.first_chunk::<HEADER_LEN>()?;
    Some((u32::from_be_bytes([i0, i1, i2, i3]), u16::from_be_bytes([s0, s1])))
}

/// Where the encrypted part of an RTP packet begins: behind sources and extension (RFC 3711 §3.1). `None` if that is
/// not in the packet.
fn header_len(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let fixed = HEADER_LEN + 4 * usize::from(first & 0x0f);
    let length = if first & 0x10 == 0 {
        fixed
    } else {
        let [_, _, l0, l1] = *packet.get(fixed..)?.first_chunk::<4>()?;
        fixed + 4 + 4 * usize::from(u16::from_be_bytes([l0, l1]))
    };
    (packet.len() >= length).then_some(length)
}

/// Runs one hostile datagram through everything that opens and seals: for fuzzing.
pub fn fuzz_srtp(datagram: &[u8]) {
    for suite in Suite::ALL {
        let key = |byte| MasterKey::cut(suite, &[byte; MATERIAL_MAX]);
        let (send, receive) = (key(1), key(2));
        let keys = |send: &MasterKey, receive: &MasterKey| {
            let (send, receive) = (send.clone(), receive.clone());
            Protection::Keyed(Box::new(Keys { send, receive, receive_lifetime: LIFETIME_MAX }))
        };
        let (mut near, mut far) = (GuardedLeg::default(), GuardedLeg::default());
        near.set(&keys(&send, &receive));
        far.set(&keys(&receive, &send));
        debug_assert!(near.open_rtp(&mut datagram.to_vec()).is_err(), "nobody knows the key");
        debug_assert!(near.open_rtcp(&mut datagram.to_vec()).is_err(), "nobody knows the key");
        if let Some(sealed) = near.seal_rtp(datagram) {
            let mut sealed = sealed.to_vec();
            debug_assert_eq!(far.open_rtp(&mut sealed), Ok(datagram.len()));
            debug_assert_eq!(sealed.get(..datagram.len()), Some(datagram));
        }
        if let Some(sealed) = near.seal_rtcp(datagram) {
            let mut sealed = sealed.to_vec();
            debug_assert_eq!(far.open_rtcp(&mut sealed), Ok(datagram.len()));
            debug_assert_eq!(sealed.get(..datagram.len()), Some(datagram));
        }
    }
}

#[cfg(test)]
mod tests;
