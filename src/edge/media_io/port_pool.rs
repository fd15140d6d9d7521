//! Port pairs for RTP (even) and RTCP (the odd one above, RFC 3550 §11).

use std::collections::VecDeque;
use std::fmt;

/// The ports for RTP and RTCP of one side.
pub(super) type PortPair = (u16, u16);

/// The configured range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest port that may be used.
    pub low: u16,
    /// The highest port that may be used.
    pub high: u16,
}

impl PortRange {
    /// The even port of every pair that lies in the range whole.
    pub fn pairs(self) -> impl Iterator<Item = u16> {
        (self.low..self.high).filter(|port| port.is_multiple_of(2))
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

/// The pairs of one worker. A number is used once, whatever the local address.
///
/// Pairs are handed out in an order shuffled once, so that the next one is hard
/// to guess, and come back at the end of the line: packets of an ended call must
/// find nobody at its port for as long as possible.
#[derive(Debug)]
pub struct PortPool {
    free: VecDeque<u16>,
    total: usize,
}

impl PortPool {
    /// The share of one worker out of `shares`: every n-th pair, shuffled by `seed`.
    #[must_use]
    pub fn new(range: PortRange, share: usize, shares: usize, seed: u64) -> Self {
        let mut free: VecDeque<u16> = range.pairs().skip(share).step_by(shares.max(1)).collect();
        let mut random = Random::new(seed);
        for at in (1..free.len()).rev() {
            free.swap(at, random.below(at + 1));
        }
        Self { total: free.len(), free }
    }

    /// Takes the pair that has been free the longest.
    pub fn take(&mut self) -> Option<u16> {
        self.free.pop_front()
    }

    /// Gives a pair back.
    pub fn give_back(&mut self, even: u16) {
        self.free.push_back(even);
    }

    /// Pairs that are free.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// All pairs, free or not.
    #[must_use]
    pub fn total(&self) -> usize {
        self.total
    }
}

/// SplitMix64: numbers that differ from call to call. Not for secrets; an SSRC or
/// a first sequence number is visible to the peer anyway.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits are as good as any")]
    pub(super) fn next_u32(&mut self) -> u32 {
        self.next() as u32
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits are as good as any")]
    pub(super) fn next_u16(&mut self) -> u16 {
        self.next() as u16
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap_or_default() % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_disjoint_and_cover_every_whole_pair_once() {
        let range = PortRange { low: 10_001, high: 10_021 };
        let mut all = Vec::new();
        for share in 0..3 {
            let mut pool = PortPool::new(range, share, 3, 7);
            all.extend(std::iter::from_fn(|| pool.take()));
        }
        all.sort_unstable();
        assert_eq!(all, (10_002..=10_020).step_by(2).collect::<Vec<u16>>());
    }

    #[test]
    fn a_freed_pair_is_the_last_to_be_used_again() {
        let mut pool = PortPool::new(PortRange { low: 10_000, high: 10_019 }, 0, 1, 1);
        let first = pool.take().unwrap();
        assert_eq!((pool.free(), pool.total()), (9, 10));
        pool.give_back(first);
        let order: Vec<u16> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!((order.len(), order.last()), (10, Some(&first)));
        assert!(!order.is_sorted());
    }
}
