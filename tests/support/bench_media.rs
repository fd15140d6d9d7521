//! What audio costs that is recorded or made into another codec: CPU of the media thread (and of the recorder) for each call, beside the bare
//! codecs and plain sockets in the same run.
//!
//! `cargo run --release --locked --example bench-media -- [kind…] [calls=50] [seconds=10]`, where a kind is `relay`, `record`, `ulaw`, `g722`
//! or `opus`: what the caller speaks; the called side speaks A-law.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a program for a terminal, which stops where it cannot go on"
)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use tandem::edge::clock::Clock;
use tandem::edge::control::EventLog;
use tandem::edge::media_io::{LegPlan, MediaConfig, MediaEvent, MediaPlane, PortRange, Side};
use tandem::edge::recording::{Recorder, RecorderConfig, Terms};
use tandem::edge::store::Store;
use tandem::proto::audio::Codec;
use tandem::proto::rtp::{Header, PacketTime, Ssrc};
use tandem::proto::sdp::Format;
use tandem::switch::cdr::record::CallId;
use tandem::switch::recording::RecordingSettings;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FRAME: Duration = Duration::from_millis(20);
/// Packets of speech that the phones send in turn.
const SPOKEN: usize = 250;

/// What a side speaks, and its packets.
struct Voice {
    format: Format,
    packets: Vec<Vec<u8>>,
}

fn voice(kind: &str) -> Voice {
    let (number, map, codec) = match kind {
        "ulaw" => (0, "PCMU/8000", Codec::Pcmu),
        "g722" => (9, "G722/8000", Codec::G722),
        "opus" => (111, "opus/48000/2", Codec::Opus),
        _ => (8, "PCMA/8000", Codec::Pcma),
    };
    let format = Format::new(number, Some(map), None).unwrap();
    let mut encoder = codec.encoder().unwrap();
    let rate = codec.sample_rate() as usize;
    let packets = (0..SPOKEN)
        .map(|packet| {
            let sample = |index: usize| {
                // Something like a voice: a tone that glides, with its overtones, and pauses between words.
                let at = (packet * rate / 50 + index) as f64 / rate as f64;
                let pitch = 140.0 + 40.0 * (at * 2.0).sin();
                let loud = (at * 9.0).sin().max(0.0) * 5_000.0;
                let wave: f64 = (1..8)
                    .map(|n| {
                        (at * pitch * f64::from(n) * std::f64::consts::TAU).sin() / f64::from(n)
                    })
                    .sum();
                (wave * loud) as i16
            };
            let samples: Vec<i16> = (0..rate / 50).map(sample).collect();
            let mut payload = Vec::new();
            encoder.encode(&samples, &mut payload).unwrap();
            payload
        })
        .collect();
    Voice { format, packets }
}

/// Microseconds that decoding this and encoding the other takes with nothing around it, for a packet.
fn bare_us(from: &Voice, to: &Voice) -> f64 {
    let codec = |voice: &Voice| {
        let Format { name, clock_rate, channels, .. } = &voice.format;
        Codec::of(name, *clock_rate, *channels).unwrap()
    };
    let (mut decoder, mut encoder) = (codec(from).decoder().unwrap(), codec(to).encoder().unwrap());
    let length = codec(to).sample_rate() as usize / 50;
    let mut best = f64::MAX;
    let (mut samples, mut payload) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let begin = Instant::now();
        for packet in &from.packets {
            samples.clear();
            decoder.decode(packet, &mut samples).unwrap();
            samples.resize(length, 0);
            payload.clear();
            encoder.encode(&samples, &mut payload).unwrap();
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e6 / from.packets.len() as f64);
    }
    best
}

fn cpu_s(thread: &str) -> f64 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let ns: u64 = tasks
        .filter(|task| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == thread)
        })
        .map(|task| {
            let text = fs::read_to_string(task.path().join("schedstat")).unwrap();
            text.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        })
        .sum();
    ns as f64 / 1e9
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| {
        let given = words.iter().find_map(|word| word.strip_prefix(name));
        given.map_or(default, |text| text.parse().unwrap())
    };
    let (calls, seconds) = (number("calls=", 50), number("seconds=", 10));
    let kinds: Vec<&str> = ["relay", "record", "ulaw", "g722", "opus"]
        .into_iter()
        .filter(|kind| {
            words.iter().all(|word| word.contains('=')) || words.iter().any(|word| word == kind)
        })
        .collect();
    for kind in kinds {
        run(kind, calls, seconds);
    }
}

