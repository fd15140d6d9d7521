//! Who may ask for what: dialogs first, then trunks by address, then phones by digest.

use super::devices::is_service;
use super::subscribe::allow_events;
use super::*;
use crate::proto::sip::auth::server::Verdict;
use crate::proto::sip::header::split_list;
use crate::proto::sip::method::Method;
use crate::proto::sip::session::{ALLOW, Refreshing, Reliable};
use crate::proto::sip::uri::{Scheme, Uri};
use crate::switch::guard::Source;

/// What phones may send us beside [`ALLOW`]; trunks may not.
const ALLOW_PHONES: &str = "SUBSCRIBE, MESSAGE, PUBLISH";

/// A request with its transaction.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) server: ServerKey,
    pub(super) request: Message,
    pub(super) flow: Flow,
    pub(super) tag: String,
}

/// Who sent a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A phone or a trunk that we know.
    Known(Origin),
    /// The password was wrong; the name is what it claimed.
    Wrong(String),
    /// Nobody yet: a challenge or a refusal has been sent.
    Answered,
}

impl Switchboard {
    /// A request inside a dialog.
    pub(super) fn dialog_request(&mut self, now: Instant, asked: Asked, out: &mut Vec<Output>) {
        if let Some(id) = self.subscription_of(&asked.request) {
            return self.resubscribe(now, id, &asked, out);
        }
        let Some(entry) = self.dialog_of(&asked.request) else {
            return self.refuse(now, &asked, 481, &[], out);
        };
        let (call, source) = (entry.call, entry.source);
        // Where a leg went to a name, nothing is usual before its peer has shown who it is.
        let is_usual = source == Some(asked.flow.remote.ip());
        if !is_usual && !self.is_admitted_elsewhere(now, &asked, out) {
            return;
        }
        // A BYE is served whatever it asks for besides.
        let modifies = matches!(asked.request.method(), Method::Invite | Method::Update);
        let refreshing = self.snapshot.sip.refreshing;
        if let Some((status, headers)) =
            modifies.then(|| refusal_of_form(&asked.request, refreshing)).flatten()
        {
            return self.refuse(now, &asked, status, &headers, out);
        }
        let peer = self.dialog_of(&asked.request).map(|entry| entry.peer.clone());
        if peer.is_some_and(|peer| self.lacks_option(now, &peer, &asked, out)) {
            return;
        }
        self.adopt(call, &asked);
        let Asked { server, request, flow, .. } = asked;
        to_call(call, call::Input::Request { server, request, flow }, out);
    }

    /// The right tags from another address than before: a phone that moved proves itself, a trunk must be
    /// the same trunk (RFC 3261 §26.1.4). If not, the request has been answered.
    fn is_admitted_elsewhere(
        &mut self,
        now: Instant,
        asked: &Asked,
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(peer) = self.dialog_of(&asked.request).map(|entry| entry.peer.clone()) else {
            return false;
        };
        let who = self.identify(now, asked, out);
        let is_same = matches!(&who, Who::Known(origin) if *origin == peer);
        if is_same {
            let key =
                (asked.request.call_id().into_owned(), asked.request.to_tag().unwrap_or_default());
            if let Some(entry) = self.dialogs.get_mut(&key) {
                entry.source = Some(asked.flow.remote.ip());
            }
            return true;
        }
        if who != Who::Answered {
            self.auth_event("dialog from a stranger", asked, out);
            self.refuse(now, asked, 403, &[], out);
        }
        false
    }

    /// A request outside any dialog.
    pub(super) fn new_request(&mut self, now: Instant, asked: Asked, out: &mut Vec<Output>) {
        if self.is_over_limit(now, &asked, out) || self.sheds(now, &asked, out) {
            return;
        }
        let refreshing = self.snapshot.sip.refreshing;
        if let Some((status, headers)) = refusal_of_form(&asked.request, refreshing) {
            return self.refuse(now, &asked, status, &headers, out);
        }
        if asked.request.method() != &Method::Invite && asked.request.has(HeaderName::Replaces) {
            // Nothing else can take a dialog's place (RFC 3891 §3).
            return self.refuse(now, &asked, 400, &[], out);
        }
        match asked.request.method() {
            Method::Register => self.register(now, &asked, out),
            Method::Invite => self.invite(now, asked, out),
            Method::Options if !self.snapshot.sip.authenticate_options => {
                self.options(now, &asked, out)
            }
            _ => match self.identify(now, &asked, out) {
                Who::Answered => {}
                Who::Wrong(_) => self.refuse(now, &asked, 403, &[], out),
                Who::Known(origin) => self.other_request(now, &origin, asked, out),
            },
        }
    }

    /// The subscription in whose dialog a SUBSCRIBE comes.
    fn subscription_of(&self, request: &Message) -> Option<u64> {
        let is_subscribe = request.method() == &Method::Subscribe;
        let tag = request.to_tag().filter(|_| is_subscribe)?;
        self.subscriptions.find(&request.call_id(), &tag)
    }

