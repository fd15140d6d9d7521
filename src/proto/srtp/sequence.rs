//! From 16 bits of sequence number to the 48-bit index, and which numbers were there (RFC 3711 §3.3.1, §3.3.2).

/// Numbers behind the newest one that are still told apart: two and a half seconds of 20 ms packets. The RFC asks
/// for 64 at least.
pub(super) const WINDOW: u64 = 128;

/// One source's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    /// The newest index, once there is one.
    newest: Option<u64>,
    /// Bit n: the index n below the newest was there.
    seen: u128,
}

impl History {
    /// The index that a sequence number most likely stands for; the first one is of the first round. `None`: it is of a
    /// round before that, which nobody under this key has seen.
    pub(super) fn estimate(&self, sequence: u16) -> Option<u64> {
        let Some(newest) = self.newest else { return Some(sequence.into()) };
        let (round, last, sequence_wide) = (newest >> 16, newest & 0xffff, u64::from(sequence));
        let round = if sequence_wide > last + 0x8000 {
            round.checked_sub(1)?
        } else if sequence_wide + 0x8000 < last {
            round + 1
        } else {
            round
        };
        Some(round << 16 | sequence_wide)
    }

    /// Whether nothing of this source was authentic yet.
    pub(super) const fn is_unheard(&self) -> bool {
        self.newest.is_none()
    }

    /// Whether an index has not been there, and is not too old to tell.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        let Some(newest) = self.newest else { return true };
        match newest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WINDOW && self.seen >> behind & 1 == 0,
        }
    }

    /// Remembers an index that was fresh and authentic.
    pub(super) fn record(&mut self, index: u64) {
        let ahead = match self.newest {
            None => WINDOW,
            Some(newest) if index > newest => index - newest,
            Some(newest) => {
                let behind = newest - index;
                if behind < WINDOW {
                    self.seen |= 1 << behind;
                }
                return;
            }
        };
        self.newest = Some(index);
        self.seen =
            u32::try_from(ahead).ok().and_then(|bits| self.seen.checked_shl(bits)).unwrap_or(0);
        self.seen |= 1;
    }
}
