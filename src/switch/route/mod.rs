//! Where a dialled number leads: phones first, then routes to trunks; numbers for callers from a trunk.

pub mod caps;
pub mod class;

use class::{Class, Plan as NumberPlan};

use crate::switch::call::Origin;
use crate::switch::cause::{self, Cause};
use crate::switch::snapshot::{Destination, Route, Snapshot};

/// Where a call goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// To a phone's contacts.
    Phone {
        /// Its extension.
        extension: String,
        /// What was matched.
        because: String,
    },
    /// Into a room.
    Room {
        /// Its number.
        number: String,
        /// What was matched.
        because: String,
    },
    /// To trunks, in order.
    Trunks {
        /// Their names.
        trunks: Vec<String>,
        /// The number to send.
        number: String,
        /// What was matched.
        because: String,
    },
}

/// Decides where a call goes.
///
/// # Errors
///
/// The catalogue's row for the refusal: no such number.
pub fn decide(
    snapshot: &Snapshot,
    origin: &Origin,
    dialled: &str,
) -> Result<Decision, &'static Cause> {
    if dialled.is_empty() {
        return Err(&cause::INVALID_NUMBER);
    }
    if let Origin::Trunk(trunk) = origin {
        // A caller from outside reaches what has a number on that trunk, and nothing else.
        return number(snapshot, Some(trunk), dialled).ok_or(&cause::UNKNOWN_NUMBER);
    }
    if snapshot.phone(dialled).is_some() {
        let because = format!("extension {dialled}");
        return Ok(Decision::Phone { extension: dialled.to_owned(), because });
    }
    if let Some(number) = emergency(snapshot, origin, dialled) {
        let trunks = emergency_trunks(snapshot);
        let because = format!("emergency number {number} by {}", trunks.join(", "));
        return Ok(Decision::Trunks { trunks, number: number.to_owned(), because });
    }
    if let Some(own) = number(snapshot, None, dialled) {
        return Ok(own);
    }
    if snapshot.room(dialled).is_some() {
        return Ok(Decision::Room {
            number: dialled.to_owned(),
            because: format!("room {dialled}"),
        });
    }
    let Some((route, sent)) = route(snapshot, dialled) else { return Err(&cause::UNKNOWN_NUMBER) };
    let because = format!("route {} sends {sent} to {}", route.name, route.trunks.join(", "));
    Ok(Decision::Trunks { trunks: route.trunks.clone(), number: sent, because })
}

/// The route that a dialled number takes, and what is sent by it.
fn route<'s>(snapshot: &'s Snapshot, dialled: &str) -> Option<(&'s Route, String)> {
    let (route, captures) =
        snapshot.routes.iter().find_map(|route| Some((route, route.pattern.captures(dialled)?)))?;
    let sent = match &route.rewrite {
        Some(rewrite) => {
            let mut sent = String::new();
            captures.expand(&braced(rewrite), &mut sent);
            sent
        }
        None => dialled.to_owned(),
    };
    Some((route, sent))
}

/// The emergency number that a phone dials, without a prefix before it. A phone that has the number for its
/// extension is rung instead (the check of the configuration says so), and so is what a prefixed one leads
/// to here. Without a trunk there is nobody to send it to.
#[must_use]
pub fn emergency<'d>(snapshot: &Snapshot, origin: &Origin, dialled: &'d str) -> Option<&'d str> {
    let settings = &snapshot.emergency;
    let is_one = |number: &str| settings.numbers.iter().any(|known| known == number);
    let is_here = || number(snapshot, None, dialled).is_some();
    let is_outside = !matches!(origin, Origin::Trunk(_)) && snapshot.phone(dialled).is_none();
    if !is_outside || snapshot.trunks.is_empty() {
        return None;
    }
    if is_one(dialled) {
        return Some(dialled);
    }
    let bare = settings.prefixes.iter().filter_map(|prefix| dialled.strip_prefix(prefix.as_str()));
    bare.into_iter().find(|number| is_one(number)).filter(|_| !is_here())
}

fn emergency_trunks(snapshot: &Snapshot) -> Vec<String> {
    if snapshot.emergency.trunks.is_empty() {
        return snapshot.trunks.iter().map(|trunk| trunk.name.clone()).collect();
    }
    snapshot.emergency.trunks.clone()
}

/// The class of a number that leaves by a route; `None` if it leads elsewhere, or nowhere.
///
/// What counts is the number that is sent. Where the route itself writes the country (`rewrite = "+86$1"`), the
/// admin chose it and not the caller: without a `country_code` that says otherwise it is the home country.
#[must_use]
pub fn class(snapshot: &Snapshot, dialled: &str) -> Option<Class> {
    if snapshot.phone(dialled).is_some()
        || snapshot.room(dialled).is_some()
        || number(snapshot, None, dialled).is_some()
    {
        return None;
    }
    let (route, sent) = route(snapshot, dialled)?;
    let plan = NumberPlan::of(&snapshot.dial);
    let written = route.rewrite.as_deref().unwrap_or("");
    let written = written.split('$').next().unwrap_or("");
    let by_admin = plan.international(written).filter(|country| !country.is_empty());
    Some(plan.class(&sent, by_admin))
}

