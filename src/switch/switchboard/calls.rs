//! Calls: how they begin here, what they want sent, and how they are forgotten.

use super::admit::{Asked, Who};
use super::identity::Wish;
use super::meter::Planned;
use super::stir::Finding;
use super::*;
use crate::proto::sip::message::Parsed;
use crate::proto::sip::method::Method;
use crate::proto::sip::uri::{Scheme, Uri};
use crate::switch::call::{Incoming, Plan, Target};
use crate::switch::cause::{self, Cause};
use crate::switch::cdr::record::{Began, Direction};
use crate::switch::identity::answers_itself as answers_itself_headers;

/// Why an operator's call could not be placed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OriginateError {
    /// No phone with this extension.
    NoSuchPhone,
    /// The phone is not registered.
    NotRegistered,
    /// The daemon is draining or full.
    Refused,
}

impl Switchboard {
    pub(super) fn invite(&mut self, now: Instant, asked: Asked, out: &mut Vec<Output>) {
        let (origin, verdict) = match self.identify(now, &asked, out) {
            Who::Answered => return,
            Who::Known(origin) => (origin, Ok(())),
            Who::Wrong(user) => (Origin::Phone(user), Err(&cause::WRONG_PASSWORD)),
        };
        if verdict.is_ok() && self.lacks_option(now, &origin, &asked, out) {
            return;
        }
        let Some((asked, finding)) = self.screened(now, &origin, asked, out) else { return };
        self.invite_known(now, origin, verdict, finding, asked, out);
    }

    /// Serves an INVITE of whom it is from, as far as that is known.
    pub(super) fn invite_known(
        &mut self,
        now: Instant,
        origin: Origin,
        verdict: Result<(), &'static Cause>,
        finding: Finding,
        asked: Asked,
        out: &mut Vec<Output>,
    ) {
        // A guess at a password is one record in a minute; the others are counted.
        let refused = verdict.err().map(|_| self.guard.refused_call(now, asked.flow.remote.ip()));
        if refused == Some(None) {
            return self.refuse(now, &asked, cause::WRONG_PASSWORD.sip, &[], out);
        }
        let Wish { caller, dialled, device } = self.read_wish(&origin, &asked.request);
        let max_forwards = asked.request.max_forwards().unwrap_or(70);
        let allowed = verdict.and_then(|()| self.is_own_identity(&origin, &asked.request));
        let allowed = allowed.and_then(|()| finding.refusal());
        let served = self.is_served(&origin, (&caller, &dialled), &asked.request);
        let is_open = allowed.is_ok() && served.is_ok();
        if is_open && self.is_replacing(now, &origin, &caller, &asked, out) {
            return;
        }
        let decided = match allowed.and(Ok(served)) {
            Err(cause) => Planned::refused(cause),
            Ok(Err((cause, why))) => {
                Planned { remark: Some(("call.unserved", why)), ..Planned::refused(cause) }
            }
            Ok(Ok(())) if max_forwards == 0 => Planned::refused(&cause::LOOP),
            Ok(Ok(())) => self.decided(now, &origin, (&caller, &dialled), &asked.request, out),
        };
        let Planned { plan, charges, remark, is_emergency, is_service } = decided;
        let remarks = [remark, finding.remark(), unrecorded(refused.flatten())];
        let is_sips = !is_emergency && !is_service && is_sips(&asked.request);
        let plan = plan.and_then(|plan| if is_sips { only_secure(plan) } else { Ok(plan) });
        let plan = plan.and_then(|plan| self.only_device(now, device.as_ref(), plan));
        let plan = plan.and_then(|plan| share_breadth(plan, &asked.request));
        let plan = plan.map(|plan| self.with_verstat(&finding, plan));
        let call = self.new_call_id(now);
        self.calls.insert(call, CallEntry { is_sips, ..CallEntry::default() });
        self.charge(now, call, charges);
        self.adopt(call, &asked);
        if plan.is_ok() && !finding.is_trying {
            self.respond(now, &asked, 100, "Trying", &[], out);
        }
        self.stir_found(call, asked.server, finding, out);
        let began = self.began(now, call, &origin, &caller, &dialled, plan.as_ref());
        let (mut contact, media_ip) = self.contact_towards(&Dest::Flow(asked.flow), &dialled);
        if is_sips && asked.flow.transport.is_secure() {
            contact = contact.replacen("<sip:", "<sips:", 1);
        }
        let media_bind = self.media_bind(media_ip, plan.as_ref());
        let Asked { server, request, flow, tag } = asked;
        let incoming = Incoming { server, request, flow, tag, contact, media_ip };
        let start = Start {
            began,
            origin,
            snapshot: Arc::clone(&self.snapshot),
            seed: self.tokens.fork(),
            incoming: Some(incoming),
            plan,
            first: None,
            media_bind,
            user_agent: self.user_agent.clone(),
            max_forwards: max_forwards.saturating_sub(1),
            remarks: remarks.into_iter().flatten().collect(),
            is_service,
            is_emergency,
            caller: caller.shown.clone(),
        };
        self.start_call(call, caller, start, out);
    }

