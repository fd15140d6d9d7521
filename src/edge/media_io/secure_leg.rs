//! What comes to a leg's ports beside its audio: connectivity checks, and the handshake that its keys come of.
//!
//! A leg that uses neither has nothing of this. Under ICE only an address that a check has come from is answered, so a
//! ClientHello from anywhere else costs nothing and changes nothing. Without ICE whoever has the certificate of the description is the
//! peer, so a handshake of somebody else is given up for it, and ends no call.

use std::net::SocketAddr;

use super::call::{Call, Leg, LegPlan, Side, Tally};
use super::dtls::{Association, Failure, Progress};
use super::event::{MediaEvent, Outbox};
use crate::proto::nat::ice::{Check, IceLite, IcePlan};
use crate::proto::nat::{Kind, Verdict};
use crate::proto::srtp::{Association as Agreed, Keys, Protection};
use crate::proto::time::Instant;

/// Datagrams of a handshake that are kept until the description is there that says whose it must be; a further one is
/// dropped, and sent again by the peer.
const EARLY_MAX: usize = 4;
/// Handshakes of one association that may break off before it is called off. A stranger has to know the ports and
/// send from where the peer is to end one.
const FAILURES_MAX: u8 = 8;
/// Handshakes with strangers that a leg without ICE takes up; from then on it answers the announced address alone.
const STRANGERS_MAX: u8 = 16;

/// A leg's checks and handshakes.
#[derive(Default)]
pub(super) struct Keying {
    /// The plan as it was asked for: what is in force waits for the keys.
    plan: Box<LegPlan>,
    ice: Option<IceLite>,
    /// The handshake of the association with this number, and whom it is with.
    handshake: Option<Handshake>,
    failures: u8,
    /// Handshakes that ended with somebody who was not the peer.
    strangers: u8,
    /// What came of it.
    done: Option<(u64, Box<Keys>)>,
    /// It has failed for good.
    given_up: Option<u64>,
    early: Vec<(SocketAddr, Vec<u8>)>,
}

struct Handshake {
    number: u64,
    association: Association,
    with: Option<SocketAddr>,
}

impl Leg {
    /// Takes what the plan says of checks and keys. Returns the plan as far as it is in force: without keys nothing flows.
    pub(super) fn take_keying(&mut self, now: Instant, plan: LegPlan) -> LegPlan {
        let is_checked = plan.ice.as_ref().is_some_and(|ice| !ice.is_peer_lite);
        self.latch.follow_checks(is_checked);
        self.rtcp_latch.follow(plan.is_rtcp_mux, is_checked);
        let Protection::Dtls(agreed) = &plan.protection else {
            // What came early waits for an answer that has not come.
            let is_pending = plan.protection == Protection::Pending;
            let known = self.keying.take().unwrap_or_default();
            let early = if is_pending { known.early } else { Vec::new() };
            if plan.ice.is_some() || !early.is_empty() {
                let mut keying = Keying { early, ice: known.ice, ..Keying::default() };
                keying.take_ice(plan.ice.clone());
                self.keying = Some(Box::new(keying));
            }
            return plan;
        };
        let keying = self.keying.get_or_insert_default();
        keying.take_ice(plan.ice.clone());
        keying.take_association(now, agreed);
        *keying.plan = plan;
        let (plan, keys) = (&keying.plan, keying.keys());
        let is_ready = keys.is_some();
        let protection = match keys {
            Some(keys) => Protection::Keyed(Box::new(keys)),
            None => Protection::Pending,
        };
        let (send, receive) = (plan.send && is_ready, plan.receive && is_ready);
        LegPlan { protection, send, receive, ..(**plan).clone() }
    }

    /// Answers a check.
    fn check(&mut self, source: SocketAddr, packet: &[u8], is_rtcp: bool) -> Option<SocketAddr> {
        let ice = self.keying.as_mut().and_then(|keying| keying.ice.as_mut());
        let mut answer = Vec::new();
        let check = ice.map_or(Check::Stranger, |ice| ice.check(packet, source, &mut answer));
        if !answer.is_empty() {
            let socket = if is_rtcp { &self.sockets.rtcp } else { &self.sockets.rtp };
            super::call::transmit(socket, &answer, source);
        }
        let Check::Valid { is_nominated } = check else {
            self.stats.dropped_checks += 1;
            return None;
        };
        if is_rtcp {
            self.rtcp_latch.checked(source, is_nominated);
            return None;
        }
        let found = self.latch.checked(source, is_nominated)?;
        let handshake = self.keying.as_mut().and_then(|keying| keying.handshake.as_mut());
        if let Some(with) = handshake.and_then(|known| known.with.as_mut()) {
            *with = found;
        }
        Some(found)
    }

