//! Puts the packets of one source in order and lets each out when it is to be played
//! (RFC 3550 §5.1, §6.4.1). The delay follows the network: none where packets come in
//! time, and as much as all but a few of the latest needed where they do not.

mod lateness;

use std::collections::VecDeque;
use std::time::Duration;

use super::packet::{Header, Ssrc};
use super::sequence::{Arrival, Sequence};
use crate::proto::time::Instant;
use lateness::Lateness;

/// Packets that are held at most: 200 ms in packets of 2.5 and some more. When full, the
/// oldest is skipped.
pub const HELD_MAX: usize = 100;
/// Bytes of the longest payload that is held; a longer one is refused, and so is lost.
pub const PAYLOAD_MAX: usize = 2_048;
/// A gap longer than this is not made up for: nobody is helped by more of a guess.
const GAP_MAX_US: i64 = 240_000;
/// What a packet may be late without any delay for it: it is played when it comes.
const IGNORED_US: i64 = 1_000;
/// A timestamp that is this far from the clock is another clock's.
const JUMP_US: i64 = 1_000_000;
/// Packets may be too late for this long; then it is they who are right.
const TOO_LATE: Duration = Duration::from_millis(200);
/// The longest packet; a longer step between timestamps is a silence.
const PACKET_MAX_US: i64 = 120_000;
/// By how much the delay shrinks with a packet, while somebody talks: a fortieth of 20 ms,
/// so packets leave a little closer together and never in a burst.
const SHRINK_US: i64 = 500;

/// How the delay is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// By what the latest packets needed, between the two. `max` also bounds how long a
    /// packet is held.
    Adaptive {
        /// The delay on a network that adds none.
        min: Duration,
        /// Packets that would need more are dropped.
        max: Duration,
    },
    /// The same for all, for what is spoilt by any change: fax.
    Fixed(Duration),
}

impl Default for Delay {
    fn default() -> Self {
        Self::Adaptive { min: Duration::ZERO, max: Duration::from_millis(200) }
    }
}

/// What is to be played now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play<'a> {
    /// A packet.
    Packet {
        /// As it came.
        header: Header,
        /// What follows the header.
        payload: &'a [u8],
    },
    /// A packet that did not come in time.
    Lost {
        /// Units of timestamp that it probably lasted.
        ticks: u32,
        /// The packet after it, if no other is missing between: its redundancy may help.
        next: Option<(Header, &'a [u8])>,
    },
}

/// What became of packets that were not played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unplayed {
    /// Came after their time was over.
    pub late: u64,
    /// Came twice.
    pub duplicate: u64,
    /// Were thrown away because more than the most had gathered.
    pub skipped: u64,
    /// Too long, or one number far off.
    pub refused: u64,
    /// Told as [`Play::Lost`].
    pub lost: u64,
}

/// The buffer of one receiver.
#[derive(Debug)]
pub struct JitterBuffer {
    clock_rate: i64,
    delay: Delay,
    source: Option<Source>,
    /// In order of their numbers.
    held: VecDeque<Held>,
    /// Buffers of packets that were played, to be used again.
    spare: Vec<Vec<u8>>,
    /// The payload that was given out last.
    playing: Vec<u8>,
    unplayed: Unplayed,
}

/// What is known of the source that is heard.
#[derive(Debug)]
struct Source {
    ssrc: Ssrc,
    sequence: Sequence,
    /// The newest timestamp, as it came and counted on over its wraps.
    newest: (u32, i64),
    /// Ticks from one packet to the next while somebody talks; 0 until that is known.
    packet_ticks: i64,
    lateness: Lateness,
    /// What is added to a packet's media time to know when it is played.
    offset: i64,
    /// Of the packet that was played, or told as lost, last: its number and its ticks.
    played: Option<(u32, i64)>,
    /// When that was.
    played_at: i64,
    /// Since when every packet was too late.
    too_late_since: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    /// The sequence number, counted on over its wraps.
    number: u32,
    /// The timestamp, counted on over its wraps.
    ticks: i64,
    header: Header,
    /// Empty if there is nothing to play.
    payload: Vec<u8>,
}

/// What comes next.
struct Due {
    /// When, in microseconds.
    at: i64,
    /// Where the packet is among those that are held.
    index: usize,
    /// How many are missing before it, and how many ticks each probably lasted.
    missing: Option<(i64, i64)>,
}

