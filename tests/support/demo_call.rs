//! A test call with audio against a running daemon: two scripted phones register, call, exchange a tone
//! each way and hang up. Prints the ladder, what each side heard, and the record.

#![allow(clippy::print_stdout, reason = "printing is what a demonstration is for")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a script stops at the first surprise"
)]

mod live;

use std::path::PathBuf;
use std::process::ExitCode;

use live::daemon::{Programs, run};
use live::phone::{Phone, Received};
use live::tone;
use tandem::edge::config;

/// Two seconds of audio.
const PACKETS: usize = 100;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let (Some(conf), Some(socket)) = (args.next(), args.next()) else {
        println!("usage: demo-call CONFIG-DIR CONTROL-SOCKET");
        return ExitCode::from(2);
    };
    let Ok(loaded) = config::load(&PathBuf::from(&conf)) else {
        println!("{conf} has errors; see `tandem check {conf}`");
        return ExitCode::FAILURE;
    };
    let Some(mut server) =
        loaded.snapshot.sip.listen.iter().find(|l| l.transport.word() == "udp").map(|l| l.address)
    else {
        println!("{conf} has no UDP listener");
        return ExitCode::FAILURE;
    };
    if server.ip().is_unspecified() {
        server.set_ip([127, 0, 0, 1].into());
    }
    let phone = |extension: &str| {
        let phone = loaded
            .snapshot
            .phone(extension)
            .unwrap_or_else(|| panic!("no phone {extension} in {conf}"));
        Phone::new(extension, &phone.secret.0, server)
    };
    let (mut alice, mut bob) = (phone("1001"), phone("1002"));
    let folder = std::env::current_exe()
        .unwrap()
        .parent()
        .and_then(|p| p.parent())
        .map(PathBuf::from)
        .unwrap();
    let programs = Programs { daemon: folder.join("tandemd"), command: folder.join("tandem") };
    let [at_alice, at_bob] = call(&mut alice, &mut bob);
    let tandem = |args: &[&str]| run(&programs, &PathBuf::from(&socket), args);
    let records = tandem(&["records", "--limit", "1", "--json"]);
    let records = String::from_utf8_lossy(&records.stdout).into_owned();
    let id = records
        .split('"')
        .find(|word| word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit()))
        .unwrap_or("")
        .to_owned();
    println!("{}", String::from_utf8_lossy(&tandem(&["call", "show", &id, "--ladder"]).stdout));
    let is_good = [say("1001", &at_alice, 660.0), say("1002", &at_bob, 440.0)];
    println!("\n{}", String::from_utf8_lossy(&tandem(&["call", "show", &id]).stdout));
    if is_good.into_iter().all(|good| good) {
        println!("The call was good: both sides heard each other.");
        ExitCode::SUCCESS
    } else {
        println!("The call was NOT good: see what each side heard.");
        ExitCode::FAILURE
    }
}

/// Registers both, calls, lets both talk at once, hangs up. Gives what each side heard.
fn call(alice: &mut Phone, bob: &mut Phone) -> [Received; 2] {
    alice.register();
    bob.register();
    let mut a = alice.invite("1002");
    let b = bob.answer();
    alice.answered(&mut a);
    let heard = std::thread::scope(|scope| {
        let at_bob = scope.spawn(|| bob.talk(&b, 660.0, PACKETS));
        let at_alice = alice.talk(&a, 440.0, PACKETS);
        [at_alice, at_bob.join().unwrap()]
    });
    std::thread::scope(|scope| {
        scope.spawn(|| bob.hung_up());
        alice.bye(&a);
    });
    heard
}

/// One line on what a phone heard; false if that is not the other one's tone.
fn say(extension: &str, received: &Received, frequency: f64) -> bool {
    let heard = tone::listen(&received.samples, frequency);
    println!(
        "{extension} heard {frequency} Hz for {:.2} s of {:.2} s, purity {:.0} %, longest gap {:.0} ms, {} packets, {} missing, {} SSRC",
        heard.seconds,
        PACKETS as f64 * 0.02,
        heard.purity * 100.0,
        heard.longest_gap_ms,
        received.packets,
        received.missing,
        received.ssrcs.len()
    );
    heard.seconds > PACKETS as f64 * 0.02 * 0.9
        && heard.longest_gap_ms < 40.0
        && heard.purity > 0.9
        && received.ssrcs.len() == 1
}
