//! SUBSCRIBE: who may watch whom, and for how long (RFC 6665 §4.2.1).

use std::time::Duration;

use super::admit::{Asked, Who};
use super::calls::dialled;
use super::*;
use crate::proto::sip::endpoint::Large;
use crate::proto::sip::method::Method;
use crate::proto::sip::subscription::message_summary::Summary;
use crate::proto::sip::subscription::{EventHeader, Package, Reason};
use crate::proto::sip::uri::Uri;
use crate::switch::call::Line;
use crate::switch::subscriptions::{Full, Notify, Wanted};

/// Seconds after which phones ask anew when the daemon stops in order: it may be back by then.
const BACK_IN: u32 = 5;
/// Seconds after which a phone may ask again that found every place taken.
const FULL_FOR: u32 = 60;

impl Switchboard {
    /// A SUBSCRIBE outside any dialog, of a phone that has logged in.
    pub(super) fn subscribe(
        &mut self,
        now: Instant,
        watcher: &str,
        asked: &Asked,
        out: &mut Vec<Output>,
    ) {
        let event = EventHeader::of(&asked.request);
        let package = event.as_ref().and_then(|event| Package::from_token(&event.package));
        let (Some(event), Some(package)) = (event, package) else {
            let events = [(HeaderName::AllowEvents, allow_events())];
            return self.refuse(now, asked, 489, &events, out);
        };
        let resource = dialled(&asked.request);
        if self.snapshot.phone(&resource).is_none() {
            return self.refuse(now, asked, 404, &[], out);
        }
        if !self.may_watch(watcher, &resource) {
            return self.refuse(now, asked, 403, &[], out);
        }
        if !package.is_accepted_by(&asked.request) {
            return self.refuse(now, asked, 406, &[], out);
        }
        let Some(span) = self.span_of(now, asked, out) else { return };
        match self.subscriptions.has_room(watcher) {
            Err(Full::Phone) => return self.refuse(now, asked, 403, &[], out),
            Err(Full::Tandem) => {
                let later = [(HeaderName::RetryAfter, FULL_FOR.to_string())];
                return self.refuse(now, asked, 503, &later, out);
            }
            Ok(()) => {}
        }
        let (contact, _) = self.contact_towards(&Dest::Flow(asked.flow), &resource);
        self.grant(now, asked, span, &contact, out);
        let uri = Uri::parse(asked.request.uri());
        let host = uri.and_then(|uri| {
            let host = uri.host?.to_string();
            Some(uri.port.map_or(host.clone(), |port| format!("{host}:{port}")))
        });
        let host = host.unwrap_or_else(|| self.snapshot.sip.realm.clone());
        let wanted = Wanted {
            request: &asked.request,
            tag: &asked.tag,
            contact: &contact,
            flow: asked.flow,
            event: &event,
            package,
            resource: &resource,
            host: &host,
            watcher,
            span,
        };
        let mut notifies = Vec::new();
        let wall = self.wall(now);
        self.subscriptions.subscribe(now, wall, &wanted, &mut notifies);
        self.notify(now, notifies, out);
    }

    /// A SUBSCRIBE in the dialog of a subscription: it refreshes or ends it.
    pub(super) fn resubscribe(
        &mut self,
        now: Instant,
        id: u64,
        asked: &Asked,
        out: &mut Vec<Output>,
    ) {
        let Some((watcher, source)) = self.subscriptions.subscriber(id) else { return };
        // From elsewhere it may be a phone that moved, or a stranger who saw its messages.
        if source != asked.flow.remote.ip() {
            let subscriber = Origin::Phone(watcher.to_owned());
            match self.login(now, asked, out) {
                Who::Known(origin) if origin == subscriber => {}
                Who::Answered => return,
                Who::Known(_) | Who::Wrong(_) => {
                    self.auth_event("subscription of somebody else", asked, out);
                    return self.refuse(now, asked, 403, &[], out);
                }
            }
        }
        let Some(span) = self.span_of(now, asked, out) else { return };
        if let Err(status) = self.subscriptions.receive(id, &asked.request, asked.flow) {
            return self.refuse(now, asked, status, &[], out);
        }
        let (contact, _) = self.contact_towards(&Dest::Flow(asked.flow), &dialled(&asked.request));
        self.grant(now, asked, span, &contact, out);
        let mut notifies = Vec::new();
        self.subscriptions.refresh(now, id, span, &mut notifies);
        self.notify(now, notifies, out);
    }

    fn grant(
        &mut self,
        now: Instant,
        asked: &Asked,
        span: Duration,
        contact: &str,
        out: &mut Vec<Output>,
    ) {
        let headers = [
            (HeaderName::Expires, span.as_secs().to_string()),
            (HeaderName::Contact, contact.to_owned()),
        ];
        self.respond(now, asked, 200, "OK", &headers, out);
    }