    /// Begins what is ours to begin, once it is known where the peer is.
    fn begin_handshake(&mut self, now: Instant) -> Option<Told> {
        let destination = self.latch.destination()?;
        let handshake = self.keying.as_mut()?.handshake.as_mut()?;
        if !handshake.is_waiting_to_begin() {
            return None;
        }
        handshake.with = Some(destination);
        self.run_handshake(now, None)
    }

    /// Gives the handshake a datagram, or time.
    fn run_handshake(&mut self, now: Instant, packet: Option<&[u8]>) -> Option<Told> {
        let Self { keying, sockets, .. } = self;
        let handshake = keying.as_mut()?.handshake.as_mut()?;
        let to = handshake.with?;
        let mut send = |bytes: &[u8]| {
            super::call::transmit(&sockets.rtp, bytes, to);
        };
        let progress = match packet {
            Some(packet) => handshake.association.packet(now, packet, &mut send),
            None => handshake.association.handle_timeout(now, &mut send),
        };
        let number = handshake.number;
        match progress {
            Progress::Waiting => None,
            Progress::Keyed(keys) => {
                let keying = self.keying.as_mut()?;
                keying.done = Some((number, keys.clone()));
                let plan = LegPlan { rearm_latch: false, ..(*keying.plan).clone() };
                let moved = match self.latch.proved(now, to) {
                    Verdict::Moved(to) => Some(to),
                    Verdict::Accept | Verdict::Stranger => None,
                };
                Some(Told::Keyed { number, keys, plan: Box::new(plan), moved })
            }
            Progress::Failed(failure) => self.handshake_failed(now, to, failure),
        }
    }

    /// A handshake broke off. It is the call's end only if it was with the peer for certain, or happens again and again.
    fn handshake_failed(&mut self, now: Instant, with: SocketAddr, why: Failure) -> Option<Told> {
        let is_peer = match self.latch.announced() {
            _ if self.keying.as_ref().is_some_and(|keying| keying.ice.is_some()) => true,
            announced => announced == Some(with),
        };
        self.stats.dropped_handshake += 1;
        let keying = self.keying.as_mut()?;
        let Protection::Dtls(agreed) = keying.plan.protection.clone() else { return None };
        if keying.done.is_some() {
            // The keys are there and stay: who breaks the rest off changes nothing.
            keying.handshake = None;
            return None;
        }
        keying.failures = keying.failures.saturating_add(1);
        let is_final =
            why != Failure::Handshake || agreed.is_active || keying.failures >= FAILURES_MAX;
        if is_peer && is_final {
            keying.handshake = None;
            keying.given_up = Some(agreed.number);
            return Some(Told::Failed(why));
        }
        keying.strangers = keying.strangers.saturating_add(u8::from(!is_peer));
        keying.handshake = Handshake::new(now, &agreed);
        None
    }

    /// A datagram of a handshake.
    fn handshake_record(
        &mut self,
        now: Instant,
        source: SocketAddr,
        packet: &[u8],
    ) -> Option<Told> {
        let is_possible = self.latch.may_be_from(source);
        let may_be_early = !self.is_set || self.plan.protection == Protection::Pending;
        if may_be_early {
            let keying = self.keying.get_or_insert_default();
            let is_undecided = !matches!(keying.plan.protection, Protection::Dtls(_));
            if is_undecided && keying.early.len() < EARLY_MAX {
                keying.early.push((source, packet.to_vec()));
                return None;
            }
        }
        let Some(keying) = &mut self.keying else {
            self.stats.dropped_handshake += 1;
            return None;
        };
        let announced = self.latch.announced();
        let is_possible = is_possible
            && (keying.strangers < STRANGERS_MAX
                || keying.ice.is_some()
                || announced == Some(source));
        let Some(handshake) = keying.handshake.as_mut().filter(|_| is_possible) else {
            self.stats.dropped_handshake += 1;
            return None;
        };
        match handshake.with {
            Some(with) if with == source => {}
            // Who is where the description says goes before who is not, until there are keys.
            Some(_) if Some(source) == announced && keying.done.is_none() => {
                if let Protection::Dtls(agreed) = &keying.plan.protection
                    && !agreed.is_active
                    && let Some(anew) = Handshake::new(now, agreed)
                {
                    *handshake = anew;
                }
                handshake.with = Some(source);
            }
            // The peer's address may change under ICE while the handshake is under way.
            Some(_) if keying.ice.is_some() => handshake.with = Some(source),
            None if !handshake.is_active() => handshake.with = Some(source),
            _ => {
                self.stats.dropped_handshake += 1;
                return None;
            }
        }
        self.run_handshake(now, Some(packet))
    }

    /// When the handshake wants to be called.
    pub(super) fn keying_timeout(&self) -> Option<Instant> {
        let handshake = self.keying.as_ref()?.handshake.as_ref()?;
        handshake.with.and_then(|_| handshake.association.next_timeout())
    }
}

