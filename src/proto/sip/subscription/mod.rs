//! Subscriptions as their notifier sees them (RFC 6665): what is asked for, and how it is told.

pub mod dialog_info;
pub mod message_summary;
mod notifier;
#[cfg(test)]
mod tests;

use std::fmt;

use super::header::HeaderName;
use super::header::params::Params;
use super::header::split_list;
use super::header::values::q_value;
use super::message::Message;

pub use notifier::{Fate, Notifier};

/// An event package that we notify of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Package {
    /// Who is on the phone (RFC 4235).
    Dialog,
    /// Whether messages wait (RFC 3842).
    MessageSummary,
}

impl Package {
    /// Every one, for `Allow-Events`.
    pub const ALL: [Self; 2] = [Self::Dialog, Self::MessageSummary];

    /// Its token in `Event`.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Dialog => "dialog",
            Self::MessageSummary => "message-summary",
        }
    }

    /// The type of its bodies.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Dialog => "application/dialog-info+xml",
            Self::MessageSummary => "application/simple-message-summary",
        }
    }

    /// The package with this token, whatever its case (RFC 3261 §7.3.1).
    #[must_use]
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|package| package.token().eq_ignore_ascii_case(token))
    }

    /// Does who sent this request read our bodies? Without `Accept` it reads the package's own type
    /// (RFC 6665 §7.2).
    #[must_use]
    pub fn is_accepted_by(self, request: &Message) -> bool {
        if !request.has(HeaderName::Accept) {
            return true;
        }
        let ours = self.content_type();
        let any = ours.split_once('/').map_or("", |(kind, _)| kind);
        request.texts(HeaderName::Accept).any(|line| {
            split_list(&line).any(|range| {
                let (kind, params) = range.split_once(';').unwrap_or((range, ""));
                let kind = kind.trim();
                let is_ours = kind == "*/*"
                    || kind.eq_ignore_ascii_case(ours)
                    || kind.strip_suffix("/*").is_some_and(|kind| kind.eq_ignore_ascii_case(any));
                let q = Params::new(params).raw("q").flatten().map_or(1000, q_value);
                is_ours && q > 0
            })
        })
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// The value of an `Event` header (RFC 6665 §8.2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventHeader {
    /// The package's token as it was written.
    pub package: String,
    /// Tells the subscriptions of one dialog apart; compared byte by byte.
    pub id: Option<String>,
}

impl EventHeader {
    /// Reads the header of a request; `None` without one, or if it names nothing that can be a package.
    #[must_use]
    pub fn of(request: &Message) -> Option<Self> {
        let value = request.text(HeaderName::Event)?;
        let (package, params) = value.split_once(';').unwrap_or((&value, ""));
        let package = package.trim().to_owned();
        let id = Params::new(params).raw("id").flatten().map(str::to_owned);
        // A line may hold a bare CR, and more that no token has.
        let is_clean = |text: &String| !text.contains(char::is_control);
        let is_good = !package.is_empty() && is_clean(&package) && id.as_ref().is_none_or(is_clean);
        is_good.then_some(Self { package, id })
    }

    /// Do both name the same subscription of a dialog?
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.package.eq_ignore_ascii_case(&other.package) && self.id == other.id
    }
}

impl fmt::Display for EventHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.package)?;
        self.id.as_ref().map_or(Ok(()), |id| write!(f, ";id={id}"))
    }
}

/// Why a subscription ends: what the subscriber does next depends on it (RFC 6665 §4.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// Its time is over, or the subscriber ended it.
    Timeout,
    /// What was watched is no more: nobody asks again.
    NoResource,
    /// The subscriber may not watch it any more.
    Rejected,
    /// The subscriber asks anew, at once.
    Deactivated,
    /// The subscriber asks anew, after so many seconds.
    Probation(u32),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("timeout"),
            Self::NoResource => f.write_str("noresource"),
            Self::Rejected => f.write_str("rejected"),
            Self::Deactivated => f.write_str("deactivated"),
            Self::Probation(seconds) => write!(f, "probation;retry-after={seconds}"),
        }
    }
}
