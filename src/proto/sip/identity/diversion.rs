//! Who sent a call elsewhere, and why: Diversion (RFC 5806), and History-Info (RFC 7044) mapped to it and back
//! (RFC 7544).

use super::{cut, number_of};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::header::params::quote;
use crate::proto::sip::message::Message;
use crate::proto::sip::uri::{escape_user, unescape};

/// Diversions of one call that are kept; what was forwarded more often has its oldest ones forgotten.
pub const DIVERSIONS_MAX: usize = 10;

/// Why a call was sent elsewhere (RFC 5806 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reason {
    /// Nobody said.
    #[default]
    Unknown,
    /// It was busy.
    UserBusy,
    /// It rang in vain.
    NoAnswer,
    /// It cannot be reached.
    Unavailable,
    /// Every call goes there.
    Unconditional,
    /// A matter of the hour.
    TimeOfDay,
    /// It does not want to be disturbed.
    DoNotDisturb,
    /// Somebody sent this call away while it rang.
    Deflection,
    /// He is there now.
    FollowMe,
    /// It does not work.
    OutOfService,
    /// He is away.
    Away,
}

impl Reason {
    /// All of them with their words (RFC 5806 §4) and the cause that History-Info has for them (RFC 4458 §2, by the
    /// table of RFC 7544 §4.1).
    const TABLE: [(Self, &'static str, u16); 11] = [
        (Self::Unconditional, "unconditional", 302),
        (Self::UserBusy, "user-busy", 486),
        (Self::NoAnswer, "no-answer", 408),
        (Self::Deflection, "deflection", 480),
        (Self::Unavailable, "unavailable", 503),
        (Self::Unknown, "unknown", 404),
        (Self::TimeOfDay, "time-of-day", 404),
        (Self::DoNotDisturb, "do-not-disturb", 404),
        (Self::FollowMe, "follow-me", 404),
        (Self::OutOfService, "out-of-service", 404),
        (Self::Away, "away", 404),
    ];

    /// The word in Diversion.
    #[must_use]
    pub fn word(self) -> &'static str {
        let found = Self::TABLE.iter().find(|(reason, ..)| *reason == self);
        found.map_or("unknown", |(_, word, _)| word)
    }

    /// The cause in History-Info.
    #[must_use]
    pub fn cause(self) -> u16 {
        Self::TABLE.iter().find(|(reason, ..)| *reason == self).map_or(404, |(.., cause)| *cause)
    }

    fn of_word(word: &str) -> Self {
        let found = Self::TABLE.iter().find(|(_, known, _)| word.eq_ignore_ascii_case(known));
        found.map_or(Self::Unknown, |(reason, ..)| *reason)
    }

    /// Reads the `cause` of a URI (RFC 4458); 487 is a deflection before it rang.
    #[must_use]
    pub fn of_cause(cause: &str) -> Self {
        let cause: u16 = cause.trim().parse().unwrap_or(404);
        let cause = if cause == 487 { 480 } else { cause };
        let found = Self::TABLE.iter().find(|(.., known)| *known == cause);
        found.map_or(Self::Unknown, |(reason, ..)| *reason)
    }
}

/// Somebody who sent the call elsewhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diversion {
    /// Who, by the user of its URI.
    pub number: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: Reason,
    /// It is not to be told.
    pub is_private: bool,
}

impl Diversion {
    /// Those that a request names, the latest first: by Diversion, or where there is none by History-Info.
    #[must_use]
    pub fn of(request: &Message) -> Vec<Self> {
        let values = request.list(HeaderName::Diversion);
        let mut list: Vec<_> = values.iter().filter_map(|value| Self::read(value)).collect();
        if list.is_empty() {
            list = by_history(&request.list(HeaderName::HistoryInfo));
        }
        list.truncate(DIVERSIONS_MAX);
        list
    }

    fn read(value: &str) -> Option<Self> {
        let address = NameAddr::parse(value).ok()?;
        let params = address.params;
        let privacy = params.get("privacy").unwrap_or_default();
        Some(Self {
            number: number_of(&address.parsed_uri()?)?,
            name: cut(&address.display_name()),
            reason: Reason::of_word(&params.get("reason").unwrap_or_default()),
            is_private: !privacy.is_empty() && !privacy.eq_ignore_ascii_case("off"),
        })
    }

    /// The value of a Diversion header; `tail` stands behind the number in the URI: `@host`, and parameters.
    #[must_use]
    pub fn value(&self, tail: &str) -> String {
        let name =
            if self.name.is_empty() { String::new() } else { format!("{} ", quote(&self.name)) };
        let privacy = if self.is_private { "full" } else { "off" };
        let (user, reason) = (escape_user(&self.number), self.reason.word());
        format!("{name}<sip:{user}{tail}>;reason={reason};privacy={privacy};counter=1")
    }

    /// The History-Info values of a call that these sent elsewhere, the latest first, and that goes to `target` now:
    /// one more than there are diversions (RFC 7544 §4.2).
    #[must_use]
    pub fn history(list: &[Self], tail: &str, target: &str) -> Vec<String> {
        let mut index = String::from("1");
        let mut cause = String::new();
        let mut values = Vec::with_capacity(list.len() + 1);
        for diversion in list.iter().rev() {
            let user = escape_user(&diversion.number);
            let private = if diversion.is_private { "?Privacy=history" } else { "" };
            values.push(format!(
                "<sip:{user}{tail}{cause}{private}>;index={index}{}",
                mapped(&index)
            ));
            cause = format!(";cause={}", diversion.reason.cause());
            index.push_str(".1");
        }
        let target = target.split('?').next().unwrap_or(target);
        values.push(format!("<{target}{cause}>;index={index}{}", mapped(&index)));
        values
    }
}

/// `;mp=1` behind `1.1`: which entry it came from (RFC 7044 §5).
fn mapped(index: &str) -> String {
    index.rsplit_once('.').map(|(before, _)| format!(";mp={before}")).unwrap_or_default()
}

/// An entry that has a cause was sent there by the one before it, or by the one that it names (RFC 7544 §5).
fn by_history(values: &[String]) -> Vec<Diversion> {
    let entries: Vec<_> = values
        .iter()
        .take(DIVERSIONS_MAX + 1)
        .filter_map(|value| NameAddr::parse(value).ok())
        .collect();
    let mut list = Vec::new();
    for (at, entry) in entries.iter().enumerate().skip(1) {
        let Some(uri) = entry.parsed_uri() else { continue };
        let Some(cause) = uri.params.get("cause") else { continue };
        let source = ["mp", "rc"].iter().find_map(|name| entry.params.get(name));
        let named = source.and_then(|source| {
            entries.iter().find(|other| other.params.get("index").is_some_and(|i| i == source))
        });
        let Some(by) = named.or_else(|| entries.get(at - 1)) else { continue };
        let Some(by_uri) = by.parsed_uri() else { continue };
        let Some(number) = number_of(&by_uri) else { continue };
        let headers = unescape(by_uri.headers).to_ascii_lowercase();
        let is_private = headers.contains("privacy=");
        let (name, reason) = (cut(&by.display_name()), Reason::of_cause(&cause));
        list.push(Diversion { number, name, reason, is_private });
    }
    list.reverse();
    list
}
