//! TNAuthList (RFC 8226 §9): which numbers a certificate speaks for.

use super::number::is_canonical;

/// Entries of a list; a certificate with more is refused.
pub const ENTRIES_MAX: usize = 1_000;
/// 1.3.6.1.5.5.7.1.26, `id-pe-TNAuthList`.
const TN_AUTH_LIST: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1a];

/// The certificate, or the list in it, is not what it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// What a certificate speaks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TnAuthList {
    /// Codes of service providers, which speak for all of their numbers.
    pub codes: Vec<String>,
    /// Numbers: the first, and how many follow each other from it on.
    pub numbers: Vec<(String, u64)>,
}

impl TnAuthList {
    /// Reads the list in a certificate (DER); `None` if it has none.
    ///
    /// # Errors
    ///
    /// [`Malformed`] if the certificate cannot be read that far, or the list is too long.
    pub fn of_certificate(certificate: &[u8]) -> Result<Option<Self>, Malformed> {
        let value = extension(certificate).ok_or(Malformed)?;
        value.map(|list| Self::read(list).ok_or(Malformed)).transpose()
    }

    fn read(der: &[u8]) -> Option<Self> {
        let mut list = Self::default();
        let mut entries = whole(der, SEQUENCE)?;
        let mut count = 0;
        while !entries.is_empty() {
            count += 1;
            if count > ENTRIES_MAX {
                return None;
            }
            let (tag, value, rest) = element(entries)?;
            entries = rest;
            match tag {
                0xa0 => list.codes.push(ia5(value)?),
                0xa1 => list.numbers.push(range(value)?),
                0xa2 => list.numbers.push((number(value)?, 1)),
                // A later RFC's: it speaks for nothing that we know of.
                _ => {}
            }
        }
        Some(list)
    }

    /// Does the certificate speak for this number? Nobody here knows the numbers of a provider, so where one is
    /// named there is nothing to compare.
    #[must_use]
    pub fn covers(&self, wanted: &str) -> bool {
        !self.codes.is_empty()
            || self.numbers.iter().any(|(first, count)| {
                if *count == 1 || first.len() != wanted.len() {
                    return first == wanted;
                }
                let place = |number: &str| number.parse::<u64>().ok();
                let offset = place(wanted).zip(place(first)).and_then(|(w, f)| w.checked_sub(f));
                offset.is_some_and(|offset| offset < *count)
            })
    }
}

fn range(der: &[u8]) -> Option<(String, u64)> {
    let fields = whole(der, SEQUENCE)?;
    let (tag, first, rest) = element(fields)?;
    let (count_tag, count, _) = element(rest)?;
    let is_number = tag == IA5_STRING && count_tag == INTEGER;
    let sign_free = count.first().is_some_and(|byte| *byte < 0x80) && count.len() <= 8;
    let count = count.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    (is_number && sign_free && count > 0).then_some((text(first)?, count))
}

fn number(der: &[u8]) -> Option<String> {
    ia5(der).filter(|number| is_canonical(number))
}

fn ia5(der: &[u8]) -> Option<String> {
    whole(der, IA5_STRING).and_then(text)
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
}

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const IA5_STRING: u8 = 0x16;
const SEQUENCE: u8 = 0x30;
/// `[3]` of a certificate (RFC 5280 §4.1).
const EXTENSIONS: u8 = 0xa3;

/// The value of the extension in a certificate: `None` if it cannot be read, `Some(None)` if it is not there.
fn extension(certificate: &[u8]) -> Option<Option<&[u8]>> {
    let (tag, signed, _) = element(whole(certificate, SEQUENCE)?)?;
    if tag != SEQUENCE {
        return None;
    }
    let mut fields = signed;
    let list = loop {
        if fields.is_empty() {
            return Some(None);
        }
        let (tag, value, rest) = element(fields)?;
        if tag == EXTENSIONS {
            break value;
        }
        fields = rest;
    };
    let mut list = whole(list, SEQUENCE)?;
    while !list.is_empty() {
        let (_, parts, rest) = element(list)?;
        list = rest;
        let (tag, id, rest) = element(parts)?;
        if tag != OID || id != TN_AUTH_LIST {
            continue;
        }
        let (tag, value, rest) = element(rest)?;
        let (tag, value) = match tag {
            BOOLEAN => element(rest).map(|(tag, value, _)| (tag, value))?,
            _ => (tag, value),
        };
        return (tag == OCTET_STRING).then_some(Some(value));
    }
    Some(None)
}

/// The value of the one element that the bytes are.
fn whole(der: &[u8], wanted: u8) -> Option<&[u8]> {
    let (tag, value, rest) = element(der)?;
    (tag == wanted && rest.is_empty()).then_some(value)
}

/// Tag, value and what follows (X.690 §8.1); lengths of three bytes at most.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn der(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(value.len()).unwrap()], value].concat()
    }

    fn range_of(first: &str, count: u8) -> Vec<u8> {
        let fields = [der(IA5_STRING, first.as_bytes()), der(INTEGER, &[count])].concat();
        der(0xa1, &der(SEQUENCE, &fields))
    }

    #[test]
    fn numbers_and_ranges_are_compared_and_codes_are_believed() {
        let one = der(0xa2, &der(IA5_STRING, b"12155551212"));
        let list = TnAuthList::read(&der(SEQUENCE, &[one, range_of("862012345000", 100)].concat()));
        let list = list.unwrap();
        for (number, is_covered) in [
            ("12155551212", true),
            ("12155551213", false),
            ("862012345000", true),
            ("862012345099", true),
            ("862012345100", false),
            ("862012344999", false),
            ("86201234500", false),
            ("0862012345000", false),
        ] {
            assert_eq!(list.covers(number), is_covered, "{number}");
        }
        let code = der(SEQUENCE, &der(0xa0, &der(IA5_STRING, b"709J")));
        assert!(TnAuthList::read(&code).unwrap().covers("1"));
        assert!(!TnAuthList::default().covers("1"));
    }

    #[test]
    fn a_list_without_end_is_refused() {
        let one = der(0xa2, &der(IA5_STRING, b"12155551212"));
        let many = one.repeat(ENTRIES_MAX + 1);
        let length = u16::try_from(many.len()).unwrap().to_be_bytes();
        assert_eq!(TnAuthList::read(&[&[SEQUENCE, 0x82], &length[..], &many].concat()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = TnAuthList::of_certificate(&bytes);
            let _ = TnAuthList::read(&bytes);
        }
    }
}
