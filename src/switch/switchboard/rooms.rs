//! Rooms: who comes in, who goes, and what operators and members change there; and calls that listen to others.

use super::calls::OriginateError;
use super::*;
use crate::switch::call::{HeardBy, Plan, RoomNews, RoomWish, Visit};
use crate::switch::cdr::record::Direction;
use crate::switch::rooms::{Member, Room, RoomOrder, RoomSettings, Standing};

/// A room as an operator sees it.
#[derive(Clone, Debug)]
pub struct RoomView {
    /// Its settings.
    pub settings: Arc<RoomSettings>,
    /// Who is in it.
    pub room: Room,
}

/// Why an order for a room was not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoomRefused {
    /// It is not in the configuration.
    NoSuchRoom,
    /// Nobody is in it.
    Empty,
    /// That call is not in it.
    NoSuchMember,
}

impl Switchboard {
    /// Every room of the configuration, with those who are in it.
    #[must_use]
    pub fn rooms(&self) -> Vec<RoomView> {
        let view = |settings: &Arc<RoomSettings>| RoomView {
            settings: Arc::clone(settings),
            room: self.rooms.get(&settings.number).cloned().unwrap_or_default(),
        };
        self.snapshot.rooms.iter().map(view).collect()
    }

    /// Carries out what an operator orders, for one member or for all.
    ///
    /// # Errors
    ///
    /// [`RoomRefused`]: nothing is changed.
    pub fn order_room(
        &mut self,
        number: &str,
        member: Option<CallId>,
        order: RoomOrder,
        out: &mut Vec<Output>,
    ) -> Result<(), RoomRefused> {
        if self.snapshot.room(number).is_none() && self.rooms.get(number).is_none() {
            return Err(RoomRefused::NoSuchRoom);
        }
        let room = self.rooms.get(number).ok_or(RoomRefused::Empty)?;
        let all: Vec<CallId> = room.members.iter().map(|member| member.call).collect();
        if member.is_some_and(|member| !all.contains(&member)) {
            return Err(RoomRefused::NoSuchMember);
        }
        match order {
            RoomOrder::Lock(is_locked) => self.lock_room(number, is_locked, out),
            RoomOrder::Kick => {
                for call in member.map_or(all, |member| vec![member]) {
                    tell(call, RoomNews::Over("sent out by an operator"), out);
                }
            }
            RoomOrder::Mute(_) | RoomOrder::Gain(_) => {
                for call in member.map_or(all, |member| vec![member]) {
                    self.set_member(call, order, out);
                }
            }
        }
        Ok(())
    }

    /// Rings a phone for somebody who wants to listen to a call.
    ///
    /// # Errors
    ///
    /// See [`OriginateError`].
    pub fn watch(
        &mut self,
        now: Instant,
        target: CallId,
        (from, heard_by): (&str, HeardBy),
        out: &mut Vec<Output>,
    ) -> Result<CallId, OriginateError> {
        if self.is_draining || self.calls.len() >= self.snapshot.limits.calls_max {
            return Err(OriginateError::Refused);
        }
        let phone = self.snapshot.phone(from).ok_or(OriginateError::NoSuchPhone)?;
        let caller = Caller::new(from, phone.name.as_str());
        let first = self.phone_targets(now, from, &caller);
        let Some(media_ip) = first.first().map(|target| target.media_ip) else {
            return Err(OriginateError::NotRegistered);
        };
        let because = format!("listens to call {target}");
        let visit = Some(Visit::Watch { call: target, heard_by });
        let plan = Ok(Plan { groups: VecDeque::new(), because, visit });
        let media_bind = self.media_bind(media_ip, plan.as_ref());
        let call = self.new_call_id(now);
        let began = crate::switch::cdr::record::Began {
            call,
            at: self.wall(now),
            direction: Direction::Internal,
            caller: from.to_owned(),
            is_withheld: false,
            called: target.to_string(),
            trunk: String::new(),
        };
        let start = Start {
            began,
            origin: Origin::Operator(from.to_owned()),
            snapshot: Arc::clone(&self.snapshot),
            seed: self.tokens.fork(),
            incoming: None,
            plan,
            first: Some(first),
            media_bind,
            user_agent: self.user_agent.clone(),
            max_forwards: 70,
            remarks: Vec::new(),
            is_service: false,
            is_emergency: false,
            caller: caller.shown.clone(),
        };
        self.calls.insert(call, CallEntry::default());
        self.start_call(call, caller, start, out);
        Ok(call)
    }

    /// A call wants something of the rooms.
    pub(super) fn room_wish(
        &mut self,
        now: Instant,
        call: CallId,
        wish: RoomWish,
        out: &mut Vec<Output>,
    ) {
        match wish {
            RoomWish::Enter { room, rank, who } => {
                let news = match self.rooms.enter(now, &room, (call, &who, rank)) {
                    Ok((others, standing)) => {
                        let fields = vec![("who", who), ("members", (others + 1).to_string())];
                        event("room.joined", &room.number, call, fields, out);
                        RoomNews::Entered { others, standing }
                    }
                    Err(shut) => RoomNews::Shut(shut),
                };
                tell(call, news, out);
            }
            RoomWish::Watch(target) => self.watch_begins(call, target, out),
            RoomWish::Leave => self.leave_rooms(call, out),
            RoomWish::ToggleMute => {
                if let Some((_, member)) = self.rooms.member(call) {
                    let order = RoomOrder::Mute(!member.is_muted);
                    self.set_member(call, order, out);
                }
            }
            RoomWish::ToggleLock => {
                if let Some(number) = self.rooms.member(call).map(|(number, _)| number.to_owned()) {
                    let is_locked = self.rooms.get(&number).is_some_and(|room| room.is_locked);
                    self.lock_room(&number, !is_locked, out);
                    tell(call, RoomNews::Locked(!is_locked), out);
                }
            }
            RoomWish::MuteOthers => self.mute_others(call, out),
            RoomWish::Talks(is_on) => {
                if self.rooms.talks(call, is_on)
                    && let Some((number, member)) = self.rooms.member(call)
                {
                    let kind = if is_on { "room.talking" } else { "room.silent" };
                    event(kind, number, call, vec![("who", member.who.clone())], out);
                }
            }
        }
    }

