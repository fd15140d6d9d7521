//! Our registration at a carrier (RFC 3261 §10.2): it never stops trying.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::flow::Pulse;
use crate::proto::hex::hex;
use crate::proto::sip::auth::client::{Account, Credentials};
use crate::proto::sip::endpoint::{ClientKey, Failure};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::header::values::delta_seconds;
use crate::proto::sip::message::build::Builder;
use crate::proto::sip::message::{Message, Packet};
use crate::proto::sip::method::Method;
use crate::proto::sip::transport::{Flow, NextHop};
use crate::proto::sip::uri::Uri;
use crate::proto::time::Instant;
use crate::proto::token::Tokens;

/// The first pause after a failure; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(15);
/// The longest pause: a wrong password is tried this slowly, but it is tried.
const RETRY_MAX: Duration = Duration::from_secs(600);
/// The shortest pause that a carrier may ask for: `Retry-After: 0` would be a REGISTER for each of its answers.
const AFTER_MIN: Duration = Duration::from_secs(1);
/// The soonest and the latest share of what was granted at which it is refreshed, in percent: early enough that one lost
/// REGISTER does not lose the registration, and spread, so that a carrier that restarted does not have all of us back in
/// the same second every time (RFC 5626 §4.5).
const REFRESH_PERCENT: (u64, u64) = (70, 90);
/// Values of a Service-Route that are kept; a longer one is passed over as a whole.
const ROUTES_MAX: usize = 8;

/// What a registration is made with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// The Request-URI: the carrier's domain.
    pub registrar: String,
    /// Our address of record, for From and To.
    pub aor: String,
    /// Our Contact URI.
    pub contact: String,
    /// Where to: the next one when one fails.
    pub hops: Vec<NextHop>,
    /// Our account.
    pub account: Account,
    /// How long to ask for.
    pub expires: Duration,
    /// Our instance and the number of this flow, if it is one (RFC 5626 §4.2).
    pub outbound: Option<(String, u32)>,
    /// How often the way to us is kept open by a datagram of four bytes; zero never.
    pub keepalive: Duration,
}

/// How the registration stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// A REGISTER is under way for the first time.
    Trying,
    /// The carrier knows us.
    Registered,
    /// It does not; the words say why.
    Failed(String),
}

/// A REGISTER to be sent: its transaction, where to, the request.
pub type Due = (ClientKey, NextHop, Packet);

/// Our registration at one carrier.
#[derive(Debug)]
pub struct Registrant {
    wish: Wish,
    tokens: Tokens,
    call_id: String,
    tag: String,
    /// What tells our Contact from those of our other registrations there.
    line: String,
    cseq: u32,
    credentials: Credentials,
    expires: Duration,
    state: State,
    client: Option<ClientKey>,
    next_at: Option<Instant>,
    pause: Duration,
    /// Which of the hops is tried, and how many failed in a row.
    at: usize,
    failed: usize,
    /// Where the last 2xx came from.
    flow: Option<Flow>,
    /// When a flow that was lost was, or will be, made anew last.
    anew_at: Option<Instant>,
    /// It is being taken back, and nothing follows on that.
    is_leaving: bool,
    pulse: Pulse,
    service_route: Vec<String>,
}

impl Registrant {
    /// A registration that wants to be made at once.
    #[must_use]
    pub fn new(now: Instant, wish: Wish, seed: [u8; 32]) -> Self {
        let mut tokens = Tokens::new(seed);
        Self {
            call_id: tokens.call_id(),
            tag: tokens.tag(),
            line: line_of(&wish).unwrap_or_else(|| tokens.tag()),
            cseq: 0,
            credentials: Credentials::new(wish.account.clone()),
            expires: wish.expires,
            state: State::Trying,
            client: None,
            next_at: Some(now),
            pause: RETRY_MIN,
            at: 0,
            failed: 0,
            flow: None,
            anew_at: None,
            is_leaving: false,
            pulse: Pulse::default(),
            service_route: Vec::new(),
            tokens,
            wish,
        }
    }

