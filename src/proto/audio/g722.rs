//! G.722 at 64 kbit/s: 16 kHz, two bands, each by adaptive differential PCM. The figures
//! and the names of the blocks are those of ITU-T G.722 §3 and §4.
#![expect(
    clippy::cast_possible_truncation,
    reason = "the arithmetic is the recommendation's, and every value is limited to 16 bits"
)]

/// Coefficients of the quadrature mirror filter, one half of a symmetric 24.
const QMF: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];
/// Decision levels of the lower band.
const Q6: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// Output of the lower band's inverse quantiser by four bits, which adapts both sides.
const QM4: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
/// The same by six bits, which is what is heard.
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// Output of the higher band's inverse quantiser.
const QM2: [i32; 4] = [-7408, -1616, 7408, 1616];
/// What a code of the lower band adds to the logarithm of its step size.
const WL: [i32; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
/// What a code of the higher band adds.
const WH: [i32; 4] = [798, -214, 798, -214];
/// Powers of two in steps of 1/32, times 2048.
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
/// The only decision level of the higher band.
const Q2: i32 = 564;
/// The smallest step sizes, which a new band has.
const LOW_STEP: i32 = 32;
const HIGH_STEP: i32 = 8;

/// Samples to bytes: two to one.
#[derive(Debug)]
pub(super) struct Encoder {
    low: Band,
    high: Band,
    even: [i32; 12],
    odd: [i32; 12],
}

/// Bytes to samples: one to two.
#[derive(Debug)]
pub(super) struct Decoder {
    low: Band,
    high: Band,
    sum: [i32; 12],
    difference: [i32; 12],
    /// The last pairs that were played, the newest at the end.
    played: [[i16; 2]; 12],
}

impl Encoder {
    pub(super) fn new() -> Self {
        let (even, odd) = ([0; 12], [0; 12]);
        Self { low: Band::new(LOW_STEP), high: Band::new(HIGH_STEP), even, odd }
    }

    /// Appends a byte for each two samples.
    pub(super) fn encode(&mut self, samples: &[i16], out: &mut Vec<u8>) {
        let (pairs, _) = samples.as_chunks::<2>();
        out.extend(pairs.iter().map(|pair| self.pair(*pair)));
    }

    fn pair(&mut self, [first, second]: [i16; 2]) -> u8 {
        push(&mut self.even, i32::from(first));
        push(&mut self.odd, i32::from(second));
        let (even, odd) = (forward(&self.even), backward(&self.odd));
        let low = self.low.code_low((odd + even) >> 14);
        let high = self.high.code_high((odd - even) >> 14);
        self.low.adapt_low(low >> 2);
        self.high.adapt_high(high);
        ((high << 6) | low) as u8
    }
}

impl Decoder {
    pub(super) fn new() -> Self {
        let (sum, difference) = ([0; 12], [0; 12]);
        let played = [[0; 2]; 12];
        Self { low: Band::new(LOW_STEP), high: Band::new(HIGH_STEP), sum, difference, played }
    }

    /// Appends two samples for each byte.
    pub(super) fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) {
        out.extend(payload.iter().flat_map(|code| self.pair(usize::from(*code))));
        self.keep(out);
    }

    /// Takes what is played in the place of a packet that was lost: both bands go on as if it had been sent, so that the next
    /// packet finds them about where its sender's are. Left where they were, they would be wrong for long.
    pub(super) fn follow(&mut self, samples: &[i16]) {
        let (mut even, mut odd) = ([0; 12], [0; 12]);
        for [first, second] in self.played {
            push(&mut even, i32::from(first));
            push(&mut odd, i32::from(second));
        }
        let (pairs, _) = samples.as_chunks::<2>();
        for [first, second] in pairs {
            push(&mut even, i32::from(*first));
            push(&mut odd, i32::from(*second));
            let (up, down) = (forward(&even), backward(&odd));
            let low = self.low.code_low((down + up) >> 14);
            let high = self.high.code_high((down - up) >> 14);
            self.pair(high << 6 | low);
        }
        self.keep(samples);
    }

    fn keep(&mut self, samples: &[i16]) {
        let (pairs, _) = samples.as_chunks::<2>();
        for pair in pairs.iter().rev().take(self.played.len()).rev() {
            self.played.copy_within(1.., 0);
            self.played[self.played.len() - 1] = *pair;
        }
    }

    fn pair(&mut self, code: usize) -> [i16; 2] {
        let (low, high) = (code & 0x3f, code >> 6);
        let (heard_low, heard_high) = (self.low.heard(QM6[low]), self.high.heard(QM2[high]));
        self.low.adapt_low(low >> 2);
        self.high.adapt_high(high);
        push(&mut self.sum, heard_low + heard_high);
        push(&mut self.difference, heard_low - heard_high);
        [backward(&self.difference), forward(&self.sum)].map(|sum| limit(sum >> 11) as i16)
    }
}

/// The newest value comes last.
fn push(delay: &mut [i32; 12], value: i32) {
    delay.copy_within(1.., 0);
    delay[11] = value;
}

fn forward(delay: &[i32; 12]) -> i32 {
    delay.iter().zip(&QMF).map(|(value, weight)| value * weight).sum()
}

fn backward(delay: &[i32; 12]) -> i32 {
    delay.iter().zip(QMF.iter().rev()).map(|(value, weight)| value * weight).sum()
}

