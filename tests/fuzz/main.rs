//! Fuzzing on the stable toolchain: the targets of `targets.rs`, seeded from the torture corpus.
//!
//! `cargo run --example fuzz -- [--seconds N] [--seed S] [TARGET…]`. One thread, and the same seed gives the
//! same inputs. An input that panics is written to `tests/fuzz/artifacts` and shown; one that takes longer
//! than [`SLOW_RELEASE`] three times over counts as a failure too. Inputs that once failed are kept in
//! `tests/fuzz/regressions` and run first. With a nightly toolchain the same targets run under libFuzzer:
//! `cargo +nightly fuzz run --fuzz-dir tests/fuzz message`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed check ends the run"
)]
#![allow(unreachable_pub, reason = "the library for libFuzzer exports the targets")]
#![allow(clippy::print_stdout, reason = "a driver reports on standard output")]
#![allow(clippy::disallowed_methods, reason = "it runs for a number of seconds of the real clock")]

#[path = "../torture/board.rs"]
mod board;
mod mutate;
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mutate::{Dice, mutate};
use targets::Target;

/// What one input may take in an optimised build.
const SLOW_RELEASE: Duration = Duration::from_millis(50);
/// What it may take in a debug build.
const SLOW_DEBUG: Duration = Duration::from_millis(1000);
/// The longest input: a datagram.
const INPUT_MAX: usize = 65_535;

