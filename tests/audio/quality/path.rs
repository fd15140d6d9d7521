//! Speech on its way: through our conversion, and through the bare codecs.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler as _};
use tandem::proto::audio::Codec;
use tandem::proto::rtp::{Conversion, Converter, HEADER_LEN, Header, OutgoingStream, Ssrc};
use tandem::proto::time::Instant;

/// A packet that was sent: when, in microseconds, and what it carries.
pub(super) struct Packet {
    pub(super) sent_at: u64,
    pub(super) header: Header,
    pub(super) payload: Vec<u8>,
}

pub(super) const FRAME_US: u64 = 20_000;
const BEGIN_US: u64 = 1_000_000;

pub(super) fn frame(codec: Codec) -> usize {
    codec.sample_rate() as usize / 50
}

/// Samples at the codec's rate as packets of 20 ms.
pub(super) fn encoded(codec: Codec, samples: &[i16]) -> Vec<Packet> {
    let mut encoder = codec.encoder().unwrap();
    let packet = |(number, samples): (u32, &[i16])| {
        let mut payload = Vec::new();
        encoder.encode(samples, &mut payload).unwrap();
        let header = Header {
            payload_type: 96,
            marker: number == 0,
            sequence: number as u16,
            timestamp: number * codec.clock_rate() / 50,
            ssrc: Ssrc(7),
        };
        Packet { sent_at: BEGIN_US + u64::from(number) * FRAME_US, header, payload }
    };
    (0..).zip(samples.chunks_exact(frame(codec))).map(packet).collect()
}

/// What comes out of our conversion.
pub(super) struct Heard {
    /// At the rate of the codec it was made into.
    pub(super) samples: Vec<i16>,
    /// How long after its sending each packet that was played left it, in microseconds.
    pub(super) delays_us: Vec<u64>,
}

/// Packets, each at its time in microseconds, through a [`Converter`], and what a receiver with a perfect line hears of it.
pub(super) fn converted(from: Codec, to: Codec, arrivals: &[(u64, &Packet)]) -> Heard {
    let conversion = Conversion { from, to, payload_type: 97, packet_ms: 20, digits: None };
    let mut converter = Converter::new(conversion).unwrap();
    let mut outgoing = OutgoingStream::new(Ssrc(9), 1, 1);
    let mut decoder = to.decoder().unwrap();
    let mut heard = Heard { samples: Vec::new(), delays_us: Vec::new() };
    let mut play = |converter: &mut Converter, now: u64, number: &mut u64| {
        let mut send = |packet: &[u8]| {
            decoder.decode(&packet[HEADER_LEN..], &mut heard.samples).unwrap();
            heard.delays_us.push(now.saturating_sub(BEGIN_US + *number * FRAME_US));
            *number += 1;
            true
        };
        converter.play(Instant::from_micros(now), &mut outgoing, &mut send);
    };
    let mut number = 0;
    for (at, packet) in arrivals {
        while let Some(due) = converter.next_timeout().filter(|due| due.as_micros() < *at) {
            play(&mut converter, due.as_micros(), &mut number);
        }
        converter.speech(Instant::from_micros(*at), &packet.header, &packet.payload);
        play(&mut converter, *at, &mut number);
    }
    while let Some(due) = converter.next_timeout() {
        play(&mut converter, due.as_micros(), &mut number);
    }
    heard
}

/// All of them in time.
pub(super) fn in_time(packets: &[Packet]) -> Vec<(u64, &Packet)> {
    packets.iter().map(|packet| (packet.sent_at, packet)).collect()
}

/// The bare codecs one after the other, with a resampler between them that has all the time it wants.
pub(super) fn bare(from: Codec, to: Codec, packets: &[Packet]) -> Vec<i16> {
    let between = resampled(&decoded(from, packets), from.sample_rate(), to.sample_rate());
    decoded(to, &encoded(to, &between))
}

fn decoded(codec: Codec, packets: &[Packet]) -> Vec<i16> {
    let (mut decoder, mut samples) = (codec.decoder().unwrap(), Vec::new());
    packets.iter().for_each(|packet| decoder.decode(&packet.payload, &mut samples).unwrap());
    samples
}

/// The whole at another rate, by rubato alone, in long blocks with its own filter.
pub(super) fn resampled(samples: &[i16], from: u32, to: u32) -> Vec<i16> {
    if from == to {
        return samples.to_vec();
    }
    let mut fft = Fft::<f32>::new(from as usize, to as usize, 2_048, 1, FixedSync::Both).unwrap();
    let (block, delay) = (fft.input_frames_next(), fft.output_delay());
    let wanted = samples.len() * to as usize / from as usize;
    let mut input: Vec<f32> = samples.iter().map(|sample| f32::from(*sample)).collect();
    // What the delay holds back comes with silence behind it.
    input.resize(
        (input.len() / block + 2 + delay * from as usize / to as usize / block) * block,
        0.0,
    );
    let mut whole = Vec::new();
    for block in input.chunks_exact(block) {
        let mut out = vec![0.0; fft.output_frames_next()];
        let length = out.len();
        let from = SequentialSlice::new(block, 1, block.len()).unwrap();
        let mut to = SequentialSlice::new_mut(&mut out, 1, length).unwrap();
        fft.process_into_buffer(&from, &mut to, None).unwrap();
        whole.extend(out);
    }
    whole.iter().skip(delay).take(wanted).map(|sample| sample.round() as i16).collect()
}
