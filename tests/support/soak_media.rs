//! A daemon of its own with 200 calls that have audio, all the time: relayed, between codecs, out of SRTP, recorded and in rooms, with
//! holds, transfers and changes of the codec. At the end nothing is left, the memory is what it was, and nobody was without sound.
//!
//! `cargo run --release --locked --example soak-media -- [seconds] [pairs]`, by `scripts/soak --media`.

#![allow(clippy::print_stdout, reason = "printing is what a measurement is for")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a script stops at the first surprise, and most of its support is for tests"
)]

#[path = "soak/audio.rs"]
mod audio;
mod live;
#[path = "bench/process.rs"]
mod process;
mod sim;

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use audio::{Line, Tally, Voices};
use live::daemon::{Daemon, Programs, doctor_row};
use process::Meter;
use sim::phone::{Body, Phone, State, ok, ring};
use sim::sdp::{Codec, DIGITS, G722, HOLD, OPUS, PCMA, PCMU, Secure, TALK};
use tandem::edge::clock::Clock;

const SECOND: u64 = 1_000_000;
const FIRST: usize = 300_000;
/// A caller, a called phone, and one that a call is transferred to.
const TRIO: usize = 3;
/// So many that some 200 are in a call at any time: each is for 23 of 27 seconds.
const PAIRS: usize = 240;
/// From one call of a pair to its next.
const CYCLE: u64 = 27 * SECOND;
/// Calls of each kind follow each other: a tenth each.
const KINDS: usize = 10;
/// What the daemon may hold at the end of the load beside what it held after its first rounds.
const GROWTH_MAX_MB: f64 = 16.0;
/// A pause between two packets of a calm call that somebody hears, in ms.
const GAP_MAX_MS: u64 = 400;
/// Descriptors that may be more than before the first call: each media thread keeps 16 pairs of sockets ready for the next calls, and
/// the recorder and the store may have a file open.
const SHELF: usize = 32;
const FILES: usize = 8;
/// Of a thousand packets of calm calls, how many may be missing.
const MISSING_MAX: f64 = 1.0;

/// What happens in a call, in seconds after its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Dial,
    Begin,
    Hold,
    Resume,
    Change,
    Transfer,
    Transferred,
    HangUp,
}

const PLAN: [(u64, Act); 8] = [
    (0, Act::Dial),
    (2, Act::Begin),
    (6, Act::Hold),
    (9, Act::Resume),
    (13, Act::Change),
    (17, Act::Transfer),
    (19, Act::Transferred),
    (23, Act::HangUp),
];

/// What a pair does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Relayed,
    Transferred,
    G722,
    Opus,
    Secure,
    Recorded,
    Room,
}

fn kind(pair: usize) -> Kind {
    match pair % KINDS {
        0 | 1 => Kind::Relayed,
        2 => Kind::Transferred,
        3 | 4 => Kind::G722,
        5 | 6 => Kind::Opus,
        7 => Kind::Secure,
        8 => Kind::Recorded,
        _ => Kind::Room,
    }
}

/// What the caller speaks at first, and what it changes to.
fn codecs(kind: Kind) -> [Codec; 2] {
    match kind {
        Kind::G722 => [G722, PCMA],
        Kind::Opus => [OPUS, G722],
        _ => [PCMU, PCMA],
    }
}

struct Field {
    daemon: Daemon,
    pairs: usize,
    phones: Vec<Phone>,
    lines: Vec<Line>,
    sockets: Vec<UdpSocket>,
    voices: Voices,
    tally: Tally,
    clock: Clock,
    /// How long this program was away in all, instead of looking after its phones.
    away: u64,
    looked_at: u64,
    /// Of each pair: when its round began, and how much of the plan is done.
    rounds: Vec<(u64, usize)>,
    done: BTreeMap<(Kind, Act), usize>,
    failed: Vec<String>,
}