    /// What becomes of a call that may be placed: a service code is served, a number is planned.
    fn decided(
        &mut self,
        now: Instant,
        origin: &Origin,
        (caller, dialled): (&Caller, &str),
        request: &Message,
        out: &mut Vec<Output>,
    ) -> Planned {
        let may_serve = !self.is_emergency(request);
        match may_serve.then(|| self.serve_code(origin, dialled, out)).flatten() {
            Some(Ok(plan)) => Planned::served(plan),
            Some(Err(cause)) => Planned::refused(cause),
            None => {
                let mut planned = self.planned(now, origin, caller, dialled, out);
                if planned.is_emergency {
                    let plan = planned.plan;
                    planned.plan = self.calls_for_help(origin, dialled, request, plan, out);
                }
                planned
            }
        }
    }

    /// Places a call for an operator: the phone `from` rings first, or answers by itself where that is asked for, then
    /// the number `to`.
    ///
    /// # Errors
    ///
    /// See [`OriginateError`].
    pub fn originate(
        &mut self,
        now: Instant,
        from: &str,
        to: &str,
        answers_itself: bool,
        out: &mut Vec<Output>,
    ) -> Result<CallId, OriginateError> {
        let is_full = self.is_draining || self.calls.len() >= self.snapshot.limits.calls_max;
        if is_full && !self.is_emergency_number(to) {
            return Err(OriginateError::Refused);
        }
        let phone = self.snapshot.phone(from).ok_or(OriginateError::NoSuchPhone)?;
        let mut caller = Caller::new(from, phone.name.as_str());
        caller.shown.is_withheld = phone.withhold;
        let wanted = Caller::new(to, "");
        let mut first = self.phone_targets(now, from, &wanted);
        if answers_itself {
            // The operator's socket is trusted with more than that.
            let headers = answers_itself_headers(&self.snapshot.sip.realm);
            first.iter_mut().for_each(|target| target.add_headers(&headers));
        }
        let Some(target) = first.first() else { return Err(OriginateError::NotRegistered) };
        let media_ip = target.media_ip;
        let origin = Origin::Operator(from.to_owned());
        let Planned { plan, charges, remark, is_emergency, .. } =
            self.planned(now, &origin, &caller, to, out);
        let call = self.new_call_id(now);
        self.calls.insert(call, CallEntry::default());
        self.charge(now, call, charges);
        let began = self.began(now, call, &origin, &caller, to, plan.as_ref());
        let media_bind = self.media_bind(media_ip, plan.as_ref());
        let start = Start {
            began,
            origin,
            snapshot: Arc::clone(&self.snapshot),
            seed: self.tokens.fork(),
            incoming: None,
            plan,
            first: Some(first),
            media_bind,
            user_agent: self.user_agent.clone(),
            max_forwards: 70,
            remarks: remark.into_iter().collect(),
            is_service: false,
            is_emergency,
            caller: caller.shown.clone(),
        };
        self.start_call(call, caller, start, out);
        Ok(call)
    }

    pub(super) fn start_call(
        &mut self,
        call: CallId,
        caller: Caller,
        start: Start,
        out: &mut Vec<Output>,
    ) {
        let trunk = Some(start.began.trunk.clone()).filter(|trunk| !trunk.is_empty());
        let entry = self.calls.entry(call).or_default();
        (entry.trunk, entry.caller) = (trunk, caller);
        entry.origin = Some(start.origin.clone());
        out.push(Output::StartCall(Box::new(start)));
    }

    /// An id that sorts by time: milliseconds and 22 bits of chance.
    pub(super) fn new_call_id(&mut self, now: Instant) -> CallId {
        let millis = u64::try_from(self.wall(now).0 / 1000).unwrap_or(0);
        loop {
            let id = CallId(millis << 22 | self.tokens.next_u64() >> 42);
            if !self.calls.contains_key(&id) && id.0 != NOBODY.0 {
                return id;
            }
        }
    }

