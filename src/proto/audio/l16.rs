//! L16: samples as they are, big-endian, channels interleaved (RFC 3551 §4.5.11).

use super::codec::AudioError;

/// Appends the samples; of two channels their mean. `channels` is 1 or 2.
///
/// # Errors
///
/// [`AudioError::Malformed`] if the last sample is cut.
pub(super) fn decode(
    payload: &[u8],
    channels: usize,
    out: &mut Vec<i16>,
) -> Result<(), AudioError> {
    let (samples, rest) = payload.as_chunks::<2>();
    if !rest.is_empty() || samples.len() % channels != 0 {
        return Err(AudioError::Malformed);
    }
    let samples = samples.iter().map(|bytes| i16::from_be_bytes(*bytes));
    if channels == 1 {
        out.extend(samples);
        return Ok(());
    }
    let (pairs, _) = payload.as_chunks::<4>();
    out.extend(pairs.iter().map(|[a, b, c, d]| {
        i16::midpoint(i16::from_be_bytes([*a, *b]), i16::from_be_bytes([*c, *d]))
    }));
    Ok(())
}

/// Appends the bytes of each sample, once for each channel.
pub(super) fn encode(samples: &[i16], channels: usize, out: &mut Vec<u8>) {
    out.reserve(samples.len().saturating_mul(2 * channels));
    for sample in samples {
        for _ in 0..channels {
            out.extend_from_slice(&sample.to_be_bytes());
        }
    }
}
