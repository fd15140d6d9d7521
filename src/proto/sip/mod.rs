//! SIP (RFC 3261): messages, transactions, dialogs, sessions, registration, authentication.

// Every byte here is a peer's: a slice out of bounds must not be possible.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod auth;
pub mod dialog;
pub mod endpoint;
pub mod header;
pub mod identity;
pub mod locals;
pub mod locate;
pub mod location;
pub mod message;
pub mod method;
pub mod quality;
pub mod registration;
pub mod session;
pub mod subscription;
pub mod transaction;
pub mod transport;
pub mod uri;
