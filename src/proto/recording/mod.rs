//! What a recording is made of: packets as they were heard, two tracks on one clock, and the file's header.

mod heard;
pub mod ogg;
mod tape;
mod track;
pub mod wav;

pub use heard::{Heard, Reel};
pub use tape::{Tape, Tracks};

#[cfg(test)]
mod tests;
