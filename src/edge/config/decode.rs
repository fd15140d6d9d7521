//! From the spanned TOML tree to drafts, node by node; every mistake is reported, none stops it.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::item::{Given, Item, Kind};
use super::rooms::{self, RoomDraft};
use super::settings::{SECTIONS, Settings};
use super::source::{Marked, Report, Spot, Wrong};
use super::tables::{self, NumberDraft, PhoneDraft, RouteDraft};
use super::trunk::{self, TrunkDraft};
use crate::switch::snapshot::WrittenIn;

/// Everything that was read, before the checks between tables.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub(super) settings: Settings,
    pub(super) phones: Vec<PhoneDraft>,
    pub(super) trunks: Vec<TrunkDraft>,
    pub(super) numbers: Vec<NumberDraft>,
    pub(super) routes: Vec<RouteDraft>,
    pub(super) rooms: Vec<RoomDraft>,
    /// What each profile writes, by its name.
    pub(super) profiles: BTreeMap<String, TrunkDraft>,
}

/// A file of the configuration and the tables in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    Tandem,
    Phones,
    Trunks,
    Numbers,
    Routes,
    Rooms,
}

impl Source {
    pub(super) const ALL: [Self; 6] =
        [Self::Tandem, Self::Phones, Self::Trunks, Self::Numbers, Self::Routes, Self::Rooms];

    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Tandem => "tandem.toml",
            Self::Phones => "phones.toml",
            Self::Trunks => "trunks.toml",
            Self::Numbers => "numbers.toml",
            Self::Routes => "routes.toml",
            Self::Rooms => "rooms.toml",
        }
    }

    /// The tables as they are written.
    fn heads(self) -> Vec<&'static str> {
        match self {
            Self::Tandem => SECTIONS.iter().map(|section| section.0).collect(),
            Self::Phones => vec!["phone"],
            Self::Trunks => vec!["trunk"],
            Self::Numbers => vec!["number"],
            Self::Routes => vec!["route"],
            Self::Rooms => vec!["room"],
        }
    }

    /// The name with its brackets.
    fn brackets(self, name: &str) -> String {
        if self == Self::Tandem { format!("[{name}]") } else { format!("[[{name}]]") }
    }
}

/// Reads one file into the drafts.
pub(super) fn read(report: &mut Report, source: Source, file: usize, drafts: &mut Drafts) {
    let text = report.text(file);
    let (root, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        let at = Spot { file, offset: Some(offset) };
        report.error(at, Wrong::new("syntax", error.message().to_owned()));
    }
    for (key, value) in root.get_ref().iter() {
        let at = Spot { file, offset: Some(key.span().start) };
        let name: &str = key.get_ref();
        if !source.heads().contains(&name) {
            let wrong = unknown_table(report, source, name);
            report.error(at, wrong);
            continue;
        }
        match source {
            Source::Tandem => section(report, name, at, value, &mut drafts.settings),
            Source::Phones => {
                let begin = |_: &DeTable<'_>| PhoneDraft::default();
                array(report, source, name, at, value, tables::PHONE, begin, |_, draft, _| {
                    drafts.phones.push(draft);
                });
            }
            Source::Trunks => {
                let profiles = std::mem::take(&mut drafts.profiles);
                let begin = |table: &DeTable<'_>| followed(table, &profiles);
                array(report, source, name, at, value, trunk::TRUNK, begin, |head, draft, seen| {
                    let mut draft = TrunkDraft { head, ..draft };
                    wrote(&mut draft, &seen, WrittenIn::Trunk);
                    drafts.trunks.push(draft);
                });
                drafts.profiles = profiles;
            }
            Source::Numbers => {
                let begin = |_: &DeTable<'_>| NumberDraft::default();
                array(report, source, name, at, value, tables::NUMBER, begin, |_, draft, _| {
                    drafts.numbers.push(draft);
                });
            }
            Source::Routes => {
                let begin = |_: &DeTable<'_>| RouteDraft::default();
                array(report, source, name, at, value, tables::ROUTE, begin, |_, draft, _| {
                    drafts.routes.push(draft);
                });
            }
            Source::Rooms => {
                let begin = |_: &DeTable<'_>| RoomDraft::default();
                array(report, source, name, at, value, rooms::ROOM, begin, |_, draft, _| {
                    drafts.rooms.push(draft);
                });
            }
        }
    }
    if source == Source::Tandem {
        missing_sections(report, &root, file);
    }
}

