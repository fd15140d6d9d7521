//! The media plane with real sockets on loopback. Every wait has an end: the read timeout of a socket or of the event channel.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use tandem::edge::media_io::{
    CallStats, DeadAfter, LegPlan, LegStats, MediaClock, MediaConfig, MediaEvent, MediaHandle,
    MediaPlane, OpenFailure, PortRange, Side,
};
use tandem::proto::rtp::{Header, PacketTime, Ssrc, rtcp};
use tandem::proto::sdp::Format;
use tandem::proto::time::Instant;

mod fax;
mod keys;
mod protected;
mod reports;
mod rooms;
mod saying;
mod webrtc;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(5);
const CALL: u64 = 7;

struct Bed {
    plane: Option<MediaPlane>,
    handle: MediaHandle,
    events: Receiver<(u64, MediaEvent)>,
}

/// A phone: its own sockets, and where the relay listens for it.
struct Phone {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    relay: (SocketAddr, SocketAddr),
}

fn clock() -> MediaClock {
    #[expect(clippy::disallowed_methods, reason = "a live test runs on the real clock")]
    let start = std::time::Instant::now();
    Arc::new(move || Instant::START + start.elapsed())
}

impl Bed {
    fn new(low: u16, high: u16) -> Self {
        Self::with_workers(low, high, 1)
    }

    fn with_workers(low: u16, high: u16, workers: usize) -> Self {
        Self::with_clock(low, high, workers, clock())
    }

    /// On a clock that stands still until the test moves it, in milliseconds: no packet is late on a busy machine.
    fn on_a_stopped_clock(low: u16, high: u16) -> (Self, Arc<AtomicU64>) {
        let time = Arc::new(AtomicU64::new(1_000));
        let shown = Arc::clone(&time);
        let clock = Arc::new(move || Instant::from_millis(shown.load(Ordering::SeqCst)));
        (Self::with_clock(low, high, 1, clock), time)
    }

    fn with_clock(low: u16, high: u16, workers: usize, clock: MediaClock) -> Self {
        let config = MediaConfig {
            ports: PortRange { low, high },
            workers,
            clock,
            seed: u64::from(low),
            cname: "tandem".into(),
        };
        let (sender, events) = sync_channel(1_000);
        let plane = MediaPlane::start(&config, Arc::new(sender)).unwrap();
        Self { handle: plane.handle(), plane: Some(plane), events }
    }

    fn event(&self) -> MediaEvent {
        self.events.recv_timeout(PATIENCE).expect("an event").1
    }

    /// Opens the call between two phones that speak PCMA and digits.
    fn call(&self) -> (Phone, Phone) {
        self.handle.open(CALL, LOCAL, LOCAL).unwrap();
        let MediaEvent::Opened { a, b } = self.event() else { panic!("not opened") };
        let (a, b) = (Phone::new(a), Phone::new(b));
        self.handle.set_leg(CALL, Side::A, a.plan()).unwrap();
        self.handle.set_leg(CALL, Side::B, b.plan()).unwrap();
        self.settled();
        (a, b)
    }

    /// The statistics, which also shows that all earlier commands have been obeyed.
    fn settled(&self) -> CallStats {
        self.handle.query(CALL).unwrap();
        loop {
            if let MediaEvent::Stats(stats) = self.event() {
                return *stats;
            }
        }
    }

