//! Kamailio as an edge proxy: baresip clients know it alone, and Tandem reaches them by its Path.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::baresip::{Baresip, STAYS, Way, assert_talked, start_by};
use crate::live::daemon::{Daemon, SECRETS, free_port};
use crate::live::tone;
use crate::programs;

/// A running proxy; dropping it ends its processes.
struct Kamailio {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Kamailio {
    /// A proxy in front of what listens on `server`.
    fn start(daemon: &Daemon, server: u16) -> Self {
        let port = free_port();
        let folder = daemon.dir.join(format!("kamailio-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let config = include_str!("kamailio/edge.cfg")
            .replace("@edge@", &port.to_string())
            .replace("@server@", &server.to_string());
        std::fs::write(folder.join("edge.cfg"), config).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        // In the foreground, with everything of its own in its own folder and little memory.
        let child = Command::new("kamailio")
            .args(["-DD", "-E", "-m", "16", "-M", "4"])
            .arg("-f")
            .arg(folder.join("edge.cfg"))
            .arg("-P")
            .arg(folder.join("pid"))
            .arg("-Y")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .spawn()
            .expect("kamailio is needed (Debian: kamailio)");
        let proxy = Self { child, folder, port };
        // It listens on TCP as well, so that it can be seen when it is there.
        daemon.wait_for("kamailio", |_| {
            std::net::TcpStream::connect(("127.0.0.1", proxy.port)).is_ok()
        });
        proxy
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Asked to stop, it ends its workers as well.
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// A phone that knows nobody but the proxy.
fn behind(
    (daemon, proxy): (&Daemon, &Kamailio),
    who: (&str, &str),
    tone: (f64, u32),
    mode: &str,
    dials: Option<&str>,
) -> Baresip {
    let account = format!("answermode={mode};outbound=\"sip:127.0.0.1:{};lr\"", proxy.port);
    let dial = dials.map(|number| format!("/dial sip:{number}@127.0.0.1:{}", daemon.port));
    start_by(&Way::plain(daemon.port), daemon, who, tone, &account, dial.as_deref())
}

fn wait_for_phones(daemon: &Daemon, count: u64) {
    daemon.wait_for("phones to register", |daemon| {
        daemon.ask(&["status"])["phones_registered"] == count
    });
}

/// Row 60: both phones register by the proxy, and each call crosses it on both sides.
#[test]
fn row_060_two_phones_behind_a_proxy_talk() {
    let daemon = Daemon::start(programs(), &[]);
    let proxy = Kamailio::start(&daemon, daemon.port);
    let at = (&daemon, &proxy);
    let bob = behind(at, SECRETS[1], (660.0, STAYS + 8), "auto", None);
    wait_for_phones(&daemon, 1);
    let rows = daemon.ask(&["phones"]);
    let from = format!("127.0.0.1:{}", proxy.port);
    assert_eq!(rows[1]["contacts"][0]["from"], from.as_str(), "{rows}");
    let alice = behind(at, SECRETS[0], (440.0, STAYS), "manual", Some("1002"));
    assert_talked(&daemon, alice, bob);
    // What we send goes back by the proxy: the INVITE by the Path, the rest by the route set.
    for method in ["INVITE", "ACK", "BYE"] {
        let crossed = format!("crossed: {method} from {}\n", daemon.port);
        assert!(proxy.log().contains(&crossed), "{method}\n{}", proxy.log());
    }
}

/// Rows 60 and 126: two proxies in a row. A phone hands its call to a third one, and every request inside the
/// dialogs takes both of them.
#[test]
fn row_126_a_call_is_handed_on_through_two_proxies() {
    let third = ("1003", "plover-Q2w8e-elm");
    let phone = format!(
        "[[phone]]\nextension = \"{}\"\nname = \"Third\"\nsecret = \"{}\"\n",
        third.0, third.1
    );
    let daemon = Daemon::start(programs(), &[("phones.toml", &phone)]);
    let inner = Kamailio::start(&daemon, daemon.port);
    let outer = Kamailio::start(&daemon, inner.port);
    let at = (&daemon, &outer);
    let mut bob = behind(at, SECRETS[1], (660.0, 30), "auto", None);
    let mut carol = behind(at, third, (880.0, 9), "auto", None);
    wait_for_phones(&daemon, 2);
    let alice = behind(at, SECRETS[0], (440.0, 30), "manual", Some("1002"));
    daemon.wait_for("a second of talk", |daemon| {
        let calls = daemon.ask(&["calls"]);
        calls.to_string().contains("talk")
            && calls[0]["duration_seconds"].as_f64().unwrap_or_default() > 1.5
    });
    alice.command("transfer", &format!("sip:1003@127.0.0.1:{}", daemon.port));
    // 1003 leaves when its time is up, and so ends the call.
    carol.child.wait().unwrap();
    let records = daemon.wait_for_records(1);
    assert_eq!(records[0]["cause"], "normal", "{records:?}\n{}", outer.log());
    let _ = bob.child.kill();
    let _ = bob.child.wait();
    for (who, frequency) in [(&bob, 880.0), (&carol, 660.0)] {
        let heard = tone::listen(&who.heard(), frequency);
        assert!(heard.seconds > 2.0, "{frequency} Hz: {heard:?}");
        assert!(heard.longest_gap_ms < 40.0, "{frequency} Hz: {heard:?}");
    }
    for (proxy, server) in [(&inner, daemon.port), (&outer, inner.port)] {
        for method in ["INVITE", "ACK", "NOTIFY", "BYE"] {
            let crossed = format!("crossed: {method} from {server}\n");
            assert!(proxy.log().contains(&crossed), "{method}\n{}", proxy.log());
        }
    }
    daemon.assert_healthy();
}
