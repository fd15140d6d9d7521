//! The front of the media workers for the rest of the daemon.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use super::call::{DeadAfter, LegPlan, Side, Tally};
use super::event::{MediaSink, Outbox};
use super::keys::Key;
use super::mailbox::{Command, Mailbox, MediaBusy, mailbox};
use super::port_pool::{PortPair, PortPool, PortRange, Random};
use super::saying::{PLAYLIST_MAX, Playlist};
use super::seat::{Part, RoomKey};
use super::stock::Stock;
use super::worker::Worker;
use crate::edge::recording::Tap;
use crate::edge::sounds::Clips;
use crate::edge::speech::Ear;
use crate::proto::time::Instant;

/// The daemon's clock, as the workers read it.
pub type MediaClock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// What the workers need to know at their start.
#[derive(Clone)]
pub struct MediaConfig {
    /// Ports for RTP and RTCP. A call needs two pairs.
    pub ports: PortRange,
    /// Threads; one per core is right. At least 1.
    pub workers: usize,
    /// The clock that all events and statistics refer to.
    pub clock: MediaClock,
    /// Randomness of the operating system, for SSRCs and the order of ports.
    pub seed: u64,
    /// Our canonical name in RTCP (RFC 7022): should tell nothing about the host.
    pub cname: String,
}

/// The running workers. Dropping it without [`MediaPlane::shutdown`] stops them
/// too, but does not wait for them.
#[derive(Debug)]
pub struct MediaPlane {
    handle: MediaHandle,
    threads: Vec<JoinHandle<()>>,
}

/// Speaks to the workers; cheap to clone. Every call lives on one worker.
///
/// Commands never wait. [`MediaBusy`] means that the command was not taken; see
/// [`super::COMMANDS_MAX`].
#[derive(Clone, Debug)]
pub struct MediaHandle {
    mailboxes: Arc<[Mailbox]>,
    stocks: Arc<[Stock]>,
    counters: Arc<[Arc<WorkerCounters>]>,
    /// The worker that a call of this handle lives on; by the call's number if none was chosen.
    seat: Option<usize>,
}

/// Calls that a worker is given before the next one gets any. A thread that relays many calls finds
/// several packets at each wake-up, so a few hundred calls cost a third less on one thread than on two,
/// and are a quarter of what one core can do.
const FILL: u64 = 400;
/// Percent of its time that a worker may be busy and still be given calls before the next one: what is converted costs ten times what
/// is relayed, and all calls of a thread that cannot keep up lose packets.
const BUSY_MAX: u64 = 50;

/// Sums over all workers, for `doctor` and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MediaCounters {
    /// Calls with open sockets.
    pub calls: u64,
    /// Port pairs that are free.
    pub port_pairs_free: u64,
    /// Port pairs in use: two for each call.
    pub port_pairs_used: u64,
    /// RTP packets relayed.
    pub packets_relayed: u64,
    /// RTP packets of a peer that were not relayed, for any reason.
    pub packets_dropped: u64,
    /// RTP packets from addresses that are no peer's.
    pub packets_from_strangers: u64,
    /// RTP packets that were to be of a peer's key, and were not, or came again.
    pub packets_unauthentic: u64,
    /// Events that found no room at their owner.
    pub events_dropped: u64,
    /// Percent of its time that the busiest worker works.
    pub busiest_percent: u64,
}

#[derive(Debug, Default)]
pub(super) struct WorkerCounters {
    calls: AtomicU64,
    free: AtomicU64,
    used: AtomicU64,
    relayed: AtomicU64,
    dropped: AtomicU64,
    strangers: AtomicU64,
    unauthentic: AtomicU64,
    events_dropped: AtomicU64,
    /// Of its time, in percent, as of the last quarter of a second that it had calls.
    busy: AtomicU64,
}

impl WorkerCounters {
    pub(super) fn set_busy(&self, percent: u64) {
        self.busy.store(percent, Relaxed);
    }

    /// Called by the worker once a turn: plain stores, since it is the only writer.
    pub(super) fn publish(&self, pool: &PortPool, calls: usize, tally: &Tally, events: u64) {
        // Pairs that are laid aside belong to no call: they are as good as free.
        let used = 2 * calls as u64;
        self.calls.store(calls as u64, Relaxed);
        self.free.store((pool.total() as u64).saturating_sub(used), Relaxed);
        self.used.store(used, Relaxed);
        self.relayed.store(tally.relayed, Relaxed);
        self.dropped.store(tally.dropped, Relaxed);
        self.strangers.store(tally.strangers, Relaxed);
        self.unauthentic.store(tally.unauthentic, Relaxed);
        self.events_dropped.store(events, Relaxed);
    }
}