    /// Does an INVITE require an extension that is not open to who sent it? Then it has been refused. Help is
    /// never refused for that.
    pub(super) fn lacks_option(
        &mut self,
        now: Instant,
        peer: &Origin,
        asked: &Asked,
        out: &mut Vec<Output>,
    ) -> bool {
        let request = &asked.request;
        if request.method() != &Method::Invite || self.is_emergency(request) {
            return false;
        }
        let closed: Vec<_> = [
            ("100rel", self.snapshot.reliable_for(peer) == Reliable::No),
            ("replaces", !self.snapshot.takes_replaces(peer)),
        ]
        .into_iter()
        .filter(|(option, is_closed)| *is_closed && request.lists(HeaderName::Require, option))
        .map(|(option, _)| option)
        .collect();
        let is_closed = !closed.is_empty();
        if is_closed {
            self.refuse(now, asked, 420, &[(HeaderName::Unsupported, closed.join(", "))], out);
        }
        is_closed
    }

    fn other_request(
        &mut self,
        now: Instant,
        origin: &Origin,
        asked: Asked,
        out: &mut Vec<Output>,
    ) {
        let allow = [(HeaderName::Allow, ALLOW.to_owned())];
        match (asked.request.method(), origin) {
            (Method::Options, _) => self.options(now, &asked, out),
            (Method::Subscribe, Origin::Phone(phone)) => self.subscribe(now, phone, &asked, out),
            (Method::Message, Origin::Phone(phone)) => self.message(now, phone, asked, out),
            (Method::Publish, Origin::Phone(phone)) => self.publish(now, phone, &asked, out),
            (Method::Bye | Method::Update | Method::Prack | Method::Notify | Method::Info, _) => {
                self.refuse(now, &asked, 481, &[], out)
            }
            // Inside a call only: outside it would let anybody have calls placed.
            (Method::Refer, _) => self.refuse(now, &asked, 403, &[], out),
            // What we do not even recognise is 501; what we recognise and do not serve 405 (§8.2.1).
            (Method::Other(_), _) => self.refuse(now, &asked, 501, &allow, out),
            _ => self.refuse(now, &asked, 405, &allow, out),
        }
    }

    fn options(&mut self, now: Instant, asked: &Asked, out: &mut Vec<Output>) {
        if asked.request.max_forwards() == Some(0) {
            return self.refuse(now, asked, 483, &[], out);
        }
        let headers = [
            (HeaderName::Allow, format!("{ALLOW}, {ALLOW_PHONES}")),
            (HeaderName::AllowEvents, allow_events()),
            (HeaderName::Accept, "application/sdp".to_owned()),
            (HeaderName::AcceptEncoding, "identity".to_owned()),
            (HeaderName::AcceptLanguage, "en".to_owned()),
            (HeaderName::Supported, self.supported()),
        ];
        self.refuse(now, asked, 200, &headers, out);
    }

    /// What is on for anybody here: who asks need not have said who it is.
    fn supported(&self) -> String {
        let snapshot = &self.snapshot;
        let is_reliable = |reliable| reliable != Reliable::No;
        let mut options = vec!["timer"];
        if snapshot.phones.values().any(|phone| is_reliable(phone.reliable))
            || snapshot.trunks.iter().any(|trunk| is_reliable(trunk.reliable))
        {
            options.push("100rel");
        }
        if !snapshot.phones.is_empty() || snapshot.trunks.iter().any(|trunk| trunk.replaces) {
            options.push("replaces");
        }
        options.join(", ")
    }

    /// Finds out who sent a request; where that fails the request has been answered.
    pub(super) fn identify(&mut self, now: Instant, asked: &Asked, out: &mut Vec<Output>) -> Who {
        if let Some(trunk) = self.trunk_of(now, &asked.flow, &asked.request) {
            return Who::Known(Origin::Trunk(trunk));
        }
        self.login(now, asked, out)
    }

