//! What a call does: pure decisions over the values of [`crate::proto`].

pub mod call;
pub mod cause;
pub mod cdr;
pub mod device;
pub mod dtmf;
pub mod guard;
pub mod health;
pub mod hearing;
pub mod identity;
pub mod phrase;
pub mod recording;
pub mod rooms;
pub mod route;
pub mod services;
pub mod snapshot;
pub mod speech;
pub mod stir;
pub mod subscriptions;
pub mod switchboard;
