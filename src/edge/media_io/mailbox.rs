//! Commands to a media worker, and how they wake it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use std::{fmt, io};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::call::{DeadAfter, LegPlan, Side};
use super::keys::Key;
use super::saying::Playlist;
use super::seat::{Part, RoomKey};
use super::socket::SocketPair;
use crate::edge::recording::Tap;
use crate::edge::sounds::Clips;
use crate::edge::speech::Ear;

/// Commands that a worker may fall behind by. When it is full the sender gets
/// [`MediaBusy`] at once, and its call fails with a cause of its own: a worker
/// that far behind is no place for one more call.
pub const COMMANDS_MAX: usize = 1_024;

/// A worker does not keep up with its commands, or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaBusy;

impl fmt::Display for MediaBusy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the media worker does not keep up with its commands")
    }
}

impl std::error::Error for MediaBusy {}

#[derive(Debug)]
pub(super) enum Command {
    Open {
        call: u64,
        a_ip: IpAddr,
        b_ip: IpAddr,
    },
    /// Sockets that were laid aside have a call now.
    Adopt {
        call: u64,
        a: Box<(IpAddr, SocketPair)>,
        b: Box<(IpAddr, SocketPair)>,
    },
    SetLeg {
        call: u64,
        side: Side,
        plan: Box<LegPlan>,
    },
    SetDeadAfter {
        call: u64,
        limits: DeadAfter,
    },
    /// A side hears this once, behind what it is told already.
    Say {
        call: u64,
        side: Side,
        list: Playlist,
    },
    /// It is told nothing more of what has a name.
    Silence {
        call: u64,
        side: Side,
    },
    /// A side's peer is to be brought a digit.
    Press {
        call: u64,
        side: Side,
        key: Key,
    },
    /// A side hears this again and again, or the other side again.
    Music {
        call: u64,
        side: Side,
        clips: Option<Clips>,
    },
    /// Somebody listens from now on.
    Tap {
        call: u64,
        tap: Box<Tap>,
        /// How often both sides are told by a beep.
        beep: Option<Duration>,
    },
    /// A side takes part in a room, or does not any more.
    Seat {
        call: u64,
        side: Side,
        wish: Option<(RoomKey, Part)>,
    },
    /// A recogniser listens from now on, or not any more.
    Listen {
        call: u64,
        ear: Option<Box<Ear>>,
    },
    Query {
        call: u64,
    },
}

/// The senders' end.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    commands: SyncSender<Command>,
    closes: SyncSender<u64>,
    wake: Arc<EventFd>,
    /// The worker has been woken and has not yet looked.
    is_woken: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

/// The worker's end.
#[derive(Debug)]
pub(super) struct Inbox {
    commands: Receiver<Command>,
    closes: Receiver<u64>,
    pub(super) wake: Arc<EventFd>,
    is_woken: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

/// A mailbox for a worker that can hold `calls_max` calls.
pub(super) fn mailbox(calls_max: usize) -> io::Result<(Mailbox, Inbox)> {
    let (commands, commands_in) = sync_channel(COMMANDS_MAX);
    // A close must not be refused, or its ports would be lost. There is room for
    // one from every call that can be open, so only repeated ones can fill it.
    let (closes, closes_in) = sync_channel(calls_max.max(COMMANDS_MAX));
    let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
    let wake = Arc::new(EventFd::from_flags(flags)?);
    let is_woken = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(AtomicBool::new(false));
    let inbox = Inbox {
        commands: commands_in,
        closes: closes_in,
        wake: Arc::clone(&wake),
        is_woken: Arc::clone(&is_woken),
        stop: Arc::clone(&stop),
    };
    Ok((Mailbox { commands, closes, wake, is_woken, stop }, inbox))
}

impl Mailbox {
    pub(super) fn send(&self, command: Command) -> Result<(), MediaBusy> {
        self.try_send(command).map_err(|_| MediaBusy)
    }

    /// The same, and gives back what was not taken.
    pub(super) fn try_send(&self, command: Command) -> Result<(), Command> {
        self.commands.try_send(command).map_err(|refused| match refused {
            TrySendError::Full(command) | TrySendError::Disconnected(command) => command,
        })?;
        self.wake();
        Ok(())
    }

    pub(super) fn close(&self, call: u64) -> Result<(), MediaBusy> {
        self.closes.try_send(call).map_err(|_| MediaBusy)?;
        self.wake();
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        // One wake is enough for all that is sent before the worker looks.
        if self.is_woken.swap(true, Ordering::AcqRel) {
            return;
        }
        // It fails only if the counter is at its end, and then the worker is
        // awake in any case.
        let _ = self.wake.write(1);
    }
}

impl Inbox {
    /// The next command; `None` if there is none now.
    pub(super) fn next(&self) -> Option<Command> {
        self.commands.try_recv().ok()
    }

    pub(super) fn next_close(&self) -> Option<u64> {
        self.closes.try_recv().ok()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Makes the next wake count. What is sent from here on wakes again, and what was sent before is there to be
    /// taken.
    pub(super) fn rearm(&self) {
        let _ = self.wake.read();
        self.is_woken.swap(false, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_mailbox_refuses_commands_but_takes_a_close_from_every_call() {
        let (mail, inbox) = mailbox(2_000).unwrap();
        for call in 0..COMMANDS_MAX as u64 {
            mail.send(Command::Query { call }).unwrap();
        }
        assert_eq!(mail.send(Command::Query { call: 0 }), Err(MediaBusy));
        for call in 0..2_000 {
            mail.close(call).unwrap();
        }
        assert!(inbox.next().is_some() && inbox.next_close() == Some(0));
        drop(inbox);
        assert_eq!(mail.send(Command::Query { call: 0 }), Err(MediaBusy), "the worker has ended");
    }
}
