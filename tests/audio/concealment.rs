//! What is played for a packet that is lost, by the codecs that have no concealment of
//! their own.

use tandem::proto::audio::{Codec, Decoder};

use crate::measure::{power, snr, tone, voice};

const L16: [Codec; 3] = [
    Codec::L16 { rate: 8_000, channels: 1 },
    Codec::L16 { rate: 16_000, channels: 1 },
    Codec::L16 { rate: 48_000, channels: 1 },
];

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_be_bytes()).collect()
}

/// Decodes `samples` in packets of 20 ms, of which those that `is_lost` names are lost.
fn play(codec: Codec, samples: &[i16], is_lost: impl Fn(usize) -> bool) -> Vec<i16> {
    let mut decoder = codec.decoder().unwrap();
    let frame = codec.sample_rate() as usize / 50;
    let mut heard = Vec::new();
    for (index, frame) in samples.chunks_exact(frame).enumerate() {
        match is_lost(index) {
            true => decoder.conceal(frame.len(), &mut heard),
            false => decoder.decode(&bytes(frame), &mut heard).unwrap(),
        }
    }
    assert_eq!(heard.len(), samples.len());
    heard
}

/// The largest step from one sample to the next.
fn step(samples: &[i16]) -> i32 {
    samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap()
}

#[test]
fn one_lost_packet_of_a_voice_is_hardly_missed() {
    for codec in L16 {
        let voice = voice(codec.sample_rate(), 2 * codec.sample_rate() as usize);
        let silent = {
            let mut heard = voice.clone();
            let frame = codec.sample_rate() as usize / 50;
            for (index, frame) in heard.chunks_exact_mut(frame).enumerate() {
                if index % 10 == 9 {
                    frame.fill(0);
                }
            }
            snr(&voice, &heard)
        };
        let concealed = snr(&voice, &play(codec, &voice, |index| index % 10 == 9));
        assert!(concealed > silent + 3.0, "{codec:?}: {concealed:.1} dB, silence {silent:.1} dB");
    }
}

#[test]
fn there_is_no_click_where_a_loss_begins_or_ends() {
    for codec in L16 {
        for hertz in [70.0, 131.0, 199.0, 440.0] {
            let tone = tone(hertz, codec.sample_rate(), 10_000.0, codec.sample_rate() as usize);
            for lost in [1, 2, 5] {
                let heard = play(codec, &tone, |index| (10..10 + lost).contains(&index));
                let (steps, most) = (step(&heard), step(&tone) * 5 / 2 + 40);
                assert!(steps <= most, "{codec:?}, {hertz} Hz, {lost} lost: {steps} > {most}");
            }
        }
    }
}

/// 60 ms are faded out, and what comes after is silence until something is received.
#[test]
fn a_long_loss_fades_out() {
    for codec in L16 {
        let rate = codec.sample_rate() as usize;
        let tone = tone(200.0, codec.sample_rate(), 10_000.0, rate / 10);
        let mut decoder = codec.decoder().unwrap();
        let mut heard = Vec::new();
        decoder.decode(&bytes(&tone), &mut heard).unwrap();
        heard.clear();
        decoder.conceal(rate / 10, &mut heard);
        let part = |from: usize, to: usize| power(&heard[from * rate / 1000..to * rate / 1000]);
        assert!(part(0, 10) > 0.7 * power(&tone), "{:.0}", part(0, 10));
        assert!(part(30, 40) < part(10, 20));
        assert_eq!(part(60, 100), 0.0);
        heard.clear();
        decoder.decode(&bytes(&tone), &mut heard).unwrap();
        assert_eq!(heard[0], 0, "and it fades in");
        assert_eq!(heard[rate / 50..], tone[rate / 50..]);
    }
}

#[test]
fn a_loss_before_anything_came_is_silence() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus, L16[0]] {
        let mut decoder: Decoder = codec.decoder().unwrap();
        let mut heard = vec![7];
        decoder.conceal(0, &mut heard);
        decoder.conceal(161, &mut heard);
        assert_eq!(heard.len(), 162);
        assert_eq!(heard[0], 7, "what was there is not touched");
        assert!(heard[1..].iter().all(|sample| *sample == 0), "{codec:?}");
        assert!(!decoder.recover(&[1, 2, 3], 160, &mut heard) || codec == Codec::Opus);
    }
}
