//! Speech: what is said to callers, made into sound away from the signalling thread.

mod speaker;

pub use speaker::{SayError, Speaker};
