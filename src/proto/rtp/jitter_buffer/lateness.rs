//! How late the latest packets of a source came, beside the quickest of them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::proto::time::Instant;

/// Packets that are remembered: ten seconds of 20 ms.
const WINDOW: usize = 512;
/// And for how long, where they are few: two clocks drift apart meanwhile.
const REMEMBERED: Duration = Duration::from_secs(20);
/// One packet in this many may be later than what is needed.
const ONE_IN: usize = 64;
/// So many packets pass before all of them are looked at again.
const PAUSE: usize = 32;

/// Transits: the time of arrival less the media time, in microseconds. Only their
/// differences mean anything (RFC 3550 §6.4.1).
#[derive(Debug)]
pub(super) struct Lateness {
    transits: VecDeque<(Instant, i64)>,
    sorted: Vec<i64>,
    pause: usize,
    least: i64,
    needed: i64,
}

impl Lateness {
    /// Begins with the first packet.
    pub(super) fn new(now: Instant, transit: i64) -> Self {
        let transits = VecDeque::with_capacity(WINDOW);
        let sorted = Vec::with_capacity(WINDOW);
        Self { transits, sorted, pause: 0, least: 0, needed: 0 }.begin(now, transit)
    }

    /// Begins anew, in the same memory.
    pub(super) fn begin(mut self, now: Instant, transit: i64) -> Self {
        self.restart(now, transit);
        self
    }

    /// Forgets all but this packet.
    pub(super) fn restart(&mut self, now: Instant, transit: i64) {
        self.transits.clear();
        self.transits.push_back((now, transit));
        (self.pause, self.least, self.needed) = (0, transit, transit);
    }

    /// The transit of the quickest packet.
    pub(super) fn least(&self) -> i64 {
        self.least
    }

    /// The transit that all but one in [`ONE_IN`] did not exceed.
    pub(super) fn needed(&self) -> i64 {
        self.needed
    }

    /// Takes the next packet.
    pub(super) fn packet(&mut self, now: Instant, transit: i64) {
        if self.transits.len() >= WINDOW {
            self.transits.pop_front();
        }
        self.transits.push_back((now, transit));
        self.least = self.least.min(transit);
        self.pause += 1;
        if self.pause >= PAUSE || transit > self.needed {
            self.look(now);
        }
    }

    fn look(&mut self, now: Instant) {
        self.pause = 0;
        while self.transits.front().is_some_and(|(at, _)| now.since(*at) > REMEMBERED) {
            self.transits.pop_front();
        }
        self.sorted.clear();
        self.sorted.extend(self.transits.iter().map(|(_, transit)| *transit));
        let Some(last) = self.sorted.len().checked_sub(1) else { return };
        let (_, needed, _) = self.sorted.select_nth_unstable(last - last / ONE_IN);
        self.needed = *needed;
        self.least = self.sorted.iter().copied().min().unwrap_or(self.needed);
    }
}
