//! A file whose header is right at every moment.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::proto::recording::wav::{DATA_MAX, HEADER_LEN, Shape};

/// A WAV file that grows. Samples are written first and the header after them, so whatever ends the daemon leaves a file that
/// says no more than it has.
#[derive(Debug)]
pub(super) struct WavFile {
    file: File,
    shape: Shape,
    data: u64,
}

impl WavFile {
    /// A new file; its folders are made. Nobody but us and our group reads it.
    pub(super) fn create(path: &Path, shape: Shape) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o750).create(folder)?;
        }
        let file = File::options().write(true).create_new(true).mode(0o640).open(path)?;
        file.write_all_at(&shape.header(0), 0)?;
        Ok(Self { file, shape, data: 0 })
    }

    /// Appends whole frames. What does not fit into a WAV file any more is an error: it would be a call of more than a day.
    pub(super) fn append(&mut self, samples: &[u8]) -> io::Result<()> {
        if samples.is_empty() {
            return Ok(());
        }
        let data = self.data.saturating_add(samples.len() as u64);
        if data > DATA_MAX {
            return Err(io::Error::other("the file is as long as a WAV file can be"));
        }
        self.file.write_all_at(samples, HEADER_LEN as u64 + self.data)?;
        self.file.write_all_at(&self.shape.header(data), 0)?;
        self.data = data;
        Ok(())
    }

    /// Everything on disk; the length of the file.
    pub(super) fn finish(self) -> io::Result<u64> {
        self.file.sync_all()?;
        Ok(HEADER_LEN as u64 + self.data)
    }
}

/// Makes a file right that a crash or a full disk has left: the header tells of all whole frames. How many seconds it has.
pub(super) fn repair(path: &Path) -> io::Result<f64> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut header = [0; HEADER_LEN];
    file.read_exact_at(&mut header, 0)?;
    let shape =
        Shape::read(&header).ok_or_else(|| io::Error::other("it is no recording of ours"))?;
    let data = shape.whole_frames(file.metadata()?.len());
    file.write_all_at(&shape.header(data), 0)?;
    file.set_len(HEADER_LEN as u64 + data)?;
    file.sync_all()?;
    let frames = data.checked_div(shape.frame_len()).unwrap_or_default();
    let frames = u32::try_from(frames).unwrap_or(u32::MAX);
    Ok(f64::from(frames) / f64::from(shape.rate.max(1)))
}
