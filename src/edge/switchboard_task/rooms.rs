//! Serving what operators ask of rooms, and of listening to calls.

use super::commands::placed_for;
use super::*;
use crate::edge::command::reply::OriginateReply;
use crate::edge::command::rooms::{MemberRow, RoomDetail, RoomRow};
use crate::edge::command::{Command, CommandError};
use crate::switch::call::HeardBy;
use crate::switch::rooms::{Rank, RoomOrder};
use crate::switch::switchboard::{RoomRefused, RoomView};

impl SwitchboardTask {
    pub(super) fn room_command(&mut self, request: CommandRequest) {
        match request.command.clone() {
            Command::CallWatch { call, phone, heard_by } => {
                let reply = self.call_watched(call, (&phone, heard_by));
                request.answer(reply);
            }
            Command::RoomShow { room } => request.answer(self.room_shown(&room)),
            Command::RoomOrder { room, call, order } => {
                let reply = self.room_ordered(&room, call, order);
                request.answer(reply);
            }
            _ => request.answer(Ok(self.rooms())),
        }
    }

    fn rooms(&self) -> Vec<RoomRow> {
        self.switchboard.rooms().iter().map(row).collect()
    }

    fn room_shown(&self, number: &str) -> Result<RoomDetail, CommandError> {
        let views = self.switchboard.rooms();
        let view = views.iter().find(|view| view.settings.number == number);
        let view = view.ok_or_else(|| CommandError::NoSuchRoom(number.to_owned()))?;
        let now = self.tools.clock.now();
        let members = view.room.members.iter().map(|member| MemberRow {
            call: member.call.to_string(),
            who: member.who.clone(),
            rank: match member.rank {
                Rank::Guest => "guest".to_owned(),
                Rank::Moderator => "moderator".to_owned(),
            },
            muted: member.is_muted,
            talking: member.is_talking,
            gain_db: member.gain_db,
            seconds: now.since(member.since).as_secs_f64(),
        });
        Ok(RoomDetail { room: row(view), list: members.collect() })
    }

    fn room_ordered(
        &mut self,
        number: &str,
        call: Option<CallId>,
        order: RoomOrder,
    ) -> Result<RoomDetail, CommandError> {
        let refused = |refused: RoomRefused| match (refused, call) {
            (RoomRefused::NoSuchMember, Some(call)) => {
                CommandError::NotInRoom(call, number.to_owned())
            }
            (RoomRefused::NoSuchRoom, _) => CommandError::NoSuchRoom(number.to_owned()),
            (RoomRefused::Empty | RoomRefused::NoSuchMember, _) => {
                CommandError::EmptyRoom(number.to_owned())
            }
        };
        self.switchboard.order_room(number, call, order, &mut self.out).map_err(refused)?;
        self.room_shown(number)
    }

    fn call_watched(
        &mut self,
        call: CallId,
        (phone, heard_by): (&str, HeardBy),
    ) -> Result<OriginateReply, CommandError> {
        if !self.calls.contains_key(&call) {
            return Err(CommandError::NoSuchCall(call));
        }
        let now = self.tools.clock.now();
        let placed = self.switchboard.watch(now, call, (phone, heard_by), &mut self.out);
        placed_for(phone, placed)
    }
}

fn row(view: &RoomView) -> RoomRow {
    let settings = &view.settings;
    RoomRow {
        number: settings.number.clone(),
        name: settings.name.clone(),
        members: view.room.members.len() as u64,
        members_max: settings.members_max as u64,
        has_pin: settings.has_pin(),
        locked: view.room.is_locked,
    }
}