    fn began(
        &self,
        now: Instant,
        call: CallId,
        origin: &Origin,
        caller: &Caller,
        dialled: &str,
        plan: Result<&Plan, &&'static Cause>,
    ) -> Began {
        let first = plan.ok().and_then(|plan| plan.groups.front()?.first());
        let (direction, trunk) = match (origin, first) {
            (Origin::Trunk(name), _) => (Direction::Inbound, name.clone()),
            (_, Some(target)) if target.is_trunk => (Direction::Outbound, target.party.clone()),
            _ => (Direction::Internal, String::new()),
        };
        Began {
            call,
            at: self.wall(now),
            direction,
            caller: caller.shown.number.clone(),
            is_withheld: caller.shown.is_withheld,
            called: dialled.to_owned(),
            trunk,
        }
    }

    /// What media sockets are bound to: the address itself where the SIP socket is bound to one and every
    /// target is told that one, else all addresses of its family.
    pub(super) fn media_bind(
        &self,
        a: IpAddr,
        plan: Result<&Plan, &&'static Cause>,
    ) -> (IpAddr, IpAddr) {
        let told = || {
            plan.into_iter().flat_map(|plan| plan.groups.iter().flatten().flat_map(Target::flows))
        };
        let b = told().next().map_or(a, |target| target.media_ip);
        let is_one = told().all(|target| target.media_ip == b);
        let bind = |ip: IpAddr, is_one: bool| {
            let is_own = self.endpoint.locals().listeners.iter().any(|(_, bound)| bound.ip() == ip);
            match ip {
                _ if is_own && is_one => ip,
                IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
            }
        };
        (bind(a, true), bind(b, is_one))
    }

    /// Sends a request of a call.
    pub(super) fn send_now(
        &mut self,
        now: Instant,
        call: CallId,
        (client, dest): (ClientKey, Dest),
        method: &Method,
        request: &Packet,
        out: &mut Vec<Output>,
    ) {
        if *method == Method::Invite
            && let Some(entry) = self.calls.get_mut(&call)
        {
            entry.invites.retain(|known| self.endpoint.is_open(*known));
            entry.invites.push(client);
        }
        let (owner, large) = (Owner(call.0), self.large_of(request));
        self.with_endpoint(now, out, |endpoint, events| {
            endpoint.request(now, client, owner, dest, method, request, large, events);
        });
    }

    /// Carries out what a call wants.
    pub fn from_call(
        &mut self,
        now: Instant,
        call: CallId,
        output: call::Output,
        out: &mut Vec<Output>,
    ) {
        match output {
            call::Output::Send { client, dest, method, request } => {
                self.send_of_call(now, call, (client, dest), &method, request, out)
            }
            call::Output::SendAck { dest, request } => {
                self.with_endpoint(now, out, |endpoint, events| {
                    endpoint.send_ack(now, dest, &request, events);
                })
            }
            call::Output::Cancel { client, .. } if self.is_unsigned_cancelled(client, out) => {}
            call::Output::Cancel { client, reason } => {
                self.with_endpoint(now, out, |endpoint, events| {
                    endpoint.cancel(now, client, reason, events)
                });
            }
            call::Output::Respond { server, status, packet } => {
                if status >= 200
                    && let Some(entry) = self.calls.get_mut(&call)
                {
                    entry.open.retain(|open| open.server != server);
                }
                let packet = self.with_stir_reason(call, server, status, packet);
                self.with_endpoint(now, out, |endpoint, events| {
                    endpoint.respond(now, server, status, packet, events);
                })
            }
            call::Output::Listen { call_id, tag, peer, source } => {
                let key = (call_id, tag);
                if let Some(entry) = self.calls.get_mut(&call) {
                    entry.dialogs.push(key.clone());
                    if let Some(ip) = source {
                        self.guard.dialog(ip, true);
                    }
                    let entry = DialogEntry { call, peer, source, counted: source };
                    let old = self.dialogs.insert(key, entry).and_then(|old| old.counted);
                    if let Some(ip) = old {
                        self.guard.dialog(ip, false);
                    }
                }
            }
            // What comes of a call that has been forgotten would stay for ever.
            call::Output::Lines(lines) if self.calls.contains_key(&call) => {
                self.lines_changed(now, call, lines, out)
            }
            call::Output::Lines(_) => {}
            call::Output::Tried { trunk, place, outcome } => {
                self.trunk_tried(now, (&trunk, place), outcome, out)
            }
            call::Output::Answered(party) => self.call_talks(now, call, &party),
            call::Output::Locate(wanted) => self.locate(now, call, &wanted, out),
            call::Output::Fetch { replaces, by, bound } => {
                self.fetch(call, &replaces, &by, bound, out)
            }
            call::Output::HandOver { to, handed } => self.hand_over(now, call, to, handed, out),
            call::Output::Room(wish) if self.calls.contains_key(&call) => {
                self.room_wish(now, call, wish, out);
            }
            call::Output::Room(_) => {}
            call::Output::Watched { by, is_allowed } => {
                self.watch_answered(call, (by, is_allowed), out);
            }
            call::Output::WatchOver => self.watch_over(call, out),
            call::Output::Done => self.forget(now, call, out),
            // Nothing here asks for digits yet.
            call::Output::Digit { .. } => {}
            // The edge serves these itself.
            call::Output::Media(_) | call::Output::Event { .. } | call::Output::Record(_) => {}
        }
    }

