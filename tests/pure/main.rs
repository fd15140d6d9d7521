//! The switch as a whole in virtual time: raw-text phones, one switchboard, its calls; no socket, no clock.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the support of the tests is test code, whatever clippy sees in it"
)]

#[path = "../support/sim/mod.rs"]
mod sim;

mod scene;
mod watch;
mod webrtc;

mod abuse;
mod answering;
mod blf;
mod calls;
mod carrier_tables;
mod carriers;
mod convert;
mod cost;
mod devices;
mod dialogs;
mod early_transfer;
mod emergency;
mod fax;
mod flows;
mod forks;
mod healths;
mod hearing;
mod identity;
mod identity_kept;
mod info;
mod located;
mod lossy;
mod messages;
mod methods;
mod music;
mod offers;
mod operator;
mod probes;
mod profiles;
mod quality;
mod races;
mod reasons;
mod recording;
mod registrant;
mod registrar;
mod reliable;
mod reliable_legs;
mod replaces;
mod rooms;
mod services;
mod session_timers;
mod soak;
mod speech;
mod srtp;
mod stating;
mod stir;
mod subscriptions;
mod transactions;
mod transfer;
mod trunks;
