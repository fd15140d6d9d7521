//! G.711: eight bits a sample by A-law or µ-law. The figures are those of ITU-T G.711
//! Tables 1 and 2, the rounding of negative samples that of ITU-T G.191.
#![expect(
    clippy::cast_possible_truncation,
    reason = "a code has eight bits and a table is indexed by it; tests go through all of them"
)]

/// Which of the two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    Mu,
    A,
}

static MU: [i16; 256] = table(Law::Mu);
static A: [i16; 256] = table(Law::A);

/// The bias that µ-law adds to a magnitude of 13 bits.
const BIAS: u16 = 33;

impl Law {
    /// What a byte stands for.
    pub(super) fn sample(self, code: u8) -> i16 {
        match self {
            Self::Mu => MU[usize::from(code)],
            Self::A => A[usize::from(code)],
        }
    }

    /// Appends a sample for each byte.
    pub(super) fn decode(self, payload: &[u8], out: &mut Vec<i16>) {
        let table = match self {
            Self::Mu => &MU,
            Self::A => &A,
        };
        out.extend(payload.iter().map(|code| table[usize::from(*code)]));
    }

    /// Appends a byte for each sample.
    pub(super) fn encode(self, samples: &[i16], out: &mut Vec<u8>) {
        match self {
            Self::Mu => out.extend(samples.iter().map(|sample| mu(*sample))),
            Self::A => out.extend(samples.iter().map(|sample| a(*sample))),
        }
    }
}

/// The ones' complement of what is negative: G.191 has no step around zero.
fn magnitude(sample: i16) -> u16 {
    (if sample < 0 { !sample } else { sample }).unsigned_abs()
}

/// µ-law: an exponent by the highest bit, four bits after it, all of them inverted.
fn mu(sample: i16) -> u8 {
    let biased = ((magnitude(sample) >> 2) + BIAS).min(0x1fff);
    let exponent = 10 - biased.leading_zeros() as u16;
    let code = (exponent << 4) | ((biased >> (exponent + 1)) & 0xf);
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(code as u8 | sign)
}

/// A-law: the same without a bias, with two segments of one step size at zero, and
/// every other bit inverted.
fn a(sample: i16) -> u8 {
    let magnitude = magnitude(sample) >> 4;
    let code = if magnitude < 32 {
        magnitude
    } else {
        let shift = 11 - magnitude.leading_zeros() as u16;
        ((shift + 1) << 4) | ((magnitude >> shift) & 0xf)
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (code as u8 | sign) ^ 0x55
}

const fn table(law: Law) -> [i16; 256] {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        table[code] = match law {
            Law::Mu => mu_value(code as u8),
            Law::A => a_value(code as u8),
        };
        code += 1;
    }
    table
}

const fn mu_value(code: u8) -> i16 {
    let code = !code;
    let exponent = (code >> 4) & 7;
    let mantissa = (code & 0xf) as i16;
    let magnitude = (((mantissa << 1) + BIAS as i16) << exponent) - BIAS as i16;
    if code & 0x80 == 0 { magnitude << 2 } else { -(magnitude << 2) }
}

const fn a_value(code: u8) -> i16 {
    let code = code ^ 0x55;
    let exponent = (code >> 4) & 7;
    let mantissa = (((code & 0xf) as i16) << 4) + 8;
    let magnitude = if exponent == 0 { mantissa } else { (mantissa + 0x100) << (exponent - 1) };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}
