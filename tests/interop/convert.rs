//! Clients that share no codec: each one's tone is measured in what the other decoded.

use crate::baresip::{STAYS, Way, start_by};
use crate::live::daemon::{Daemon, SECRETS};
use crate::live::tone;
use crate::programs;

/// Two baresips, the first of which speaks this codec and the second that one.
fn talk(first: &str, second: &str) {
    let daemon = Daemon::start(programs(), &[]);
    let way = Way { settings: "module opus.so\nmodule g722.so\n", ..Way::plain(daemon.port) };
    let account = |codec: &str, more: &str| format!("audio_codecs={codec};{more}");
    let answers = account(second, "answermode=auto");
    let bob = start_by(&way, &daemon, SECRETS[1], (660.0, 60), &answers, None);
    daemon.wait_for("1002 to register", |daemon| daemon.ask(&["status"])["phones_registered"] == 1);
    let calls = format!("/dial sip:1002@127.0.0.1:{}", daemon.port);
    let account = account(first, "");
    let mut alice = start_by(&way, &daemon, SECRETS[0], (440.0, STAYS), &account, Some(&calls));
    alice.child.wait().unwrap();
    let records = daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "normal", "{records:?}");
    for (who, client, frequency) in [(first, &alice, 660.0), (second, &bob, 440.0)] {
        let heard = tone::listen(&client.heard(), frequency);
        assert!(heard.seconds > 2.0, "who speaks {who} heard {heard:?}");
        assert!(heard.longest_gap_ms < 60.0, "who speaks {who} heard {heard:?}");
    }
    // Both streams are made here, and the verdict knows it.
    let call = daemon.ask(&["call", "show", records[0]["call"].as_str().unwrap()]);
    assert_eq!(call["audio"], "both_ways", "{call}");
    for leg in [0, 1] {
        assert!(call["legs"][leg]["mos"].as_f64().unwrap() > 4.0, "{call}");
    }
    drop((alice, bob));
    daemon.assert_healthy();
}

/// Row 101: a caller without G.711 and a phone that has nothing else.
#[test]
fn row_101_opus_talks_to_g711() {
    talk("opus", "pcma");
}

/// Row 101: and the other way round, where the phone has to be asked a second time.
#[test]
fn row_101_g711_talks_to_opus() {
    talk("pcmu", "opus");
}

#[test]
fn row_101_g722_talks_to_g711() {
    talk("g722", "pcmu");
}
