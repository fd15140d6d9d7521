//! One call's media: two sides, and the way of a packet from one to the other.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::event::{MediaEvent, Outbox};
use super::fax::FaxEar;
use super::guard::open_rtp;
use super::keys::Keys;
use super::listeners::Listeners;
use super::player::{Beep, Player};
use super::port_pool::Random;
use super::report::SAMPLED_EVERY;
use super::saying::Saying;
use super::seat::Seat;
use super::secure_leg::Keying;
use super::socket::SocketPair;
use super::stats::{CallStats, Connected, LegStats, Since};
use crate::edge::recording::Tap;
use crate::edge::sounds::Clips;
use crate::proto::audio::Codec;
use crate::proto::nat::ice::IcePlan;
use crate::proto::nat::{Latch, RtcpLatch, Verdict};
use crate::proto::rtp::rtcp::Reporter;
use crate::proto::rtp::{
    Arrival, Carried, Converter, Fate, Header, Incoming, Listening, OutgoingStream, PacketTime,
    PayloadMap, Reception, Repacketiser, Ssrc, is_rtcp,
};
use crate::proto::sdp::{FaxPlan, Format, StreamPlan};
use crate::proto::srtp::{GuardedLeg, Protection};
use crate::proto::time::Instant;

/// One of the two sides of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The calling side.
    A,
    /// The called side.
    B,
}

impl Side {
    /// The one across.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// What a side may send and receive, and where its peer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegPlan {
    /// Where RTP goes; `None` until it is learned or announced.
    pub remote_rtp: Option<SocketAddr>,
    /// Where RTCP goes.
    pub remote_rtcp: Option<SocketAddr>,
    /// We may send to the peer.
    pub send: bool,
    /// The peer may send to us.
    pub receive: bool,
    /// The peer holds the call, and need not send what it may.
    pub is_holding: bool,
    /// What the peer takes, under its numbers.
    pub send_formats: Vec<Format>,
    /// What the peer may send, under our numbers.
    pub receive_formats: Vec<Format>,
    /// No digit is to be made a tone for the peer.
    pub is_toneless: bool,
    /// How long the peer wants the packets that we send it.
    pub packet_time: PacketTime,
    /// The address may be learned anew: after an offer or answer of the peer.
    pub rearm_latch: bool,
    /// How packets are protected, both ways.
    pub protection: Protection,
    /// The peer shows by checks where it is.
    pub ice: Option<IcePlan>,
    /// Reports share the port of the audio.
    pub is_rtcp_mux: bool,
    /// What comes and goes is fax, and no audio.
    pub fax: Option<FaxPlan>,
}

impl LegPlan {
    /// From what the leg has negotiated.
    #[must_use]
    pub fn of(plan: &StreamPlan, rearm_latch: bool) -> Self {
        let is_ready = plan.protection != Protection::Pending;
        Self {
            remote_rtp: plan.remote_rtp,
            remote_rtcp: plan.remote_rtcp,
            send: plan.send && is_ready,
            receive: plan.receive && is_ready,
            is_holding: plan.is_holding,
            is_toneless: plan.is_toneless,
            send_formats: plan.send_formats.clone(),
            receive_formats: plan.receive_formats.clone(),
            packet_time: PacketTime { ptime_ms: plan.ptime_ms, maxptime_ms: plan.maxptime_ms },
            rearm_latch,
            protection: plan.protection.clone(),
            ice: plan.ice.clone(),
            is_rtcp_mux: plan.is_rtcp_mux,
            fax: plan.fax,
        }
    }
}

/// How long a side may be silent before it is called dead. RTCP counts as life,
/// so a phone that sends nothing in a pause is not hung up on. Zero is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadAfter {
    /// While the side may send.
    pub talk: Duration,
    /// While it may not: on hold.
    pub hold: Duration,
}

pub(super) struct Call {
    pub(super) id: u64,
    pub(super) a: Leg,
    pub(super) b: Leg,
    limits: Option<DeadAfter>,
    pub(super) connected: Option<Box<Since>>,
    pub(super) tap: Listeners,
    beep: Option<Beep>,
}

