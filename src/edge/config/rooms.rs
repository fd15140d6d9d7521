//! Every key of `[[room]]`, and what is checked between rooms and the rest.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use super::decode::Drafts;
use super::item::{Given, Item};
use super::source::{Marked, Report, Spot, Wrong};
use super::tables::{put, secret, words};
use crate::switch::call::room_number;
use crate::switch::rooms::RoomSettings;
use crate::switch::snapshot::{Destination, Secret};

/// Digits of the longest number of a room, and of the longest PIN.
const DIGITS_MAX: usize = 16;
/// `switch::rooms::MEMBERS_MAX`, as keys have it.
const MEMBERS_LIMIT: u32 = 200;
/// A PIN with fewer digits is guessed in an afternoon.
const PIN_SHORT: usize = 4;

/// `[[room]]` as it is decoded.
#[derive(Debug, Default)]
pub(super) struct RoomDraft {
    number: Option<Marked<String>>,
    pin: Option<Marked<Secret>>,
    moderator_pin: Option<Marked<Secret>>,
    settings: RoomSettings,
}

pub(super) static ROOM: &[Item<RoomDraft>] = &[
    Item::text(
        "number",
        "digits",
        Given::Required { example: "\"800\"" },
        |r, text| put(&mut r.number, digits(text.value, "a room's number")?, text.at),
        "What is dialled to come in.",
    ),
    Item::text(
        "name",
        "text",
        Given::Optional { example: "\"Weekly\"" },
        |r, text| {
            r.settings.name = words(text.value)?;
            Ok(())
        },
        "What it is for, shown to operators.",
    ),
    Item::text(
        "pin",
        "digits",
        Given::Optional { example: "\"47110\"" },
        |r, text| put(&mut r.pin, pin(text.value)?, text.at),
        "What has to be keyed in; nothing if absent.",
    ),
    Item::text(
        "moderator_pin",
        "digits",
        Given::Optional { example: "\"90210\"" },
        |r, text| put(&mut r.moderator_pin, pin(text.value)?, text.at),
        "What makes a moderator: who may lock the room (*5) and mute the others (*7). If absent, everybody may.",
    ),
    Item::whole(
        "members_max",
        (2, MEMBERS_LIMIT),
        |r, n| r.settings.members_max = n as usize,
        |r| r.settings.members_max.to_string(),
        "How many may be in it.",
    ),
    Item::flag(
        "muted",
        |r, is_on| r.settings.is_muted = is_on,
        |r| r.settings.is_muted.to_string(),
        "Whether guests are muted when they come in; *6 changes that.",
    ),
    Item::flag(
        "chimes",
        |r, is_on| r.settings.chimes = is_on,
        |r| r.settings.chimes.to_string(),
        "Whether a chime tells that somebody comes or goes.",
    ),
];

fn digits(text: &str, what: &str) -> Result<String, Wrong> {
    let is_right = !text.is_empty() && text.len() <= DIGITS_MAX;
    if !is_right || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("{what} has 1 to {DIGITS_MAX} digits and nothing else");
        return Err(Wrong::new("bad-number", message));
    }
    Ok(text.to_owned())
}

fn pin(text: &str) -> Result<Secret, Wrong> {
    digits(text, "a PIN")?;
    secret(text)
}

/// Looks for numbers that are somebody else's, and PINs that are no use.
pub(super) fn check(report: &mut Report, drafts: &Drafts) {
    let mut numbers: HashMap<&str, Spot> = HashMap::new();
    let mut places: HashMap<u64, &str> = HashMap::new();
    for room in &drafts.rooms {
        let Some(number) = &room.number else { continue };
        if let Some(first) = numbers.insert(&number.value, number.at) {
            let place = report.place(first);
            let message = format!("room `{}` is already defined at {place}", number.value);
            report.error(number.at, Wrong::new("duplicate", message).help("remove one of them"));
        } else if let Some(other) = places.insert(room_number(&number.value), &number.value) {
            let message = format!("room `{}` cannot be told from room `{other}`", number.value);
            report
                .error(number.at, Wrong::new("duplicate", message).help("give it another number"));
        }
        let is_phone = drafts.phones.iter().any(|phone| {
            phone.extension.as_ref().is_some_and(|extension| extension.value == number.value)
        });
        if is_phone {
            let message = format!("`{}` is the extension of a phone", number.value);
            let help = "the phone would be rung and the room never reached; give it another number";
            report.error(number.at, Wrong::new("duplicate", message).help(help));
        }
        if drafts.settings.emergency.numbers.contains(&number.value) {
            let message = format!("`{}` is an emergency number", number.value);
            report
                .error(number.at, Wrong::new("duplicate", message).help("give it another number"));
        }
        pins(report, room);
    }
    let known: Vec<&str> = numbers.keys().copied().collect();
    for number in &drafts.numbers {
        let Some(Marked { value: Destination::Room(room), at }) = &number.to else { continue };
        if known.contains(&room.as_str()) {
            continue;
        }
        let wrong = Wrong::new("missing-reference", format!("there is no room `{room}`"));
        let wrong = match report.nearest(room, known.iter().copied()) {
            Some(near) => wrong.help(format!("did you mean \"room:{near}\"?")),
            None => wrong.help("define it in rooms.toml"),
        };
        report.error(*at, wrong);
    }
    open_to_all(report, drafts);
    let first = drafts.rooms.iter().find_map(|room| room.number.as_ref());
    if let (Some(number), None) = (first, &drafts.settings.speech.sounds) {
        let message = "who comes in hears no word: no prompts are there to be said";
        let help = "set `sounds` in the section [speech] of tandem.toml to the folder with them";
        report.warn(number.at, Wrong::new("silent-room", message).help(help));
    }
}

fn pins(report: &mut Report, room: &RoomDraft) {
    if let (Some(pin), Some(other)) = (&room.pin, &room.moderator_pin)
        && pin.value == other.value
    {
        let message = "moderators and guests have the same PIN, so all are moderators";
        report.error(other.at, Wrong::new("duplicate", message).help("change one of them"));
    }
    for pin in [&room.pin, &room.moderator_pin].into_iter().flatten() {
        if pin.value.0.len() < PIN_SHORT {
            let message = format!("a PIN with fewer than {PIN_SHORT} digits is guessed soon");
            report.warn(pin.at, Wrong::new("weak-secret", message).help("make it longer"));
        }
    }
}

/// A room that has a public number and no PIN is anybody's.
fn open_to_all(report: &mut Report, drafts: &Drafts) {
    for number in &drafts.numbers {
        let Some(Marked { value: Destination::Room(to), at }) = &number.to else { continue };
        let is_open = drafts.rooms.iter().any(|room| {
            room.number.as_ref().is_some_and(|own| own.value == *to) && room.pin.is_none()
        });
        if is_open {
            let message = format!("whoever calls this number is in room `{to}`, which has no PIN");
            report.warn(*at, Wrong::new("open-room", message).help("give the room a pin"));
        }
    }
}

/// What the switch works by.
pub(super) fn settings(draft: RoomDraft) -> Option<Arc<RoomSettings>> {
    let value = |marked: Option<Marked<Secret>>| marked.map(|pin| pin.value).unwrap_or_default();
    Some(Arc::new(RoomSettings {
        number: draft.number?.value,
        pin: value(draft.pin),
        moderator_pin: value(draft.moderator_pin),
        ..draft.settings
    }))
}
