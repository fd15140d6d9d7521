//! The header of a WAV file with 16-bit samples (RIFF, `fmt ` and `data`), and what is left of one after a crash.

/// Bytes before the first sample.
pub const HEADER_LEN: usize = 44;
/// Bytes of samples that the header's four bytes can tell of, a whole number of frames.
pub const DATA_MAX: u64 = 0xffff_ff00;

/// The shape of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Samples a second, for each track.
    pub rate: u32,
    /// 1 or 2.
    pub tracks: u16,
}

impl Shape {
    /// Bytes of one sample of every track.
    #[must_use]
    pub fn frame_len(self) -> u64 {
        2 * u64::from(self.tracks)
    }

    /// The header of a file that has so many bytes of samples behind it.
    #[must_use]
    pub fn header(self, data: u64) -> [u8; HEADER_LEN] {
        let data = u32::try_from(data.min(DATA_MAX)).unwrap_or(u32::MAX);
        let frame = self.tracks.saturating_mul(2);
        let mut header = [0; HEADER_LEN];
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = header.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        put(0, b"RIFF");
        put(4, &data.saturating_add(36).to_le_bytes());
        put(8, b"WAVEfmt ");
        put(16, &16_u32.to_le_bytes());
        put(20, &1_u16.to_le_bytes());
        put(22, &self.tracks.to_le_bytes());
        put(24, &self.rate.to_le_bytes());
        put(28, &self.rate.saturating_mul(frame.into()).to_le_bytes());
        put(32, &frame.to_le_bytes());
        put(34, &16_u16.to_le_bytes());
        put(36, b"data");
        put(40, &data.to_le_bytes());
        header
    }

    /// Reads a header that [`Self::header`] has made; `None` if it is another one.
    #[must_use]
    pub fn read(header: &[u8]) -> Option<Self> {
        let tracks = u16::from_le_bytes(*header.get(22..)?.first_chunk()?);
        let rate = u32::from_le_bytes(*header.get(24..)?.first_chunk()?);
        let data = u32::from_le_bytes(*header.get(40..)?.first_chunk()?);
        let shape = Self { rate, tracks };
        let is_ours =
            matches!(tracks, 1 | 2) && shape.header(data.into()) == header.get(..HEADER_LEN)?;
        is_ours.then_some(shape)
    }

    /// How many bytes of samples a file of this length has that may end within a frame.
    #[must_use]
    pub fn whole_frames(self, file_len: u64) -> u64 {
        let data = file_len.saturating_sub(HEADER_LEN as u64).min(DATA_MAX);
        data.checked_div(self.frame_len()).unwrap_or_default() * self.frame_len()
    }
}
