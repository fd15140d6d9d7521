//! What audio costs that is recorded or made into another codec: CPU of the media thread (and of the recorder) for each call, beside the bare
//! codecs and plain sockets in the same run.
//!
//! `cargo run --release --locked --example bench-media -- [kind…] [calls=50,200] [seconds=10]`, where a kind is `relay`, `record`, `ulaw`, `g722`
//! or `opus`: what the caller speaks; the called side speaks A-law. `room` is parties of conferences that all speak A-law: rooms of three,
//! and one of fifty. What would need more than the one thread has is not tried.
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
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tandem::edge::clock::Clock;
use tandem::edge::control::EventLog;
use tandem::edge::media_io::{
    LegPlan, MediaConfig, MediaEvent, MediaHandle, MediaPlane, Part, PortRange, RoomKey, Side,
};
use tandem::edge::recording::{Recorder, RecorderConfig, Terms};
use tandem::edge::store::Store;
use tandem::proto::audio::{Codec, Mix};
use tandem::proto::rtp::{Header, PacketTime, Ssrc};
use tandem::proto::sdp::Format;
use tandem::switch::cdr::record::CallId;
use tandem::switch::recording::RecordingSettings;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const FRAME: Duration = Duration::from_millis(20);
/// Rooms, and parties in each.
const ROOMS: [(u64, u64); 4] = [(1, 3), (17, 3), (50, 3), (1, 50)];
/// What of the media thread may be taken, in percent; beyond, packets would be lost and the figure worth nothing.
const WHOLE: f64 = 90.0;
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
    let seconds = number("seconds=", 10);
    let counts = words.iter().find_map(|word| word.strip_prefix("calls=")).unwrap_or("50");
    let counts: Vec<u64> = counts.split(',').map(|count| count.parse().unwrap()).collect();
    // Four descriptors for a call.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let kinds: Vec<&str> = ["relay", "record", "ulaw", "g722", "opus", "room"]
        .into_iter()
        .filter(|kind| {
            words.iter().all(|word| word.contains('=')) || words.iter().any(|word| word == kind)
        })
        .collect();
    for kind in kinds {
        if kind == "room" {
            for (rooms, parties) in ROOMS {
                confer(rooms, parties, seconds);
            }
            continue;
        }
        let mut share = 0.0;
        for calls in &counts {
            if share * *calls as f64 > WHOLE {
                println!("{kind}: {calls} calls are not tried: more than one thread carries");
            } else {
                share = run(kind, *calls, seconds).max(share);
            }
        }
    }
}

/// A plane with one worker, and what it tells.
fn start(clock: Clock) -> (MediaPlane, Receiver<(u64, MediaEvent)>) {
    let config = MediaConfig {
        ports: PortRange { low: 22_000, high: 32_000 },
        workers: 1,
        clock: Arc::new(move || clock.now()),
        seed: 1,
        cname: "bench".into(),
    };
    let (sender, events) = sync_channel(65_536);
    (MediaPlane::start(&config, Arc::new(sender)).unwrap(), events)
}

/// Two sockets stand for all phones.
fn two_phones() -> [UdpSocket; 2] {
    [0, 1].map(|_| {
        let phone = UdpSocket::bind((LOCAL, 0)).unwrap();
        phone.set_nonblocking(true).unwrap();
        socket2::SockRef::from(&phone).set_recv_buffer_size(4 << 20).unwrap();
        phone
    })
}

/// Has a side of a call speak with a phone.
fn plan_leg(handle: &MediaHandle, call: u64, side: Side, phone: &UdpSocket, voice: &Voice) {
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

/// Conferences of parties that all talk, what each costs, and what decoding, mixing and encoding cost with nothing around them.
fn confer(rooms: u64, parties: u64, seconds: u64) {
    let (plane, events) = start(Clock::start());
    let (handle, phones) = (plane.handle(), two_phones());
    let voices = [voice("alaw"), voice("alaw")];
    let mut relays = Vec::new();
    for call in 0..rooms * parties {
        handle.open(call, LOCAL, LOCAL).unwrap();
        let MediaEvent::Opened { a: (rtp, _), .. } = events.recv().unwrap().1 else {
            panic!("no media")
        };
        relays.push(vec![SocketAddr::new(LOCAL, rtp)]);
        plan_leg(&handle, call, Side::A, &phones[0], &voices[0]);
        let key = RoomKey::Numbered(call % rooms);
        handle.room(call, Side::A, Some((key, Part::default()))).unwrap();
        handle.query(call).unwrap();
        events.recv().unwrap();
    }
    let before = cpu_s("media-0");
    let (sent, received) = generate(&phones, &relays, &voices, Duration::from_secs(seconds));
    let media = cpu_s("media-0") - before;
    plane.shutdown();
    println!(
        "room: {rooms} of {parties} parties, {seconds} s: sent {sent}, received {received}; {:.3} % of a core per party\n  decoding, mixing and encoding alone: {:.3} %",
        media * 100.0 / seconds as f64 / (rooms * parties) as f64,
        bare_room_us(&voices[0], parties) * 50.0 / 1e4
    );
}

/// Microseconds of a frame for each party of a room, with nothing around it.
fn bare_room_us(voice: &Voice, parties: u64) -> f64 {
    let mut codecs: Vec<_> = (0..parties)
        .map(|_| (Codec::Pcma.decoder().unwrap(), Codec::Pcma.encoder().unwrap(), Vec::new()))
        .collect();
    let (mut mix, mut heard, mut payload) = (Mix::default(), Vec::new(), Vec::new());
    let mut best = f64::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        for packet in &voice.packets {
            mix.begin(packet.len());
            for (decoder, _, samples) in &mut codecs {
                samples.clear();
                decoder.decode(packet, samples).unwrap();
                mix.add(samples);
            }
            for (_, encoder, samples) in &mut codecs {
                heard.clear();
                payload.clear();
                mix.without(samples, &mut heard);
                encoder.encode(&heard, &mut payload).unwrap();
            }
        }
        let frames = voice.packets.len() as f64 * parties as f64;
        best = best.min(begin.elapsed().as_secs_f64() * 1e6 / frames);
    }
    best
}

/// What so many calls of a kind take for each, in percent of a core; infinite if the machine did not carry them.
fn run(kind: &str, calls: u64, seconds: u64) -> f64 {
    let clock = Clock::start();
    let (plane, events) = start(clock);
    let handle = plane.handle();
    let folder = std::env::temp_dir().join(format!("tandem-bench-{}", std::process::id()));
    let recorder = (kind == "record").then(|| open_recorder(&folder, clock));
    let voices = [voice(kind), voice("alaw")];
    let phones = two_phones();
    let mut relays = Vec::new();
    for call in 0..calls {
        handle.open(call, LOCAL, LOCAL).unwrap();
        let MediaEvent::Opened { a, b } = events.recv().unwrap().1 else { panic!("no media") };
        relays.push([a, b].map(|(rtp, _)| SocketAddr::new(LOCAL, rtp)).to_vec());
        for ((side, phone), voice) in [Side::A, Side::B].into_iter().zip(&phones).zip(&voices) {
            plan_leg(&handle, call, side, phone, voice);
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
    if received * 100 < sent * 99 {
        println!(
            "  packets were lost: the machine carries no more, and the figure is not the cost"
        );
        return f64::INFINITY;
    }
    share(media)
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
    relays: &[Vec<SocketAddr>],
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
