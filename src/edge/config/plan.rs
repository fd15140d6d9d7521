//! What a reload would change, before it does.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use super::Loaded;
use super::item::{Given, Item, Kind};
use super::settings::{SECTIONS, Settings};
use crate::switch::rooms::RoomSettings;
use crate::switch::snapshot::{Number, Phone, Route, Snapshot, Trunk};

/// Names that the printed plan lists of one kind before it only counts.
const LISTED_MAX: usize = 5;

/// The changes among the things of one kind, by name and in order.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Change {
    /// In the new configuration only.
    pub added: Vec<String>,
    /// In both, with a difference.
    pub changed: Vec<String>,
    /// In the old configuration only.
    pub removed: Vec<String>,
}

impl Change {
    /// Is there no difference?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty()
    }
}

/// What a reload changes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Plan {
    /// By extension.
    pub phones: Change,
    /// By name.
    pub trunks: Change,
    /// By number.
    pub numbers: Change,
    /// By name; a route that moves counts as changed, since the first match wins.
    pub routes: Change,
    /// By number.
    #[serde(default)]
    pub rooms: Change,
    /// Changed keys of `tandem.toml` as `section.key`.
    pub settings: Vec<String>,
    /// Those of them that keep their old value until the daemon restarts.
    pub needs_restart: Vec<String>,
    /// Live calls that the reload touches: none, since a call keeps the snapshot it began with.
    pub calls_affected: usize,
}

impl Plan {
    /// Is everything as it was?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds().iter().all(|(_, change)| change.is_empty()) && self.settings.is_empty()
    }

    fn kinds(&self) -> [(&'static str, &Change); 5] {
        [
            ("phone", &self.phones),
            ("trunk", &self.trunks),
            ("number", &self.numbers),
            ("route", &self.routes),
            ("room", &self.rooms),
        ]
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (word, change) in self.kinds() {
            for (sign, names) in
                [('+', &change.added), ('~', &change.changed), ('-', &change.removed)]
            {
                parts.extend(part(sign, word, names));
            }
        }
        parts.extend(part('~', "setting", &self.settings));
        if parts.is_empty() {
            parts.push("nothing changes".to_owned());
        }
        let calls = if self.calls_affected == 1 { "call" } else { "calls" };
        write!(f, "{}, {} {calls} affected", parts.join(", "), self.calls_affected)?;
        if !self.needs_restart.is_empty() {
            write!(f, "\nafter a restart only: {}", self.needs_restart.join(", "))?;
        }
        Ok(())
    }
}

/// `~2 phones (1001, 1002)`; nothing for no names.
fn part(sign: char, word: &str, names: &[String]) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let plural = if names.len() == 1 { "" } else { "s" };
    let listed = names.iter().take(LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > LISTED_MAX { ", …" } else { "" };
    Some(format!("{sign}{} {word}{plural} ({listed}{more})", names.len()))
}

/// The changes from one configuration to another.
#[must_use]
pub fn diff(old: &Loaded, new: &Loaded) -> Plan {
    let mut plan = Plan {
        phones: change(phones(&old.snapshot), phones(&new.snapshot), |a, b| a == b),
        trunks: change(trunks(&old.snapshot), trunks(&new.snapshot), |a, b| a == b),
        numbers: change(numbers(&old.snapshot), numbers(&new.snapshot), |a, b| a == b),
        routes: change(routes(&old.snapshot), routes(&new.snapshot), is_same_route),
        rooms: change(rooms(&old.snapshot), rooms(&new.snapshot), |a, b| a == b),
        ..Plan::default()
    };
    let (old, new) = (settings(old), settings(new));
    for (section, items) in SECTIONS {
        for item in *items {
            if shown(item, &old) != shown(item, &new) {
                let name = format!("{section}.{}", item.name);
                if item.needs_restart {
                    plan.needs_restart.push(name.clone());
                }
                plan.settings.push(name);
            }
        }
    }
    plan
}

fn settings(loaded: &Loaded) -> Settings {
    Settings {
        sip: loaded.snapshot.sip.clone(),
        media: loaded.snapshot.media.clone(),
        limits: loaded.snapshot.limits.clone(),
        guard: loaded.snapshot.guard.clone(),
        dial: loaded.snapshot.dial.clone(),
        emergency: loaded.snapshot.emergency.clone(),
        provisioning: loaded.snapshot.provisioning.clone(),
        stir: loaded.snapshot.stir.clone(),
        control: loaded.control.clone(),
        codes: loaded.snapshot.codes.clone(),
        recording: loaded.snapshot.recording.clone(),
        speech: loaded.snapshot.speech.clone(),
        // What only the decoder needs. All are named, so that no section can be left out.
        emergency_trunks_at: Vec::new(),
        services_at: Vec::new(),
        listen_at: Vec::new(),
        has_digest: false,
        seen: Vec::new(),
    }
}

/// A value as text, to compare; keys without a default have no `shows`.
fn shown(item: &Item<Settings>, settings: &Settings) -> String {
    match (&item.given, &item.kind) {
        (Given::Default { shows }, _) => shows(settings),
        (_, Kind::Texts { .. }) => format!("{:?}", settings.sip.listen),
        _ if item.name == "folder" => format!("{:?}", settings.recording.folder),
        _ if item.name == "country_code" => format!("{:?}", settings.dial.country_code),
        _ => format!("{:?}", settings.sip.advertise),
    }
}

fn phones(snapshot: &Snapshot) -> Vec<(String, &Phone)> {
    let mut list: Vec<_> = snapshot.phones.iter().map(|(k, phone)| (k.clone(), phone)).collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

fn trunks(snapshot: &Snapshot) -> Vec<(String, &Trunk)> {
    snapshot.trunks.iter().map(|trunk| (trunk.name.clone(), trunk)).collect()
}

fn numbers(snapshot: &Snapshot) -> Vec<(String, &Number)> {
    // The same number may arrive on two trunks.
    let name = |number: &Number| format!("{} on {}", number.number, number.trunk);
    snapshot.numbers.iter().map(|number| (name(number), number)).collect()
}

fn routes(snapshot: &Snapshot) -> Vec<(String, (usize, &Route))> {
    snapshot.routes.iter().enumerate().map(|(i, route)| (route.name.clone(), (i, route))).collect()
}

fn rooms(snapshot: &Snapshot) -> Vec<(String, &RoomSettings)> {
    snapshot.rooms.iter().map(|room| (room.number.clone(), room.as_ref())).collect()
}

fn is_same_route(old: &(usize, &Route), new: &(usize, &Route)) -> bool {
    let (a, b) = (old.1, new.1);
    old.0 == new.0
        && a.pattern.as_str() == b.pattern.as_str()
        && a.trunks == b.trunks
        && a.rewrite == b.rewrite
}

fn change<V>(
    old: Vec<(String, V)>,
    new: Vec<(String, V)>,
    is_same: impl Fn(&V, &V) -> bool,
) -> Change {
    let order: Vec<String> = old.iter().map(|(name, _)| name.clone()).collect();
    let mut before: HashMap<String, V> = old.into_iter().collect();
    let mut result = Change::default();
    for (name, value) in new {
        match before.remove(&name) {
            None => result.added.push(name),
            Some(was) if !is_same(&was, &value) => result.changed.push(name),
            Some(_) => {}
        }
    }
    result.removed = order.into_iter().filter(|name| before.contains_key(name)).collect();
    result
}
