//! Calls without audio: INVITE, 180, 200, ACK, BYE through the daemon, media anchored, record written.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::SockRef;
use tandem::edge::clock::Clock;
use tandem::proto::time::Instant;

use crate::live::daemon::{Daemon, Programs, doctor_row};
use crate::live::phone::{Phone, header};
use crate::process::Meter;

/// When the next call is placed.
#[derive(Clone, Copy)]
enum Pace {
    /// As soon as fewer than this many are on their way: the most that can be had.
    Window(usize),
    /// So many in a second, whatever becomes of them.
    Rate(u32),
}

/// Calls on their way at a time.
const WINDOW: usize = 20;
/// As many calls a second as a busy office makes in a minute: nothing waits for anything else.
const MODERATE: u32 = 100;
/// Rates to be held, in calls per second, with 99 of 100 set up within 200 ms.
const HELD: [u32; 3] = [1_500, 2_000, 3_000];

/// A daemon with a trunk at `carrier` whose number rings phone 1001.
pub(crate) fn daemon_with_carrier(programs: &Programs, carrier: &UdpSocket) -> Daemon {
    let trunks = format!(
        "[[trunk]]\nname = \"carrier\"\nmode = \"peer\"\nprobe_seconds = 0\npeers = [\"{}\"]\n",
        carrier.local_addr().unwrap()
    );
    let numbers =
        "[[number]]\nnumber = \"+862012345678\"\ntrunk = \"carrier\"\nto = \"phone:1001\"\n";
    Daemon::start(
        programs.clone(),
        &[
            ("trunks.toml", &trunks),
            ("numbers.toml", numbers),
            ("tandem.toml", &std::env::var("BENCH_TOML").unwrap_or_default()),
        ],
    )
}

/// An INVITE of the carrier; `n` is in its Call-ID.
pub(crate) fn invite(server: u16, local: SocketAddr, n: usize, audio_port: u16) -> String {
    let sdp = sdp(audio_port);
    format!(
        "INVITE sip:+862012345678@127.0.0.1:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKi{n}\r\nMax-Forwards: 70\r\nFrom: <sip:+8613800138000@{local}>;tag=f{n}\r\nTo: <sip:+862012345678@127.0.0.1:{server}>\r\nCall-ID: c{n}\r\nCSeq: 1 INVITE\r\nContact: <sip:gen@{local}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
        sdp.len()
    )
}

fn sdp(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
    )
}

/// A request of the carrier inside the dialog that a 200 made.
pub(crate) fn inside(method: &str, ok: &str, local: SocketAddr, cseq: u32) -> String {
    let (to, call_id, contact) = (header(ok, "To"), header(ok, "Call-ID"), header(ok, "Contact"));
    let target = contact.split(['<', '>']).nth(1).unwrap_or("").to_owned();
    format!(
        "{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bK{}{call_id}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
        method.to_lowercase(),
        header(ok, "From")
    )
}

/// The ACK of an INVITE that was refused: it has the branch that [`invite`] gave it.
fn ack_of_refusal(refusal: &str, local: SocketAddr) -> String {
    let (to, call_id) = (header(refusal, "To"), header(refusal, "Call-ID"));
    format!(
        "ACK sip:+862012345678@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKi{}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
        &call_id[1..],
        header(refusal, "From")
    )
}

