//! Numbers between the canonical form (E.164 with `+`) and what a carrier writes.

use super::dialect::{Dialect, words};
use crate::switch::route::caps::DialSettings;

/// A form of a telephone number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NumberForm {
    /// As it is.
    #[default]
    AsIs,
    /// `+862012345678`.
    E164,
    /// `862012345678`.
    E164Bare,
    /// `00862012345678`: the first of `dial.international_prefixes`.
    International,
    /// `02012345678`, and `00…` abroad.
    National,
    /// `12345678` in the own area, `national` elsewhere.
    Local,
}

words!(NumberForm {
    AsIs = "as_is",
    E164 = "e164",
    E164Bare = "e164_bare",
    International = "00",
    National = "national",
    Local = "local",
});

/// Digits of a number inside its area; shorter ones are services, longer ones are not of the area.
const LOCAL_DIGITS: std::ops::RangeInclusive<usize> = 7..=9;
/// Digits of the shortest number of a country without a national prefix, and of a mobile number.
const NATIONAL_DIGITS_MIN: usize = 7;

/// How numbers of a place are read and written.
#[derive(Clone, Copy, Debug)]
pub struct Numbering<'s> {
    dial: &'s DialSettings,
    area_code: Option<&'s str>,
    mobile_bare: bool,
}

impl<'s> Numbering<'s> {
    /// Those of a trunk.
    #[must_use]
    pub fn of(dial: &'s DialSettings, dialect: &'s Dialect) -> Self {
        let area_code = dialect.area_code.as_deref();
        Self { dial, area_code, mobile_bare: dialect.mobile_bare }
    }

    /// The canonical form; `None` for what is no number outside: extensions, services, names. A number without any
    /// prefix is one of the area, or a mobile one.
    #[must_use]
    pub fn canonical(&self, number: &str) -> Option<String> {
        let digits = number.strip_prefix('+').unwrap_or(number);
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        if number.starts_with('+') {
            return Some(number.to_owned());
        }
        let mut prefixes = self.dial.international_prefixes.iter();
        if let Some(rest) = prefixes.find_map(|prefix| number.strip_prefix(prefix.as_str())) {
            return (!rest.is_empty()).then(|| format!("+{rest}"));
        }
        let country = self.dial.country_code.as_deref()?;
        let prefix = self.dial.national_prefix.as_str();
        let long = number.len() >= NATIONAL_DIGITS_MIN;
        if prefix.is_empty() {
            return long.then(|| format!("+{country}{number}"));
        }
        if let Some(rest) = number.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
            return Some(format!("+{country}{rest}"));
        }
        if long && self.is_mobile(number) {
            return Some(format!("+{country}{number}"));
        }
        let area = self.area().filter(|_| LOCAL_DIGITS.contains(&number.len()))?;
        Some(format!("+{country}{area}{number}"))
    }

    /// The canonical form of a number that arrives in this form.
    #[must_use]
    pub fn received(&self, number: &str, form: NumberForm) -> String {
        let is_bare = form == NumberForm::E164Bare
            && number.len() > NATIONAL_DIGITS_MIN
            && !number.starts_with('0')
            && number.bytes().all(|b| b.is_ascii_digit());
        match form {
            NumberForm::AsIs => number.to_owned(),
            _ if is_bare => format!("+{number}"),
            _ => self.canonical(number).unwrap_or_else(|| number.to_owned()),
        }
    }

    /// A number in this form; what has no canonical form stays as it is.
    #[must_use]
    pub fn write(&self, number: &str, form: NumberForm) -> String {
        if form == NumberForm::AsIs {
            return number.to_owned();
        }
        let Some(canonical) = self.canonical(number) else { return number.to_owned() };
        let digits = canonical.trim_start_matches('+');
        let abroad = || {
            let prefix = self.dial.international_prefixes.first().map_or("00", String::as_str);
            format!("{prefix}{digits}")
        };
        match form {
            NumberForm::AsIs | NumberForm::E164 => canonical,
            NumberForm::E164Bare => digits.to_owned(),
            NumberForm::International => abroad(),
            NumberForm::National | NumberForm::Local => {
                let country = self.dial.country_code.as_deref().filter(|code| !code.is_empty());
                let Some(rest) = country.and_then(|country| digits.strip_prefix(country)) else {
                    return abroad();
                };
                let near = self.area().and_then(|area| rest.strip_prefix(area));
                match near.filter(|rest| LOCAL_DIGITS.contains(&rest.len())) {
                    Some(near) if form == NumberForm::Local => near.to_owned(),
                    _ if self.mobile_bare && self.is_mobile(rest) => rest.to_owned(),
                    _ => format!("{}{rest}", self.dial.national_prefix),
                }
            }
        }
    }

    fn area(&self) -> Option<&'s str> {
        let prefix = self.dial.national_prefix.as_str();
        let area = self.area_code?;
        Some(area.strip_prefix(prefix).filter(|rest| !rest.is_empty()).unwrap_or(area))
    }

    fn is_mobile(&self, number: &str) -> bool {
        let country = self.dial.country_code.as_deref().unwrap_or("");
        self.dial.mobile.iter().any(|known| match known.strip_prefix('+') {
            Some(whole) => whole.strip_prefix(country).is_some_and(|own| number.starts_with(own)),
            None => number.starts_with(known.as_str()),
        })
    }
}
