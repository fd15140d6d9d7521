//! Sound as numbers: codecs, and what is done to samples between them. No function
//! here allocates for a frame once its buffers have had the largest one.
//!
//! Samples are `i16`, mono, at the rate that [`Codec::sample_rate`] says.

mod codec;
mod comfort_noise;
mod conceal;
mod dtmf;
mod fax_tone;
mod g711;
mod g722;
mod l16;
mod level;
mod mix;
mod opus;
mod resample;
mod tone;

pub use codec::{AudioError, Codec, Decoder, Encoder, PAYLOAD_MS_MAX, SAMPLES_MAX};
pub use comfort_noise::{ComfortNoise, NoiseLevel, read_comfort_noise, write_comfort_noise};
pub use dtmf::{DtmfDetector, DtmfGenerator, Heard};
pub use fax_tone::{FaxDetector, FaxTone};
pub use level::{Level, SILENT_DBOV, Silence, g711_level};
pub use mix::Mix;
pub use opus::{OPUS_BIT_RATE, OPUS_COMPLEXITY, OPUS_LOSS_PERCENT, OPUS_PACKET_MAX};
pub use resample::Resampler;
pub use tone::{Country, Signal, Sound, Tone, TonePlayer};

/// The nearest sample: what is too loud is cut off, not wrapped.
fn saturate(value: i32) -> i16 {
    i16::try_from(value).unwrap_or(if value < 0 { i16::MIN } else { i16::MAX })
}
