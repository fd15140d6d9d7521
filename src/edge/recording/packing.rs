//! A finished recording made small: its samples as Opus, each track for itself. A piece at a time, so that calls which are being
//! recorded do not wait for it.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::edge::store::StoredRecording;
use crate::proto::audio::{AudioError, Codec, Encoder, Resampler};
use crate::proto::recording::ogg::{NotOneFrame, OggOpus, PACKET_SAMPLES};
use crate::proto::recording::wav::{HEADER_LEN, Shape};

/// Milliseconds that are packed at a time.
const PIECE_MS: u64 = 500;
/// What the encoder puts before the sound, at 48 kHz (libopus for speech: 6.5 ms).
const LOOKAHEAD: usize = 312;
/// Samples a second of Opus.
const RATE: u32 = 48_000;

/// A recording that is being packed.
pub(super) struct Packing {
    pub(super) row: StoredRecording,
    /// The name of the file with the samples.
    samples: String,
    from: File,
    shape: Shape,
    /// Bytes of samples that are done.
    done: u64,
    folder: PathBuf,
    to: File,
    ogg: Option<OggOpus>,
    tracks: Vec<Track>,
    out: Vec<u8>,
}

struct Track {
    resampler: Resampler,
    encoder: Encoder,
    waiting: Vec<i16>,
}

/// The file that a recording becomes, and what it is called until it is whole.
fn names(file: &str) -> (String, String) {
    let bare = file.strip_suffix(".wav").unwrap_or(file);
    (format!("{bare}.opus"), format!("{bare}.opus.part"))
}

/// What is left of a recording that was being packed when the daemon ended: the half file is deleted, and if the whole one is
/// there the row is about it and the samples are deleted. `true`: then nothing is to be repaired.
pub(super) fn recover(folder: &Path, row: &mut StoredRecording) -> bool {
    let bare = row.file.strip_suffix(".wav").or(row.file.strip_suffix(".opus"));
    let samples = format!("{}.wav", bare.unwrap_or(&row.file));
    let (whole, part) = names(&samples);
    let _ = std::fs::remove_file(folder.join(part));
    let is_packed = folder.join(&whole).exists();
    if is_packed {
        // It was on the disk before it had this name.
        let _ = std::fs::remove_file(folder.join(samples));
        row.file = whole;
    } else {
        row.file = samples;
    }
    is_packed
}

impl Packing {
    pub(super) fn begin(folder: &Path, row: &StoredRecording) -> io::Result<Self> {
        let from = File::open(folder.join(&row.file))?;
        let mut header = [0; HEADER_LEN];
        from.read_exact_at(&mut header, 0)?;
        let shape = Shape::read(&header).ok_or_else(|| io::Error::other("it is no WAV of ours"))?;
        let track = || -> Result<Track, AudioError> {
            let resampler = Resampler::new(shape.rate, RATE)?;
            Ok(Track { resampler, encoder: Codec::Opus.encoder()?, waiting: Vec::new() })
        };
        let tracks: Result<Vec<Track>, AudioError> = (0..shape.tracks).map(|_| track()).collect();
        let tracks = tracks.map_err(|error| io::Error::other(error.to_string()))?;
        let (_, part) = names(&row.file);
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o640);
        let to = options.open(folder.join(part))?;
        let delay = tracks.first().map_or(0, |track| track.resampler.delay_samples());
        let pre_skip = u16::try_from(LOOKAHEAD + delay).unwrap_or(u16::MAX);
        let mut out = Vec::new();
        let (serial, count) = (low(row.call.0), u8::try_from(shape.tracks).unwrap_or(1));
        let ogg = OggOpus::begin(serial, count, pre_skip, shape.rate, &mut out);
        let (row, folder) = (row.clone(), folder.to_path_buf());
        let samples = row.file.clone();
        Ok(Self { row, samples, from, shape, done: 0, folder, to, ogg: Some(ogg), tracks, out })
    }

    /// Packs a piece; `true` when that was the last one, and the row is about the small file.
    pub(super) fn step(&mut self) -> io::Result<bool> {
        let frame = self.shape.frame_len();
        let all = self.shape.whole_frames(self.from.metadata()?.len());
        let piece = u64::from(self.shape.rate) * PIECE_MS / 1_000 * frame;
        let length = piece.min(all.saturating_sub(self.done));
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.from.read_exact_at(&mut bytes, HEADER_LEN as u64 + self.done)?;
        self.done += length;
        let is_last = self.done >= all;
        self.take(&bytes, is_last);
        self.pack().map_err(|_| io::Error::other("the encoder made no packet of 20 ms"))?;
        if is_last && let Some(ogg) = self.ogg.take() {
            let frames = all / frame.max(1);
            let samples = frames * u64::from(RATE) / u64::from(self.shape.rate.max(1));
            ogg.finish(samples, &mut self.out);
        }
        self.to.write_all(&self.out)?;
        self.out.clear();
        if is_last {
            self.to.sync_all()?;
            let (whole, part) = names(&self.row.file);
            std::fs::rename(self.folder.join(part), self.folder.join(&whole))?;
            self.row.file = whole;
        }
        Ok(is_last)
    }

    /// Gives each track its samples; behind the last one a silence that pushes out what filters hold back.
    fn take(&mut self, bytes: &[u8], is_last: bool) {
        let (samples, _) = bytes.as_chunks::<2>();
        let count = self.tracks.len().max(1);
        for (index, track) in self.tracks.iter_mut().enumerate() {
            let own = samples.iter().skip(index).step_by(count);
            let mut own: Vec<i16> = own.map(|sample| i16::from_le_bytes(*sample)).collect();
            if is_last {
                own.resize(own.len() + usize::try_from(self.shape.rate / 20).unwrap_or(0), 0);
            }
            track.resampler.process(&own, &mut track.waiting);
        }
    }

    fn pack(&mut self) -> Result<(), NotOneFrame> {
        let Some(ogg) = &mut self.ogg else { return Ok(()) };
        let length = usize::try_from(PACKET_SAMPLES).unwrap_or_default();
        while self.tracks.iter().all(|track| track.waiting.len() >= length) {
            let mut packets = Vec::with_capacity(self.tracks.len());
            for track in &mut self.tracks {
                let samples: Vec<i16> = track.waiting.drain(..length).collect();
                let mut packet = Vec::new();
                track.encoder.encode(&samples, &mut packet).map_err(|_| NotOneFrame)?;
                packets.push(packet);
            }
            ogg.packet(&packets, &mut self.out)?;
        }
        Ok(())
    }

    /// The row, and the samples that are not needed any more.
    pub(super) fn whole(self) -> (StoredRecording, PathBuf) {
        let samples = self.folder.join(&self.samples);
        (self.row, samples)
    }

    /// It comes to nothing: the recording stays as it is.
    pub(super) fn give_up(self) -> StoredRecording {
        let (_, part) = names(&self.row.file);
        let _ = std::fs::remove_file(self.folder.join(part));
        self.row
    }
}

fn low(call: u64) -> u32 {
    u32::try_from(call & u64::from(u32::MAX)).unwrap_or_default()
}
