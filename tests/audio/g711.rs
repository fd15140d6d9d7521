//! Both laws against the formula of ITU-T G.191 and the tables of G.711.

use tandem::proto::audio::Codec;

/// `ulaw_compress` as G.191 describes it, step by step.
fn g191_mu(sample: i16) -> u8 {
    let sample = i32::from(sample);
    let magnitude = if sample < 0 { !sample } else { sample };
    let biased = ((magnitude >> 2) + 33).min(0x1fff);
    let mut segment = 1;
    let mut rest = biased >> 6;
    while rest != 0 {
        segment += 1;
        rest >>= 1;
    }
    let code = ((8 - segment) << 4) | (0xf - ((biased >> segment) & 0xf));
    (if sample < 0 { code } else { code | 0x80 }) as u8
}

/// `alaw_compress`.
fn g191_a(sample: i16) -> u8 {
    let sample = i32::from(sample);
    let mut code = (if sample < 0 { !sample } else { sample }) >> 4;
    if code > 15 {
        let mut exponent = 1;
        while code > 31 {
            code >>= 1;
            exponent += 1;
        }
        code = code - 16 + (exponent << 4);
    }
    ((if sample < 0 { code } else { code | 0x80 }) ^ 0x55) as u8
}

fn encode(codec: Codec, samples: &[i16]) -> Vec<u8> {
    let mut encoder = codec.encoder().unwrap();
    let mut out = Vec::new();
    samples.chunks(160).for_each(|frame| encoder.encode(frame, &mut out).unwrap());
    out
}

fn decode(codec: Codec, bytes: &[u8]) -> Vec<i16> {
    let mut out = Vec::new();
    codec.decoder().unwrap().decode(bytes, &mut out).unwrap();
    out
}

#[test]
fn every_sample_has_the_code_of_the_formula() {
    let all: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    let (mu, a) = (encode(Codec::Pcmu, &all), encode(Codec::Pcma, &all));
    for (index, sample) in all.iter().enumerate() {
        assert_eq!(mu[index], g191_mu(*sample), "mu-law of {sample}");
        assert_eq!(a[index], g191_a(*sample), "A-law of {sample}");
    }
}

/// G.711 Tables 1a and 2a: the ends of the segments, and silence.
#[test]
fn the_values_are_those_of_the_tables() {
    let codes = [0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xef, 0xf0, 0xff, 0x7f, 0x00];
    let values = [32124, 16764, 15996, 8316, 7932, 132, 120, 0, 0, -32124];
    assert_eq!(decode(Codec::Pcmu, &codes), values);
    let codes = [0xd5, 0x55, 0xaa, 0x2a, 0xc5, 0xf5, 0x80];
    let values = [8, -8, 32256, -32256, 264, 528, 5504];
    assert_eq!(decode(Codec::Pcma, &codes), values);
}

/// What is decoded is what was coded, and no other value of the table is nearer but by
/// the step that the formula rounds by.
#[test]
fn a_code_comes_back_as_itself() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let codes: Vec<u8> = (0..=255).collect();
        let again = encode(codec, &decode(codec, &codes));
        for (code, again) in codes.iter().zip(again) {
            // Negative nought of mu-law is nought.
            let wanted = if codec == Codec::Pcmu && *code == 0x7f { 0xff } else { *code };
            assert_eq!(again, wanted, "{codec:?} {code:#x}");
        }
    }
}

#[test]
fn the_noise_of_a_tone_is_that_of_eight_bits() {
    for (codec, least) in [(Codec::Pcmu, 37.0), (Codec::Pcma, 37.0)] {
        let tone = crate::measure::tone(1_004.0, 8_000, 12_000.0, 8_000);
        let mut heard = Vec::new();
        let mut decoder = codec.decoder().unwrap();
        let coded = encode(codec, &tone);
        coded.chunks(160).for_each(|frame| decoder.decode(frame, &mut heard).unwrap());
        let snr = crate::measure::snr(&tone, &heard);
        assert!(snr > least, "{codec:?}: {snr:.1} dB");
    }
}
