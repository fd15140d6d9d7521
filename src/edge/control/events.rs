//! What happened, numbered: a bounded memory that subscribers replay and follow.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::edge::clock;
use crate::edge::command::reply::rfc3339;
use crate::proto::time::Wall;

/// Events that are kept. When full, the oldest is forgotten; a subscriber that asks for it is told
/// of the gap, one that was following is disconnected.
pub const EVENTS_MAX: usize = 10_000;
/// Bytes of particulars that are kept; the oldest events are forgotten for them as well. An event has
/// about 100, so this is room for very talkative ones.
const BYTES_MAX: usize = 4 << 20;

/// One happening.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Grows by one from event to event, and never repeats over restarts.
    pub seq: u64,
    /// When; written as RFC 3339 in UTC.
    #[serde(serialize_with = "written")]
    pub at: Wall,
    /// The catalogued kind, such as `call.answered`.
    pub kind: &'static str,
    /// The particulars, as JSON: a tree of them would take five times the room.
    pub fields: Box<RawValue>,
}

fn written<S: Serializer>(at: &Wall, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

/// The log; copies share it. Usable from any thread.
#[derive(Clone, Debug)]
pub struct EventLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    // Held for a push or for copying a page of events, never over a wait.
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
struct Ring {
    /// The number before the first event of this run.
    start: u64,
    newest: u64,
    slots: VecDeque<Slot>,
    /// The particulars of all slots, end to end. Ten thousand small allocations that live on would pin the
    /// pages of everything that was freed around them.
    bytes: VecDeque<u8>,
    max: usize,
}

/// An event without its particulars: `len` bytes of the ring, behind those of the slots before.
#[derive(Debug)]
struct Slot {
    at: Wall,
    kind: &'static str,
    len: usize,
}

impl Ring {
    /// The number before the oldest kept event.
    fn floor(&self) -> u64 {
        self.newest - self.slots.len() as u64
    }

    fn push(&mut self, kind: &'static str, at: Wall, fields: &Value) {
        self.newest += 1;
        if self.slots.len() >= self.max {
            self.forget_oldest();
        }
        let before = self.bytes.len();
        // A tree of values can always be written; should it not, the event itself is what matters.
        if serde_json::to_writer(&mut self.bytes, fields).is_err() {
            self.bytes.truncate(before);
            let _ = self.bytes.write_all(b"null");
        }
        self.slots.push_back(Slot { at, kind, len: self.bytes.len() - before });
        while self.bytes.len() > BYTES_MAX && self.slots.len() > 1 {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(slot) = self.slots.pop_front() {
            self.bytes.drain(..slot.len);
        }
    }

    /// Up to `max` events from the `skip`th on.
    fn page(&self, skip: usize, max: usize) -> Vec<Event> {
        let first = self.newest - self.slots.len() as u64 + 1;
        let mut begin: usize = self.slots.iter().take(skip).map(|slot| slot.len).sum();
        let mut events = Vec::new();
        for (index, slot) in self.slots.iter().enumerate().skip(skip).take(max) {
            let text: Vec<u8> = self.bytes.range(begin..begin + slot.len).copied().collect();
            begin += slot.len;
            let fields =
                String::from_utf8(text).ok().and_then(|text| RawValue::from_string(text).ok());
            events.push(Event {
                seq: first + index as u64,
                at: slot.at,
                kind: slot.kind,
                fields: fields.unwrap_or_else(|| RawValue::NULL.to_owned()),
            });
        }
        events
    }
}

/// Numbers that are not kept any more, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
}

/// What a subscriber gets next.
#[derive(Clone, Debug)]
pub enum Next {
    /// Events in order, at least one.
    Events(Vec<Event>),
    /// Nothing yet.
    Nothing,
    /// The subscriber fell behind by more than the log keeps.
    Lost(Gap),
}

impl EventLog {
    /// A log whose numbers begin at the wall clock in microseconds: a daemon cannot publish one
    /// event per microsecond on average, so the next run begins above.
    #[must_use]
    pub fn new(start: Wall) -> Self {
        Self::with_max(start, EVENTS_MAX)
    }

    fn with_max(start: Wall, max: usize) -> Self {
        let start = u64::try_from(start.0).unwrap_or(0);
        let (slots, bytes) = (VecDeque::new(), VecDeque::new());
        let ring = Ring { start, newest: start, slots, bytes, max };
        let newest = watch::Sender::new(start);
        Self { shared: Arc::new(Shared { ring: Mutex::new(ring), newest }) }
    }

    /// Adds an event and returns its number. Waits for nobody.
    pub fn publish(&self, kind: &'static str, fields: &Value) -> u64 {
        let at = clock::wall();
        let mut ring = self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.push(kind, at, fields);
        let seq = ring.newest;
        // Inside the lock, so that the newest number never goes backwards.
        self.shared.newest.send_replace(seq);
        seq
    }

    /// The newest number.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner).newest
    }

    /// Follows the events after `since`; 0 means all that are kept, `None` new ones only.
    ///
    /// The gap tells what was asked for and is not kept any more.
    #[must_use]
    pub fn subscribe(&self, since: Option<u64>) -> (Subscription, Option<Gap>) {
        let ring = self.shared.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = ring.floor();
        let wanted = match since {
            None => ring.newest,
            Some(0) => ring.start,
            // A number from the future is another machine's: follow from now.
            Some(since) => since.min(ring.newest),
        };
        let gap = (wanted < floor).then_some(Gap { from: wanted + 1, to: floor });
        let at = wanted.max(floor);
        let subscription = Subscription {
            log: self.clone(),
            at,
            behind: ring.newest - at,
            newest: self.shared.newest.subscribe(),
        };
        (subscription, gap)
    }
}

