//! A `tandemd` of one's own, on free ports of the loopback, with its folders in a temporary place.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tandem::edge::clock::Clock;

/// How long anything of the daemon's may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running daemon; dropping it ends the process and removes its folders.
pub struct Daemon {
    child: Child,
    /// The folder with `conf` and `state`.
    pub dir: PathBuf,
    /// The SIP port, UDP and TCP.
    pub port: u16,
    programs: Programs,
}

/// The two programs under test.
#[derive(Clone)]
pub struct Programs {
    /// `tandemd`
    pub daemon: PathBuf,
    /// `tandem`
    pub command: PathBuf,
}

/// Two phones, 1001 and 1002, with these secrets.
pub const SECRETS: [(&str, &str); 2] =
    [("1001", "wren-Kf7q2-maple"), ("1002", "heron-T9x4d-birch")];

/// The ports that tests listen on: below those that the system gives to whoever asks for any, so that no
/// connection of another test takes one between here and the daemon.
const PORTS: std::ops::Range<u32> = 6_000..9_900;

/// A port that nobody uses right now, for UDP and TCP. Each process begins at another place, and gives none
/// twice before it has been round.
pub fn free_port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let room = PORTS.end - PORTS.start;
    for _ in 0..room {
        let turn = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let offset = std::process::id().wrapping_mul(61).wrapping_add(turn) % room;
        let port = u16::try_from(PORTS.start + offset).unwrap();
        let is_free = UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if is_free {
            return port;
        }
    }
    panic!("no port is free between {PORTS:?}");
}

impl Daemon {
    /// Starts a daemon with the two phones and whatever else `extra` says: pairs of file name and text
    /// that is added to it.
    pub fn start(programs: Programs, extra: &[(&str, &str)]) -> Self {
        let port = free_port();
        let listen = [format!("udp:127.0.0.1:{port}"), format!("tcp:127.0.0.1:{port}")];
        Self::listening(programs, port, &listen, extra)
    }

