//! From one sample rate to another, by rubato: transforms over blocks of 5 ms.

use std::fmt;

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

use super::codec::{AudioError, RATES};

/// Blocks a second. The delay is half a block; shorter ones have no room for a filter.
const BLOCKS: u32 = 200;
/// The window of the filter. At this length the sharper ones of the library cut a
/// telephone's band: 3 kHz would be 18 dB down, with this one it is 0.01, and 3.4 kHz 0.3.
const WINDOW: WindowFunction = WindowFunction::Hann;
/// Loudness in the library, where 1 is the loudest.
const SCALE: f32 = 32_768.0;

/// The resampler of one stream.
///
/// It delays by [`Resampler::delay_samples`]; beyond that only what makes no whole block
/// waits, which is nothing between 8, 16, 24, 32 and 48 kHz if packets are of 5, 10 or 20 ms.
pub struct Resampler {
    /// `None` at equal rates: then it is a copy.
    library: Option<Library>,
}

struct Library {
    fft: Fft<f32>,
    /// Samples that wait for their block to be whole.
    waiting: Vec<f32>,
    block_in: usize,
    block_out: Vec<f32>,
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.library.as_ref().map(|library| library.waiting.len());
        f.debug_struct("Resampler").field("waiting", &waiting).finish_non_exhaustive()
    }
}

impl Resampler {
    /// From `from` to `to` samples a second. Plans a transform: once for a stream.
    ///
    /// # Errors
    ///
    /// [`AudioError::Unsupported`] if a rate is none that [`super::Codec`] has.
    pub fn new(from: u32, to: u32) -> Result<Self, AudioError> {
        if !RATES.contains(&from) || !RATES.contains(&to) {
            return Err(AudioError::Unsupported);
        }
        if from == to {
            return Ok(Self { library: None });
        }
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let block = size(from / BLOCKS);
        let both = FixedSync::Both;
        let fft = Fft::<f32>::new_custom(size(from), size(to), block, 1, 1, WINDOW, both)
            .map_err(|_| AudioError::Unsupported)?;
        let block_in = fft.input_frames_next();
        let block_out = vec![0.0; fft.output_frames_next()];
        let waiting = Vec::with_capacity(2 * block_in);
        Ok(Self { library: Some(Library { fft, waiting, block_in, block_out }) })
    }

    /// Appends to `out` what `input` is at the other rate, in whole blocks.
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        let Some(library) = &mut self.library else {
            out.extend_from_slice(input);
            return;
        };
        library.waiting.extend(input.iter().map(|sample| f32::from(*sample) / SCALE));
        let mut done = 0;
        while let Some(block) = library.waiting.get(done..done + library.block_in) {
            if convert(&mut library.fft, block, &mut library.block_out).is_none() {
                // Cannot be: the lengths are those that it named. Then it is silence.
                library.block_out.fill(0.0);
            }
            out.extend(library.block_out.iter().map(|value| nearest(value * SCALE)));
            done += library.block_in;
        }
        library.waiting.copy_within(done.., 0);
        library.waiting.truncate(library.waiting.len() - done);
    }

    /// The delay in samples that come out: 2.5 ms; 5 from or to 44.1 kHz, whose blocks
    /// are longer, and up to 20 with its parts; none at equal rates.
    #[must_use]
    pub fn delay_samples(&self) -> usize {
        self.library.as_ref().map_or(0, |library| library.fft.output_delay())
    }
}

fn convert(fft: &mut Fft<f32>, block: &[f32], out: &mut [f32]) -> Option<()> {
    let (length_in, length_out) = (block.len(), out.len());
    let block = SequentialSlice::new(block, 1, length_in).ok()?;
    let mut out = SequentialSlice::new_mut(out, 1, length_out).ok()?;
    fft.process_into_buffer(&block, &mut out, None).ok().map(|_| ())
}

/// The nearest sample, cut off at the loudest.
#[expect(clippy::cast_possible_truncation, reason = "it is cut off, which is what is wanted")]
fn nearest(value: f32) -> i16 {
    (if value < 0.0 { value - 0.5 } else { value + 0.5 }) as i16
}
