//! Tandem: a telephony-first SIP softswitch in one daemon.
#![doc = include_str!("ARCHITECTURE.md")]

pub mod edge;
pub mod proto;
pub mod switch;
