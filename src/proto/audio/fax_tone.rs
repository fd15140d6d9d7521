//! The tones by which fax machines and modems find each other (ITU-T T.30 §4.1, V.25, V.8), heard in G.711 by looking at a
//! piece of it now and then.

use super::codec::Codec;
use super::dtmf::Goertzel;
use super::g711::Law;

/// CNG, half a second on and three off; CED and ANSam, some seconds with its phase turned every 450 ms.
const FREQUENCIES: [f32; 2] = [1_100.0, 2_100.0];
/// Samples of a piece: its filters are wide enough for the 38 Hz that CNG may be off.
const PIECE: usize = 80;
/// Pieces of one look: 20 ms.
const PIECES: usize = 2;
/// Ticks from one look to the next at least: 80 ms, so that one in four packets pays for it.
const EVERY: u32 = 640;
/// Ticks after which the looks before mean nothing: lost, silent, or another source.
const FORGET: u32 = 2_400;
/// Looks in a row, a third of a second, before it is believed.
const BELIEVED: u8 = 4;
/// What a look without the tone takes away: one may fall on a turn of the phase.
const MISSED: u8 = 2;
/// The share of the whole power that the tone has; a steady voice has its power in several harmonics.
const SHARE: f32 = 0.55;
/// How far the power may move from one look to the next, 2 dB: a tone's does not, a voice's does.
const STEADY: f32 = 1.6;
/// The quietest tone, some -43 dBm0, as the mean square of its samples.
const QUIETEST: f32 = 13_000.0;

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaxTone {
    /// CNG: a fax machine calls.
    Calling,
    /// CED or ANSam: a fax machine or a modem answered.
    Answering,
}

impl FaxTone {
    /// The word in timelines and events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Calling => "cng",
            Self::Answering => "ced",
        }
    }
}

/// Listens to one source for both tones; each is reported once.
#[derive(Clone, Debug)]
pub struct FaxDetector {
    filters: [Goertzel; 2],
    /// The timestamp of the last look.
    looked: Option<u32>,
    hits: [u8; 2],
    power: [f32; 2],
    is_told: [bool; 2],
}

impl Default for FaxDetector {
    fn default() -> Self {
        Self {
            filters: FREQUENCIES.map(|hertz| Goertzel::new(hertz, 8_000)),
            looked: None,
            hits: [0; 2],
            power: [0.0; 2],
            is_told: [false; 2],
        }
    }
}

impl FaxDetector {
    /// Looks at a packet, if it is G.711 and the last look is long enough ago.
    pub fn listen(&mut self, codec: Codec, timestamp: u32, payload: &[u8]) -> Option<FaxTone> {
        let law = match codec {
            Codec::Pcma => Law::A,
            Codec::Pcmu => Law::Mu,
            _ => return None,
        };
        let since = self.looked.map(|looked| timestamp.wrapping_sub(looked));
        if since.is_some_and(|since| since < EVERY) || payload.len() < PIECE * PIECES {
            return None;
        }
        if since.is_some_and(|since| since > FORGET) {
            self.hits = [0; 2];
        }
        self.looked = Some(timestamp);
        let powers = self.look(law, payload);
        self.follow(powers)
    }

    /// The power of each tone where it is all that there is.
    fn look(&mut self, law: Law, payload: &[u8]) -> [Option<f32>; 2] {
        let mut found = [Some(0.0); 2];
        for piece in payload.chunks_exact(PIECE).take(PIECES) {
            let mut energy = 0.0;
            for code in piece {
                let value = f32::from(law.sample(*code));
                energy += value * value;
                self.filters.iter_mut().for_each(|filter| filter.push(value));
            }
            let length = PIECE as f32;
            for (filter, found) in self.filters.iter_mut().zip(&mut found) {
                let power = filter.take(length);
                let is_tone = power >= QUIETEST && power >= SHARE * energy / length;
                *found = found.filter(|_| is_tone).map(|sum| sum + power);
            }
        }
        found
    }

    fn follow(&mut self, powers: [Option<f32>; 2]) -> Option<FaxTone> {
        let mut heard = None;
        for (index, tone) in [FaxTone::Calling, FaxTone::Answering].into_iter().enumerate() {
            let before = self.power[index];
            let Some(power) = powers[index] else {
                self.hits[index] = self.hits[index].saturating_sub(MISSED);
                continue;
            };
            let is_steady = power < before * STEADY && before < power * STEADY;
            self.hits[index] = if is_steady { self.hits[index].saturating_add(1) } else { 1 };
            self.power[index] = power;
            if self.hits[index] >= BELIEVED && !std::mem::replace(&mut self.is_told[index], true) {
                heard = Some(tone);
            }
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::cast_possible_truncation, reason = "samples are within their range")]

    use super::*;

