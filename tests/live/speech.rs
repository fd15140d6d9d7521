//! What is said to the parties of a call.

use serde_json::Value;

use crate::live::daemon::Daemon;
use crate::live::tone;
use crate::{connect, daemon, hang_up, only_call, phone, talk, words};

/// One second.
const PACKETS: usize = 50;

fn sounds() -> String {
    format!("[speech]\nsounds = \"{}/sounds\"\n", env!("CARGO_MANIFEST_DIR"))
}

/// How what was said has ended: its name, side and how.
fn ends(daemon: &Daemon) -> Vec<[String; 3]> {
    let output = daemon.run(&["events", "--since", "0", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let played = events.filter(|event| event["params"]["kind"] == "call.played");
    let field = |event: &Value, name: &str| {
        event["params"]["fields"][name].as_str().unwrap_or_default().to_owned()
    };
    played.map(|event| ["say", "side", "end"].map(|name| field(&event, name))).collect()
}

/// A text for one side and prompts for both: who hears them does not hear the other side meanwhile, and each has one end.
#[test]
fn an_operator_says_a_text_and_plays_prompts() {
    let daemon = daemon(&[("tandem.toml", &sounds())]);
    let (mut alice, mut bob) = (phone(&daemon, 0), phone(&daemon, 1));
    let (a, b) = connect(&mut alice, &mut bob);
    let call = only_call(&daemon);
    let said = daemon.run(&["call", "say", &call, "Order 12 is ready.", "--side", "b"]);
    assert!(said.status.success(), "{}", words(&said));
    let mut at_bob = Vec::new();
    for _ in 0..20 {
        let [at_alice, heard] = talk((&alice, &a), (&bob, &b), PACKETS);
        assert!(tone::listen(&at_alice.samples, 660.0).seconds > 0.8, "nothing is said to alice");
        at_bob.extend(heard.samples);
        if !ends(&daemon).is_empty() {
            break;
        }
    }
    assert_eq!(ends(&daemon), [["1", "b", "done"].map(str::to_owned)]);
    // It may have begun before alice did.
    let is_other = |frame: &&[i16]| tone::purity(frame, 440.0) < 0.5;
    let others = at_bob.chunks(160).filter(is_other).count();
    assert!(others > PACKETS, "a second of something else than her tone: {others} packets");

    let file = format!("{}/tests/fixtures/sounds/tone.flac", env!("CARGO_MANIFEST_DIR"));
    let played = daemon.ask(&["call", "play", &call, &file]);
    assert_eq!(played["say"], "2");
    daemon.ask(&["call", "play", &call, "place-before", "n-7", "place-after", "--side", "a"]);
    let heard = talk((&alice, &a), (&bob, &b), PACKETS * 4);
    for received in &heard {
        assert!((0.8..1.2).contains(&tone::listen(&received.samples, 1_000.0).seconds));
    }
    let ends_now = ends(&daemon);
    for end in [["2", "a", "done"], ["2", "b", "done"], ["3", "a", "done"]] {
        assert!(ends_now.contains(&end.map(str::to_owned)), "{end:?} in {ends_now:?}");
    }

    daemon.ask(&["call", "play", &call, "no-such-prompt"]);
    daemon.wait_for("the failure", |daemon| {
        ends(daemon).contains(&["4", "a", "failed"].map(str::to_owned))
    });
    daemon.ask(&["call", "say", &call, &"word ".repeat(100)]);
    talk((&alice, &a), (&bob, &b), PACKETS);
    daemon.ask(&["call", "silence", &call]);
    daemon
        .wait_for("silence", |daemon| ends(daemon).contains(&["5", "b", "cut"].map(str::to_owned)));
    let shown = words(&daemon.run(&["call", "show", &call]));
    assert!(
        shown.contains("Order 12 is ready") && shown.contains("no prompt `no-such-prompt`"),
        "{shown}"
    );
    hang_up((&mut alice, &a), &mut bob);
    assert_eq!(daemon.wait_for_records(1)[0]["cause"], "normal");
    let late = daemon.run(&["call", "say", &call, "Hello"]);
    assert!(words(&late).contains("there is no call"), "{}", words(&late));
    daemon.assert_healthy();
}

/// Row 109 of the manual: what a caller would hear, as a file.
#[test]
fn what_would_be_heard_is_a_file() {
    let daemon = daemon(&[("tandem.toml", &sounds())]);
    let file = daemon.socket().with_file_name("heard.wav");
    let out = file.to_str().unwrap();
    for args in [
        &["say", "Hello 12", "--out", out][..],
        &["say", "您好", "--lang", "zh-CN", "--out", out],
        &["say", "--prompts", "n-20", "n-1", "--out", out],
        &["say", "--prompts", "goodbye", "--lang", "zh-CN", "--out", out],
    ] {
        let said = daemon.run(args);
        assert!(said.status.success() && words(&said).contains("seconds"), "{}", words(&said));
        let wav = std::fs::read(&file).unwrap();
        assert_eq!((&wav[..4], &wav[24..28]), (&b"RIFF"[..], &16_000_u32.to_le_bytes()[..]));
        assert!(wav.len() > 10_000, "{args:?}: {}", wav.len());
        std::fs::remove_file(&file).unwrap();
    }
    let said = daemon.run(&["say", "--prompts", "none", "--out", out]);
    assert!(
        !said.status.success() && words(&said).contains("no prompt `none`"),
        "{}",
        words(&said)
    );
}