    fn close(&self) -> CallStats {
        self.handle.close(CALL).unwrap();
        loop {
            if let MediaEvent::Closed(stats) = self.event() {
                return *stats;
            }
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(plane) = self.plane.take() {
            plane.shutdown();
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn header(sequence: u16, ssrc: u32) -> Header {
    let timestamp = u32::from(sequence) * 160;
    Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: Ssrc(ssrc) }
}

fn packet(header: &Header) -> Vec<u8> {
    let mut bytes = vec![0x80; 172];
    header.write(&mut bytes);
    bytes
}

impl Phone {
    fn new(relay: (u16, u16)) -> Self {
        let at = |port| SocketAddr::new(LOCAL, port);
        Self { rtp: socket(), rtcp: socket(), relay: (at(relay.0), at(relay.1)) }
    }

    fn plan(&self) -> LegPlan {
        let events = Format::new(101, Some("telephone-event/8000"), None).unwrap();
        let formats = vec![Format::new(8, None, None).unwrap(), events];
        LegPlan {
            remote_rtp: self.rtp.local_addr().ok(),
            remote_rtcp: self.rtcp.local_addr().ok(),
            send: true,
            receive: true,
            send_formats: formats.clone(),
            receive_formats: formats,
            packet_time: PacketTime::default(),
            rearm_latch: true,
            ..LegPlan::default()
        }
    }

    fn speaks(&self, header: &Header) {
        self.rtp.send_to(&packet(header), self.relay.0).unwrap();
    }

    fn hears(&self) -> Header {
        self.hears_audio().0
    }

    fn hears_audio(&self) -> (Header, Vec<u8>) {
        let mut buffer = [0; 2_048];
        let (length, from) = self.rtp.recv_from(&mut buffer).expect("a packet");
        assert_eq!(from, self.relay.0, "symmetric: from the port it is sent to");
        (Header::read(&buffer[..length]).expect("RTP"), buffer[12..length].to_vec())
    }

    /// Sends the `number`th packet of this many milliseconds; its bytes tell where they belong.
    fn speaks_for(&self, number: u16, ms: u32) {
        let start = u32::from(number) * ms * 8;
        let mut bytes = vec![0x80; 12];
        Header { timestamp: start, ..header(number, 1) }.write(&mut bytes);
        bytes.extend(tone(start, ms * 8));
        self.rtp.send_to(&bytes, self.relay.0).unwrap();
    }
}

fn tone(from: u32, count: u32) -> Vec<u8> {
    (from..from + count).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// Row 141.
#[test]
fn a_phone_hears_one_stream_whoever_is_behind_it() {
    let bed = Bed::new(21_000, 21_019);
    let (a, b) = bed.call();
    let mut heard = Vec::new();
    for (sequence, ssrc) in [(65_534, 1), (65_535, 1), (0, 1), (2, 1), (900, 2), (901, 2)] {
        a.speaks(&header(sequence, ssrc));
        heard.push(b.hears());
    }
    let first = heard[0];
    let steps: Vec<u16> = heard.iter().map(|h| h.sequence.wrapping_sub(first.sequence)).collect();
    assert_eq!(steps, [0, 1, 2, 4, 5, 6], "a loss stays a loss, a switch is none");
    assert!(heard.iter().all(|h| h.ssrc == first.ssrc && h.payload_type == 8));
    let marks: Vec<bool> = heard.iter().map(|h| h.marker).collect();
    assert_eq!(marks, [true, false, false, false, true, false]);
    b.speaks(&header(5, 9));
    assert_ne!(a.hears().ssrc, first.ssrc, "each leg has a stream of its own");
    let stats = bed.close();
    assert_eq!((stats.a.packets_in, stats.a.lost, stats.b.packets_out), (6, 1, 6));
    assert_eq!((stats.b.packets_in, stats.a.packets_out, stats.a.bytes_in), (1, 1, 6 * 172));
    assert!(stats.a.first_packet_at < stats.a.last_packet_at);
}

#[test]
fn the_first_packet_of_each_side_is_reported_once() {
    let bed = Bed::new(21_020, 21_039);
    let (a, b) = bed.call();
    for n in 0..3 {
        a.speaks(&header(n, 1));
        b.hears();
    }
    b.speaks(&header(0, 2));
    a.hears();
    // A packet may be here before the news of it.
    let mut heard = Vec::from([(); 2].map(|()| bed.events.recv_timeout(PATIENCE).unwrap()));
    heard.extend(std::iter::from_fn(|| bed.events.try_recv().ok()));
    let sides: Vec<_> = heard
        .iter()
        .map(|(call, event)| match event {
            MediaEvent::Heard { side } => (*call, *side),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sides, [(CALL, Side::A), (CALL, Side::B)]);
}

/// Row 138.
#[test]
fn strangers_cannot_spray_their_way_into_a_call() {
    let bed = Bed::new(21_040, 21_059);
    let (a, b) = bed.call();
    let stranger = socket();
    a.speaks(&header(0, 1));
    b.hears();
    for n in 0..200 {
        stranger.send_to(&packet(&header(n, 666)), a.relay.0).unwrap();
    }
    a.speaks(&header(1, 1));
    assert!(!b.hears().marker, "the very next packet is the peer's");
    let stats = bed.close();
    assert_eq!((stats.a.dropped_stranger, stats.b.packets_out), (200, 2));
    assert_eq!(stats.a.latched, None);
}

/// Row 138.
#[test]
fn a_phone_behind_nat_is_found_where_it_sends_from() {
    let bed = Bed::new(21_060, 21_079);
    let (a, b) = bed.call();
    let outside = socket();
    for n in 0..4 {
        outside.send_to(&packet(&header(n, 1)), a.relay.0).unwrap();
    }
    // Two packets are the price of caution.
    b.hears();
    b.hears();
    let address = outside.local_addr().unwrap();
    let is_latched = |event| matches!(event, MediaEvent::Latched { side: Side::A, address: at } if at == address);
    assert!(is_latched(bed.event()));
    b.speaks(&header(0, 2));
    let mut buffer = [0; 2_048];
    assert_eq!(outside.recv_from(&mut buffer).unwrap().1, a.relay.0);
    let stats = bed.close();
    assert_eq!((stats.a.latched, stats.a.dropped_stranger), (Some(address), 2));
}

/// Row 97, row 98.
#[test]
fn numbers_are_translated_and_unknown_ones_dropped() {
    let bed = Bed::new(21_080, 21_099);
    let (a, b) = bed.call();
    let opus = |number| vec![Format::new(number, Some("opus/48000/2"), None).unwrap()];
    let with = |plan: LegPlan, number| LegPlan {
        send_formats: opus(number),
        receive_formats: opus(number),
        ..plan
    };
    bed.handle.set_leg(CALL, Side::A, with(a.plan(), 96)).unwrap();
    bed.handle.set_leg(CALL, Side::B, with(b.plan(), 111)).unwrap();
    bed.settled();
    a.speaks(&header(1, 1));
    a.speaks(&Header { payload_type: 111, ..header(2, 1) });
    a.speaks(&Header { payload_type: 96, ..header(3, 1) });
    assert_eq!(b.hears().payload_type, 111);
    b.speaks(&Header { payload_type: 111, ..header(3, 1) });
    assert_eq!(a.hears().payload_type, 96);
    assert_eq!(bed.close().a.dropped_payload_type, 2);
}

/// Row 94.
#[test]
fn nothing_crosses_against_the_direction() {
    let bed = Bed::new(21_100, 21_119);
    let (a, b) = bed.call();
    let held = LegPlan { send: false, rearm_latch: false, ..b.plan() };
    bed.handle.set_leg(CALL, Side::B, held).unwrap();
    bed.settled();
    a.speaks(&header(0, 1));
    b.speaks(&header(0, 2));
    a.hears();
    let resumed = LegPlan { rearm_latch: false, ..b.plan() };
    bed.handle.set_leg(CALL, Side::B, resumed).unwrap();
    bed.settled();
    a.speaks(&header(1, 1));
    b.hears();
    let stats = bed.close();
    assert_eq!((stats.a.packets_in, stats.a.dropped_direction, stats.b.packets_out), (2, 1, 1));
}

/// Row 145.
#[test]
fn reports_cross_under_the_names_of_the_other_leg() {
    let bed = Bed::new(21_120, 21_139);
    let (a, b) = bed.call();
    a.speaks(&header(10, 1));
    let to_b = b.hears();
    b.speaks(&header(20, 2));
    let to_a = a.hears();
    let words =
        [0x81c8_000c, 1, 5, 6, 1_600, 1, 160, to_a.ssrc.0, 0, u32::from(to_a.sequence), 7, 8, 9];
    let report: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_be_bytes()).collect();
    a.rtcp.send_to(&report, a.relay.1).unwrap();
    let mut buffer = [0; 2_048];
    let (length, from) = b.rtcp.recv_from(&mut buffer).unwrap();
    assert_eq!(from, b.relay.1);
    let packets: Vec<_> = rtcp::packets(&buffer[..length]).unwrap().collect();
    assert_eq!(packets.iter().map(|p| p.packet_type).collect::<Vec<_>>(), [200, 202]);
    let word =
        |at: usize| u32::from_be_bytes(packets[0].body[at * 4..at * 4 + 4].try_into().unwrap());
    assert_eq!((word(0), word(3)), (to_b.ssrc.0, to_b.timestamp), "our name, our clock");
    assert_eq!((word(6), word(8)), (2, 20), "their name, their number");
    let stats = bed.close();
    assert_eq!((stats.a.rtcp_in, stats.b.rtcp_out), (1, 1));
}

/// Row 147.
#[test]
fn a_silent_side_is_reported_once_and_a_held_one_later() {
    let bed = Bed::new(21_140, 21_159);
    let (_a, b) = bed.call();
    let held = LegPlan { receive: false, ..b.plan() };
    bed.handle.set_leg(CALL, Side::B, held).unwrap();
    let limits = DeadAfter { talk: Duration::from_millis(50), hold: Duration::from_millis(700) };
    bed.handle.set_dead_after(CALL, limits).unwrap();
    let dead = |event| match event {
        MediaEvent::Dead { side, silent_for } => (side, silent_for),
        other => panic!("{other:?}"),
    };
    let (first, second) = (dead(bed.event()), dead(bed.event()));
    assert_eq!((first.0, second.0), (Side::A, Side::B));
    assert!(first.1 > limits.talk && second.1 > limits.hold);
    bed.close();
}

/// As while a call is handed on, and as `dead_after_seconds = 0` says.
#[test]
fn a_side_without_a_limit_may_be_silent() {
    let bed = Bed::new(21_220, 21_239);
    let (_a, b) = bed.call();
    let held = LegPlan { receive: false, ..b.plan() };
    bed.handle.set_leg(CALL, Side::B, held).unwrap();
    let limits = DeadAfter { talk: Duration::ZERO, hold: Duration::from_millis(700) };
    bed.handle.set_dead_after(CALL, limits).unwrap();
    // The check that reports side B is the third one at least that side A lives through.
    assert!(matches!(bed.event(), MediaEvent::Dead { side: Side::B, .. }));
    bed.close();
}

#[test]
fn ports_come_back_after_a_close_and_run_out_with_a_reason() {
    let bed = Bed::new(21_160, 21_167);
    for call in 0..3 {
        bed.handle.open(call, LOCAL, LOCAL).unwrap();
    }
    let opened = [bed.event(), bed.event()];
    assert!(opened.iter().all(|event| matches!(event, MediaEvent::Opened { .. })));
    let failed =
        |event, wanted| matches!(event, MediaEvent::OpenFailed { reason } if reason == wanted);
    assert!(failed(bed.event(), OpenFailure::NoPorts));
    bed.handle.open(0, LOCAL, LOCAL).unwrap();
    assert!(failed(bed.event(), OpenFailure::Duplicate));
    // Counters are those of the latest whole turn: one more turn makes sure.
    bed.handle.close(98).unwrap();
    assert!(matches!(bed.event(), MediaEvent::Closed(_)));
    let counters = bed.handle.counters();
    assert_eq!((counters.calls, counters.port_pairs_free, counters.port_pairs_used), (2, 0, 4));
    for call in 0..2 {
        bed.handle.close(call).unwrap();
        assert!(matches!(bed.event(), MediaEvent::Closed(_)));
    }
    for _ in 0..2 {
        bed.call();
        bed.close();
    }
    bed.handle.close(99).unwrap();
    let nothing = CallStats { a: LegStats::default(), b: LegStats::default(), connected: None };
    assert!(matches!(bed.event(), MediaEvent::Closed(stats) if *stats == nothing));
    assert_eq!(bed.handle.counters().port_pairs_free, 4);
    assert_eq!(bed.handle.counters().calls, 0);
}

#[test]
fn a_local_address_that_is_not_ours_is_refused() {
    let bed = Bed::new(21_180, 21_199);
    bed.handle.open(CALL, LOCAL, [192, 0, 2, 1].into()).unwrap();
    let MediaEvent::OpenFailed { reason: OpenFailure::Socket(kind) } = bed.event() else {
        panic!("opened")
    };
    assert_eq!(kind, std::io::ErrorKind::AddrNotAvailable);
    bed.close();
    assert_eq!(bed.handle.counters().port_pairs_used, 0);
}

#[test]
fn a_shutdown_closes_every_call_and_later_commands_are_refused() {
    let mut bed = Bed::new(21_200, 21_219);
    bed.call();
    bed.plane.take().unwrap().shutdown();
    assert!(matches!(bed.event(), MediaEvent::Closed(_)));
    assert!(bed.handle.open(1, LOCAL, LOCAL).is_err());
    assert!(bed.handle.close(CALL).is_err());
}

#[test]
fn calls_are_spread_over_the_workers_and_so_are_the_ports() {
    let bed = Bed::with_workers(21_220, 21_235, 2);
    for call in 0..4 {
        bed.handle.open(call, LOCAL, LOCAL).unwrap();
    }
    let mut ports = Vec::new();
    for _ in 0..4 {
        let MediaEvent::Opened { a, b } = bed.event() else { panic!("not opened") };
        ports.extend([a.0, a.1, b.0, b.1]);
    }
    ports.sort_unstable();
    assert_eq!(ports, (21_220..=21_235).collect::<Vec<u16>>());
    assert_eq!(bed.plane.as_ref().map(MediaPlane::workers_lost), Some(0));
}

#[test]
fn a_close_right_behind_its_open_leaks_no_port() {
    let bed = Bed::new(21_240, 21_259);
    for call in 0..100 {
        bed.handle.open(call, LOCAL, LOCAL).unwrap();
        bed.handle.close(call).unwrap();
    }
    let mut closed = 0;
    while closed < 100 {
        closed += u32::from(matches!(bed.event(), MediaEvent::Closed(_)));
    }
    bed.handle.close(CALL).unwrap();
    bed.event();
    assert_eq!(bed.handle.counters().port_pairs_used, 0);
}

impl Bed {
    /// A call on sockets that were laid aside; they are, as soon as the worker has nothing else to do.
    fn opened_at_once(&self, call: u64) -> ((u16, u16), (u16, u16)) {
        for _ in 0..1_000 {
            if let Some(ports) = self.handle.open_now(call, LOCAL, LOCAL) {
                return ports;
            }
            self.settled();
        }
        panic!("nothing was laid aside");
    }
}

#[test]
fn sockets_are_laid_aside_and_know_nothing_of_what_came_before() {
    let bed = Bed::new(21_260, 21_519);
    assert_eq!(bed.handle.open_now(CALL, LOCAL, LOCAL), None, "no call has asked for this address");
    bed.call();
    let (second, third) = (CALL + 1, CALL + 2);
    let first_ports = bed.opened_at_once(second);
    bed.settled();
    let stray = socket();
    for port in 21_260..=21_519_u16 {
        stray.send_to(&packet(&header(1, 9)), (LOCAL, port)).unwrap();
    }
    let (a, b) = bed.opened_at_once(third);
    let mut ports = vec![first_ports.0.0, first_ports.1.0, a.0, b.0];
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 4);
    let (a, b) = (Phone::new(a), Phone::new(b));
    bed.handle.set_leg(third, Side::A, a.plan()).unwrap();
    bed.handle.set_leg(third, Side::B, b.plan()).unwrap();
    bed.settled();
    a.speaks(&header(1, 1));
    b.hears();
    // Counters are those of the latest whole turn: one more turn makes sure.
    bed.settled();
    bed.settled();
    let counters = bed.handle.counters();
    assert_eq!((counters.calls, counters.port_pairs_used, counters.port_pairs_free), (3, 6, 124));
    assert!(bed.handle.open_now(second, LOCAL, LOCAL).is_some(), "the worker finds out");
    assert!(matches!(bed.event(), MediaEvent::OpenFailed { reason: OpenFailure::Duplicate }));
    for call in [second, third] {
        bed.handle.close(call).unwrap();
        let closed = loop {
            if let MediaEvent::Closed(stats) = bed.event() {
                break stats;
            }
        };
        // Strays reached the second call, which was open, and not the third one, which was not.
        let expected = if call == second { (2, 2) } else { (0, 0) };
        assert_eq!((closed.a.dropped_stranger, closed.b.dropped_stranger), expected);
    }
    bed.close();
    bed.handle.close(99).unwrap();
    assert!(matches!(bed.event(), MediaEvent::Closed(_)));
    assert_eq!((bed.handle.counters().calls, bed.handle.counters().port_pairs_used), (0, 0));
}

impl Bed {
    /// A call whose sides want packets of this length.
    fn call_with_packet_times(&self, a_ms: u32, b_ms: u32) -> (Phone, Phone) {
        let (a, b) = self.call();
        for (side, phone, ms) in [(Side::A, &a, a_ms), (Side::B, &b, b_ms)] {
            let packet_time = PacketTime { ptime_ms: Some(ms), maxptime_ms: None };
            self.handle.set_leg(CALL, side, LegPlan { packet_time, ..phone.plan() }).unwrap();
        }
        self.settled();
        (a, b)
    }
}

/// Row 99: 20 ms in, 60 ms out; byte for byte, and the figures say what was really sent.
#[test]
fn short_packets_are_joined_for_a_side_that_wants_long_ones() {
    let (bed, _time) = Bed::on_a_stopped_clock(21_168, 21_171);
    let (a, b) = bed.call_with_packet_times(20, 60);
    (0..30).for_each(|n| a.speaks_for(n, 20));
    let heard: Vec<_> = (0..10).map(|_| b.hears_audio()).collect();
    let first = heard[0].0;
    for (n, (header, payload)) in (0_u16..).zip(&heard) {
        let step = header.timestamp.wrapping_sub(first.timestamp);
        assert_eq!((header.sequence.wrapping_sub(first.sequence), step), (n, u32::from(n) * 480));
        assert_eq!((header.marker, header.ssrc, header.payload_type), (n == 0, first.ssrc, 8));
        assert_eq!(*payload, tone(u32::from(n) * 480, 480));
    }
    // A re-INVITE wants 40 ms from now on; what waits goes before.
    a.speaks_for(30, 20);
    while bed.settled().a.packets_in < 31 {}
    let packet_time = PacketTime { ptime_ms: Some(40), maxptime_ms: None };
    bed.handle.set_leg(CALL, Side::B, LegPlan { packet_time, ..b.plan() }).unwrap();
    assert_eq!(b.hears_audio().1, tone(30 * 160, 160));
    (31..35).for_each(|n| a.speaks_for(n, 20));
    assert_eq!(b.hears_audio().1, tone(31 * 160, 320));
    assert_eq!(b.hears_audio().1, tone(33 * 160, 320));
    // A report tells the packets and octets of the new stream, and its timestamps still fit.
    let report = [0x80c8_0006_u32, 1, 5, 6, 1_600, 35, 35 * 160];
    let bytes: Vec<u8> = report.iter().flat_map(|word| word.to_be_bytes()).collect();
    a.rtcp.send_to(&bytes, a.relay.1).unwrap();
    let mut buffer = [0; 2_048];
    let (length, _) = b.rtcp.recv_from(&mut buffer).unwrap();
    let words: Vec<u32> =
        buffer[..length].as_chunks::<4>().0.iter().map(|w| u32::from_be_bytes(*w)).collect();
    let timestamp = first.timestamp.wrapping_add(1_600);
    assert_eq!(words[1..7], [first.ssrc.0, 5, 6, timestamp, 13, 35 * 160]);
    let stats = bed.close();
    assert_eq!((stats.a.packets_in, stats.a.lost, stats.b.packets_out), (35, 0, 13));
    assert_eq!(stats.b.bytes_out, 13 * 12 + 35 * 160);
}

/// Row 99: 60 ms in, 20 ms out, at the pace of 20 ms.
#[test]
fn long_packets_are_cut_for_a_side_that_wants_short_ones() {
    let (bed, time) = Bed::on_a_stopped_clock(21_172, 21_175);
    let (a, b) = bed.call_with_packet_times(60, 20);
    let mut heard = Vec::new();
    for n in 0..4 {
        a.speaks_for(n, 60);
        heard.push(b.hears_audio());
        assert_eq!(bed.settled().b.packets_out, u64::from(n) * 3 + 1, "no burst");
        for _ in 0..2 {
            time.fetch_add(20, Ordering::SeqCst);
            heard.push(b.hears_audio());
        }
        time.fetch_add(20, Ordering::SeqCst);
    }
    let first = heard[0].0;
    for (n, (header, payload)) in (0_u16..).zip(&heard) {
        let step = header.timestamp.wrapping_sub(first.timestamp);
        assert_eq!((header.sequence.wrapping_sub(first.sequence), step), (n, u32::from(n) * 160));
        assert_eq!(*payload, tone(u32::from(n) * 160, 160));
    }
    let stats = bed.close();
    assert_eq!((stats.a.packets_in, stats.b.packets_out, stats.b.send_failed), (4, 12, 0));
}