impl Field {
    fn open(programs: Programs, pairs: usize) -> Self {
        let count = TRIO * pairs;
        let phone_text = |n: usize| {
            let extension = (FIRST + n).to_string();
            let secret = sim::office::secret_of(&extension);
            let is_recorded = kind(n / TRIO) == Kind::Recorded && n.is_multiple_of(TRIO);
            let record = if is_recorded { "record = \"always\"\n" } else { "" };
            format!("[[phone]]\nextension = \"{extension}\"\nsecret = \"{secret}\"\n{record}")
        };
        let text: String = (0..count).map(phone_text).collect();
        let rooms: String = (0..pairs / KINDS + 1)
            .map(|n| format!("[[room]]\nnumber = \"{}\"\n", 800 + n))
            .collect();
        let daemon = Daemon::start(programs, &[("phones.toml", &text), ("rooms.toml", &rooms)]);
        let us = daemon.address();
        let sockets: Vec<_> = (0..count)
            .map(|_| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            })
            .collect();
        let phone = |(n, socket): (usize, &UdpSocket)| {
            let at = socket.local_addr().unwrap();
            let mut phone = Phone::new(&(FIRST + n).to_string(), at, us, "tandem");
            phone.habits.again_after_491 = Some(1_000);
            phone.habits.on_invite = vec![(100, ring()), (500, ok())];
            let kind = kind(n / TRIO);
            if kind == Kind::Secure && n.is_multiple_of(TRIO) {
                phone.secure = Some(Secure::new("RTP/SAVP", 'a'));
            }
            // Who is called by a codec of its own speaks G.711 alone.
            phone.codecs = vec![PCMU, PCMA, DIGITS];
            phone
        };
        let clock = Clock::start();
        Self {
            pairs,
            phones: sockets.iter().enumerate().map(phone).collect(),
            lines: (0..count).map(|n| Line::new(n as u64 * 20_000 / count as u64)).collect(),
            sockets,
            daemon,
            voices: Voices::new(),
            tally: Tally::default(),
            looked_at: clock.now().as_micros(),
            clock,
            away: 0,
            rounds: Vec::new(),
            done: BTreeMap::new(),
            failed: Vec::new(),
        }
    }

    fn now(&self) -> u64 {
        self.clock.now().as_micros()
    }

    /// Serves phones and lines for a moment.
    fn step(&mut self) {
        let now = self.now();
        // Twice the pause at the end of this is no absence.
        self.away += (now - self.looked_at).saturating_sub(10_000);
        self.looked_at = now;
        let mut buffer = [0; 65_536];
        for n in 0..self.phones.len() {
            self.lines[n].listen(now, self.away, &mut self.tally);
            self.lines[n].speak(now, &self.phones[n], &self.voices, &mut self.tally);
            let phone = &mut self.phones[n];
            while let Ok(length) = self.sockets[n].recv(&mut buffer) {
                phone.receive(now, &buffer[..length]);
                phone.got.clear();
            }
            if phone.next_timeout().is_some_and(|at| at <= now) {
                phone.handle_timeout(now);
            }
            for text in std::mem::take(&mut phone.out) {
                let _ = self.sockets[n].send_to(text.as_bytes(), self.daemon.address());
            }
        }
        std::thread::park_timeout(Duration::from_millis(3));
    }

    fn run_until(&mut self, until: u64) {
        while self.now() < until {
            self.step();
        }
    }

    fn register(&mut self) {
        for n in 0..self.phones.len() {
            let contact = format!("{};expires=3600", self.phones[n].contact());
            let now = self.now();
            self.phones[n].register(now, &contact, "");
            let until = now + SECOND / 200;
            self.run_until(until);
        }
        let until = self.now() + 2 * SECOND;
        self.run_until(until);
    }

    /// Does what the plan of each pair says is due; new rounds begin only while there is load.
    fn act(&mut self, is_load: bool) {
        let now = self.now();
        for pair in 0..self.rounds.len() {
            let (begun, done) = self.rounds[pair];
            if let Some((after, act)) = PLAN.get(done) {
                if begun + after * SECOND <= now && (done > 0 || is_load) {
                    self.rounds[pair].1 += 1;
                    self.perform(now, pair, *act);
                }
            } else if begun + CYCLE <= now && is_load {
                self.rounds[pair] = (begun + CYCLE, 0);
            }
        }
    }

    fn perform(&mut self, now: u64, pair: usize, act: Act) {
        let (kind, a) = (kind(pair), TRIO * pair);
        let (b, c) = (a + 1, a + 2);
        match (act, kind) {
            (Act::Dial, _) => return self.dial(now, pair, kind),
            (Act::Begin, _) => self.stir(now, &[a, b], true),
            (Act::Hold | Act::Resume | Act::Change, Kind::Room)
            | (Act::Change, Kind::Transferred | Kind::Secure) => return,
            (Act::Transfer | Act::Transferred, Kind::Transferred) => {}
            (Act::Transfer | Act::Transferred, _) => return,
            (Act::Hold, _) => self.modify(now, [a, b], HOLD, false),
            (Act::Resume, _) => self.modify(now, [a, b], TALK, true),
            (Act::Change, _) => {
                self.phones[a].codecs = vec![codecs(kind)[1], DIGITS];
                self.modify(now, [a, b], TALK, true);
            }
            (Act::HangUp, _) => {}
        }
        match (act, kind) {
            (Act::Transfer, Kind::Transferred) => {
                self.stir(now, &[a, b], false);
                self.prepare(c, vec![PCMU, PCMA, DIGITS]);
                let call = self.phones[a].last_index();
                let to = format!("Refer-To: <sip:{}@tandem>\r\n", FIRST + c);
                self.phones[a].in_dialog(now, call, "REFER", &to, String::new());
            }
            (Act::Transferred, Kind::Transferred) => {
                self.expect(&[b, c], "transferred");
                self.stir(now, &[b, c], true);
            }
            (Act::HangUp, kind) => {
                let who: &[usize] = match kind {
                    Kind::Transferred => &[b],
                    Kind::Room => &[a, b],
                    _ => &[a],
                };
                self.expect(who, "to hang up");
                self.stir(now, &[a, b, c], false);
                for one in who {
                    let phone = &mut self.phones[*one];
                    let call = phone.last_index();
                    if phone.calls[call].state == State::Up {
                        phone.hang_up(now, call);
                    }
                }
            }
            (Act::Begin, _) => self.expect(&[a, b], "up"),
            _ => {}
        }
        *self.done.entry((kind, act)).or_default() += 1;
    }

    /// The next call of a phone has its audio at its line.
    fn prepare(&mut self, n: usize, codecs: Vec<Codec>) {
        let phone = &mut self.phones[n];
        phone.media_port = self.lines[n].port() - 2 * (phone.calls.len() % 500) as u16;
        phone.codecs = codecs;
    }

    fn dial(&mut self, now: u64, pair: usize, kind: Kind) {
        let (a, b) = (TRIO * pair, TRIO * pair + 1);
        let is_over = |phone: &Phone| phone.calls.iter().all(|call| call.state == State::Over);
        if !self.phones[a..a + TRIO].iter().all(is_over) {
            self.failed.push(format!("{kind:?} {pair}: the call before is not over"));
        }
        self.prepare(a, vec![codecs(kind)[0], DIGITS]);
        self.prepare(b, vec![PCMU, PCMA, DIGITS]);
        let number = match kind {
            Kind::Room => (800 + pair / KINDS).to_string(),
            _ => (FIRST + b).to_string(),
        };
        self.phones[a].dial(now, &number, &Body::Auto, "");
        if kind == Kind::Room {
            self.phones[b].dial(now, &number, &Body::Auto, "");
        }
        *self.done.entry((kind, Act::Dial)).or_default() += 1;
    }

    fn modify(&mut self, now: u64, phones: [usize; 2], form: sim::sdp::Form, is_heard: bool) {
        self.expect(&phones, "to change");
        self.stir(now, &phones, is_heard);
        let phone = &mut self.phones[phones[0]];
        let call = phone.last_index();
        if phone.calls[call].state == State::Up {
            phone.modify(now, call, "INVITE", form);
        }
    }

    fn stir(&mut self, now: u64, phones: &[usize], is_heard: bool) {
        for n in phones {
            let name = format!("{:?} {}", kind(n / TRIO), FIRST + n);
            self.lines[*n].stir(now, self.away, &name, is_heard, &mut self.tally);
        }
    }

    fn expect(&mut self, phones: &[usize], what: &str) {
        for n in phones {
            let state = self.phones[*n].calls.last().map(|call| (call.state, call.status));
            if state.is_none_or(|(state, _)| state != State::Up) {
                let kind = kind(n / TRIO);
                self.failed.push(format!("{kind:?} {}: {what}: {state:?}", FIRST + n));
            }
        }
    }

    /// Calls that are up.
    fn up(&self) -> usize {
        let is_up = |phone: &&Phone| phone.calls.last().is_some_and(|c| c.state == State::Up);
        self.phones.iter().filter(is_up).count() / 2
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.daemon.pid())).unwrap().count()
    }
}

