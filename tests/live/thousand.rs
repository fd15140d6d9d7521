//! A thousand calls of every kind between a carrier and a phone, both scripted: nothing is left over, and
//! each call has one record.

use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::live::daemon::{doctor_row, free_port};
use crate::live::phone::header;
use crate::{daemon, phone};

const CALLS: usize = 1000;
/// Calls that the carrier keeps going at a time.
const WINDOW: usize = 150;
const KINDS: usize = 9;

/// How a call goes, and what its record may say.
const CAUSES: [&[&str]; KINDS] = [
    &["normal"],                      // 0: answered, the caller hangs up
    &["normal"],                      // 1: answered, the phone hangs up
    &["cancelled"],                   // 2: rings, the caller gives up
    &["busy"],                        // 3
    &["declined"],                    // 4
    &["no_ack"],                      // 5: answered, the caller never acknowledges
    &["peer_timeout", "unreachable"], // 6: the phone says nothing at all
    &["cancelled", "normal"],         // 7: the answer and the CANCEL cross
    &["normal"],                      // 8: the caller hangs up, the phone does not answer the BYE
];

const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n";

/// The kind of a call, from the number that its caller shows.
fn kind_of(text: &str) -> usize {
    let number = header(text, "From");
    let digits = number.split("sip:86").nth(1).unwrap_or_else(|| panic!("{text}"));
    digits[..1].parse().unwrap()
}

fn copied(text: &str, names: &[&str]) -> String {
    let is_wanted = |line: &&str| names.iter().any(|name| line.starts_with(&format!("{name}:")));
    text.lines().filter(is_wanted).map(|line| format!("{line}\r\n")).collect()
}

fn with_body(head: &str, sdp: &str) -> String {
    let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!("{head}{kind}Content-Length: {}\r\n\r\n{sdp}", sdp.len())
}

/// One end of the thousand calls.
struct End {
    socket: UdpSocket,
    server: SocketAddr,
    own: SocketAddr,
    branches: usize,
}

impl End {
    fn new(socket: UdpSocket, server: SocketAddr) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
        let own = socket.local_addr().unwrap();
        Self { socket, server, own, branches: 0 }
    }

    fn send(&self, text: &str) {
        self.socket.send_to(text.as_bytes(), self.server).unwrap();
    }

    fn receive(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let (length, _) = self.socket.recv_from(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    fn respond(&self, request: &str, status: &str, sdp: &str) {
        let lines = copied(request, &["Via", "From", "Call-ID", "CSeq"]);
        let to = header(request, "To");
        let to = if to.contains(";tag=") { to } else { format!("{to};tag=t") };
        let own = self.own;
        let head = format!("SIP/2.0 {status}\r\n{lines}To: {to}\r\nContact: <sip:{own}>\r\n");
        self.send(&with_body(&head, sdp));
    }

    /// A request inside the dialog with these From, To and Call-ID.
    fn request(&mut self, method: &str, target: &str, cseq: u32, ids: &str) {
        self.branches += 1;
        let (own, branch) = (self.own, self.branches);
        let head = format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKn{branch}\r\nMax-Forwards: 70\r\n{ids}CSeq: {cseq} {method}\r\n"
        );
        self.send(&with_body(&head, ""));
    }
}

fn target(text: &str) -> String {
    header(text, "Contact").split(['<', '>']).nth(1).unwrap_or("").to_owned()
}

/// The carrier's end: places the calls.
struct Caller {
    end: End,
    live: HashSet<String>,
    next: usize,
}

impl Caller {
    fn invite(&mut self) {
        let (index, kind) = (self.next, self.next % KINDS);
        self.next += 1;
        let id = format!("m{index}");
        let own = self.end.own;
        let head = format!(
            "{}Max-Forwards: 70\r\nCSeq: 1 INVITE\r\nContact: <sip:{own}>\r\n",
            self.first_lines("INVITE", index, kind)
        );
        self.end.send(&with_body(&head, SDP));
        self.live.insert(id);
    }

    fn first_lines(&self, method: &str, index: usize, kind: usize) -> String {
        let (server, own) = (self.end.server, self.end.own);
        format!(
            "{method} sip:+862012345678@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKm{index}\r\nFrom: <sip:86{kind}{index:04}@{own}>;tag=f{index}\r\nTo: <sip:+862012345678@{server}>\r\nCall-ID: m{index}\r\n"
        )
    }

    fn cancel(&self, id: &str, kind: usize) {
        let index = id[1..].parse().unwrap();
        let lines = self.first_lines("CANCEL", index, kind);
        self.end.send(&with_body(&format!("{lines}Max-Forwards: 70\r\nCSeq: 1 CANCEL\r\n"), ""));
    }

    fn hear(&mut self, text: &str) {
        let id = header(text, "Call-ID");
        if text.starts_with("BYE") {
            self.end.respond(text, "200 OK", "");
            self.live.remove(&id);
            return;
        }
        let kind = kind_of(text);
        let status = text[8..11].parse::<u16>().unwrap();
        let cseq = header(text, "CSeq");
        let ids = copied(text, &["From", "To", "Call-ID"]);
        match (cseq.as_str(), status, kind) {
            ("1 INVITE", 100, 7) | ("1 INVITE", 180, 2) => self.cancel(&id, kind),
            ("1 INVITE", 200, 5) => {}
            ("1 INVITE", 200, _) => {
                self.end.request("ACK", &target(text), 1, &ids);
                if kind != 1 && self.live.contains(&id) {
                    self.end.request("BYE", &target(text), 2, &ids);
                }
            }
            ("1 INVITE", 300.., _) => {
                let index = id[1..].parse().unwrap();
                let lines = self.first_lines("ACK", index, kind);
                let to = format!("To: {}\r\n", header(text, "To"));
                let own_to = copied(&lines, &["To"]);
                let head =
                    format!("{}Max-Forwards: 70\r\nCSeq: 1 ACK\r\n", lines.replace(&own_to, &to));
                self.end.send(&with_body(&head, ""));
                self.live.remove(&id);
            }
            ("2 BYE", 200, _) => {
                self.live.remove(&id);
            }
            _ => {}
        }
    }
}

