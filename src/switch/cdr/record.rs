//! The service record: one per call, with ordered segments that add up to the wall clock.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use super::sound::Sound;
use crate::proto::time::Wall;
use crate::switch::cause::Cause;

/// The id of a call, unique over restarts and nodes; printed as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CallId(pub u64);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CallId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

/// Between whom a call went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Phone to phone.
    Internal,
    /// From a trunk.
    Inbound,
    /// To a trunk.
    Outbound,
}

impl Direction {
    /// The word in records and tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Who ended the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HungUpBy {
    /// The side that placed the call.
    Caller,
    /// The side that was called.
    Called,
    /// Tandem itself: a limit, a timer, an error.
    System,
    /// A person at the control socket.
    Operator,
}

impl HungUpBy {
    /// The word in records and tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Called => "called",
            Self::System => "system",
            Self::Operator => "operator",
        }
    }
}

/// What the call was doing during a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentKind {
    /// Before the first ringing: routing, sending, waiting for a trunk.
    Setup,
    /// Somebody's phone rings.
    Ring,
    /// Both sides are connected.
    Talk,
    /// One side holds the other.
    Hold,
    /// A side handed the other to somebody who has not answered yet.
    Transfer,
    /// After the hang-up until both legs were gone.
    Release,
}

impl SegmentKind {
    /// The word in records and tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Ring => "ring",
            Self::Talk => "talk",
            Self::Hold => "hold",
            Self::Transfer => "transfer",
            Self::Release => "release",
        }
    }
}

/// A stretch of the call. Segments follow each other without gaps and add up to the call's length.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// What the call was doing.
    pub kind: SegmentKind,
    /// From the call's begin, inclusive.
    pub from: Duration,
    /// From the call's begin, exclusive.
    pub until: Duration,
}

/// One line of the call's story.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TimelineEntry {
    /// From the call's begin.
    pub at: Duration,
    /// The leg it concerns: `a`, `b1`, `b2`…; empty for the call itself.
    pub leg: String,
    /// The catalogued happening, such as `sip.in`, `sip.out`, `media.heard`, `call.answered`.
    pub what: &'static str,
    /// The particulars, for a person: `INVITE`, `486 Busy Here`, `first audio from 127.0.0.1:4000`.
    pub text: String,
}

/// The line of the timeline that says who was heard by whom.
pub const VERDICT: &str = "media.verdict";

/// What one leg carried.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct LegRecord {
    /// `a`, `b1`, `b2`….
    pub leg: String,
    /// The extension, number or trunk at its end.
    pub party: String,
    /// The Call-ID of its dialog.
    pub sip_call_id: String,
    /// The Session-ID that its peer has, the same on all hops of the call; empty for none (RFC 7989).
    pub session_id: String,
    /// Where its signalling went.
    pub signalling: Option<SocketAddr>,
    /// Where its audio came from.
    pub audio: Option<SocketAddr>,
    /// What its audio was encrypted by at last; empty for nothing.
    pub srtp: &'static str,
    /// The last final status on it; 0 if there was none.
    pub status: u16,
    /// RTP packets received.
    pub packets_in: u64,
    /// RTP packets sent.
    pub packets_out: u64,
    /// RTP packets that never arrived.
    pub lost: u64,
    /// Interarrival jitter in milliseconds (RFC 3550 §6.4.1).
    pub jitter_ms: f64,
    /// How it sounded.
    pub sound: Sound,
    /// What was not passed on, in words; empty if all of it was.
    pub dropped: String,
}

/// What is known when a call begins: the journal's row, from which a record is made after a power cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Began {
    /// The call.
    pub call: CallId,
    /// When it began.
    pub at: Wall,
    /// Between whom.
    pub direction: Direction,
    /// The caller's number or extension.
    pub caller: String,
    /// He wanted it to be told to nobody.
    pub is_withheld: bool,
    /// The number as dialled.
    pub called: String,
    /// The trunk it came from or goes to; empty for an internal call.
    pub trunk: String,
}

/// The record of an ended call.
#[derive(Clone, PartialEq, Debug)]
pub struct Record {
    /// What was known at the begin (the trunk is the one that took the call).
    pub began: Began,
    /// When it was answered.
    pub answered: Option<Wall>,
    /// When the last leg was gone.
    pub ended: Wall,
    /// Why it ended.
    pub cause: &'static Cause,
    /// Who ended it.
    pub hung_up_by: HungUpBy,
    /// Ordered, without gaps, from begin to end.
    pub segments: Vec<Segment>,
    /// What happened, in order.
    pub timeline: Vec<TimelineEntry>,
    /// Its legs.
    pub legs: Vec<LegRecord>,
}
