//! Telephone numbers in the one form that tokens have (RFC 8224 §8.3): digits, country code first, no `+`.

/// Digits of a number; a longer one is none.
const DIGITS_MAX: usize = 32;
/// A number up to this long is a short code or an extension, which no country code stands before.
const SHORT_MAX: usize = 6;
/// From this many digits on, a number that begins with our country's code has it already (ITU-T E.164 §6).
const WITH_COUNTRY_MIN: usize = 11;

/// How numbers are dialled where we are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Home<'h> {
    /// Our country's code, such as `86`.
    pub country_code: Option<&'h str>,
    /// What stands before another area's number.
    pub national_prefix: &'h str,
    /// What stands before another country's code, beside `+`.
    pub international_prefixes: &'h [String],
}

/// The canonical form of a number; `None` if it is none, as a name or `anonymous`.
#[must_use]
pub fn canonical(number: &str, home: Home<'_>) -> Option<String> {
    let (has_plus, rest) = match number.strip_prefix('+') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let is_separator = |c: &char| "-.() ".contains(*c);
    let digits: String = rest.chars().filter(|c| !is_separator(c)).collect();
    let is_number = digits.chars().all(|c| c.is_ascii_digit() || c == '*' || c == '#');
    if digits.is_empty() || digits.len() > DIGITS_MAX || !is_number {
        return None;
    }
    let is_whole = has_plus || digits.len() <= SHORT_MAX || digits.contains(['*', '#']);
    let found = if is_whole { digits } else { with_country(digits, home) };
    is_canonical(&found).then_some(found)
}

/// A number that is dialled here, with its country's code.
fn with_country(digits: String, home: Home<'_>) -> String {
    let strip = |prefix: &str| digits.strip_prefix(prefix).filter(|_| !prefix.is_empty());
    if let Some(rest) = home.international_prefixes.iter().find_map(|prefix| strip(prefix)) {
        return rest.to_owned();
    }
    let Some(country) = home.country_code else { return digits };
    if let Some(rest) = strip(home.national_prefix) {
        return format!("{country}{rest}");
    }
    if digits.starts_with(country) && digits.len() >= WITH_COUNTRY_MIN {
        return digits;
    }
    format!("{country}{digits}")
}

/// Is this the canonical form of a number?
pub(super) fn is_canonical(number: &str) -> bool {
    !number.is_empty()
        && number.len() <= DIGITS_MAX
        && number.bytes().all(|b| b.is_ascii_digit() || b == b'*' || b == b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row 163: whatever form a carrier writes numbers in, they are compared in one.
    #[test]
    fn row_163_numbers_have_one_form() {
        let prefixes = ["00".to_owned()];
        let china = Home {
            country_code: Some("86"),
            national_prefix: "0",
            international_prefixes: &prefixes,
        };
        let america = ["011".to_owned()];
        let america = Home {
            country_code: Some("1"),
            national_prefix: "1",
            international_prefixes: &america,
        };
        for (home, number, form) in [
            (china, "+862012345678", Some("862012345678")),
            (china, "862012345678", Some("862012345678")),
            (china, "00862012345678", Some("862012345678")),
            (china, "02012345678", Some("862012345678")),
            (china, "013800138000", Some("8613800138000")),
            (china, "13800138000", Some("8613800138000")),
            (china, "0012155551212", Some("12155551212")),
            (china, "+86 (20) 1234-5678", Some("862012345678")),
            (china, "86.2012.345678", Some("862012345678")),
            (china, "1001", Some("1001")),
            (china, "110", Some("110")),
            (china, "*98", Some("*98")),
            (america, "2155551212", Some("12155551212")),
            (america, "12155551212", Some("12155551212")),
            (america, "011862012345678", Some("862012345678")),
            (Home::default(), "02012345678", Some("02012345678")),
            (china, "anonymous", None),
            (china, "alice", None),
            (china, "", None),
            (china, "+", None),
            (china, "++86201", None),
            (china, "86201234567812345678123456781234567", None),
            (china, "1234567812345678123456781234567", None),
        ] {
            assert_eq!(canonical(number, home).as_deref(), form, "{number}");
        }
    }
}