    /// Checks the digest of a request.
    pub(super) fn login(&mut self, now: Instant, asked: &Asked, out: &mut Vec<Output>) -> Who {
        let ours = [HeaderName::Authorization, HeaderName::ProxyAuthorization]
            .into_iter()
            .find_map(|name| {
                asked.request.texts(name).find_map(|value| {
                    let user = self.authenticator.user_of(&value)?;
                    Some((user, value.into_owned()))
                })
            });
        let Some((user, credentials)) = ours else {
            return self.challenge(now, asked, false, out);
        };
        let (secret, origin) = match (self.snapshot.phone(&user), self.snapshot.login(&user)) {
            (Some(phone), _) => (phone.secret.0.clone(), Some(Origin::Phone(user.clone()))),
            (None, Some(trunk)) => {
                (trunk.secret.0.clone(), Some(Origin::Trunk(trunk.name.clone())))
            }
            (None, None) => (self.no_secret.clone(), None),
        };
        let is_known = origin.is_some();
        let is_free = self.is_emergency(&asked.request)
            || self.guard.may_log_in(now, asked.flow.remote, &user, is_known);
        if !is_free {
            self.guard_events(out);
            self.endpoint.ignore(asked.server);
            return Who::Answered;
        }
        let request = &asked.request;
        let verdict = self.authenticator.check(
            now,
            &credentials,
            request.method().as_str(),
            request.uri(),
            request.body(),
            &secret,
        );
        match (verdict, origin) {
            (Verdict::Accepted, Some(origin)) => {
                self.guard.came(now, asked.flow.remote, &user);
                Who::Known(origin)
            }
            (Verdict::Stale, Some(_)) => self.challenge(now, asked, true, out),
            (Verdict::Replayed, Some(_)) => {
                self.auth_event("replayed", asked, out);
                self.challenge(now, asked, false, out)
            }
            (Verdict::Malformed, _) => {
                self.auth_event("malformed credentials", asked, out);
                self.guard.malformed(now, Source::of(asked.flow.remote.ip()));
                self.guard_events(out);
                self.refuse(now, asked, 400, &[], out);
                Who::Answered
            }
            (Verdict::OtherUri, Some(_)) => {
                self.auth_event("credentials for another URI", asked, out);
                self.refuse(now, asked, 400, &[], out);
                Who::Answered
            }
            _ => {
                self.auth_event("wrong user or password", asked, out);
                self.guard.failed(now, asked.flow.remote, &user, is_known);
                self.guard_events(out);
                Who::Wrong(user)
            }
        }
    }

    fn challenge(
        &mut self,
        now: Instant,
        asked: &Asked,
        is_stale: bool,
        out: &mut Vec<Output>,
    ) -> Who {
        self.challenged += 1;
        if !is_stale && !self.guard.is_friend(asked.flow.remote) {
            self.guard.challenged(now, Source::of(asked.flow.remote.ip()));
            self.guard_events(out);
        }
        let challenges = self.authenticator.challenges(now, is_stale);
        let headers: Vec<_> =
            challenges.into_iter().map(|text| (HeaderName::WwwAuthenticate, text)).collect();
        self.refuse(now, asked, 401, &headers, out);
        Who::Answered
    }

    pub(super) fn auth_event(&self, reason: &str, asked: &Asked, out: &mut Vec<Output>) {
        let user = asked
            .request
            .texts(HeaderName::Authorization)
            .find_map(|value| self.authenticator.user_of(&value))
            .unwrap_or_default();
        out.push(Output::Event {
            kind: "auth.failed",
            fields: vec![
                ("user", user),
                ("method", asked.request.method().to_string()),
                ("from", asked.flow.to_string()),
                ("reason", reason.to_owned()),
            ],
        });
    }
}

/// What is wrong with a request whoever sent it: its scheme, what it requires, what it carries.
fn refusal_of_form(
    request: &Message,
    refreshing: Refreshing,
) -> Option<(u16, Vec<(HeaderName, String)>)> {
    let Some(uri) = Uri::parse(request.uri()) else {
        let has_scheme = request.uri().split_once(':').is_some_and(|(scheme, _)| {
            !scheme.eq_ignore_ascii_case("sip") && !scheme.eq_ignore_ascii_case("sips")
        });
        return Some((if has_scheme { 416 } else { 400 }, Vec::new()));
    };
    // A service is looked up; one that is not known is 404 (RFC 5031 §4.2).
    let is_service = request.method() == &Method::Invite && is_service(request.uri());
    if uri.scheme == Scheme::Other && !is_service {
        return Some((416, Vec::new()));
    }
    let required: Vec<_> = [HeaderName::Require, HeaderName::ProxyRequire]
        .into_iter()
        .flat_map(|name| request.list(name))
        .filter(|option| {
            let known: &[&str] = match request.method() {
                Method::Register => &["outbound", "path", "gruu"],
                // Which of them are open to whom is known when it is known who asks.
                Method::Invite => &["timer", "100rel", "replaces", "answermode"],
                Method::Update => &["timer"],
                _ => &[],
            };
            !known.iter().any(|known| option.eq_ignore_ascii_case(known))
        })
        .collect();
    if !required.is_empty() {
        return Some((420, vec![(HeaderName::Unsupported, required.join(", "))]));
    }
    let has_session = matches!(request.method(), Method::Invite | Method::Update);
    if has_session && refreshing.is_too_short(request) {
        return Some((422, vec![(HeaderName::MinSe, refreshing.min_se.as_secs().to_string())]));
    }
    let encoding = request.text(HeaderName::ContentEncoding).unwrap_or_default();
    if !request.body().is_empty()
        && split_list(&encoding).any(|word| !word.eq_ignore_ascii_case("identity"))
    {
        return Some((415, vec![(HeaderName::AcceptEncoding, "identity".to_owned())]));
    }
    if request.method() == &Method::Invite && !request.body().is_empty() && request.sdp().is_none()
    {
        // A body that nobody has to understand is passed over (RFC 3261 §20.11).
        let disposition =
            request.text(HeaderName::ContentDisposition).unwrap_or_default().to_ascii_lowercase();
        let is_optional = disposition.contains("handling=optional");
        if !is_optional {
            return Some((415, vec![(HeaderName::Accept, "application/sdp".to_owned())]));
        }
    }
    None
}