impl MediaPlane {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread, a poll or a wake-up descriptor.
    pub fn start(config: &MediaConfig, sink: Arc<dyn MediaSink>) -> io::Result<Self> {
        let workers = config.workers.max(1);
        let mut random = Random::new(config.seed);
        let mut mailboxes = Vec::with_capacity(workers);
        let mut counters = Vec::with_capacity(workers);
        let mut stocks = Vec::with_capacity(workers);
        let mut ready = Vec::with_capacity(workers);
        for share in 0..workers {
            let pool = PortPool::new(config.ports, share, workers, random.next());
            let (mail, inbox) = mailbox(pool.free() / 2)?;
            let counter = Arc::new(WorkerCounters::default());
            let stock = Stock::default();
            let worker = Worker::new(
                inbox,
                Outbox::new(Arc::clone(&sink)),
                pool,
                stock.clone(),
                random.next(),
                config,
                Arc::clone(&counter),
            )?;
            mailboxes.push(mail);
            stocks.push(stock);
            counters.push(counter);
            ready.push(worker);
        }
        let handle = MediaHandle {
            mailboxes: mailboxes.into(),
            stocks: stocks.into(),
            counters: counters.into(),
            seat: None,
        };
        let mut plane = Self { handle, threads: Vec::with_capacity(workers) };
        for (number, worker) in ready.into_iter().enumerate() {
            let builder = std::thread::Builder::new().name(format!("media-{number}"));
            plane.threads.push(builder.spawn(move || worker.run())?);
        }
        Ok(plane)
    }

    /// A way to speak to the workers.
    #[must_use]
    pub fn handle(&self) -> MediaHandle {
        self.handle.clone()
    }

    /// Threads that have ended although nobody told them to. Their calls have no
    /// audio, and every command to them is [`MediaBusy`].
    #[must_use]
    pub fn workers_lost(&self) -> usize {
        self.threads.iter().filter(|thread| thread.is_finished()).count()
    }