struct Arguments {
    seconds: u64,
    seed: u64,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = arguments();
    let mut failed = 0;
    let chosen: Vec<_> = targets::ALL
        .iter()
        .filter(|(name, _)| arguments.names.is_empty() || arguments.names.iter().any(|n| n == name))
        .collect();
    // The panic's own words are shown with its input; the default hook would print every one twice.
    for target in &chosen {
        if let Err(report) = run(target, &arguments) {
            println!("{}: FAILED\n{report}", target.0);
            failed += 1;
        }
    }
    println!("fuzz: {} passed, {failed} failed", chosen.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments() -> Arguments {
    let mut arguments = Arguments { seconds: 5, seed: 1, names: Vec::new() };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|n| n.parse().ok()).expect("a number follows");
        match word.as_str() {
            "--seconds" => arguments.seconds = number(),
            "--seed" => arguments.seed = number(),
            name if targets::ALL.iter().any(|(known, _)| *known == name) => {
                arguments.names.push(name.to_owned());
            }
            other => panic!("no target is called {other}"),
        }
    }
    arguments
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The files of a folder with this ending, in order of names; none if there is no folder.
fn files(folder: &Path, ending: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// What mutations start from: the torture corpus, or for other formats a few good lines.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let corpus = || files(&root().join("torture"), ".dat");
    let body = |message: &Vec<u8>| {
        let at = message.windows(4).position(|window| window == b"\r\n\r\n")?;
        Some(message[at + 4..].to_vec()).filter(|body| !body.is_empty())
    };
    match name {
        "sdp" => corpus().iter().filter_map(body).collect(),
        "rtp" => RTP.iter().map(|packet| packet.to_vec()).collect(),
        "control_line" => CONTROL.iter().map(|line| line.as_bytes().to_vec()).collect(),
        "uri_headers" => corpus()
            .iter()
            .flat_map(|message| message.split(|byte| *byte == b'\n').map(<[u8]>::to_vec))
            .map(|line| {
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                line.split_once(": ").map_or(line.clone(), |(_, value)| value.to_owned())
            })
            .filter(|value| !value.is_empty())
            .map(String::into_bytes)
            .collect(),
        "identity" => IDENTITY.iter().map(|line| line.as_bytes().to_vec()).collect(),
        "switchboard" => {
            let mut seeds = corpus();
            seeds.extend(files(&root().join("fuzz/seeds"), ".sip"));
            seeds
        }
        _ => corpus(),
    }
}

const RTP: &[&[u8]] = &[
    b"\x80\x00\x00\x01\x00\x00\x00\xa0\x01\x02\x03\x04payload payload",
    b"\xb2\x80\x00\x01\x00\x00\x00\xa0\x01\x02\x03\x04\0\0\0\x01\0\0\0\x02\xbe\xde\0\x01\x10\xff\0\0x\0\0\x03",
    b"\x80\xc8\x00\x06\x01\x02\x03\x04\0\0\0\0\0\0\0\0\0\0\0\xa0\0\0\0\x01\0\0\0\xa0",
    b"\x81\xc9\x00\x07\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\x81\xca\x00\x02\x01\x02\x03\x04\x01\x02ab",
    b"\x81\xcb\x00\x01\x01\x02\x03\x04",
    // Codec, packet time, longest packet; then a wait, an eighth of a length, and a packet of a stream, three times.
    b"\x00\x01\x00\
      \x14\x04\x80\x00\x00\x01\x00\x00\x00\xa0\x01\x02\x03\x04payload payload pay!\
      \x14\x04\x80\x00\x00\x02\x00\x00\x00\xb4\x01\x02\x03\x04payload payload pay!\
      \x01\x04\x80\x00\x00\x04\x00\x00\x00\xdc\x01\x02\x03\x04payload payload pay!",
    b"\x01\x14\x1e\
      \x14\x04\x80\x00\x00\x01\x00\x00\x00\xa0\x01\x02\x03\x04payload payload pay!\
      \x14\x03\x80\x00\x00\x02\x00\x00\x01\x40\x01\x02\x03\x04payload pay!\
      \x01\x04\x80\x00\x00\x03\x00\x00\x02\x00\x01\x02\x03\x04payload payload pay!",
];

/// Tokens, as JSON with the byte 0x1e between head and claims; the one of RFC 8225, appendix A; an address, numbers.
const IDENTITY: &[&str] = &[
    "{\"alg\":\"ES256\",\"ppt\":\"shaken\",\"typ\":\"passport\",\"x5u\":\"https://cert.example.org/passport.cer\"}\x1e\
     {\"attest\":\"A\",\"dest\":{\"tn\":[\"2\"]},\"iat\":1,\"orig\":{\"tn\":\"1\"},\"origid\":\"123e4567-e89b-12d3-a456-426655440000\"}\n\
     {\"alg\":\"ES256\",\"ppt\":\"div\",\"typ\":\"passport\",\"x5u\":\"https://cert.example.org/passport.cer\"}\x1e\
     {\"dest\":{\"tn\":[\"3\"]},\"div\":{\"tn\":\"2\"},\"iat\":1,\"orig\":{\"tn\":\"1\"}}",
    "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9jZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9.\
     eyJkZXN0Ijp7InVyaSI6WyJzaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6MTQ3MTM3NTQxOCwib3JpZyI6eyJ0biI6IjEyMTU1NTUxMjEyIn19.\
     VLBCIVDCaeK6M4hLJb6SHQvacAQVvoiiEOWQ_iUkqk79UD81fHQ0E1b3_GluIkba7UWYRM47ZbNFdOJquE35cw;\
     info=<https://cert.example.org/passport.cer>;alg=ES256",
    "https://[2001:db8::1]:8443/a/b.pem?c=d",
    "+86 (20) 1234-5678",
    "0\x0f\u{a2}\r\x16\x0b12155551212",
];

const CONTROL: &[&str] = &[
    r#"{"jsonrpc":"2.0","id":1,"method":"status"}"#,
    r#"{"jsonrpc":"2.0","id":"x","method":"call.show","params":{"id":"7f3a"}}"#,
    r#"[{"jsonrpc":"2.0","id":1,"method":"phones"},{"jsonrpc":"2.0","method":"events"}]"#,
    r#"{"jsonrpc":"2.0","id":null,"method":"subscribe","params":{"since":18446744073709551615}}"#,
];

/// Runs one target for its time.
fn run(target: &Target, arguments: &Arguments) -> Result<(), String> {
    let (name, act) = *target;
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let kept = files(&root().join("fuzz/regressions").join(name), "");
    for input in seeds.iter().chain(&kept) {
        check(name, act, input)?;
    }
    let mut dice = Dice::new(arguments.seed);
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let (mut count, mut slowest) = (0_u64, Duration::ZERO);
    while Instant::now() < end {
        let input = mutate(&mut dice, &seeds, INPUT_MAX);
        slowest = slowest.max(check(name, act, &input)?);
        count += 1;
    }
    println!("{name}: {count} inputs in {} s, slowest {slowest:?}", arguments.seconds);
    Ok(())
}

/// Runs one input; the time that it took, or a report.
fn check(name: &str, act: fn(&[u8]), input: &[u8]) -> Result<Duration, String> {
    let limit = if cfg!(debug_assertions) { SLOW_DEBUG } else { SLOW_RELEASE };
    let once = || {
        let begin = Instant::now();
        catch_unwind(AssertUnwindSafe(|| act(input))).map(|()| begin.elapsed())
    };
    let Ok(mut took) = once() else { return Err(keep(name, input, "it panicked")) };
    // A loaded machine may be slow once; an input that is slow is slow every time.
    for _ in 0..2 {
        if took > limit {
            took = once().map_or(took, |again| again.min(took));
        }
    }
    if took > limit {
        return Err(keep(name, input, &format!("it took {took:?}")));
    }
    Ok(took)
}

/// Writes a failing input where it can be looked at.
fn keep(name: &str, input: &[u8], why: &str) -> String {
    let folder = root().join("fuzz/artifacts");
    std::fs::create_dir_all(&folder).unwrap();
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    let path = folder.join(format!("{name}-{hash:016x}"));
    std::fs::write(&path, input).unwrap();
    let shown: String = input.escape_ascii().to_string().chars().take(2000).collect();
    format!("{why}; kept as {}\n{shown}", path.display())
}