fn main() {
    let mut words = std::env::args().skip(1);
    let seconds = words.next().map_or(600, |word| word.parse().expect("seconds"));
    let pairs = words.next().map_or(PAIRS, |word| word.parse().expect("pairs"));
    let exe = std::env::current_exe().unwrap();
    let folder = exe.parent().and_then(|p| p.parent()).map(PathBuf::from).unwrap();
    let programs = Programs { daemon: folder.join("tandemd"), command: folder.join("tandem") };
    let mut field = Field::open(programs, pairs);
    field.register();
    let before = (Meter::of(field.daemon.pid()), field.descriptors());
    let begin = field.now();
    // The pairs are spread over a round, so that something happens all the time.
    field.rounds = (0..pairs as u64).map(|n| (begin + n * CYCLE / pairs as u64, 0)).collect();
    let (mut first, mut most, mut report) = (None, 0, 0);
    while field.now() < begin + seconds * SECOND {
        field.step();
        field.act(true);
        most = most.max(field.up());
        let elapsed = field.now() - begin;
        // After two rounds every kind of call has been there.
        if elapsed > (2 * CYCLE).min(seconds * SECOND / 2) && first.is_none() {
            first = Some(Meter::of(field.daemon.pid()));
        }
        if elapsed / (30 * SECOND) > report {
            report = elapsed / (30 * SECOND);
            let meter = Meter::of(field.daemon.pid());
            println!(
                "{:>5} s: {} calls up, {:.1} MB",
                elapsed / SECOND,
                field.up(),
                meter.resident_mb
            );
        }
    }
    let last = Meter::of(field.daemon.pid());
    // The last calls, and everybody's last timers.
    let end = field.now() + CYCLE + 50 * SECOND;
    while field.now() < end {
        field.step();
        field.act(false);
    }
    println!(
        "{seconds} s: {most} calls at once at most; {:.1} CPU s; {:.1} MB before, {:.1} after the first rounds, {:.1} at the end of the load",
        last.cpu - before.0.cpu,
        before.0.resident_mb,
        first.map_or(0.0, |meter| meter.resident_mb),
        last.resident_mb
    );
    judge(&field, before.1, first.map_or(last.resident_mb, |meter| meter.resident_mb), &last);
}

