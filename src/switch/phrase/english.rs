//! English, as it is said in the United States.

use super::{NUMBER_END, PromptId, Spoken, counted, digits, is_day, numbered, part, spans};

pub(super) fn say(thing: &Spoken, out: &mut Vec<PromptId>) {
    match thing {
        Spoken::Prompt(name) => out.push(name.clone()),
        Spoken::Number(number) => cardinal(*number, out),
        Spoken::Digits(text) | Spoken::Telephone(text) => digits(out, text, "n-1"),
        Spoken::Date { year, month, day } if is_day(*month, *day) => {
            numbered(out, "month", u64::from(*month));
            ordinal(u64::from(*day), out);
            say_year(u64::from(*year), out);
        }
        Spoken::Weekday(day @ 1..=7) => numbered(out, "weekday", u64::from(*day)),
        Spoken::Time { hour: hour @ 0..=23, minute: minute @ 0..=59 } => {
            cardinal(u64::from((*hour + 11) % 12 + 1), out);
            match minute {
                0 => {}
                1..=9 => {
                    part(out, "n-oh");
                    cardinal(u64::from(*minute), out);
                }
                _ => cardinal(u64::from(*minute), out),
            }
            part(out, if *hour < 12 { "time-am" } else { "time-pm" });
        }
        Spoken::Date { .. } | Spoken::Weekday(_) | Spoken::Time { .. } => {}
        Spoken::Money(amount, currency) => {
            if *amount < 0 {
                part(out, "n-minus");
            }
            let amount = amount.unsigned_abs();
            let (whole, rest) = (amount / currency.parts(), amount % currency.parts());
            if whole > 0 || rest == 0 {
                cardinal(whole, out);
                part(out, counted(whole, currency.unit()));
            }
            if whole > 0 && rest > 0 {
                part(out, "and");
            }
            if rest > 0 {
                cardinal(rest, out);
                part(out, counted(rest, currency.hundredth()));
            }
        }
        Spoken::Duration(duration) => {
            for (count, unit) in spans(*duration) {
                cardinal(count, out);
                part(out, counted(count, unit));
            }
        }
        Spoken::Place(place) => {
            part(out, "place-before");
            cardinal(*place, out);
            part(out, "place-after");
        }
    }
}

fn cardinal(number: u64, out: &mut Vec<PromptId>) {
    if number >= NUMBER_END {
        return digits(out, &number.to_string(), "n-1");
    }
    if number == 0 {
        return part(out, "n-0");
    }
    let groups = [(1_000_000_000, "n-billion"), (1_000_000, "n-million"), (1_000, "n-thousand")];
    let mut rest = number;
    for (size, name) in groups {
        if rest >= size {
            below_thousand(rest / size, out);
            part(out, name);
            rest %= size;
        }
    }
    below_thousand(rest, out);
}

fn below_thousand(number: u64, out: &mut Vec<PromptId>) {
    if number >= 100 {
        numbered(out, "n", number / 100);
        part(out, "n-hundred");
    }
    match number % 100 {
        0 => {}
        rest @ 1..=19 => numbered(out, "n", rest),
        rest => {
            numbered(out, "n", rest / 10 * 10);
            if rest % 10 > 0 {
                numbered(out, "n", rest % 10);
            }
        }
    }
}

/// Up to the thirty-first.
fn ordinal(number: u64, out: &mut Vec<PromptId>) {
    match number {
        1..=20 | 30 => numbered(out, "o", number),
        _ => {
            numbered(out, "n", number / 10 * 10);
            numbered(out, "o", number % 10);
        }
    }
}

/// Nineteen ninety-nine, two thousand five, twenty twenty-six.
fn say_year(year: u64, out: &mut Vec<PromptId>) {
    let (century, rest) = (year / 100, year % 100);
    if !(1_000..=9_999).contains(&year) || century % 10 == 0 && rest < 10 {
        return cardinal(year, out);
    }
    cardinal(century, out);
    match rest {
        0 => part(out, "n-hundred"),
        1..=9 => {
            part(out, "n-oh");
            cardinal(rest, out);
        }
        _ => cardinal(rest, out),
    }
}
