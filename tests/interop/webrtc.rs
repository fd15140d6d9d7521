//! WebRTC against a stack that is not ours: aiortc, with full ICE, DTLS by OpenSSL and audio over SRTP, driven by a script
//! that speaks SIP over a WebSocket. And ICE against baresip.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::baresip::{STAYS, Way, assert_talked, start, start_by};
use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::live::tone::{self, Heard};
use crate::programs;

/// The interpreter that has the library: as `scripts/test` installed it, or the system's.
fn python() -> PathBuf {
    let target = PathBuf::from(env!("CARGO_BIN_EXE_tandemd"));
    let venv = target.ancestors().find(|folder| folder.ends_with("target"));
    let own = venv.map(|target| target.join("aiortc/bin/python"));
    own.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("python3"))
}

/// A daemon that browsers can reach.
struct Office {
    daemon: Daemon,
    ws: u16,
}

impl Office {
    fn new(extra: &[(&str, &str)]) -> Self {
        let (port, ws) = (free_port(), free_port());
        let listen = [format!("udp:127.0.0.1:{port}"), format!("ws:127.0.0.1:{ws}")];
        Self { daemon: Daemon::listening(programs(), port, &listen, extra), ws }
    }

    /// The phone of this place in [`SECRETS`], as a browser would be it.
    fn browser(&self, place: usize, hertz: u32, seconds: u32, words: &[&str]) -> Browser {
        let (extension, secret) = SECRETS[place];
        let heard = self.daemon.dir.join(format!("browser-{extension}.wav"));
        let log = self.daemon.dir.join(format!("browser-{extension}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let child = Command::new(python())
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/webrtc/peer.py"))
            .args([&self.ws.to_string(), extension, secret])
            .args([hertz.to_string(), seconds.to_string()])
            .arg(&heard)
            .args(words)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .expect("python is needed");
        Browser { child, heard, log }
    }

    fn wait_for_phones(&self, count: u64) {
        self.daemon.wait_for("the phones to register", |daemon| {
            daemon.ask(&["status"])["phones_registered"] == count
        });
    }

    /// The only record, with its legs and its story.
    fn shown(&self) -> Value {
        let records = self.daemon.wait_for_records(1);
        self.daemon.ask(&["call", "show", records[0]["call"].as_str().unwrap()])
    }
}

struct Browser {
    child: Child,
    heard: PathBuf,
    log: PathBuf,
}

impl Browser {
    fn wait(&mut self) {
        self.child.wait().unwrap();
    }

    fn said(&self) -> String {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(!said.contains("No module named"), "aiortc is needed (PyPI: aiortc): {said}");
        said
    }

    fn samples(&self) -> Vec<i16> {
        let bytes = std::fs::read(&self.heard).unwrap_or_else(|_| panic!("{}", self.said()));
        tone::read_wav(&bytes)
    }

    fn listen(&self, hertz: f64) -> Heard {
        tone::listen(&self.samples(), hertz)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn by_dtls(shown: &Value, leg: usize) -> bool {
    shown["legs"][leg]["srtp"].as_str().is_some_and(|by| by.starts_with("DTLS "))
}

/// Rows 155 to 158: a browser calls a desk phone, holds it and takes it back; both tones are heard before and after.
#[test]
fn row_155_a_browser_calls_a_desk_phone() {
    let office = Office::new(&[]);
    let daemon = &office.daemon;
    let mut bob = start(daemon, SECRETS[1], 660.0, 30, "answermode=auto", None);
    office.wait_for_phones(1);
    let mut alice = office.browser(0, 440, 8, &["1002", "hold"]);
    alice.wait();
    let said = alice.said();
    assert!(said.contains("connected") && said.contains("now sendrecv"), "{said}");
    let shown = office.shown();
    assert_eq!(shown["cause"], "normal", "{shown}\n{said}");
    assert_eq!(shown["audio"], "both_ways", "{shown}");
    assert!(by_dtls(&shown, 0) && shown["legs"][1]["srtp"] == "", "{shown}");
    let _ = bob.child.kill();
    let _ = bob.child.wait();
    // Its recorder ends with the first hold, whoever holds it: what it was sent afterwards is counted.
    let heard = tone::listen(&bob.heard(), 440.0);
    assert!(heard.seconds > 3.0 && heard.purity > 0.9, "{heard:?}\n{said}");
    assert!(shown["legs"][1]["packets_out"].as_u64().unwrap() > 500, "{shown}\n{said}");
    // The tone goes on elsewhere after the hold, so before and after are measured apart.
    let heard = alice.samples();
    let whole = tone::listen(&heard, 660.0);
    assert!(whole.seconds > 8.0, "{whole:?}\n{said}");
    for part in [&heard[8_000..24_000], &heard[heard.len() - 24_000..heard.len() - 8_000]] {
        let part = tone::listen(part, 660.0);
        assert!(part.seconds > 1.8 && part.purity > 0.9, "{part:?}\n{said}");
    }
    daemon.assert_healthy();
}

/// Rows 155 to 158: a browser is called by a desk phone: it is offered what it needs, because it registered over a
/// WebSocket. It speaks Opus, which is converted.
#[test]
fn row_155_a_browser_is_called_by_a_desk_phone() {
    let office = Office::new(&[]);
    let daemon = &office.daemon;
    let mut bob = office.browser(1, 660, 0, &["codec=opus"]);
    office.wait_for_phones(1);
    let dial = format!("/dial sip:1002@127.0.0.1:{}", daemon.port);
    let mut alice = start(daemon, SECRETS[0], 440.0, STAYS, "answermode=manual", Some(&dial));
    alice.child.wait().unwrap();
    bob.wait();
    let (shown, said) = (office.shown(), bob.said());
    assert_eq!(shown["cause"], "normal", "{shown}\n{said}");
    assert!(by_dtls(&shown, 1) && shown["legs"][0]["srtp"] == "", "{shown}");
    for heard in [bob.listen(440.0), tone::listen(&alice.heard(), 660.0)] {
        assert!(heard.seconds > f64::from(STAYS) - 2.5, "{heard:?}\n{said}");
        assert!(heard.purity > 0.9, "{heard:?}");
    }
    daemon.assert_healthy();
}

/// Row 155: two browsers: each leg has keys of its own, and what passes between them is decrypted in between.
#[test]
fn row_155_two_browsers_talk() {
    let office = Office::new(&[]);
    let mut bob = office.browser(1, 660, 0, &["codec=opus"]);
    office.wait_for_phones(1);
    let mut alice = office.browser(0, 440, 5, &["1002", "codec=opus"]);
    alice.wait();
    bob.wait();
    let shown = office.shown();
    assert_eq!(shown["cause"], "normal", "{shown}\n{}\n{}", alice.said(), bob.said());
    assert!(by_dtls(&shown, 0) && by_dtls(&shown, 1), "{shown}");
    for heard in [bob.listen(440.0), alice.listen(660.0)] {
        assert!(heard.seconds > 3.5 && heard.purity > 0.9, "{heard:?}");
    }
    office.daemon.assert_healthy();
}

/// Row 155: a certificate that is not the one of the description ends the call, whichever side has it, and says why.
#[test]
fn row_155_a_browser_with_a_wrong_fingerprint_is_not_heard() {
    let office = Office::new(&[]);
    let daemon = &office.daemon;
    let bob = start(daemon, SECRETS[1], 660.0, 30, "answermode=auto", None);
    office.wait_for_phones(1);
    let mut alice = office.browser(0, 440, 8, &["1002", "wrong"]);
    let shown = office.shown();
    alice.wait();
    assert_eq!(shown["cause"], "dtls_failed", "{shown}\n{}", alice.said());
    let story = shown["timeline"].to_string();
    assert!(story.contains("certificate is not the one"), "{story}");
    assert!(alice.said().contains("hung up on"), "{}", alice.said());
    drop(bob);
    daemon.assert_healthy();
}

/// Row 157: a client with ICE and keys in the description calls one without.
#[test]
fn row_157_a_baresip_client_finds_its_way_by_ice() {
    let office = Office::new(&[]);
    let daemon = &office.daemon;
    let way = Way { settings: "module ice.so\nmodule srtp.so\n", ..Way::plain(daemon.port) };
    let bob = start(daemon, SECRETS[1], 660.0, STAYS + 6, "answermode=auto", None);
    office.wait_for_phones(1);
    let dial = format!("/dial sip:1002@127.0.0.1:{}", daemon.port);
    let account = "answermode=manual;medianat=ice;mediaenc=srtp-mand";
    let alice = start_by(&way, daemon, SECRETS[0], (440.0, STAYS), account, Some(&dial));
    assert_talked(daemon, alice, bob);
    let shown = office.shown();
    assert_eq!(shown["legs"][0]["srtp"], "AES_CM_128_HMAC_SHA1_80", "{shown}");
}
