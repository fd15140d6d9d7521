//! What holds for every codec: names, rates, bounds, and nothing allocated for a frame.

use proptest::prelude::*;
use tandem::proto::audio::{AudioError, Codec, SAMPLES_MAX};

use crate::measure::{allocated, noise, voice};

const ALL: [Codec; 6] = [
    Codec::Pcmu,
    Codec::Pcma,
    Codec::G722,
    Codec::Opus,
    Codec::L16 { rate: 16_000, channels: 1 },
    Codec::L16 { rate: 44_100, channels: 2 },
];

#[test]
fn a_codec_is_known_by_its_rtpmap() {
    let l16 = |rate, channels| Some(Codec::L16 { rate, channels });
    let rows = [
        ("PCMU", 8_000, 1, Some(Codec::Pcmu)),
        ("pcma", 8_000, 1, Some(Codec::Pcma)),
        ("G722", 8_000, 1, Some(Codec::G722)),
        ("OPUS", 48_000, 2, Some(Codec::Opus)),
        ("opus", 48_000, 1, Some(Codec::Opus)),
        ("L16", 16_000, 1, l16(16_000, 1)),
        ("l16", 44_100, 2, l16(44_100, 2)),
        ("L16", 48_000, 3, None),
        ("L16", 7_999, 1, None),
        ("PCMU", 16_000, 1, None),
        ("PCMU", 8_000, 2, None),
        ("G722", 16_000, 1, None),
        ("opus", 16_000, 2, None),
        ("G729", 8_000, 1, None),
        ("telephone-event", 8_000, 1, None),
        ("", 0, 0, None),
    ];
    for (name, rate, channels, codec) in rows {
        assert_eq!(Codec::of(name, rate, channels), codec, "{name}/{rate}/{channels}");
    }
    let rates = |codec: Codec| (codec.sample_rate(), codec.clock_rate());
    assert_eq!(
        ALL.map(rates),
        [
            (8_000, 8_000),
            (8_000, 8_000),
            (16_000, 8_000),
            (48_000, 48_000),
            (16_000, 16_000),
            (44_100, 44_100)
        ]
    );
}

#[test]
fn what_is_not_coded_is_refused_and_leaves_nothing() {
    for (rate, channels) in [(0, 1), (8_000, 0), (8_000, 3), (96_000, 1)] {
        let codec = Codec::L16 { rate, channels };
        assert_eq!(codec.decoder().unwrap_err(), AudioError::Unsupported);
        assert_eq!(codec.encoder().unwrap_err(), AudioError::Unsupported);
    }
    for codec in ALL {
        let (mut decoder, mut encoder) = (codec.decoder().unwrap(), codec.encoder().unwrap());
        let (mut samples, mut payload) = (vec![7], vec![7]);
        assert_eq!(decoder.decode(&[], &mut samples), Err(AudioError::Empty));
        assert_eq!(encoder.encode(&[], &mut payload), Err(AudioError::Empty));
        let long = encoder.encode(&[0; SAMPLES_MAX * 2], &mut payload);
        assert_eq!(long, Err(AudioError::TooLong));
        if codec != Codec::Opus {
            let long = decoder.decode(&[0; SAMPLES_MAX * 5], &mut samples);
            assert_eq!(long, Err(AudioError::TooLong));
        }
        assert_eq!((samples, payload), (vec![7], vec![7]));
    }
    let odd =
        Codec::L16 { rate: 8_000, channels: 2 }.decoder().unwrap().decode(&[0; 6], &mut vec![]);
    assert_eq!(odd, Err(AudioError::Malformed));
    let odd = Codec::G722.encoder().unwrap().encode(&[0; 159], &mut vec![]);
    assert_eq!(odd, Err(AudioError::Length { samples: 159 }));
}

/// Decoding, hiding a loss and encoding, with buffers that are used again: after the
/// first second of packets no byte is allocated.
#[test]
fn nothing_is_allocated_for_a_frame() {
    for codec in ALL {
        let (mut decoder, mut encoder) = (codec.decoder().unwrap(), codec.encoder().unwrap());
        let rate = codec.sample_rate();
        let frame = rate as usize / 50;
        let voice = voice(rate, rate as usize);
        let (mut samples, mut payload) = (Vec::new(), Vec::new());
        let mut second = || {
            for (index, frame) in voice.chunks_exact(frame).enumerate() {
                payload.clear();
                encoder.encode(frame, &mut payload).unwrap();
                samples.clear();
                if index % 7 == 6 && !decoder.recover(&payload, frame.len(), &mut samples) {
                    decoder.conceal(frame.len(), &mut samples);
                }
                samples.clear();
                decoder.decode(&payload, &mut samples).unwrap();
            }
        };
        second();
        let before = allocated();
        second();
        assert_eq!(allocated() - before, 0, "{codec:?}");
    }
    let before = allocated();
    drop(std::hint::black_box(vec![0_u8; 100]));
    assert!(allocated() - before >= 100, "the counter counts");
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(ALL.to_vec())
}

proptest! {
    /// Whatever a peer sends, between packets that are sound: an error or a bounded
    /// number of samples, and never a panic.
    #[test]
    fn a_hostile_payload_costs_nothing_but_itself(
        codec in codec(),
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1_500), 1..12),
        lost in any::<u16>(),
    ) {
        let mut decoder = codec.decoder().unwrap();
        let mut encoder = codec.encoder().unwrap();
        let mut sound = Vec::new();
        let frame = codec.sample_rate() as usize / 50;
        encoder.encode(&noise(1).take(frame).collect::<Vec<_>>(), &mut sound).unwrap();
        for (index, payload) in payloads.iter().enumerate() {
            let mut out = Vec::new();
            let decoded = decoder.decode(payload, &mut out);
            prop_assert!(out.len() <= SAMPLES_MAX);
            prop_assert!(decoded.is_ok() || out.is_empty());
            let before = out.len();
            let wanted = usize::from(lost) % 1_000;
            let recovered = decoder.recover(payload, wanted, &mut out);
            prop_assert_eq!(out.len() - before, if recovered { wanted } else { 0 });
            let before = out.len();
            if lost >> index & 1 != 0 {
                decoder.conceal(usize::from(lost), &mut out);
                prop_assert_eq!(out.len() - before, usize::from(lost).min(SAMPLES_MAX));
            }
            prop_assert!(decoder.decode(&sound, &mut out).is_ok());
        }
    }

    /// Whatever the samples are, an encoder makes one packet that its decoder takes.
    #[test]
    fn any_samples_make_a_packet(codec in codec(), seed in any::<u32>(), loud in 0_u32..16) {
        let frame = codec.sample_rate() as usize / 50;
        let samples: Vec<i16> = noise(seed).map(|n| n >> loud).take(frame * 5).collect();
        let (mut decoder, mut encoder) = (codec.decoder().unwrap(), codec.encoder().unwrap());
        let mut heard = Vec::new();
        for frame in samples.chunks_exact(frame) {
            let mut payload = Vec::new();
            encoder.encode(frame, &mut payload).unwrap();
            prop_assert!(payload.len() <= frame.len() * 4);
            decoder.decode(&payload, &mut heard).unwrap();
        }
        prop_assert_eq!(heard.len(), samples.len() / frame * frame);
    }
}