    /// Closes all calls, which are still reported, and waits for the threads. One
    /// that has panicked has nothing left to wait for.
    pub fn shutdown(mut self) {
        self.handle.stop();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for MediaPlane {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

impl MediaHandle {
    fn index(&self, call: u64) -> Option<usize> {
        let by_number = || call.checked_rem(self.mailboxes.len() as u64).unwrap_or_default();
        self.seat.or_else(|| usize::try_from(by_number()).ok())
    }

    fn mailbox(&self, call: u64) -> Result<&Mailbox, MediaBusy> {
        self.index(call).and_then(|index| self.mailboxes.get(index)).ok_or(MediaBusy)
    }

    /// A handle for one call, on the worker that has most to do and still has room, or else the least.
    #[must_use]
    pub fn seated(&self) -> Self {
        let load = |worker: &WorkerCounters| worker.calls.load(Relaxed);
        let has_ports = |worker: &WorkerCounters| worker.free.load(Relaxed) >= 2;
        // An idle worker does not look at the clock: what it was busy with is over.
        let busy = |worker: &WorkerCounters| {
            if load(worker) == 0 { 0 } else { worker.busy.load(Relaxed) }
        };
        let has_room = |worker: &WorkerCounters| load(worker) < FILL && busy(worker) < BUSY_MAX;
        let with_room =
            self.counters.iter().position(|worker| has_room(worker) && has_ports(worker));
        let least = || {
            let open = self.counters.iter().enumerate().filter(|(_, worker)| has_ports(worker));
            open.min_by_key(|(_, worker)| (busy(worker) / 10, load(worker))).map(|(index, _)| index)
        };
        Self { seat: with_room.or_else(least), ..self.clone() }
    }

    fn stop(&self) {
        self.mailboxes.iter().for_each(Mailbox::stop);
    }

    /// Opens a socket pair for each side, on these local addresses: those that the
    /// peers are told, or that are mapped to them. Answered by `Opened` or
    /// `OpenFailed`. A call takes four file descriptors.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: the call has no media.
    pub fn open(&self, call: u64, a_ip: IpAddr, b_ip: IpAddr) -> Result<(), MediaBusy> {
        self.mailbox(call)?.send(Command::Open { call, a_ip, b_ip })
    }

    /// Opens a call with sockets that were laid aside and says their ports at once; no `Opened` follows. `None` when
    /// there are none on these addresses, or the worker takes no more commands: then [`MediaHandle::open`] is to be
    /// asked. Should the worker fail to watch the sockets, `OpenFailed` follows.
    #[must_use]
    pub fn open_now(&self, call: u64, a_ip: IpAddr, b_ip: IpAddr) -> Option<(PortPair, PortPair)> {
        let index = self.index(call)?;
        let (mailbox, stock) = (self.mailboxes.get(index)?, self.stocks.get(index)?);
        let (a, b) = stock.take(a_ip, b_ip)?;
        let ports = (a.ports(), b.ports());
        let adopt = Command::Adopt { call, a: Box::new((a_ip, a)), b: Box::new((b_ip, b)) };
        match mailbox.try_send(adopt) {
            Ok(()) => Some(ports),
            Err(Command::Adopt { a, b, .. }) => {
                for (ip, pair) in [*a, *b] {
                    stock.put_back(ip, pair);
                }
                None
            }
            Err(_) => None,
        }
    }

    /// Sets what one side may send and receive. Nothing flows before both are set.
    /// A call that is not open is ignored.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: the side is as it was.
    pub fn set_leg(&self, call: u64, side: Side, plan: LegPlan) -> Result<(), MediaBusy> {
        self.mailbox(call)?.send(Command::SetLeg { call, side, plan: Box::new(plan) })
    }

    /// Sets how long a side may be silent, from now on. Without it, for ever: to be
    /// set at the answer, since nobody need send while it rings.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: the limits are as they were.
    pub fn set_dead_after(&self, call: u64, limits: DeadAfter) -> Result<(), MediaBusy> {
        self.mailbox(call)?.send(Command::SetDeadAfter { call, limits })
    }

    /// A side hears this once instead of the other side: from now on, or behind what it is told already, without a gap. If it
    /// has a name, `Played` tells how it ended; a call that is not open says nothing.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: it is not heard, and no `Played` follows. So it is with a list of more than [`PLAYLIST_MAX`] sounds.
    pub fn say(&self, call: u64, side: Side, list: Playlist) -> Result<(), MediaBusy> {
        if list.clips.len() > PLAYLIST_MAX {
            return Err(MediaBusy);
        }
        self.mailbox(call)?.send(Command::Say { call, side, list })
    }

    /// A side is told nothing more of what has a name: that, and what waits behind it, is cut off.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: it is heard to its end.
    pub fn silence(&self, call: u64, side: Side) -> Result<(), MediaBusy> {
        self.mailbox(call)?.send(Command::Silence { call, side })
    }

    /// A side's peer is to be brought a digit in its stream: as an event if it takes them, else as a tone.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: it is not.
    pub fn press(&self, call: u64, side: Side, key: Key) -> Result<(), MediaBusy> {
        self.mailbox(call)?.send(Command::Press { call, side, key })
    }

    /// A side hears this again and again instead of the other side; `None`: it hears the other side again.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: it hears what it heard.
    pub fn music(&self, call: u64, side: Side, clips: Option<Clips>) -> Result<(), MediaBusy> {
        self.mailbox(call)?.send(Command::Music { call, side, clips })
    }

    /// A side takes part in a room from now on, in another way, or not any more. The rooms of a worker are its own: who is to
    /// be in one has to be seated there ([`MediaHandle::seated_at`], [`MediaHandle::seated_in`]).
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: it is where it was.
    pub fn room(
        &self,
        call: u64,
        side: Side,
        wish: Option<(RoomKey, Part)>,
    ) -> Result<(), MediaBusy> {
        self.mailbox(call)?.send(Command::Seat { call, side, wish })
    }

    /// A handle for a call that goes into a room that has a number.
    #[must_use]
    pub fn seated_in(&self, room: u64) -> Self {
        let worker = room.checked_rem(self.mailboxes.len() as u64).unwrap_or_default();
        Self { seat: usize::try_from(worker).ok(), ..self.clone() }
    }

    /// A handle for a call that is to be where another one is.
    #[must_use]
    pub fn seated_at(&self, seat: usize) -> Self {
        Self { seat: Some(seat), ..self.clone() }
    }

    /// The worker that a call of this handle lives on.
    #[must_use]
    pub const fn seat(&self) -> Option<usize> {
        self.seat
    }

    /// Lets a recorder listen from now on, and both sides hear a beep that often. The tap is dropped, and so the recording
    /// ends, with the call.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: the recording is over already.
    pub fn tap(&self, call: u64, tap: Box<Tap>, beep: Option<Duration>) -> Result<(), MediaBusy> {
        if beep.is_some() {
            // Encoded here, the first time, and not where audio would wait for it.
            drop(super::player::beep());
        }
        self.mailbox(call)?.send(Command::Tap { call, tap, beep })
    }

    /// Lets a recogniser listen from now on; `None`: it does not any more. Dropping the ear ends the transcript.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: all is as it was.
    pub fn listen(&self, call: u64, ear: Option<Box<Ear>>) -> Result<(), MediaBusy> {
        self.mailbox(call)?.send(Command::Listen { call, ear })
    }

    /// Asks for the statistics so far. Answered by `Stats`; not at all if there is
    /// no such call.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`]: there will be no answer.
    pub fn query(&self, call: u64) -> Result<(), MediaBusy> {
        self.mailbox(call)?.send(Command::Query { call })
    }

    /// Closes the sockets and gives the ports back. Answered by `Closed`, with
    /// empty statistics if there is no such call. Has a mailbox of its own with
    /// room for every call, so that no port is lost when commands are refused.
    ///
    /// # Errors
    ///
    /// [`MediaBusy`] only if calls were closed many times over, or the plane is shut.
    pub fn close(&self, call: u64) -> Result<(), MediaBusy> {
        self.mailbox(call)?.close(call)
    }

    /// Sums over all workers, as of their latest turn.
    #[must_use]
    pub fn counters(&self) -> MediaCounters {
        let mut sum = MediaCounters::default();
        for worker in self.counters.iter() {
            sum.calls += worker.calls.load(Relaxed);
            sum.port_pairs_free += worker.free.load(Relaxed);
            sum.port_pairs_used += worker.used.load(Relaxed);
            sum.packets_relayed += worker.relayed.load(Relaxed);
            sum.packets_dropped += worker.dropped.load(Relaxed);
            sum.packets_from_strangers += worker.strangers.load(Relaxed);
            sum.packets_unauthentic += worker.unauthentic.load(Relaxed);
            sum.events_dropped += worker.events_dropped.load(Relaxed);
            let busy = if worker.calls.load(Relaxed) == 0 { 0 } else { worker.busy.load(Relaxed) };
            sum.busiest_percent = sum.busiest_percent.max(busy);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls, free port pairs and percent of work.
    type Worker = (u64, u64, u64);

    /// A handle on workers with so many calls, free ports and percent of work, that are not there.
    fn handle(workers: &[Worker]) -> MediaHandle {
        let counters = workers.iter().map(|(calls, free, busy)| {
            let counter = WorkerCounters::default();
            counter.calls.store(*calls, Relaxed);
            counter.free.store(*free, Relaxed);
            counter.set_busy(*busy);
            Arc::new(counter)
        });
        MediaHandle {
            mailboxes: Vec::new().into(),
            stocks: Vec::new().into(),
            counters: counters.collect(),
            seat: None,
        }
    }

    #[test]
    fn a_call_is_seated_where_there_is_room() {
        let grid: &[(&[Worker], usize)] = &[
            // The first is filled before the next one.
            (&[(100, 50, 20), (0, 50, 0)], 0),
            (&[(FILL, 50, 20), (0, 50, 0)], 1),
            // What is converted makes a thread busy with few calls.
            (&[(60, 50, 55), (0, 50, 0)], 1),
            (&[(60, 50, 95), (300, 50, 61)], 1),
            // What an idle one was busy with is over.
            (&[(0, 50, 99), (0, 50, 0)], 0),
            // Without ports there is no seat.
            (&[(10, 1, 5), (700, 50, 80)], 1),
        ];
        for (workers, seat) in grid {
            assert_eq!(handle(workers).seated().seat, Some(*seat), "{workers:?}");
        }
        assert_eq!(handle(&[(60, 50, 55), (10, 50, 40)]).counters().busiest_percent, 55);
    }
}
