//! Sequence numbers of one source: order, gaps, wraps, restarts (RFC 3550 §A.1).

/// Packets in sequence before a source on probation is valid.
pub const MIN_SEQUENTIAL: u8 = 2;
/// A step forward of fewer than this is a gap; a larger one is a restart.
pub const MAX_DROPOUT: u16 = 3_000;
/// A step back of fewer than this is reordering; a larger one is a restart.
pub const MAX_MISORDER: u16 = 100;

/// How many of the latest packets are remembered, to know duplicates.
const REMEMBERED: u32 = 64;

/// What a sequence number says about its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The source is not valid yet.
    Probation,
    /// Next, or later than next after a gap of `missing` packets.
    Newer {
        /// Packets that are missing before it.
        missing: u16,
    },
    /// Older than the newest: late, after all.
    Late,
    /// Seen before.
    Duplicate,
    /// The first far-off number: believed only if the next one follows.
    Jump,
    /// The source counts anew from here.
    Restarted,
}

/// The state of one source.
#[derive(Clone, Debug)]
pub struct Sequence {
    max: u16,
    cycles: u32,
    base: u32,
    /// The number that would confirm a restart.
    bad_next: Option<u16>,
    probation: u8,
    /// Bit `n` is set if the packet `n` before the newest has come.
    seen: u64,
}

impl Sequence {
    /// A source that is trusted from its first packet, because its address is.
    #[must_use]
    pub fn trusted(first: u16) -> Self {
        let base = u32::from(first);
        Self { max: first, cycles: 0, base, bad_next: None, probation: 0, seen: 1 }
    }

    /// A source that must first show [`MIN_SEQUENTIAL`] packets in sequence, of
    /// which this is the first.
    #[must_use]
    pub fn on_probation(first: u16) -> Self {
        Self { probation: MIN_SEQUENTIAL.saturating_sub(1), ..Self::trusted(first) }
    }

    /// The newest number, with the wraps counted in the upper half.
    #[must_use]
    pub fn extended_max(&self) -> u32 {
        self.cycles.wrapping_add(u32::from(self.max))
    }

    /// How many packets the source has sent, by its own numbers.
    #[must_use]
    pub fn expected(&self) -> u32 {
        self.extended_max().wrapping_sub(self.base).wrapping_add(1)
    }

    /// Takes the next number.
    pub fn packet(&mut self, sequence: u16) -> Arrival {
        if self.probation > 0 {
            return self.probe(sequence);
        }
        let step = sequence.wrapping_sub(self.max);
        if step == 0 {
            return Arrival::Duplicate;
        }
        if step < MAX_DROPOUT {
            if sequence < self.max {
                self.cycles = self.cycles.wrapping_add(1 << 16);
            }
            self.max = sequence;
            self.bad_next = None;
            self.seen = self.seen.checked_shl(u32::from(step)).unwrap_or(0) | 1;
            return Arrival::Newer { missing: step.saturating_sub(1) };
        }
        let back = step.wrapping_neg();
        if back < MAX_MISORDER {
            return self.late(back);
        }
        if self.bad_next == Some(sequence) {
            *self = Self::trusted(sequence);
            return Arrival::Restarted;
        }
        self.bad_next = Some(sequence.wrapping_add(1));
        Arrival::Jump
    }

    fn probe(&mut self, sequence: u16) -> Arrival {
        if sequence != self.max.wrapping_add(1) {
            *self = Self::on_probation(sequence);
            return Arrival::Probation;
        }
        self.max = sequence;
        self.probation = self.probation.saturating_sub(1);
        if self.probation > 0 {
            return Arrival::Probation;
        }
        *self = Self::trusted(sequence);
        Arrival::Newer { missing: 0 }
    }

    fn late(&mut self, back: u16) -> Arrival {
        let back = u32::from(back);
        if back >= REMEMBERED {
            return Arrival::Late;
        }
        let bit = 1_u64.checked_shl(back).unwrap_or(0);
        if self.seen & bit != 0 {
            return Arrival::Duplicate;
        }
        self.seen |= bit;
        Arrival::Late
    }
}
