//! baresip clients register, talk and hand calls on; each one's tone is measured in the others' recordings.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::live::secure::Authority;
use crate::live::tone;
use crate::programs;

/// How long the caller stays on the line, in seconds of its own clock.
pub(crate) const STAYS: u32 = 6;

pub(crate) struct Baresip {
    pub(crate) child: Child,
    folder: PathBuf,
    /// Where it takes commands.
    control: u16,
}

fn modules() -> PathBuf {
    let known = [
        "/usr/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/local/lib/baresip/modules",
    ];
    known
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.join("g711.so").exists())
        .expect("baresip is needed (Debian: baresip-core)")
}

/// Two ports in a row: baresip takes the one behind its SIP port for TLS.
fn two_ports() -> u16 {
    loop {
        let port = free_port();
        if port < u16::MAX && std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

/// How a client reaches the daemon: the port, what its address says of the transport, and further settings.
pub(crate) struct Way<'a> {
    pub(crate) port: u16,
    pub(crate) transport: &'a str,
    pub(crate) settings: &'a str,
    /// The daemon's address, and the client's own.
    pub(crate) server: &'a str,
    pub(crate) own: &'a str,
    /// The network namespace that the client lives in.
    pub(crate) netns: Option<&'a str>,
}

impl Way<'_> {
    /// Datagrams on the loopback.
    pub(crate) const fn plain(port: u16) -> Self {
        let (server, own) = ("127.0.0.1", "127.0.0.1");
        Self { port, transport: "", settings: "", server, own, netns: None }
    }
}

pub(crate) fn start(
    daemon: &Daemon,
    who: (&str, &str),
    frequency: f64,
    stays: u32,
    account: &str,
    command: Option<&str>,
) -> Baresip {
    start_by(&Way::plain(daemon.port), daemon, who, (frequency, stays), account, command)
}

