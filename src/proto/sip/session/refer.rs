//! REFER inside a dialog (RFC 3515): the peer asks us to call somebody else, and is told what became of it.

use super::*;
use crate::proto::sip::header::name_addr::NameAddr;
use crate::proto::sip::uri::{Scheme, Uri, unescape};

/// How long the peer may expect news: longer than anybody rings.
const SUBSCRIBED: Duration = Duration::from_secs(300);

/// What a REFER asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Referred {
    /// The number in the URI of Refer-To.
    pub dialled: String,
    /// The whole URI, if it is the address of one device (RFC 5627).
    pub uri: Option<String>,
    /// Its `Replaces` header: an attended transfer (RFC 3891).
    pub replaces: Option<Replaces>,
    /// Does it name who asks, in Referred-By (RFC 3892)? Who that is, is known better than it says.
    pub is_referred: bool,
}

/// The dialog that an attended transfer replaces (RFC 3891 §3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaces {
    /// Its Call-ID.
    pub call_id: String,
    /// Both of its tags, `to-tag` first; which one is whose depends on who counts.
    pub tags: [String; 2],
    /// Only a dialog that nobody has answered is meant.
    pub is_early_only: bool,
}

impl Replaces {
    /// Reads the header's value, unescaped. `None` without a Call-ID, or without exactly one tag of each kind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(';').map(str::trim);
        let call_id = words.next().filter(|word| !word.is_empty())?.to_owned();
        let (mut to, mut from, mut is_early_only) = (None, None, false);
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let (name, value) = (name.trim(), value.trim());
            let place = match () {
                () if name.eq_ignore_ascii_case("to-tag") => &mut to,
                () if name.eq_ignore_ascii_case("from-tag") => &mut from,
                () => {
                    is_early_only |= name.eq_ignore_ascii_case("early-only");
                    continue;
                }
            };
            if value.is_empty() || place.replace(value.to_owned()).is_some() {
                return None;
            }
        }
        Some(Self { call_id, tags: [to?, from?], is_early_only })
    }

    /// Reads the header of an INVITE; `None` if it has none.
    ///
    /// # Errors
    ///
    /// More than one, one that cannot be read, or Join beside it: answer 400 (RFC 3891 §3, RFC 3911 §4).
    pub fn of(request: &Message) -> Option<Result<Self, MalformedReplaces>> {
        let values = request.list(HeaderName::Replaces);
        let first = values.first()?;
        let is_alone = values.len() == 1 && !request.has(HeaderName::Join);
        Some(Self::parse(first).filter(|_| is_alone).ok_or(MalformedReplaces))
    }
}

/// A Replaces header that says nothing: 400.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MalformedReplaces;

/// A REFER of the peer: before our answer, and then as long as it is owed news.
#[derive(Debug)]
pub(super) struct Referral {
    /// The REFER, until it is answered.
    open: Option<OpenServer>,
    /// Does it want to hear (RFC 4488)?
    is_subscribed: bool,
    /// The `id` of the subscription: not needed for the first one of a dialog.
    id: Option<u32>,
}

impl Session {
    pub(super) fn receive_refer(&mut self, open: OpenServer, out: &mut Vec<Out>) {
        if self.referral.is_some() {
            // One transfer at a time: which of two is meant nobody can say.
            return self.respond(&open, 491, out);
        }
        let wish = match read(&open.request) {
            Ok(wish) => wish,
            Err(status) => return self.respond(&open, status, out),
        };
        let request = &open.request;
        let refuses =
            |name| request.text(name).is_some_and(|v| v.trim().eq_ignore_ascii_case("false"));
        let is_subscribed =
            !refuses(HeaderName::ReferSub) && !request.lists(HeaderName::Require, "norefersub");
        let number = request.cseq().number;
        let id = std::mem::replace(&mut self.has_been_referred, true).then_some(number);
        self.referral = Some(Referral { open: Some(open), is_subscribed, id });
        out.push(Out::Event(Event::Referred(wish)));
    }

