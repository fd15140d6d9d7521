//! Our registration at a carrier (RFC 3261 §10.2): it never stops trying.

use std::time::Duration;

use crate::proto::sip::auth::client::{Account, Credentials};
use crate::proto::sip::endpoint::{ClientKey, Failure};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::header::values::delta_seconds;
use crate::proto::sip::message::build::Builder;
use crate::proto::sip::message::{Message, Packet};
use crate::proto::sip::method::Method;
use crate::proto::sip::transport::NextHop;
use crate::proto::sip::uri::Uri;
use crate::proto::time::Instant;
use crate::proto::token::Tokens;

/// The first pause after a failure; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_secs(15);
/// The longest pause: a wrong password is tried this slowly, but it is tried.
const RETRY_MAX: Duration = Duration::from_secs(600);

/// What a registration is made with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    /// The Request-URI: the carrier's domain.
    pub registrar: String,
    /// Our address of record, for From and To.
    pub aor: String,
    /// Our Contact URI.
    pub contact: String,
    /// Where to.
    pub hop: NextHop,
    /// Our account.
    pub account: Account,
    /// How long to ask for.
    pub expires: Duration,
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

/// Our registration at one carrier.
#[derive(Debug)]
pub struct Registrant {
    wish: Wish,
    tokens: Tokens,
    call_id: String,
    tag: String,
    cseq: u32,
    credentials: Credentials,
    expires: Duration,
    state: State,
    client: Option<ClientKey>,
    next_at: Option<Instant>,
    pause: Duration,
}

impl Registrant {
    /// A registration that wants to be made at once.
    #[must_use]
    pub fn new(now: Instant, wish: Wish, seed: [u8; 32]) -> Self {
        let mut tokens = Tokens::new(seed);
        Self {
            call_id: tokens.call_id(),
            tag: tokens.tag(),
            cseq: 0,
            credentials: Credentials::new(wish.account.clone()),
            expires: wish.expires,
            state: State::Trying,
            client: None,
            next_at: Some(now),
            pause: RETRY_MIN,
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

    /// Is this transaction its own?
    #[must_use]
    pub fn owns(&self, client: ClientKey) -> bool {
        self.client == Some(client)
    }

    /// When it next wants [`Self::handle_timeout`].
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Instant> {
        self.next_at
    }

    /// Sends what is due: the key of the transaction, where to, the REGISTER.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<(ClientKey, NextHop, Packet)> {
        self.next_at.take_if(|at| *at <= now)?;
        Some(self.register())
    }

    fn register(&mut self) -> (ClientKey, NextHop, Packet) {
        self.cseq += 1;
        let wish = &self.wish;
        let mut builder = Builder::request(&Method::Register, &wish.registrar)
            .header(HeaderName::MaxForwards, 70)
            .header(HeaderName::From, format_args!("<{}>;tag={}", wish.aor, self.tag))
            .header(HeaderName::To, format_args!("<{}>", wish.aor))
            .header(HeaderName::CallId, &self.call_id)
            .header(HeaderName::CSeq, format_args!("{} REGISTER", self.cseq))
            .header(
                HeaderName::Contact,
                format_args!("<{}>;expires={}", wish.contact, self.expires.as_secs()),
            );
        for (name, value) in
            self.credentials.headers("REGISTER", &wish.registrar, b"", &mut self.tokens)
        {
            builder.add(name, value);
        }
        let client = ClientKey(self.tokens.next_u64());
        self.client = Some(client);
        (client, wish.hop.clone(), builder.finish())
    }

    /// The carrier answered. Gives the next REGISTER where one follows at once.
    pub fn answered(
        &mut self,
        now: Instant,
        response: &Message,
    ) -> Option<(ClientKey, NextHop, Packet)> {
        match response.status() {
            100..200 => return None,
            200..300 => {
                self.credentials.accepted();
                let granted = self.granted(response);
                self.pause = RETRY_MIN;
                self.state = State::Registered;
                // Early enough that one lost REGISTER does not lose the registration.
                self.next_at = Some(now + granted.mul_f64(0.8).max(Duration::from_secs(5)));
            }
            401 | 407 if self.credentials.challenged(response).is_ok() => {
                return Some(self.register());
            }
            423 => {
                let least =
                    response.text(HeaderName::MinExpires).and_then(|value| delta_seconds(&value));
                let least = Duration::from_secs(least.unwrap_or(0).into());
                if least > self.expires {
                    self.expires = least;
                    return Some(self.register());
                }
                self.failed(
                    now,
                    "423 Interval Too Brief without a usable Min-Expires".into(),
                    None,
                );
            }
            status => {
                let after =
                    response.text(HeaderName::RetryAfter).and_then(|value| delta_seconds(&value));
                let after = after.map(|seconds| Duration::from_secs(seconds.into()));
                let words = match status {
                    401 | 403 | 407 => {
                        format!("{status} {}: check user and secret", response.reason())
                    }
                    _ => format!("{status} {}", response.reason()),
                };
                // The next attempt starts afresh: the configuration at the carrier may have been mended.
                self.credentials = Credentials::new(self.wish.account.clone());
                self.failed(now, words, after);
            }
        }
        self.client = None;
        None
    }

    /// The REGISTER got no answer or could not be sent.
    pub fn unanswered(&mut self, now: Instant, why: Failure) {
        let words = match why {
            Failure::TimedOut => format!("no answer from {}", self.wish.hop),
            Failure::Transport => format!("{} cannot be reached", self.wish.hop),
        };
        self.client = None;
        self.failed(now, words, None);
    }

    fn failed(&mut self, now: Instant, words: String, after: Option<Duration>) {
        self.state = State::Failed(words);
        self.next_at = Some(now + after.unwrap_or(self.pause).min(RETRY_MAX));
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