/// What the rest of the call is to know of a handshake.
pub(super) enum Told {
    Keyed { number: u64, keys: Box<Keys>, plan: Box<LegPlan>, moved: Option<SocketAddr> },
    Failed(Failure),
}

impl Handshake {
    fn new(now: Instant, agreed: &Agreed) -> Option<Self> {
        let association = Association::new(now, agreed.is_active, &agreed.fingerprints)?;
        Some(Self { number: agreed.number, association, with: None })
    }

    fn is_active(&self) -> bool {
        self.association.is_active()
    }

    fn is_waiting_to_begin(&self) -> bool {
        self.is_active() && self.with.is_none()
    }
}

impl Keying {
    fn take_ice(&mut self, plan: Option<IcePlan>) {
        match (&mut self.ice, plan) {
            (Some(ice), Some(plan)) => ice.set(plan),
            (ice, plan) => *ice = plan.map(IceLite::new),
        }
    }

    /// The association that is agreed on: a new one begins anew, the present one goes on.
    fn take_association(&mut self, now: Instant, agreed: &Agreed) {
        if let Some(keys) = &agreed.keys {
            self.done = Some((agreed.number, keys.clone()));
        }
        self.done = self.done.take().filter(|(number, _)| *number == agreed.number);
        let is_known = self.handshake.as_ref().is_some_and(|known| known.number == agreed.number);
        let is_over = self.done.is_some() || self.given_up == Some(agreed.number);
        if !is_known && !is_over {
            self.failures = 0;
            self.handshake = Handshake::new(now, agreed);
        }
    }

    fn keys(&self) -> Option<Keys> {
        self.done.as_ref().map(|(_, keys)| (**keys).clone())
    }
}

impl Call {
    /// A datagram that is no audio: a check or a part of a handshake.
    pub(super) fn keying(
        &mut self,
        now: Instant,
        side: Side,
        source: SocketAddr,
        (packet, kind, is_rtcp): (&[u8], Kind, bool),
        outbox: &mut Outbox,
        tally: &mut Tally,
    ) {
        let id = self.id;
        let leg = self.leg_mut(side);
        let drops = leg.stats.dropped_checks + leg.stats.dropped_handshake;
        let told = match kind {
            Kind::Stun => {
                if let Some(address) = leg.check(source, packet, is_rtcp) {
                    outbox.send(id, MediaEvent::Latched { side, address });
                    // What waited for a place to be sent to.
                    leg.say_next(now);
                    leg.go_on_with_music(now);
                }
                leg.begin_handshake(now)
            }
            // Reports that have a port of their own have no keys: nobody sends them so.
            Kind::Dtls if is_rtcp => {
                leg.stats.dropped_handshake += 1;
                None
            }
            _ => leg.handshake_record(now, source, packet),
        };
        tally.strangers += leg.stats.dropped_checks + leg.stats.dropped_handshake - drops;
        self.tell_keying(now, side, told, outbox);
    }

    /// Time has passed for a side's handshake, or its plan is another one.
    pub(super) fn go_on_keying(&mut self, now: Instant, side: Side, outbox: &mut Outbox) {
        let leg = self.leg_mut(side);
        if leg.keying.is_none() {
            return;
        }
        let begun = leg.begin_handshake(now);
        self.tell_keying(now, side, begun, outbox);
        let leg = self.leg_mut(side);
        let is_decided = leg.keying.as_ref().is_some_and(|known| known.handshake.is_some());
        let early = leg.keying.as_mut().filter(|_| is_decided);
        let early = early.map(|keying| std::mem::take(&mut keying.early)).unwrap_or_default();
        for (source, packet) in early {
            let told = self.leg_mut(side).handshake_record(now, source, &packet);
            self.tell_keying(now, side, told, outbox);
        }
        let leg = self.leg_mut(side);
        if leg.keying_timeout().is_some_and(|at| at <= now) {
            let told = leg.run_handshake(now, None);
            self.tell_keying(now, side, told, outbox);
        }
    }

    fn tell_keying(&mut self, now: Instant, side: Side, told: Option<Told>, outbox: &mut Outbox) {
        match told {
            None => {}
            Some(Told::Keyed { number, keys, plan, moved }) => {
                self.set_leg(now, side, *plan);
                outbox.send(self.id, MediaEvent::Keyed { side, number, keys });
                if let Some(address) = moved {
                    outbox.send(self.id, MediaEvent::Latched { side, address });
                }
            }
            Some(Told::Failed(why)) => {
                let why = match why {
                    Failure::Certificate => {
                        "its certificate is not the one that its description names"
                    }
                    Failure::Profile => "it has no way to encrypt audio that we have",
                    Failure::Handshake => "the DTLS handshake broke off, or was not answered",
                };
                outbox.send(self.id, MediaEvent::NotKeyed { side, why });
            }
        }
    }
}
