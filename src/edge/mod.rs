//! Sockets, clock, disk and tasks: the only ring that touches the world.

pub mod call_task;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod control;
pub mod entropy;
pub mod log;
pub mod media_io;
pub mod provisioning;
pub mod recording;
pub mod sip_io;
pub mod sounds;
pub mod speech;
pub mod stir;
pub mod store;
pub mod supervisor;
pub mod switchboard_task;
