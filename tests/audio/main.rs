//! The sound of the pure ring, judged by numbers: noise, delay, levels, and what is allocated.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "the support of the tests is test code, whatever clippy sees in it"
)]

mod measure;

mod codecs;
mod concealment;
mod digit_runs;
mod dtmf;
mod g711;
mod g722;
mod jitter_buffer;
mod mix;
mod opus;
mod quality;
mod resample;
mod telephone_event;
mod tone;

// Its counters tell what a thread has allocated; it is the daemon's own allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