fn run(kind: &str, calls: u64, seconds: u64) {
    let clock = Clock::start();
    let config = MediaConfig {
        ports: PortRange { low: 22_000, high: 32_000 },
        workers: 1,
        clock: Arc::new(move || clock.now()),
        seed: 1,
        cname: "bench".into(),
    };
    let (sender, events) = sync_channel(65_536);
    let plane = MediaPlane::start(&config, Arc::new(sender)).unwrap();
    let handle = plane.handle();
    let folder = std::env::temp_dir().join(format!("tandem-bench-{}", std::process::id()));
    let recorder = (kind == "record").then(|| open_recorder(&folder, clock));
    let voices = [voice(kind), voice("alaw")];
    let phones = [0, 1].map(|_| UdpSocket::bind((LOCAL, 0)).unwrap());
    for phone in &phones {
        phone.set_nonblocking(true).unwrap();
        socket2::SockRef::from(phone).set_recv_buffer_size(4 << 20).unwrap();
    }
    let mut relays = Vec::new();
    for call in 0..calls {
        handle.open(call, LOCAL, LOCAL).unwrap();
        let MediaEvent::Opened { a, b } = events.recv().unwrap().1 else { panic!("no media") };
        relays.push([a, b].map(|(rtp, _)| SocketAddr::new(LOCAL, rtp)));
        for ((side, phone), voice) in [Side::A, Side::B].into_iter().zip(&phones).zip(&voices) {
            let plan = LegPlan {
                remote_rtp: Some(phone.local_addr().unwrap()),
                send: true,
                receive: true,
                send_formats: vec![voice.format.clone()],
                receive_formats: vec![voice.format.clone()],
                packet_time: PacketTime::default(),
                rearm_latch: true,
                ..LegPlan::default()
            };
            handle.set_leg(call, side, plan).unwrap();
        }
        if let Some(recorder) = &recorder {
            let (tap, _control) = recorder.begin(CallId(call)).unwrap();
            handle.tap(call, tap, None).unwrap();
        }
        handle.query(call).unwrap();
        events.recv().unwrap();
    }
    let before = (cpu_s("media-0"), cpu_s("recorder"));
    let (sent, received) = generate(&phones, &relays, &voices, Duration::from_secs(seconds));
    let media = cpu_s("media-0") - before.0;
    let writing = cpu_s("recorder") - before.1;
    plane.shutdown();
    let share = |cpu: f64| cpu * 100.0 / seconds as f64 / calls as f64;
    println!(
        "{kind}: {calls} calls, {seconds} s: sent {sent}, received {received}; {:.3} % of a core per call",
        share(media)
    );
    if let Some(recorder) = recorder {
        recorder.close();
        let stats = recorder.stats();
        println!(
            "  and {:.3} % for the recorder's thread; {} done, {} failed, {} s lost",
            share(writing),
            stats.done,
            stats.failed,
            stats.lost
        );
        let _ = fs::remove_dir_all(&folder);
    }
    if !matches!(kind, "relay" | "record") {
        // Fifty packets a second each way.
        let bare = (bare_us(&voices[0], &voices[1]) + bare_us(&voices[1], &voices[0])) * 50.0 / 1e4;
        println!("  the bare codecs: {bare:.3} %");
    }
}

fn open_recorder(folder: &PathBuf, clock: Clock) -> Recorder {
    let _ = fs::remove_dir_all(folder);
    let store = Store::open(folder).unwrap();
    let settings = RecordingSettings { free_min_mb: 0, ..RecordingSettings::default() };
    let config = RecorderConfig { folder: folder.join("recordings") };
    Recorder::start(config, Terms::of(&settings), clock, store, EventLog::new(clock.wall()))
        .unwrap()
}

/// Sends 50 packets a second each way, spread over the frame; how many went, and how many came.
fn generate(
    phones: &[UdpSocket; 2],
    relays: &[[SocketAddr; 2]],
    voices: &[Voice; 2],
    span: Duration,
) -> (u64, u64) {
    let (mut sent, mut received) = (0, 0);
    let mut buffer = [0; 2_048];
    let mut drain = || {
        let mut count = 0;
        for phone in phones {
            while phone.recv(&mut buffer).is_ok() {
                count += 1;
            }
        }
        count
    };
    let begin = Instant::now();
    let mut sequence = 0_u16;
    while begin.elapsed() < span {
        let frame_at = FRAME * u32::from(sequence);
        for (number, relay) in (0_u32..).zip(relays) {
            let due = frame_at + FRAME * number / u32::try_from(relays.len().max(1)).unwrap();
            while begin.elapsed() < due {
                thread::park_timeout(Duration::from_micros(20));
            }
            for ((phone, to), voice) in phones.iter().zip(relay).zip(voices) {
                let ticks = voice.format.clock_rate / 50;
                let header = Header {
                    payload_type: voice.format.payload_type,
                    marker: false,
                    sequence,
                    timestamp: u32::from(sequence).wrapping_mul(ticks),
                    ssrc: Ssrc(number),
                };
                let mut packet = vec![0x80; 12];
                header.write(&mut packet);
                packet.extend_from_slice(&voice.packets[usize::from(sequence) % SPOKEN]);
                phone.send_to(&packet, to).unwrap();
                sent += 1;
            }
            if number % 16 == 0 {
                received += drain();
            }
        }
        sequence = sequence.wrapping_add(1);
    }
    thread::park_timeout(Duration::from_millis(200));
    received += drain();
    (sent, received)
}
