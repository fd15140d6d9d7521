//! An operator's call: the phone of the person who wants it is rung before the other side.

use super::hangup::refused_by;
use super::refusal::weight;
use super::*;
use crate::proto::sip::session::State;
use crate::switch::cause;

/// How long a test of a trunk listens after the answer.
const TEST_LISTENS: Duration = Duration::from_secs(3);

impl Call {
    /// Rings every device of the phone, with all that we speak.
    pub(super) fn ring_first(&mut self, now: Instant, out: &mut Vec<Output>) {
        let targets = self.groups.pop_front().unwrap_or_default();
        let (Some(ring), Media::Open(ports, _)) =
            (targets.iter().map(|target| target.ring_timeout).max(), &self.media)
        else {
            return self.fail(now, &cause::UNREACHABLE, None, HungUpBy::System, out);
        };
        let (rtp_port, rtcp_port) = (ports.rtp, ports.rtcp);
        self.ring_deadline = Some(now + ring);
        for target in targets {
            self.ring_one_first(now, (rtp_port, rtcp_port), target, out);
        }
    }

    fn ring_one_first(
        &mut self,
        now: Instant,
        (rtp_port, rtcp_port): (u16, u16),
        target: Target,
        out: &mut Vec<Output>,
    ) {
        let at = MediaAddress { ip: target.media_ip, rtp_port, rtcp_port };
        let id = self.tokens.next_u64();
        let mut negotiator = self.negotiator_for(id, &target);
        let body = negotiator.offer_to_peer(None, at);
        let label = match self.firsts.len() {
            0 => "a".to_owned(),
            others => format!("a{}", others + 1),
        };
        let mut leg = self.outgoing_leg(now, label, target, Some(body), out);
        leg.negotiator = negotiator;
        self.firsts.push(Some(leg));
    }

    /// A device could not be reached on one of its flows: it is rung on the next one, if it has another.
    fn ring_first_again(&mut self, now: Instant, index: usize, out: &mut Vec<Output>) -> bool {
        let Media::Open(ports, _) = &self.media else { return false };
        let ports = (ports.rtp, ports.rtcp);
        let Some(leg) = self.leg_mut(At::First(index)) else { return false };
        let Some(next) = leg.next_flow.take() else { return false };
        let label = leg.label.clone();
        self.note(now, &label, "leg.flow_failed", "the device is tried on its next flow");
        self.ring_one_first(now, ports, *next, out);
        true
    }

    /// A device rings; what it says of its audio counts already.
    pub(super) fn first_progress(
        &mut self,
        now: Instant,
        index: usize,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) {
        if let (Some(leg), Some(body)) = (self.leg_mut(At::First(index)), body) {
            // One that cannot be used is refused with the answer, which has to repeat it.
            let _ = leg.negotiator.answer_from_peer(body);
        }
        self.ringing(now, out);
    }

    /// A device answered: it is leg a from now on, the others stop, and the other side is rung.
    pub(super) fn first_answered(
        &mut self,
        now: Instant,
        index: usize,
        body: Option<&[u8]>,
        out: &mut Vec<Output>,
    ) {
        let elsewhere = || Some("SIP;cause=200;text=\"Call completed elsewhere\"".to_owned());
        if self.a.is_some() {
            // Two devices answered within the same moment.
            return self.on_session(now, At::First(index), out, |session, sip| {
                session.hang_up(487, elsewhere(), sip)
            });
        }
        self.a = self.firsts.get_mut(index).and_then(Option::take);
        let Some(leg) = &mut self.a else { return };
        let is_agreed = match body {
            Some(body) => leg.negotiator.answer_from_peer(body).is_ok(),
            None => leg.negotiator.is_agreed(),
        };
        let label = leg.label.clone();
        self.ring_deadline = None;
        self.refusal = None;
        self.note(now, &label, "leg.answered", "answered");
        for other in 0..self.firsts.len() {
            self.on_session(now, At::First(other), out, |session, sip| {
                session.hang_up(487, elsewhere(), sip)
            });
        }
        if !is_agreed {
            return self.fail(now, &cause::BAD_MEDIA_EXCHANGE, None, HungUpBy::System, out);
        }
        self.apply_media(At::A, out);
        if self.stay.is_some() {
            return self.visit(now, out);
        }
        if self.groups.is_empty() {
            // Nobody is to be rung behind it: the operator wants to know whether it answers, and what is heard.
            self.test_deadline = Some(now + TEST_LISTENS);
            return self.note(now, &label, "trunk.tested", "answered: listening for 3 s");
        }
        self.ring_next_group(now, out);
    }

    /// A device refused or is not there. The call ends when none is left; the refusal that tells most is its
    /// cause.
    pub(super) fn first_refused(
        &mut self,
        now: Instant,
        index: usize,
        status: u16,
        reason: &str,
        out: &mut Vec<Output>,
    ) {
        let cause = if status == 0 { &cause::UNREACHABLE } else { cause::from_status(status) };
        let label = self.leg(At::First(index)).map(|leg| leg.label.clone()).unwrap_or_default();
        self.note(now, &label, "leg.refused", format!("{status} {reason}: {}", cause.key));
        if self.a.is_some() || matches!(status, 0 | 430) && self.ring_first_again(now, index, out) {
            return;
        }
        let best =
            self.refusal.map(|(known, _)| known).filter(|known| weight(known) > weight(cause));
        let best = best.unwrap_or(cause);
        self.refusal = Some((best, 0));
        let rings = self.firsts.iter().flatten().any(|leg| leg.session.state() == State::Outgoing);
        if status < 600 && rings {
            return;
        }
        // The phone that was rung first is the caller's own.
        let by = match refused_by(best) {
            HungUpBy::Called => HungUpBy::Caller,
            other => other,
        };
        self.fail(now, best, None, by, out);
    }
}