    /// What is heard in packets of so many samples, and in which millisecond.
    fn heard(codec: Codec, packet: usize, samples: &[i16]) -> Vec<(FaxTone, usize)> {
        let mut detector = FaxDetector::default();
        let mut encoder = codec.encoder().unwrap();
        let mut out = Vec::new();
        for (number, piece) in samples.chunks_exact(packet).enumerate() {
            let mut payload = Vec::new();
            encoder.encode(piece, &mut payload).unwrap();
            let timestamp = u32::try_from(number * packet).unwrap().wrapping_sub(1_000);
            let tone = detector.listen(codec, timestamp, &payload);
            out.extend(tone.map(|tone| (tone, (number + 1) * packet / 8)));
        }
        out
    }

    /// A tone of this level below full scale whose phase turns every so many samples.
    fn tone(hertz: f32, seconds: f32, minus_db: f32, turn: usize) -> Vec<i16> {
        let loud = 32_000.0 * 10_f32.powf(-minus_db / 20.0);
        (0..(seconds * 8_000.0) as usize)
            .map(|n| {
                let sign = if turn > 0 && (n / turn) % 2 == 1 { -1.0 } else { 1.0 };
                (sign * loud * (std::f32::consts::TAU * hertz * n as f32 / 8_000.0).sin()) as i16
            })
            .collect()
    }

    /// Row 160: CNG within its first half second, 38 Hz off as well, loud and quiet.
    #[test]
    fn row_160_cng_is_heard_in_its_first_burst() {
        for codec in [Codec::Pcma, Codec::Pcmu] {
            for (hertz, packet) in [(1_100.0, 160), (1_062.0, 160), (1_138.0, 240), (1_100.0, 480)]
            {
                for minus_db in [6.0, 20.0, 36.0] {
                    let mut line = vec![0; 1_777];
                    line.extend(tone(hertz, 0.5, minus_db, 0));
                    line.extend(vec![0; 24_000]);
                    let heard = heard(codec, packet, &line);
                    let [(FaxTone::Calling, at)] = heard[..] else {
                        panic!("{codec:?} {hertz} {packet} {minus_db}: {heard:?}")
                    };
                    assert!((450..=800).contains(&at), "{at}");
                }
            }
        }
    }

    /// Row 160: CED, and ANSam with its phase turned every 450 ms and its level moving by a fifth.
    #[test]
    fn row_160_the_answer_is_heard_with_and_without_turns_of_its_phase() {
        for turn in [0, 3_600] {
            let moving: Vec<i16> = tone(2_100.0, 2.6, 12.0, turn)
                .into_iter()
                .enumerate()
                .map(|(n, value)| {
                    let swell = (std::f32::consts::TAU * 15.0 * n as f32 / 8_000.0).sin() * 0.2;
                    (f32::from(value) * (1.0 + swell) / 1.2) as i16
                })
                .collect();
            for line in [tone(2_100.0, 2.6, 12.0, turn), moving] {
                let heard = heard(Codec::Pcma, 160, &line);
                assert!(matches!(heard[..], [(FaxTone::Answering, ..=1_500)]), "{heard:?}");
            }
        }
    }

    /// Row 160: not in voices (harmonics that glide and swell), digits, ringing, noise, nor too short a tone.
    #[test]
    fn row_160_nothing_is_heard_in_speech_and_other_tones() {
        let mut phase = 0.0_f32;
        let voice: Vec<i16> = (0..8_000 * 60)
            .map(|n| {
                let at = n as f32 / 8_000.0;
                let pitch = 140.0 + 40.0 * (at * 3.1).sin() + 25.0 * (at * 0.7).sin();
                phase = (phase + pitch / 8_000.0).fract();
                let formant = 900.0 + 300.0 * (at * 2.3).sin();
                let harmonics = (1..20_u8).map(|k| {
                    let away = (f32::from(k) * pitch - formant) / 250.0;
                    (std::f32::consts::TAU * f32::from(k) * phase).sin() / (1.0 + away * away)
                });
                (harmonics.sum::<f32>() * 4_000.0 * (at * 5.0).sin().abs()) as i16
            })
            .collect();
        assert_eq!(heard(Codec::Pcma, 160, &voice), []);
        for hertz in [350.0, 425.0, 950.0, 1_000.0, 1_209.0, 1_400.0, 1_633.0, 1_800.0, 2_225.0] {
            assert_eq!(heard(Codec::Pcmu, 160, &tone(hertz, 3.0, 10.0, 0)), [], "{hertz}");
        }
        let mut short = tone(1_100.0, 0.2, 10.0, 0);
        short.extend(vec![0; 16_000]);
        assert_eq!(heard(Codec::Pcma, 160, &short), []);
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 20) as i16
        });
        assert_eq!(heard(Codec::Pcma, 160, &noise.take(160_000).collect::<Vec<_>>()), []);
    }
}
