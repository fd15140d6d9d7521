//! Rooms where several calls talk: their settings, and who is in them.

use std::collections::BTreeMap;

use crate::proto::time::Instant;
use crate::switch::cdr::record::CallId;
use crate::switch::snapshot::Secret;

/// Most that may be in one room, whatever its settings say: everybody hears the sum of all, and a thread mixes it.
pub const MEMBERS_MAX: usize = 200;
/// The most that a member is made louder or quieter, in dB.
pub const GAIN_MAX_DB: i8 = 20;

/// `[[room]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomSettings {
    /// What is dialled.
    pub number: String,
    /// For a person.
    pub name: String,
    /// What a guest has to key in; empty for nothing.
    pub pin: Secret,
    /// What a moderator keys in instead; empty if there is none, and then everybody is one.
    pub moderator_pin: Secret,
    /// How many may be in it.
    pub members_max: usize,
    /// Guests are muted when they come in.
    pub is_muted: bool,
    /// A chime tells that somebody comes or goes.
    pub chimes: bool,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            number: String::new(),
            name: String::new(),
            pin: Secret::default(),
            moderator_pin: Secret::default(),
            members_max: 50,
            is_muted: false,
            chimes: true,
        }
    }
}

/// What somebody may do in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rank {
    /// Talk.
    Guest,
    /// Lock it and mute others, too.
    Moderator,
}

impl RoomSettings {
    /// Has a caller to key in anything?
    #[must_use]
    pub const fn has_pin(&self) -> bool {
        !self.pin.0.is_empty() || !self.moderator_pin.0.is_empty()
    }

    /// Can more digits still make a PIN of these?
    #[must_use]
    pub fn may_go_on(&self, digits: &str) -> bool {
        let longer = |pin: &Secret| pin.0.len() > digits.len() && pin.0.starts_with(digits);
        longer(&self.pin) || longer(&self.moderator_pin)
    }

    /// Have as many been keyed in as any PIN has?
    #[must_use]
    pub fn is_enough(&self, digits: &str) -> bool {
        digits.len() >= self.pin.0.len().max(self.moderator_pin.0.len())
    }

    /// What these digits make of a caller; `None` if they open nothing. A room with a PIN for moderators alone lets guests in
    /// without any.
    #[must_use]
    pub fn rank_of(&self, digits: &str) -> Option<Rank> {
        let is = |pin: &Secret| !pin.0.is_empty() && pin.0 == digits;
        if is(&self.moderator_pin) {
            return Some(Rank::Moderator);
        }
        let is_guest = self.pin.0.is_empty() && digits.is_empty() || is(&self.pin);
        let rank = if self.moderator_pin.0.is_empty() { Rank::Moderator } else { Rank::Guest };
        is_guest.then_some(rank)
    }
}

/// Why somebody may not come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shut {
    /// As many are in it as may be.
    Full,
    /// A moderator, or an operator, has locked it.
    Locked,
}

/// One who is in a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// The call.
    pub call: CallId,
    /// Who calls, as the room shows it.
    pub who: String,
    /// What it may do.
    pub rank: Rank,
    /// Nobody hears it.
    pub is_muted: bool,
    /// How much louder it is made.
    pub gain_db: i8,
    /// It talks now.
    pub is_talking: bool,
    /// When it came.
    pub since: Instant,
}

/// A room with somebody in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Room {
    /// In the order in which they came.
    pub members: Vec<Member>,
    /// Nobody else may come in.
    pub is_locked: bool,
}

/// All rooms with somebody in them, by their numbers. A lock goes with the last one, and so does a mute.
#[derive(Debug, Default)]
pub struct Rooms {
    rooms: BTreeMap<String, Room>,
}

/// What is changed in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoomOrder {
    /// Nobody else may come in, or somebody may again.
    Lock(bool),
    /// A member, or all guests, are heard by nobody, or are heard again.
    Mute(bool),
    /// A member has to go.
    Kick,
    /// A member is made louder or quieter by so many dB.
    Gain(i8),
}

/// How a member takes part after a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Nobody hears it.
    pub is_muted: bool,
    /// How much louder it is made.
    pub gain_db: i8,
}

impl Rooms {
    /// Somebody comes in. Gives how many were there before.
    ///
    /// # Errors
    ///
    /// [`Shut`]: it stays outside. A moderator may open a locked door.
    pub fn enter(
        &mut self,
        now: Instant,
        settings: &RoomSettings,
        (call, who, rank): (CallId, &str, Rank),
    ) -> Result<(usize, Standing), Shut> {
        let room = self.rooms.get(&settings.number);
        let others = room.map_or(0, |room| room.members.len());
        if others >= settings.members_max.min(MEMBERS_MAX) {
            return Err(Shut::Full);
        }
        let is_kept_out = rank == Rank::Guest || settings.moderator_pin.0.is_empty();
        if room.is_some_and(|room| room.is_locked) && is_kept_out {
            return Err(Shut::Locked);
        }
        let is_muted = settings.is_muted && is_guest(settings, rank);
        let member = Member {
            call,
            who: who.to_owned(),
            rank,
            is_muted,
            gain_db: 0,
            is_talking: false,
            since: now,
        };
        self.rooms.entry(settings.number.clone()).or_default().members.push(member);
        Ok((others, Standing { is_muted, gain_db: 0 }))
    }

    /// A call is out of its room. Gives the room's number, who it was, and how many are left.
    pub fn leave(&mut self, call: CallId) -> Option<(String, Member, usize)> {
        let (number, index) = self.place(call)?;
        let room = self.rooms.get_mut(&number)?;
        let member = room.members.remove(index);
        let left = room.members.len();
        if left == 0 {
            self.rooms.remove(&number);
        }
        Some((number, member, left))
    }