fn unknown_table(report: &mut Report, source: Source, name: &str) -> Wrong {
    let wrong = Wrong::new("unknown-key", format!("`{name}` is not known in {}", source.file()));
    let home = Source::ALL.into_iter().find(|other| other.heads().contains(&name));
    if let Some(home) = home {
        return wrong.help(format!("{} belongs in {}", home.brackets(name), home.file()));
    }
    match report.nearest(name, source.heads()) {
        Some(near) => wrong.help(format!("did you mean {}?", source.brackets(near))),
        None => {
            let known: Vec<_> = source.heads().iter().map(|name| source.brackets(name)).collect();
            wrong.help(format!("the file holds {}", known.join(", ")))
        }
    }
}

/// Sections that must be there because a key in them must.
fn missing_sections(report: &mut Report, root: &Spanned<DeTable<'_>>, file: usize) {
    for (name, items) in SECTIONS {
        if root.get_ref().iter().any(|(key, _)| key.get_ref() == name) {
            continue;
        }
        for item in *items {
            if let Given::Required { example } = item.given {
                let message = format!("the key `{}` of [{name}] is missing", item.name);
                let help = format!("add the section [{name}] with {} = {example}", item.name);
                let at = Spot { file, offset: None };
                report.error(at, Wrong::new("missing-key", message).help(help));
            }
        }
    }
}

fn section(
    report: &mut Report,
    name: &str,
    at: Spot,
    value: &Spanned<DeValue<'_>>,
    settings: &mut Settings,
) {
    let Some((name, items)) = SECTIONS.iter().find(|section| section.0 == name) else { return };
    let DeValue::Table(table) = value.get_ref() else {
        let message = format!("`{name}` is a section, found {}", kind_of(value.get_ref()));
        report.error(at, Wrong::new("wrong-type", message).help(format!("write [{name}]")));
        return;
    };
    let items: Vec<_> = items.iter().collect();
    let seen = decode(report, table, at, &format!("[{name}]"), &items, settings);
    settings.seen.extend(seen.into_iter().map(|(key, at)| (*name, key, at)));
}

/// Reads a profile: keys of a trunk at the top of the file.
pub(super) fn profile(report: &mut Report, file: usize) -> TrunkDraft {
    let text = report.text(file);
    let (root, errors) = DeTable::parse_recoverable(&text);
    for error in errors {
        let offset = error.span().map_or(0, |span| span.start);
        let at = Spot { file, offset: Some(offset) };
        report.error(at, Wrong::new("syntax", error.message().to_owned()));
    }
    let is_open = |item: &&Item<TrunkDraft>| trunk::OF_PROFILE.contains(&item.name);
    let items: Vec<_> = trunk::TRUNK.iter().filter(is_open).collect();
    let head = Spot { file, offset: None };
    let mut draft = TrunkDraft::default();
    let seen = decode(report, root.get_ref(), head, "a profile", &items, &mut draft);
    wrote(&mut draft, &seen, WrittenIn::Profile);
    draft
}

/// What a trunk has before its own keys are read: what its profile writes.
fn followed(table: &DeTable<'_>, profiles: &BTreeMap<String, TrunkDraft>) -> TrunkDraft {
    let name = table.iter().find(|(key, _)| key.get_ref() == "profile");
    let profile = match name.map(|(_, value)| value.get_ref()) {
        Some(DeValue::String(name)) => profiles.get(name.as_ref()),
        _ => None,
    };
    profile.cloned().unwrap_or_default()
}