fn judge(field: &Field, descriptors: usize, first_mb: f64, last: &Meter) {
    for ((kind, act), count) in &field.done {
        println!("  {kind:?}: {act:?} {count}");
    }
    let tally = &field.tally;
    let missing = tally.missing as f64 * 1e3 / (tally.heard + tally.missing).max(1) as f64;
    println!(
        "sent {}; heard in calm calls {}, missing {} ({missing:.3} of 1,000), {} under a wrong key; pauses of 60 ms and more {}, of 100 {}, of 200 {}, the longest {} ms; this program was away for {} ms in all",
        tally.sent,
        tally.heard,
        tally.missing,
        tally.rejected,
        tally.longer(60),
        tally.longer(100),
        tally.longer(200),
        tally.longest_us / 1_000,
        field.away / 1_000
    );
    let doctor = field.daemon.ask(&["doctor"]);
    let names = [
        "calls",
        "dialogs",
        "client transactions",
        "server transactions",
        "media calls",
        "media port pairs in use",
        "journal rows",
        "records lost",
    ];
    let rows = names.map(|name| (name, doctor_row(&doctor, name)));
    let left: Vec<_> = rows.into_iter().filter(|(_, n)| *n != 0).collect();
    let open = field.descriptors();
    let rest = Meter::of(field.daemon.pid()).resident_mb;
    println!("left over: {left:?}; {open} descriptors, {descriptors} before; {rest:.1} MB at rest");
    println!(
        "not as planned: {} {:#?}",
        field.failed.len(),
        field.failed.iter().take(8).collect::<Vec<_>>()
    );
    println!(
        "without sound: {} {:#?}",
        tally.mute.len(),
        tally.mute.iter().take(8).collect::<Vec<_>>()
    );
    let grown = last.resident_mb - first_mb;
    assert!(grown < GROWTH_MAX_MB, "{grown:.1} MB more than after the first rounds");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let kept = threads * SHELF + FILES;
    assert!(left.is_empty() && open <= descriptors + kept, "something is left");
    assert!(field.failed.is_empty() && tally.mute.is_empty(), "not as planned");
    assert!(
        tally.heard > 0 && missing <= MISSING_MAX && tally.rejected == 0,
        "packets are missing"
    );
    assert!(tally.longest_us / 1_000 <= GAP_MAX_MS, "somebody heard a gap");
    println!("nothing is left, and nobody was without sound");
}
