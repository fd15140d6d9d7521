//! A daemon of its own under load on a bad network: phones that write raw text register and call each other over real
//! sockets, through loss, duplicates and reordering. At the end every call has the record that its plan says, nothing is
//! left, and the memory is what it was.

#![allow(clippy::print_stdout, reason = "printing is what a measurement is for")]
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a script stops at the first surprise, and most of its support is for tests"
)]
#![allow(clippy::cast_possible_truncation, reason = "figures of a load are small")]

mod live;
#[path = "bench/process.rs"]
mod process;
mod sim;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::PathBuf;

use live::daemon::{Daemon, Programs, doctor_row};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use process::Meter;
use sim::network::Dice;
use sim::phone::{Body, Phone, Reply, State, ok, ring};
use sim::sdp::{HOLD, TALK};
use tandem::edge::clock::Clock;

/// Pairs of phones that call each other; each pair has one call at a time.
const PAIRS: usize = 200;
/// Phones that only register.
const SILENT: usize = 600;
const FIRST: usize = 200_000;
const SECOND: u64 = 1_000_000;
/// What the daemon may hold at the end beside what it held when all phones had registered: what the allocator and the
/// database keep, whatever the length of the run.
const GROWTH_MAX_MB: f64 = 24.0;

/// What is to happen, and what the network does.
struct Load {
    seconds: u64,
    calls_per_second: u64,
    logins_per_second: u64,
    /// Of a thousand packets: lost, doubled, held up by up to 40 ms so that others overtake them.
    trouble: [u64; 3],
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Hold,
    Resume,
    CallerHangsUp,
    CalledHangsUp,
    Cancel,
}

/// A packet on its way: to us, or from us by a phone.
type Flying = (u64, u64, usize, bool, Vec<u8>);

struct Field {
    daemon: Daemon,
    phones: Vec<Phone>,
    sockets: Vec<UdpSocket>,
    flying: BinaryHeap<Reverse<Flying>>,
    flown: u64,
    dice: Dice,
    trouble: [u64; 3],
    clock: Clock,
    /// When somebody does something in a call.
    acts: BTreeSet<(u64, usize, usize)>,
    agenda: Vec<(usize, Act)>,
    busy_until: Vec<u64>,
    planned: BTreeMap<&'static str, usize>,
}

