//! From the INVITE to the answer: opening ports and ringing the targets.

use super::hangup::refused_by;
use super::protect::cause_of;
use super::*;
use crate::proto::sdp::{Extras, Negotiator, SdpRefusal};
use crate::proto::sip::session::{Invite, State};
use crate::switch::cause;
use crate::switch::cdr::record::{Direction, SegmentKind};

/// How long the answer to a service code lasts: as long as a display needs to be read.
const SERVED_FOR: Duration = Duration::from_secs(2);

impl Call {
    pub(super) fn setup(
        &mut self,
        now: Instant,
        incoming: Option<Incoming>,
        plan: Result<Plan, &'static Cause>,
        first: Option<Vec<Target>>,
        out: &mut Vec<Output>,
    ) {
        let began = &self.began;
        let text = format!("{} calls {} ({})", began.caller, began.called, began.direction.word());
        let mut fields = vec![
            ("direction", began.direction.word().to_owned()),
            ("caller", began.caller.clone()),
            ("called", began.called.clone()),
            ("trunk", began.trunk.clone()),
        ];
        if began.is_withheld {
            fields.push(("withheld", "true".to_owned()));
        }
        self.note(now, "", "call.began", text);
        self.event("call.began", fields, out);
        if let Some(incoming) = incoming {
            self.add_caller(now, incoming, out);
        }
        match plan {
            Ok(plan) => {
                self.note(now, "", "route.matched", plan.because);
                self.groups = plan.groups;
                self.stay = plan.visit.map(room::Stay::new);
            }
            Err(cause) => return self.fail_and_settle(now, cause, out),
        }
        if self.phase != Phase::Setup || !self.read_callers_offer(now, out) {
            return self.settle(now, out);
        }
        // An operator's call rings the phone of the person who wants it first.
        if let Some(first) = first {
            self.groups.push_front(first);
        }
        self.media = Media::Opening;
        let (a, b) = self.media_bind;
        out.push(Output::Media(MediaOp::Open { a, b }));
    }

    fn fail_and_settle(&mut self, now: Instant, cause: &'static Cause, out: &mut Vec<Output>) {
        self.fail(now, cause, None, refused_by(cause), out);
        self.settle(now, out);
    }

    fn add_caller(&mut self, now: Instant, incoming: Incoming, out: &mut Vec<Output>) {
        let Incoming { server, request, flow, tag, contact, media_ip } = incoming;
        // What stands behind `line=` in our Contact at a carrier makes whoever knows it that carrier.
        let uri = request.uri();
        let uri = uri.split_once(";line=").map_or(uri, |(before, _)| before);
        self.note(now, "a", "sip.in", format!("INVITE {uri} from {flow}"));
        let setting = self.setting(contact, &self.origin, self.ids_of_caller());
        let session = Session::incoming(setting, self.tokens.fork(), server, request, flow, tag);
        out.push(Output::Listen {
            call_id: session.call_id().to_owned(),
            tag: session.local_tag().to_owned(),
            peer: self.origin.clone(),
            source: Some(flow.remote.ip()),
        });
        let (party, is_trunk) = match &self.origin {
            Origin::Phone(extension) | Origin::Operator(extension) => (extension.clone(), false),
            Origin::Trunk(name) => (name.clone(), true),
        };
        let (shown, id) = (self.caller.clone(), self.tokens.next_u64());
        let mut leg = Leg::new("a".into(), party, is_trunk, shown, session, id, media_ip);
        let origin = self.origin.clone();
        self.secure(&mut leg.negotiator, &origin, flow.transport);
        leg.is_asserted = true;
        leg.negotiator.convert(self.extras_for(leg.is_trunk));
        leg.signalling = Some(flow.remote);
        leg.invite = Some(server);
        self.a = Some(leg);
    }

