//! Tones in G.711 μ-law: made for sending, and measured where they arrive.

#![allow(clippy::cast_possible_truncation, reason = "the samples of a tone are small")]

use std::f64::consts::TAU;

/// Samples of one packet of 20 ms.
pub const FRAME: usize = 160;
const RATE: f64 = 8000.0;

/// One packet of a tone that has been running for `index` packets.
pub fn frame(frequency: f64, index: usize) -> Vec<u8> {
    (0..FRAME)
        .map(|n| {
            let at = (index * FRAME + n) as f64 / RATE;
            encode((8000.0 * (TAU * frequency * at).sin()) as i16)
        })
        .collect()
}

/// μ-law of a linear sample (ITU-T G.711).
pub fn encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = (i32::from(sample).abs() + 132).min(32_635);
    let exponent = (magnitude >> 7).ilog2();
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | (exponent << 4) as u8 | mantissa as u8)
}

/// The linear sample of a μ-law byte.
pub fn decode(byte: u8) -> i16 {
    let byte = !byte;
    let exponent = (byte >> 4) & 7;
    let magnitude = ((i32::from(byte & 0x0f) << 3) + 132) << exponent;
    let value = (magnitude - 132) as i16;
    if byte & 0x80 == 0 { value } else { -value }
}

/// How much of the energy of these samples is at this frequency, from 0 to 1 (Goertzel).
pub fn purity(samples: &[i16], frequency: f64) -> f64 {
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    if energy < 1.0 {
        return 0.0;
    }
    let coefficient = 2.0 * (TAU * frequency / RATE).cos();
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        let zero = f64::from(*sample) + coefficient * one - two;
        (two, one) = (one, zero);
    }
    let power = one * one + two * two - coefficient * one * two;
    (power * 2.0 / samples.len() as f64 / energy).min(1.0)
}

/// A tone found in a recording.
#[derive(Debug)]
pub struct Heard {
    /// From the first to the last moment of the tone.
    pub seconds: f64,
    /// The longest stretch without it in between, in milliseconds.
    pub longest_gap_ms: f64,
    /// How much of the energy is the tone, over its whole length.
    pub purity: f64,
}

/// Looks for a tone, in steps of 10 ms.
pub fn listen(samples: &[i16], frequency: f64) -> Heard {
    let step = (RATE / 100.0) as usize;
    // A pure tone of 10 ms may fall between two bins by its phase: half of the energy is plenty.
    let is_tone: Vec<bool> =
        samples.chunks_exact(step).map(|chunk| purity(chunk, frequency) > 0.5).collect();
    let first = is_tone.iter().position(|is| *is).unwrap_or(0);
    let last = is_tone.iter().rposition(|is| *is).map_or(first, |at| at + 1);
    let (mut gap, mut longest) = (0, 0);
    for is in &is_tone[first..last] {
        gap = if *is { 0 } else { gap + 1 };
        longest = longest.max(gap);
    }
    let span = &samples[(first * step).min(samples.len())..(last * step).min(samples.len())];
    Heard {
        seconds: (last - first) as f64 / 100.0,
        longest_gap_ms: f64::from(longest) * 10.0,
        purity: purity(span, frequency),
    }
}

/// The samples of a 16-bit mono WAV file.
pub fn read_wav(bytes: &[u8]) -> Vec<i16> {
    let data = bytes.windows(4).position(|w| w == b"data").map_or(bytes.len(), |at| at + 8);
    bytes
        .get(data..)
        .unwrap_or(&[])
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// A 16-bit mono WAV file at 8 kHz with a tone.
pub fn write_wav(frequency: f64, seconds: usize) -> Vec<u8> {
    let count = seconds * 8000;
    let size = u32::try_from(count * 2).unwrap();
    let mut out = Vec::with_capacity(44 + count * 2);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + size).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    for word in [16_u32, 0x0001_0001, 8000, 16_000, 0x0010_0002] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(b"data");
    out.extend_from_slice(&size.to_le_bytes());
    for n in 0..count {
        let sample = (8000.0 * (TAU * frequency * n as f64 / RATE).sin()) as i16;
        out.extend_from_slice(&sample.to_le_bytes());
    }
    out
}
