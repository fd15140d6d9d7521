//! Recordings: what calls say goes from the relay threads to one thread that decodes and writes it.
//!
//! Nothing on the audio path waits for that thread or for its disk. What it cannot keep up with is missing from the recording,
//! which says so; the call does not notice.

mod file;
mod keeper;
mod packing;
mod recorder;
mod tap;
mod writer;

#[cfg(test)]
mod tests;

pub use recorder::{Recorder, RecorderConfig, RecorderStats, StartRefused, Terms};
pub use tap::{Tap, TapControl};
