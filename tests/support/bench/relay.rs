//! 200 relayed G.711 calls at once: CPU of the daemon, packets lost, delay added.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use tandem::edge::clock::Clock;

use crate::calls::{answer_all, daemon_with_carrier, inside, invite, registered_phone};
use crate::live::daemon::{Daemon, Programs};
use crate::live::phone::header;
use crate::process::Meter;

const CALLS: usize = 200;
const SECONDS: u64 = 30;

/// One end of one call's audio.
struct End {
    socket: UdpSocket,
    to: std::sync::OnceLock<SocketAddr>,
}

fn end() -> End {
    End { socket: UdpSocket::bind("127.0.0.1:0").unwrap(), to: std::sync::OnceLock::new() }
}

fn audio_of(text: &str) -> Option<SocketAddr> {
    let port = text.lines().find_map(|line| line.strip_prefix("m=audio "))?.split(' ').next()?;
    format!("127.0.0.1:{port}").parse().ok()
}

pub(crate) fn run(programs: &Programs, limit: f64) {
    let carrier = UdpSocket::bind("127.0.0.1:0").unwrap();
    carrier.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let daemon = daemon_with_carrier(programs, &carrier);
    let phone = registered_phone(&daemon);
    let callers: Vec<End> = (0..CALLS).map(|_| end()).collect();
    let called: Vec<End> = (0..CALLS).map(|_| end()).collect();
    let idle = Meter::of(daemon.pid());
    let answers = std::thread::scope(|scope| {
        let mut next = 0;
        let called = &called;
        scope.spawn(move || {
            answer_all(&phone, |text| {
                let end = &called[next.min(CALLS - 1)];
                next += 1;
                let _ = end.to.set(audio_of(text).unwrap());
                end.socket.local_addr().unwrap().port()
            });
        });
        set_up(&daemon, &carrier, &callers)
    });
    let up = Meter::of(daemon.pid());
    let (sent, mut delays, cpu) = stream(&daemon, &callers, &called);
    for ok in &answers {
        carrier
            .send_to(
                inside("BYE", ok, carrier.local_addr().unwrap(), 2).as_bytes(),
                ("127.0.0.1", daemon.port),
            )
            .unwrap();
    }
    delays.sort_unstable();
    let at =
        |part: usize| delays.get(delays.len() * part / 1000).copied().unwrap_or(0) as f64 / 1000.0;
    let packets = delays.len() as f64;
    println!(
        "{CALLS} relayed G.711 calls for {SECONDS} s: {:.3} % of a core per call (aim 0.05; plain sockets {:.3}), {:.2} us of CPU per packet, {} of {sent} packets lost, delay median {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, {:.1} kB of memory per call",
        cpu / SECONDS as f64 / CALLS as f64 * 100.0,
        limit * 100.0 / 1e6 * 100.0,
        cpu * 1e6 / packets,
        sent - delays.len(),
        at(500),
        at(990),
        at(999),
        (up.resident_mb - idle.resident_mb) * 1024.0 / CALLS as f64,
    );
}

/// Sets all calls up; gives their 200s.
fn set_up(daemon: &Daemon, carrier: &UdpSocket, callers: &[End]) -> Vec<String> {
    let (server, local) = (("127.0.0.1", daemon.port), carrier.local_addr().unwrap());
    let mut buffer = [0; 8192];
    let mut answers = Vec::new();
    // One after the other, so that the n-th INVITE at the phone is the n-th call.
    for (n, caller) in callers.iter().enumerate() {
        let port = caller.socket.local_addr().unwrap().port();
        carrier.send_to(invite(daemon.port, local, n, port).as_bytes(), server).unwrap();
        let ok = loop {
            let length = carrier.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with("SIP/2.0 200") && header(&text, "Call-ID") == format!("c{n}") {
                break text;
            }
        };
        carrier.send_to(inside("ACK", &ok, local, 1).as_bytes(), server).unwrap();
        let _ = caller.to.set(audio_of(&ok).unwrap());
        answers.push(ok);
    }
    answers
}

/// Sends 50 packets a second from every end; gives the packets sent, the delay of each that arrived in
/// microseconds, and the daemon's CPU seconds.
fn stream(daemon: &Daemon, callers: &[End], called: &[End]) -> (usize, Vec<u32>, f64) {
    let clock = Clock::start();
    let ends: Vec<&End> = callers.iter().chain(called).collect();
    let is_over = AtomicBool::new(false);
    let before = Meter::of(daemon.pid());
    std::thread::scope(|scope| {
        let receiver = scope.spawn(|| receive(&ends, clock, &is_over));
        let sent = send(&ends, clock);
        is_over.store(true, Relaxed);
        let delays = receiver.join().unwrap();
        (sent, delays, Meter::of(daemon.pid()).cpu - before.cpu)
    })
}

fn send(ends: &[&End], clock: Clock) -> usize {
    let mut sent = 0;
    for tick in 0..SECONDS * 50 {
        for (index, end) in ends.iter().enumerate() {
            // The ends are spread over the 20 ms, as calls of different people are.
            let due =
                Duration::from_micros(tick * 20_000 + index as u64 * 20_000 / ends.len() as u64);
            let now = clock.now().since(tandem::proto::time::Instant::START);
            if index % 8 == 0
                && let Some(left) = due.checked_sub(now)
            {
                std::thread::park_timeout(left);
            }
            let mut packet = [0xff_u8; 172];
            packet[..2].copy_from_slice(&[0x80, 0]);
            packet[2..4].copy_from_slice(&((tick % 65_536) as u16).to_be_bytes());
            packet[4..8].copy_from_slice(&((tick * 160) as u32).to_be_bytes());
            packet[8..12].copy_from_slice(&(index as u32 + 1).to_be_bytes());
            packet[12..20].copy_from_slice(&clock.now().as_micros().to_be_bytes());
            let Some(to) = end.to.get() else { continue };
            sent += usize::from(end.socket.send_to(&packet, to).is_ok());
        }
    }
    sent
}

fn receive(ends: &[&End], clock: Clock, is_over: &AtomicBool) -> Vec<u32> {
    let poll = Epoll::new(EpollCreateFlags::empty()).unwrap();
    for (index, end) in ends.iter().enumerate() {
        end.socket.set_nonblocking(true).unwrap();
        poll.add(end.socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, index as u64)).unwrap();
    }
    let mut events = vec![EpollEvent::empty(); 256];
    let mut delays = Vec::with_capacity(ends.len() * SECONDS as usize * 50);
    let mut buffer = [0; 2048];
    loop {
        let count = poll.wait(&mut events, EpollTimeout::from(100_u8)).unwrap();
        if count == 0 && is_over.load(Relaxed) {
            return delays;
        }
        for event in &events[..count] {
            while let Ok(length) = ends[event.data() as usize].socket.recv(&mut buffer) {
                if length == 172 && buffer[1] & 0x7f == 0 {
                    let sent = u64::from_be_bytes(buffer[12..20].try_into().unwrap());
                    delays.push(clock.now().as_micros().saturating_sub(sent) as u32);
                }
            }
        }
    }
}