/// One side with its sockets.
pub(super) struct Leg {
    pub(super) sockets: SocketPair,
    pub(super) plan: LegPlan,
    pub(super) is_set: bool,
    /// From this side's numbers to the other's.
    map: PayloadMap,
    /// Which of this side's numbers are codecs that can be decoded.
    pub(super) voices: Vec<(u8, Codec)>,
    pub(super) guard: GuardedLeg,
    /// Checks and handshakes, if there are any.
    pub(super) keying: Option<Box<Keying>>,
    pub(super) latch: Latch,
    pub(super) rtcp_latch: RtcpLatch,
    pub(super) reception: Reception,
    pub(super) listening: Listening,
    pub(super) reporter: Reporter,
    /// The number of the codec that the peer spoke last.
    pub(super) spoken: Option<u8>,
    /// What this side's peer hears.
    pub(super) outgoing: OutgoingStream,
    pub(super) repacketiser: Repacketiser,
    /// Makes what this side's peer hears of what it does not speak.
    pub(super) converter: Option<Box<Converter>>,
    /// What this side's peer hears for as long as it is on hold.
    pub(super) music: Option<Clips>,
    /// What this side's peer hears instead of the far side.
    pub(super) player: Option<Player>,
    /// Music that goes on when that is over, and what waits to be said.
    pub(super) resting: Option<Player>,
    pub(super) saying: Saying,
    /// Digits that its peer is to be brought by us.
    pub(super) keys: Option<Box<Keys>>,
    /// Its place in a room, if it is not connected with the other side.
    pub(super) seat: Option<Box<Seat>>,
    /// When the worker will look at the repacketiser and the player next.
    wakes_at: Option<Instant>,
    pub(super) stats: LegStats,
    is_heard: bool,
    /// What it listens for while the call is young.
    pub(super) ear: FaxEar,
    /// When it went over to fax last.
    pub(super) fax_since: Instant,
    /// The last sign of life, or when the plan or the limits were set.
    alive_at: Instant,
    is_dead: bool,
}

/// Which of the audio that waits is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Due,
    All,
}

/// Totals of a worker that a packet adds to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) relayed: u64,
    pub(super) dropped: u64,
    pub(super) strangers: u64,
    pub(super) unauthentic: u64,
}

impl Leg {
    pub(super) fn new(sockets: SocketPair, random: &mut Random) -> Self {
        // In the lower half, so that an SRTP receiver that misses the first packets is not a round behind (RFC 4568 §6.4).
        let first = random.next_u16() >> 1;
        let outgoing = OutgoingStream::new(Ssrc(random.next_u32()), first, random.next_u32());
        Self {
            sockets,
            plan: LegPlan::default(),
            is_set: false,
            map: PayloadMap::default(),
            voices: Vec::new(),
            guard: GuardedLeg::default(),
            keying: None,
            latch: Latch::default(),
            rtcp_latch: RtcpLatch::default(),
            reception: Reception::default(),
            listening: Listening::default(),
            reporter: Reporter::new(random.next_u32()),
            spoken: None,
            outgoing,
            repacketiser: Repacketiser::default(),
            converter: None,
            music: None,
            player: None,
            resting: None,
            saying: Saying::default(),
            keys: None,
            seat: None,
            wakes_at: None,
            stats: LegStats::default(),
            is_heard: false,
            ear: FaxEar::default(),
            fax_since: Instant::START,
            alive_at: Instant::START,
            is_dead: false,
        }
    }

    fn set(&mut self, now: Instant, plan: LegPlan) {
        let plan = self.take_keying(now, plan);
        let is_elsewhere = plan.remote_rtp.is_some() && plan.remote_rtp != self.plan.remote_rtp;
        if plan.rearm_latch || is_elsewhere || !self.is_set {
            self.latch.arm(now, plan.remote_rtp);
        }
        self.rtcp_latch.arm(plan.remote_rtcp);
        let voice = |format: &Format| {
            let codec = Codec::of(&format.name, format.clock_rate, format.channels)?;
            Some((format.payload_type, codec))
        };
        self.voices = plan.receive_formats.iter().filter_map(voice).collect();
        // Digits that are under way are in a form that was agreed on before.
        self.keys = self.keys.take().filter(|_| plan.send_formats == self.plan.send_formats);
        if self.guard.set(&plan.protection) {
            self.outgoing.begin_under_new_key();
        }
        self.latch.vouch(!self.guard.is_clear());
        if plan.fax.is_some() && self.plan.fax.is_none() {
            self.fax_since = now;
        }
        self.plan = plan;
        self.is_set = true;
        self.go_on_playing(now);
        self.seen(now);
    }