    /// Reads the offer in the caller's INVITE; false if the call failed over it.
    fn read_callers_offer(&mut self, now: Instant, out: &mut Vec<Output>) -> bool {
        let Some(leg) = &mut self.a else { return true };
        let offer =
            leg.session.open_request().and_then(|request| request.sdp().map(<[u8]>::to_vec));
        let Some(offer) = offer else {
            self.is_late = true;
            return true;
        };
        match leg.negotiator.offer_from_peer(&offer) {
            Ok(_) => true,
            Err(refusal) => {
                self.note(now, "a", "media.refused", refusal.to_string());
                self.refuse_media(now, refusal, out);
                false
            }
        }
    }

    pub(super) fn refuse_media(
        &mut self,
        now: Instant,
        refusal: SdpRefusal,
        out: &mut Vec<Output>,
    ) {
        let headers = [warning(refusal)];
        let status = refusal.status();
        self.on_session(now, At::A, out, |session, sip| {
            session.reject(
                status,
                crate::proto::sip::message::build::reason_phrase(status),
                &headers,
                sip,
            );
        });
        let cause = cause_of(refusal, &cause::NO_COMMON_CODEC);
        self.fail(now, cause, None, HungUpBy::System, out);
    }

    pub(super) fn media_opened(&mut self, now: Instant, a: Ports, b: Ports, out: &mut Vec<Output>) {
        if self.phase == Phase::Closing || self.phase == Phase::Over {
            // The call was over before its ports were there.
            if self.media == Media::Opening {
                out.push(Output::Media(MediaOp::Close));
                self.media = Media::Closing;
            }
            return;
        }
        self.media = Media::Open(a, b);
        if self.a.is_none() {
            return self.ring_first(now, out);
        }
        self.apply_media(At::A, out);
        if self.is_service {
            return self.serve(now, out);
        }
        if self.stay.is_some() {
            return self.visit(now, out);
        }
        self.ring_next_group(now, out);
    }

    /// A service code did what it does: the phone hears that by an answer, and is let go.
    fn serve(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.answer_caller(now, out) {
            Ok(()) => {
                self.apply_media(At::A, out);
                self.test_deadline = Some(now + SERVED_FOR);
            }
            Err(refusal) => self.refuse_media(now, refusal, out),
        }
    }

    /// Rings the next group, or fails with the best refusal when there is none.
    pub(super) fn ring_next_group(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(group) = self.groups.pop_front() else {
            if self.goes_elsewhere(now, "", out) {
                return;
            }
            let (cause, status) = self.refusal.take().unwrap_or((&cause::UNREACHABLE, 0));
            let status = (status != 0).then_some(status);
            return self.give_up(now, cause, status, refused_by(cause), out);
        };
        let ring = group.iter().map(|target| target.ring_timeout).max().unwrap_or_default();
        self.ring_deadline = Some(now + ring);
        self.try_deadline =
            group.iter().filter_map(|target| target.try_timeout).max().map(|span| now + span);
        for target in group {
            self.ring(now, target, out);
        }
    }

    pub(super) fn ring(&mut self, now: Instant, target: Target, out: &mut Vec<Output>) {
        let label = format!("b{}", self.branches.len() + 1);
        let session_id = self.tokens.next_u64();
        let Media::Open(a, b) = &self.media else { return };
        let ports = if self.side_of(At::B(0)) == Side::B { b } else { a };
        let at = MediaAddress { ip: target.media_ip, rtp_port: ports.rtp, rtcp_port: ports.rtcp };
        let mut negotiator = self.negotiator_for(session_id, &target);
        let far = self.offer_of_who_stays();
        let is_late = self.is_late && self.transfer.is_none();
        let body = (!is_late).then(|| negotiator.offer_to_peer(far.as_ref(), at));
        let mut leg = self.outgoing_leg(now, label, target, body, out);
        leg.negotiator = negotiator;
        self.branches.push(leg);
    }

    /// What a leg may be offered that the other side does not speak: a carrier G.711 alone, which is what carriers take.
    pub(super) fn extras_for(&self, is_trunk: bool) -> Extras {
        match (self.snapshot.media.converts, is_trunk) {
            (false, _) => Extras::None,
            (true, true) => Extras::Telephone,
            (true, false) => Extras::All,
        }
    }

