//! A real recogniser writes down what two synthetic voices say to each other.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::live::daemon::{Daemon, SECRETS};
use crate::live::phone::Phone;
use crate::live::tone;
use crate::programs;

/// pocketsphinx behind the WebSocket of vosk-server; see recogniser.py.
struct Recogniser {
    child: Child,
    port: u16,
}

impl Recogniser {
    fn start() -> Self {
        // Beside the programs: target/debug/deps/…, target/recogniser.
        let own = std::env::current_exe().unwrap();
        let venv = own.ancestors().map(|folder| folder.join("recogniser/bin/python"));
        let python =
            venv.into_iter().find(|path| path.exists()).unwrap_or(PathBuf::from("python3"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/recogniser.py");
        let mut child =
            Command::new(python).arg(script).stdout(Stdio::piped()).spawn().expect("python");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse();
        Self { child, port: port.expect("pocketsphinx and websockets are needed (PyPI)") }
    }
}

impl Drop for Recogniser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Frames of PCMU for a phone to send: what espeak-ng says, with silence before and after.
fn voice(words: &str) -> Vec<Vec<u8>> {
    let spoken = Command::new("espeak-ng")
        .args(["-v", "en-us", "-s", "150", "--stdout", words])
        .output()
        .expect("espeak-ng");
    let mut sox = Command::new("sox")
        .args([
            "-t",
            "wav",
            "--ignore-length",
            "-",
            "-r",
            "8000",
            "-c",
            "1",
            "-e",
            "u-law",
            "-t",
            "raw",
            "-",
        ])
        .args(["pad", "1", "2.5"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sox");
    let mut stdin = sox.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        let _ = std::io::Write::write_all(&mut stdin, &spoken.stdout);
    });
    let raw = sox.wait_with_output().unwrap().stdout;
    writing.join().unwrap();
    assert!(raw.len() > 8_000 * 4, "{} bytes of speech", raw.len());
    raw.chunks(tone::FRAME)
        .map(|frame| {
            let mut frame = frame.to_vec();
            frame.resize(tone::FRAME, tone::encode(0));
            frame
        })
        .collect()
}

fn events(daemon: &Daemon, kind: &str) -> Vec<Value> {
    let output = daemon.run(&["events", "--since", "0", "--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    events
        .filter(|event| event["params"]["kind"] == kind)
        .map(|event| event["params"]["fields"].clone())
        .collect()
}

/// What a side has said so far.
fn written(daemon: &Daemon, side: &str) -> Vec<String> {
    let finals = events(daemon, "transcript.final");
    let ours = finals.iter().filter(|event| event["side"] == side);
    let words = ours.flat_map(|event| event["text"].as_str().unwrap().split(' '));
    words.map(str::to_owned).collect()
}

/// Are these words among the others, in this order?
fn has(words: &[String], wanted: &[&str]) -> bool {
    let mut words = words.iter();
    wanted.iter().all(|wanted| words.any(|word| word == wanted))
}

/// Live transcription (rows 233 and 234 of the manual): each speaker by a stream of its own, partial results while it is spoken,
/// the words and when they were said; and the recogniser's death costs the transcript, not the call.
#[test]
fn a_recogniser_writes_down_what_both_sides_say() {
    let mut recogniser = Recogniser::start();
    let settings = format!(
        "[speech]\nasr = \"vosk\"\nasr_url = \"ws://127.0.0.1:{}\"\nhot_words = \"words.txt\"\n",
        recogniser.port
    );
    let words = "zero\none|9\ntwo|9\nthree\n";
    let daemon = Daemon::start(programs(), &[("tandem.toml", &settings), ("words.txt", words)]);
    let [mut alice, mut bob] =
        [0, 1].map(|n| Phone::new(SECRETS[n].0, SECRETS[n].1, daemon.address()));
    alice.register();
    bob.register();
    let mut a = alice.invite("1002");
    let b = bob.answer();
    alice.answered(&mut a);
    let call = daemon.ask(&["calls"])[0]["id"].as_str().unwrap().to_owned();
    assert!(daemon.run(&["call", "transcribe", &call, "on"]).status.success());
    let (of_alice, of_bob) = (voice("one, two, three."), voice("three."));
    let packets = of_alice.len().max(of_bob.len());
    let silent = vec![tone::encode(0); tone::FRAME];
    let at = |voice: &[Vec<u8>], turn| voice.get(turn).unwrap_or(&silent).clone();
    std::thread::scope(|scope| {
        scope.spawn(|| alice.speak(&a, packets, |turn, _| at(&of_alice, turn)));
        bob.speak(&b, packets, |turn, _| at(&of_bob, turn));
    });
    daemon.wait_for("the transcript", |daemon| {
        has(&written(daemon, "a"), &["one", "two", "three"])
            && has(&written(daemon, "b"), &["three"])
    });
    let partials = events(&daemon, "transcript.partial");
    for side in ["a", "b"] {
        assert!(partials.iter().any(|event| event["side"] == side), "{partials:?}");
    }
    for said in events(&daemon, "transcript.final") {
        let (start, end) = (said["start"].as_f64().unwrap(), said["end"].as_f64().unwrap());
        assert!((0.5..3.0).contains(&start) && start < end && end < 6.0, "{said}");
        assert!(said["confidence"].is_number() && said["call"] == call.as_str(), "{said}");
    }
    // Nobody writes it down any more, and the parties talk on.
    recogniser.child.kill().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| alice.talk(&a, 440.0, 75));
        let heard = bob.talk(&b, 660.0, 75);
        assert!(tone::listen(&heard.samples, 440.0).seconds > 1.2);
    });
    daemon.wait_for("the failure", |daemon| events(daemon, "transcript.failed").len() == 2);
    daemon.run(&["call", "transcribe", &call, "off"]);
    let shown = daemon.run(&["call", "show", &call]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for kind in ["transcript.began", "transcript.failed", "transcript.ended"] {
        assert!(shown.contains(kind), "{kind}: {shown}");
    }
    std::thread::scope(|scope| {
        scope.spawn(|| bob.hung_up());
        alice.bye(&a);
    });
    assert_eq!(daemon.wait_for_records(1)[0]["cause"], "normal");
    daemon.assert_healthy();
}
