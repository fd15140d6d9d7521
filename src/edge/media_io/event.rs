//! What the media workers tell the owners of calls.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::mpsc;

use super::call::Side;
use super::keys::Key;
use super::stats::CallStats;
use crate::proto::audio::FaxTone;
use crate::proto::srtp::Keys;
use crate::switch::speech::PlayEnd;

/// Something that happened to a call's media.
#[derive(Debug)]
pub enum MediaEvent {
    /// The sockets are there: RTP and RTCP port of each side.
    Opened {
        /// Side A.
        a: (u16, u16),
        /// Side B.
        b: (u16, u16),
    },
    /// There are no sockets, and no call.
    OpenFailed {
        /// Why.
        reason: OpenFailure,
    },
    /// The first RTP packet from this side has been relayed.
    Heard {
        /// Who spoke.
        side: Side,
    },
    /// The peer of this side sends from here, and is sent to here.
    Latched {
        /// Whose peer.
        side: Side,
        /// Where it is.
        address: SocketAddr,
    },
    /// The keys of this side's audio are agreed on by DTLS.
    Keyed {
        /// Whose audio.
        side: Side,
        /// The number of the association.
        number: u64,
        /// The keys.
        keys: Box<Keys>,
    },
    /// They never will be.
    NotKeyed {
        /// Whose audio.
        side: Side,
        /// Why.
        why: &'static str,
    },
    /// Nothing has come from this side for longer than the limit. Said once for
    /// each silence.
    Dead {
        /// Who is silent.
        side: Side,
        /// Since the last packet, or since the leg was last set.
        silent_for: Duration,
    },
    /// The other side pressed a key that this side's peer takes neither as an event nor as a tone of ours.
    Pressed {
        /// Whose peer is to be told by its signalling.
        side: Side,
        /// The key.
        key: Key,
    },
    /// A side in a room pressed a key: it is for us.
    Digit {
        /// Who pressed it.
        side: Side,
        /// The key.
        key: Key,
    },
    /// A side sent a tone of fax machines in its audio. Said once for each of them.
    Fax {
        /// Who sent it.
        side: Side,
        /// Which.
        tone: FaxTone,
    },
    /// A side in a room began to talk, or is silent.
    Talking {
        /// Who.
        side: Side,
        /// It talks.
        is_on: bool,
    },
    /// Ten seconds after both sides were connected, nothing of at least one of them has gone on to the other. Said once.
    Unheard(Box<CallStats>),
    /// What was to be said to a side has ended; comes once for each list that has a name.
    Played {
        /// Who heard it.
        side: Side,
        /// Its name.
        token: u64,
        /// How it ended.
        end: PlayEnd,
    },
    /// The recorder takes no more of it.
    NotRecorded,
    /// The answer to a query.
    Stats(Box<CallStats>),
    /// The sockets are closed and the ports are back; the last event of a call.
    Closed(Box<CallStats>),
}

/// Why a call got no sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenFailure {
    /// Every port pair of the worker is in use.
    NoPorts,
    /// The system refused a socket: most often no such local address, or no
    /// file descriptors.
    Socket(io::ErrorKind),
    /// There is a call of this id.
    Duplicate,
}

impl fmt::Display for OpenFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPorts => f.write_str("no media ports are free"),
            Self::Socket(kind) => write!(f, "a media socket cannot be opened: {kind}"),
            Self::Duplicate => f.write_str("the call has media already"),
        }
    }
}

/// Takes events on the media thread. Must not block: the audio of all calls of a
/// worker would wait.
pub trait MediaSink: Send + Sync {
    /// Takes one event about this call.
    ///
    /// # Errors
    ///
    /// The event itself, if there is no room for it now.
    fn media_event(&self, call: u64, event: MediaEvent) -> Result<(), MediaEvent>;
}

impl MediaSink for mpsc::Sender<(u64, MediaEvent)> {
    fn media_event(&self, call: u64, event: MediaEvent) -> Result<(), MediaEvent> {
        match self.try_send((call, event)) {
            Err(mpsc::error::TrySendError::Full((_, event))) => Err(event),
            // Nobody is left to tell.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }
}

impl MediaSink for std::sync::mpsc::SyncSender<(u64, MediaEvent)> {
    fn media_event(&self, call: u64, event: MediaEvent) -> Result<(), MediaEvent> {
        match self.try_send((call, event)) {
            Err(std::sync::mpsc::TrySendError::Full((_, event))) => Err(event),
            Ok(()) | Err(std::sync::mpsc::TrySendError::Disconnected(_)) => Ok(()),
        }
    }
}

/// Events that a worker keeps while the sink has no room.
pub(super) const UNSENT_MAX: usize = 4_096;

/// A worker's way to the sink, with what it could not deliver.
pub(super) struct Outbox {
    sink: std::sync::Arc<dyn MediaSink>,
    unsent: VecDeque<(u64, MediaEvent)>,
    pub(super) dropped: u64,
}

impl Outbox {
    pub(super) fn new(sink: std::sync::Arc<dyn MediaSink>) -> Self {
        Self { sink, unsent: VecDeque::new(), dropped: 0 }
    }

    /// Delivers, keeps or drops. `Heard` and `Latched` are news that a query tells
    /// as well, so they are dropped and counted when the sink is full. The others
    /// are kept for the next turn, in order, up to [`UNSENT_MAX`]; beyond that the
    /// owner has been gone for seconds, and they are dropped and counted too.
    pub(super) fn send(&mut self, call: u64, event: MediaEvent) {
        let event = if self.unsent.is_empty() {
            match self.sink.media_event(call, event) {
                Ok(()) => return,
                Err(event) => event,
            }
        } else {
            event
        };
        let is_news = matches!(event, MediaEvent::Heard { .. } | MediaEvent::Latched { .. });
        if is_news || self.unsent.len() >= UNSENT_MAX {
            self.dropped = self.dropped.saturating_add(1);
        } else {
            self.unsent.push_back((call, event));
        }
    }

    /// Tries what was kept; `true` if nothing is left.
    pub(super) fn retry(&mut self) -> bool {
        while let Some((call, event)) = self.unsent.pop_front() {
            if let Err(event) = self.sink.media_event(call, event) {
                self.unsent.push_front((call, event));
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_sink_delays_what_matters_and_drops_news() {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let mut outbox = Outbox::new(std::sync::Arc::new(sender));
        let failed = || MediaEvent::OpenFailed { reason: OpenFailure::NoPorts };
        outbox.send(1, failed());
        outbox.send(2, failed());
        outbox.send(3, MediaEvent::Heard { side: Side::A });
        outbox.send(4, failed());
        assert_eq!((outbox.dropped, outbox.retry()), (1, false));
        let mut seen = Vec::new();
        while let Ok((call, _)) = receiver.try_recv() {
            seen.push(call);
            outbox.retry();
        }
        assert_eq!(seen, [1, 2, 4]);
        assert!(outbox.retry());
    }
}