/// Answers whatever comes to the phone; `audio_port` says where the n-th call's audio goes. Ends when
/// nothing comes for a while.
pub(crate) fn answer_all(socket: &UdpSocket, mut audio_port: impl FnMut(&str) -> u16) {
    socket.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    let (local, mut buffer) = (socket.local_addr().unwrap(), [0; 8192]);
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let copied = |to_tag: &str| {
            let mut lines = String::new();
            for line in text.lines().take_while(|line| !line.is_empty()) {
                let name = line.split(':').next().unwrap_or("");
                if ["Via", "From", "Call-ID", "CSeq"].contains(&name) {
                    lines.push_str(line);
                    lines.push_str("\r\n");
                } else if name == "To" {
                    lines.push_str(&format!("{line}{to_tag}\r\n"));
                }
            }
            lines
        };
        if text.starts_with("INVITE") {
            let head = copied(";tag=u");
            let sdp = sdp(audio_port(&text));
            let ringing = format!(
                "SIP/2.0 180 Ringing\r\n{head}Contact: <sip:1001@{local}>\r\nContent-Length: 0\r\n\r\n"
            );
            let ok = format!(
                "SIP/2.0 200 OK\r\n{head}Contact: <sip:1001@{local}>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
                sdp.len()
            );
            let _ = socket.send_to(ringing.as_bytes(), from);
            let _ = socket.send_to(ok.as_bytes(), from);
        } else if text.starts_with("BYE") {
            let ok = format!("SIP/2.0 200 OK\r\n{}Content-Length: 0\r\n\r\n", copied(""));
            let _ = socket.send_to(ok.as_bytes(), from);
        }
    }
}

/// Registers phone 1001 with a socket, which is given back for answering.
pub(crate) fn registered_phone(daemon: &Daemon) -> UdpSocket {
    let (extension, secret) = crate::live::daemon::SECRETS[0];
    let mut phone = Phone::new(extension, secret, ([127, 0, 0, 1], daemon.port).into());
    phone.register();
    phone.into_sip_socket()
}

/// Room for what comes while the generator waits for its core: a datagram that it loses would be measured as
/// the daemon's.
fn with_room(socket: &UdpSocket) {
    let bytes = 4 << 20;
    SockRef::from(socket).set_recv_buffer_size(bytes).unwrap();
}

pub(crate) fn run(programs: &Programs, limit: f64) {
    let carrier = UdpSocket::bind("127.0.0.1:0").unwrap();
    with_room(&carrier);
    carrier.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let daemon = daemon_with_carrier(programs, &carrier);
    let phone = registered_phone(&daemon);
    with_room(&phone);
    std::thread::scope(|scope| {
        scope.spawn(|| answer_all(&phone, |_| 4000));
        // The first calls pay for what is made once; they are not counted.
        let server = SocketAddr::from(([127, 0, 0, 1], daemon.port));
        place(server, &carrier, 0, 200, Pace::Window(WINDOW));
        let idle = Meter::of(daemon.pid());
        for (name, from, count) in [("1,000 calls", 1_000, 1_000), ("4,000 calls", 10_000, 4_000)] {
            let before = Meter::of(daemon.pid());
            let (seconds, setups) = place(server, &carrier, from, count, Pace::Window(WINDOW));
            let after = Meter::of(daemon.pid());
            let per_thousand = (after.cpu - before.cpu) * 1000.0 / count as f64;
            println!(
                "{name} without audio: {per_thousand:.3} CPU s per 1,000 (aim 0.40; 14 datagrams cost {:.3}), {:.0} calls/s, set-up median {:.2} ms, p99 {:.2} ms",
                14.0 * limit / 1000.0,
                count as f64 / seconds,
                share(&setups, 50),
                share(&setups, 99),
            );
        }
        let busy = Meter::of(daemon.pid());
        wait_for_idle(&daemon);
        let after = Meter::of(daemon.pid());
        println!(
            "memory right after 5,000 calls {:.1} MB, when the last transaction is gone: {:.1} MB (after 200 calls: {:.1} MB; aim: within 5 MB)",
            busy.resident_mb, after.resident_mb, idle.resident_mb
        );
        // The one before has stopped for want of calls.
        scope.spawn(|| answer_all(&phone, |_| 4000));
        added(&daemon, &carrier, phone.local_addr().unwrap());
        for (turn, rate) in HELD.into_iter().enumerate() {
            held(server, &carrier, 200_000 + turn * 100_000, rate);
        }
    });
}