    /// The room that a call is in, and who it is there.
    #[must_use]
    pub fn member(&self, call: CallId) -> Option<(&str, &Member)> {
        self.rooms.iter().find_map(|(number, room)| {
            let member = room.members.iter().find(|member| member.call == call)?;
            Some((number.as_str(), member))
        })
    }

    /// Changes one member. Gives how it takes part now, if that is new.
    pub fn set(&mut self, call: CallId, order: RoomOrder) -> Option<Standing> {
        let (number, index) = self.place(call)?;
        let member = self.rooms.get_mut(&number)?.members.get_mut(index)?;
        let before = member.standing();
        match order {
            RoomOrder::Mute(is_muted) => member.is_muted = is_muted,
            RoomOrder::Gain(gain_db) => {
                member.gain_db = gain_db.clamp(-GAIN_MAX_DB, GAIN_MAX_DB);
            }
            RoomOrder::Lock(_) | RoomOrder::Kick => {}
        }
        let after = member.standing();
        (before != after).then_some(after)
    }

    /// Locks a room with somebody in it, or opens it; `true` if that changes anything.
    pub fn lock(&mut self, number: &str, is_locked: bool) -> bool {
        self.rooms
            .get_mut(number)
            .is_some_and(|room| std::mem::replace(&mut room.is_locked, is_locked) != is_locked)
    }

    /// A member began or ceased to talk; `true` if that is news.
    pub fn talks(&mut self, call: CallId, is_talking: bool) -> bool {
        let Some((number, index)) = self.place(call) else { return false };
        let member = self.rooms.get_mut(&number).and_then(|room| room.members.get_mut(index));
        member.is_some_and(|member| {
            std::mem::replace(&mut member.is_talking, is_talking) != is_talking
        })
    }

    /// The room of a number, if somebody is in it.
    #[must_use]
    pub fn get(&self, number: &str) -> Option<&Room> {
        self.rooms.get(number)
    }

    /// How many are in rooms.
    #[must_use]
    pub fn members(&self) -> usize {
        self.rooms.values().map(|room| room.members.len()).sum()
    }

    fn place(&self, call: CallId) -> Option<(String, usize)> {
        self.rooms.iter().find_map(|(number, room)| {
            let index = room.members.iter().position(|member| member.call == call)?;
            Some((number.clone(), index))
        })
    }
}

impl Member {
    /// How it takes part.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        Standing { is_muted: self.is_muted, gain_db: self.gain_db }
    }
}

/// Is it one of those who are muted together? Where everybody is a moderator, all are.
fn is_guest(settings: &RoomSettings, rank: Rank) -> bool {
    rank == Rank::Guest || settings.moderator_pin.0.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(pin: &str, moderator_pin: &str) -> RoomSettings {
        RoomSettings {
            number: "800".into(),
            pin: Secret(pin.into()),
            moderator_pin: Secret(moderator_pin.into()),
            members_max: 3,
            ..RoomSettings::default()
        }
    }

    #[test]
    fn a_pin_makes_the_rank() {
        use Rank::{Guest, Moderator};
        let grid = [
            ("", "", "", Some(Moderator)),
            ("12", "", "12", Some(Moderator)),
            ("12", "", "", None),
            ("12", "", "1", None),
            ("12", "99", "12", Some(Guest)),
            ("12", "99", "99", Some(Moderator)),
            ("12", "99", "", None),
            ("", "99", "", Some(Guest)),
            ("", "99", "99", Some(Moderator)),
            ("", "99", "98", None),
        ];
        for (pin, moderator, keyed, rank) in grid {
            assert_eq!(room(pin, moderator).rank_of(keyed), rank, "{pin} {moderator} {keyed}");
        }
    }

    #[test]
    fn a_room_is_full_and_locked_and_forgotten() {
        let (mut rooms, settings) = (Rooms::default(), room("", "99"));
        let enter = |rooms: &mut Rooms, call, rank| {
            rooms.enter(Instant::START, &settings, (CallId(call), "x", rank)).map(|(n, _)| n)
        };
        assert_eq!(enter(&mut rooms, 1, Rank::Guest), Ok(0));
        assert!(rooms.lock("800", true));
        assert_eq!(enter(&mut rooms, 2, Rank::Guest), Err(Shut::Locked));
        assert_eq!(enter(&mut rooms, 2, Rank::Moderator), Ok(1));
        assert!(!rooms.lock("800", true), "nothing changes");
        assert!(rooms.lock("800", false));
        assert_eq!(enter(&mut rooms, 3, Rank::Guest), Ok(2));
        assert_eq!(enter(&mut rooms, 4, Rank::Moderator), Err(Shut::Full));
        assert!(rooms.set(CallId(2), RoomOrder::Mute(true)).is_some_and(|now| now.is_muted));
        assert_eq!(rooms.set(CallId(2), RoomOrder::Mute(true)), None);
        assert_eq!(rooms.set(CallId(2), RoomOrder::Gain(99)).map(|now| now.gain_db), Some(20));
        assert!(rooms.talks(CallId(3), true) && !rooms.talks(CallId(3), true));
        rooms.lock("800", true);
        for (call, left) in [(1, 2), (2, 1), (3, 0)] {
            assert_eq!(rooms.leave(CallId(call)).map(|(_, _, left)| left), Some(left));
        }
        assert_eq!(rooms.leave(CallId(1)), None);
        assert_eq!(rooms.members(), 0);
        assert_eq!(enter(&mut rooms, 5, Rank::Guest), Ok(0), "the lock went with the last one");
    }
}
