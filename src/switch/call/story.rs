//! What a call tells of itself: lines of its timeline, events, and when and on which side.

use super::*;

impl Call {
    /// Adds a line to the timeline.
    pub(super) fn note(
        &mut self,
        now: Instant,
        leg: &str,
        what: &'static str,
        text: impl Into<String>,
    ) {
        if self.timeline.len() >= TIMELINE_MAX {
            self.timeline_dropped += 1;
            return;
        }
        let at = now.since(self.began_at);
        self.timeline.push(TimelineEntry { at, leg: leg.to_owned(), what, text: text.into() });
    }

    pub(super) fn side_name(&self, side: Side) -> String {
        let label = match side {
            _ if self.side_of(At::A) == side => self.a.as_ref().map(|leg| leg.label.clone()),
            _ => {
                self.winner.and_then(|index| self.branches.get(index)).map(|leg| leg.label.clone())
            }
        };
        label.unwrap_or_else(|| if side == Side::A { "a" } else { "b" }.to_owned())
    }

    /// The side of the relay that a leg speaks to.
    pub(super) fn side_of(&self, at: At) -> Side {
        if matches!(at, At::B(_)) == self.is_swapped { Side::A } else { Side::B }
    }

    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        now.since(self.began_at)
    }

    pub(super) fn wall(&self, now: Instant) -> Wall {
        self.began.at.plus(self.elapsed(now))
    }

    pub(super) fn event(
        &self,
        kind: &'static str,
        fields: Vec<(&'static str, String)>,
        out: &mut Vec<Output>,
    ) {
        out.push(Output::Event { kind, fields });
    }
}
