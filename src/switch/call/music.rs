//! What a side hears that is on hold: music from us, and nothing of it is told to its phone.

use super::*;
use crate::proto::sdp::{Direction, Hold, PeerOffer, Sdp};

impl Call {
    /// Is this offer a hold, or the end of one, that concerns nobody but us? The other side hears music then and is not asked
    /// for anything, so its phone can do nothing wrong about it.
    pub(super) fn is_held_here(&self, at: At, before: Hold, offer: &PeerOffer) -> bool {
        let is_hold = before != Hold::Off || offer.hold != Hold::Off;
        self.snapshot.media.hold_music.is_some()
            && self.phase == Phase::Talking
            && self.transfer.is_none()
            && is_hold
            && self.across(at).and_then(|other| self.leg(other)).is_some_and(|other| {
                // What crossed before has to be taken back the same way.
                other.negotiator.is_open_across()
            })
            && self.leg(at).is_some_and(|leg| leg.negotiator.keeps_its_codec())
    }

    /// What a side answered, as the other one is told it: who holds with music is there to be talked to.
    pub(super) fn as_told(&self, at: At, mut answer: Sdp) -> Sdp {
        let is_holder = self.leg(at).is_some_and(|leg| leg.negotiator.hold() != Hold::Off);
        if is_holder && self.snapshot.media.hold_music.is_some() && self.phase == Phase::Talking {
            let audio = answer.audio_index().and_then(|index| answer.media.get_mut(index));
            if let Some(audio) = audio.filter(|audio| audio.port != 0) {
                audio.direction = Some(Direction::SendRecv);
            }
        }
        answer
    }

    /// Begins and ends music, by who holds whom now.
    pub(super) fn review_music(&mut self, out: &mut Vec<Output>) {
        if self.snapshot.media.hold_music.is_none() || !matches!(self.media, Media::Open(..)) {
            return;
        }
        for side in [Side::A, Side::B] {
            let is_wanted = self.hears_music(side);
            let place = &mut self.music[usize::from(side == Side::B)];
            if std::mem::replace(place, is_wanted) != is_wanted {
                out.push(Output::Media(MediaOp::Music { side, is_on: is_wanted }));
            }
        }
    }

    fn hears_music(&self, side: Side) -> bool {
        if self.phase != Phase::Talking {
            return false;
        }
        let here = |at: At| self.side_of(at) == side;
        if self.transfer.is_some() {
            // Who stays waits for the new party, unless that lets it hear how it rings.
            return here(At::A) && self.winner.is_none() && !self.rings_aloud();
        }
        let (Some(first), Some(winner)) = (&self.a, self.winner.map(At::B)) else { return false };
        let Some(second) = self.leg(winner) else { return false };
        let holder = if here(At::A) { second } else { first };
        holder.negotiator.hold() != Hold::Off
    }

    /// Does a branch that rings send audio already?
    fn rings_aloud(&self) -> bool {
        self.branches.iter().any(|leg| {
            leg.session.state() == session::State::Outgoing && leg.negotiator.is_agreed()
        })
    }
}
