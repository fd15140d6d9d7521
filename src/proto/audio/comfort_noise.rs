//! Comfort noise: what is heard while the other side sends nothing (RFC 3389). The level
//! alone; how the noise is coloured is passed over, and not told.

use super::level::{Level, SILENT_DBOV};
use super::tone::sample;

/// Over how many samples the loudness gets two thirds of the way to another.
const SLOWNESS: f32 = 256.0;

/// The level in a payload, in -dBov, 127 being silence; `None` if it is empty (§3).
#[must_use]
pub fn read_comfort_noise(payload: &[u8]) -> Option<u8> {
    payload.first().map(|level| level & 0x7f)
}

/// The payload for a level in -dBov.
#[must_use]
pub fn write_comfort_noise(minus_dbov: u8) -> [u8; 1] {
    [minus_dbov.min(SILENT_DBOV)]
}

/// Measures the noise of a side that is silent, to tell the other.
///
/// The level is that of the quietest frame of late: a word that begins does not count.
#[derive(Clone, Copy, Debug)]
pub struct NoiseLevel {
    quietest: f64,
}

impl Default for NoiseLevel {
    fn default() -> Self {
        Self { quietest: f64::INFINITY }
    }
}

impl NoiseLevel {
    /// Listens to a frame, and gives the level in -dBov.
    pub fn listen(&mut self, frame: &[i16]) -> u8 {
        /// 0.2 dB with each frame, so that a noise that grows is followed.
        const RISE: f64 = 1.05;
        let power = Level::of(frame).power;
        self.quietest = (self.quietest * RISE).min(power).max(1e-3);
        Level { power: self.quietest, peak: 0 }.minus_dbov()
    }
}

/// Makes noise.
#[derive(Clone, Copy, Debug)]
pub struct ComfortNoise {
    state: u32,
    /// The largest sample now, and the one to go to.
    loudness: f32,
    wanted: f32,
}

impl ComfortNoise {
    /// Silent until it has a level. `seed` decides what it sounds like.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self { state: seed | 1, loudness: 0.0, wanted: 0.0 }
    }

    /// Sets the level in -dBov; the noise goes there within some milliseconds.
    pub fn set_level(&mut self, minus_dbov: u8) {
        if minus_dbov >= SILENT_DBOV {
            self.wanted = 0.0;
            return;
        }
        let root_mean_square = 32_768.0 * 10_f32.powf(-f32::from(minus_dbov) / 20.0);
        // Even noise between -1 and 1 has a mean square of one third.
        self.wanted = root_mean_square * 3_f32.sqrt();
    }

    /// Appends `samples` of noise.
    pub fn play(&mut self, samples: usize, out: &mut Vec<i16>) {
        out.reserve(samples);
        for _ in 0..samples {
            // Xorshift, by Marsaglia.
            self.state ^= self.state << 13;
            self.state ^= self.state >> 17;
            self.state ^= self.state << 5;
            let even = self.state as f32 / (u32::MAX / 2) as f32 - 1.0;
            self.loudness += (self.wanted - self.loudness) / SLOWNESS;
            out.push(sample(even * self.loudness));
        }
    }
}
