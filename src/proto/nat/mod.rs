//! Reaching peers behind address translation.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod demux;
pub mod ice;
pub mod stun;
mod symmetric;

pub use demux::{Kind, demultiplex};
pub use symmetric::{ARMED_FOR, CHECKED_MAX, Latch, PROBATION, QUIET_AFTER, RtcpLatch, Verdict};
