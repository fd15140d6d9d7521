//! The network: packets as values, with latency and, where a test wants it, with all that goes wrong.

use std::net::SocketAddr;

use super::text::Text;

/// A packet that was sent.
#[derive(Clone, Debug)]
pub struct Wire {
    /// When, in microseconds.
    pub at: u64,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub text: Text,
    /// It never arrived.
    pub is_lost: bool,
}

/// A generator of the tests' own; the same seed, the same numbers.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub const fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub const fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}

/// Chooses packets.
pub type Which = Box<dyn FnMut(&Wire) -> bool>;

/// What the network does to packets.
pub struct Network {
    pub latency_us: u64,
    /// Per thousand.
    pub loss: u64,
    /// Per thousand.
    pub duplicates: u64,
    /// Packets may take this much longer, and so overtake each other.
    pub jitter_us: u64,
    pub dice: Dice,
    /// Each loses the first packet that it chooses.
    pub drop_once: Vec<Which>,
    /// Each loses every packet that it chooses.
    pub drop_all: Vec<Which>,
}

impl Network {
    pub const fn new(seed: u64) -> Self {
        Self {
            latency_us: 5_000,
            loss: 0,
            duplicates: 0,
            jitter_us: 0,
            dice: Dice::new(seed),
            drop_once: Vec::new(),
            drop_all: Vec::new(),
        }
    }

    /// When the copies of a packet arrive; none if it is lost.
    pub fn arrivals(&mut self, wire: &Wire, is_reliable: bool) -> Vec<u64> {
        if let Some(index) = self.drop_once.iter_mut().position(|which| which(wire)) {
            drop(self.drop_once.remove(index));
            return Vec::new();
        }
        if self.drop_all.iter_mut().any(|which| which(wire)) {
            return Vec::new();
        }
        if is_reliable {
            return vec![wire.at + self.latency_us];
        }
        if self.dice.below(1000) < self.loss {
            return Vec::new();
        }
        let copies = if self.dice.below(1000) < self.duplicates { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                let late = if self.jitter_us > 0 { self.dice.below(self.jitter_us) } else { 0 };
                wire.at + self.latency_us + late
            })
            .collect()
    }
}
