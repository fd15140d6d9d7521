//! Session timers: a session that nobody refreshes ends, so that no half of a call stays for ever (RFC 4028).

use super::*;

/// The Min-SE of a peer that names none (RFC 4028 §5).
const MIN_SE_DEFAULT: Duration = Duration::from_secs(90);
/// The longest interval that a Min-SE of others may raise ours to: a day.
const EXPIRES_MAX: Duration = Duration::from_secs(86_400);
/// How often the 422 of a peer, and of the proxies before it, may raise ours in one session.
const RAISES_MAX: u8 = 4;
/// How long before its end a session is given up by the side that waits for a refresh (RFC 4028 §10).
const SLACK_MAX: Duration = Duration::from_secs(32);
/// After a refresh that failed: the next one, unless the end comes first.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// A refresh that finds another modification under way waits this long.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// What a session asks of its timer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refreshing {
    /// The interval that we ask for; zero: we ask for none, but keep to what the peer asks.
    pub expires: Duration,
    /// The shortest interval that we agree to: at least 90 s.
    pub min_se: Duration,
}

impl Default for Refreshing {
    fn default() -> Self {
        Self { expires: Duration::from_secs(1_800), min_se: MIN_SE_DEFAULT }
    }
}

impl Refreshing {
    /// Is the interval that a request asks for too short? Only a peer that knows of session timers can be
    /// told so, by 422 with our Min-SE (RFC 4028 §9).
    #[must_use]
    pub fn is_too_short(&self, request: &Message) -> bool {
        knows_timers(request) && Asked::of(request).is_some_and(|asked| asked.expires < self.min_se)
    }
}

/// A Session-Expires header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    expires: Duration,
    /// Does the client of the request refresh? `None`: not said.
    is_client: Option<bool>,
}

impl Asked {
    fn of(message: &Message) -> Option<Self> {
        let text = message.text(HeaderName::SessionExpires)?;
        let mut words = text.split(';').map(str::trim);
        let expires = seconds(words.next()?)?;
        let refresher = words
            .filter_map(|word| word.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("refresher"))
            .map(|(_, value)| value.trim().eq_ignore_ascii_case("uac"));
        Some(Self { expires, is_client: refresher })
    }
}

/// The agreed interval and who refreshes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Terms {
    expires: Duration,
    is_ours: bool,
}

impl Terms {
    /// Before this much has passed without a refresh the session is given up.
    fn patience(self) -> Duration {
        self.expires - SLACK_MAX.min(self.expires / 3)
    }
}

/// The timer of an established session, and what was learnt about the interval.
#[derive(Debug)]
pub(super) struct Timer {
    refreshing: Refreshing,
    /// Min-SE that a 422 named; our requests repeat it.
    raised: Option<Duration>,
    raises: u8,
    running: Option<Running>,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    terms: Terms,
    /// When it ends if nothing refreshes it.
    ends_at: Instant,
    /// When we refresh it; never if the peer does.
    refresh_at: Option<Instant>,
}

impl Timer {
    pub(super) const fn new(refreshing: Refreshing) -> Self {
        Self { refreshing, raised: None, raises: 0, running: None }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let running = self.running?;
        Some(running.refresh_at.map_or(running.ends_at, |at| at.min(running.ends_at)))
    }

    /// What we ask for in an INVITE, a re-INVITE or an UPDATE: in a session that has terms, the same ones.
    fn wish(&self) -> Option<Duration> {
        let asked = self.running.map_or(self.refreshing.expires, |running| running.terms.expires);
        let least = self.raised.unwrap_or(Duration::ZERO);
        (!asked.is_zero()).then(|| asked.max(least))
    }

    pub(super) fn add_to_request(&self, builder: &mut Builder) {
        let Some(expires) = self.wish() else { return };
        let refresher = match self.running {
            Some(Running { terms: Terms { is_ours: true, .. }, .. }) => ";refresher=uac",
            Some(_) => ";refresher=uas",
            None => "",
        };
        builder.add(HeaderName::SessionExpires, format_args!("{}{refresher}", expires.as_secs()));
        let least = self.raised.unwrap_or(self.refreshing.min_se);
        if self.raised.is_some() || least != MIN_SE_DEFAULT {
            builder.add(HeaderName::MinSe, least.as_secs());
        }
    }

    /// A 422 names the shortest interval that is agreed to; true if ours was raised to it, so that the
    /// request is worth sending again (RFC 4028 §7.3).
    pub(super) fn is_raised_by(&mut self, response: &Message) -> bool {
        let Some(least) = response.text(HeaderName::MinSe).and_then(|text| seconds(&text)) else {
            return false;
        };
        let is_higher = self.wish().is_some_and(|ours| least > ours) && least <= EXPIRES_MAX;
        let is_raised = is_higher && self.raises < RAISES_MAX;
        if is_raised {
            self.raises += 1;
            self.raised = Some(least);
        }
        is_raised
    }

    /// The terms that our 2xx to a request states (RFC 4028 §9, table 2).
    fn terms_for(&self, request: &Message) -> Option<Terms> {
        let knows = knows_timers(request);
        let Some(asked) = Asked::of(request) else {
            let expires = self.refreshing.expires;
            // A proxy on the way may take no shorter one.
            let least = request.text(HeaderName::MinSe).and_then(|text| seconds(&text));
            let least = least.unwrap_or_default().min(EXPIRES_MAX);
            // Unasked, but only where the peer knows what it means.
            return (knows && !expires.is_zero())
                .then_some(Terms { expires: expires.max(least), is_ours: true });
        };
        // A proxy asked for it on behalf of a peer that knows nothing of it: we refresh.
        let is_ours = !knows || asked.is_client == Some(false);
        // Below our Min-SE only if nobody could be told so; what was asked for must not grow.
        Some(Terms { expires: asked.expires.max(MIN_SE_DEFAULT), is_ours })
    }

