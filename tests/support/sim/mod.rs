//! A whole exchange in one process: virtual time, a network of values, phones that write raw text.

pub mod carrier;
pub mod check;
mod dns;
pub mod ladder;
pub mod media;
pub mod network;
pub mod office;
pub mod phone;
pub mod sdp;
pub mod stir;
pub mod text;
pub mod world;
