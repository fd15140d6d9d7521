//! The control socket: JSON-RPC 2.0 lines for the operator's command and other local programs.
//!
//! A line holds one request or one batch of up to 100; it may be 1 MiB long. Parameters are named,
//! an unknown one is an error. Answers come in the order of the requests. A request without an id
//! is ignored. The methods are those of [`super::command::Command::from_rpc`].
//!
//! `events.subscribe {since}` answers `{"replayed": N}` and then sends notifications on the same
//! connection: `event {seq, at, kind, fields}` for N past events and every new one; before them
//! `events.gap {from, to}` if some of those asked for are not kept any more. A client that falls
//! behind by more than is kept gets `events.closed {reason, from, to}` and is disconnected.

mod connection;
pub mod events;
pub mod rpc;
mod socket;

#[cfg(test)]
mod tests;

pub use self::events::EventLog;
pub use self::socket::{ControlError, ControlServer};