pub(crate) fn start_by(
    way: &Way<'_>,
    daemon: &Daemon,
    (extension, secret): (&str, &str),
    (frequency, stays): (f64, u32),
    account: &str,
    command: Option<&str>,
) -> Baresip {
    let folder = daemon.dir.join(format!("baresip-{extension}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("tone.wav"), tone::write_wav(frequency, 20)).unwrap();
    std::fs::create_dir_all(folder.join("heard")).unwrap();
    let control = free_port();
    let base = 10_000 + (free_port() % 4000) * 2;
    let show = |path: &Path| path.display().to_string();
    let config = format!(
        "poll_method epoll\nsip_listen {}:{}\naudio_player aubridge,nil\naudio_source aufile,{}\naudio_alert aubridge,nil\nausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\nrtp_ports {base}-{}\nmodule_path {}\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nmodule_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{control}\nsnd_path {}\n{}",
        way.own,
        two_ports(),
        show(&folder.join("tone.wav")),
        base + 100,
        show(&modules()),
        show(&folder.join("heard")),
        way.settings,
    );
    std::fs::write(folder.join("config"), config).unwrap();
    let codecs = if account.contains("audio_codecs=") { "" } else { "audio_codecs=pcmu;" };
    let account = format!(
        "<sip:{extension}@{}:{}{}>;auth_user={extension};auth_pass={secret};regint=120;{codecs}{account}\n",
        way.server, way.port, way.transport
    );
    std::fs::write(folder.join("accounts"), account).unwrap();
    std::fs::write(folder.join("contacts"), "").unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut program = match way.netns {
        None => Command::new("baresip"),
        Some(name) => {
            let mut program = Command::new("ip");
            program.args(["netns", "exec", name, "baresip"]);
            program
        }
    };
    program.arg("-f").arg(&folder).args(["-t", &stays.to_string()]);
    if let Some(command) = command {
        program.args(["-e", command]);
    }
    let child = program
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("baresip is needed (Debian: baresip-core)");
    Baresip { child, folder, control }
}

impl Baresip {
    /// Gives it a command, as a JSON object in a netstring.
    pub(crate) fn command(&self, command: &str, params: &str) {
        let text = format!("{{\"command\":\"{command}\",\"params\":\"{params}\"}}");
        let mut connection = TcpStream::connect(("127.0.0.1", self.control)).unwrap();
        write!(connection, "{}:{text},", text.len()).unwrap();
    }

    /// What it decoded, from the file that its recorder wrote.
    pub(crate) fn heard(&self) -> Vec<i16> {
        let files = std::fs::read_dir(self.folder.join("heard")).unwrap();
        let file = files
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().ends_with("-dec.wav"));
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let file = file.unwrap_or_else(|| panic!("nothing recorded\n{log}"));
        tone::read_wav(&std::fs::read(file).unwrap())
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// 1002 waits, 1001 calls and hangs up: each has heard the other's tone without gaps.
pub(crate) fn assert_talked(daemon: &Daemon, mut alice: Baresip, mut bob: Baresip) {
    alice.child.wait().unwrap();
    let records = daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "normal", "{records:?}");
    let _ = bob.child.kill();
    let _ = bob.child.wait();
    for (who, frequency) in [(&bob, 440.0), (&alice, 660.0)] {
        let heard = tone::listen(&who.heard(), frequency);
        assert!(heard.seconds > f64::from(STAYS) - 2.0, "{frequency} Hz: {heard:?}");
        assert!(heard.longest_gap_ms < 40.0, "{frequency} Hz: {heard:?}");
        assert!(heard.purity > 0.9, "{frequency} Hz: {heard:?}");
    }
    daemon.assert_healthy();
}

#[test]
fn two_baresip_clients_hear_each_other_without_gaps() {
    let daemon = Daemon::start(programs(), &[]);
    let bob = start(&daemon, SECRETS[1], 660.0, STAYS + 6, "answermode=auto", None);
    daemon.wait_for("1002 to register", |daemon| daemon.ask(&["status"])["phones_registered"] == 1);
    let dial = format!("/dial sip:1002@127.0.0.1:{}", daemon.port);
    let alice = start(&daemon, SECRETS[0], 440.0, STAYS, "answermode=manual", Some(&dial));
    assert_talked(&daemon, alice, bob);
}

/// Rows 41, 43: both register by TLS, check our certificate, and are called on the connections that they made.
#[test]
fn two_baresip_clients_talk_by_tls() {
    talk_by_tls("", ["", ""]);
}

/// Row 154: by TLS a client is offered keys beside RTP/AVP (RFC 8643), and takes them if it can.
#[test]
fn row_154_a_baresip_client_is_offered_keys_by_tls() {
    let suite = "AES_CM_128_HMAC_SHA1_80";
    talk_by_tls(";mediaenc=srtp", [suite, suite]);
}

/// What each leg of the only record was encrypted by.
fn suites(daemon: &Daemon) -> Vec<String> {
    let records = daemon.wait_for_records(1);
    let id = records[0]["call"].as_str().unwrap_or_default().to_owned();
    let shown = daemon.ask(&["call", "show", &id]);
    let legs = shown["legs"].as_array().cloned().unwrap_or_default();
    legs.iter().map(|leg| leg["srtp"].as_str().unwrap_or("?").to_owned()).collect()
}

fn talk_by_tls(encryption: &str, expected: [&str; 2]) {
    let authority = Authority::new();
    let (port, tls) = (free_port(), free_port());
    let folder = std::env::temp_dir().join(format!("tandem-baresip-{}-{tls}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, ca) = (folder.join("pbx.pem"), folder.join("ca.pem"));
    std::fs::write(&certificate, authority.certify(&["127.0.0.1"])).unwrap();
    std::fs::write(&ca, &authority.pem).unwrap();
    let listen = [format!("udp:127.0.0.1:{port}"), format!("tls:127.0.0.1:{tls}")];
    let text = format!("[tls]\ncertificates = [\"{}\"]\n", certificate.display());
    let daemon = Daemon::listening(programs(), port, &listen, &[("tandem.toml", &text)]);
    let settings = format!("sip_cafile {}\nsip_verify_server yes\nmodule srtp.so\n", ca.display());
    let way = Way { transport: ";transport=tls", settings: &settings, ..Way::plain(tls) };
    let start =
        |who, tone, account: &str, command| start_by(&way, &daemon, who, tone, account, command);
    let account = |mode: &str| format!("answermode={mode}{encryption}");
    let bob = start(SECRETS[1], (660.0, STAYS + 6), &account("auto"), None);
    daemon.wait_for("1002 to register", |daemon| daemon.ask(&["status"])["phones_registered"] == 1);
    assert_eq!(daemon.ask(&["phones"])[1]["contacts"][0]["transport"], "tls");
    let dial = format!("/dial sip:1002@127.0.0.1:{tls};transport=tls");
    let alice = start(SECRETS[0], (440.0, STAYS), &account("manual"), Some(&dial));
    assert_talked(&daemon, alice, bob);
    assert_eq!(suites(&daemon), expected);
    std::fs::remove_dir_all(folder).unwrap();
}

/// 1001 calls 1002 and hands it to 1003: 1002 hears one tone and then the other, 1003 hears 1002, and 1001 is
/// out of it.
#[test]
fn a_baresip_client_hands_its_call_to_a_third_one() {
    let third = ("1003", "plover-Q2w8e-elm");
    let phone = format!(
        "[[phone]]\nextension = \"{}\"\nname = \"Third\"\nsecret = \"{}\"\n",
        third.0, third.1
    );
    let daemon = Daemon::start(programs(), &[("phones.toml", &phone)]);
    let mut bob = start(&daemon, SECRETS[1], 660.0, 30, "answermode=auto", None);
    let mut carol = start(&daemon, third, 880.0, 10, "answermode=auto", None);
    daemon.wait_for("both to register", |daemon| daemon.ask(&["status"])["phones_registered"] == 2);
    let dial = format!("/dial sip:1002@127.0.0.1:{}", daemon.port);
    let alice = start(&daemon, SECRETS[0], 440.0, 30, "answermode=manual", Some(&dial));
    daemon
        .wait_for("an answered call", |daemon| daemon.ask(&["calls"]).to_string().contains("talk"));
    daemon.wait_for("two seconds of it", |daemon| {
        daemon.ask(&["calls"])[0]["duration_seconds"].as_f64().unwrap_or_default() > 2.0
    });
    alice.command("transfer", &format!("sip:1003@127.0.0.1:{}", daemon.port));
    // 1003 leaves when its time is up, and so ends the call.
    carol.child.wait().unwrap();
    let records = daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "normal", "{records:?}");
    let _ = bob.child.kill();
    let _ = bob.child.wait();
    let by_bob = bob.heard();
    for (heard, frequency) in
        [(tone::listen(&by_bob, 880.0), 880.0), (tone::listen(&carol.heard(), 660.0), 660.0)]
    {
        assert!(heard.seconds > 3.0, "{frequency} Hz: {heard:?}");
        assert!(heard.longest_gap_ms < 40.0, "{frequency} Hz: {heard:?}");
        assert!(heard.purity > 0.9, "{frequency} Hz: {heard:?}");
    }
    assert!(tone::listen(&by_bob, 440.0).seconds > 1.0, "it heard 1001 before");
    daemon.assert_healthy();
}

/// Row 154: clients that insist on SRTP, or would like it, or have none, all hear each other.
#[test]
fn row_154_a_baresip_client_that_encrypts_talks_to_any_other() {
    let third = ("1003", "plover-Q2w8e-elm");
    let phone = format!(
        "[[phone]]\nextension = \"{}\"\nsecret = \"{}\"\nsrtp = \"required\"\n",
        third.0, third.1
    );
    let suite = "AES_CM_128_HMAC_SHA1_80";
    for (caller, called, callee, expected) in [
        ("srtp-mand", "", SECRETS[1], [suite, ""]),
        ("srtp", "", SECRETS[1], [suite, ""]),
        ("", "srtp-mand", third, ["", suite]),
        ("srtp-mand", "srtp-mand", third, [suite, suite]),
    ] {
        let daemon = Daemon::start(programs(), &[("phones.toml", &phone)]);
        let way = Way { settings: "module srtp.so\n", ..Way::plain(daemon.port) };
        let account = |mode: &str, word: &str| {
            let enc = if word.is_empty() { String::new() } else { format!(";mediaenc={word}") };
            format!("answermode={mode}{enc}")
        };
        let waits = account("auto", called);
        let bob = start_by(&way, &daemon, callee, (660.0, STAYS + 6), &waits, None);
        daemon.wait_for("the called one to register", |daemon| {
            daemon.ask(&["status"])["phones_registered"] == 1
        });
        let dial = format!("/dial sip:{}@127.0.0.1:{}", callee.0, daemon.port);
        let calls = account("manual", caller);
        let alice = start_by(&way, &daemon, SECRETS[0], (440.0, STAYS), &calls, Some(&dial));
        assert_talked(&daemon, alice, bob);
        assert_eq!(suites(&daemon), expected, "{caller} {called}");
    }
}

/// Three real clients in a room, each of which hears the two others: in G.711 and in G.722, which is mixed at 16 kHz.
#[test]
fn three_baresip_clients_talk_in_a_room() {
    let third = ("1003", "plover-Q2w8e-elm");
    let phone = format!("[[phone]]\nextension = \"{}\"\nsecret = \"{}\"\n", third.0, third.1);
    let room = "[[room]]\nnumber = \"800\"\n";
    let daemon = Daemon::start(programs(), &[("phones.toml", &phone), ("rooms.toml", room)]);
    let way = Way { settings: "module g722.so\n", ..Way::plain(daemon.port) };
    let dial = format!("/dial sip:800@127.0.0.1:{}", daemon.port);
    let voices = [(SECRETS[0], 440.0, "pcmu"), (SECRETS[1], 660.0, "pcma"), (third, 880.0, "g722")];
    let mut clients = voices.map(|(who, frequency, codec)| {
        let account = format!("answermode=manual;audio_codecs={codec}/8000");
        start_by(&way, &daemon, who, (frequency, 14), &account, Some(&dial))
    });
    daemon.wait_for("three are in the room", |daemon| daemon.ask(&["rooms"])[0]["members"] == 3);
    for client in &mut clients {
        client.child.wait().unwrap();
    }
    let records = daemon.wait_for_records(3);
    assert!(records.iter().all(|record| record["cause"] == "normal"), "{records:?}");
    for (client, (who, own, _)) in clients.iter().zip(voices) {
        let heard = client.heard();
        // All three were there in the middle of it.
        let middle = heard.len() / 2;
        let middle = &heard[middle.saturating_sub(4_000)..(middle + 4_000).min(heard.len())];
        for (_, frequency, _) in voices {
            let purity = tone::purity(middle, frequency);
            let is_right = if frequency == own { purity < 0.05 } else { purity > 0.3 };
            assert!(is_right, "{}: {frequency} Hz: {purity}", who.0);
        }
    }
    daemon.assert_healthy();
}
