//! Sound that is encoded ahead and only has to be sent.

use crate::proto::audio::{AudioError, Codec};

/// Packets of 20 ms in one codec.
#[derive(Clone, PartialEq, Eq)]
pub struct Clip {
    codec: Codec,
    payloads: Vec<u8>,
    /// Where each packet ends.
    ends: Vec<usize>,
}

/// The length of a packet of a clip.
pub const CLIP_PACKET_MS: u32 = 20;

impl Clip {
    /// Encodes samples at the codec's own rate. What is left of the last packet is silent.
    ///
    /// # Errors
    ///
    /// [`AudioError`] if the codec cannot be encoded.
    pub fn encode(codec: Codec, samples: &[i16]) -> Result<Self, AudioError> {
        let mut encoder = codec.encoder()?;
        let length = codec.sample_rate().saturating_mul(CLIP_PACKET_MS) / 1_000;
        let length = usize::try_from(length).unwrap_or(1).max(1);
        let mut clip = Self { codec, payloads: Vec::new(), ends: Vec::new() };
        for piece in samples.chunks(length) {
            let mut piece = piece.to_vec();
            piece.resize(length, 0);
            encoder.encode(&piece, &mut clip.payloads)?;
            clip.ends.push(clip.payloads.len());
        }
        Ok(clip)
    }

    /// What it is encoded in.
    #[must_use]
    pub const fn codec(&self) -> Codec {
        self.codec
    }

    /// Packets that it has.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of memory that it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.payloads.len().saturating_add(self.ends.len().saturating_mul(size_of::<usize>()))
    }

    /// The payload of a packet; `None` behind the last one.
    #[must_use]
    pub fn packet(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(Some(&0), |before| self.ends.get(before))?;
        self.payloads.get(*start..end)
    }

    /// Units of RTP timestamp that a packet lasts.
    #[must_use]
    pub fn packet_ticks(&self) -> u32 {
        self.codec.clock_rate().saturating_mul(CLIP_PACKET_MS) / 1_000
    }
}

impl std::fmt::Debug for Clip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clip")
            .field("codec", &self.codec)
            .field("packets", &self.ends.len())
            .finish_non_exhaustive()
    }
}
