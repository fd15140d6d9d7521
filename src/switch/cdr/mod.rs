//! The record of a call: what it stores and how a timeline becomes it.

pub mod assemble;
pub mod record;
pub mod sound;
