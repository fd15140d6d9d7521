//! ES256 signatures: tokens have the two numbers side by side (RFC 7518 §3.4), cryptography writes them in DER.

/// Bytes of one of the two numbers.
const HALF: usize = 32;

/// A signature as it stands in a token.
pub type Signature = [u8; 2 * HALF];

/// The same as `ECDSA-Sig-Value` (RFC 5480, appendix A).
#[must_use]
pub fn to_der(signature: &Signature) -> Vec<u8> {
    let (r, s) = signature.split_at(HALF);
    let body = [integer(r), integer(s)].concat();
    // Two numbers of 33 bytes at most, so the length takes one byte.
    let length = u8::try_from(body.len()).unwrap_or(0);
    [&[0x30, length][..], &body].concat()
}

fn integer(half: &[u8]) -> Vec<u8> {
    let lead = half.iter().take_while(|byte| **byte == 0).count().min(HALF - 1);
    let digits = half.get(lead..).unwrap_or_default();
    let sign: &[u8] = if digits.first().is_some_and(|byte| *byte >= 0x80) { &[0] } else { &[] };
    let length = u8::try_from(sign.len() + digits.len()).unwrap_or(0);
    [&[0x02, length], sign, digits].concat()
}

/// Reads what [`to_der`] writes; `None` if it is anything else.
#[must_use]
pub fn from_der(der: &[u8]) -> Option<Signature> {
    let [0x30, length, body @ ..] = der else { return None };
    if usize::from(*length) != body.len() {
        return None;
    }
    let mut signature = [0; 2 * HALF];
    let (r, s) = signature.split_at_mut(HALF);
    let rest = take_integer(body, r)?;
    take_integer(rest, s)?.is_empty().then_some(signature)
}

fn take_integer<'d>(der: &'d [u8], half: &mut [u8]) -> Option<&'d [u8]> {
    let [0x02, length, rest @ ..] = der else { return None };
    let (digits, rest) = rest.split_at_checked(usize::from(*length))?;
    let digits = digits.strip_prefix(&[0]).unwrap_or(digits);
    half.get_mut(HALF.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_forms_are_the_same(bytes in prop::collection::vec(any::<u8>(), 64), lead in 0..70_usize) {
            let mut signature: Signature = bytes.try_into().unwrap();
            signature[..lead.min(64)].fill(0);
            prop_assert_eq!(from_der(&to_der(&signature)).unwrap(), signature);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = from_der(&bytes);
        }
    }
}
