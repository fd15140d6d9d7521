//! The tokens of phones: who has one gets that phone's configuration, with its password.
//!
//! They are random and kept in the database, one for each phone that somebody asked an address for. Derived ones
//! (a keyed hash of the extension) would need a count to be revoked by and would all be lost with one key; and a
//! phone that is removed and comes back, perhaps for another person, would have its old one.

use std::collections::HashMap;
use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::edge::entropy::{self, EntropyError};
use crate::switch::device::Mac;
use crate::switch::snapshot::Snapshot;

/// Random bytes in a token: nobody guesses 128 bits.
const BYTES: usize = 16;
/// What a token is written in: 32 signs that are not mistaken for each other.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A token as the database keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredToken {
    /// The device that it was made for; another one does not have it.
    pub mac: Option<String>,
    /// The token.
    pub token: String,
}

impl fmt::Debug for StoredToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredToken").field("mac", &self.mac).finish_non_exhaustive()
    }
}

/// All tokens.
#[derive(Default)]
pub struct Tokens {
    by_extension: HashMap<String, StoredToken>,
    /// By the hash of the token, so that how long a look-up takes says nothing of the tokens that there are.
    by_hash: HashMap<[u8; 32], String>,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("phones", &self.by_extension.len()).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Those of the database. The second value names the phones whose tokens are void.
    #[must_use]
    pub fn restored(
        stored: HashMap<String, StoredToken>,
        snapshot: &Snapshot,
    ) -> (Self, Vec<String>) {
        let mut tokens = Self::default();
        for (extension, token) in stored {
            tokens.put(extension, token);
        }
        let void = tokens.reload(snapshot);
        (tokens, void)
    }

    /// Takes the tokens away whose phone is gone or is another device now, and names these phones.
    pub fn reload(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let is_void = |(extension, token): &(&String, &StoredToken)| {
            snapshot.phone(extension).is_none_or(|phone| mac_of(phone.device.mac) != token.mac)
        };
        let void = self.by_extension.iter().filter(is_void);
        let mut void: Vec<String> = void.map(|(extension, _)| extension.clone()).collect();
        void.sort();
        for extension in &void {
            self.remove(extension);
        }
        void
    }

    /// The token of a phone, if it has one.
    #[must_use]
    pub fn of(&self, extension: &str) -> Option<&str> {
        self.by_extension.get(extension).map(|stored| stored.token.as_str())
    }

    /// Gives a phone a new token; the one before is void from now on.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] if the system has no randomness.
    pub fn renew(
        &mut self,
        extension: &str,
        mac: Option<Mac>,
    ) -> Result<StoredToken, EntropyError> {
        let bytes = entropy::bytes::<BYTES>()?;
        let stored = StoredToken { mac: mac_of(mac), token: spelt(&bytes) };
        self.remove(extension);
        self.put(extension.to_owned(), stored.clone());
        Ok(stored)
    }

    /// Whose token it is.
    #[must_use]
    pub fn whose(&self, token: &str) -> Option<&str> {
        self.by_hash.get(&hash(token)).map(String::as_str)
    }

    fn put(&mut self, extension: String, stored: StoredToken) {
        self.by_hash.insert(hash(&stored.token), extension.clone());
        self.by_extension.insert(extension, stored);
    }

    fn remove(&mut self, extension: &str) {
        if let Some(stored) = self.by_extension.remove(extension) {
            self.by_hash.remove(&hash(&stored.token));
        }
    }
}

fn mac_of(mac: Option<Mac>) -> Option<String> {
    mac.map(|mac| mac.to_string())
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Random bytes as a word: five bits to a sign.
pub(crate) fn spelt(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 8 / 5 + 1);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in bytes {
        bits = (bits << 8 | u32::from(*byte)) & 0xfff;
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
    }
    if held > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - held) & 31) as usize]));
    }
    text
}
