//! One leg's protection over the whole call: keys come and go, and no number is used twice.

use super::receiver::Receiver;
use super::sender::Sender;
use super::{Protection, Rejected};

/// Bytes of the longest datagram that is protected, with its tag and index.
pub const GUARDED_MAX: usize = 4_096;

/// Keys of ours that are remembered with what was sent under them. Branches that ring have keys of their own, and
/// their early media may take turns on one port; each goes on where it was. The one that was used longest ago leaves:
/// its branch would have to be heard again after so many others, and after more than 65,536 packets.
const SENDERS_MAX: usize = 8;

/// How one leg's packets are protected now.
#[derive(Default)]
pub struct GuardedLeg {
    state: State,
    /// Latest used last.
    senders: Vec<Sender>,
    receiver: Option<Receiver>,
    /// The key before, until the first packet under the present one: what was sent before the peer had our answer is
    /// still on its way.
    previous: Option<Receiver>,
    /// Room for a packet that leaves, and for the copy of one that two keys are tried on. Empty while in the clear.
    room: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Clear,
    Pending,
    Keyed,
}

#[derive(Clone, Copy)]
enum Way {
    Rtp,
    Rtcp,
}

impl GuardedLeg {
    /// Takes what has been agreed. A key that is in use stays with all it knows, so that a hold, a resume and a
    /// refresh change nothing (RFC 3711 §3.2.3). `true`: what is sent from now on is under a key that nothing was sent
    /// under before, so whoever has it counts from round zero.
    pub fn set(&mut self, protection: &Protection) -> bool {
        let keys = match protection {
            Protection::Clear | Protection::Pending => {
                let is_pending = *protection == Protection::Pending;
                self.state = if is_pending { State::Pending } else { State::Clear };
                return false;
            }
            Protection::Keyed(keys) => keys,
            Protection::Dtls(association) => match &association.keys {
                Some(keys) => keys,
                None => {
                    self.state = State::Pending;
                    return false;
                }
            },
        };
        self.state = State::Keyed;
        if self.room.is_empty() {
            self.room = vec![0; GUARDED_MAX];
        }
        let known = self.senders.iter().position(|sender| *sender.key() == keys.send);
        match known {
            Some(at) => {
                let sender = self.senders.remove(at);
                self.senders.push(sender);
            }
            None => {
                if self.senders.len() >= SENDERS_MAX {
                    self.senders.remove(0);
                }
                self.senders.push(Sender::new(&keys.send));
            }
        }
        let is = |receiver: &Receiver| *receiver.key() == keys.receive;
        if !self.receiver.as_ref().is_some_and(is) {
            let back = self.previous.take().filter(is);
            let next = back.unwrap_or_else(|| Receiver::new(&keys.receive, keys.receive_lifetime));
            self.previous = self.receiver.replace(next);
        }
        known.is_none()
    }

    /// Whether packets pass as they are.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.state == State::Clear
    }

    /// Opens an RTP packet of the peer in place; the length of what is in it.
    ///
    /// # Errors
    ///
    /// It must be dropped, and its bytes mean nothing any more.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Rejected> {
        self.open(packet, Way::Rtp)
    }

    /// The same for RTCP.
    ///
    /// # Errors
    ///
    /// As [`Self::open_rtp`].
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Rejected> {
        self.open(packet, Way::Rtcp)
    }

    /// An RTP packet as it is sent; `None` if it must not be: there is no key yet, it does not fit, or its number was
    /// sent before.
    pub fn seal_rtp<'p>(&'p mut self, packet: &'p [u8]) -> Option<&'p [u8]> {
        self.seal(packet, Way::Rtp)
    }

    /// The same for RTCP.
    pub fn seal_rtcp<'p>(&'p mut self, packet: &'p [u8]) -> Option<&'p [u8]> {
        self.seal(packet, Way::Rtcp)
    }

    fn open(&mut self, packet: &mut [u8], way: Way) -> Result<usize, Rejected> {
        let receiver = match self.state {
            State::Clear => return Ok(packet.len()),
            State::Pending => return Err(Rejected::Unkeyed),
            State::Keyed => self.receiver.as_mut().ok_or(Rejected::Unauthentic)?,
        };
        let try_on = |receiver: &mut Receiver, packet: &mut [u8]| match way {
            Way::Rtp => receiver.rtp(packet),
            Way::Rtcp => receiver.rtcp(packet),
        };
        let Some(previous) = &mut self.previous else { return try_on(receiver, packet) };
        // A failure may have spoiled the bytes, so the old key is tried on a copy, and first: it is the present one
        // that ends its time.
        let copy = self.room.get_mut(..packet.len()).ok_or(Rejected::Malformed)?;
        copy.copy_from_slice(packet);
        match try_on(previous, copy) {
            Ok(length) => {
                packet.copy_from_slice(copy);
                Ok(length)
            }
            Err(_) => {
                let length = try_on(receiver, packet)?;
                self.previous = None;
                Ok(length)
            }
        }
    }

    fn seal<'p>(&'p mut self, packet: &'p [u8], way: Way) -> Option<&'p [u8]> {
        match self.state {
            State::Clear => return Some(packet),
            State::Pending => return None,
            State::Keyed => {}
        }
        self.room.get_mut(..packet.len())?.copy_from_slice(packet);
        let sender = self.senders.last_mut()?;
        let length = match way {
            Way::Rtp => sender.rtp(&mut self.room, packet.len()),
            Way::Rtcp => sender.rtcp(&mut self.room, packet.len()),
        }?;
        self.room.get(..length)
    }
}
