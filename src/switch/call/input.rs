//! What a call begins with and what happens to it.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::{Handed, Replacement, RoomNews, SpeechInput, Visit};
use crate::proto::audio::FaxTone;
use crate::proto::sip::auth::client::Credentials;
use crate::proto::sip::endpoint::{ClientKey, Failure, ServerKey};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::reason::Reasons;
use crate::proto::sip::location::Location;
use crate::proto::sip::message::Message;
use crate::proto::sip::transport::{Dest, Flow};
use crate::proto::srtp::Keys;
use crate::switch::cause::Cause;
use crate::switch::cdr::record::{Began, CallId, HungUpBy};
use crate::switch::cdr::sound::{Packets, Sound};
use crate::switch::identity::Shown;
use crate::switch::recording::RecordOrder;
use crate::switch::snapshot::Snapshot;

/// Who placed a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A phone of ours, by its extension.
    Phone(String),
    /// A trunk, by its name.
    Trunk(String),
    /// An operator, for this extension.
    Operator(String),
}

/// One place to ring.
#[derive(Clone, Debug)]
pub struct Target {
    /// For the timeline and the record: an extension or a trunk's name.
    pub party: String,
    /// Is it a trunk? Then a failure of it may be the next one's turn.
    pub is_trunk: bool,
    /// The Request-URI.
    pub uri: String,
    /// Preloaded routes (RFC 3327 §5.2).
    pub routes: Vec<String>,
    /// Where to.
    pub dest: Dest,
    /// Our Contact value towards it.
    pub contact: String,
    /// Our address for its audio.
    pub media_ip: IpAddr,
    /// The From value towards it, without tag.
    pub from: String,
    /// The To value.
    pub to: String,
    /// Further headers.
    pub headers: Vec<(HeaderName, String)>,
    /// Our account there.
    pub credentials: Option<Credentials>,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// How long it may stay silent before the next group is tried.
    pub try_timeout: Option<Duration>,
    /// Where the caller is, for an emergency call.
    pub location: Option<Location>,
    /// Where the phone sends calls that find it busy, and those that it does not answer.
    pub forwards: [Option<String>; 2],
    /// Another flow of the same device, for when this one turns out to be broken (RFC 5626 §5.3).
    pub next_flow: Option<Box<Target>>,
}

impl Target {
    /// This place, and the further flows of its device in the order in which they are tried.
    pub fn flows(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |target| target.next_flow.as_deref())
    }

    /// Adds headers to its INVITE, whichever flow it takes.
    pub fn add_headers(&mut self, headers: &[(HeaderName, String)]) {
        let mut next = Some(self);
        while let Some(target) = next {
            target.headers.extend_from_slice(headers);
            next = target.next_flow.as_deref_mut();
        }
    }

    /// What is left of it where only such flows may be taken; `None` if it has none.
    #[must_use]
    pub fn only(mut self, may: &impl Fn(&Self) -> bool) -> Option<Self> {
        let next = self.next_flow.take().and_then(|next| next.only(may));
        if !may(&self) {
            return next;
        }
        self.next_flow = next.map(Box::new);
        Some(self)
    }
}

/// Where a call may go: groups in order, the targets of a group ring together.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The groups.
    pub groups: VecDeque<Vec<Target>>,
    /// What was matched, for the timeline.
    pub because: String,
    /// Where it goes if nobody is rung.
    pub visit: Option<Visit>,
}

impl Plan {
    /// Leaves the flows that may be taken, and no group that is empty.
    pub fn retain(&mut self, may: impl Fn(&Target) -> bool) {
        for group in &mut self.groups {
            let all = std::mem::take(group).into_iter();
            *group = all.filter_map(|target| target.only(&may)).collect();
        }
        self.groups.retain(|group| !group.is_empty());
    }
}

/// The INVITE that a call begins with.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its transaction.
    pub server: ServerKey,
    /// The INVITE.
    pub request: Message,
    /// Where it came from.
    pub flow: Flow,
    /// Our tag on it.
    pub tag: String,
    /// Our Contact value towards the caller.
    pub contact: String,
    /// Our address for the caller's audio.
    pub media_ip: IpAddr,
}

/// Everything a call begins with.
#[derive(Clone, Debug)]
pub struct Start {
    /// What the journal stores.
    pub began: Began,
    /// Who placed it.
    pub origin: Origin,
    /// The configuration that it keeps.
    pub snapshot: Arc<Snapshot>,
    /// Its randomness.
    pub seed: [u8; 32],
    /// The caller's INVITE; `None` if an operator placed the call.
    pub incoming: Option<Incoming>,
    /// Where it goes, or why nowhere.
    pub plan: Result<Plan, &'static Cause>,
    /// For an operator's call: the phone that is rung first.
    pub first: Option<Vec<Target>>,
    /// What media sockets are bound to, on side a and side b.
    pub media_bind: (IpAddr, IpAddr),
    /// Our name in `User-Agent`.
    pub user_agent: String,
    /// Max-Forwards for the other leg: one less than the caller's.
    pub max_forwards: u8,
    /// The first lines of the timeline, with their kinds.
    pub remarks: Vec<(&'static str, String)>,
    /// Who calls, as the called side is shown it.
    pub caller: Shown,
    /// Was a service code dialled? Then it is answered here, and ends by itself.
    pub is_service: bool,
    /// Does it go to an emergency number? Then every trunk is tried, whatever the one before answered.
    pub is_emergency: bool,
}

/// A side of the media relay.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Side {
    /// The side that placed the call.
    A,
    /// The side that is called.
    B,
}

impl Side {
    /// The side across.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// RTP and RTCP port of one side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// The even one.
    pub rtp: u16,
    /// The odd one.
    pub rtcp: u16,
}