impl JitterBuffer {
    /// A buffer for a source whose timestamps count `clock_rate` a second.
    #[must_use]
    pub fn new(clock_rate: u32, delay: Delay) -> Self {
        Self {
            clock_rate: i64::from(clock_rate.max(1)),
            delay,
            source: None,
            held: VecDeque::with_capacity(HELD_MAX),
            spare: Vec::with_capacity(HELD_MAX),
            playing: Vec::new(),
            unplayed: Unplayed::default(),
        }
    }

    /// Takes a packet that came. Give what is not audio (telephone events) with an empty
    /// payload: its number is then no loss, and there is nothing to play.
    ///
    /// Another SSRC begins anew. A marker alone tells nothing: some set it on every packet.
    pub fn insert(&mut self, now: Instant, header: &Header, payload: &[u8]) {
        if payload.len() > PAYLOAD_MAX {
            self.unplayed.refused += 1;
            return;
        }
        let Some(source) = self.source.as_mut().filter(|source| source.ssrc == header.ssrc) else {
            if !payload.is_empty() {
                self.begin(now, header);
                self.hold(now, header, payload, 0);
            }
            return;
        };
        let missing = match source.sequence.packet(header.sequence) {
            Arrival::Newer { missing } => Some(missing),
            Arrival::Late => None,
            Arrival::Duplicate => {
                self.unplayed.duplicate += 1;
                return;
            }
            Arrival::Probation | Arrival::Jump => {
                self.unplayed.refused += 1;
                return;
            }
            Arrival::Restarted => {
                self.begin(now, header);
                None
            }
        };
        let silence = missing.map_or(0, |missing| self.silence(header, missing));
        self.hold(now, header, payload, silence);
        self.pass_over();
    }