/// The phone's end: does what the kind of each call asks for.
struct Called {
    end: End,
    ringing: HashMap<String, String>,
}

impl Called {
    fn hear(&mut self, text: &str) {
        let id = header(text, "Call-ID");
        let method = text.split(' ').next().unwrap_or("");
        if method == "SIP/2.0" {
            return;
        }
        let kind = kind_of(text);
        match (method, kind) {
            ("INVITE", 6) | ("BYE", 8) => {}
            ("INVITE", 2) => {
                self.end.respond(text, "180 Ringing", "");
                self.ringing.insert(id, text.to_owned());
            }
            ("INVITE", 3) => self.end.respond(text, "486 Busy Here", ""),
            ("INVITE", 4) => self.end.respond(text, "603 Decline", ""),
            ("INVITE", _) => {
                self.end.respond(text, "200 OK", SDP);
                self.ringing.insert(id, text.to_owned());
            }
            ("CANCEL", _) => {
                self.end.respond(text, "200 OK", "");
                if let (2, Some(invite)) = (kind, self.ringing.remove(&id)) {
                    self.end.respond(&invite, "487 Request Terminated", "");
                }
            }
            ("ACK", 1) => {
                let Some(invite) = self.ringing.remove(&id) else { return };
                let ids = format!(
                    "From: {}\r\nTo: {}\r\nCall-ID: {id}\r\n",
                    header(text, "To"),
                    header(text, "From")
                );
                self.end.request("BYE", &target(&invite), 1, &ids);
            }
            ("BYE", _) => self.end.respond(text, "200 OK", ""),
            _ => {}
        }
    }
}

/// Plays both ends until told to stop; counts the calls whose caller is done with them.
fn play(mut caller: Caller, mut called: Called, done: &AtomicUsize, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..10 {
            if caller.next < CALLS && caller.live.len() < WINDOW {
                caller.invite();
            }
        }
        while let Some(text) = called.end.receive() {
            called.hear(&text);
        }
        while let Some(text) = caller.end.receive() {
            caller.hear(&text);
        }
        done.store(caller.next - caller.live.len(), Ordering::Relaxed);
    }
}

#[test]
fn a_thousand_calls_of_every_kind_leave_a_thousand_records_and_nothing_else() {
    let carrier = UdpSocket::bind(("127.0.0.1", free_port())).unwrap();
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"{}\"]\n",
        carrier.local_addr().unwrap()
    );
    let numbers =
        "[[number]]\nnumber = \"+862012345678\"\ntrunk = \"carrier\"\nto = \"phone:1001\"\n";
    let daemon = daemon(&[
        ("tandem.toml", "t1_ms = 50\n"),
        ("trunks.toml", &trunks),
        ("numbers.toml", numbers),
    ]);
    let bob = phone(&daemon, 0).into_sip_socket();
    let server = daemon.address();
    let caller = Caller { end: End::new(carrier, server), live: HashSet::new(), next: 0 };
    let called = Called { end: End::new(bob, server), ringing: HashMap::new() };
    let (done, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let (done, stop) = (&done, &stop);
        scope.spawn(move || play(caller, called, done, stop));
        // A failed wait must not leave the players playing.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut before = 0;
            while done.load(Ordering::Relaxed) < CALLS {
                before = done.load(Ordering::Relaxed).max(before);
                daemon.wait_for(&format!("more than {before} calls"), |_| {
                    let now = done.load(Ordering::Relaxed);
                    now > before || now == CALLS
                });
            }
            daemon.wait_for_records(CALLS);
            for row in ["calls", "dialogs", "client transactions", "server transactions"] {
                // Timer D keeps an INVITE that was refused for 32 s, whatever T1 is (RFC 3261 §17.1.1.2).
                daemon.wait_long_for(row, Duration::from_secs(45), |daemon| {
                    doctor_row(&daemon.ask(&["doctor"]), row) == 0
                });
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
    for row in ["media calls", "media port pairs in use", "journal rows", "records lost"] {
        assert_eq!(doctor_row(&daemon.ask(&["doctor"]), row), 0, "{row}");
    }
    daemon.assert_healthy();
    let records = daemon.records();
    let calls: HashSet<_> = records.iter().map(|record| record["call"].to_string()).collect();
    assert_eq!((records.len(), calls.len()), (CALLS, CALLS));
    let oldest = records.last().unwrap()["began"].as_str().unwrap();
    assert_eq!(
        daemon.ask(&["records", "--before", oldest])["records"].as_array().unwrap().len(),
        0
    );
    for record in &records {
        let caller = record["caller"].as_str().unwrap();
        let kind: usize = caller[2..3].parse().unwrap();
        let cause = record["cause"].as_str().unwrap();
        assert!(CAUSES[kind].contains(&cause), "kind {kind}: {record}");
    }
}