    /// Sends what waits to be joined or paced. What a peer on hold was to hear is
    /// forgotten.
    pub(super) fn send_waiting(&mut self, now: Instant, what: Waiting) {
        let Some(destination) = self.latch.destination().filter(|_| self.plan.send) else {
            return self.repacketiser.clear();
        };
        let Self { repacketiser, outgoing, stats, sockets, guard, .. } = self;
        let mut send = |bytes: &[u8]| send_rtp(&sockets.rtp, guard, bytes, destination, stats);
        match what {
            Waiting::All => repacketiser.flush(now, outgoing, &mut send),
            Waiting::Due => repacketiser.handle_timeout(now, outgoing, &mut send),
        }
    }

    pub(super) const fn is_set(&self) -> bool {
        self.is_set
    }

    /// A packet of the peer's went on; `true` for the first one.
    pub(super) const fn becomes_heard(&mut self) -> bool {
        !std::mem::replace(&mut self.is_heard, true)
    }

    pub(super) fn seen(&mut self, now: Instant) {
        self.alive_at = now;
        self.is_dead = false;
    }
}

impl Call {
    pub(super) fn new(id: u64, a: Leg, b: Leg) -> Self {
        Self { id, a, b, limits: None, connected: None, tap: Listeners::default(), beep: None }
    }

    pub(super) fn set_tap(&mut self, now: Instant, tap: Box<Tap>, beep: Option<Duration>) {
        self.tap.recorder = Some(tap);
        self.beep = beep.map(|every| Beep::new(every, now));
    }

    /// To be called a few times a second.
    pub(super) fn tick_tap(&mut self, now: Instant, outbox: &mut Outbox) {
        self.tap.tick(now);
        let Some(tap) = &mut self.tap.recorder else { return };
        if tap.has_failed() {
            // Nobody hears a beep for what is not recorded, and the call is told.
            (self.tap.recorder, self.beep) = (None, None);
            return outbox.send(self.id, MediaEvent::NotRecorded);
        }
        tap.tick(now);
        if let Some(beep) = &mut self.beep
            && !tap.is_paused()
            && let Some(clips) = beep.due(now)
        {
            self.a.beep(now, &clips);
            self.b.beep(now, &clips);
        }
    }

    pub(super) fn leg_mut(&mut self, side: Side) -> &mut Leg {
        self.way(side).0
    }