    /// Takes the peer's REFER on: 202, and the first news (RFC 3515 §2.4.4).
    pub fn accept_refer(&mut self, out: &mut Vec<Out>) {
        let Some(referral) = &mut self.referral else { return };
        let (open, is_subscribed) = (referral.open.take(), referral.is_subscribed);
        let Some(open) = open else { return };
        if is_subscribed {
            self.respond(&open, 202, out);
            self.notify_referrer(100, "Trying", false, out);
        } else {
            self.respond_with(&open, 202, &[(HeaderName::ReferSub, "false".into())], out);
        }
    }

    /// Refuses the peer's REFER; the session goes on as it was.
    pub fn refuse_refer(&mut self, status: u16, out: &mut Vec<Out>) {
        if let Some(open) = self.referral.take().and_then(|referral| referral.open) {
            self.respond(&open, status, out);
        }
    }

    /// Tells the peer how far what it asked for has come; with `is_final` for the last time (§2.4.7).
    pub fn notify_referrer(
        &mut self,
        status: u16,
        reason: &str,
        is_final: bool,
        out: &mut Vec<Out>,
    ) {
        let Some(referral) = &self.referral else { return };
        let (is_subscribed, id) = (referral.is_subscribed, referral.id);
        if is_final {
            self.referral = None;
        }
        if !is_subscribed || self.state != State::Established {
            return;
        }
        let Some(dialog) = self.dialog.as_mut() else { return };
        let Some(dest) = dialog.dest() else { return };
        let uri = dialog.request_uri();
        let mut builder = dialog.request(&Method::Notify, None);
        match id {
            Some(id) => builder.add(HeaderName::Event, format_args!("refer;id={id}")),
            None => builder.add(HeaderName::Event, "refer"),
        }
        if is_final {
            builder.add(HeaderName::SubscriptionState, "terminated;reason=noresource");
        } else {
            let seconds = SUBSCRIBED.as_secs();
            builder.add(HeaderName::SubscriptionState, format_args!("active;expires={seconds}"));
        }
        builder.add(HeaderName::UserAgent, &self.setting.user_agent);
        let body = format!("SIP/2.0 {status} {reason}\r\n");
        self.add_credentials(&Method::Notify, &uri, Some(body.as_bytes()), &mut builder);
        let request = builder.finish_with("message/sipfrag;version=2.0", body.as_bytes());
        // What the peer says to it changes nothing: it has the dialog, and its own BYE, for that.
        let client = ClientKey(self.tokens.next_u64());
        out.push(Out::Send { client, dest, method: Method::Notify, request });
    }
}

/// Reads a REFER.
fn read(request: &Message) -> Result<Referred, u16> {
    let targets = request.list(HeaderName::ReferTo);
    // Exactly one (§2.4.1).
    let [target] = targets.as_slice() else { return Err(400) };
    let address = NameAddr::parse(target).map_err(|_| 400_u16)?;
    let uri = Uri::parse(address.uri).ok_or(400_u16)?;
    if uri.scheme == Scheme::Other {
        return Err(416);
    }
    let method = uri.params.raw("method").flatten().unwrap_or("INVITE");
    let dialled = uri.dialled().into_owned();
    let replaces = match header_of(&uri, "Replaces") {
        Some(text) => Some(Replaces::parse(&text).ok_or(400_u16)?),
        None => None,
    };
    // Who is already spoken to needs no number.
    if dialled.is_empty() && replaces.is_none() || !method.eq_ignore_ascii_case("INVITE") {
        return Err(403);
    }
    let uri = uri.params.has("gr").then(|| address.uri.to_owned());
    let is_referred = request.has(HeaderName::ReferredBy);
    Ok(Referred { dialled, uri, replaces, is_referred })
}

/// A header that a URI asks to have in the request that it makes (RFC 3261 §19.1.1).
fn header_of(uri: &Uri<'_>, name: &str) -> Option<String> {
    uri.headers
        .split('&')
        .filter_map(|header| header.split_once('='))
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| unescape(value).into_owned())
}