    /// When [`JitterBuffer::pop`] has something next.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due().map(|due| Instant::from_micros(u64::try_from(due.at).unwrap_or(0)))
    }

    /// What is to be played at `now`; call it again until there is nothing.
    ///
    /// A packet that never came is told once the one after it is there, when it should
    /// have been played. Silence of a sender that sends none is no loss: nothing is told.
    pub fn pop(&mut self, now: Instant) -> Option<Play<'_>> {
        let due = self.due().filter(|due| due.at <= micros(now))?;
        let source = self.source.as_mut()?;
        if let Some((missing, each)) = due.missing {
            let next = self.held.get(due.index)?;
            let (number, _) = source.played?;
            source.played = Some((number.wrapping_add(1), next.ticks - missing * each));
            self.unplayed.lost += 1;
            self.pass_over();
            let next = self.held.iter().find(|held| !held.payload.is_empty());
            let next = next.filter(|_| missing == 1);
            let next = next.map(|held| (held.header, held.payload.as_slice()));
            return Some(Play::Lost { ticks: u32::try_from(each).unwrap_or(0), next });
        }
        for _ in 0..due.index {
            let nothing = self.held.pop_front().map(|held| held.payload);
            self.keep(nothing);
        }
        let held = self.held.pop_front()?;
        let source = self.source.as_mut()?;
        if let Some((number, ticks)) = source.played {
            let step = held.ticks - ticks;
            let is_next = held.number == number.wrapping_add(1);
            // A longer step is a silence.
            if is_next && step > 0 && step <= PACKET_MAX_US * self.clock_rate / 1_000_000 {
                source.packet_ticks = step;
            }
        }
        source.played = Some((held.number, held.ticks));
        source.played_at = micros(now);
        let before = std::mem::replace(&mut self.playing, held.payload);
        self.keep(Some(before));
        self.pass_over();
        Some(Play::Packet { header: held.header, payload: &self.playing })
    }

    /// How long a packet that the network did not hold up is held now.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let held = self.source.as_ref().map_or(0, |s| s.offset - s.lateness.least());
        Duration::from_micros(u64::try_from(held).unwrap_or(0))
    }

    /// How many packets are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// What was not played so far.
    #[must_use]
    pub fn unplayed(&self) -> Unplayed {
        self.unplayed
    }

    /// Begins with a source, or with what it counts from now on.
    fn begin(&mut self, now: Instant, header: &Header) {
        self.clear();
        let ticks = i64::from(header.timestamp);
        let transit = micros(now) - self.media_time(ticks);
        let lateness = match self.source.take() {
            Some(source) => source.lateness.begin(now, transit),
            None => Lateness::new(now, transit),
        };
        self.source = Some(Source {
            ssrc: header.ssrc,
            sequence: Sequence::trusted(header.sequence),
            newest: (header.timestamp, ticks),
            packet_ticks: 0,
            lateness,
            offset: transit + self.bounds().0,
            played: None,
            played_at: micros(now),
            too_late_since: None,
        });
    }

    /// How long the sender was silent before this packet, in microseconds, if `missing`
    /// were lost before it.
    fn silence(&self, header: &Header, missing: u16) -> i64 {
        let Some(source) = &self.source else { return 0 };
        if source.packet_ticks == 0 {
            return 0;
        }
        let step = i64::from(header.timestamp.wrapping_sub(source.newest.0).cast_signed());
        let silent = step - source.packet_ticks * (i64::from(missing) + 1);
        self.media_time(silent).clamp(0, JUMP_US)
    }

    /// Puts a packet in its place, if it has one.
    fn hold(&mut self, now: Instant, header: &Header, payload: &[u8], silence: i64) {
        let is_audio = !payload.is_empty();
        let Some(source) = &mut self.source else { return };
        let number = source.number(header.sequence);
        let is_newest = is_audio && number == source.sequence.extended_max();
        let ticks = source.count_on(header.timestamp, is_newest);
        let is_over = source.played.is_some_and(|(played, _)| !is_after(number, played));
        let placed =
            if is_audio { self.measure(now, ticks, silence, is_over) } else { Some(ticks) };
        let Some(ticks) = placed.filter(|_| !is_over) else {
            self.unplayed.late += u64::from(is_audio);
            return;
        };
        if self.held.len() >= HELD_MAX {
            self.skip();
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(payload);
        let before = self.held.iter().rposition(|held| is_after(number, held.number));
        let held = Held { number, ticks, header: *header, payload: buffer };
        self.held.insert(before.map_or(0, |before| before + 1), held);
        if is_audio {
            self.bound(now);
        }
    }

    /// Lets a packet tell how late packets come, and moves the delay. Gives its ticks, or
    /// `None` if it comes too late for any delay.
    fn measure(&mut self, now: Instant, ticks: i64, silence: i64, is_over: bool) -> Option<i64> {
        let transit = micros(now).saturating_sub(self.media_time(ticks));
        let (least, most) = self.bounds();
        let source = self.source.as_mut()?;
        let late = transit.saturating_sub(source.lateness.least());
        if late > most || late < -JUMP_US {
            let since = *source.too_late_since.get_or_insert(now);
            let is_wrong = late.saturating_abs() > JUMP_US || now.since(since) >= TOO_LATE;
            return (is_wrong && !is_over).then(|| self.follow(now, ticks));
        }
        source.too_late_since = None;
        source.lateness.packet(now, transit);
        let quickest = source.lateness.least();
        let wanted = match self.delay {
            Delay::Adaptive { .. } => {
                let needed = source.lateness.needed() - quickest;
                let needed = if needed <= IGNORED_US { 0 } else { needed };
                quickest + needed.clamp(least, most)
            }
            // Another one only when this one is far from what it should be.
            Delay::Fixed(_) if (quickest + least - source.offset).abs() <= least / 2 => {
                source.offset
            }
            Delay::Fixed(_) => quickest + least,
        };
        if source.offset > wanted {
            source.offset = (source.offset - SHRINK_US - silence).max(wanted);
        } else {
            source.offset = wanted;
        }
        let is_adaptive = matches!(self.delay, Delay::Adaptive { .. });
        if is_adaptive && !is_over && transit > source.offset + IGNORED_US {
            source.offset = transit;
        }
        Some(ticks)
    }

    /// Takes the clock of a packet for the right one: its timestamps count anew, or the
    /// network has become slower for good.
    /// Gives the packet's ticks, counted on from its timestamp, so that no row of jumps
    /// leads beyond what can be counted.
    fn follow(&mut self, now: Instant, ticks: i64) -> i64 {
        self.clear();
        let (least, _) = self.bounds();
        let anew = ticks & i64::from(u32::MAX);
        let transit = micros(now).saturating_sub(self.media_time(anew));
        if let Some(source) = &mut self.source {
            source.newest.1 = source.newest.1.saturating_sub(ticks - anew);
            source.lateness.restart(now, transit);
            source.offset = transit + least;
            source.too_late_since = None;
            source.played = source.played.map(|(number, _)| (number, anew));
        }
        anew
    }

    /// Sees to it that nothing is held for longer than the most.
    fn bound(&mut self, now: Instant) {
        let (_, most) = self.bounds();
        let Some(newest) = self.held.iter().rfind(|held| !held.payload.is_empty()) else { return };
        let newest = self.media_time(newest.ticks);
        let Some(source) = &mut self.source else { return };
        let too_long = newest + source.offset - micros(now) - most;
        if too_long <= 0 {
            return;
        }
        source.offset -= too_long;
        // What is over by that is skipped: played at once it would only gather behind us.
        let earliest = source.played_at + source.packet_ticks * 1_000_000 / self.clock_rate;
        while self.due().is_some_and(|due| due.at < earliest.max(micros(now))) {
            self.skip();
        }
    }

    /// The first packet with something to play, and what is missing before it.
    fn due(&self) -> Option<Due> {
        let source = self.source.as_ref()?;
        let index = self.held.iter().position(|held| !held.payload.is_empty())?;
        let held = self.held.get(index)?;
        let at = self.media_time(held.ticks) + source.offset;
        let whole = Due { at, index, missing: None };
        let Some((number, ticks)) = source.played else { return Some(whole) };
        let step = i64::from(held.number.wrapping_sub(number));
        let missing = step - 1 - i64::try_from(index).unwrap_or(0);
        if missing <= 0 {
            return Some(whole);
        }
        let each = (held.ticks - ticks) / step;
        let each = if source.packet_ticks > 0 { each.min(source.packet_ticks) } else { each };
        let gap = self.media_time(missing.saturating_mul(each));
        // Packets that would be shorter than any are not missing: a stranger's numbers jump, and none is made up for them.
        if each < self.clock_rate / 400 || gap > GAP_MAX_US {
            return Some(whole);
        }
        Some(Due { at: at - gap, index, missing: Some((missing, each)) })
    }

    /// Passes over what is next and has nothing to play.
    fn pass_over(&mut self) {
        let Some(source) = &mut self.source else { return };
        let Some((number, _)) = &mut source.played else { return };
        while let Some(held) = self.held.front() {
            let is_next = !is_after(held.number, number.wrapping_add(1));
            if !held.payload.is_empty() || !is_next {
                break;
            }
            *number = held.number;
            let nothing = self.held.pop_front().map(|held| held.payload);
            self.spare.extend(nothing);
        }
    }

    /// Gives the oldest packet up.
    fn skip(&mut self) {
        let Some(held) = self.held.pop_front() else { return };
        self.unplayed.skipped += u64::from(!held.payload.is_empty());
        if let Some(source) = &mut self.source {
            source.played = Some((held.number, held.ticks));
        }
        self.keep(Some(held.payload));
    }

    fn clear(&mut self) {
        while let Some(held) = self.held.pop_front() {
            self.unplayed.skipped += u64::from(!held.payload.is_empty());
            self.keep(Some(held.payload));
        }
    }

    /// Lays a buffer aside. There are never more than packets held and one that is played.
    fn keep(&mut self, buffer: Option<Vec<u8>>) {
        self.spare.extend(buffer.filter(|buffer| buffer.capacity() > 0));
    }

    /// The least and the longest delay, in microseconds.
    fn bounds(&self) -> (i64, i64) {
        let micros =
            |span: Duration| i64::try_from(span.as_micros()).unwrap_or(JUMP_US).min(JUMP_US);
        match self.delay {
            Delay::Adaptive { min, max } => (micros(min.min(max)), micros(max)),
            Delay::Fixed(delay) => (micros(delay), 2 * micros(delay)),
        }
    }

    /// Microseconds for ticks of the source.
    fn media_time(&self, ticks: i64) -> i64 {
        ticks.saturating_mul(1_000_000) / self.clock_rate
    }
}

impl Source {
    /// A sequence number of a packet that was just counted, with its wraps.
    fn number(&self, sequence: u16) -> u32 {
        let newest = self.sequence.extended_max();
        let back = (newest & 0xffff).wrapping_sub(u32::from(sequence)) & 0xffff;
        newest.wrapping_sub(back)
    }

    /// A timestamp, with its wraps; those of the next packets are counted from the newest.
    fn count_on(&mut self, timestamp: u32, is_newest: bool) -> i64 {
        let step = timestamp.wrapping_sub(self.newest.0).cast_signed();
        let ticks = self.newest.1.saturating_add(i64::from(step));
        if is_newest {
            self.newest = (timestamp, ticks);
        }
        ticks
    }
}

fn micros(now: Instant) -> i64 {
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

/// Is `a` after `b`, over the wrap?
fn is_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}
