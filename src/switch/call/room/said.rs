//! The words of rooms.

use crate::switch::phrase::Spoken;

/// What is said in rooms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Said {
    /// Asks for the PIN.
    EnterPin,
    /// It is wrong.
    WrongPin,
    /// Nobody else is here.
    Alone,
    /// So many others are here.
    Others(usize),
    /// No more may come in.
    Full,
    /// It is locked.
    Locked,
    /// It is open again.
    Unlocked,
    /// Nobody hears you.
    Muted,
    /// You are heard again.
    Unmuted,
    /// Good bye.
    Goodbye,
}

impl Said {
    pub(super) fn spoken(self) -> Vec<Spoken> {
        let prompt = |name: &'static str| Spoken::Prompt(name.into());
        let name = match self {
            Self::EnterPin => "conf-enter-pin",
            Self::WrongPin => "conf-wrong-pin",
            Self::Alone => "conf-alone",
            Self::Others(_) => "conf-count",
            Self::Full => "conf-full",
            Self::Locked => "conf-locked",
            Self::Unlocked => "conf-unlocked",
            Self::Muted => "conf-muted",
            Self::Unmuted => "conf-unmuted",
            Self::Goodbye => "conf-goodbye",
        };
        match self {
            // With who has just come.
            Self::Others(others) => vec![prompt(name), Spoken::Number(others as u64 + 1)],
            _ => vec![prompt(name)],
        }
    }
}