/// What the daemon adds to a set-up at a moderate rate: the same calls once through it, once straight to the
/// phone.
fn added(daemon: &Daemon, carrier: &UdpSocket, phone: SocketAddr) {
    let server = SocketAddr::from(([127, 0, 0, 1], daemon.port));
    let (_, direct) = place(phone, carrier, 100_000, 1_000, Pace::Rate(MODERATE));
    let (_, through) = place(server, carrier, 110_000, 1_000, Pace::Rate(MODERATE));
    println!(
        "set-up at {MODERATE} calls/s: median {:.2} ms, straight to the phone {:.2} ms: {:.2} ms added (aim 0.5)",
        share(&through, 50),
        share(&direct, 50),
        share(&through, 50) - share(&direct, 50)
    );
}

fn held(server: SocketAddr, carrier: &UdpSocket, from: usize, rate: u32) {
    let count = rate as usize * 10;
    let (seconds, setups) = place(server, carrier, from, count, Pace::Rate(rate));
    println!(
        "{rate} calls/s for 10 s: {:.0} calls/s, {} refused, set-up median {:.2} ms, p99 {:.2} ms (aim: 1,500/s with p99 under 200 ms)",
        count as f64 / seconds,
        count - setups.len(),
        share(&setups, 50),
        share(&setups, 99)
    );
}

/// What so many of a hundred stay below, in milliseconds; the list is in order.
fn share(setups: &[u64], hundredths: usize) -> f64 {
    setups[setups.len() * hundredths / 100] as f64 / 1000.0
}

/// Waits until no transaction lingers: at most 64 T1 and a little more.
fn wait_for_idle(daemon: &Daemon) {
    for _ in 0..60 {
        let report = daemon.ask(&["doctor"]);
        let left =
            doctor_row(&report, "client transactions") + doctor_row(&report, "server transactions");
        if left == 0 {
            // What was freed last goes back to the system after a second or two.
            std::thread::park_timeout(Duration::from_secs(3));
            return;
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

/// Places calls and hangs each up at once; gives the seconds and every call's set-up in microseconds, in
/// order.
fn place(
    server: SocketAddr,
    carrier: &UdpSocket,
    from: usize,
    count: usize,
    pace: Pace,
) -> (f64, Vec<u64>) {
    let (local, clock) = (carrier.local_addr().unwrap(), Clock::start());
    let mut begun = vec![Instant::START; count];
    let (mut next, mut done, mut setups) = (0, 0, Vec::with_capacity(count));
    let mut buffer = [0; 8192];
    let give_up = Duration::from_secs(5);
    while done < count {
        let mut wait = give_up;
        while next < count {
            match pace {
                Pace::Window(window) if next - done >= window => break,
                Pace::Window(_) => {}
                Pace::Rate(rate) => {
                    let due = Duration::from_secs(1) * next as u32 / rate;
                    let early = due.saturating_sub(clock.now().since(Instant::START));
                    if !early.is_zero() {
                        wait = early;
                        break;
                    }
                }
            }
            begun[next] = clock.now();
            let text = invite(server.port(), local, from + next, 4002);
            carrier.send_to(text.as_bytes(), server).unwrap();
            next += 1;
        }
        carrier.set_read_timeout(Some(wait)).unwrap();
        let Ok(length) = carrier.recv(&mut buffer) else {
            assert!(wait < give_up, "{done} of {count} calls, and then nothing");
            continue;
        };
        let text = String::from_utf8_lossy(&buffer[..length]);
        if !text.starts_with("SIP/2.0 200") {
            // Too much for it: a call that was refused is over, and tells nothing of set-ups.
            if !text.starts_with("SIP/2.0 1") {
                carrier.send_to(ack_of_refusal(&text, local).as_bytes(), server).unwrap();
                done += 1;
            }
            continue;
        }
        if header(&text, "CSeq").ends_with("INVITE") {
            let n: usize = header(&text, "Call-ID")[1..].parse().unwrap();
            setups.push(clock.now().since(begun[n - from]).as_micros() as u64);
            carrier.send_to(inside("ACK", &text, local, 1).as_bytes(), server).unwrap();
            carrier.send_to(inside("BYE", &text, local, 2).as_bytes(), server).unwrap();
        } else {
            done += 1;
        }
    }
    carrier.set_read_timeout(Some(give_up)).unwrap();
    setups.sort_unstable();
    (clock.now().as_micros() as f64 / 1e6, setups)
}
