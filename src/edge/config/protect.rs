//! `[guard]`, `[dial]` and `[emergency]`: who is silenced, what calls may cost, what is always let through.

use std::fmt::Display;

use super::decode::Drafts;
use super::item::{Given, Item};
use super::settings::{Settings, in_seconds, quoted, seconds};
use super::source::{Marked, Report, Wrong};
use super::trunk::dialled_prefix;
use super::value;
use crate::switch::route::caps::Minutes;
use crate::switch::route::class::Class;

type Key = Item<Settings>;

pub(super) static GUARD: &[Key] = &[
    Key::list(
        "trusted",
        "addresses or networks",
        (0, 64),
        Given::Default { shows: |s| list(&s.guard.trusted) },
        |s| s.guard.trusted.clear(),
        |s, text| {
            s.guard.trusted.push(value::network(text.value)?);
            Ok(())
        },
        "Sources that are never limited and never banned; the machine itself unless told otherwise.",
    ),
    Key::list(
        "scanners",
        "parts of a User-Agent",
        (0, 64),
        Given::Default { shows: |s| list(&s.guard.scanners) },
        |s| s.guard.scanners.clear(),
        |s, text| {
            s.guard.scanners.push(word(text.value)?.to_ascii_lowercase());
            Ok(())
        },
        "Programs that get no answer, whatever they ask; two of their packets are a ban.",
    ),
    Key::whole(
        "requests_per_second",
        (0, 100_000),
        |s, n| s.guard.requests_per_second = n,
        |s| s.guard.requests_per_second.to_string(),
        "Requests from a source before its login, ten seconds' worth at once; 0 is no limit.",
    ),
    Key::whole(
        "failures_per_minute",
        (0, 10_000),
        |s, n| s.guard.failures_per_minute = n,
        |s| s.guard.failures_per_minute.to_string(),
        "Failed logins from a source, as many at once; 0 is no limit.",
    ),
    Key::whole(
        "user_failures_per_minute",
        (0, 10_000),
        |s, n| s.guard.user_failures_per_minute = n,
        |s| s.guard.user_failures_per_minute.to_string(),
        "Failed logins as one user from wherever it never was, twice as many at once; 0 is no limit.",
    ),
    Key::whole(
        "ban_seconds",
        (0, 604_800),
        |s, n| s.guard.ban = seconds(n),
        |s| in_seconds(s.guard.ban),
        "How long a first ban lasts; each further one lasts twice as long. 0 bans nobody.",
    ),
    Key::whole(
        "ban_max_seconds",
        (1, 604_800),
        |s, n| s.guard.ban_max = seconds(n),
        |s| in_seconds(s.guard.ban_max),
        "How long a ban lasts at most.",
    ),
];

