//! The loop of one media thread: sockets, then commands, then silence.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use std::{io, mem};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::call::{Call, Leg, LegPlan, Side, Tally, is_multiplexed};
use super::event::{MediaEvent, OpenFailure, Outbox};
use super::mailbox::{Command, Inbox};
use super::plane::{MediaClock, MediaConfig, WorkerCounters};
use super::port_pool::{PortPair, PortPool, Random};
use super::room::Rooms;
use super::socket::SocketPair;
use super::stock::{ADDRESSES_MAX, FREE_MIN, Stock};
use crate::proto::nat::{Kind, demultiplex};
use crate::proto::time::Instant;

/// The longest datagram that is relayed; audio is far shorter.
const DATAGRAM_MAX: usize = 2_048;
/// Sockets served in one turn.
const READY_MAX: usize = 256;
/// Commands served in one turn: opening a call costs some fifty microseconds, for
/// which the audio of the others waits.
const COMMANDS_PER_TURN: usize = 16;
/// How often silence is looked for.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// How soon an event that found no room is tried again, in milliseconds.
const RETRY_MS: u16 = 20;

const WAKE_TOKEN: u64 = u64::MAX;

pub(super) struct Worker {
    epoll: Epoll,
    inbox: Inbox,
    outbox: Outbox,
    pool: PortPool,
    stock: Stock,
    /// Where calls were opened, and pairs are laid aside.
    addresses: Vec<IpAddr>,
    /// Pairs have been taken, and are to be laid aside again.
    is_short: bool,
    random: Random,
    clock: MediaClock,
    cname: String,
    /// The calls by slot. Four tokens of the poll belong to a slot.
    slots: Vec<Option<Box<Call>>>,
    vacant: Vec<usize>,
    by_id: HashMap<u64, usize>,
    /// Closes whose call has not been seen: its open may still be in the mailbox.
    closing: Vec<u64>,
    next_check: Instant,
    /// For how long it has worked since the last check, and when that was.
    worked: Duration,
    checked_at: Instant,
    /// When which side of which slot has packets to be sent, soonest first: at most
    /// a few for each side. Empty unless packets are cut or joined.
    rooms: Rooms,
    wakes: BinaryHeap<Reverse<(Instant, usize, Side)>>,
    tally: Tally,
    counters: Arc<WorkerCounters>,
}

