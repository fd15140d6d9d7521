//! G.722 against other implementations, and its sound by frequency.

use tandem::proto::audio::Codec;

use crate::measure::{delay, digest, fit, noise, snr, tone, voice};

/// Noise and a sawtooth, from silence to overload: integers alone, so that any language
/// makes the same.
fn signal() -> Vec<i16> {
    let noise = noise(1).map(|n| i32::from(n as u16) - 32_768);
    let samples = noise.take(16_000).zip(0_i32..).map(|(noise, i)| {
        let saw = ((i * (37 + i / 64)) & 0xfff) - 2_048;
        let value = match (i / 160) % 9 {
            8 => saw * 14 + noise,
            loud => (saw * 8 + (noise >> 2)) >> (8 - loud),
        };
        value.clamp(-32_768, 32_767) as i16
    });
    samples.collect()
}

fn encode(samples: &[i16]) -> Vec<u8> {
    let mut encoder = Codec::G722.encoder().unwrap();
    let mut out = Vec::new();
    samples.chunks(320).for_each(|frame| encoder.encode(frame, &mut out).unwrap());
    out
}

fn decode(bytes: &[u8]) -> Vec<i16> {
    let mut decoder = Codec::G722.decoder().unwrap();
    let mut out = Vec::new();
    bytes.chunks(160).for_each(|frame| decoder.decode(frame, &mut out).unwrap());
    out
}

/// The vectors are what ffmpeg 9.0.2 and the Python package G722 1.2.8 (libg722) make of
/// the same input; they agree with each other on every bit.
#[test]
fn every_bit_is_that_of_other_implementations() {
    let coded = encode(&signal());
    const CODED: [u8; 20] = [
        0x64, 0x2f, 0x64, 0x48, 0xa6, 0xbc, 0x66, 0x4c, 0x9f, 0x98, 0x84, 0xac, 0x88, 0x61, 0x0a,
        0x8d, 0xe0, 0xf1, 0xf2, 0x0c,
    ];
    const HEARD: [i16; 20] = [
        -28036, 2917, 12909, 23736, 24685, 14940, 29050, 25055, 10164, 19023, 6306, 28817, 29564,
        12503, 29818, 28318, 28600, 3627, 2512, 20187,
    ];
    assert_eq!(coded[700..720], CODED);
    assert_eq!(digest(coded.iter().copied()), 0x5297_6c27_812a_fb0a, "16,000 samples");
    let heard = decode(&coded);
    assert_eq!(heard[1_400..1_420], HEARD);
    assert_eq!(digest(heard.iter().flat_map(|s| s.to_be_bytes())), 0x9862_7303_8983_62f9);
}

/// Bytes that no encoder wrote, also as others decode them.
#[test]
fn noise_is_decoded_as_others_do() {
    let bytes: Vec<u8> = noise(7).take(8_000).map(|n| (n as u16 >> 8) as u8).collect();
    let heard = decode(&bytes);
    assert_eq!(digest(heard.iter().flat_map(|s| s.to_be_bytes())), 0x37cc_bf58_9d05_645c);
}

#[test]
fn its_band_is_flat_from_50_hz_to_7_khz() {
    for hertz in [50.0, 100.0, 300.0, 1_000.0, 2_000.0, 3_400.0, 4_600.0, 6_000.0, 7_000.0] {
        let heard = decode(&encode(&tone(hertz, 16_000, 8_000.0, 16_000)));
        let (level, ratio, _) = fit(hertz, 16_000, &heard[1_600..]);
        let gain = 20.0 * (level / 8_000.0).log10();
        let least = if hertz < 4_000.0 { 30.0 } else { 14.0 };
        assert!(gain.abs() < 1.0, "{hertz} Hz: {gain:.2} dB");
        assert!(ratio > least, "{hertz} Hz: {ratio:.1} dB over its noise");
    }
}

#[test]
fn a_voice_keeps_its_shape() {
    let voice = voice(16_000, 32_000);
    let heard = decode(&encode(&voice));
    let delay = delay(&voice, &heard, 64);
    let snr = snr(&voice[..31_000], &heard[delay..]);
    assert_eq!(delay, 22, "two filters of 24 taps");
    assert!(snr > 22.0, "{snr:.1} dB");
}
