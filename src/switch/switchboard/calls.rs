//! Calls: how they begin here, what they want sent, and how they are forgotten.

use super::admit::{Asked, Who};
use super::meter::Planned;
use super::stir::Finding;
use super::targets::Caller;
use super::*;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::message::Parsed;
use crate::proto::sip::method::Method;
use crate::proto::sip::uri::{Scheme, Uri};
use crate::switch::call::{Incoming, Plan};
use crate::switch::cause::{self, Cause};
use crate::switch::cdr::record::{Began, Direction};
use crate::switch::snapshot::OtherFrom;

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
        let wanted = self.wanted(asked.request.uri(), dialled(&asked.request));
        let dialled = wanted.number;
        let caller = self.caller_of(&origin, &asked.request);
        let max_forwards = asked.request.max_forwards().unwrap_or(70);
        let allowed = verdict.and_then(|()| self.is_own_identity(&origin, &asked.request));
        let allowed = allowed.and_then(|()| finding.refusal());
        if allowed.is_ok() && self.is_replacing(now, &origin, &caller, &asked, out) {
            return;
        }
        let Planned { plan, charges, remark, is_emergency } = match allowed {
            Err(cause) => Planned::refused(cause),
            Ok(()) if max_forwards == 0 => Planned::refused(&cause::LOOP),
            Ok(()) => self.planned(now, &origin, &caller, &dialled, out),
        };
        let remark = remark.or_else(|| finding.remark()).or_else(|| unrecorded(refused.flatten()));
        let is_sips = !is_emergency && is_sips(&asked.request);
        let plan = plan.and_then(|plan| if is_sips { only_secure(plan) } else { Ok(plan) });
        let plan = plan.and_then(|plan| self.only_device(now, wanted.device.as_ref(), plan));
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
            remark,
            is_emergency,
        };
        self.start_call(call, caller, start, out);
    }

    /// Places a call for an operator: the phone `from` rings first, then the number `to`.
    ///
    /// # Errors
    ///
    /// See [`OriginateError`].
    pub fn originate(
        &mut self,
        now: Instant,
        from: &str,
        to: &str,
        out: &mut Vec<Output>,
    ) -> Result<CallId, OriginateError> {
        let is_full = self.is_draining || self.calls.len() >= self.snapshot.limits.calls_max;
        if is_full && !self.is_emergency_number(to) {
            return Err(OriginateError::Refused);
        }
        let phone = self.snapshot.phone(from).ok_or(OriginateError::NoSuchPhone)?;
        let caller = Caller { number: from.to_owned(), name: phone.name.clone() };
        let wanted = Caller { number: to.to_owned(), name: String::new() };
        let first = self.phone_targets(now, from, &wanted);
        let Some(target) = first.first() else { return Err(OriginateError::NotRegistered) };
        let media_ip = target.media_ip;
        let origin = Origin::Operator(from.to_owned());
        let Planned { plan, charges, remark, is_emergency } =
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
            remark,
            is_emergency,
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
            caller: caller.number.clone(),
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
        let told = || plan.into_iter().flat_map(|plan| plan.groups.iter().flatten());
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

    /// May the From of a phone's call name whom it names? Anonymous is nobody else.
    pub(super) fn is_own_identity(
        &self,
        origin: &Origin,
        request: &Message,
    ) -> Result<(), &'static Cause> {
        let Origin::Phone(extension) = origin else { return Ok(()) };
        let Some(user) = from_user(request) else { return Ok(()) };
        let rights = self.snapshot.phone(extension).map(|phone| &phone.rights);
        let is_own = user == *extension
            || user.eq_ignore_ascii_case("anonymous")
            || rights.is_some_and(|rights| rights.identities.contains(&user));
        match self.snapshot.sip.other_from {
            OtherFrom::Refuse if !is_own => Err(&cause::OTHER_IDENTITY),
            _ => Ok(()),
        }
    }

    /// Who calls: a phone is who it logged in as, or one of its identities, whatever else it claims; a trunk's
    /// caller is its From.
    pub(super) fn caller_of(&self, origin: &Origin, request: &Message) -> Caller {
        let from = request.text(HeaderName::From).unwrap_or_default();
        let from = NameAddr::parse(&from).ok();
        let display =
            from.as_ref().map(|from| from.display_name().into_owned()).unwrap_or_default();
        match origin {
            Origin::Phone(extension) | Origin::Operator(extension) => {
                let name = self.snapshot.phone(extension).map(|phone| phone.name.clone());
                let rights = self.snapshot.phone(extension).map(|phone| &phone.rights);
                let identity = from_user(request)
                    .filter(|user| rights.is_some_and(|rights| rights.identities.contains(user)));
                Caller {
                    number: identity.unwrap_or_else(|| extension.clone()),
                    name: name.filter(|name| !name.is_empty()).unwrap_or(display),
                }
            }
            Origin::Trunk(_) => {
                let number = from.and_then(|from| Some(from.parsed_uri()?.dialled().into_owned()));
                Caller {
                    number: number.filter(|n| !n.is_empty()).unwrap_or_else(|| "anonymous".into()),
                    name: display,
                }
            }
        }
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
            call::Output::HandOver { to, leg } => self.hand_over(now, call, to, leg, out),
            call::Output::Done => self.forget(now, call, out),
            // Nothing here asks for digits yet.
            call::Output::Digit { .. } => {}
            // The edge serves these itself.
            call::Output::Media(_) | call::Output::Event { .. } | call::Output::Record(_) => {}
        }
    }

    /// A call sent elsewhere by the phone it rang, or that a phone transfers: that phone's rights decide.
    /// Inside, the new phone is shown who calls; outside, the call leaves under the number of the phone that
    /// sent it there.
    fn locate(&mut self, now: Instant, call: CallId, wanted: &call::Locate, out: &mut Vec<Output>) {
        let Some(entry) = self.calls.get(&call) else { return };
        let is_sips = entry.is_sips;
        let peer_of = |key: &(String, String)| self.dialogs.get(key).map(|entry| &entry.peer);
        let by = match &wanted.by {
            Some(key) => peer_of(key),
            None => entry
                .dialogs
                .iter()
                .filter_map(peer_of)
                .rfind(|peer| matches!(peer, Origin::Phone(_))),
        };
        let by = by.cloned();
        let shown = match wanted.shown.as_deref() {
            Some(extension) => self.named(extension),
            None => entry.caller.clone(),
        };
        let Some(Origin::Phone(extension)) = by else {
            return to_call(call, call::Input::Located(Err(&cause::FORBIDDEN)), out);
        };
        let device = wanted.uri.as_deref().map(|uri| self.wanted(uri, wanted.dialled.clone()));
        let (dialled, device) = match &device {
            Some(found) => (&found.number, found.device.as_ref()),
            None => (&wanted.dialled, None),
        };
        let own = self.named(&extension);
        let origin = Origin::Phone(extension);
        let goes_inside = self.snapshot.phone(dialled).is_some() || {
            let inner = self.plan(now, &origin, &shown, dialled);
            inner.is_ok_and(|plan| !plan.groups.iter().flatten().any(|target| target.is_trunk))
        };
        let caller = if goes_inside { shown } else { own };
        let planned = self.planned(now, &origin, &caller, dialled, out);
        self.charge(now, call, planned.charges);
        let is_kept = is_sips && !planned.is_emergency;
        let plan = planned.plan.and_then(|plan| if is_kept { only_secure(plan) } else { Ok(plan) });
        let plan = plan.and_then(|plan| self.only_device(now, device, plan));
        to_call(call, call::Input::Located(plan), out);
    }

    /// An extension as a caller, with its name if it has one.
    fn named(&self, extension: &str) -> Caller {
        let name = self.snapshot.phone(extension).map(|phone| phone.name.clone());
        Caller { number: extension.to_owned(), name: name.unwrap_or_default() }
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
            target.headers.push((HeaderName::MaxBreadth, share.to_string()));
        }
    }
    Ok(plan)
}

/// Does the caller want TLS on every hop?
pub(super) fn is_sips(request: &Message) -> bool {
    Uri::parse(request.uri()).is_some_and(|uri| uri.scheme == Scheme::Sips)
}

/// The targets that are reached under TLS: `sips` is not taken to where others can listen (RFC 5630 §5.3).
fn only_secure(mut plan: Plan) -> Result<Plan, &'static Cause> {
    for group in &mut plan.groups {
        group.retain(|target| target.dest.transport().is_secure());
    }
    plan.groups.retain(|group| !group.is_empty());
    if plan.groups.is_empty() { Err(&cause::NOT_SECURE) } else { Ok(plan) }
}

/// The user in a From.
fn from_user(request: &Message) -> Option<String> {
    let from = request.text(HeaderName::From).unwrap_or_default();
    let uri = NameAddr::parse(&from).ok()?.parsed_uri()?;
    Some(uri.dialled().into_owned()).filter(|user| !user.is_empty())
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