    pub(super) fn add_to_success(&self, request: &Message, replaces: bool, builder: &mut Builder) {
        let terms = self.terms_for(request);
        match (terms.is_some(), replaces) {
            (true, true) => builder.add(HeaderName::Supported, "timer, replaces"),
            (true, false) => builder.add(HeaderName::Supported, "timer"),
            (false, true) => builder.add(HeaderName::Supported, "replaces"),
            (false, false) => {}
        }
        let Some(terms) = terms else { return };
        if knows_timers(request) {
            builder.add(HeaderName::Require, "timer");
        }
        let refresher = if terms.is_ours { "uas" } else { "uac" };
        builder.add(
            HeaderName::SessionExpires,
            format_args!("{};refresher={refresher}", terms.expires.as_secs()),
        );
    }

    /// We accepted this request.
    pub(super) fn accepted(&mut self, now: Instant, request: &Message) {
        let terms = self.terms_for(request);
        self.start(now, terms);
    }

    /// The peer accepted a request of ours: without terms in its 2xx there is no timer (RFC 4028 §7.2).
    pub(super) fn was_accepted(&mut self, now: Instant, response: &Message) {
        let terms = Asked::of(response).filter(|asked| !asked.expires.is_zero()).map(|asked| {
            // An interval that no peer may ask for would make us refresh without end.
            let expires = asked.expires.max(MIN_SE_DEFAULT);
            Terms { expires, is_ours: asked.is_client.unwrap_or(true) }
        });
        self.start(now, terms);
    }

    fn start(&mut self, now: Instant, terms: Option<Terms>) {
        self.running = terms.map(|terms| Running {
            terms,
            ends_at: now + terms.patience(),
            refresh_at: terms.is_ours.then(|| now + terms.expires / 2),
        });
    }

    pub(super) const fn stop(&mut self) {
        self.running = None;
    }

    /// The next refresh comes after a pause; the end stays where it is.
    fn put_off(&mut self, until: Instant) {
        if let Some(Running { refresh_at: Some(at), .. }) = &mut self.running {
            *at = until;
        }
    }
}

impl Session {
    /// Refreshes the session, or gives it up, when its time has come.
    pub(super) fn run_timer(&mut self, now: Instant, out: &mut Vec<Out>) {
        let Some(running) = self.timer.running else { return };
        if running.ends_at <= now {
            self.timer.stop();
            out.push(Out::Event(Event::Ended(Ending::Expired)));
            return self.send_bye(None, out);
        }
        if running.refresh_at.is_none_or(|at| at > now) {
            return;
        }
        if !self.can_modify() {
            return self.timer.put_off(now + BUSY_PAUSE);
        }
        self.timer.put_off(now + AGAIN_AFTER);
        if self.peer_allows_update {
            self.send_update(out);
        } else {
            // Only the user knows the description that a re-INVITE has to repeat.
            out.push(Out::Event(Event::RefreshDue));
        }
    }

    /// An UPDATE without a body: it changes nothing (RFC 4028 §7.4).
    pub(super) fn send_update(&mut self, out: &mut Vec<Out>) {
        let Some(dialog) = self.dialog.as_mut() else { return };
        let Some(dest) = dialog.dest() else { return };
        let uri = dialog.request_uri();
        let mut builder = dialog.request(&Method::Update, None);
        builder.add(HeaderName::UserAgent, &self.setting.user_agent);
        builder.add(HeaderName::Supported, self.supported());
        self.timer.add_to_request(&mut builder);
        self.across.add_to_sure(&mut builder);
        self.add_credentials(&Method::Update, &uri, None, &mut builder);
        let client = ClientKey(self.tokens.next_u64());
        self.client = Some(OpenClient::new(client, Method::Update, None));
        out.push(Out::Send { client, dest, method: Method::Update, request: builder.finish() });
    }

    /// What became of our UPDATE. One that failed is tried again until the session's time is over.
    pub(super) fn update_answered(&mut self, now: Instant, response: &Message, out: &mut Vec<Out>) {
        let status = response.status();
        if status < 200 {
            return;
        }
        self.client = None;
        if status < 300 {
            self.refresh_target(response);
            self.timer.was_accepted(now, response);
            if let Some(credentials) = &mut self.credentials {
                credentials.accepted();
            }
            return;
        }
        if self.state != State::Established {
            return;
        }
        if self.is_challenge_met(response) || status == 422 && self.timer.is_raised_by(response) {
            return self.send_update(out);
        }
        match status {
            408 | 481 => self.lost(out),
            405 | 501 => {
                // It said that it knew UPDATE.
                self.peer_allows_update = false;
                self.timer.put_off(now);
            }
            _ => {}
        }
    }
}

fn knows_timers(message: &Message) -> bool {
    message.lists(HeaderName::Supported, "timer") || message.lists(HeaderName::Require, "timer")
}

/// Delta-seconds; parameters behind them are passed over.
fn seconds(text: &str) -> Option<Duration> {
    let digits = text.split(';').next()?.trim();
    digits.parse::<u32>().ok().map(|n| Duration::from_secs(n.into()))
}
