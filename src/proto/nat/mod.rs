//! Reaching peers behind address translation.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod stun;
mod symmetric;

pub use symmetric::{ARMED_FOR, Latch, PROBATION, QUIET_AFTER, RtcpLatch, Verdict};
