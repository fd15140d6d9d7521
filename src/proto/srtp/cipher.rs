//! The two kinds of transform: AES-CM with HMAC-SHA1 (RFC 3711 §4), and AES-GCM (RFC 7714).

use aes::cipher::{BlockCipherEncrypt, KeyInit as _};
use aes::{Aes128, Block};
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;

use super::derivation::{Label, derive};
use super::{MasterKey, Rejected, Suite};

/// Blocks of key stream that are made at once: the processor works on several at a time.
const BATCH: usize = 8;
/// Bytes of the longest tag that is compared.
const TAG_MAX: usize = 16;

/// Which of the two protocols of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rtp,
    Rtcp,
}

/// The session keys of one direction and protocol.
pub(super) enum Cipher {
    Counter(Box<Counter>),
    Galois(Box<Galois>),
}

pub(super) struct Counter {
    pub(super) aes: Aes128,
    /// The keyed state, copied for each packet.
    pub(super) hmac: Hmac<Sha1>,
    pub(super) salt: [u8; 14],
    pub(super) tag_len: usize,
}

pub(super) struct Galois {
    /// `None` only if the library refused a key of the right length.
    pub(super) key: Option<LessSafeKey>,
    pub(super) salt: [u8; 12],
}

/// Where a packet stands in its stream: what makes its initial vector unique under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) ssrc: u32,
    /// The 48-bit index of RTP, or the 31-bit index of RTCP.
    pub(super) index: u64,
}

impl Cipher {
    pub(super) fn new(master: &MasterKey, kind: Kind) -> Self {
        use Label as L;
        let (encryption, authentication, salting) = match kind {
            Kind::Rtp => (L::RtpEncryption, L::RtpAuthentication, L::RtpSalt),
            Kind::Rtcp => (L::RtcpEncryption, L::RtcpAuthentication, L::RtcpSalt),
        };
        let suite = master.suite();
        let galois = |key: Option<LessSafeKey>| {
            Self::Galois(Box::new(Galois { key, salt: derive(master, salting) }))
        };
        match suite {
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
                let tag_len = match kind {
                    Kind::Rtp => suite.rtp_tag_len(),
                    Kind::Rtcp => suite.rtcp_tag_len(),
                };
                let key = derive::<20>(master, authentication);
                Self::Counter(Box::new(Counter {
                    aes: Aes128::new(&derive::<16>(master, encryption).into()),
                    hmac: keyed(&key),
                    salt: derive(master, salting),
                    tag_len,
                }))
            }
            Suite::AeadAes128Gcm => {
                let key = UnboundKey::new(&AES_128_GCM, &derive::<16>(master, encryption));
                galois(key.ok().map(LessSafeKey::new))
            }
            Suite::AeadAes256Gcm => {
                let key = UnboundKey::new(&AES_256_GCM, &derive::<32>(master, encryption));
                galois(key.ok().map(LessSafeKey::new))
            }
        }
    }
}

/// The state of an HMAC under this key. A key of any length will do, so that there is always one.
pub(super) fn keyed(key: &[u8; 20]) -> Hmac<Sha1> {
    // `new` wants a whole block of 64 bytes, which a shorter key is filled up to with zeros.
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    Hmac::new(&block.into())
}

impl Counter {
    /// Encrypts or decrypts: the same thing (RFC 3711 §4.1.1).
    pub(super) fn apply(&self, place: Place, payload: &mut [u8]) {
        let mut start = [0; 16];
        for (to, from) in start.iter_mut().zip(self.salt) {
            *to = from;
        }
        let vector = u128::from_be_bytes(start)
            ^ (u128::from(place.ssrc) << 64)
            ^ (u128::from(place.index) << 16);
        let mut counter = 0_u128;
        for part in payload.chunks_mut(BATCH * 16) {
            let mut stream = [Block::default(); BATCH];
            let needed = part.len().div_ceil(16);
            for block in stream.iter_mut().take(needed) {
                // The salt leaves the last 16 bits free for the counter of blocks.
                *block = (vector | counter).to_be_bytes().into();
                counter += 1;
            }
            if let Some(blocks) = stream.get_mut(..needed) {
                self.aes.encrypt_blocks(blocks);
            }
            for (bytes, block) in part.chunks_mut(16).zip(&stream) {
                for (byte, key) in bytes.iter_mut().zip(block) {
                    *byte ^= key;
                }
            }
        }
    }

    pub(super) const fn tag_len(&self) -> usize {
        self.tag_len
    }

    /// The tag of what is authenticated, with the number behind it that is not sent or not in its place.
    pub(super) fn tag(&self, bytes: &[u8], behind: &[u8]) -> [u8; 20] {
        let mut hmac = self.hmac.clone();
        hmac.update(bytes);
        hmac.update(behind);
        hmac.finalize().into_bytes().into()
    }

    /// Whether this is the tag, in a time that does not depend on how much of it is right.
    pub(super) fn is_tag(&self, bytes: &[u8], behind: &[u8], tag: &[u8]) -> bool {
        let mut hmac = self.hmac.clone();
        hmac.update(bytes);
        hmac.update(behind);
        tag.len() == self.tag_len && hmac.verify_truncated_left(tag).is_ok()
    }
}

impl Galois {
    /// Bytes of its tag, with either key.
    pub(super) const TAG_LEN: usize = TAG_MAX;

    /// The vector of RFC 7714 §8.1 and §9.1: both place the SSRC behind two zeros and the index at the end.
    fn nonce(&self, place: Place) -> Nonce {
        let number = (u128::from(place.ssrc) << 48) ^ u128::from(place.index);
        let [_, _, _, _, tail @ ..] = number.to_be_bytes();
        let mut nonce = self.salt;
        for (to, from) in nonce.iter_mut().zip::<[u8; 12]>(tail) {
            *to ^= from;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    /// Encrypts in place and gives the tag.
    pub(super) fn seal(
        &self,
        place: Place,
        associated: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; TAG_MAX]> {
        let key = self.key.as_ref()?;
        let sealed = key.seal_in_place_separate_tag(self.nonce(place), Aad::from(associated), text);
        sealed.ok()?.as_ref().try_into().ok()
    }

    /// Opens text and tag in place. What was there is lost if it is not authentic.
    pub(super) fn open(
        &self,
        place: Place,
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<(), Rejected> {
        let key = self.key.as_ref().ok_or(Rejected::Unauthentic)?;
        let opened = key.open_in_place(self.nonce(place), Aad::from(associated), text);
        opened.map(|_| ()).map_err(|_| Rejected::Unauthentic)
    }
}