    /// The description's side of a leg that is about to be rung.
    pub(super) fn negotiator_for(&mut self, id: u64, target: &Target) -> Negotiator {
        let mut negotiator = Negotiator::new(id);
        self.secure(&mut negotiator, &target.peer(), target.dest.transport());
        let trunk = self.snapshot.trunk(&target.party).filter(|_| target.is_trunk);
        negotiator.convert(self.extras_for(target.is_trunk));
        negotiator.offer_only(trunk.map_or(&[][..], |trunk| &trunk.dialect.codecs));
        negotiator
    }

    /// Sends an INVITE and makes the leg that waits for its answer.
    pub(super) fn outgoing_leg(
        &mut self,
        now: Instant,
        label: String,
        target: Target,
        body: Option<Vec<u8>>,
        out: &mut Vec<Output>,
    ) -> Leg {
        self.note(now, &label, "leg.ring", format!("{} at {}", target.party, target.dest));
        let peer = target.peer();
        let ids = if self.a.is_none() { self.ids_of_caller() } else { self.ids_of_called() };
        let mut setting = self.setting(target.contact, &peer, ids);
        if body.is_none() && !self.a.as_ref().is_some_and(|leg| leg.session.is_reliable()) {
            // Its early offer would need an answer that the caller cannot give.
            setting.reliable = session::Reliable::No;
        }
        let place = target.dest.address();
        let source = place.map(|address| address.ip());
        let invite = Invite {
            uri: target.uri,
            routes: target.routes,
            from: target.from,
            to: target.to,
            max_forwards: self.max_forwards,
            headers: target.headers,
            body,
            location: target.location,
            dest: target.dest,
            credentials: target.credentials,
        };
        let mut sip = Vec::new();
        let session = Session::outgoing(setting, self.tokens.fork(), invite, &mut sip);
        let shown = self.who_is(&peer);
        out.push(Output::Listen {
            call_id: session.call_id().to_owned(),
            tag: session.local_tag().to_owned(),
            peer,
            source,
        });
        let mut leg = Leg::new(
            label,
            target.party,
            target.is_trunk,
            shown,
            session,
            self.tokens.next_u64(),
            target.media_ip,
        );
        (leg.place, leg.is_counted) = (place, false);
        leg.next_flow = target.next_flow;
        leg.forwards = target.forwards;
        for item in sip {
            if let session::Out::Send { client, dest, method, request } = item {
                self.note(now, &leg.label, "sip.out", format!("{method} to {dest}"));
                leg.remember(client, &method);
                leg.signalling = dest.address();
                out.push(Output::Send { client, dest, method, request });
            }
        }
        leg
    }

    /// A branch rings or sends early media; with a body it says whether that is its offer.
    pub(super) fn progress(
        &mut self,
        now: Instant,
        index: usize,
        status: u16,
        body: Option<(&[u8], bool)>,
        out: &mut Vec<Output>,
    ) {
        let is_setup = self.transfer.is_none();
        let is_first = self.branches.iter().all(|leg| !leg.has_answered_anything);
        let Some(leg) = self.branches.get_mut(index) else { return };
        leg.has_answered_anything = true;
        self.try_deadline = None;
        if leg.is_trunk && is_setup {
            self.trunk_used = Some(leg.party.clone());
        }
        if matches!(status, 180 | 183) {
            self.ringing(now, out);
        }
        let early = match body {
            Some((body, true)) => self.branch_offered(now, index, body, out),
            Some((body, false)) => self.early_media(now, index, body, out),
            None => None,
        };
        if early.is_some() || is_first || status == 180 {
            let early = early.or_else(|| self.own_early_offer());
            if is_setup {
                self.tell(At::A, At::B(index));
            }
            self.on_session(now, At::A, out, |session, sip| {
                session.progress(now, status, early.as_deref(), sip)
            });
        }
    }

