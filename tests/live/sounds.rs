//! What is played to the parties of a call: music on hold, and the notice of a recording.

use crate::live::phone::{Phone, Talk};
use crate::live::tone;
use crate::{assert_hears, connect, daemon, hang_up, phone, talk};

/// One second.
const PACKETS: usize = 50;

/// A second of 1 kHz, as a file for the configuration.
fn settings(section: &str, key: &str) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sounds/tone.flac");
    format!("[{section}]\n{key} = \"{file}\"\n")
}

/// Holds or resumes; the other phone is not asked.
fn reinvite((alice, a): (&mut Phone, &Talk), asks: &'static str, answer: &str) {
    let answered = alice.reinvite(a, asks);
    assert!(answered.contains(&format!("a={answer}\r\n")), "{answered}");
}

/// Row 141: who is on hold hears music, again and again, in the stream that it knows.
#[test]
fn row_141_music_on_hold_is_heard_in_the_same_stream() {
    let daemon = daemon(&[("tandem.toml", &settings("media", "hold_music"))]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    let [_, before] = talk((&alice, &a), (&bob, &b), PACKETS);
    reinvite((&mut alice, &a), "sendonly", "recvonly");
    assert_eq!(daemon.ask(&["calls"])[0]["state"], "hold");
    // Alice sends all the same, as some phones do; it is not heard.
    let [at_alice, music] = talk((&alice, &a), (&bob, &b), PACKETS * 3);
    assert!(at_alice.samples.is_empty(), "who holds hears nobody");
    let heard = tone::listen(&music.samples, 1_000.0);
    // A second of it, three times: a file ends within a packet, which is silent from there on.
    assert!(heard.seconds > 2.5 && heard.longest_gap_ms < 30.0, "{heard:?}");
    assert!(tone::purity(&music.samples, 440.0) < 0.01);
    reinvite((&mut alice, &a), "sendrecv", "sendrecv");
    let [at_alice, after] = talk((&alice, &a), (&bob, &b), PACKETS);
    assert_hears("1001", &at_alice, 660.0, PACKETS);
    assert!(tone::listen(&after.samples, 440.0).seconds > 0.8);
    assert_eq!((&before.ssrcs, &music.ssrcs), (&after.ssrcs, &after.ssrcs));
    for received in [&music, &after] {
        for pair in received.stamps.windows(2) {
            let [(number, stamp), (next, next_stamp)] = pair else { continue };
            assert_eq!(next.wrapping_sub(*number), 1);
            assert!((1..=800).contains(&next_stamp.wrapping_sub(*stamp)), "{stamp} {next_stamp}");
        }
    }
    hang_up((&mut alice, &a), &mut bob);
    assert_eq!(daemon.wait_for_records(1)[0]["cause"], "normal");
    daemon.assert_healthy();
}

/// Row 165: both sides hear the notice before they hear each other.
#[test]
fn row_165_both_sides_hear_the_notice() {
    let text =
        settings("recording", "notice") + "calls = \"all\"\nfree_min_mb = 0\nbeep_seconds = 1\n";
    let daemon = daemon(&[("tandem.toml", &text)]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    let heard = talk((&alice, &a), (&bob, &b), PACKETS * 2);
    for (received, tone_of_other) in heard.iter().zip([660.0, 440.0]) {
        let notice = tone::listen(&received.samples, 1_000.0);
        assert!((0.8..1.3).contains(&notice.seconds), "{notice:?}");
        assert!(tone::listen(&received.samples, tone_of_other).seconds > 0.5);
    }
    hang_up((&mut alice, &a), &mut bob);
    daemon.wait_for_records(1);
    daemon.assert_healthy();
}