/// A place in the log; it costs the publisher nothing however slow its owner is.
#[derive(Debug)]
pub struct Subscription {
    log: EventLog,
    at: u64,
    behind: u64,
    newest: watch::Receiver<u64>,
}

impl Subscription {
    /// Events that were there when the subscription was made: the length of the replay.
    #[must_use]
    pub const fn replayed(&self) -> u64 {
        self.behind
    }

    /// Waits until there is something to take. Cancelling it loses nothing.
    pub async fn ready(&mut self) {
        let at = self.at;
        // The sender lives as long as the log, which this subscription holds.
        let _ = self.newest.wait_for(|newest| *newest > at).await;
    }

    /// Takes up to `max` events without waiting.
    pub fn take(&mut self, max: usize) -> Next {
        let ring = self.log.shared.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = ring.floor();
        if self.at < floor {
            return Next::Lost(Gap { from: self.at + 1, to: floor });
        }
        let skip = usize::try_from(self.at - floor).unwrap_or(usize::MAX);
        let events = ring.page(skip, max);
        self.at += events.len() as u64;
        if events.is_empty() { Next::Nothing } else { Next::Events(events) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn numbers(next: Next) -> Vec<u64> {
        match next {
            Next::Events(events) => events.iter().map(|event| event.seq).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn log(max: usize, events: u64) -> EventLog {
        let log = EventLog::with_max(Wall(1000), max);
        (0..events).for_each(|n| {
            log.publish("test", &json!({ "n": n }));
        });
        log
    }

    #[test]
    fn a_subscriber_replays_and_then_follows() {
        let log = log(100, 5);
        let (mut subscription, gap) = log.subscribe(Some(1002));
        assert_eq!(gap, None);
        assert_eq!(numbers(subscription.take(2)), [1003, 1004]);
        assert_eq!(numbers(subscription.take(9)), [1005]);
        assert!(matches!(subscription.take(9), Next::Nothing));
        log.publish("test", &json!({}));
        assert_eq!(numbers(subscription.take(9)), [1006]);
    }

    #[test]
    fn what_is_too_old_is_a_gap_at_first_and_a_loss_later() {
        let log = log(3, 5);
        let (mut subscription, gap) = log.subscribe(Some(900));
        assert_eq!(gap, Some(Gap { from: 901, to: 1002 }));
        assert_eq!(numbers(subscription.take(1)), [1003]);
        (0..2).for_each(|_| {
            log.publish("test", &json!({}));
        });
        assert!(matches!(subscription.take(9), Next::Lost(Gap { from: 1004, to: 1004 })));
    }

    #[test]
    fn long_particulars_push_old_events_out_and_none_out_of_place() {
        let log = EventLog::with_max(Wall(0), 100);
        let words = |n: u64| json!({ "n": n, "words": "x".repeat(BYTES_MAX / 4) });
        (0..9).for_each(|n| {
            log.publish("long", &words(n));
        });
        let (mut subscription, gap) = log.subscribe(Some(1));
        assert_eq!(gap, Some(Gap { from: 2, to: 6 }));
        let Next::Events(events) = subscription.take(9) else { panic!() };
        assert_eq!(events.len(), 3);
        for event in events {
            assert_eq!(event.fields.get(), words(event.seq - 1).to_string());
        }
    }

    #[test]
    fn zero_is_all_that_is_kept_and_none_is_only_what_is_new() {
        assert_eq!(log(100, 5).subscribe(Some(0)).1, None);
        assert_eq!(log(3, 5).subscribe(Some(0)).1, Some(Gap { from: 1001, to: 1002 }));
        assert!(matches!(log(100, 5).subscribe(None).0.take(9), Next::Nothing));
        assert!(matches!(log(100, 5).subscribe(Some(u64::MAX)).0.take(9), Next::Nothing));
    }

    #[tokio::test]
    async fn a_waiting_subscriber_wakes_for_a_thread_that_publishes() {
        let log = log(100, 0);
        let (mut subscription, _) = log.subscribe(None);
        let other = log.clone();
        let thread = std::thread::spawn(move || other.publish("test", &json!({})));
        subscription.ready().await;
        assert_eq!(numbers(subscription.take(9)), [1001]);
        thread.join().unwrap();
    }
}
