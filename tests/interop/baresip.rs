//! Two baresip clients register and talk; each one's tone is measured in the other's recording.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::live::tone;
use crate::programs;

/// How long the caller stays on the line, in seconds of its own clock.
const STAYS: u32 = 6;

struct Baresip {
    child: Child,
    folder: PathBuf,
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

fn start(
    daemon: &Daemon,
    which: usize,
    frequency: f64,
    stays: u32,
    account: &str,
    command: Option<&str>,
) -> Baresip {
    let (extension, secret) = SECRETS[which];
    let folder = daemon.dir.join(format!("baresip-{extension}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("tone.wav"), tone::write_wav(frequency, 20)).unwrap();
    std::fs::create_dir_all(folder.join("heard")).unwrap();
    let base = 10_000 + (free_port() % 4000) * 2;
    let show = |path: &Path| path.display().to_string();
    let config = format!(
        "poll_method epoll\nsip_listen 127.0.0.1:{}\naudio_player aubridge,nil\naudio_source aufile,{}\naudio_alert aubridge,nil\nausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\nrtp_ports {base}-{}\nmodule_path {}\nmodule g711.so\nmodule aufile.so\nmodule aubridge.so\nmodule sndfile.so\nmodule_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nsnd_path {}\n",
        two_ports(),
        show(&folder.join("tone.wav")),
        base + 100,
        show(&modules()),
        show(&folder.join("heard")),
    );
    std::fs::write(folder.join("config"), config).unwrap();
    let account = format!(
        "<sip:{extension}@127.0.0.1:{}>;auth_user={extension};auth_pass={secret};regint=120;audio_codecs=pcmu;{account}\n",
        daemon.port
    );
    std::fs::write(folder.join("accounts"), account).unwrap();
    std::fs::write(folder.join("contacts"), "").unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut program = Command::new("baresip");
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
    Baresip { child, folder }
}

impl Baresip {
    /// What it decoded, from the file that its recorder wrote.
    fn heard(&self) -> Vec<i16> {
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

#[test]
fn two_baresip_clients_hear_each_other_without_gaps() {
    let daemon = Daemon::start(programs(), &[]);
    let mut bob = start(&daemon, 1, 660.0, STAYS + 6, "answermode=auto", None);
    daemon.wait_for("1002 to register", |daemon| daemon.ask(&["status"])["phones_registered"] == 1);
    let dial = format!("/dial sip:1002@127.0.0.1:{}", daemon.port);
    let mut alice = start(&daemon, 0, 440.0, STAYS, "answermode=manual", Some(&dial));
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