    /// What it was made with: an unchanged wish keeps its registration over a reload.
    #[must_use]
    pub const fn wish(&self) -> &Wish {
        &self.wish
    }

    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The hop that it is made at, or tried at.
    #[must_use]
    pub fn hop(&self) -> Option<&NextHop> {
        self.wish.hops.get(self.at)
    }

    /// The realm that the carrier asks for our password in.
    #[must_use]
    pub fn realm(&self) -> Option<&str> {
        self.credentials.realm()
    }

    /// The routes that requests to the carrier take first (RFC 3608 §5).
    #[must_use]
    pub fn service_route(&self) -> &[String] {
        &self.service_route
    }

    /// Where the carrier answered from.
    #[must_use]
    pub const fn flow(&self) -> Option<&Flow> {
        self.flow.as_ref()
    }

    /// Is this transaction its own?
    #[must_use]
    pub fn owns(&self, client: ClientKey) -> bool {
        self.client == Some(client)
    }

    /// Is this Request-URI the Contact that we registered here, and at no other carrier?
    #[must_use]
    pub fn is_called(&self, uri: &Uri<'_>) -> bool {
        uri.params.raw("line").flatten() == Some(self.line.as_str())
    }

    /// When it next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.next_at.into_iter().chain(self.pulse.next_timeout()).min()
    }

    /// Sends what is due; a ping goes where the flow says.
    pub fn handle_timeout(&mut self, now: Instant) -> (Option<Due>, Option<(Flow, Vec<u8>)>) {
        let ping = self.flow.and_then(|flow| match self.pulse.beat(now, &mut self.tokens) {
            Ok(ping) => ping.map(|bytes| (flow, bytes)),
            Err(words) => {
                self.lost(now, words);
                None
            }
        });
        let due = self.next_at.take_if(|at| *at <= now).and_then(|_| self.register(self.expires));
        (due, ping)
    }

    /// An answer to one of our pings, perhaps.
    pub fn pong(&mut self, now: Instant, flow: &Flow, bytes: &[u8]) -> bool {
        let is_here = self.flow.as_ref().is_some_and(|own| own.remote == flow.remote);
        match is_here.then(|| self.pulse.pong(now, bytes)) {
            Some(Ok(is_ours)) => is_ours,
            Some(Err(words)) => {
                self.lost(now, words);
                true
            }
            None => false,
        }
    }

    /// A connection is gone; if it was the one that the carrier calls us on, a new one is made at once. True if so.
    pub fn connection_closed(&mut self, now: Instant, connection: u64) -> bool {
        let is_ours = self.flow.as_ref().is_some_and(|flow| flow.connection == connection);
        if is_ours {
            self.lost(now, "the connection was closed");
        }
        is_ours
    }

    fn lost(&mut self, now: Instant, words: &str) {
        self.is_down(words.to_owned());
        // The first time at once; a carrier that closes after every answer is not asked without end.
        let again = self.anew_at.map_or(now, |before| now.max(before + RETRY_MIN));
        // What is under way will tell by itself.
        if self.client.is_none() && !self.is_leaving {
            self.anew_at = Some(again);
            self.next_at = Some(again);
        }
    }

    /// The carrier does not know us any more: what it said of the way there is over too.
    fn is_down(&mut self, words: String) {
        self.flow = None;
        self.pulse = Pulse::default();
        self.service_route = Vec::new();
        self.state = State::Failed(words);
    }

    /// Would this wish be registered under the same Contact?
    #[must_use]
    pub fn has_contact_of(&self, wish: &Wish) -> bool {
        (&self.wish.registrar, &self.wish.aor, &self.wish.contact)
            == (&wish.registrar, &wish.aor, &wish.contact)
            && line_of(wish).as_ref() == Some(&self.line)
    }

    /// Does a REGISTER of it wait for its answer?
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.client.is_some()
    }

    /// The REGISTER that ends it, if the carrier knows us: it need not find out by itself. Nothing follows on it.
    pub fn leave(&mut self) -> Option<Due> {
        self.is_leaving = true;
        self.next_at = None;
        let is_known = self.state == State::Registered;
        if is_known { self.register(Duration::ZERO) } else { None }
    }

    fn register(&mut self, expires: Duration) -> Option<Due> {
        let hop = self.hop()?.clone();
        self.cseq += 1;
        let wish = &self.wish;
        let mut contact =
            format!("<{};line={}>;expires={}", wish.contact, self.line, expires.as_secs());
        let mut supported = "path".to_owned();
        if let Some((instance, reg_id)) = &wish.outbound {
            contact.push_str(&format!(";+sip.instance=\"<{instance}>\";reg-id={reg_id}"));
            supported.push_str(", outbound");
        }
        let mut builder = Builder::request(&Method::Register, &wish.registrar)
            .header(HeaderName::MaxForwards, 70)
            .header(HeaderName::From, format_args!("<{}>;tag={}", wish.aor, self.tag))
            .header(HeaderName::To, format_args!("<{}>", wish.aor))
            .header(HeaderName::CallId, &self.call_id)
            .header(HeaderName::CSeq, format_args!("{} REGISTER", self.cseq))
            .header(HeaderName::Supported, supported)
            .header(HeaderName::Contact, contact);
        for (name, value) in
            self.credentials.headers("REGISTER", &wish.registrar, b"", &mut self.tokens)
        {
            builder.add(name, value);
        }
        let client = ClientKey(self.tokens.next_u64());
        self.client = Some(client);
        Some((client, hop, builder.finish()))
    }

    /// The carrier answered, from there. Gives the next REGISTER where one follows at once.
    pub fn answered(&mut self, now: Instant, response: &Message, flow: &Flow) -> Option<Due> {
        match response.status() {
            100..200 => return None,
            _ if self.is_leaving => return self.left(response),
            200..300 => self.accepted(now, response, flow),
            401 | 407 if self.credentials.challenged(response).is_ok() => {
                return self.register(self.expires);
            }
            423 => {
                let least =
                    response.text(HeaderName::MinExpires).and_then(|value| delta_seconds(&value));
                let least = Duration::from_secs(least.unwrap_or(0).into());
                if least > self.expires {
                    self.expires = least;
                    return self.register(self.expires);
                }
                self.failed(
                    now,
                    "423 Interval Too Brief without a usable Min-Expires".into(),
                    None,
                );
            }
            status => self.refused(now, status, response),
        }
        self.client = None;
        None
    }

    /// The answer to the REGISTER that ends it. Only a challenge is met; all else is over.
    fn left(&mut self, response: &Message) -> Option<Due> {
        let is_asked = matches!(response.status(), 401 | 407);
        if is_asked && self.credentials.challenged(response).is_ok() {
            return self.register(Duration::ZERO);
        }
        self.client = None;
        self.is_down("taken back".to_owned());
        None
    }

    fn accepted(&mut self, now: Instant, response: &Message, flow: &Flow) {
        self.credentials.accepted();
        let granted = self.granted(response);
        self.pause = RETRY_MIN;
        self.failed = 0;
        self.state = State::Registered;
        let (soonest, latest) = REFRESH_PERCENT;
        let percent = soonest + self.tokens.below(latest - soonest + 1);
        let span = granted.mul_f64(percent as f64 / 100.0);
        self.next_at = Some(now + span.max(Duration::from_secs(5)));
        let routes = response.list(HeaderName::ServiceRoute);
        let is_usable = routes.len() <= ROUTES_MAX
            && routes.iter().all(|route| {
                let address = NameAddr::parse(route).ok();
                // Without `lr` it would have to stand in the Request-URI; nobody sends that today.
                let uri = address.as_ref().and_then(NameAddr::parsed_uri);
                uri.is_some_and(|uri| uri.params.has("lr") && uri.next_hop().is_some())
            });
        self.service_route = if is_usable { routes } else { Vec::new() };
        let is_flow =
            self.wish.outbound.is_some() && response.lists(HeaderName::Require, "outbound");
        if self.flow.replace(*flow) != Some(*flow) {
            self.pulse = Pulse::new(now, flow, self.wish.keepalive, is_flow);
        }
    }

    fn refused(&mut self, now: Instant, status: u16, response: &Message) {
        let after = response.text(HeaderName::RetryAfter).and_then(|value| delta_seconds(&value));
        let after = after.map(|seconds| Duration::from_secs(seconds.into()));
        let words = match status {
            401 | 403 | 407 => {
                format!("{status} {}: check user and secret", response.reason())
            }
            _ => format!("{status} {}", response.reason()),
        };
        // The next attempt starts afresh: the configuration at the carrier may have been mended.
        self.credentials = Credentials::new(self.wish.account.clone());
        // Another server of the carrier's may be well; what is wrong with our account is wrong at all of them.
        if matches!(status, 408 | 500..600) {
            return self.failed_here(now, words, after);
        }
        self.failed(now, words, after);
    }

    /// The REGISTER got no answer or could not be sent.
    pub fn unanswered(&mut self, now: Instant, why: Failure) {
        let place = self.hop().map(ToString::to_string).unwrap_or_default();
        let words = match why {
            Failure::TimedOut => format!("no answer from {place}"),
            Failure::Transport => format!("{place} cannot be reached"),
        };
        self.client = None;
        if self.is_leaving {
            return self.is_down(words);
        }
        self.failed_here(now, words, None);
    }

    /// It failed at this hop: the next one is tried at once, and after the last of them there is a pause.
    fn failed_here(&mut self, now: Instant, words: String, after: Option<Duration>) {
        let count = self.wish.hops.len().max(1);
        self.at = (self.at + 1) % count;
        self.failed += 1;
        if self.failed.is_multiple_of(count) {
            return self.failed(now, words, after);
        }
        self.is_down(words);
        self.next_at = Some(now);
    }

    fn failed(&mut self, now: Instant, words: String, after: Option<Duration>) {
        self.is_down(words);
        self.next_at = Some(now + after.unwrap_or(self.pause).clamp(AFTER_MIN, RETRY_MAX));
        self.pause = (self.pause * 2).min(RETRY_MAX);
    }

    /// What the carrier granted: our contact's own expires, else the header, else what was asked for.
    fn granted(&self, response: &Message) -> Duration {
        let own = response.list(HeaderName::Contact).into_iter().find_map(|value| {
            let contact = NameAddr::parse(&value).ok()?;
            // Not read as an address: outside <> its parameters would be the header's, not the URI's.
            let ours = Uri::parse(&self.wish.contact)?;
            let is_ours = contact.parsed_uri()?.is_equivalent(&ours);
            let expires = contact.params.get("expires").and_then(|text| delta_seconds(&text));
            if is_ours { expires } else { None }
        });
        own.or_else(|| response.expires())
            .map_or(self.expires, |seconds| Duration::from_secs(seconds.into()))
    }
}

/// What tells our Contact from others, by the account: the same after a reload and a restart, since a carrier would take
/// another one for another phone of ours and call both. Only who has the password can make it; where there is none, it is
/// drawn.
fn line_of(wish: &Wish) -> Option<String> {
    let secret = Some(&wish.account.secret).filter(|secret| !secret.is_empty())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    for part in ["line", &wish.registrar, &wish.aor, &wish.contact] {
        mac.update(part.as_bytes());
        mac.update(b"\n");
    }
    let bytes = mac.finalize().into_bytes();
    bytes.get(..8).map(hex)
}