    /// Takes a branch's early description; gives the body for the caller.
    fn early_media(
        &mut self,
        now: Instant,
        index: usize,
        body: &[u8],
        out: &mut Vec<Output>,
    ) -> Option<Vec<u8>> {
        if self.transfer.is_some() {
            self.early_transfer(index, body, out);
            return None;
        }
        if self.is_late {
            // An offer in an unreliable response is none (RFC 3261 §13.2.1): it comes again in the 2xx.
            return None;
        }
        let at = self.media_address(At::A)?;
        let leg = self.branches.get_mut(index)?;
        let answer = match leg.negotiator.answer_from_peer(body) {
            Ok(answer) => answer,
            Err(refusal) => {
                let label = leg.label.clone();
                self.note(now, &label, "media.refused", refusal.to_string());
                return None;
            }
        };
        let caller = self.a.as_mut()?;
        if caller.session.has_early_sdp() {
            // It has an answer that stands; what another branch says is heard as far as that goes.
            self.apply_media(At::B(index), out);
            return None;
        }
        let early = caller.negotiator.answer_to_peer(&answer.sdp, at).ok()?;
        self.note(now, "a", "media.early", "early media");
        self.apply_media(At::A, out);
        self.apply_media(At::B(index), out);
        Some(early)
    }

    pub(super) fn ringing(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.phase == Phase::Setup {
            self.phase = Phase::Ringing;
            self.segments.change(self.elapsed(now), SegmentKind::Ring);
            self.note(now, "", "call.ringing", "ringing");
            self.event("call.ringing", Vec::new(), out);
        }
    }

    pub(super) fn located(
        &mut self,
        now: Instant,
        plan: Result<Plan, &'static Cause>,
        out: &mut Vec<Output>,
    ) {
        if self.transfer.is_some() {
            return self.located_for_transfer(now, plan, out);
        }
        if !matches!(self.phase, Phase::Setup | Phase::Ringing) {
            return;
        }
        match plan {
            Ok(plan) => {
                self.note(now, "", "route.matched", plan.because);
                self.groups = plan.groups;
                self.ring_next_group(now, out);
            }
            Err(_) if self.goes_elsewhere(now, "", out) => {}
            Err(cause) => self.fail(now, cause, None, refused_by(cause), out),
        }
    }

    /// Cancels every branch that still rings, but one. Phones are told when another one answered, so that
    /// they show no missed call (RFC 3326, RFC 3261 §16.10).
    pub(super) fn cancel_branches(
        &mut self,
        now: Instant,
        but: Option<usize>,
        cause: &'static Cause,
        out: &mut Vec<Output>,
    ) {
        let reason = match but {
            Some(_) => "SIP;cause=200;text=\"Call completed elsewhere\"".to_owned(),
            None => format!("Q.850;cause={};text=\"{}\"", cause.q850, cause.text),
        };
        for index in 0..self.branches.len() {
            let rings =
                self.branches.get(index).is_some_and(|leg| leg.session.state() == State::Outgoing);
            if rings && Some(index) != but {
                let reason = Some(reason.clone());
                self.on_session(now, At::B(index), out, |session, sip| {
                    session.hang_up(487, reason, sip)
                });
            }
        }
    }

    pub(super) fn timers(&self) -> Timers {
        let sip = &self.snapshot.sip;
        Timers { t1: sip.t1, t2: sip.t2, t4: Duration::from_secs(5) }
    }

    /// What a leg's session is set up with: how depends on who is at its end.
    pub(super) fn setting(
        &self,
        contact: String,
        peer: &Origin,
        session_ids: session::SessionIds,
    ) -> session::Setting {
        session::Setting {
            contact,
            user_agent: self.user_agent.clone(),
            timers: self.timers(),
            refreshing: self.snapshot.refreshing_for(peer),
            reliable: self.snapshot.reliable_for(peer),
            replaces: self.snapshot.takes_replaces(peer),
            session_ids,
        }
    }

    /// Was the call placed to a trunk?
    pub(super) fn is_outbound(&self) -> bool {
        self.began.direction == Direction::Outbound
    }
}

/// The `Warning` of a refused description (RFC 3261 §20.43).
pub(super) fn warning(refusal: SdpRefusal) -> (HeaderName, String) {
    let (code, text) = refusal.warning();
    (HeaderName::Warning, format!("{code} tandem \"{text}: {refusal}\""))
}
