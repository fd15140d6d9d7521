//! Tags, branches and Call-IDs: unguessable, and the same again from the same seed.

use sha2::{Digest, Sha256};

/// A stream of unguessable numbers from a seed that the edge draws from the operating system.
///
/// Each block is `SHA-256(key || counter)`, so earlier values tell nothing of later ones.
#[derive(Clone)]
pub struct Tokens {
    key: [u8; 32],
    counter: u64,
    block: [u64; 4],
    used: usize,
}

impl Tokens {
    /// A stream from this seed.
    #[must_use]
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key, counter: 0, block: [0; 4], used: 4 }
    }

    /// A seed for a machine that this one starts, independent of what this one draws later.
    pub fn fork(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for chunk in seed.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_be_bytes());
        }
        seed
    }

    /// 64 unguessable bits.
    pub fn next_u64(&mut self) -> u64 {
        if let Some(&value) = self.block.get(self.used) {
            self.used += 1;
            return value;
        }
        let digest = Sha256::new()
            .chain_update(self.key)
            .chain_update(self.counter.to_be_bytes())
            .finalize();
        self.counter += 1;
        for (word, bytes) in self.block.iter_mut().zip(digest.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        }
        self.used = 1;
        self.block[0]
    }

    /// A number below `bound`, for jitter.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }

    /// A tag of 16 hex digits (RFC 3261 §19.3 asks for 32 random bits).
    pub fn tag(&mut self) -> String {
        format!("{:016x}", self.next_u64())
    }

    /// A Call-ID (RFC 3261 §8.1.1.4): no host in it, so that it tells nothing of the network.
    pub fn call_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.next_u64(), self.next_u64())
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens(drawn {})", self.counter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream_and_another_seed_another() {
        let draw = |seed| {
            let mut tokens = Tokens::new([seed; 32]);
            (0..9).map(|_| tokens.next_u64()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