impl Target {
    /// Whom it leads to.
    pub(super) fn peer(&self) -> Origin {
        if self.is_trunk {
            Origin::Trunk(self.party.clone())
        } else {
            Origin::Phone(self.party.clone())
        }
    }
}

/// What one side of the relay carried.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SideStats {
    /// RTP packets received.
    pub packets_in: u64,
    /// RTP packets sent.
    pub packets_out: u64,
    /// RTP packets that never arrived.
    pub lost: u64,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: f64,
    /// How it sounded.
    pub sound: Sound,
    /// All packets of the call, with those that were not passed on.
    pub flow: Packets,
    /// The same since both sides were connected.
    pub talk: Packets,
    /// How long ago that was; zero if they never were.
    pub talked: Duration,
    /// Where the latest packet came from that was not of the side's peer.
    pub stranger: Option<SocketAddr>,
    /// Where the audio came from.
    pub source: Option<SocketAddr>,
}

/// What happens to a call.
#[derive(Debug)]
pub enum Input {
    /// A request in one of its dialogs.
    Request {
        /// Its transaction.
        server: ServerKey,
        /// The request.
        request: Message,
        /// Where it came from.
        flow: Flow,
    },
    /// The peer cancelled this INVITE of its, the first one or a later one, for these reasons.
    Cancelled(ServerKey, Reasons),
    /// A response to a request of the call.
    Response {
        /// The request's transaction.
        client: ClientKey,
        /// The response.
        response: Message,
    },
    /// A request of the call ended without a response.
    Failed {
        /// Its transaction.
        client: ClientKey,
        /// Why.
        why: Failure,
    },
    /// The answer to [`Output::Locate`](super::Output::Locate).
    Located(Result<Plan, &'static Cause>),
    /// Another call wants the party across from this leg of ours, named by its Call-ID and our tag.
    Wanted {
        /// The leg that is replaced.
        leg: (String, String),
        /// Who wants it.
        to: CallId,
        /// What the ports are bound to that await it there.
        bound: IpAddr,
    },
    /// An INVITE wants the place of one of its legs.
    Replace(Box<Replacement>),
    /// The answer to [`Output::Fetch`](super::Output::Fetch).
    Fetched(Result<Handed, &'static Cause>),
    /// Somebody wants it recorded, or not.
    Record {
        /// What is wanted.
        order: RecordOrder,
        /// Who wants it, in words.
        by: String,
    },
    /// A side in a room pressed a key: it is for us.
    Digit {
        /// Which side.
        side: Side,
        /// The key's event (RFC 4733 §3.2).
        event: u8,
    },
    /// A side in a room talks, or not any more.
    Talking {
        /// Which side.
        side: Side,
        /// It does.
        is_on: bool,
    },
    /// A side sent a tone of fax machines in its audio.
    FaxTone(Side, FaxTone),
    /// The rooms tell it something.
    Room(RoomNews),
    /// Another call wants to listen to this one, or listens no more.
    Watched {
        /// That call.
        by: CallId,
        /// Who it is.
        who: String,
        /// It wants to.
        is_on: bool,
    },
    /// It is not recorded, or not any more.
    NotRecorded {
        /// Why.
        why: &'static str,
        /// Is there a file with what was said before?
        has_begun: bool,
    },
    /// The media ports are open.
    MediaOpened {
        /// Side a's.
        a: Ports,
        /// Side b's.
        b: Ports,
    },
    /// No media ports could be opened.
    MediaRefused(&'static str),
    /// The first packet of a side was forwarded.
    Heard(Side),
    /// A side's audio comes from, and is sent to, this address.
    Latched(Side, SocketAddr),
    /// DTLS agreed on the keys of this association.
    Keyed {
        /// Its number.
        number: u64,
        /// The keys.
        keys: Box<Keys>,
    },
    /// A side's audio gets no keys, for this reason.
    NotKeyed(Side, &'static str),
    /// A side that should be sending has been silent for this long.
    DeadMedia(Side, Duration),
    /// The side across pressed a key that this side takes in no form that its stream can have.
    Pressed {
        /// Who is to be told by its signalling.
        side: Side,
        /// The key's event (RFC 4733 §3.2).
        event: u8,
        /// How long it was down.
        duration: Duration,
    },
    /// Some seconds after both sides were connected, one of them at least has not been heard; the figures so far.
    Unheard(Box<[SideStats; 2]>),
    /// The figures so far, because somebody wants to see them.
    Figures(Box<[SideStats; 2]>),
    /// The ports are closed; what they carried.
    MediaClosed(Box<[SideStats; 2]>),
    /// A phone of ours says how the call sounds on its leg, named by its Call-ID and our tag.
    Reported {
        /// The leg.
        leg: (String, String),
        /// Its figures.
        text: String,
    },
    /// About what is said to it, and what is heard of it.
    Speech(SpeechInput),
    /// Something happened on its way that its story should have.
    Noted {
        /// The kind, such as `stir.signed`.
        what: &'static str,
        /// In words.
        text: String,
    },
    /// An operator, or the drain of the daemon, ends the call.
    HangUp(&'static Cause, HungUpBy),
}

impl Input {
    /// Does nobody come again with it if it is lost? A peer repeats its requests, and its responses where they matter;
    /// audio is heard again, a report is a report.
    #[must_use]
    pub const fn comes_once(&self) -> bool {
        !matches!(
            self,
            Self::Request { .. }
                | Self::Response { .. }
                | Self::Heard(_)
                | Self::Latched(..)
                | Self::Figures(_)
                | Self::Reported { .. }
        )
    }
}
