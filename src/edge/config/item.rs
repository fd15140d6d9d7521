//! A configuration key as one item: decoding, suggestions and the reference are made from it.

use super::source::{Marked, Wrong};

/// A key of a table that is decoded into `T`.
pub(super) struct Item<T: 'static> {
    /// As it is written in the file; its unit stands last.
    pub(super) name: &'static str,
    /// Its type and where it goes.
    pub(super) kind: Kind<T>,
    /// What happens if it is not written.
    pub(super) given: Given<T>,
    /// Does a change need a restart of the daemon?
    pub(super) needs_restart: bool,
    /// One sentence for the reference.
    pub(super) doc: &'static str,
}

/// Stores a text after checking it.
pub(super) type Put<T> = fn(&mut T, Marked<&str>) -> Result<(), Wrong>;

/// The type of a key and where its value goes.
pub(super) enum Kind<T> {
    /// A whole number, both bounds included.
    Whole { min: u32, max: u32, put: fn(&mut T, u32) },
    /// `true` or `false`.
    Flag { put: fn(&mut T, bool) },
    /// A string whose syntax `put` checks.
    Text { shape: &'static str, put: Put<T> },
    /// A list of strings, each checked by `put`.
    /// A written list replaces the default: `clear` empties it first.
    Texts { shape: &'static str, min: usize, max: usize, clear: fn(&mut T), put: Put<T> },
}

/// What happens if a key is not written.
pub(super) enum Given<T> {
    /// An error; the example is shown in the reference.
    Required { example: &'static str },
    /// It has no value; the example is shown in the reference.
    Optional { example: &'static str },
    /// The value of `T::default()`, shown as TOML.
    Default { shows: fn(&T) -> String },
}

impl<T> Item<T> {
    const fn new(name: &'static str, kind: Kind<T>, given: Given<T>, doc: &'static str) -> Self {
        Self { name, kind, given, needs_restart: false, doc }
    }

    /// A whole number with a default.
    pub(super) const fn whole(
        name: &'static str,
        (min, max): (u32, u32),
        put: fn(&mut T, u32),
        shows: fn(&T) -> String,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Kind::Whole { min, max, put }, Given::Default { shows }, doc)
    }

    /// A whole number that may be absent.
    pub(super) const fn whole_or_none(
        name: &'static str,
        (min, max): (u32, u32),
        put: fn(&mut T, u32),
        example: &'static str,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Kind::Whole { min, max, put }, Given::Optional { example }, doc)
    }

    /// A switch.
    pub(super) const fn flag(
        name: &'static str,
        put: fn(&mut T, bool),
        shows: fn(&T) -> String,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Kind::Flag { put }, Given::Default { shows }, doc)
    }

    /// A text.
    pub(super) const fn text(
        name: &'static str,
        shape: &'static str,
        given: Given<T>,
        put: Put<T>,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Kind::Text { shape, put }, given, doc)
    }

    /// A list of texts.
    pub(super) const fn texts(
        name: &'static str,
        shape: &'static str,
        (min, max): (usize, usize),
        given: Given<T>,
        put: Put<T>,
        doc: &'static str,
    ) -> Self {
        Self::list(name, shape, (min, max), given, |_| {}, put, doc)
    }

    /// A list of texts with a default that is not empty.
    pub(super) const fn list(
        name: &'static str,
        shape: &'static str,
        (min, max): (usize, usize),
        given: Given<T>,
        clear: fn(&mut T),
        put: Put<T>,
        doc: &'static str,
    ) -> Self {
        Self::new(name, Kind::Texts { shape, min, max, clear, put }, given, doc)
    }

    /// The same key, but a change of it waits for a restart.
    pub(super) const fn restart(mut self) -> Self {
        self.needs_restart = true;
        self
    }

    /// The type in words.
    pub(super) fn shape(&self) -> String {
        match self.kind {
            Kind::Whole { min, max, .. } => format!("{min}–{max}"),
            Kind::Flag { .. } => "true or false".to_owned(),
            Kind::Text { shape, .. } => shape.to_owned(),
            Kind::Texts { shape, max, .. } => format!("list, up to {max}, of {shape}"),
        }
    }
}
