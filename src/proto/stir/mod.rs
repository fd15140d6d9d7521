//! STIR: signed statements of who calls whom (RFC 8224, RFC 8225), with SHAKEN's levels of confidence (RFC 8588).
//!
//! Here tokens are read and written, and what they claim is compared with the call. Signatures and certificates are
//! the edge's: what has to be checked or signed is told as bytes.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod authority;
pub mod base64url;
pub mod date;
mod json;
pub mod number;
pub mod passport;
pub mod signature;
pub mod source;
#[cfg(test)]
mod tests;
pub mod verify;

pub use number::{Home, canonical};
pub use passport::{Attestation, Failure, Identity, Kind, Party, Passport};
pub use verify::{Expected, chains_of};