    /// Gives a request to a call and remembers that the call owes an answer.
    pub(super) fn adopt(&mut self, call: CallId, asked: &Asked) {
        self.endpoint.adopt(asked.server, Owner(call.0));
        if let Some(entry) = self.calls.get_mut(&call) {
            entry.open.push(OpenRequest {
                server: asked.server,
                request: asked.request.packet(),
                flow: asked.flow,
                tag: asked.tag.clone(),
            });
        }
    }

    /// Forgets a call and its dialogs; also when its task died. What it has not answered is answered, what it
    /// has not cancelled is cancelled: nobody else could any more, and an open INVITE has no timer.
    pub fn forget(&mut self, now: Instant, call: CallId, out: &mut Vec<Output>) {
        let Some(entry) = self.calls.remove(&call) else { return };
        self.lines_changed(now, call, Vec::new(), out);
        self.leave_rooms(call, out);
        self.watch_over(call, out);
        self.discharge(now, &entry.charges);
        self.forget_unsigned(call);
        for key in entry.dialogs {
            let source = self.dialogs.remove(&key).and_then(|dialog| dialog.counted);
            if let Some(ip) = source {
                self.guard.dialog(ip, false);
            }
            self.dialog_ended(key);
        }
        for client in entry.invites {
            self.with_endpoint(now, out, |endpoint, events| {
                endpoint.cancel(now, client, None, events);
            });
        }
        for open in entry.open {
            let Parsed::Message(request) = Message::parse(&open.request) else { continue };
            // In a dialog: it is over. Before one: the call failed, and not by its caller's fault.
            let status = if request.to_tag().is_some() { 481 } else { 500 };
            let OpenRequest { server, flow, tag, .. } = open;
            let asked = Asked { server, request, flow, tag };
            self.respond(now, &asked, status, reason_phrase(status), &[], out);
        }
    }
}

/// What a record says of refused calls before it that left none.
fn unrecorded(count: Option<u64>) -> Option<(&'static str, String)> {
    let count = count.filter(|count| *count > 0)?;
    let text =
        format!("{count} more refused logins for calls from this address since the last record");
    Some(("guard.counted", text))
}

/// A request that a call has not answered yet.
#[derive(Debug)]
pub(super) struct OpenRequest {
    server: ServerKey,
    request: Packet,
    flow: Flow,
    tag: String,
}

/// The branches that a request may make where it does not say (RFC 5393 §5.3.3).
const BREADTH: usize = 60;

/// Shares the breadth that a request allows among the targets that ring together (RFC 5393 §5.3.3): what
/// two switches that fork to each other could multiply without end is bounded by it.
fn share_breadth(mut plan: Plan, request: &Message) -> Result<Plan, &'static Cause> {
    let written = request.text(HeaderName::MaxBreadth);
    let breadth = written.and_then(|text| text.trim().parse().ok()).unwrap_or(BREADTH).min(BREADTH);
    for group in &mut plan.groups {
        let share = breadth.checked_div(group.len()).unwrap_or(breadth);
        if share == 0 {
            return Err(&cause::TOO_WIDE);
        }
        for target in group {
            target.add_headers(&[(HeaderName::MaxBreadth, share.to_string())]);
        }
    }
    Ok(plan)
}

/// Does the caller want TLS on every hop?
pub(super) fn is_sips(request: &Message) -> bool {
    Uri::parse(request.uri()).is_some_and(|uri| uri.scheme == Scheme::Sips)
}

/// The targets that are reached under TLS: `sips` is not taken to where others can listen (RFC 5630 §5.3).
pub(super) fn only_secure(mut plan: Plan) -> Result<Plan, &'static Cause> {
    if plan.visit.is_some() {
        // It goes no further than to us.
        return Ok(plan);
    }
    plan.retain(|target| target.dest.transport().is_secure());
    if plan.groups.is_empty() { Err(&cause::NOT_SECURE) } else { Ok(plan) }
}

/// The number in a Request-URI; empty if there is none.
pub(super) fn dialled(request: &Message) -> String {
    match Uri::parse(request.uri()) {
        Some(uri) if matches!(uri.scheme, Scheme::Sip | Scheme::Sips | Scheme::Tel) => {
            uri.dialled().into_owned()
        }
        _ => String::new(),
    }
}
