//! What is told of rooms, and the words of what is ordered there.

use serde::{Deserialize, Serialize};

use super::Params;
use crate::edge::control::rpc::RpcError;
use crate::switch::call::HeardBy;
use crate::switch::cdr::record::CallId;
use crate::switch::rooms::{GAIN_MAX_DB, RoomOrder};

/// One room.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RoomRow {
    /// What is dialled.
    pub number: String,
    /// What it is for.
    pub name: String,
    /// How many are in it.
    pub members: u64,
    /// How many may be.
    pub members_max: u64,
    /// Has a PIN to be keyed in?
    pub has_pin: bool,
    /// Nobody else may come in.
    pub locked: bool,
}

/// One who is in a room.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct MemberRow {
    /// The call.
    pub call: String,
    /// Who it is.
    pub who: String,
    /// `guest` or `moderator`.
    pub rank: String,
    /// Nobody hears it.
    pub muted: bool,
    /// It talks now.
    pub talking: bool,
    /// How much louder it is made.
    pub gain_db: i8,
    /// For how long it has been there.
    pub seconds: f64,
}

/// A room and who is in it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RoomDetail {
    /// The room.
    #[serde(flatten)]
    pub room: RoomRow,
    /// Who is in it, in the order in which they came.
    pub list: Vec<MemberRow>,
}

const ORDERS: [&str; 6] = ["lock", "unlock", "mute", "unmute", "kick", "gain"];

impl Params<'_> {
    /// Who hears one that listens.
    pub(super) fn heard_by(&self, name: &str) -> Result<HeardBy, RpcError> {
        let all = [HeardBy::Nobody, HeardBy::Caller, HeardBy::Called, HeardBy::Both];
        let text = self.word(name)?;
        let found = all.into_iter().find(|one| one.word() == text);
        let words = "nobody, caller, called or both";
        found.ok_or_else(|| RpcError::bad_params(format!("`{name}` must be {words}")))
    }

    /// A call that may be left out.
    pub(super) fn call_or_none(&self, name: &str) -> Result<Option<CallId>, RpcError> {
        if self.is_given(name) { self.call(name).map(Some) } else { Ok(None) }
    }

    /// What is changed in a room.
    pub(super) fn room_order(&self, name: &str, gain: &str) -> Result<RoomOrder, RpcError> {
        Ok(match self.word(name)? {
            "lock" => RoomOrder::Lock(true),
            "unlock" => RoomOrder::Lock(false),
            "mute" => RoomOrder::Mute(true),
            "unmute" => RoomOrder::Mute(false),
            "kick" => RoomOrder::Kick,
            "gain" => RoomOrder::Gain(self.decibels(gain)?),
            _ => {
                let words = ORDERS.join(", ");
                return Err(RpcError::bad_params(format!("`{name}` must be one of {words}")));
            }
        })
    }

    fn decibels(&self, name: &str) -> Result<i8, RpcError> {
        let number = self.signed(name)?.and_then(|number| i8::try_from(number).ok());
        number.filter(|number| number.abs() <= GAIN_MAX_DB).ok_or_else(|| {
            let words =
                format!("`{name}` must be a number of dB from -{GAIN_MAX_DB} to {GAIN_MAX_DB}");
            RpcError::bad_params(words)
        })
    }
}
