//! The cryptography of statements of who calls: a thread of its own that checks signatures, fetches the certificates
//! for that, and signs.
//!
//! A check takes a third of a millisecond and a certificate a round trip across the world, neither of which signalling
//! waits for. The thread knows nothing of calls: it is asked, and answers.

mod cache;
mod certificate;
mod fetch;
mod material;
#[cfg(test)]
mod tests;
mod worker;

pub use material::{Material, MaterialError};
pub use worker::{Answer, JOBS_MAX, Job, StirThread, Task};
