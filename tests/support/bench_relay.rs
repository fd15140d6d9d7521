//! What a relayed packet costs: CPU of the media thread for each packet, memory for
//! each call, and the delay added, beside the limit of plain sockets in the same run.
//!
//! `cargo run --release --example bench-relay -- [calls] [seconds] [ptime]`. With a packet time other than 20 ms
//! every packet is cut or joined, and the delay has no meaning.
//!
//! `… -- delay [seconds]`: what a relay adds to the way of a packet, at 10, 100 and 500 calls, beside one bare hop from socket to
//! socket at the same pace.
#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]
#![expect(clippy::disallowed_methods, reason = "a bench runs on the real clock")]

use std::error::Error;
use std::fs;
use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use tandem::edge::media_io::{
    LegPlan, MediaConfig, MediaEvent, MediaHandle, MediaPlane, PortRange, Side,
};
use tandem::proto::rtp::{Header, PacketTime, Ssrc};
use tandem::proto::sdp::Format;
use tandem::proto::time;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PACKET: usize = 172;
const FRAME: Duration = Duration::from_millis(20);
const PLAIN_PACKETS: u32 = 200_000;

/// At how many calls the delay is measured.
const DELAY_CALLS: [u64; 3] = [10, 100, 500];

fn main() -> Outcome<()> {
    // Four descriptors for a call.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let is_delay = std::env::args().any(|word| word == "delay");
    let mut arguments = std::env::args().skip(1).filter_map(|word| word.parse::<u64>().ok());
    if is_delay {
        let seconds = arguments.next().unwrap_or(10);
        return DELAY_CALLS.into_iter().try_for_each(|calls| delay(calls, seconds));
    }
    let calls = arguments.next().unwrap_or(300);
    let seconds = arguments.next().unwrap_or(10);
    let packet_time = PacketTime {
        ptime_ms: u32::try_from(arguments.next().unwrap_or(20)).ok(),
        maxptime_ms: None,
    };
    let (plane, events, phones) = begin()?;
    let before = (field_kb("/proc/self/status", "VmRSS:")?, field_kb("/proc/meminfo", "Slab:")?);
    let relays = open_calls(&plane.handle(), &events, calls, &phones, packet_time)?;
    let memory = field_kb("/proc/self/status", "VmRSS:")?.saturating_sub(before.0);
    let kernel = field_kb("/proc/meminfo", "Slab:")?.saturating_sub(before.1);

    let task = task_named("media-0")?;
    let (cpu, counted) = (cpu_ns(&task)?, plane.handle().counters().packets_relayed);
    let (sent, mut delays) = generate(&phones, &relays, Duration::from_secs(seconds))?;
    let cpu = cpu_ns(&task)?.saturating_sub(cpu);
    let relayed = plane.handle().counters().packets_relayed.saturating_sub(counted);
    plane.shutdown();
    let plain = plain_ns()?;

    delays.sort_unstable();
    let at = |share: usize| delays.get(delays.len() * share / 100).copied().unwrap_or_default();
    let each = cpu.checked_div(relayed).unwrap_or_default();
    println!("calls {calls}, seconds {seconds}");
    println!("sent {sent}, relayed {relayed}, received {}", delays.len());
    println!("cpu per relayed packet {each} ns; plain send + receive {plain} ns");
    println!("core per call {:.4} %", cpu as f64 / 1e7 / seconds as f64 / calls as f64);
    let share = |kb: u64| kb as f64 / calls as f64;
    println!("memory per call: resident {:.1} kB, kernel {:.1} kB", share(memory), share(kernel));
    println!("delay through the relay, us: median {}, p99 {}", at(50), at(99));
    Ok(())
}

/// What is measured: a plane with one worker, what it tells, and the phones.
type Setup = (MediaPlane, Receiver<(u64, MediaEvent)>, [UdpSocket; 2]);

