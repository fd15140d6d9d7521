//! The running daemon: real sockets, real processes, and phones that write raw text.

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

mod audio;
mod hearing;
mod lifecycle;
mod listeners;
mod located;
mod operator;
mod provisioning;
mod recording;
mod rooms;
mod secure;
mod services;
mod sounds;
mod speech;
mod stir;
mod tcp;
mod thousand;

use std::path::PathBuf;

use live::daemon::{Daemon, Programs, SECRETS};
use live::phone::{Phone, Received, Talk};
use live::tone;

/// The programs that cargo built for this test.
fn programs() -> Programs {
    Programs {
        daemon: PathBuf::from(env!("CARGO_BIN_EXE_tandemd")),
        command: PathBuf::from(env!("CARGO_BIN_EXE_tandem")),
    }
}

/// A daemon with the two phones and whatever else these files say.
fn daemon(extra: &[(&str, &str)]) -> Daemon {
    Daemon::start(programs(), extra)
}

/// One of the two phones, registered over UDP.
fn phone(daemon: &Daemon, which: usize) -> Phone {
    let (extension, secret) = SECRETS[which];
    let mut phone = Phone::new(extension, secret, daemon.address());
    phone.register();
    phone
}

/// One of the two phones, registered over a connection of its own.
fn tcp_phone(daemon: &Daemon, which: usize) -> Phone {
    let (extension, secret) = SECRETS[which];
    let mut phone = Phone::tcp(extension, secret, daemon.address());
    phone.register();
    phone
}

/// The first phone calls the second, which answers.
fn connect(alice: &mut Phone, bob: &mut Phone) -> (Talk, Talk) {
    let mut a = alice.invite(&bob.extension.clone());
    let b = bob.answer();
    alice.answered(&mut a);
    (a, b)
}

/// Both talk at once: 440 Hz from the first, 660 Hz from the second. Gives what each of them heard.
fn talk((alice, a): (&Phone, &Talk), (bob, b): (&Phone, &Talk), packets: usize) -> [Received; 2] {
    std::thread::scope(|scope| {
        let at_bob = scope.spawn(|| bob.talk(b, 660.0, packets));
        let at_alice = alice.talk(a, 440.0, packets);
        [at_alice, at_bob.join().unwrap()]
    })
}

/// The first hangs up, the second is told.
fn hang_up((alice, a): (&mut Phone, &Talk), bob: &mut Phone) {
    std::thread::scope(|scope| {
        scope.spawn(|| bob.hung_up());
        alice.bye(a);
    });
}

/// Fails unless most of the recording is this tone, without holes.
fn assert_hears(who: &str, received: &Received, frequency: f64, packets: usize) {
    let heard = tone::listen(&received.samples, frequency);
    let wanted = packets as f64 * 0.02;
    assert!(
        heard.seconds > wanted * 0.8 && heard.purity > 0.9 && received.ssrcs.len() == 1,
        "{who}: {heard:?} of {wanted} s, {} packets, SSRCs {:?}",
        received.packets,
        received.ssrcs
    );
}

/// Fails if anything was heard that is a tone.
fn assert_silent(who: &str, received: &Received) {
    assert_eq!(received.packets, 0, "{who} was to hear nothing");
}

/// Standard output and error of a command, for a person to look at.
fn words(output: &std::process::Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// The id of the only live call.
fn only_call(daemon: &Daemon) -> String {
    let calls = daemon.ask(&["calls"]);
    assert_eq!(calls.as_array().map(Vec::len), Some(1), "{calls}");
    calls[0]["id"].as_str().unwrap().to_owned()
}