impl Worker {
    pub(super) fn new(
        inbox: Inbox,
        outbox: Outbox,
        pool: PortPool,
        stock: Stock,
        seed: u64,
        config: &MediaConfig,
        counters: Arc<WorkerCounters>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(&*inbox.wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE_TOKEN))?;
        let worker = Self {
            epoll,
            inbox,
            outbox,
            pool,
            stock,
            addresses: Vec::new(),
            is_short: false,
            random: Random::new(seed),
            clock: Arc::clone(&config.clock),
            cname: config.cname.clone(),
            slots: Vec::new(),
            vacant: Vec::new(),
            by_id: HashMap::new(),
            closing: Vec::new(),
            next_check: Instant::START,
            worked: Duration::ZERO,
            checked_at: Instant::START,
            rooms: Rooms::default(),
            wakes: BinaryHeap::new(),
            tally: Tally::default(),
            counters,
        };
        worker.publish();
        Ok(worker)
    }

    /// Runs until it is told to stop; then closes all calls.
    pub(super) fn run(mut self) {
        let mut ready = [EpollEvent::empty(); READY_MAX];
        let mut buffer = [0_u8; DATAGRAM_MAX];
        let mut has_more = false;
        while !self.inbox.is_stopped() {
            let timeout = self.timeout(has_more);
            let count = match self.epoll.wait(&mut ready, timeout) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                // The poll itself is broken: nothing can be relayed any more.
                Err(_) => break,
            };
            let woken_at = (self.clock)();
            for event in ready.iter().take(count) {
                if event.data() == WAKE_TOKEN {
                    self.inbox.rearm();
                } else {
                    self.serve(event.data(), &mut buffer);
                }
            }
            self.send_waiting();
            self.rooms.mix((self.clock)(), &mut self.slots, &mut self.outbox);
            has_more = self.take_commands() || self.restock();
            self.check_silence();
            self.outbox.retry();
            self.publish();
            self.worked += (self.clock)().since(woken_at);
        }
        for id in self.by_id.keys().copied().collect::<Vec<_>>() {
            self.close(id);
        }
        self.outbox.retry();
        self.publish();
    }

    fn timeout(&mut self, has_more: bool) -> EpollTimeout {
        if has_more {
            EpollTimeout::ZERO
        } else if !self.outbox.retry() {
            EpollTimeout::from(RETRY_MS)
        } else if self.by_id.is_empty() {
            EpollTimeout::NONE
        } else {
            let next = self.wakes.peek().map_or(self.next_check, |Reverse((at, ..))| *at);
            let next = self.rooms.next_timeout().map_or(next, |at| at.min(next));
            let wait = next.min(self.next_check).since((self.clock)()).as_millis().min(250);
            EpollTimeout::from(u16::try_from(wait).unwrap_or(250).saturating_add(1))
        }
    }

    /// Reads one datagram of a ready socket and relays it. One, not all: the poll
    /// reports the socket again if there are more, so no packet pays for a second
    /// read that finds the socket empty, and no flood keeps the others waiting.
    fn serve(&mut self, token: u64, buffer: &mut [u8]) {
        let now = (self.clock)();
        let Some((slot, side, is_rtcp)) = split_token(token) else { return };
        let Some(call) = self.slots.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        let sockets = &call.leg(side).sockets;
        let socket: &UdpSocket = if is_rtcp { &sockets.rtcp } else { &sockets.rtp };
        let Ok((length, source)) = socket.recv_from(buffer) else { return };
        let Some(packet) = buffer.get_mut(..length) else { return };
        if !is_rtcp && call.is_fax(side) {
            let (outbox, tally) = (&mut self.outbox, &mut self.tally);
            return call.udptl(now, side, source, packet, outbox, tally);
        }
        let kind = demultiplex(packet);
        if kind == Kind::Stun || kind == Kind::Dtls {
            let what = (&*packet, kind, is_rtcp);
            call.keying(now, side, source, what, &mut self.outbox, &mut self.tally);
            if let Some(at) = call.new_wake(side) {
                self.wakes.push(Reverse((at, slot, side)));
            }
        } else if is_rtcp || is_multiplexed(packet) {
            call.rtcp(now, side, source, packet, &self.cname);
        } else {
            call.rtp(now, side, source, packet, &mut self.outbox, &mut self.tally);
            if let Some(at) = call.new_wake(side.other()) {
                self.wakes.push(Reverse((at, slot, side.other())));
            }
        }
    }

    /// Sends the pieces of packets whose time has come.
    fn send_waiting(&mut self) {
        if self.wakes.is_empty() {
            return;
        }
        let now = (self.clock)();
        while let Some((slot, side)) = self.next_wake(now) {
            // The slot may have another call by now; it just has nothing to do yet.
            let Some(call) = self.slots.get_mut(slot).and_then(Option::as_deref_mut) else {
                continue;
            };
            call.wake(now, side);
            call.tell_played(&mut self.outbox);
            call.go_on_keying(now, side, &mut self.outbox);
            if let Some(at) = call.new_wake(side) {
                self.wakes.push(Reverse((at, slot, side)));
            }
        }
    }

    fn next_wake(&mut self, now: Instant) -> Option<(usize, Side)> {
        let Reverse((at, slot, side)) = *self.wakes.peek()?;
        if at > now {
            return None;
        }
        self.wakes.pop();
        Some((slot, side))
    }

    /// Serves some commands; `true` if there may be more.
    fn take_commands(&mut self) -> bool {
        // Closes first, and only then the commands: the open of each close taken
        // here is then in the mailbox already, or done.
        while let Some(id) = self.inbox.next_close() {
            self.closing.push(id);
        }
        let mut is_drained = false;
        for _ in 0..COMMANDS_PER_TURN {
            let Some(command) = self.inbox.next() else {
                is_drained = true;
                break;
            };
            self.obey(command);
        }
        for id in mem::take(&mut self.closing) {
            if self.by_id.contains_key(&id) {
                self.close(id);
            } else if is_drained {
                // Unknown for good: it failed to open, or was closed twice.
                self.outbox.send(id, MediaEvent::Closed(Box::default()));
            } else {
                self.closing.push(id);
            }
        }
        !is_drained
    }

    fn obey(&mut self, command: Command) {
        let now = (self.clock)();
        match command {
            Command::Open { call, a_ip, b_ip } => {
                let event = match self.open(call, a_ip, b_ip) {
                    Ok((a, b)) => MediaEvent::Opened { a, b },
                    Err(reason) => MediaEvent::OpenFailed { reason },
                };
                self.outbox.send(call, event);
                self.expect_more(&[a_ip, b_ip]);
            }
            Command::Adopt { call, a, b } => {
                let (a_ip, b_ip) = (a.0, b.0);
                let mut buffer = [0_u8; DATAGRAM_MAX];
                a.1.drain(&mut buffer);
                b.1.drain(&mut buffer);
                if let Err(reason) = self.seat(call, a.1, b.1) {
                    self.outbox.send(call, MediaEvent::OpenFailed { reason });
                }
                self.expect_more(&[a_ip, b_ip]);
            }
            Command::SetLeg { call, side, plan } => self.set_leg(now, (call, side), *plan),
            Command::SetDeadAfter { call, limits } => {
                if let Some(call) = self.call(call) {
                    call.set_dead_after(now, limits);
                }
            }
            Command::Say { call, side, list } => self.play(now, (call, side), |call| {
                call.leg_mut(side).say(now, list);
            }),
            Command::Silence { call, side } => self.play(now, (call, side), |call| {
                call.leg_mut(side).silence(now);
            }),
            Command::Press { call, side, key } => self.play(now, (call, side), |call| {
                call.leg_mut(side).press(now, key);
            }),
            Command::Music { call, side, clips } => self.play(now, (call, side), |call| {
                call.leg_mut(side).set_music(now, clips);
            }),
            Command::Tap { call, tap, beep } => {
                if let Some(call) = self.call(call) {
                    call.set_tap(now, tap, beep);
                }
            }
            Command::Seat { call, side, wish } => {
                if let Some(slot) = self.by_id.get(&call).copied() {
                    self.rooms.seat(now, &mut self.slots, (slot, side), wish);
                }
            }
            Command::Listen { call, ear } => {
                if let Some(call) = self.call(call) {
                    call.tap.ear = ear;
                }
            }
            Command::Query { call } => {
                if let Some(stats) = self.call(call).map(|call| call.stats(now)) {
                    self.outbox.send(call, MediaEvent::Stats(Box::new(stats)));
                }
            }
        }
    }

    /// Changes what a side may send and receive, and begins the handshake that this waits for.
    fn set_leg(&mut self, now: Instant, (call, side): (u64, Side), plan: LegPlan) {
        let Some(slot) = self.by_id.get(&call).copied() else { return };
        let Some(call) = self.slots.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        call.set_leg(now, side, plan);
        call.wake(now, side);
        call.tell_played(&mut self.outbox);
        call.go_on_keying(now, side, &mut self.outbox);
        if let Some(at) = call.new_wake(side) {
            self.wakes.push(Reverse((at, slot, side)));
        }
        self.rooms.changed(&mut self.slots, slot, side);
    }

    /// Changes what a side hears, and sees to it that it is heard.
    fn play(&mut self, now: Instant, (call, side): (u64, Side), change: impl FnOnce(&mut Call)) {
        let Some(slot) = self.by_id.get(&call).copied() else { return };
        let Some(call) = self.slots.get_mut(slot).and_then(Option::as_deref_mut) else { return };
        change(call);
        call.wake(now, side);
        call.tell_played(&mut self.outbox);
        if let Some(at) = call.new_wake(side) {
            self.wakes.push(Reverse((at, slot, side)));
        }
    }

    fn call(&mut self, id: u64) -> Option<&mut Call> {
        let slot = *self.by_id.get(&id)?;
        self.slots.get_mut(slot)?.as_deref_mut()
    }

    fn open(
        &mut self,
        id: u64,
        a_ip: IpAddr,
        b_ip: IpAddr,
    ) -> Result<(PortPair, PortPair), OpenFailure> {
        if self.by_id.contains_key(&id) {
            return Err(OpenFailure::Duplicate);
        }
        let a = self.open_pair(a_ip)?;
        let b = match self.open_pair(b_ip) {
            Ok(b) => b,
            Err(reason) => {
                self.release(a);
                return Err(reason);
            }
        };
        let ports = (a.ports(), b.ports());
        self.seat(id, a, b)?;
        Ok(ports)
    }

    /// Makes a call of two socket pairs.
    fn seat(&mut self, id: u64, a: SocketPair, b: SocketPair) -> Result<(), OpenFailure> {
        if self.by_id.contains_key(&id) {
            self.release(a);
            self.release(b);
            return Err(OpenFailure::Duplicate);
        }
        let a = Leg::new(a, &mut self.random);
        let b = Leg::new(b, &mut self.random);
        let call = Call::new(id, a, b);
        let slot = self.vacant.pop().unwrap_or(self.slots.len());
        if let Err(error) = self.watch(slot, &call) {
            // What was watched already leaves the poll with its socket.
            self.fill(slot, None);
            self.release(call.a.sockets);
            self.release(call.b.sockets);
            return Err(OpenFailure::Socket(error.kind()));
        }
        self.fill(slot, Some(Box::new(call)));
        self.by_id.insert(id, slot);
        Ok(())
    }

    /// Calls begin on these addresses: pairs are laid aside for the next ones.
    fn expect_more(&mut self, addresses: &[IpAddr]) {
        for address in addresses {
            if !self.addresses.contains(address) && self.addresses.len() < ADDRESSES_MAX {
                self.addresses.push(*address);
            }
        }
        self.is_short = true;
    }

    /// Lays one pair aside; `true` if there is more to do. One a turn, so that audio does not wait for it.
    fn restock(&mut self) -> bool {
        if !self.is_short {
            return false;
        }
        // Someone is taking: he will say so, and then it is tried again.
        let Some(Some(ip)) = self.stock.missing(&self.addresses) else {
            self.is_short = false;
            return false;
        };
        self.is_short = self.pool.free() >= FREE_MIN
            && match SocketPair::open(ip, &mut self.pool) {
                Ok(Some(pair)) => match self.stock.lay_aside(ip, pair) {
                    Ok(()) => true,
                    Err(pair) => {
                        self.release(pair);
                        false
                    }
                },
                // The call that needs it is told why.
                Ok(None) | Err(_) => false,
            };
        self.is_short
    }

    /// Puts a call, or nothing, into a slot.
    fn fill(&mut self, slot: usize, call: Option<Box<Call>>) {
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        if call.is_none() {
            self.vacant.push(slot);
        }
        if let Some(place) = self.slots.get_mut(slot) {
            *place = call;
        }
    }

    fn open_pair(&mut self, ip: IpAddr) -> Result<SocketPair, OpenFailure> {
        let mut opened = SocketPair::open(ip, &mut self.pool);
        if !matches!(opened, Ok(Some(_))) {
            // What lies aside may be what is missing: ports, or descriptors.
            for pair in self.stock.clear() {
                self.release(pair);
            }
            opened = SocketPair::open(ip, &mut self.pool);
        }
        match opened {
            Ok(Some(pair)) => Ok(pair),
            Ok(None) => Err(OpenFailure::NoPorts),
            Err(error) => Err(OpenFailure::Socket(error.kind())),
        }
    }

    fn release(&mut self, pair: SocketPair) {
        let even_port = pair.even_port;
        drop(pair);
        self.pool.give_back(even_port);
    }

    fn watch(&self, slot: usize, call: &Call) -> io::Result<()> {
        for side in [Side::A, Side::B] {
            let sockets = &call.leg(side).sockets;
            for (socket, is_rtcp) in [(&sockets.rtp, false), (&sockets.rtcp, true)] {
                let token = make_token(slot, side, is_rtcp);
                self.epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
            }
        }
        Ok(())
    }

    fn close(&mut self, id: u64) {
        let Some(slot) = self.by_id.remove(&id) else { return };
        self.rooms.leave(&mut self.slots, slot, None);
        let Some(mut call) = self.slots.get_mut(slot).and_then(Option::take) else { return };
        self.vacant.push(slot);
        let now = (self.clock)();
        call.end_saying(&mut self.outbox);
        call.say_goodbye(now, &self.cname);
        let stats = call.stats(now);
        self.release(call.a.sockets);
        self.release(call.b.sockets);
        self.outbox.send(id, MediaEvent::Closed(Box::new(stats)));
    }

    fn check_silence(&mut self) {
        let now = (self.clock)();
        if now < self.next_check {
            return;
        }
        self.next_check = now + CHECK_EVERY;
        let passed = now.since(self.checked_at).as_micros().max(1);
        let share = self.worked.as_micros() * 100 / passed;
        self.counters.set_busy(u64::try_from(share).unwrap_or(100).min(100));
        (self.worked, self.checked_at) = (Duration::ZERO, now);
        for (slot, call) in self.slots.iter_mut().enumerate() {
            let Some(call) = call else { continue };
            call.check_silence(now, &mut self.outbox);
            call.listen(now, &self.cname, &mut self.outbox);
            call.tick_tap(now, &mut self.outbox);
            call.tell_played(&mut self.outbox);
            for side in [Side::A, Side::B] {
                if let Some(at) = call.new_wake(side) {
                    self.wakes.push(Reverse((at, slot, side)));
                }
            }
        }
    }

    fn publish(&self) {
        self.counters.publish(&self.pool, self.by_id.len(), &self.tally, self.outbox.dropped);
    }
}

fn make_token(slot: usize, side: Side, is_rtcp: bool) -> u64 {
    let bits = u64::from(side == Side::B) << 1 | u64::from(is_rtcp);
    (slot as u64) << 2 | bits
}

fn split_token(token: u64) -> Option<(usize, Side, bool)> {
    let side = if token & 2 == 0 { Side::A } else { Side::B };
    Some((usize::try_from(token >> 2).ok()?, side, token & 1 != 0))
}