fn limit(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// The predictor and the step size of one band: the same in encoder and decoder.
#[derive(Debug)]
struct Band {
    /// What the predictor expects: `s`, and of it the zero section's part, `sz`.
    expected: i32,
    zeros: i32,
    /// The last two reconstructed signals, the newest first: `r`.
    reconstructed: [i32; 2],
    /// The last two partly reconstructed signals: `p`.
    partial: [i32; 2],
    /// Coefficients of the pole section: `a`.
    poles: [i32; 2],
    /// The last six quantised differences, the newest first: `d`.
    differences: [i32; 6],
    /// Coefficients of the zero section: `b`.
    weights: [i32; 6],
    /// The logarithm of the step size: `nb`.
    log_step: i32,
    /// The step size: `det`.
    step: i32,
}

impl Band {
    fn new(step: i32) -> Self {
        Self {
            expected: 0,
            zeros: 0,
            reconstructed: [0; 2],
            partial: [0; 2],
            poles: [0; 2],
            differences: [0; 6],
            weights: [0; 6],
            log_step: 0,
            step,
        }
    }

    /// Six bits for a signal of the lower band: SUBTRA, QUANTL.
    fn code_low(&self, signal: i32) -> usize {
        let error = limit(signal - self.expected);
        let magnitude = if error < 0 { !error } else { error };
        let level = Q6.partition_point(|decision| (decision * self.step) >> 12 <= magnitude);
        match (error < 0, level) {
            (true, 0 | 1) => 63 - level,
            (true, _) => 33 - level,
            (false, _) => 61 - level,
        }
    }

    /// Two bits for a signal of the higher band: SUBTRA, QUANTH.
    fn code_high(&self, signal: i32) -> usize {
        let error = limit(signal - self.expected);
        let magnitude = if error < 0 { !error } else { error };
        let is_small = usize::from(magnitude < (Q2 * self.step) >> 12);
        if error < 0 { is_small } else { 2 + is_small }
    }

    /// The reconstructed signal for an output of the inverse quantiser: INVQBL, RECONS.
    fn heard(&self, quantised: i32) -> i32 {
        (self.expected + ((self.step * quantised) >> 15)).clamp(-16_384, 16_383)
    }

    /// Follows a code of the lower band: INVQAL, LOGSCL, SCALEL.
    fn adapt_low(&mut self, code: usize) {
        let difference = (self.step * QM4[code]) >> 15;
        self.log_step = (((self.log_step * 127) >> 7) + WL[code]).clamp(0, 18_432);
        self.step = scale(self.log_step, 8);
        self.adapt(difference);
    }

    /// Follows a code of the higher band: INVQAH, LOGSCH, SCALEH.
    fn adapt_high(&mut self, code: usize) {
        let difference = (self.step * QM2[code]) >> 15;
        self.log_step = (((self.log_step * 127) >> 7) + WH[code]).clamp(0, 22_528);
        self.step = scale(self.log_step, 10);
        self.adapt(difference);
    }

    /// Moves the predictor on by one quantised difference.
    fn adapt(&mut self, difference: i32) {
        let reconstructed = limit(self.expected + difference);
        let partial = limit(self.zeros + difference);
        self.adapt_poles(partial);
        self.adapt_zeros(difference);
        self.differences.copy_within(..5, 1);
        self.differences[0] = difference;
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];
        self.predict();
    }

    /// UPPOL2 and UPPOL1: by the signs of the last partly reconstructed signals.
    fn adapt_poles(&mut self, partial: i32) {
        let is_same = |earlier: i32| (earlier < 0) == (partial < 0);
        let [first, second] = self.poles;
        let fourfold = limit(first << 2);
        let by_first = if is_same(self.partial[0]) { (-fourfold).min(32_767) } else { fourfold };
        let by_second = if is_same(self.partial[1]) { 128 } else { -128 };
        let second = (by_first >> 7) + by_second + ((second * 32_512) >> 15);
        let second = second.clamp(-12_288, 12_288);
        let by_sign = if is_same(self.partial[0]) { 192 } else { -192 };
        let most = limit(15_360 - second);
        let first = limit(by_sign + ((first * 32_640) >> 15)).clamp(-most, most);
        self.poles = [first, second];
    }

    /// UPZERO: by the signs of the last six differences.
    fn adapt_zeros(&mut self, difference: i32) {
        let by = if difference == 0 { 0 } else { 128 };
        for (weight, earlier) in self.weights.iter_mut().zip(&self.differences) {
            let by = if (*earlier < 0) == (difference < 0) { by } else { -by };
            *weight = limit(by + ((*weight * 32_640) >> 15));
        }
    }

    /// FILTEP, FILTEZ, PREDIC.
    fn predict(&mut self) {
        let section = |weights: &[i32], signals: &[i32]| -> i32 {
            let terms = weights.iter().zip(signals);
            terms.map(|(weight, signal)| (weight * limit(signal + signal)) >> 15).sum()
        };
        let poles = limit(section(&self.poles, &self.reconstructed));
        self.zeros = limit(section(&self.weights, &self.differences));
        self.expected = limit(poles + self.zeros);
    }
}

/// The step size for its logarithm: SCALEL with 8, SCALEH with 10.
fn scale(log_step: i32, most: i32) -> i32 {
    let mantissa = ILB[((log_step >> 6) & 31) as usize];
    let shift = most - (log_step >> 11);
    let step = if shift < 0 { mantissa << -shift } else { mantissa >> shift };
    step << 2
}
