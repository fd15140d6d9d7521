//! Losses and jitter: our jitter buffer, concealment and repair beside a receiver that plays what is there.

use std::collections::BTreeMap;

use tandem::proto::audio::Codec;

use super::path::{FRAME_US, Packet, converted, encoded, frame};
use super::{Band, CODECS, Judge, speech};
use crate::measure::noise;

/// What is heard of everything, so that only the network is judged.
const HEARD: Codec = Codec::L16 { rate: 16_000, channels: 1 };
/// Of a hundred packets.
const LOSSES: [u64; 4] = [0, 1, 3, 5];
const JITTER_US: u64 = 60_000;
/// What a buffer may hold speech back by beside the jitter itself.
const DELAY_MAX_US: u64 = JITTER_US + FRAME_US;

/// The packets that come, in their order, each up to so many microseconds late.
fn arrivals(packets: &[Packet], loss: u64, jitter_us: u64) -> Vec<(u64, &Packet)> {
    let mut numbers = noise(11).map(|number| u64::from(number.unsigned_abs()));
    let mut below = |most: u64| numbers.next().unwrap() * most / 32_769;
    let mut arrivals: Vec<_> = packets
        .iter()
        // The same are lost with and without jitter.
        .map(|packet| (below(100) < loss, packet.sent_at + below(jitter_us + 1), packet))
        .filter_map(|(is_lost, at, packet)| match packet.header.sequence {
            // Nobody knows of a packet before the first, so that one is in time, and the others are counted from it.
            0 => Some((packet.sent_at, packet)),
            _ => (!is_lost).then_some((at, packet)),
        })
        .collect();
    arrivals.sort_by_key(|(at, _)| *at);
    arrivals
}

/// A receiver without a buffer: every 20 ms it plays the newest packet that came since, and silence if none did.
fn plain(codec: Codec, packets: &[Packet], arrivals: &[(u64, &Packet)]) -> (Vec<i16>, Vec<u64>) {
    let mut decoder = codec.decoder().unwrap();
    let (mut samples, mut delays) = (Vec::new(), Vec::new());
    let mut arrivals = arrivals.iter().peekable();
    let begin = packets[0].sent_at;
    for tick in 0..packets.len() as u64 + 4 {
        let now = begin + tick * FRAME_US;
        let mut newest: Option<&Packet> = None;
        while let Some((_, packet)) = arrivals.next_if(|(at, _)| *at <= now) {
            let sequence = |packet: &Packet| packet.header.sequence;
            newest = newest.filter(|known| sequence(known) > sequence(packet)).or(Some(packet));
        }
        match newest {
            Some(packet) => {
                decoder.decode(&packet.payload, &mut samples).unwrap();
                delays.push(now - packet.sent_at);
            }
            None => samples.resize(samples.len() + frame(codec), 0),
        }
    }
    (samples, delays)
}

fn median(delays: &mut [u64]) -> u64 {
    delays.sort_unstable();
    delays[delays.len() / 2]
}

#[test]
fn losses_and_jitter_hurt_less_than_if_nothing_were_done() {
    let mut judge = Judge::new("network", 2);
    let mut rows = Vec::new();
    for (name, codec) in CODECS.into_iter().filter(|(name, _)| *name != "PCMU" && *name != "L16") {
        let band = if codec == Codec::Pcma { Band::Narrow } else { Band::Wide };
        let packets = encoded(codec, &speech(codec.sample_rate()).repeat(2));
        for jitter in [0, JITTER_US] {
            for loss in LOSSES {
                let arrivals = arrivals(&packets, loss, jitter);
                let mut ours = converted(codec, HEARD, &arrivals);
                let (nothing, mut late) = plain(codec, &packets, &arrivals);
                let file = |what| format!("{name}-{loss}-{}-{what}", jitter / 1_000);
                let places = (
                    judge.ask(&file("ours"), band, HEARD.sample_rate(), &ours.samples),
                    judge.ask(&file("nothing"), band, codec.sample_rate(), &nothing),
                );
                let delays = (median(&mut ours.delays_us), median(&mut late));
                rows.push((name, loss, jitter, places, delays));
            }
        }
    }
    let scores = judge.scores();
    println!(
        "{:6} {:>6} {:>9} {:>15} {:>22}",
        "PESQ", "loss", "jitter", "ours, nothing", "delay, nothing"
    );
    let (mut wrong, mut gained) = (Vec::new(), BTreeMap::new());
    for (name, loss, jitter, places, delays) in rows {
        let (ours, nothing) = (scores[places.0], scores[places.1]);
        let row = format!(
            "{name:6} {loss:4} % {:6} ms {ours:7.2} {nothing:7.2} {:8} ms {:7} ms",
            jitter / 1_000,
            delays.0 / 1_000,
            delays.1 / 1_000
        );
        println!("{row}");
        // A few lost packets may all fall where nobody speaks; together they do not.
        let least = if jitter > 0 { nothing + 1.0 } else { nothing - 0.1 };
        if ours < least || delays.0 > if jitter > 0 { DELAY_MAX_US } else { FRAME_US } {
            wrong.push(row);
        }
        if jitter == 0 && loss > 0 {
            *gained.entry(name).or_insert(0.0) += ours - nothing;
        }
    }
    println!("gained where packets are lost and none is late, the sum of three: {gained:.2?}");
    assert!(gained.values().all(|gained| *gained > 0.3), "{gained:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
