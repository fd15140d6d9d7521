//! The targets for libFuzzer; the stable driver in `main.rs` runs the same ones.

#[path = "../torture/board.rs"]
mod board;
pub mod targets;
