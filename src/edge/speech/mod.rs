//! Speech: what is said to callers, made into sound away from the signalling thread.

mod http;
mod material;
mod speaker;
mod tts;

#[cfg(test)]
mod tests;

pub use material::Material;
pub use speaker::{SHOWN_RATE, SayError, Speaker};
pub use tts::TtsError;