fn begin() -> Outcome<Setup> {
    let start = Instant::now();
    let config = MediaConfig {
        ports: PortRange { low: 22_000, high: 42_000 },
        workers: 1,
        clock: Arc::new(move || time::Instant::START + start.elapsed()),
        seed: 1,
        cname: "bench".into(),
    };
    let (sender, events) = sync_channel(65_536);
    let plane = MediaPlane::start(&config, Arc::new(sender))?;
    // Two sockets stand for all phones: the relay tells calls apart by its own ports.
    let phones = [UdpSocket::bind((LOCAL, 0))?, UdpSocket::bind((LOCAL, 0))?];
    Ok((plane, events, phones))
}

/// Prints what the relay adds at so many calls, beside a bare hop.
fn delay(calls: u64, seconds: u64) -> Outcome<()> {
    let (plane, events, phones) = begin()?;
    let relays = open_calls(&plane.handle(), &events, calls, &phones, PacketTime::default())?;
    let [one, other] = &phones;
    let straight = vec![[other.local_addr()?, one.local_addr()?]; relays.len()];
    let span = Duration::from_secs(seconds);
    // The same generator, the same pace, once past the relay and once through it.
    let (hops_sent, mut hops) = generate(&phones, &straight, span)?;
    let (sent, mut delays) = generate(&phones, &relays, span)?;
    plane.shutdown();
    hops.sort_unstable();
    delays.sort_unstable();
    let at = |delays: &[u64], share: usize| {
        delays.get(delays.len() * share / 1_000).copied().unwrap_or_default()
    };
    println!(
        "{calls} calls, {seconds} s: through the relay, us: median {}, p99.9 {}; a bare hop: median {}, p99.9 {}; added: median {}, p99.9 {}; lost {} of {sent}, {} of {hops_sent}",
        at(&delays, 500),
        at(&delays, 999),
        at(&hops, 500),
        at(&hops, 999),
        at(&delays, 500).saturating_sub(at(&hops, 500)),
        at(&delays, 999).saturating_sub(at(&hops, 999)),
        sent.saturating_sub(u64::try_from(delays.len())?),
        hops_sent.saturating_sub(u64::try_from(hops.len())?),
    );
    Ok(())
}

/// Opens all calls; returns the RTP ports of their sides.
fn open_calls(
    handle: &MediaHandle,
    events: &Receiver<(u64, MediaEvent)>,
    calls: u64,
    phones: &[UdpSocket; 2],
    packet_time: PacketTime,
) -> Outcome<Vec<[SocketAddr; 2]>> {
    let formats = vec![Format::new(8, None, None).ok_or("no such format")?];
    let mut relays = Vec::new();
    for call in 0..calls {
        handle.open(call, LOCAL, LOCAL)?;
        let MediaEvent::Opened { a, b } = events.recv()?.1 else { return Err("no media".into()) };
        relays.push([a, b].map(|(rtp, _)| SocketAddr::new(LOCAL, rtp)));
        for (side, phone) in [Side::A, Side::B].into_iter().zip(phones) {
            let plan = LegPlan {
                remote_rtp: Some(phone.local_addr()?),
                remote_rtcp: None,
                send: true,
                receive: true,
                send_formats: formats.clone(),
                receive_formats: formats.clone(),
                packet_time,
                rearm_latch: true,
                ..LegPlan::default()
            };
            handle.set_leg(call, side, plan)?;
        }
        handle.query(call)?;
        events.recv()?;
    }
    Ok(relays)
}