pub(super) static DIAL: &[Key] = &[
    Key::text(
        "country_code",
        "digits",
        Given::Optional { example: "\"86\"" },
        |s, text| {
            s.dial.country_code = Some(digits(text.value)?);
            Ok(())
        },
        "Our country: a number with another one is international, and so is every + number without this key.",
    ),
    Key::list(
        "international_prefixes",
        "digits",
        (0, 16),
        Given::Default { shows: |s| list(&s.dial.international_prefixes) },
        |s| s.dial.international_prefixes.clear(),
        |s, text| {
            s.dial.international_prefixes.push(digits(text.value)?);
            Ok(())
        },
        "What is sent before the code of a country, beside +.",
    ),
    Key::text(
        "national_prefix",
        "digits, or nothing",
        Given::Default { shows: |s| quoted(&s.dial.national_prefix) },
        |s, text| {
            let is_none = text.value.is_empty();
            s.dial.national_prefix = if is_none { String::new() } else { digits(text.value)? };
            Ok(())
        },
        "What is sent before a number of another area of the country.",
    ),
    Key::text(
        "withhold_prefix",
        "digits, * and #, or nothing",
        Given::Default { shows: |s| quoted(&s.dial.withhold_prefix) },
        |s, text| {
            s.dial.withhold_prefix = dialled_prefix(text.value)?;
            Ok(())
        },
        "What a phone dials before a number to withhold its own for that call, such as *67; nothing: there is no such prefix.",
    ),
    Key::list(
        "mobile",
        "digits, or + and digits",
        (0, 256),
        Given::Default { shows: |s| list(&s.dial.mobile) },
        |s| s.dial.mobile.clear(),
        |s, text| {
            s.dial.mobile.push(value::number(text.value)?);
            Ok(())
        },
        "What mobile numbers begin with, without the national prefix; with + in the international form.",
    ),
    Key::list(
        "premium",
        "digits, or + and digits",
        (0, 256),
        Given::Default { shows: |s| list(&s.dial.premium) },
        |s| s.dial.premium.clear(),
        |s, text| {
            s.dial.premium.push(value::number(text.value)?);
            Ok(())
        },
        "What premium numbers begin with, in the same form.",
    ),
    Key::list(
        "allow",
        "local, national, mobile, international, premium",
        (0, 5),
        Given::Default {
            shows: |s| list(&s.dial.allow.iter().map(|c| c.word()).collect::<Vec<_>>()),
        },
        |s| s.dial.allow.clear(),
        |s, text| {
            s.dial.allow.push(class(text.value)?);
            Ok(())
        },
        "Classes that a phone may dial; what is not listed is refused with 403.",
    ),
    Key::whole(
        "phone_calls_max",
        (0, 10_000),
        |s, n| s.dial.phone.calls_max = n,
        |s| s.dial.phone.calls_max.to_string(),
        "Calls of one phone by trunks at the same time; 0 is no cap.",
    ),
    Key::whole(
        "phone_calls_per_minute",
        (0, 100_000),
        |s, n| s.dial.phone.calls_per_minute = n,
        |s| s.dial.phone.calls_per_minute.to_string(),
        "Calls of one phone by trunks that may begin in a minute; 0 is no cap.",
    ),
    Key::list(
        "phone_minutes_per_hour",
        "class:minutes",
        (0, 5),
        Given::Default { shows: |s| minutes_text(&s.dial.phone.minutes) },
        |s| s.dial.phone.minutes = Minutes::default(),
        |s, text| put_minutes(&mut s.dial.phone.minutes, text.value),
        "Minutes that one phone may talk in an hour, by class; a call that is past it goes on.",
    ),
    Key::whole(
        "trunk_calls_max",
        (0, 1_000_000),
        |s, n| s.dial.trunk.calls_max = n,
        |s| s.dial.trunk.calls_max.to_string(),
        "Calls by one trunk at the same time; the next one takes the next trunk. 0 is no cap.",
    ),
    Key::whole(
        "trunk_calls_per_minute",
        (0, 1_000_000),
        |s, n| s.dial.trunk.calls_per_minute = n,
        |s| s.dial.trunk.calls_per_minute.to_string(),
        "Calls by one trunk that may begin in a minute; 0 is no cap.",
    ),
    Key::list(
        "trunk_minutes_per_hour",
        "class:minutes",
        (0, 5),
        Given::Default { shows: |s| minutes_text(&s.dial.trunk.minutes) },
        |s| s.dial.trunk.minutes = Minutes::default(),
        |s, text| put_minutes(&mut s.dial.trunk.minutes, text.value),
        "Minutes that one trunk may carry in an hour, by class.",
    ),
];

pub(super) static EMERGENCY: &[Key] = &[
    Key::list(
        "numbers",
        "digits",
        (0, 64),
        Given::Default { shows: |s| list(&s.emergency.numbers) },
        |s| s.emergency.numbers.clear(),
        |s, text| {
            s.emergency.numbers.push(digits(text.value)?);
            Ok(())
        },
        "Numbers that no limit, ban, cap or drain touches. A phone that has one for its extension is rung instead.",
    ),
    Key::list(
        "prefixes",
        "digits",
        (0, 16),
        Given::Default { shows: |s| list(&s.emergency.prefixes) },
        |s| s.emergency.prefixes.clear(),
        |s, text| {
            s.emergency.prefixes.push(digits(text.value)?);
            Ok(())
        },
        "What people are used to dial before an outside number: it is taken off before an emergency number.",
    ),
    Key::list(
        "services",
        "service:number",
        (0, 32),
        Given::Default { shows: |s| services(&s.emergency.services) },
        |s| s.emergency.services.clear(),
        |s, text| {
            s.emergency.services.push(service(text.value)?);
            s.services_at.push(text.at);
            Ok(())
        },
        "Which of the numbers a phone means that dials urn:service:sos and the like; a service that is not listed is the one above it.",
    ),
    Key::texts(
        "trunks",
        "trunk names",
        (0, 32),
        Given::Default { shows: |s| list(&s.emergency.trunks) },
        |s, text| {
            s.emergency.trunks.push(text.value.to_owned());
            s.emergency_trunks_at.push(text.at);
            Ok(())
        },
        "Trunks for them, in order; if the list is empty, every trunk in the order of trunks.toml.",
    ),
];