    /// The same with listeners of one's own; `port` is the one its tests ask.
    pub fn listening(
        programs: Programs,
        port: u16,
        listen: &[String],
        extra: &[(&str, &str)],
    ) -> Self {
        let unique = format!("tandem-{}-{port}", std::process::id());
        let dir = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(dir.join("conf")).unwrap();
        let phones: String = SECRETS
            .iter()
            .map(|(extension, secret)| format!("[[phone]]\nextension = \"{extension}\"\nname = \"Phone {extension}\"\nsecret = \"{secret}\"\n"))
            .collect();
        let mut files =
            vec![("tandem.toml", format!("[sip]\nlisten = {listen:?}\n")), ("phones.toml", phones)];
        for (name, text) in extra {
            match files.iter_mut().find(|(known, _)| known == name) {
                Some((_, known)) => known.push_str(text),
                None => files.push((name, (*text).to_owned())),
            }
        }
        for (name, text) in files {
            let text = if name == "tandem.toml" && !text.contains("[media]") {
                format!("{text}[media]\nports = \"22000-32699\"\n")
            } else {
                text
            };
            let path = dir.join("conf").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let child = spawn(&programs, &dir);
        let mut daemon = Self { child, dir, port, programs };
        daemon.wait_until_ready();
        daemon
    }

    /// The same as [`Daemon::start`], with so many file descriptors.
    pub fn limited(programs: Programs, descriptors: u32) -> Self {
        let script =
            std::env::temp_dir().join(format!("tandemd-{}-{}", std::process::id(), free_port()));
        let program = programs.daemon.display();
        let text = format!("#!/bin/sh\nulimit -n {descriptors}\nexec {program} \"$@\"\n");
        std::fs::write(&script, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&script, mode).unwrap();
        let daemon = Self::start(Programs { daemon: script.clone(), ..programs }, &[]);
        std::fs::remove_file(script).unwrap();
        daemon
    }

    fn wait_until_ready(&mut self) {
        // The line with the control socket is the last one of the start.
        let stderr = self.child.stderr.take().unwrap();
        let mut lines = BufReader::new(stderr).lines();
        let mut seen = String::new();
        for line in lines.by_ref() {
            let line = line.unwrap();
            seen.push_str(&line);
            seen.push('\n');
            if line.contains("control socket") {
                let mut log = std::fs::File::create(self.dir.join("log")).unwrap();
                std::thread::spawn(move || {
                    for line in lines.map_while(Result::ok) {
                        let _ = log.write_all(format!("{line}\n").as_bytes());
                    }
                });
                return;
            }
        }
        panic!("the daemon did not start:\n{seen}");
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("control.sock")
    }

    /// Runs `tandem` against the daemon.
    pub fn run(&self, args: &[&str]) -> Output {
        run(&self.programs, &self.socket(), args)
    }

    /// What `tandem … --json` says.
    pub fn ask(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{args:?}: {error}: {}", String::from_utf8_lossy(&output.stderr))
        })
    }

    /// The records, newest first.
    pub fn records(&self) -> Vec<Value> {
        let reply = self.ask(&["records", "--limit", "1000"]);
        reply["records"].as_array().or_else(|| reply.as_array()).cloned().unwrap_or_default()
    }

    /// Asks again and again until it holds.
    pub fn wait_for(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        self.wait_long_for(what, PATIENCE, holds);
    }

    /// The same with another patience.
    pub fn wait_long_for(&self, what: &str, patience: Duration, holds: impl Fn(&Self) -> bool) {
        let clock = Clock::start();
        while !holds(self) {
            assert!(
                clock.now().since(tandem::proto::time::Instant::START) < patience,
                "waited in vain for {what}\n{}\n{}",
                String::from_utf8_lossy(&self.run(&["doctor"]).stdout),
                self.log()
            );
        }
    }

    /// Waits for this many records and gives them, newest first.
    pub fn wait_for_records(&self, count: usize) -> Vec<Value> {
        self.wait_for(&format!("{count} records"), |daemon| daemon.records().len() >= count);
        self.records()
    }

    /// Waits until no call lives, and asserts that nothing is left of those that did.
    pub fn assert_healthy(&self) {
        self.wait_for("the last call's end", |daemon| {
            daemon.run(&["doctor"]).status.success()
                && doctor_row(&daemon.ask(&["doctor"]), "calls") == 0
        });
    }

    /// The log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Ends the process without a word, as a power cut would, and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.programs, &self.dir);
        self.wait_until_ready();
    }

    /// Starts it again after it has stopped.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.programs, &self.dir);
        self.wait_until_ready();
    }

    /// Another daemon with these folders and this socket; gives what it says when it has ended.
    pub fn start_another(&self, state: &str, socket: &str) -> Output {
        Command::new(&self.programs.daemon)
            .arg("--config")
            .arg(self.dir.join("conf"))
            .arg("--state")
            .arg(self.dir.join(state))
            .arg("--socket")
            .arg(self.dir.join(socket))
            .output()
            .unwrap()
    }

    /// Writes one of its configuration files anew.
    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.join("conf").join(file), text).unwrap();
    }

    /// One of its configuration files.
    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.join("conf").join(file)).unwrap_or_default()
    }

    /// Where a phone on the same machine reaches it.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Asks the process to stop and does not wait.
    pub fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    /// Waits for the end of a process that was asked to stop; its exit code.
    pub fn wait_for_exit(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the process to stop and waits for it.
    pub fn stop(&mut self) -> bool {
        self.terminate();
        self.wait_for_exit() == Some(0)
    }
}

/// The value of one row of `doctor`.
pub fn doctor_row(report: &Value, name: &str) -> u64 {
    let rows = report["rows"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).and_then(|row| row["value"].as_u64()).unwrap()
}

fn spawn(programs: &Programs, dir: &Path) -> Child {
    Command::new(&programs.daemon)
        .arg("--config")
        .arg(dir.join("conf"))
        .arg("--state")
        .arg(dir.join("state"))
        .arg("--socket")
        .arg(dir.join("control.sock"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs `tandem` against a control socket.
pub fn run(programs: &Programs, socket: &Path, args: &[&str]) -> Output {
    Command::new(&programs.command).arg("--socket").arg(socket).args(args).output().unwrap()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