/// Remembers where keys were written; the trunk's own table stands over its profile.
fn wrote(draft: &mut TrunkDraft, seen: &[(&'static str, Spot)], place: WrittenIn) {
    draft.written.retain(|(key, _)| !seen.iter().any(|(other, _)| other == key));
    draft.written.extend(seen.iter().map(|(key, _)| (*key, place)));
}

/// Decodes each table of an array of tables, on top of what it begins with.
#[expect(clippy::too_many_arguments, reason = "each kind of table is one call of it")]
fn array<T>(
    report: &mut Report,
    source: Source,
    name: &str,
    at: Spot,
    value: &Spanned<DeValue<'_>>,
    items: &'static [Item<T>],
    begin: impl Fn(&DeTable<'_>) -> T,
    mut push: impl FnMut(Spot, T, Vec<(&'static str, Spot)>),
) {
    let items: Vec<_> = items.iter().collect();
    let brackets = source.brackets(name);
    let wrong = |found: &DeValue<'_>| {
        let message = format!("each {name} is a table of its own, found {}", kind_of(found));
        Wrong::new("wrong-type", message).help(format!("write {brackets} above its keys"))
    };
    let DeValue::Array(list) = value.get_ref() else {
        report.error(at, wrong(value.get_ref()));
        return;
    };
    for entry in list.iter() {
        let head = Spot { file: at.file, offset: Some(entry.span().start) };
        let DeValue::Table(table) = entry.get_ref() else {
            report.error(head, wrong(entry.get_ref()));
            continue;
        };
        let mut draft = begin(table);
        let seen = decode(report, table, head, &brackets, &items, &mut draft);
        push(head, draft, seen);
    }
}

/// Decodes one table and says where each known key's value stands.
fn decode<T>(
    report: &mut Report,
    table: &DeTable<'_>,
    head: Spot,
    what: &str,
    items: &[&Item<T>],
    target: &mut T,
) -> Vec<(&'static str, Spot)> {
    let mut seen = Vec::with_capacity(table.len());
    for (key, value) in table.iter() {
        let name: &str = key.get_ref();
        let Some(item) = items.iter().find(|item| item.name == name) else {
            let wrong = Wrong::new("unknown-key", format!("{what} has no key `{name}`"));
            let wrong = match report.nearest(name, items.iter().map(|item| item.name)) {
                Some(near) => wrong.help(format!("did you mean `{near}`?")),
                None => {
                    let known: Vec<_> = items.iter().map(|item| item.name).collect();
                    wrong.help(format!("its keys are {}", known.join(", ")))
                }
            };
            report.error(Spot { file: head.file, offset: Some(key.span().start) }, wrong);
            continue;
        };
        let at = Spot { file: head.file, offset: Some(value.span().start) };
        seen.push((item.name, at));
        one(report, item, value.get_ref(), at, target);
    }
    for item in items {
        if let Given::Required { example } = item.given
            && !seen.iter().any(|(name, _)| *name == item.name)
        {
            let wrong = Wrong::new("missing-key", format!("{what} needs the key `{}`", item.name))
                .help(format!("add {} = {example}", item.name));
            report.error(head, wrong);
        }
    }
    seen
}

/// Decodes one value.
fn one<T>(report: &mut Report, item: &Item<T>, value: &DeValue<'_>, at: Spot, target: &mut T) {
    let mismatch = |expected: &str, example: String| {
        let message = format!("`{}` must be {expected}, found {}", item.name, kind_of(value));
        Wrong::new("wrong-type", message).help(example)
    };
    match (&item.kind, value) {
        (Kind::Whole { min, max, put }, DeValue::Integer(number)) => {
            let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
            match parsed.and_then(|n| u32::try_from(n).ok()).filter(|n| (min..=max).contains(&n)) {
                Some(n) => put(target, n),
                None => {
                    let message = format!("`{}` must be from {min} to {max}", item.name);
                    let near = if parsed.is_some_and(|n| n < i128::from(*min)) { min } else { max };
                    let help = format!("the nearest allowed value is {near}");
                    report.error(at, Wrong::new("out-of-range", message).help(help));
                }
            }
        }
        (Kind::Whole { min, max, .. }, _) => {
            let help = format!("write a number from {min} to {max} without quotes");
            report.error(at, mismatch("a whole number", help));
        }
        (Kind::Flag { put }, DeValue::Boolean(yes)) => put(target, *yes),
        (Kind::Flag { .. }, _) => {
            report.error(at, mismatch("true or false", "write it without quotes".to_owned()));
        }
        (Kind::Text { put, .. }, DeValue::String(text)) => {
            if let Err(wrong) = put(target, Marked { value: text, at }) {
                report.error(at, named(wrong, item.name));
            }
        }
        (Kind::Text { .. }, _) => {
            report.error(at, mismatch("a string", "write it in \"quotes\"".to_owned()));
        }
        (Kind::Texts { .. }, DeValue::Array(list)) => texts(report, item, list, at, target),
        (Kind::Texts { .. }, _) => {
            let help = "write it as [\"one\", \"two\"]".to_owned();
            report.error(at, mismatch("a list of strings", help));
        }
    }
}

fn texts<T>(
    report: &mut Report,
    item: &Item<T>,
    list: &[Spanned<DeValue<'_>>],
    at: Spot,
    target: &mut T,
) {
    let Kind::Texts { min, max, clear, put, .. } = &item.kind else { return };
    if list.len() < *min || list.len() > *max {
        let message = format!("`{}` must have from {min} to {max} entries", item.name);
        report.error(at, Wrong::new("out-of-range", message));
        return;
    }
    clear(target);
    for entry in list {
        let at = Spot { file: at.file, offset: Some(entry.span().start) };
        let DeValue::String(text) = entry.get_ref() else {
            let found = kind_of(entry.get_ref());
            let message = format!("`{}` is a list of strings, found {found}", item.name);
            report.error(at, Wrong::new("wrong-type", message).help("write it in \"quotes\""));
            continue;
        };
        if let Err(wrong) = put(target, Marked { value: text, at }) {
            report.error(at, named(wrong, item.name));
        }
    }
}

/// A value's own message, after the key it concerns.
fn named(mut wrong: Wrong, name: &str) -> Wrong {
    wrong.message = format!("`{name}`: {}", wrong.message);
    wrong
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
