//! From the changes of a call's phase to segments that add up to the wall clock.

use std::time::Duration;

use super::record::{Segment, SegmentKind};

/// Collects the phases of one call; every instant belongs to exactly one segment.
#[derive(Debug)]
pub struct Segments {
    closed: Vec<Segment>,
    kind: SegmentKind,
    from: Duration,
}

/// Segments a record keeps; a call that goes on and off hold more often has its later changes
/// folded into the last segment, so that the sum stays right.
pub const SEGMENTS_MAX: usize = 512;

impl Default for Segments {
    fn default() -> Self {
        Self { closed: Vec::new(), kind: SegmentKind::Setup, from: Duration::ZERO }
    }
}

impl Segments {
    /// The phase changes; the same phase again, or a change in no time, makes no segment.
    pub fn change(&mut self, at: Duration, kind: SegmentKind) {
        if kind == self.kind || self.closed.len() + 1 >= SEGMENTS_MAX {
            return;
        }
        self.close(at);
        self.kind = kind;
    }

    /// What the call is doing now.
    #[must_use]
    pub const fn current(&self) -> SegmentKind {
        self.kind
    }

    /// The list as it stands at `now`.
    #[must_use]
    pub fn so_far(&self, now: Duration) -> Vec<Segment> {
        let copy = Self { closed: self.closed.clone(), kind: self.kind, from: self.from };
        copy.finish(now)
    }

    /// The finished list, from the call's begin to `end` without a gap.
    #[must_use]
    pub fn finish(mut self, end: Duration) -> Vec<Segment> {
        self.close(end);
        self.closed
    }

    fn close(&mut self, at: Duration) {
        // A clock that went backwards must not make a negative segment.
        let until = at.max(self.from);
        if until > self.from {
            self.closed.push(Segment { kind: self.kind, from: self.from, until });
        }
        self.from = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn segments_add_up_to_the_whole_call() {
        let mut segments = Segments::default();
        segments.change(s(0), SegmentKind::Ring);
        segments.change(s(5), SegmentKind::Talk);
        segments.change(s(5), SegmentKind::Talk);
        segments.change(s(9), SegmentKind::Hold);
        segments.change(s(12), SegmentKind::Talk);
        let list = segments.finish(s(20));
        let words: Vec<_> = list.iter().map(|segment| segment.kind.word()).collect();
        assert_eq!(words, ["ring", "talk", "hold", "talk"]);
        assert_eq!(
            list.iter().map(|segment| segment.until - segment.from).sum::<Duration>(),
            s(20)
        );
    }

    #[test]
    fn a_clock_that_goes_backwards_makes_no_negative_segment() {
        let mut segments = Segments::default();
        segments.change(s(5), SegmentKind::Ring);
        segments.change(s(3), SegmentKind::Talk);
        let list = segments.finish(s(4));
        assert_eq!(list.iter().map(|segment| segment.until - segment.from).sum::<Duration>(), s(5));
    }
}
