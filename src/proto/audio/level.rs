//! How loud samples are, and for how long they have been silent.

use std::time::Duration;

use super::codec::Codec;
use super::g711::Law;

/// The power of the loudest square wave: 0 dBov (RFC 3389 §3).
const OVERLOAD: f64 = 32_768.0 * 32_768.0;

/// The level of some samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Level {
    /// The mean of the squares.
    pub power: f64,
    /// The largest magnitude, 0 to 32,768.
    pub peak: u16,
}

impl Level {
    /// Of these samples; of none, silence.
    #[must_use]
    pub fn of(samples: &[i16]) -> Self {
        let (mut sum, mut peak) = (0_i64, 0);
        for sample in samples {
            sum += i64::from(*sample) * i64::from(*sample);
            peak = sample.unsigned_abs().max(peak);
        }
        Self { power: sum as f64 / samples.len().max(1) as f64, peak }
    }

    /// Decibels below overload, as RFC 3389 §3 writes them: 0 is the loudest, 127 is
    /// silence.
    #[must_use]
    pub fn minus_dbov(self) -> u8 {
        if self.power <= 0.0 {
            return SILENT_DBOV;
        }
        let level = -10.0 * (self.power / OVERLOAD).log10();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let level = level.round().clamp(0.0, f64::from(SILENT_DBOV)) as u8;
        level
    }
}

/// The level of a payload of G.711, without decoding it anywhere; `None` for another codec, or nothing.
#[must_use]
pub fn g711_level(codec: Codec, payload: &[u8]) -> Option<Level> {
    let law = match codec {
        Codec::Pcmu => Law::Mu,
        Codec::Pcma => Law::A,
        Codec::G722 | Codec::Opus | Codec::L16 { .. } => return None,
    };
    if payload.is_empty() {
        return None;
    }
    let (mut sum, mut peak) = (0_i64, 0);
    for code in payload {
        let sample = law.sample(*code);
        sum += i64::from(sample) * i64::from(sample);
        peak = sample.unsigned_abs().max(peak);
    }
    Some(Level { power: sum as f64 / payload.len() as f64, peak })
}

/// No sound at all, in -dBov.
pub const SILENT_DBOV: u8 = 127;

/// Knows for how long nobody has said anything.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    rate: u32,
    minus_dbov: u8,
    /// Samples since something was said.
    samples: u64,
}

impl Silence {
    /// At `rate` samples a second; what is more than `minus_dbov` below overload counts
    /// as silence. 50 leaves room for the noise of a room.
    #[must_use]
    pub fn new(rate: u32, minus_dbov: u8) -> Self {
        Self { rate: rate.max(1), minus_dbov, samples: 0 }
    }

    /// Listens to a frame, 10 to 60 ms, and says for how long it has been silent by now.
    pub fn listen(&mut self, frame: &[i16]) -> Duration {
        let is_silent = Level::of(frame).minus_dbov() > self.minus_dbov;
        let length = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        self.samples = if is_silent { self.samples.saturating_add(length) } else { 0 };
        Duration::from_micros(self.samples.saturating_mul(1_000_000) / u64::from(self.rate))
    }
}
