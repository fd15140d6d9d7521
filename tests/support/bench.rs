//! Measures a daemon of its own: CPU seconds from /proc, memory, rates and delays, each beside the cost of
//! the plain sockets on the same machine in the same run.

#![allow(clippy::print_stdout, reason = "printing is what a benchmark is for")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a script stops at the first surprise"
)]
#![allow(clippy::cast_possible_truncation, reason = "figures of a benchmark are small")]

mod live;

#[path = "bench/calls.rs"]
mod calls;
#[path = "bench/process.rs"]
mod process;
#[path = "bench/register.rs"]
mod register;
#[path = "bench/relay.rs"]
mod relay;

use std::net::UdpSocket;
use std::path::PathBuf;

use live::daemon::{Daemon, Programs};
use process::Meter;
use tandem::edge::clock::Clock;

fn main() {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let wanted = |name: &str| only.is_empty() || only.iter().any(|word| word == name);
    let folder = std::env::current_exe()
        .unwrap()
        .parent()
        .and_then(|p| p.parent())
        .map(PathBuf::from)
        .unwrap();
    let programs = Programs { daemon: folder.join("tandemd"), command: folder.join("tandem") };
    let limit = plain_datagram_us();
    println!("plain sockets: {limit:.2} us of CPU for a 172-byte datagram, sent and received");
    if wanted("start") {
        start(&programs);
    }
    if wanted("register") {
        register::run(&programs, limit);
    }
    if wanted("calls") {
        calls::run(&programs, limit);
    }
    if wanted("relay") {
        relay::run(&programs, limit);
    }
}

/// What one datagram costs when nobody does anything with it.
fn plain_datagram_us() -> f64 {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    a.connect(b.local_addr().unwrap()).unwrap();
    let (packet, mut buffer) = ([7_u8; 172], [0_u8; 2048]);
    let before = Meter::own();
    const COUNT: u32 = 300_000;
    for _ in 0..COUNT {
        a.send(&packet).unwrap();
        b.recv(&mut buffer).unwrap();
    }
    (Meter::own().cpu - before.cpu) * 1e6 / f64::from(COUNT)
}

/// Ten thousand phones, from the start of the process to its first answer.
fn start(programs: &Programs) {
    let phones = register::phones(10_000);
    let clock = Clock::start();
    let daemon = Daemon::start(programs.clone(), &[("phones.toml", &phones)]);
    let took = clock.now().as_millis();
    let meter = Meter::of(daemon.pid());
    println!(
        "start-up with 10,000 phones: {took} ms, {:.2} CPU s, {:.1} MB resident",
        meter.cpu, meter.resident_mb
    );
}
