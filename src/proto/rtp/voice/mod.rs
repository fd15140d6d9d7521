//! From packets to samples and from samples to packets: what a conversion does on its way through, and what a room of
//! several voices does at its ends.

mod ear;
mod listener;
mod speaker;

pub use ear::{EAR_FRAME_MS, Ear, Taken};
pub(super) use listener::Listener;
pub use speaker::{Speaker, Speech};

#[cfg(test)]
mod tests;