fn number(snapshot: &Snapshot, trunk: Option<&str>, dialled: &str) -> Option<Decision> {
    let wanted = canonical(dialled);
    let found = snapshot.numbers.iter().find(|number| {
        trunk.is_none_or(|trunk| number.trunk == trunk) && canonical(&number.number) == wanted
    })?;
    let because = format!("number {} of trunk {}", found.number, found.trunk);
    Some(match &found.to {
        Destination::Phone(extension) => Decision::Phone { extension: extension.clone(), because },
        Destination::Room(number) => Decision::Room { number: number.clone(), because },
    })
}

/// The digits of a number without its international prefix: `+86…` and `0086…` are the same.
fn canonical(number: &str) -> &str {
    number.strip_prefix('+').or_else(|| number.strip_prefix("00")).unwrap_or(number)
}

/// `$1` followed by a digit or letter means group 1 and then that character, as a telecom admin reads it.
fn braced(rewrite: &str) -> String {
    let mut out = String::with_capacity(rewrite.len() + 8);
    let mut chars = rewrite.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('$', Some(digit)) if digit.is_ascii_digit() => {
                chars.next();
                out.push_str(&format!("${{{digit}}}"));
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::switch::snapshot::{Number, Phone, Reliable, Rights, Route, Secret};
    use regex::Regex;

    fn snapshot() -> Snapshot {
        let phone = |extension: &str| Phone {
            extension: extension.into(),
            name: String::new(),
            secret: Secret::default(),
            contacts_max: None,
            ring_timeout: None,
            rights: Rights::default(),
            reliable: Reliable::default(),
            dtmf: crate::switch::dtmf::Dtmf::default(),
            record: Default::default(),
            pickup_groups: Vec::new(),
            device: Default::default(),
            withhold: false,
            location: Vec::new(),
            record_key: false,
            auto_answer_for: Vec::new(),
            srtp: Default::default(),
            media: Default::default(),
        };
        let route = |pattern: &str, rewrite: Option<&str>| Route {
            name: pattern.into(),
            pattern: Regex::new(pattern).unwrap(),
            trunks: vec!["carrier".into(), "backup".into()],
            rewrite: rewrite.map(str::to_owned),
        };
        Snapshot {
            phones: ["1001", "1002"].map(|e| (e.to_owned(), phone(e))).into(),
            numbers: vec![Number {
                number: "+862012345678".into(),
                trunk: "carrier".into(),
                to: Destination::Phone("1001".into()),
            }],
            routes: vec![
                route("^0(.+)$", Some("+86$1")),
                route("^9(.)(.*)$", Some("$10$2")),
                route("^1\\d\\d$", None),
            ],
            ..Snapshot::default()
        }
    }

    fn phone(dialled: &str) -> Result<Decision, &'static Cause> {
        decide(&snapshot(), &Origin::Phone("1001".into()), dialled)
    }

    fn sent(dialled: &str) -> String {
        match phone(dialled) {
            Ok(Decision::Trunks { number, .. }) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_extension_is_a_phone() {
        assert!(
            matches!(phone("1002"), Ok(Decision::Phone { extension, .. }) if extension == "1002")
        );
    }

    #[test]
    fn a_route_strips_and_adds_prefixes() {
        assert_eq!(sent("013800138000"), "+8613800138000");
        assert_eq!(sent("975"), "705", "$1 ends before the 0");
        assert_eq!(sent("110"), "110");
    }

    #[test]
    fn what_nothing_matches_is_unknown() {
        assert_eq!(phone("2000"), Err(&cause::UNKNOWN_NUMBER));
        assert_eq!(phone(""), Err(&cause::INVALID_NUMBER));
    }

    #[test]
    fn a_caller_from_a_trunk_reaches_that_trunks_numbers_only() {
        let from =
            |trunk: &str, dialled: &str| decide(&snapshot(), &Origin::Trunk(trunk.into()), dialled);
        for dialled in ["+862012345678", "862012345678", "00862012345678"] {
            assert!(
                matches!(from("carrier", dialled), Ok(Decision::Phone { extension, .. }) if extension == "1001")
            );
        }
        assert_eq!(from("backup", "+862012345678"), Err(&cause::UNKNOWN_NUMBER));
        assert_eq!(from("carrier", "1001"), Err(&cause::UNKNOWN_NUMBER));
        assert_eq!(from("carrier", "013800138000"), Err(&cause::UNKNOWN_NUMBER));
    }
}
