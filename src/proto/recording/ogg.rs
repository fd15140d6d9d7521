//! Opus in an Ogg file (RFC 3533, RFC 7845), for recordings that were written as samples and are to be small.

/// Samples of a packet, at the 48 kHz that Opus counts by: 20 ms.
pub const PACKET_SAMPLES: u64 = 960;
/// Packets of a page: a second.
const PAGE_PACKETS: usize = 50;
/// Pieces of a page at most, each of up to 255 bytes.
const LACING_MAX: usize = 255;
/// The longest frame whose length two bytes can tell (RFC 6716 §3.2.1).
const FRAME_MAX: usize = 1_275;

/// A file that grows, page by page, into whatever it is given.
#[derive(Debug)]
pub struct OggOpus {
    serial: u32,
    page: u32,
    pre_skip: u16,
    /// Packets so far.
    packets: u64,
    body: Vec<u8>,
    lacing: Vec<u8>,
    in_page: usize,
}

/// A packet that has more than one frame, or one too long: libopus makes none of 20 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOneFrame;

impl OggOpus {
    /// Begins a file of 1 or 2 tracks, each of which is a stream of its own: nothing of the one is heard on the other. `pre_skip`
    /// samples at 48 kHz are what encoder and filters put before the sound.
    pub fn begin(serial: u32, tracks: u8, pre_skip: u16, rate: u32, out: &mut Vec<u8>) -> Self {
        let mut file = Self {
            serial,
            page: 0,
            pre_skip,
            packets: 0,
            body: Vec::new(),
            lacing: Vec::new(),
            in_page: 0,
        };
        let mut head = b"OpusHead".to_vec();
        head.extend([1, tracks]);
        head.extend(pre_skip.to_le_bytes());
        head.extend(rate.to_le_bytes());
        head.extend(0_u16.to_le_bytes());
        match tracks {
            // Family 1 with two streams that are not coupled.
            2 => head.extend([1, 2, 0, 0, 1]),
            _ => head.push(0),
        }
        file.add(&head);
        file.flush(2, 0, out);
        let mut tags = b"OpusTags".to_vec();
        tags.extend(6_u32.to_le_bytes());
        tags.extend(b"Tandem");
        tags.extend(0_u32.to_le_bytes());
        file.add(&tags);
        file.flush(0, 0, out);
        file
    }

    /// Adds 20 ms: a packet of each track.
    ///
    /// # Errors
    ///
    /// [`NotOneFrame`]; the file is as it was.
    pub fn packet(&mut self, tracks: &[Vec<u8>], out: &mut Vec<u8>) -> Result<(), NotOneFrame> {
        let mut whole = Vec::new();
        for (index, packet) in tracks.iter().enumerate() {
            if index + 1 == tracks.len() {
                whole.extend_from_slice(packet);
            } else {
                self_delimited(packet, &mut whole)?;
            }
        }
        if self.in_page >= PAGE_PACKETS || self.lacing.len() + whole.len() / 255 >= LACING_MAX {
            let position = self.position();
            self.flush(0, position, out);
        }
        self.add(&whole);
        self.packets += 1;
        Ok(())
    }

    /// Ends the file, which plays so many samples at 48 kHz.
    pub fn finish(mut self, samples: u64, out: &mut Vec<u8>) {
        let position = self.position().min(u64::from(self.pre_skip) + samples);
        self.flush(4, position, out);
    }

    fn position(&self) -> u64 {
        self.packets * PACKET_SAMPLES
    }

    fn add(&mut self, packet: &[u8]) {
        let (whole, rest) = (packet.len() / 255, packet.len() % 255);
        self.lacing.extend(std::iter::repeat_n(255, whole));
        self.lacing.push(u8::try_from(rest).unwrap_or_default());
        self.body.extend_from_slice(packet);
        self.in_page += 1;
    }

    fn flush(&mut self, flags: u8, position: u64, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend(b"OggS\0");
        out.push(flags);
        out.extend(position.to_le_bytes());
        out.extend(self.serial.to_le_bytes());
        out.extend(self.page.to_le_bytes());
        out.extend([0; 4]);
        out.push(u8::try_from(self.lacing.len()).unwrap_or(u8::MAX));
        out.append(&mut self.lacing);
        out.append(&mut self.body);
        let sum = checksum(out.get(begin..).unwrap_or_default());
        if let Some(place) = out.get_mut(begin + 22..begin + 26) {
            place.copy_from_slice(&sum.to_le_bytes());
        }
        self.page += 1;
        self.in_page = 0;
    }
}

/// A packet of one frame with its length written in it (RFC 6716 Appendix B).
fn self_delimited(packet: &[u8], out: &mut Vec<u8>) -> Result<(), NotOneFrame> {
    let (toc, frame) = packet.split_first().ok_or(NotOneFrame)?;
    if toc & 3 != 0 || frame.len() > FRAME_MAX {
        return Err(NotOneFrame);
    }
    out.push(*toc);
    match u8::try_from(frame.len()) {
        Ok(length) if length < 252 => out.push(length),
        _ => {
            let first = 252 + (frame.len() & 3);
            out.push(u8::try_from(first).unwrap_or(u8::MAX));
            out.push(u8::try_from((frame.len() - first) / 4).unwrap_or(u8::MAX));
        }
    }
    out.extend_from_slice(frame);
    Ok(())
}

/// The checksum of a page: a CRC of 32 bits, not reflected, from zero (RFC 3533 §6).
fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |sum: u32, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            let shifted = sum << 1;
            if sum & 0x8000_0000 == 0 { shifted } else { shifted ^ 0x04c1_1db7 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_into_a_packet() {
        for length in [0, 1, 251, 252, 253, 500, 1_275] {
            let mut packet = vec![0x08];
            packet.resize(1 + length, 7);
            let mut out = Vec::new();
            self_delimited(&packet, &mut out).unwrap();
            let (told, rest) = match out[1] {
                short if short < 252 => (usize::from(short), &out[2..]),
                first => (usize::from(first) + 4 * usize::from(out[2]), &out[3..]),
            };
            assert_eq!((told, rest.len()), (length, length));
        }
        assert_eq!(self_delimited(&[0x09, 1], &mut Vec::new()), Err(NotOneFrame));
        assert_eq!(self_delimited(&[], &mut Vec::new()), Err(NotOneFrame));
    }

    /// A page of another writer (opusenc), whose checksum is known.
    #[test]
    fn pages_have_the_checksum_that_others_write() {
        let file = include_bytes!("../../../sounds/en/goodbye.ogg");
        let segments = usize::from(file[26]);
        let body: usize = file[27..27 + segments].iter().map(|one| usize::from(*one)).sum();
        let mut page = file[..27 + segments + body].to_vec();
        let told = u32::from_le_bytes(page[22..26].try_into().unwrap());
        page[22..26].fill(0);
        assert_eq!(checksum(&page), told);
    }
}
