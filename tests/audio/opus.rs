//! Opus: its sound, what it repeats and how it hides a loss.

use tandem::proto::audio::{AudioError, Codec, Decoder, Encoder, OPUS_BIT_RATE};

use crate::measure::{decibel, delay, fit, power, snr, tone, voice};

fn pair() -> (Encoder, Decoder) {
    (Codec::Opus.encoder().unwrap(), Codec::Opus.decoder().unwrap())
}

fn packets(encoder: &mut Encoder, samples: &[i16]) -> Vec<Vec<u8>> {
    let encode = |frame: &[i16]| {
        let mut packet = Vec::new();
        encoder.encode(frame, &mut packet).unwrap();
        packet
    };
    samples.chunks_exact(960).map(encode).collect()
}

#[test]
fn a_tone_and_a_voice_pass_at_the_bit_rate() {
    let (mut encoder, mut decoder) = pair();
    let voice = voice(48_000, 96_000);
    let packets = packets(&mut encoder, &voice);
    let bits = packets.iter().map(Vec::len).sum::<usize>() * 8 / 2;
    let most = usize::try_from(OPUS_BIT_RATE).unwrap() * 12 / 10;
    assert!(bits < most, "{bits} bits a second");
    let mut heard = Vec::new();
    packets.iter().for_each(|packet| decoder.decode(packet, &mut heard).unwrap());
    assert_eq!(heard.len(), voice.len());
    let delay = delay(&voice[..48_000], &heard, 960);
    assert!((300..=320).contains(&delay), "{delay} samples, of which the encoder's are 312");
    // It models a voice and does not copy its waveform: what has to be right is how loud
    // each moment is.
    let level = |samples: &[i16]| decibel(power(samples).max(1.0));
    let moments = voice.chunks_exact(960).zip(heard[delay..].chunks_exact(960));
    let off: Vec<_> = moments.map(|(said, heard)| (level(said) - level(heard)).abs()).collect();
    let mean = off[5..].iter().sum::<f64>() / (off.len() - 5) as f64;
    assert!(mean < 1.0, "{mean:.2} dB off");

    let (mut encoder, mut decoder) = pair();
    let mut heard = Vec::new();
    for frame in tone(1_000.0, 48_000, 8_000.0, 48_000).chunks_exact(960) {
        let mut packet = Vec::new();
        encoder.encode(frame, &mut packet).unwrap();
        decoder.decode(&packet, &mut heard).unwrap();
    }
    let (level, ratio, _) = fit(1_000.0, 48_000, &heard[9_600..]);
    assert!((7_000.0..9_000.0).contains(&level), "{level:.0}");
    assert!(ratio > 20.0, "{ratio:.1} dB");
}

#[test]
fn every_duration_that_it_has_is_taken_and_no_other() {
    let (mut encoder, mut decoder) = pair();
    for samples in [120, 240, 480, 960, 1_920, 2_880, 3_840, 4_800, 5_760] {
        let (mut packet, mut heard) = (Vec::new(), Vec::new());
        encoder.encode(&voice(48_000, samples), &mut packet).unwrap();
        decoder.decode(&packet, &mut heard).unwrap();
        assert_eq!(heard.len(), samples);
    }
    for samples in [1, 119, 360, 961, 5_759] {
        let mut packet = vec![7];
        let refused = encoder.encode(&vec![0; samples], &mut packet);
        assert_eq!(refused, Err(AudioError::Length { samples }));
        assert_eq!(packet, [7], "nothing was added");
    }
    assert_eq!(encoder.encode(&[0; 5_880], &mut Vec::new()), Err(AudioError::TooLong));
}

/// A packet in ten is lost: with what the next repeats the voice is closer to what was
/// said than without.
#[test]
fn a_lost_packet_is_recovered_from_the_next() {
    let voice = voice(48_000, 96_000);
    let (mut encoder, _) = pair();
    encoder.set_packet_loss(20);
    let packets = packets(&mut encoder, &voice);
    let whole = {
        let (_, mut decoder) = pair();
        let mut heard = Vec::new();
        packets.iter().for_each(|packet| decoder.decode(packet, &mut heard).unwrap());
        heard
    };
    let run = |is_recovered: bool| {
        let (_, mut decoder) = pair();
        let (mut heard, mut recovered) = (Vec::new(), 0);
        for (index, packet) in packets.iter().enumerate() {
            if index % 10 != 5 {
                decoder.decode(packet, &mut heard).unwrap();
            } else if is_recovered && decoder.recover(&packets[index + 1], 960, &mut heard) {
                recovered += 1;
            } else {
                decoder.conceal(960, &mut heard);
            }
        }
        assert_eq!(heard.len(), whole.len());
        (recovered, snr(&whole, &heard))
    };
    let (none, concealed) = run(false);
    let (recovered, repeated) = run(true);
    assert_eq!(none, 0);
    // Where the voice is all but silent nothing is repeated.
    assert!(recovered >= 7, "{recovered} of 10");
    assert!(repeated > concealed + 3.0, "{concealed:.1} dB concealed, {repeated:.1} dB recovered");
}

#[test]
fn what_repeats_nothing_recovers_nothing() {
    let (mut encoder, mut decoder) = pair();
    encoder.set_packet_loss(0);
    let mut heard = Vec::new();
    for packet in packets(&mut encoder, &voice(48_000, 48_000)) {
        assert!(!decoder.recover(&packet, 960, &mut heard));
        assert!(heard.is_empty());
        decoder.decode(&packet, &mut heard).unwrap();
        heard.clear();
    }
    // CELT alone, an empty packet and one that is cut.
    for packet in [&[0xfc, 0xff, 0xfe][..], &[], &[0x08], &[0x0b, 0xff]] {
        assert!(!decoder.recover(packet, 960, &mut heard));
    }
}

/// Row 148: silence of a peer that leaves it out is filled, and ours may be left out.
#[test]
fn row_148_silence_may_be_left_out() {
    let (mut encoder, mut decoder) = pair();
    let silent = |encoder: &mut Encoder| {
        let packets = packets(encoder, &vec![0; 96_000]);
        packets.iter().filter(|packet| packet.len() <= 2).count()
    };
    assert_eq!(silent(&mut encoder), 0, "off unless it is set");
    encoder.set_dtx(true);
    let left_out = silent(&mut encoder);
    assert!(left_out > 60, "{left_out} of 100");
    let mut heard = Vec::new();
    decoder.conceal(48_000, &mut heard);
    assert_eq!(heard.len(), 5_760, "no more than 120 ms at a time");
    assert!(decibel(power(&heard).max(1e-9)) < 20.0);
}
