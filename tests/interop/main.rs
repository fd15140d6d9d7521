//! Stories with SIP programs that are not ours: sipp, baresip, Linphone, Kamailio. A missing program fails the run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the support of the tests is test code, whatever clippy sees in it"
)]

#[path = "../support/live/mod.rs"]
mod live;

mod baresip;
mod convert;
mod crash;
mod kamailio;
mod lamps;
mod linphone;
mod nat;
mod provisioning;
mod scanner;
mod sipp;
mod speech;
mod stories;
mod webrtc;

use std::path::PathBuf;

use live::daemon::Programs;

/// The programs that cargo built for this test.
fn programs() -> Programs {
    Programs {
        daemon: PathBuf::from(env!("CARGO_BIN_EXE_tandemd")),
        command: PathBuf::from(env!("CARGO_BIN_EXE_tandem")),
    }
}
