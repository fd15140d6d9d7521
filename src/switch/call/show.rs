//! A live call as an operator sees it.

use super::*;
use crate::proto::srtp::Suite;
use crate::switch::cdr::record::Segment;

/// One leg of a [`View`].
#[derive(Clone, Debug)]
pub struct LegView {
    /// `a`, `b1`….
    pub leg: String,
    /// Who is at its end.
    pub party: String,
    /// The Call-ID of its dialog.
    pub sip_call_id: String,
    /// The half of the Session-ID that names its peer (RFC 7989).
    pub session_id: String,
    /// Where its signalling goes.
    pub signalling: Option<SocketAddr>,
    /// What its audio is encrypted by; empty for nothing.
    pub srtp: &'static str,
}

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
    pub legs: Vec<LegView>,
    /// Its story so far.
    pub timeline: Vec<TimelineEntry>,
    /// Its segments so far.
    pub segments: Vec<Segment>,
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
            legs: self
                .legs()
                .map(|(_, leg)| LegView {
                    leg: leg.label.clone(),
                    party: leg.party.clone(),
                    sip_call_id: leg.session.call_id().to_owned(),
                    session_id: format!("{:032x}", leg.session.peer_session_id()),
                    signalling: leg.signalling,
                    srtp: leg.negotiator.suite().map_or("", Suite::name),
                })
                .collect(),
            timeline: if with_story { self.timeline.clone() } else { Vec::new() },
            segments: self.segments.so_far(age),
        }
    }
}