    fn mute_others(&mut self, call: CallId, out: &mut Vec<Output>) {
        let number = self.rooms.member(call).map(|(number, _)| number.to_owned());
        let Some(room) = number.and_then(|number| self.rooms.get(&number)) else { return };
        let rank = |member: &Member| member.rank;
        let has_guests =
            room.members.iter().any(|one| rank(one) == crate::switch::rooms::Rank::Guest);
        let others: Vec<CallId> = room
            .members
            .iter()
            .filter(|one| one.call != call)
            // Where everybody is a moderator, everybody else is muted.
            .filter(|one| !has_guests || rank(one) == crate::switch::rooms::Rank::Guest)
            .map(|one| one.call)
            .collect();
        for other in others {
            self.set_member(other, RoomOrder::Mute(true), out);
        }
    }

    fn set_member(&mut self, call: CallId, order: RoomOrder, out: &mut Vec<Output>) {
        let Some(standing) = self.rooms.set(call, order) else { return };
        tell(call, RoomNews::Standing(standing), out);
        let Standing { is_muted, gain_db } = standing;
        if let Some((number, member)) = self.rooms.member(call) {
            let fields = vec![
                ("who", member.who.clone()),
                ("muted", is_muted.to_string()),
                ("gain_db", gain_db.to_string()),
            ];
            event("room.part", number, call, fields, out);
        }
    }

    fn lock_room(&mut self, number: &str, is_locked: bool, out: &mut Vec<Output>) {
        if self.rooms.lock(number, is_locked) {
            let kind = if is_locked { "room.locked" } else { "room.unlocked" };
            out.push(Output::Event { kind, fields: vec![("room", number.to_owned())] });
        }
    }

    /// A call is in no room any more, and listens to nobody.
    pub(super) fn leave_rooms(&mut self, call: CallId, out: &mut Vec<Output>) {
        if let Some((number, member, left)) = self.rooms.leave(call) {
            let fields = vec![("who", member.who), ("members", left.to_string())];
            event("room.left", &number, call, fields, out);
        }
        if let Some(target) = self.watches.remove(&call) {
            let who = self.calls.get(&call).map(|entry| entry.caller.shown.number.clone());
            let who = who.unwrap_or_default();
            to_call(target, call::Input::Watched { by: call, who, is_on: false }, out);
        }
    }

    fn watch_begins(&mut self, by: CallId, target: CallId, out: &mut Vec<Output>) {
        if !self.calls.contains_key(&target) || self.watches.contains_key(&target) {
            // What only listens is not listened to.
            return tell(by, RoomNews::Over("there is no such call"), out);
        }
        let who = self.calls.get(&by).map(|entry| entry.caller.shown.number.clone());
        self.watches.insert(by, target);
        let who = who.unwrap_or_default();
        to_call(target, call::Input::Watched { by, who, is_on: true }, out);
    }

    /// A call says whether another one may listen to it.
    pub(super) fn watch_answered(
        &mut self,
        target: CallId,
        (by, is_allowed): (CallId, bool),
        out: &mut Vec<Output>,
    ) {
        if self.watches.get(&by) != Some(&target) {
            if is_allowed {
                // It has gone meanwhile, and the call is not to wait for it.
                let who = String::new();
                to_call(target, call::Input::Watched { by, who, is_on: false }, out);
            }
            return;
        }
        if !is_allowed {
            self.watches.remove(&by);
            return tell(by, RoomNews::Over("it cannot be listened to"), out);
        }
        tell(by, RoomNews::Watching, out);
        let fields = vec![("call", target.to_string()), ("by", by.to_string())];
        out.push(Output::Event { kind: "call.watched", fields });
    }

    /// Nobody can listen to a call any more.
    pub(super) fn watch_over(&mut self, target: CallId, out: &mut Vec<Output>) {
        let over: Vec<CallId> =
            self.watches.iter().filter(|(_, to)| **to == target).map(|(by, _)| *by).collect();
        for by in over {
            self.watches.remove(&by);
            tell(by, RoomNews::Over("the call is over"), out);
        }
    }

    /// Calls that are in rooms or listen to others: none without calls.
    pub(super) fn in_rooms(&self) -> usize {
        self.rooms.members() + self.watches.len()
    }
}

fn tell(call: CallId, news: RoomNews, out: &mut Vec<Output>) {
    to_call(call, call::Input::Room(news), out);
}

fn event(
    kind: &'static str,
    number: &str,
    call: CallId,
    more: Vec<(&'static str, String)>,
    out: &mut Vec<Output>,
) {
    let mut fields = vec![("room", number.to_owned()), ("call", call.to_string())];
    fields.extend(more);
    out.push(Output::Event { kind, fields });
}
