//! Who a call says it is: whose word is taken for it, and who is told (RFC 3325 §5 to §7, RFC 3323).
//!
//! What comes in becomes a [`Caller`] by the trust in who sent it, and what goes out is written from that alone, by the
//! trust in who gets it. No identity header of a peer crosses as it came.

mod dialect;
mod inward;
mod number;
mod outward;
#[cfg(test)]
mod tests;

pub use crate::proto::sip::identity::Reason;
pub use dialect::{
    Dialect, ForwardedCaller, Forwarding, FromHost, FromUser, IdentityHeader, Trust,
};
pub use inward::{answer_wish, caller_of, changed_of, connected_of};
pub use number::{NumberForm, Numbering};
pub use outward::{
    Outward, answers_itself, called, called_tail, connected, referred_by, to_phone, to_trunk,
};

/// The number of a caller of whom nothing is known.
pub const NOBODY: &str = "anonymous";

/// Somebody by number and name, and whether that is told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// The extension of a phone of ours, or a number outside.
    pub number: String,
    /// Its name.
    pub name: String,
    /// Told to nobody but those who are trusted to keep it.
    pub is_withheld: bool,
}

/// Who sent a call elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diverted {
    /// The extension of a phone of ours, or a number outside.
    pub number: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: Reason,
    /// It is told only where it is kept to itself.
    pub is_private: bool,
}

/// Who calls, as far as it is believed, and what goes with the call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Caller {
    /// Who.
    pub shown: Shown,
    /// He insists on being hidden (`Privacy: critical`).
    pub is_critical: bool,
    /// Who calls in truth, where the call leaves under the number of the phone that forwarded it.
    pub original: Option<Box<Shown>>,
    /// Who sent the call elsewhere, the latest first; at most as many as a request may name.
    pub diverted: Vec<Diverted>,
    /// User-to-User values (RFC 7433).
    pub user_to_user: Vec<String>,
    /// The call should be answered without a hand (RFC 5373), and this is who asks for it: an extension, or `trunk:` and
    /// a name.
    pub answer_by: Option<String>,
}

impl Caller {
    /// Somebody by number and name, with nothing else.
    #[must_use]
    pub fn new(number: impl Into<String>, name: impl Into<String>) -> Self {
        let shown = Shown { number: number.into(), name: name.into(), is_withheld: false };
        Self { shown, ..Self::default() }
    }

    /// Somebody sent the call elsewhere; the oldest is forgotten where there are too many.
    pub fn was_diverted(&mut self, by: Diverted) {
        self.diverted.insert(0, by);
        self.diverted.truncate(crate::proto::sip::identity::DIVERSIONS_MAX);
    }
}