    pub(super) fn leg(&self, side: Side) -> &Leg {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    /// The side that a packet comes from, and the one that it goes to.
    pub(super) fn way(&mut self, from: Side) -> (&mut Leg, &mut Leg) {
        match from {
            Side::A => (&mut self.a, &mut self.b),
            Side::B => (&mut self.b, &mut self.a),
        }
    }

    pub(super) fn stats(&self, now: Instant) -> CallStats {
        let connected = self.connected.as_ref().map(|since| Connected {
            ago: now.since(since.at),
            a: since.a,
            b: since.b,
        });
        CallStats { a: self.a.stats(), b: self.b.stats(), connected }
    }

    pub(super) fn set_leg(&mut self, now: Instant, side: Side, plan: LegPlan) {
        // What was taken in under the old plans goes by them.
        self.a.send_waiting(now, Waiting::All);
        self.b.send_waiting(now, Waiting::All);
        self.way(side).0.set(now, plan);
        for from in [Side::A, Side::B] {
            let (from, to) = self.way(from);
            let (receive, send) = (&from.plan.receive_formats, &to.plan.send_formats);
            from.map = PayloadMap::between(receive, send, to.plan.packet_time);
            let converts = |known: &Converter| from.map.converts(known.conversion());
            to.converter = to.converter.take().filter(|converter| converts(converter));
        }
    }

    /// When the stream to a side needs the worker, if that is sooner than the worker
    /// has been told already.
    pub(super) fn new_wake(&mut self, side: Side) -> Option<Instant> {
        let (leg, _) = self.way(side);
        let playing = leg.player.as_ref().map(|player| player.next_at);
        let converting = leg.converter.as_ref().and_then(|converter| converter.next_timeout());
        let pressed = leg.keys.as_ref().and_then(|keys| keys.next_timeout());
        let keying = leg.keying_timeout();
        let others = playing.into_iter().chain(converting).chain(pressed).chain(keying);
        let at = leg.repacketiser.next_timeout().into_iter().chain(others).min()?;
        if leg.wakes_at.is_some_and(|known| known <= at) {
            return None;
        }
        leg.wakes_at = Some(at);
        Some(at)
    }

    /// The worker is awake for the stream to a side.
    pub(super) fn wake(&mut self, now: Instant, side: Side) {
        let (leg, _) = self.way(side);
        // Of several wishes the earliest counts; later ones find nothing to do.
        leg.wakes_at = leg.wakes_at.filter(|at| *at > now);
        leg.send_waiting(now, Waiting::Due);
        leg.keys_on(now);
        leg.play_on(now);
        leg.convert_on(now);
    }

    pub(super) fn set_dead_after(&mut self, now: Instant, limits: DeadAfter) {
        self.limits = Some(limits);
        // The limits come when both sides are connected, and again when one of them is another one.
        // It is fax if that party is one.
        (self.a.ear, self.b.ear) = (FaxEar::since(now), FaxEar::since(now));
        let since = Since { at: now, a: self.a.stats, b: self.b.stats, is_reviewed: false };
        self.connected = Some(Box::new(since));
        self.a.seen(now);
        self.b.seen(now);
    }

    /// Reports the sides that have been silent for too long.
    pub(super) fn check_silence(&mut self, now: Instant, outbox: &mut Outbox) {
        let Some(limits) = self.limits else { return };
        let id = self.id;
        for side in [Side::A, Side::B] {
            let (leg, _) = self.way(side);
            let is_to_speak = leg.plan.receive && !leg.plan.is_holding;
            let limit = if is_to_speak { limits.talk } else { limits.hold };
            let silent_for = now.since(leg.alive_at);
            let is_too_long = !limit.is_zero() && silent_for > limit;
            if leg.is_set && !leg.is_dead && is_too_long {
                leg.is_dead = true;
                outbox.send(id, MediaEvent::Dead { side, silent_for });
            }
        }
    }

    /// Relays one datagram of an RTP socket.
    pub(super) fn rtp(
        &mut self,
        now: Instant,
        side: Side,
        source: SocketAddr,
        packet: &mut [u8],
        outbox: &mut Outbox,
        tally: &mut Tally,
    ) {
        let id = self.id;
        let Self { a, b, tap, .. } = self;
        let (from, to) = match side {
            Side::A => (a, b),
            Side::B => (b, a),
        };
        let Some(header) = Header::read(packet) else {
            from.stats.dropped_malformed += 1;
            tally.dropped += 1;
            return;
        };
        // Nothing else looks at a packet that is not the peer's: neither the latch nor the figures.
        let Some(packet) = open_rtp(&mut from.guard, packet, &mut from.stats) else {
            tally.unauthentic += 1;
            return;
        };
        match from.latch.packet(now, source, &header) {
            Verdict::Accept => {}
            Verdict::Moved(address) => outbox.send(id, MediaEvent::Latched { side, address }),
            Verdict::Stranger => {
                from.stats.dropped_stranger += 1;
                from.stats.stranger = Some(source);
                tally.strangers += 1;
                return;
            }
        }
        from.seen(now);
        from.stats.packets_in += 1;
        from.stats.bytes_in += packet.len() as u64;
        from.stats.first_packet_at.get_or_insert(now);
        from.stats.last_packet_at = Some(now);
        let is_relayed = relay(now, (from, to), &header, packet, (side, tap));
        if let Some(tone) = from.ear.heard.take() {
            outbox.send(id, MediaEvent::Fax { side, tone });
            from.spare_fax(now);
            to.spare_fax(now);
        }
        if is_relayed {
            tally.relayed += 1;
            from.stats.passed += 1;
            if from.becomes_heard() {
                outbox.send(id, MediaEvent::Heard { side });
            }
        } else {
            tally.dropped += 1;
        }
    }
}

/// Sends an accepted packet across if both sides allow it; `false` if not.
fn relay(
    now: Instant,
    (from, to): (&mut Leg, &mut Leg),
    header: &Header,
    packet: &mut [u8],
    (side, tap): (Side, &mut Listeners),
) -> bool {
    let carried = from.map.get(header.payload_type);
    let clock_rate = carried.map_or(8_000, |carried| carried.clock_rate);
    let arrival = from.reception.packet(now, header, clock_rate);
    match arrival {
        // A duplicate is counted by the reception; the peer needs it once.
        Arrival::Duplicate | Arrival::Probation => return false,
        Arrival::Jump => {
            from.stats.dropped_malformed += 1;
            return false;
        }
        Arrival::Newer { .. } | Arrival::Late | Arrival::Restarted => {}
    }
    if from.seat.is_some() && from.plan.receive {
        let is_covered = to.player.as_ref().is_some_and(Player::is_looped);
        return from.enter(now, (header, packet), carried, (side, tap), is_covered);
    }
    let destination = to.latch.destination().filter(|_| from.plan.receive && to.plan.send);
    let Some(destination) = destination.filter(|_| to.seat.is_none()) else {
        from.stats.dropped_direction += 1;
        return false;
    };
    if let Some(carried) = carried
        && to.needs_keys_of(&carried)
    {
        to.read_key(now, header, packet, carried.clock_rate);
        return true;
    }
    let is_taken = |carried: Carried| carried.to.is_some() || to.converts(&carried);
    if !carried.is_some_and(is_taken) {
        from.stats.dropped_payload_type += 1;
        return false;
    }
    if carried.is_some_and(|carried| carried.is_speech) {
        from.spoken = Some(header.payload_type);
        if from.stats.packets_in.is_multiple_of(SAMPLED_EVERY) {
            from.sample(header, packet);
        }
        from.listen_for_fax(now, header, packet);
    }
    let is_covered = to.player.as_ref().is_some_and(Player::is_looped);
    if !is_covered {
        // What is said into a hold is heard by nobody.
        from.record(now, side, header, packet, tap);
    }
    if to.player.is_some() || to.keys.as_ref().is_some_and(|keys| keys.is_muted()) {
        // Its peer hears something else for now.
        return true;
    }
    if let Some(carried) = carried
        && to.converts(&carried)
    {
        to.convert(now, header, packet, &carried);
        return true;
    }
    to.converter = None;
    let Some(payload_type) = carried.and_then(|carried| carried.to) else { return false };
    let packing = carried.and_then(|carried| carried.packing).filter(|_| !to.ear.is_fax);
    let incoming = Incoming { header: *header, arrival, payload_type, clock_rate, packing };
    let Leg { repacketiser, outgoing, stats, sockets, guard, .. } = to;
    let mut send = |bytes: &[u8]| send_rtp(&sockets.rtp, guard, bytes, destination, stats);
    match repacketiser.packet(now, &incoming, packet, outgoing, &mut send) {
        Fate::Relayed => true,
        Fate::NotSent => false,
        Fate::TooLate => {
            from.stats.dropped_late += 1;
            false
        }
    }
}

pub(super) fn send_rtp(
    socket: &UdpSocket,
    guard: &mut GuardedLeg,
    packet: &[u8],
    to: SocketAddr,
    stats: &mut LegStats,
) -> bool {
    if !guard.seal_rtp(packet).is_some_and(|sealed| transmit(socket, sealed, to)) {
        stats.send_failed += 1;
        return false;
    }
    stats.packets_out += 1;
    stats.bytes_out += packet.len() as u64;
    true
}

pub(super) fn transmit(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) -> bool {
    socket.send_to(bytes, to).is_ok()
}

/// Whether a datagram on the RTP port is a report that the peer multiplexes
/// although we did not agree to it (RFC 5761 §5.1.1). It is read as one.
pub(super) fn is_multiplexed(packet: &[u8]) -> bool {
    is_rtcp(packet)
}
