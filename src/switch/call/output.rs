//! What a call wants done, and how far it has come.

use std::net::IpAddr;
use std::time::Duration;

use super::{Leg, Line, Origin, RoomWish, Seat, Side};
use crate::proto::sdp::StreamPlan;
use crate::proto::sip::endpoint::{ClientKey, ServerKey};
use crate::proto::sip::message::Packet;
use crate::proto::sip::method::Method;
use crate::proto::sip::session::{Digit, Replaces};
use crate::proto::sip::transport::Dest;
use crate::switch::cdr::record::{CallId, Record};
use crate::switch::health::{Outcome, Place};
use crate::switch::identity::{Reason, Shown};
use crate::switch::speech::Say;

/// What a call wants of the media plane.
#[derive(Clone, Debug)]
pub enum MediaOp {
    /// Open a port pair for each side, bound to these addresses.
    Open {
        /// Side a's address.
        a: IpAddr,
        /// Side b's address.
        b: IpAddr,
    },
    /// Watch for silence: how much of it ends the call, while talking and while held; zero never.
    Watch {
        /// While both sides should send.
        talk: Duration,
        /// While one side holds.
        hold: Duration,
    },
    /// Bring a side's peer a digit in its stream, as an event if it takes them, else as a tone.
    Press {
        /// Whose peer.
        side: Side,
        /// The key's event (RFC 4733 §3.2).
        event: u8,
        /// How long it was down.
        duration: Duration,
    },
    /// Music on hold for a side, instead of the other side.
    Music {
        /// Who hears it.
        side: Side,
        /// From now on, or not any more.
        is_on: bool,
    },
    /// A side is in a room with this place, or in none.
    Room {
        /// Which side.
        side: Side,
        /// Its place.
        place: Option<Seat>,
    },
    /// Say something to these sides, each once and behind what it is told already. How it ended comes back for each of them as
    /// [`SpeechInput::Played`](super::SpeechInput::Played).
    Say {
        /// Who hears it.
        sides: Vec<Side>,
        /// Its name.
        token: u64,
        /// What.
        say: Say,
    },
    /// Say nothing more of what was wanted by [`MediaOp::Say`] to a side.
    Silence {
        /// Who hears no more of it.
        side: Side,
    },
    /// Transcribe what both sides say from now on, or not any more. A refusal comes back as
    /// [`SpeechInput::NotTranscribed`](super::SpeechInput::NotTranscribed).
    Listen {
        /// From now on?
        is_on: bool,
    },
    /// About the recording.
    Tape(TapeOp),
    /// What may flow on a side now.
    Set(Side, StreamPlan),
    /// Close everything and report.
    Close,
}

/// What a call wants of the recorder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TapeOp {
    /// Record what both sides say from now on, and tell them by a beep that often, unless that is zero. A refusal comes
    /// back as [`Input::NotRecorded`](super::Input::NotRecorded).
    Begin {
        /// How often they hear it.
        beep: Duration,
    },
    /// What is said from now on is not to be recorded.
    Pause,
    /// It is again.
    Resume,
}

/// A number that a call wants to ring.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Locate {
    /// The number.
    pub dialled: String,
    /// Call-ID and our tag of the dialog whose peer wants it: its rights decide. `None`: the phone that was
    /// rung last.
    pub by: Option<(String, String)>,
    /// Who the new party is shown as the caller; `None`: the caller of the call.
    pub shown: Option<Shown>,
    /// The whole URI, where it may name one device.
    pub uri: Option<String>,
    /// Why the call goes there.
    pub why: Why,
}

/// Why a call goes to another number than it was placed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// A phone transfers it. `is_told`: it named itself to the new party (RFC 3892).
    Transferred {
        /// Does the new party learn of it?
        is_told: bool,
    },
    /// The phone that was rung sent it there.
    Redirected(Reason),
}

/// Whom a call gives to another one that a phone wants connected with it.
#[derive(Debug)]
pub enum Handed {
    /// Who talks to that phone: the leg.
    Leg(Box<Leg>),
    /// Nobody yet: this number was being rung for it.
    Number(String),
}

/// What a call wants done.
#[derive(Debug)]
pub enum Output {
    /// Send a request in a transaction.
    Send {
        /// Its transaction.
        client: ClientKey,
        /// Where to.
        dest: Dest,
        /// Its method.
        method: Method,
        /// The request without our Via.
        request: Packet,
    },
    /// Send an ACK.
    SendAck {
        /// Where to.
        dest: Dest,
        /// The ACK without our Via.
        request: Packet,
    },
    /// Cancel an INVITE of ours.
    Cancel {
        /// Its transaction.
        client: ClientKey,
        /// The Reason header.
        reason: Option<String>,
    },
    /// Send a response.
    Respond {
        /// Its transaction.
        server: ServerKey,
        /// The status.
        status: u16,
        /// The response.
        packet: Packet,
    },
    /// Requests with this Call-ID and To tag are for this call.
    Listen {
        /// The Call-ID.
        call_id: String,
        /// Our tag.
        tag: String,
        /// Whom the leg belongs to: who else may speak in its dialog is checked by it.
        peer: Origin,
        /// Where its signalling comes from.
        source: Option<IpAddr>,
    },
    /// Its phones that are on the line now, all of them: what the lamps of others show.
    Lines(Vec<Line>),
    /// A leg pressed a key, and said so in its signalling.
    Digit {
        /// Its label.
        leg: String,
        /// The key.
        digit: Digit,
    },
    /// What came of an INVITE to a trunk, once for each.
    Tried {
        /// The trunk.
        trunk: String,
        /// Where it went.
        place: Place,
        /// What came of it.
        outcome: Outcome,
    },
    /// It was answered by this party: an extension, or a trunk's name.
    Answered(String),
    /// Where does this number lead now? Answered by [`Input::Located`](super::Input::Located).
    Locate(Locate),
    /// Bring the party of another call here: an attended transfer. Answered by [`Input::Fetched`](super::Input::Fetched).
    Fetch {
        /// The dialog of the phone that transfers in that other call.
        replaces: Replaces,
        /// Call-ID and our tag of its dialog in this one.
        by: (String, String),
        /// What the ports are bound to that await the party here.
        bound: IpAddr,
    },
    /// What another call asked for.
    HandOver {
        /// That call.
        to: CallId,
        /// Whom it gets; none if it cannot have anybody.
        handed: Option<Handed>,
    },
    /// Of the rooms. Answered by [`Input::Room`](super::Input::Room).
    Room(RoomWish),
    /// The call that wanted to listen may, or may not.
    Watched {
        /// That call.
        by: CallId,
        /// It may.
        is_allowed: bool,
    },
    /// Nobody can listen to this call any more.
    WatchOver,
    /// For the media plane.
    Media(MediaOp),
    /// For the event stream.
    Event {
        /// The kind, such as `call.answered`.
        kind: &'static str,
        /// Its fields beside the call's id.
        fields: Vec<(&'static str, String)>,
    },
    /// The call's record; it comes exactly once.
    Record(Box<Record>),
    /// Nothing is left to do: forget the call.
    Done,
}

/// How far a call has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Routing, opening ports, sending.
    Setup,
    /// Somebody rings.
    Ringing,
    /// Answered.
    Talking,
    /// Hung up; dialogs and ports are being ended.
    Closing,
    /// Nothing is left.
    Over,
}

impl Phase {
    /// The word in tables and events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Ringing => "ringing",
            Self::Talking => "talking",
            Self::Closing => "closing",
            Self::Over => "over",
        }
    }
}
