//! What is said in parts: numbers, digits, dates, times, money and durations as names of prompts, in each language.
//!
//! The prompts are those of `sounds/prompts.txt`; every one is there in every language, so whoever adds a language
//! adds files and a module here.

mod chinese;
mod english;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

/// The name of a prompt, without its language: a file of that name is in `sounds/<language>`.
pub type PromptId = Cow<'static, str>;

/// Numbers are said as numbers below this; the others digit by digit.
pub const NUMBER_END: u64 = 1_000_000_000_000;
/// Digits that are said one by one at most; nobody remembers more.
pub const DIGITS_MAX: usize = 64;

/// A language that phrases are made in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Language {
    /// English, with the numbers of the United States: no "and" between hundreds and tens.
    #[default]
    English,
    /// Mandarin.
    Chinese,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// As it is written in the configuration, which is also its folder in `sounds/` (BCP 47).
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// By its code, in any case; `None` if it is none of ours.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(code))
    }
}

/// Money by its name in ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Currency {
    /// Yuan, of ten jiao, of ten fen.
    Cny,
    /// Dollars of a hundred cents.
    Usd,
    /// Euros of a hundred cents.
    Eur,
    /// Pounds of a hundred pence.
    Gbp,
    /// Yen, which have no parts: an amount is whole yen.
    Jpy,
    /// Dollars of Hong Kong, of a hundred cents.
    Hkd,
}

impl Currency {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Cny, Self::Usd, Self::Eur, Self::Gbp, Self::Jpy, Self::Hkd];

    /// The code of ISO 4217.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Cny => "CNY",
            Self::Usd => "USD",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Jpy => "JPY",
            Self::Hkd => "HKD",
        }
    }

    /// The prompts of its unit: of one, and of several.
    const fn unit(self) -> [&'static str; 2] {
        match self {
            Self::Cny => ["cny-one", "cny-many"],
            Self::Usd => ["usd-one", "usd-many"],
            Self::Eur => ["eur-one", "eur-many"],
            Self::Gbp => ["gbp-one", "gbp-many"],
            Self::Jpy => ["jpy-one", "jpy-many"],
            Self::Hkd => ["hkd-one", "hkd-many"],
        }
    }

    /// The prompts of a hundredth of it.
    const fn hundredth(self) -> [&'static str; 2] {
        match self {
            Self::Cny => ["fen", "fen"],
            Self::Gbp => ["penny-one", "penny-many"],
            Self::Usd | Self::Eur | Self::Jpy | Self::Hkd => ["cent-one", "cent-many"],
        }
    }

    /// How many of the smallest part make one.
    const fn parts(self) -> u64 {
        match self {
            Self::Jpy => 1,
            _ => 100,
        }
    }
}

/// Something that is said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Spoken {
    /// A prompt as it is.
    Prompt(PromptId),
    /// How many.
    Number(u64),
    /// Digits one by one, with `*`, `#` and `+`; anything else is left out, and so is what is behind [`DIGITS_MAX`].
    Digits(String),
    /// The same as telephone numbers, extensions and codes are read: in Chinese a one is yao, which nobody takes for a seven.
    Telephone(String),
    /// A day of the calendar; out of range, nothing is said.
    Date {
        /// With its century.
        year: u16,
        /// 1 to 12.
        month: u8,
        /// 1 to 31.
        day: u8,
    },
    /// A day of the week: 1 is Monday, 7 Sunday.
    Weekday(u8),
    /// A time of day; out of range, nothing is said.
    Time {
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
    },
    /// An amount in the smallest part of its currency: fen, cents, yen.
    Money(i64, Currency),
    /// How long, in days, hours, minutes and seconds; what is less than a second is left out.
    Duration(Duration),
    /// The place in a line, from 1: "you are number 3 in line".
    Place(u64),
}

/// The prompts that say these things, in order.
#[must_use]
pub fn phrase(language: Language, things: &[Spoken]) -> Vec<PromptId> {
    let mut out = Vec::new();
    for thing in things {
        match language {
            Language::English => english::say(thing, &mut out),
            Language::Chinese => chinese::say(thing, &mut out),
        }
    }
    out
}

fn part(out: &mut Vec<PromptId>, name: &'static str) {
    out.push(Cow::Borrowed(name));
}

/// One of a row of prompts that are numbered.
fn numbered(out: &mut Vec<PromptId>, row: &str, number: u64) {
    out.push(Cow::Owned(format!("{row}-{number}")));
}

/// Digits one by one, a one as this prompt.
fn digits(out: &mut Vec<PromptId>, text: &str, one: &'static str) {
    for digit in text.chars().filter(|c| c.is_ascii_digit() || "*#+".contains(*c)).take(DIGITS_MAX)
    {
        match digit {
            '1' => part(out, one),
            '*' => part(out, "key-star"),
            '#' => part(out, "key-hash"),
            '+' => part(out, "plus"),
            digit => numbered(out, "n", digit.to_digit(10).unwrap_or_default().into()),
        }
    }
}

/// The first of two prompts for one, the second for any other count.
const fn counted(count: u64, [one, many]: [&'static str; 2]) -> &'static str {
    if count == 1 { one } else { many }
}

/// Is there such a day in some year?
const fn is_day(month: u8, day: u8) -> bool {
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 29,
        _ => 0,
    };
    day >= 1 && day <= last
}

/// A duration as days, hours, minutes and seconds, without those that are none; never empty.
fn spans(duration: Duration) -> Vec<(u64, [&'static str; 2])> {
    let seconds = duration.as_secs();
    let all = [
        (seconds / 86_400, ["day-one", "day-many"]),
        (seconds / 3_600 % 24, ["hour-one", "hour-many"]),
        (seconds / 60 % 60, ["minute-one", "minute-many"]),
        (seconds % 60, ["second-one", "second-many"]),
    ];
    let mut spans: Vec<_> = all.into_iter().filter(|(count, _)| *count > 0).collect();
    if spans.is_empty() {
        spans.push((0, ["second-one", "second-many"]));
    }
    spans
}
