//! Randomness of the operating system: seeds for the pure rings, ids and keys.

use std::fmt;

/// The operating system gave no randomness; the daemon cannot start without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntropyError(getrandom::Error);

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the operating system gives no randomness: {}", self.0)
    }
}

impl std::error::Error for EntropyError {}

/// Fresh random bytes, good enough for keys.
///
/// # Errors
///
/// [`EntropyError`] if the operating system has none.
pub fn bytes<const N: usize>() -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(EntropyError)?;
    Ok(bytes)
}

/// A seed for one machine of the pure rings, or an id.
///
/// # Errors
///
/// [`EntropyError`] if the operating system has none.
pub fn seed() -> Result<u64, EntropyError> {
    bytes().map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_seeds_differ() {
        assert_ne!(super::seed().unwrap(), super::seed().unwrap());
    }
}