/// Looks for emergency trunks that are not there, and extensions that hide an emergency number.
pub(super) fn check(report: &mut Report, drafts: &Drafts, trunks: &[&str]) {
    let settings = &drafts.settings;
    let emergency = &settings.emergency;
    for (name, at) in emergency.trunks.iter().zip(&settings.emergency_trunks_at) {
        super::check::known_trunk(report, &Marked { value: name.clone(), at: *at }, trunks);
    }
    for ((service, number), at) in emergency.services.iter().zip(&settings.services_at) {
        if !emergency.numbers.contains(number) {
            let message = format!("`{number}` for `{service}` is none of the emergency numbers");
            let wrong = Wrong::new("emergency-service", message);
            report.error(*at, wrong.help("add it to `numbers`, or name one of them"));
        }
    }
    let is_written = settings.spot("emergency", "numbers").offset.is_some();
    for extension in drafts.phones.iter().filter_map(|phone| phone.extension.as_ref()) {
        if !emergency.numbers.contains(&extension.value) {
            continue;
        }
        let message = format!("`{}` is an emergency number too", extension.value);
        let wrong = Wrong::new("emergency-number", message);
        if is_written {
            report.error(extension.at, wrong.help("give the phone another extension"));
        } else {
            let help = "the phone is rung and not the police: rename it, or set emergency.numbers";
            report.warn(extension.at, wrong.help(help));
        }
    }
}

/// A TOML list of strings.
pub(super) fn list<T: Display>(words: &[T]) -> String {
    let words: Vec<_> = words.iter().map(|word| quoted(&word.to_string())).collect();
    format!("[{}]", words.join(", "))
}

fn minutes_text(minutes: &Minutes) -> String {
    let capped = Class::ALL.into_iter().filter(|class| minutes[class.index()] > 0);
    let words: Vec<_> =
        capped.map(|class| format!("{}:{}", class.word(), minutes[class.index()])).collect();
    list(&words)
}

/// `international:120`.
pub(super) fn put_minutes(minutes: &mut Minutes, text: &str) -> Result<(), Wrong> {
    let wrong = || {
        Wrong::new("bad-value", format!("`{text}` is not a class with its minutes"))
            .help("write class:minutes, such as \"international:120\"; 0 is no cap")
    };
    let (name, number) = text.split_once(':').ok_or_else(wrong)?;
    let class = class(name)?;
    minutes[class.index()] = number.parse().ok().filter(|n| *n <= 1_000_000).ok_or_else(wrong)?;
    Ok(())
}

pub(super) fn class(text: &str) -> Result<Class, Wrong> {
    Class::from_word(text).ok_or_else(|| {
        let known = Class::ALL.map(Class::word);
        let wrong = Wrong::new("bad-value", format!("there is no class `{text}`"));
        wrong.help(format!("the classes are {}", known.join(", ")))
    })
}

fn services(list_of: &[(String, String)]) -> String {
    let words: Vec<_> =
        list_of.iter().map(|(service, number)| format!("{service}:{number}")).collect();
    list(&words)
}

/// `sos.fire:119`: a service below `sos`, and a number.
fn service(text: &str) -> Result<(String, String), Wrong> {
    let wrong = || {
        let message = format!("`{text}` is not a service and a number");
        Wrong::new("bad-service", message).help("for example `sos.fire:119`")
    };
    let (service, number) = text.split_once(':').ok_or_else(wrong)?;
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let service = service.to_ascii_lowercase();
    let is_good = service.len() <= 64
        && service.split('.').all(is_label)
        && service.split('.').next() == Some("sos");
    if is_good { Ok((service, digits(number)?)) } else { Err(wrong()) }
}

pub(super) fn digits(text: &str) -> Result<String, Wrong> {
    let is_good = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if is_good {
        return Ok(text.to_owned());
    }
    Err(Wrong::new("bad-number", format!("`{text}` is not 1 to 16 digits")))
}

fn word(text: &str) -> Result<&str, Wrong> {
    if text.len() < 3 || text.len() > 64 || text.chars().any(char::is_control) {
        return Err(Wrong::new("bad-name", "a scanner's name has 3 to 64 characters"));
    }
    Ok(text)
}
