//! Speech: what is said to callers, made into sound, and what they say, made into text; both away from the signalling thread.

mod asr;
mod ear;
mod http;
mod material;
mod speaker;
mod tts;

#[cfg(test)]
mod tests;

pub use asr::{CALLS_MAX, ListenRefused, Listener, Told};
pub use ear::{Ear, EarControl};
pub use material::Material;
pub use speaker::{SHOWN_RATE, SayError, Speaker};
pub use tts::TtsError;
