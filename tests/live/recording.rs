//! Calls that are recorded: real sockets, real files, and the tone that is in them.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::live::daemon::Daemon;
use crate::live::tone;
use crate::{connect, daemon, hang_up, only_call, phone, talk};

/// One second.
const PACKETS: usize = 50;

const RECORDED: &[(&str, &str)] =
    &[("tandem.toml", "[recording]\ncalls = \"all\"\nfree_min_mb = 0\n")];

/// The only recording, once it is in this state.
fn recording(daemon: &Daemon, state: &str) -> Value {
    daemon.wait_for("a recording", |daemon| {
        daemon.ask(&["recordings"]).as_array().is_some_and(|rows| {
            rows.len() == 1 && rows[0]["state"] == state && rows[0]["sha256"].is_string()
        })
    });
    daemon.ask(&["recordings"])[0].clone()
}

/// Both tracks of a file.
fn tracks(file: &str) -> [Vec<i16>; 2] {
    let bytes = std::fs::read(file).unwrap();
    assert_eq!((&bytes[..4], &bytes[8..12]), (&b"RIFF"[..], &b"WAVE"[..]));
    assert_eq!(u32::from_le_bytes(bytes[40..44].try_into().unwrap()) as usize, bytes.len() - 44);
    let samples: Vec<i16> =
        bytes[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    [0, 1].map(|side| samples.iter().skip(side).step_by(2).copied().collect())
}

/// Row 165: a call's file has each side on a track of its own, as long as the conversation, and its hash is what another
/// program finds.
#[test]
fn row_165_both_sides_are_on_their_tracks() {
    let daemon = daemon(RECORDED);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    let call = only_call(&daemon);
    talk((&alice, &a), (&bob, &b), PACKETS * 2);
    assert_eq!(daemon.ask(&["calls"])[0]["recording"], "on");
    hang_up((&mut alice, &a), &mut bob);
    let row = recording(&daemon, "done");
    let file = row["file"].as_str().unwrap();
    let [left, right] = tracks(file);
    for (samples, frequency) in [(&left, 440.0), (&right, 660.0)] {
        let heard = tone::listen(samples, frequency);
        assert!(heard.seconds > 1.9 && heard.longest_gap_ms < 40.0, "{frequency}: {heard:?}");
    }
    let records = daemon.wait_for_records(1);
    let talked = records[0]["talk_seconds"].as_f64().unwrap();
    let plays = row["seconds"].as_f64().unwrap();
    assert!((talked - plays).abs() < 0.15, "talked {talked} s, recorded {plays} s");
    let sum = Command::new("sha256sum").arg(file).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(sum.split(' ').next(), row["sha256"].as_str());
    let detail = daemon.ask(&["call", "show", &call]);
    assert_eq!(detail["recording"]["sha256"], row["sha256"]);
    daemon.assert_healthy();
}

/// Row 165: what is said in a pause is not in the file; who orders it is told what is so.
#[test]
fn row_165_card_data_is_not_recorded() {
    let daemon = daemon(RECORDED);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    let call = only_call(&daemon);
    let order = |order| daemon.ask(&["call", "record", &call, order])["recording"].clone();
    assert_eq!(order("pause"), "paused");
    let [at_alice, _] = talk((&alice, &a), (&bob, &b), PACKETS);
    assert!(!at_alice.samples.is_empty(), "they hear each other");
    // What is still on its way to the relay is said in the pause, too.
    daemon.wait_for("all that was said has come", |daemon| {
        let legs = daemon.ask(&["call", "show", &call])["legs"].clone();
        let came = |leg: &Value| leg["packets_in"].as_u64() >= Some(PACKETS as u64);
        legs.as_array().is_some_and(|legs| legs.iter().all(came))
    });
    assert_eq!(order("resume"), "on");
    hang_up((&mut alice, &a), &mut bob);
    let row = recording(&daemon, "done");
    let [left, right] = tracks(row["file"].as_str().unwrap());
    assert!(left.len() >= 8_000 && left.iter().chain(&right).all(|sample| *sample == 0));
    let delete = daemon.run(&["recording", "delete", &call, "--reason", "a test"]);
    assert!(delete.status.success());
    assert!(!PathBuf::from(row["file"].as_str().unwrap()).exists());
    let audit = daemon.ask(&["audit"]);
    assert_eq!(
        (&audit[0]["what"], &audit[0]["detail"]),
        (&"recording.deleted".into(), &"a test".into())
    );
    let again = daemon.run(&["recording", "delete", &call, "--reason", "a test"]);
    assert!(!again.status.success());
    daemon.assert_healthy();
}

/// A daemon that is killed leaves a file that plays, and its successor says that it is not whole.
#[test]
fn a_recording_outlives_the_daemon() {
    let mut daemon = daemon(RECORDED);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    talk((&alice, &a), (&bob, &b), PACKETS * 4);
    daemon.kill_and_restart();
    let row = recording(&daemon, "cut");
    let [left, right] = tracks(row["file"].as_str().unwrap());
    for (samples, frequency) in [(&left, 440.0), (&right, 660.0)] {
        let heard = tone::listen(samples, frequency);
        assert!(heard.seconds > 1.0 && heard.longest_gap_ms < 40.0, "{frequency}: {heard:?}");
    }
}

/// Row 165: both sides are told by a beep, which does not move the numbers of the stream that it stands in.
#[test]
fn row_165_both_sides_hear_the_beep() {
    let text = "[recording]\ncalls = \"all\"\nfree_min_mb = 0\nbeep_seconds = 1\n";
    let daemon = daemon(&[("tandem.toml", text)]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    let heard = talk((&alice, &a), (&bob, &b), PACKETS * 2);
    for received in &heard {
        let frames = received.samples.chunks_exact(160);
        let beeps = frames.filter(|frame| tone::purity(frame, 1_400.0) > 0.8).count();
        // At the begin and once a second, of 200 ms each.
        assert!((14..=30).contains(&beeps), "{beeps} frames of 20 ms");
        assert_eq!(received.ssrcs.len(), 1);
        for pair in received.stamps.windows(2) {
            let [(before, stamp), (after, next)] = pair else { continue };
            assert_eq!(after.wrapping_sub(*before), 1, "no number is missing");
            let step = next.wrapping_sub(*stamp);
            assert!((1..=640).contains(&step), "{stamp} then {next}");
        }
    }
    hang_up((&mut alice, &a), &mut bob);
    let row = recording(&daemon, "done");
    assert!(row["seconds"].as_f64().unwrap() > 1.5);
    daemon.assert_healthy();
}
