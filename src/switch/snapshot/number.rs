//! Public numbers, and where they lead.

use std::fmt;

/// What a number or a dialled extension leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// `phone:1001`.
    Phone(String),
    /// `room:800`.
    Room(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(extension) => write!(f, "phone:{extension}"),
            Self::Room(number) => write!(f, "room:{number}"),
        }
    }
}

/// `[[number]]`: a public number on a trunk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Number {
    /// Canonical, E.164 with `+` where it is one.
    pub number: String,
    /// The trunk it arrives on.
    pub trunk: String,
    /// Where its callers go.
    pub to: Destination,
}