    /// For how long a subscription or a publication is granted, as registrations are; zero ends it. If it is too short, the
    /// request has been answered.
    pub(super) fn span_of(
        &mut self,
        now: Instant,
        asked: &Asked,
        out: &mut Vec<Output>,
    ) -> Option<Duration> {
        let sip = &self.snapshot.sip;
        let Some(seconds) = asked.request.expires() else { return Some(sip.expires_default) };
        let wanted = Duration::from_secs(seconds.into());
        if wanted.is_zero() || wanted >= sip.expires_min {
            return Some(wanted.min(sip.expires_max));
        }
        let least = [(HeaderName::MinExpires, sip.expires_min.as_secs().to_string())];
        self.refuse(now, asked, 423, &least, out);
        None
    }

    /// May a phone watch an extension? Its own it may.
    fn may_watch(&self, watcher: &str, resource: &str) -> bool {
        let phone = self.snapshot.phone(watcher);
        phone.is_some_and(|phone| {
            let listed = phone.rights.watch.as_ref();
            watcher == resource
                || listed.is_none_or(|list| list.iter().any(|known| known == resource))
        })
    }

    fn notify(&mut self, now: Instant, notifies: Vec<Notify>, out: &mut Vec<Output>) {
        for Notify { client, dest, request } in notifies {
            self.with_endpoint(now, out, |endpoint, events| {
                let (method, large) = (Method::Notify, Large::Datagram);
                endpoint.request(now, client, NOBODY, dest, &method, &request, large, events);
            });
        }
    }

    /// An answer to one of our NOTIFYs; false if it is to something else.
    pub(super) fn notify_answered(
        &mut self,
        now: Instant,
        client: ClientKey,
        response: &Message,
        out: &mut Vec<Output>,
    ) -> bool {
        let mut notifies = Vec::new();
        let is_ours = self.subscriptions.answered(now, client, response, &mut notifies);
        self.notify(now, notifies, out);
        is_ours
    }

    /// One of our NOTIFYs had no answer; false if it was something else.
    pub(super) fn notify_failed(
        &mut self,
        now: Instant,
        client: ClientKey,
        why: endpoint::Failure,
        out: &mut Vec<Output>,
    ) -> bool {
        let mut notifies = Vec::new();
        let is_ours = self.subscriptions.failed(now, client, why, &mut notifies);
        self.notify(now, notifies, out);
        is_ours
    }

    pub(super) fn subscriptions_due(&mut self, now: Instant, out: &mut Vec<Output>) {
        let mut notifies = Vec::new();
        self.subscriptions.handle_timeout(now, &mut notifies);
        self.notify(now, notifies, out);
    }

    /// A call tells which of its phones are on the line.
    pub(super) fn lines_changed(
        &mut self,
        now: Instant,
        call: CallId,
        lines: Vec<Line>,
        out: &mut Vec<Output>,
    ) {
        let mut notifies = Vec::new();
        self.subscriptions.lines_changed(now, call, lines, &mut notifies);
        self.notify(now, notifies, out);
    }

    /// A mailbox holds this now: whoever watches it is told. Voicemail is what will call it.
    pub fn mailbox_changed(
        &mut self,
        now: Instant,
        extension: &str,
        summary: Summary,
        out: &mut Vec<Output>,
    ) {
        let mut notifies = Vec::new();
        self.subscriptions.mailbox_changed(now, extension, summary, &mut notifies);
        self.notify(now, notifies, out);
    }

    /// The configuration was replaced: who is not to watch any more, or has another password, is told.
    pub(super) fn subscriptions_reloaded(
        &mut self,
        now: Instant,
        old: &Snapshot,
        out: &mut Vec<Output>,
    ) {
        let why = |watcher: &str, resource: &str| {
            if self.snapshot.phone(resource).is_none() {
                return Some(Reason::NoResource);
            }
            if !self.may_watch(watcher, resource) {
                return Some(Reason::Rejected);
            }
            let is_same = secret_of(&self.snapshot, watcher) == secret_of(old, watcher);
            (!is_same).then_some(Reason::Deactivated)
        };
        let watching = self.subscriptions.watching();
        let ending: Vec<_> =
            watching.filter_map(|(id, who, whom)| Some((id, why(who, whom)?))).collect();
        self.end_subscriptions(now, ending, out);
    }

    /// The daemon stops: phones are asked to subscribe anew when it is back. Otherwise their lamps would be
    /// wrong until their next refresh. Carriers that we registered with are told that we go.
    pub fn leave(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.registrants_leave(now, out);
        let all = self.subscriptions.watching();
        let ending = all.map(|(id, ..)| (id, Reason::Probation(BACK_IN))).collect();
        self.end_subscriptions(now, ending, out);
    }

    fn end_subscriptions(
        &mut self,
        now: Instant,
        ending: Vec<(u64, Reason)>,
        out: &mut Vec<Output>,
    ) {
        let mut notifies = Vec::new();
        for (id, reason) in ending {
            self.subscriptions.end(now, id, reason, &mut notifies);
        }
        self.notify(now, notifies, out);
    }

    /// The subscriptions, for lists.
    #[must_use]
    pub const fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }
}

/// The packages that we notify of, for `Allow-Events` (RFC 6665 §8.2.2).
pub(super) fn allow_events() -> String {
    Package::ALL.map(Package::token).join(", ")
}