/// Sends 50 packets a second each way, spread over the frame, and collects delays.
///
/// Nobody waits at the phones' sockets: waking a local reader would be charged to
/// the media thread, as no packet to another machine is. The kernel stamps arrivals.
fn generate(
    phones: &[UdpSocket; 2],
    relays: &[[SocketAddr; 2]],
    span: Duration,
) -> Outcome<(u64, Vec<u64>)> {
    for phone in phones {
        phone.set_nonblocking(true)?;
        setsockopt(phone, sockopt::ReceiveTimestampns, &true)?;
        socket2::SockRef::from(phone).set_recv_buffer_size(4 << 20)?;
    }
    let (mut sent, mut delays) = (0, Vec::new());
    let begin = Instant::now();
    let mut drained = begin;
    let mut sequence = 0_u16;
    let mut packet = [0x80_u8; PACKET];
    while begin.elapsed() < span {
        let frame_at = FRAME * u32::from(sequence);
        for (number, relay) in (0_u32..).zip(relays) {
            let due = frame_at + FRAME * number / u32::try_from(relays.len().max(1))?;
            while begin.elapsed() < due {
                thread::park_timeout(Duration::from_micros(20));
            }
            let timestamp = u32::from(sequence).wrapping_mul(160);
            let header =
                Header { payload_type: 8, marker: false, sequence, timestamp, ssrc: Ssrc(number) };
            for (phone, to) in phones.iter().zip(relay) {
                header.write(&mut packet);
                if let Some(payload) = packet.get_mut(12..20) {
                    payload.copy_from_slice(&wall_ns()?.to_be_bytes());
                }
                phone.send_to(&packet, to)?;
                sent += 1;
            }
            if drained.elapsed() > Duration::from_millis(5) {
                drained = Instant::now();
                phones.iter().try_for_each(|phone| drain(phone, &mut delays))?;
            }
        }
        sequence = sequence.wrapping_add(1);
    }
    // Everything is in flight for far less than this.
    thread::park_timeout(Duration::from_millis(100));
    phones.iter().try_for_each(|phone| drain(phone, &mut delays))?;
    Ok((sent, delays))
}

/// Reads all that has come, and notes how long after its sending the kernel got it.
fn drain(phone: &UdpSocket, delays: &mut Vec<u64>) -> Outcome<()> {
    let mut buffer = [0; 2_048];
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    loop {
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let read =
            recvmsg::<()>(phone.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty());
        let arrived = match read {
            Err(Errno::EAGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
            Ok(message) => message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                _ => None,
            }),
        };
        let stamp = buffer.get(12..20).and_then(|bytes| bytes.first_chunk::<8>());
        let sent = stamp.map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let arrived = u64::try_from(arrived.unwrap_or_default().as_nanos())?;
        delays.push(arrived.saturating_sub(sent) / 1_000);
    }
}

fn wall_ns() -> Outcome<u64> {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(u64::try_from(wall.as_nanos())?)
}

/// CPU of one datagram sent and received by plain sockets, one by one.
fn plain_ns() -> Outcome<u64> {
    let (from, to) = (UdpSocket::bind((LOCAL, 0))?, UdpSocket::bind((LOCAL, 0))?);
    let address = to.local_addr()?;
    let mut buffer = [0; 2_048];
    let task = fs::read_link("/proc/thread-self")?;
    let task = format!("/proc/{}", task.display());
    let before = cpu_ns(&task)?;
    for _ in 0..PLAIN_PACKETS {
        from.send_to(&[0x80; PACKET], address)?;
        to.recv_from(&mut buffer)?;
    }
    Ok(cpu_ns(&task)?.saturating_sub(before) / u64::from(PLAIN_PACKETS))
}

/// Nanoseconds that a thread has run: the first number of its schedstat.
fn cpu_ns(task: &str) -> Outcome<u64> {
    let text = fs::read_to_string(format!("{task}/schedstat"))?;
    Ok(text.split_whitespace().next().ok_or("no schedstat")?.parse()?)
}

fn task_named(name: &str) -> Outcome<String> {
    for entry in fs::read_dir("/proc/self/task")? {
        let path = entry?.path();
        if fs::read_to_string(path.join("comm"))?.trim() == name {
            return Ok(path.display().to_string());
        }
    }
    Err("no such thread".into())
}

/// A field of a proc file that is given in kB. The kernel's is of the whole machine.
fn field_kb(path: &str, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(path)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
    Ok(value.split_whitespace().next().ok_or("no number")?.parse()?)
}
