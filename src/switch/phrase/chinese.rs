//! Mandarin.
//!
//! Decided where usage varies: two is liang before thousand, wan and yi at the begin of a number and before what is counted, and
//! er everywhere else (before hundred too); ten at the begin of a number is said without its one; hours are those of twelve with the
//! part of the day.

use super::{
    Currency, NUMBER_END, PromptId, Spoken, counted, digits, is_day, numbered, part, spans,
};

pub(super) fn say(thing: &Spoken, out: &mut Vec<PromptId>) {
    match thing {
        Spoken::Prompt(name) => out.push(name.clone()),
        Spoken::Number(number) => cardinal(*number, out),
        Spoken::Digits(text) => digits(out, text, "n-1"),
        Spoken::Telephone(text) => digits(out, text, "n-one"),
        Spoken::Date { year, month, day } if is_day(*month, *day) => {
            digits(out, &year.to_string(), "n-1");
            part(out, "date-year");
            numbered(out, "month", u64::from(*month));
            cardinal(u64::from(*day), out);
            part(out, "date-day");
        }
        Spoken::Weekday(day @ 1..=7) => numbered(out, "weekday", u64::from(*day)),
        Spoken::Time { hour: hour @ 0..=23, minute: minute @ 0..=59 } => time(*hour, *minute, out),
        Spoken::Date { .. } | Spoken::Weekday(_) | Spoken::Time { .. } => {}
        Spoken::Money(amount, currency) => money(*amount, *currency, out),
        Spoken::Duration(duration) => {
            for (span, unit) in spans(*duration) {
                count(span, out);
                part(out, counted(span, unit));
            }
        }
        Spoken::Place(place) => {
            part(out, "place-before");
            cardinal(*place, out);
            part(out, "place-after");
        }
    }
}

fn time(hour: u8, minute: u8, out: &mut Vec<PromptId>) {
    part(
        out,
        match hour {
            0..=5 => "time-dawn",
            6..=11 => "time-am",
            12 => "time-noon",
            13..=17 => "time-pm",
            _ => "time-evening",
        },
    );
    count(u64::from(if hour > 12 { hour - 12 } else { hour }), out);
    part(out, "time-oclock");
    if minute == 0 {
        return;
    }
    if minute < 10 {
        part(out, "n-0");
    }
    cardinal(u64::from(minute), out);
    part(out, "time-minute");
}

/// Yuan, jiao and fen; other money has hundredths.
fn money(amount: i64, currency: Currency, out: &mut Vec<PromptId>) {
    if amount < 0 {
        part(out, "n-minus");
    }
    let amount = amount.unsigned_abs();
    let (whole, rest) = (amount / currency.parts(), amount % currency.parts());
    if whole > 0 || rest == 0 {
        count(whole, out);
        part(out, counted(whole, currency.unit()));
    }
    if currency != Currency::Cny {
        if rest > 0 {
            count(rest, out);
            part(out, counted(rest, currency.hundredth()));
        }
        return;
    }
    let (jiao, fen) = (rest / 10, rest % 10);
    if jiao > 0 {
        let say = if whole == 0 { count } else { cardinal };
        say(jiao, out);
        part(out, "jiao");
    } else if whole > 0 && fen > 0 {
        part(out, "n-0");
    }
    if fen > 0 {
        let say = if rest == amount && jiao == 0 { count } else { cardinal };
        say(fen, out);
        part(out, "fen");
    }
}

/// How many of something: two of it are liang.
fn count(number: u64, out: &mut Vec<PromptId>) {
    if number == 2 {
        return part(out, "n-two");
    }
    cardinal(number, out);
}

fn cardinal(number: u64, out: &mut Vec<PromptId>) {
    if number >= NUMBER_END {
        return digits(out, &number.to_string(), "n-1");
    }
    if number == 0 {
        return part(out, "n-0");
    }
    let begin = out.len();
    let groups = [
        (number / 100_000_000, Some("n-yi")),
        (number / 10_000 % 10_000, Some("n-wan")),
        (number % 10_000, None),
    ];
    // Noughts between what is said are one nought.
    let mut is_gap = false;
    for (group, unit) in groups {
        let is_first = out.len() == begin;
        if group == 0 {
            is_gap = !is_first;
            continue;
        }
        if !is_first && (is_gap || group < 1_000) {
            part(out, "n-0");
        }
        is_gap = false;
        if is_first && group == 2 && unit.is_some() {
            part(out, "n-two");
        } else {
            below_wan(group, is_first, out);
        }
        if let Some(unit) = unit {
            part(out, unit);
        }
    }
}

fn below_wan(group: u64, is_first: bool, out: &mut Vec<PromptId>) {
    let (thousands, hundreds, rest) = (group / 1_000, group / 100 % 10, group % 100);
    if thousands > 0 {
        match thousands {
            2 if is_first => part(out, "n-two"),
            _ => numbered(out, "n", thousands),
        }
        part(out, "n-thousand");
    }
    if hundreds > 0 {
        numbered(out, "n", hundreds);
        part(out, "n-hundred");
    } else if thousands > 0 && rest > 0 {
        part(out, "n-0");
    }
    if rest == 0 {
        return;
    }
    if hundreds > 0 && rest < 10 {
        part(out, "n-0");
    }
    // Within a number it is "one ten".
    let is_begin = is_first && group < 100;
    if (10..20).contains(&rest) && !is_begin {
        part(out, "n-1");
    }
    if rest < 20 {
        return numbered(out, "n", rest);
    }
    numbered(out, "n", rest / 10 * 10);
    if rest % 10 > 0 {
        numbered(out, "n", rest % 10);
    }
}
