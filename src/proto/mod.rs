//! Bytes to typed events and back: pure, without sockets, clock, threads or disk.

pub mod audio;
pub mod hex;
pub mod nat;
pub mod network;
pub mod recording;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod srtp;
pub mod stir;
pub mod time;
pub mod token;
pub mod xml;
