//! A live call as an operator sees it.

use super::*;
use crate::switch::cdr::record::Segment;

/// A live call.
#[derive(Clone, Debug)]
pub struct View {
    /// What was known at its begin.
    pub began: Began,
    /// How far it has come.
    pub phase: Phase,
    /// When it was answered.
    pub answered: Option<Wall>,
    /// Is it recorded?
    pub recording: Recording,
    /// Its age.
    pub age: Duration,
    /// Its legs.
    pub legs: Vec<LegRecord>,
    /// Its story so far.
    pub timeline: Vec<TimelineEntry>,
    /// Its segments so far.
    pub segments: Vec<Segment>,
    /// Who was heard by whom so far, if that can be told.
    pub hearing: Option<Hearing>,
}

impl Call {
    /// The call as it is now. `with_story` adds the timeline, which lists do not need.
    #[must_use]
    pub fn view(&self, now: Instant, with_story: bool) -> View {
        let age = self.elapsed(now);
        View {
            began: self.began.clone(),
            phase: self.phase,
            answered: self.answered,
            recording: self.recording,
            age,
            legs: self.leg_records(),
            timeline: if with_story { self.timeline.clone() } else { Vec::new() },
            segments: self.segments.so_far(age),
            hearing: self.hearing().filter(|_| with_story),
        }
    }
}
