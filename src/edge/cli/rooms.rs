//! Rooms as tables.

use serde_json::{Value, json};

use super::args::{HeardVerb, RoomVerb};
use super::table::{Paint, Table, Tone, cell, toned};
use super::time::span;
use crate::edge::command::rooms::{RoomDetail, RoomRow};

/// The method and the parameters of a verb.
pub(super) fn asked(verb: &RoomVerb) -> (&'static str, Value) {
    let order = |number: &str, call: Option<&str>, order: &str, gain_db: Option<i8>| {
        let params = json!({ "room": number, "call": call, "order": order, "gain_db": gain_db });
        ("room.order", params)
    };
    match verb {
        RoomVerb::Show { number } => ("room.show", json!({ "room": number })),
        RoomVerb::Lock { number } => order(number, None, "lock", None),
        RoomVerb::Unlock { number } => order(number, None, "unlock", None),
        RoomVerb::Mute { number, call } => order(number, call.as_deref(), "mute", None),
        RoomVerb::Unmute { number, call } => order(number, call.as_deref(), "unmute", None),
        RoomVerb::Kick { number, call } => order(number, call.as_deref(), "kick", None),
        RoomVerb::Gain { number, call, db } => order(number, Some(call), "gain", Some(*db)),
    }
}

/// The word of the protocol.
pub(super) const fn heard_word(verb: HeardVerb) -> &'static str {
    match verb {
        HeardVerb::Nobody => "nobody",
        HeardVerb::Caller => "caller",
        HeardVerb::Called => "called",
        HeardVerb::Both => "both",
    }
}

pub(super) fn rooms(rows: &[RoomRow], paint: Paint) -> String {
    let mut table = Table::new(&["ROOM", "NAME", ">MEMBERS", ">MAX", "PIN", "DOOR"]);
    for row in rows {
        table.row(vec![
            cell(&row.number),
            cell(&row.name),
            cell(row.members.to_string()),
            cell(row.members_max.to_string()),
            cell(if row.has_pin { "yes" } else { "no" }),
            if row.locked { toned("locked", Tone::Bad) } else { toned("open", Tone::Good) },
        ]);
    }
    table.print(paint, "No rooms. A [[room]] in rooms.toml makes one.")
}

pub(super) fn room(detail: &RoomDetail, paint: Paint) -> String {
    let mut table = Table::new(&["CALL", "WHO", "RANK", "AUDIO", ">GAIN", ">FOR"]);
    for row in &detail.list {
        let audio = match (row.muted, row.talking) {
            (true, _) => toned("muted", Tone::Bad),
            (false, true) => toned("talking", Tone::Good),
            (false, false) => toned("silent", Tone::Dim),
        };
        table.row(vec![
            cell(&row.call),
            cell(&row.who),
            cell(&row.rank),
            audio,
            cell(format!("{:+} dB", row.gain_db)),
            cell(span(row.seconds)),
        ]);
    }
    let room = rooms(std::slice::from_ref(&detail.room), paint);
    format!("{room}\n{}", table.print(paint, "Nobody is in it."))
}
