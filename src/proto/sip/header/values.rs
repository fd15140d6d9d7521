//! The small values: CSeq, delta-seconds, q, tokens (RFC 3261 §20, §25.1).

use crate::proto::sip::method::Method;

/// The largest CSeq number (RFC 3261 §8.1.1.5).
pub const CSEQ_MAX: u32 = (1 << 31) - 1;

/// A CSeq value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CSeq {
    /// The sequence number, below 2^31.
    pub number: u32,
    /// The method.
    pub method: Method,
}

impl CSeq {
    /// Reads a CSeq; `None` if it is malformed or above [`CSEQ_MAX`].
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let number = digits(words.next()?)?;
        let method = words.next()?;
        if words.next().is_some() || number > u64::from(CSEQ_MAX) {
            return None;
        }
        Some(Self { number: u32::try_from(number).ok()?, method: Method::from_token(method) })
    }
}

/// A number of decimal digits only: no sign, no blank, at most 18 digits.
#[must_use]
pub fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 18 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Delta-seconds (RFC 3261 §25.1). A value above 2^32-1 is read as that maximum, as §20.19 allows;
/// `None` if it is not a number.
#[must_use]
pub fn delta_seconds(value: &str) -> Option<u32> {
    // Retry-After may carry a comment and parameters behind the number.
    let number = value.trim().split([';', '(', ' ', '\t']).next()?;
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(number.parse().unwrap_or(u32::MAX))
}

/// A q-value in thousandths (RFC 3261 §25.1); what is not one counts as 1.0.
#[must_use]
pub fn q_value(value: &str) -> u16 {
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if whole == "1" {
        return 1000;
    }
    if whole != "0" && !whole.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return 1000;
    }
    fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(3)
        .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
}

/// Does a comma-separated list of tokens (`Supported`, `Allow`, `Require`) hold this one?
#[must_use]
pub fn has_token(list: &str, token: &str) -> bool {
    super::split_list(list).any(|word| word.eq_ignore_ascii_case(token))
}
