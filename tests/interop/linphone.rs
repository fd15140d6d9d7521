//! Linphone clients by TLS: they check our certificate, call, hand calls on, and offer SRTP. They take their orders from
//! standard input, play a tone from a file and record what they hear.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::live::secure::Authority;
use crate::live::tone;
use crate::programs;

/// A third phone, beside the two that every daemon of the tests has.
const THIRD: (&str, &str) = ("1003", "plover-Q2w8e-elm");
/// Linphone records with 48 kHz; tones are measured with 8.
const DECIMATION: usize = 6;

/// A daemon that three clients can reach by TLS, and who certified it.
struct Office {
    daemon: Daemon,
    tls: u16,
    folder: PathBuf,
}

impl Office {
    fn open() -> Self {
        Self::with_third("")
    }

    /// The same with a further line for the third phone.
    fn with_third(line: &str) -> Self {
        let authority = Authority::new();
        let (port, tls) = (free_port(), free_port());
        let folder =
            std::env::temp_dir().join(format!("tandem-linphone-{}-{tls}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let certificate = folder.join("pbx.pem");
        std::fs::write(&certificate, authority.certify(&["localhost"])).unwrap();
        std::fs::write(folder.join("ca.pem"), &authority.pem).unwrap();
        let listen = [format!("udp:127.0.0.1:{port}"), format!("tls:127.0.0.1:{tls}")];
        let (extension, secret) = THIRD;
        let phone =
            format!("[[phone]]\nextension = \"{extension}\"\nsecret = \"{secret}\"\n{line}\n");
        let text = format!(
            "realm = \"localhost\"\n[tls]\ncertificates = [\"{}\"]\n[recording]\ncalls = \"all\"\nfree_min_mb = 0\n",
            certificate.display()
        );
        let extra = [("tandem.toml", text.as_str()), ("phones.toml", phone.as_str())];
        let daemon = Daemon::listening(programs(), port, &listen, &extra);
        Self { daemon, tls, folder }
    }

    /// A client that plays this tone whenever it talks.
    fn client(&self, who: (&str, &str), frequency: f64, arguments: &[&str]) -> Linphone {
        let client = Linphone::start(self, who, frequency, arguments, "");
        self.wait_for_registration(who.0);
        client
    }

    fn wait_for_registration(&self, extension: &str) {
        self.daemon.wait_for("a registration", |daemon| {
            let phones = daemon.ask(&["phones"]);
            let mut rows = phones.as_array().into_iter().flatten();
            let row = rows.find(|row| row["extension"] == extension);
            row.is_some_and(|row| row["contacts"][0]["transport"] == "tls")
        });
    }

    /// Waits until so many calls talk.
    fn wait_for_talk(&self, count: usize) -> Vec<Value> {
        self.daemon.wait_for("calls that talk", |daemon| talking(daemon).len() == count);
        talking(&self.daemon)
    }

    /// Lets the one call that is left talk for so long.
    fn listen_for(&self, seconds: f64) {
        let length = |daemon: &Daemon| {
            let calls = talking(daemon);
            calls.iter().filter_map(|call| call["duration_seconds"].as_f64()).fold(0.0, f64::max)
        };
        let until = length(&self.daemon) + seconds;
        self.daemon.wait_for("some seconds of talk", |daemon| length(daemon) > until);
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn talking(daemon: &Daemon) -> Vec<Value> {
    let calls = daemon.ask(&["calls"]);
    let calls = calls.as_array().cloned().unwrap_or_default();
    calls.into_iter().filter(|call| call["state"] == "talk" || call["state"] == "hold").collect()
}

struct Linphone {
    child: Child,
    orders: ChildStdin,
    folder: PathBuf,
}

impl Linphone {
    fn start(
        office: &Office,
        (extension, secret): (&str, &str),
        frequency: f64,
        arguments: &[&str],
        settings: &str,
    ) -> Self {
        let folder = office.folder.join(extension);
        // It does not start without a folder for its database.
        std::fs::create_dir_all(folder.join(".local/share/linphone")).unwrap();
        std::fs::create_dir_all(folder.join(".config/linphone")).unwrap();
        std::fs::write(folder.join("tone.wav"), tone::write_wav(frequency, 60)).unwrap();
        let mut text = String::from("[sip]\n");
        for line in ["sip_port=-1", "sip_tcp_port=-1", "sip_tls_port=-1", "default_proxy=0"] {
            writeln!(text, "{line}").unwrap();
        }
        let ca = office.folder.join("ca.pem");
        writeln!(text, "verify_server_certs=1\nverify_server_cn=1\nroot_ca={}", ca.display())
            .unwrap();
        writeln!(text, "{settings}\n[net]\nmtu=1300\n[rtp]\naudio_rtp_port=-1").unwrap();
        writeln!(text, "[video]\nenabled=0\nautomatically_initiate=0\nautomatically_accept=0")
            .unwrap();
        writeln!(text, "[proxy_0]\nreg_proxy=<sip:localhost:{};transport=tls>", office.tls)
            .unwrap();
        writeln!(text, "reg_identity=<sip:{extension}@localhost>\nreg_expires=300").unwrap();
        writeln!(text, "reg_sendregister=1\npublish=0").unwrap();
        writeln!(text, "[auth_info_0]\nusername={extension}\npasswd={secret}\nrealm=localhost")
            .unwrap();
        std::fs::write(folder.join("linphonerc"), text).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut child = Command::new("linphonec")
            .args(arguments)
            .args(["-d", "2", "-c"])
            .arg(folder.join("linphonerc"))
            .env("HOME", &folder)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("linphonec is needed (Debian: linphone-cli)");
        let orders = child.stdin.take().unwrap();
        let mut client = Self { child, orders, folder };
        client.order("soundcard use files");
        client.order(&format!("play {}", client.folder.join("tone.wav").display()));
        client.order(&format!("record {}", client.folder.join("heard.wav").display()));
        client
    }

    fn order(&mut self, line: &str) {
        writeln!(self.orders, "{line}").unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Ends it, so that its log is whole.
    fn quit(&mut self) {
        self.order("quit");
        self.child.wait().unwrap();
    }

    /// Ends it; what it heard in its last call.
    fn heard(&mut self) -> Vec<i16> {
        self.quit();
        let file = std::fs::read(self.folder.join("heard.wav"));
        let samples =
            tone::read_wav(&file.unwrap_or_else(|_| panic!("nothing heard\n{}", self.log())));
        samples.into_iter().step_by(DECIMATION).collect()
    }
}

impl Drop for Linphone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn assert_hears(who: &mut Linphone, frequency: f64, at_least: f64) {
    let heard = tone::listen(&who.heard(), frequency);
    assert!(heard.seconds > at_least, "{frequency} Hz: {heard:?}\n{}", who.log());
    assert!(heard.longest_gap_ms < 60.0, "{frequency} Hz: {heard:?}");
}

/// Rows 41, 43, 63, 165: two clients register by TLS with GRUUs, check our certificate, talk, and are recorded.
#[test]
fn two_linphones_talk_by_tls() {
    let office = Office::open();
    let mut bob = office.client(SECRETS[1], 660.0, &["-a"]);
    let mut alice = office.client(SECRETS[0], 440.0, &[]);
    alice.order("call sip:1002@localhost");
    office.wait_for_talk(1);
    office.listen_for(4.0);
    alice.order("terminate");
    let records = office.daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "normal", "{records:?}");
    assert_hears(&mut bob, 440.0, 3.0);
    assert_hears(&mut alice, 660.0, 3.0);
    assert_recorded(&office.daemon, 440.0, 660.0, 3.0);
    office.daemon.assert_healthy();
}

/// The only recording, of Opus, has one tone left and one right.
fn assert_recorded(daemon: &Daemon, left: f64, right: f64, at_least: f64) {
    daemon.wait_for("a recording", |daemon| daemon.ask(&["recordings"])[0]["state"] == "done");
    let row = daemon.ask(&["recordings"])[0].clone();
    let file = std::fs::read(row["file"].as_str().unwrap()).unwrap();
    assert_eq!(u32::from_le_bytes(file[24..28].try_into().unwrap()), 16_000, "samples a second");
    let samples: Vec<i16> =
        file[44..].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    for (side, frequency) in [(0, left), (1, right)] {
        // Every second frame: tones are measured with 8 kHz.
        let track: Vec<i16> = samples.iter().skip(side).step_by(4).copied().collect();
        let heard = tone::listen(&track, frequency);
        assert!(heard.seconds > at_least && heard.longest_gap_ms < 60.0, "{frequency}: {heard:?}");
    }
}

/// Rows 120, 122: 1001 talks to 1002, holds it, asks 1003, and connects the two.
#[test]
fn a_linphone_connects_two_others() {
    let office = Office::open();
    let mut bob = office.client(SECRETS[1], 660.0, &["-a"]);
    let mut carol = office.client(THIRD, 880.0, &["-a"]);
    let mut alice = office.client(SECRETS[0], 440.0, &[]);
    alice.order("call sip:1002@localhost");
    office.wait_for_talk(1);
    // It holds no call whose streams do not run yet, and dials nobody before its hold is answered.
    office.listen_for(1.0);
    alice.order("pause 1");
    office
        .daemon
        .wait_for("the hold", |daemon| daemon.ask(&["calls"]).to_string().contains("hold"));
    alice.order("call sip:1003@localhost");
    office.wait_for_talk(2);
    office.listen_for(1.0);
    alice.order("transfer 1 --to-call 2");
    office.wait_for_talk(1);
    office.listen_for(4.0);
    bob.order("terminate");
    let records = office.daemon.wait_for_records(2);
    assert!(
        records
            .iter()
            .all(|record| record["cause"] == "normal" || record["cause"] == "transferred"),
        "{records:?}"
    );
    assert_hears(&mut bob, 880.0, 3.0);
    assert_hears(&mut carol, 660.0, 3.0);
    office.daemon.assert_healthy();
}

/// Row 122: 1001 connects 1002, whom it holds, with 1003, who still rings, and hangs up nothing itself.
#[test]
fn a_linphone_connects_another_with_one_that_rings() {
    let office = Office::open();
    let mut bob = office.client(SECRETS[1], 660.0, &["-a"]);
    let mut carol = office.client(THIRD, 880.0, &[]);
    let mut alice = office.client(SECRETS[0], 440.0, &[]);
    alice.order("call sip:1002@localhost");
    office.wait_for_talk(1);
    office.listen_for(1.0);
    alice.order("pause 1");
    office
        .daemon
        .wait_for("the hold", |daemon| daemon.ask(&["calls"]).to_string().contains("hold"));
    // It hands nobody over before it has heard that the other one rings.
    let before = alice.log().len();
    alice.order("call sip:1003@localhost");
    let rings =
        |_: &Daemon| alice.log().get(before..).is_some_and(|log| log.contains("SIP/2.0 180"));
    office.daemon.wait_for("the other one to ring", rings);
    alice.order("transfer 1 --to-call 2");
    // One call is left, and it rings 1003 for 1002.
    let records = office.daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "transferred", "{records:?}");
    office.daemon.wait_for("1003 to ring again", |_| carol.log().contains("assigned id 2"));
    carol.order("answer");
    office.wait_for_talk(1);
    office.listen_for(4.0);
    bob.order("terminate");
    let records = office.daemon.wait_for_records(2);
    assert!(records.iter().any(|record| record["cause"] == "normal"), "{records:?}");
    assert_hears(&mut bob, 880.0, 3.0);
    assert_hears(&mut carol, 660.0, 3.0);
    office.daemon.assert_healthy();
}

/// A client that insists on SRTP, in its own offers and in those of others.
const INSISTS: &str = "media_encryption=srtp\nmedia_encryption_mandatory=1";

/// What each leg of a record was encrypted by, in the order of the legs.
fn suites(record: &Value) -> Vec<String> {
    let legs = record["legs"].as_array().cloned().unwrap_or_default();
    legs.iter().map(|leg| leg["srtp"].as_str().unwrap_or("?").to_owned()).collect()
}

/// Row 154: a client that insists on SRTP is heard by one that has none, and hears it, by each suite that this client has.
#[test]
fn row_154_a_linphone_that_insists_on_srtp_is_taken() {
    for suite in ["AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"] {
        let office = Office::open();
        let mut bob = office.client(SECRETS[1], 660.0, &["-a"]);
        let settings = format!("{INSISTS}\nsrtp_crypto_suites={suite}");
        let mut alice = Linphone::start(&office, SECRETS[0], 440.0, &[], &settings);
        office.wait_for_registration(SECRETS[0].0);
        alice.order("call sip:1002@localhost");
        let live = office.wait_for_talk(1);
        let id = live[0]["id"].as_str().unwrap_or_default().to_owned();
        let shown = office.daemon.ask(&["call", "show", &id]);
        assert_eq!(suites(&shown), [suite, ""], "{shown}");
        office.listen_for(4.0);
        alice.order("terminate");
        let records = office.daemon.wait_for_records(1);
        assert_eq!(records[0]["cause"], "normal", "{records:?}");
        assert_hears(&mut bob, 440.0, 3.0);
        assert_hears(&mut alice, 660.0, 3.0);
        assert!(alice.log().contains("RTP/SAVP"), "{}", alice.log());
        assert!(!bob.log().contains("RTP/SAVP"), "{}", bob.log());
        office.daemon.assert_healthy();
    }
}

/// Rows 153, 154: who must encrypt is called with keys, holds and is held, and both tones go on afterwards.
#[test]
fn row_153_a_linphone_that_must_encrypt_is_held_and_resumed() {
    let office = Office::with_third("srtp = \"required\"");
    let mut carol = Linphone::start(&office, THIRD, 880.0, &["-a"], INSISTS);
    office.wait_for_registration(THIRD.0);
    let mut alice = office.client(SECRETS[0], 440.0, &[]);
    alice.order("call sip:1003@localhost");
    office.wait_for_talk(1);
    office.listen_for(2.0);
    for (who, first, then) in [(0, "pause 1", "resume 1"), (1, "pause 1", "resume 1")] {
        let client = if who == 0 { &mut alice } else { &mut carol };
        client.order(first);
        let is = |word: &'static str| {
            move |daemon: &Daemon| daemon.ask(&["calls"]).to_string().contains(word)
        };
        office.daemon.wait_for("the hold", is("hold"));
        // It resumes no call whose hold is not answered yet.
        office.listen_for(1.0);
        client.order(then);
        office.daemon.wait_for("the resume", is("talk"));
        office.listen_for(2.0);
    }
    alice.order("terminate");
    let records = office.daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "normal", "{records:?}");
    let id = records[0]["call"].as_str().unwrap_or_default().to_owned();
    let shown = office.daemon.ask(&["call", "show", &id]);
    assert_eq!(suites(&shown), ["", "AES_CM_128_HMAC_SHA1_80"], "{shown}");
    for (who, frequency) in [(&mut carol, 440.0), (&mut alice, 880.0)] {
        let heard = tone::listen(&who.heard(), frequency);
        assert!(heard.seconds > 4.5, "{frequency} Hz: {heard:?}\n{}", who.log());
    }
    assert!(unauthentic(&shown) <= OVERTAKEN_MAX, "{shown}");
    office.daemon.assert_healthy();
}

/// Packets that came under no key that we knew yet. A client that answers a re-INVITE with a new key uses it at once, and its audio may
/// be here before its answer is.
fn unauthentic(shown: &Value) -> u64 {
    let story = shown["timeline"].as_array().into_iter().flatten();
    let lines = story.filter(|line| line["what"] == "media.unauthentic");
    let counts =
        lines.filter_map(|line| line["text"].as_str()?.split(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

/// What of that a few re-INVITEs on a busy machine explain; a key that is wrong would be hundreds.
const OVERTAKEN_MAX: u64 = 10;

/// Row 154: a client without SRTP connects one that has none with one that insists.
#[test]
fn row_154_a_plain_linphone_is_connected_with_one_that_must_encrypt() {
    let office = Office::with_third("srtp = \"required\"");
    let mut bob = office.client(SECRETS[1], 660.0, &["-a"]);
    let mut carol = Linphone::start(&office, THIRD, 880.0, &["-a"], INSISTS);
    office.wait_for_registration(THIRD.0);
    let mut alice = office.client(SECRETS[0], 440.0, &[]);
    alice.order("call sip:1002@localhost");
    office.wait_for_talk(1);
    office.listen_for(1.0);
    alice.order("pause 1");
    office
        .daemon
        .wait_for("the hold", |daemon| daemon.ask(&["calls"]).to_string().contains("hold"));
    alice.order("call sip:1003@localhost");
    office.wait_for_talk(2);
    office.listen_for(1.0);
    alice.order("transfer 1 --to-call 2");
    office.wait_for_talk(1);
    office.listen_for(4.0);
    bob.order("terminate");
    office.daemon.wait_for_records(2);
    assert_hears(&mut bob, 880.0, 3.0);
    assert_hears(&mut carol, 660.0, 3.0);
    office.daemon.assert_healthy();
}

/// Row 154: keys beside RTP/AVP (RFC 8643) do no harm to a client that knows them only beside RTP/SAVP.
#[test]
fn row_154_a_linphone_that_passes_keys_over_talks_all_the_same() {
    let office = Office::open();
    let mut bob = Linphone::start(&office, SECRETS[1], 660.0, &["-a"], "media_encryption=srtp");
    office.wait_for_registration(SECRETS[1].0);
    let mut alice = office.client(SECRETS[0], 440.0, &[]);
    alice.order("call sip:1002@localhost");
    office.wait_for_talk(1);
    office.listen_for(4.0);
    alice.order("terminate");
    office.daemon.wait_for_records(1);
    assert_hears(&mut bob, 440.0, 3.0);
    assert_hears(&mut alice, 660.0, 3.0);
    assert!(bob.log().contains("a=crypto:4 AEAD_AES_256_GCM"), "it was offered keys by TLS");
    office.daemon.assert_healthy();
}