impl Field {
    fn open(programs: Programs, load: &Load) -> Self {
        let count = 2 * PAIRS + SILENT;
        let text: String = (0..count)
            .map(|n| {
                let extension = (FIRST + n).to_string();
                let secret = sim::office::secret_of(&extension);
                format!("[[phone]]\nextension = \"{extension}\"\nsecret = \"{secret}\"\n")
            })
            .collect();
        let daemon = Daemon::start(programs, &[("phones.toml", &text)]);
        let us = daemon.address();
        let sockets: Vec<_> = (0..count)
            .map(|_| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_nonblocking(true).unwrap();
                socket
            })
            .collect();
        let phones = sockets
            .iter()
            .enumerate()
            .map(|(n, socket)| {
                let at = socket.local_addr().unwrap();
                let mut phone = Phone::new(&(FIRST + n).to_string(), at, us, "tandem");
                phone.habits.again_after_491 = Some(1_500);
                phone
            })
            .collect();
        Self {
            daemon,
            phones,
            sockets,
            flying: BinaryHeap::new(),
            flown: 0,
            dice: Dice::new(7),
            trouble: load.trouble,
            clock: Clock::start(),
            acts: BTreeSet::new(),
            agenda: Vec::new(),
            busy_until: vec![0; PAIRS],
            planned: BTreeMap::new(),
        }
    }

    fn now(&self) -> u64 {
        self.clock.now().as_micros()
    }

    /// Lets a packet fly, as the network will have it.
    fn fly(&mut self, phone: usize, is_to_us: bool, bytes: &[u8]) {
        let [loss, twice, late] = self.trouble;
        if self.dice.below(1000) < loss {
            return;
        }
        let copies = 1 + usize::from(self.dice.below(1000) < twice);
        for _ in 0..copies {
            let is_late = self.dice.below(1000) < late;
            let delay = if is_late { self.dice.below(40_000) } else { 0 };
            self.flown += 1;
            let at = self.now() + delay;
            self.flying.push(Reverse((at, self.flown, phone, is_to_us, bytes.to_vec())));
        }
    }

    fn flush(&mut self, phone: usize) {
        for text in std::mem::take(&mut self.phones[phone].out) {
            self.fly(phone, true, text.as_bytes());
        }
    }

    fn land(&mut self) {
        while self.flying.peek().is_some_and(|Reverse((at, ..))| *at <= self.now()) {
            let Some(Reverse((_, _, phone, is_to_us, bytes))) = self.flying.pop() else { return };
            if is_to_us {
                let _ = self.sockets[phone].send_to(&bytes, self.daemon.address());
                continue;
            }
            let now = self.now();
            self.phones[phone].receive(now, &bytes);
            // What it got is not looked at, and would be half a gigabyte in the end.
            self.phones[phone].got.clear();
            self.flush(phone);
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 65_536];
        for phone in 0..self.sockets.len() {
            while let Ok(length) = self.sockets[phone].recv(&mut buffer) {
                let bytes = buffer[..length].to_vec();
                self.fly(phone, false, &bytes);
            }
        }
    }

    fn register(&mut self, phone: usize) {
        let (now, contact) = (self.now(), format!("{};expires=3600", self.phones[phone].contact()));
        self.phones[phone].register(now, &contact, "");
        self.flush(phone);
    }

    /// Begins a call of a pair that has none.
    fn call(&mut self) -> bool {
        let now = self.now();
        let is_over = |phone: &Phone| {
            let last = phone.calls.len().checked_sub(1);
            last.is_none_or(|call| {
                phone.calls[call].state == State::Over && phone.is_acknowledged(call)
            })
        };
        // What is to be done in a call is done in the latest one, so a pair has one at a time.
        let is_free = |pair: &usize| {
            let phones = [2 * pair, 2 * pair + 1];
            self.busy_until[*pair] <= now
                && phones.iter().all(|phone| is_over(&self.phones[*phone]))
                && !self.acts.iter().any(|(_, who, _)| phones.contains(who))
        };
        let Some(pair) = (0..PAIRS).find(is_free) else { return false };
        let (a, b) = (2 * pair, 2 * pair + 1);
        let talk = 3 * SECOND + self.dice.below(5 * SECOND);
        let (says, mut acts, cause) = match self.dice.below(10) {
            0 => (vec![(200, ring())], vec![(SECOND, a, Act::Cancel)], "cancelled"),
            1 => (vec![(200, Reply::status(486))], Vec::new(), "busy"),
            n => {
                let (who, act) =
                    if n % 2 == 0 { (a, Act::CallerHangsUp) } else { (b, Act::CalledHangsUp) };
                let says = vec![(200, ring()), (1_000, ok())];
                (says, vec![(SECOND + talk, who, act)], "normal")
            }
        };
        if cause == "normal" && self.dice.below(5) == 0 {
            acts.push((2 * SECOND, a, Act::Hold));
            acts.push((3 * SECOND, a, Act::Resume));
        }
        self.phones[b].habits.on_invite = says;
        let number = (FIRST + b).to_string();
        self.phones[a].dial(now, &number, &Body::Auto, "");
        self.flush(a);
        for (after, who, act) in acts {
            self.agenda.push((who, act));
            self.acts.insert((now + after, who, self.agenda.len() - 1));
        }
        // What the network does to it is over by then, too.
        self.busy_until[pair] = now + talk + 3 * SECOND;
        *self.planned.entry(cause).or_default() += 1;
        true
    }

    fn act(&mut self) {
        let now = self.now();
        while let Some(&(at, who, index)) = self.acts.first() {
            if at > now {
                return;
            }
            self.acts.pop_first();
            let (_, act) = self.agenda[index];
            let phone = &mut self.phones[who];
            let Some(call) = phone.calls.len().checked_sub(1) else { continue };
            let state = phone.calls[call].state;
            let may_act = phone.is_acknowledged(call);
            match (act, state) {
                (Act::CalledHangsUp, State::Up) if !may_act => {
                    self.acts.insert((at + SECOND / 4, who, index));
                }
                (Act::Hold, State::Up) => phone.modify(now, call, "INVITE", HOLD),
                (Act::Resume, State::Up) => phone.modify(now, call, "INVITE", TALK),
                (Act::CallerHangsUp | Act::CalledHangsUp, State::Up) => phone.hang_up(now, call),
                (Act::Cancel, State::Calling) => {
                    phone.cancel(call);
                    // Until its INVITE is answered: any of them may be lost.
                    self.acts.insert((at + SECOND / 2, who, index));
                }
                // Its answer is still on the way: what is to be done is done a little later.
                (_, State::Calling | State::Incoming) => {
                    self.acts.insert((at + SECOND / 4, who, index));
                }
                (_, State::Up | State::Over) => {}
            }
            self.flush(who);
        }
    }

    /// Serves phones, network and sockets for a moment.
    fn step(&mut self) {
        self.read();
        self.land();
        let now = self.now();
        for phone in 0..self.phones.len() {
            if self.phones[phone].next_timeout().is_some_and(|at| at <= now) {
                self.phones[phone].handle_timeout(now);
                self.flush(phone);
            }
        }
        self.act();
        self.land();
        let mut waiting: Vec<_> = self
            .sockets
            .iter()
            .map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let _ = poll(&mut waiting, PollTimeout::from(2_u8));
    }

    fn run_until(&mut self, until: u64) {
        while self.now() < until {
            self.step();
        }
    }

    /// The ladders of calls that ended by what nobody planned.
    fn show_others(&self) {
        let reply = self.daemon.ask(&["records", "--limit", "1000"]);
        let page = reply["records"].as_array().or_else(|| reply.as_array()).cloned();
        let planned = |record: &serde_json::Value| {
            record["cause"].as_str().is_some_and(|cause| self.planned.contains_key(cause))
        };
        for record in page.unwrap_or_default().iter().filter(|record| !planned(record)).take(3) {
            let id = record["call"].as_str().unwrap_or_default();
            let ladder = self.daemon.run(&["call", "show", id, "--ladder"]).stdout;
            println!("{record}\n{}", String::from_utf8_lossy(&ladder));
        }
    }

    /// Every record's cause, counted.
    fn causes(&self) -> BTreeMap<String, usize> {
        let (mut causes, mut seen, mut before) = (BTreeMap::new(), BTreeSet::new(), None);
        loop {
            let mut args = vec!["records", "--limit", "1000"];
            let at: String;
            if let Some(time) = before {
                at = time;
                args.extend(["--before", at.as_str()]);
            }
            let reply = self.daemon.ask(&args);
            let page = reply["records"].as_array().or_else(|| reply.as_array()).cloned();
            let fresh: Vec<_> = page
                .unwrap_or_default()
                .into_iter()
                .filter(|record| seen.insert(record["call"].to_string()))
                .collect();
            let Some(last) = fresh.last() else { return causes };
            before = last["began"].as_str().map(str::to_owned);
            for record in &fresh {
                *causes.entry(record["cause"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
}

fn main() {
    let seconds = std::env::args().nth(1).map_or(600, |word| word.parse().expect("seconds"));
    let loss = std::env::args().nth(2).map_or(20, |word| word.parse().expect("packets of 1,000"));
    let trouble = [loss, 20, 50];
    let load = Load { seconds, calls_per_second: 20, logins_per_second: 50, trouble };
    let exe = std::env::current_exe().unwrap();
    let folder = exe.parent().and_then(|p| p.parent()).map(PathBuf::from).unwrap();
    let programs = Programs { daemon: folder.join("tandemd"), command: folder.join("tandem") };
    let mut field = Field::open(programs, &load);
    for phone in 0..field.phones.len() {
        field.register(phone);
        if phone % 50 == 49 {
            let until = field.now() + SECOND / 10;
            field.run_until(until);
        }
    }
    let until = field.now() + 5 * SECOND;
    field.run_until(until);
    let before = Meter::of(field.daemon.pid());
    println!(
        "{} phones; {} s of {} calls/s and {} logins/s; of 1,000 packets {:?} lost, doubled, late",
        field.phones.len(),
        load.seconds,
        load.calls_per_second,
        load.logins_per_second,
        load.trouble
    );
    let (begin, mut calls, mut logins) = (field.now(), 0, 0);
    let mut report = 0;
    loop {
        let elapsed = field.now() - begin;
        if elapsed >= load.seconds * SECOND {
            break;
        }
        while calls < elapsed * load.calls_per_second / SECOND && field.call() {
            calls += 1;
        }
        while logins < elapsed * load.logins_per_second / SECOND {
            let phone = logins as usize % field.phones.len();
            field.register(phone);
            logins += 1;
        }
        field.step();
        if elapsed / (30 * SECOND) > report {
            report = elapsed / (30 * SECOND);
            let meter = Meter::of(field.daemon.pid());
            println!(
                "{:>5} s: {calls} calls, {logins} logins, {:.1} MB",
                elapsed / SECOND,
                meter.resident_mb
            );
        }
    }
    // The last calls, and everybody's last timers.
    let until = field.now() + 50 * SECOND;
    field.run_until(until);
    judge(&field, calls, logins, &before);
}

fn judge(field: &Field, calls: u64, logins: u64, before: &Meter) {
    let after = Meter::of(field.daemon.pid());
    println!(
        "{calls} calls, {logins} logins; {:.1} CPU s; {:.1} MB resident, {:.1} before",
        after.cpu - before.cpu,
        after.resident_mb,
        before.resident_mb
    );
    let causes = field.causes();
    println!("planned {:?}\nrecorded {causes:?}", field.planned);
    let doctor = field.daemon.ask(&["doctor"]);
    let left = [
        "calls",
        "dialogs",
        "client transactions",
        "server transactions",
        "media calls",
        "media port pairs in use",
        "journal rows",
        "records lost",
    ];
    let left: Vec<_> = left
        .map(|name| (name, doctor_row(&doctor, name)))
        .into_iter()
        .filter(|(_, n)| *n != 0)
        .collect();
    println!("left over: {left:?}");
    field.show_others();
    let recorded: usize = causes.values().sum();
    let is_as_planned =
        field.planned.iter().all(|(cause, count)| causes.get(*cause) == Some(count));
    let grown = after.resident_mb - before.resident_mb;
    assert!(grown < GROWTH_MAX_MB, "{grown:.1} MB more than before");
    assert!(recorded as u64 == calls && is_as_planned && left.is_empty(), "not as planned");
    println!("every call has the record that was planned");
}
