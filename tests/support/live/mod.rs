//! What the tests against the running daemon share: the daemon itself, scripted phones that write raw
//! text, and tones that are sent and measured.

#![allow(dead_code, unreachable_pub, reason = "each test target uses its own part")]

pub mod daemon;
pub mod dns;
pub mod phone;
pub mod secure;
pub mod tone;
pub mod wire;
