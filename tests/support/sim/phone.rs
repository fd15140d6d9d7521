//! A test phone: it writes raw text, keeps its own small state, and logs whatever it got.

mod answer;
mod receive;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::carrier::Carrier;
use super::sdp::{self, Codec, Form, Say, Secure, TALK};
use super::text::{Login, Text, md5_challenge, uri_of};

const T1: u64 = 500_000;
const T2: u64 = 4_000_000;

/// The body of a reply.
#[derive(Clone, Debug)]
pub enum Body {
    None,
    /// An answer to the request's offer, or an offer if it had none.
    Auto,
    Text(String),
}

/// A response to say.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    /// Further header lines, each with its line end.
    pub headers: String,
    pub body: Body,
    /// Another To tag than the call's: as if a proxy had forked.
    pub tag: Option<String>,
    /// Another Contact; empty for none.
    pub contact: Option<String>,
}

impl Reply {
    pub const fn status(status: u16) -> Self {
        Self { status, headers: String::new(), body: Body::None, tag: None, contact: None }
    }

    pub fn header(mut self, line: &str) -> Self {
        self.headers += line;
        self.headers += "\r\n";
        self
    }

    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = Some(tag.to_owned());
        self
    }

    pub fn contact(mut self, contact: &str) -> Self {
        self.contact = Some(contact.to_owned());
        self
    }
}

pub fn ring() -> Reply {
    Reply::status(180)
}
pub fn early() -> Reply {
    Reply::status(183).body(Body::Auto)
}
pub fn ok() -> Reply {
    Reply::status(200).body(Body::Auto)
}

/// How a phone behaves by itself.
#[derive(Clone, Debug)]
pub struct Habits {
    /// What it says to a new INVITE, and how many milliseconds after it.
    pub on_invite: Vec<(u64, Reply)>,
    /// What it says to a re-INVITE or an UPDATE; `None`: the test does.
    pub on_modify: Option<Reply>,
    /// What it says to these methods instead of its usual answer; used up from the front.
    pub on_method: Vec<(&'static str, Reply)>,
    pub acks: bool,
    /// Does an ACK for a late offer carry the answer?
    pub answers_in_ack: bool,
    pub answers_cancel: bool,
    /// Does it answer BYE and other in-dialog requests?
    pub answers: bool,
    pub repeats: bool,
    pub logs_in: bool,
    /// Does it acknowledge reliable 18x by PRACK?
    pub pracks: bool,
    /// Milliseconds after which a re-INVITE or UPDATE that got 491 is sent again.
    pub again_after_491: Option<u64>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            on_invite: vec![(20, ring())],
            on_modify: Some(ok()),
            on_method: Vec::new(),
            acks: true,
            answers_in_ack: true,
            answers_cancel: true,
            answers: true,
            repeats: true,
            logs_in: true,
            pracks: false,
            again_after_491: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Calling,
    Incoming,
    Up,
    Over,
}

/// One call of a phone.
#[derive(Clone, Debug)]
pub struct PhoneCall {
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: String,
    /// From and To as this side writes them in its own requests, without tags.
    local: String,
    remote: String,
    pub target: String,
    pub routes: Vec<String>,
    pub cseq: u32,
    pub is_caller: bool,
    pub state: State,
    /// The request that waits for our final response.
    pub open: Option<Text>,
    /// Our INVITE as it went out last.
    pub invite: Option<Text>,
    /// The final status of the first INVITE.
    pub status: u16,
    pub form: Form,
    /// The form that both sides agreed to last.
    settled: Form,
    pub local_sdp: String,
    pub remote_sdp: String,
    version: u32,
}

/// A request of ours, to be written again with credentials.
#[derive(Clone, Debug)]
pub struct Ask {
    pub method: String,
    pub uri: String,
    pub from: String,
    pub to: String,
    pub call_id: String,
    pub cseq: u32,
    /// Further header lines, each with its line end.
    pub headers: String,
    pub body: String,
    pub call: Option<usize>,
    pub tries: u32,
}

struct Pending {
    branch: String,
    ask: Ask,
    text: String,
    again_at: u64,
    interval: u64,
    until: u64,
}

struct Repeat {
    call_id: String,
    cseq: u32,
    text: String,
    again_at: u64,
    interval: u64,
    until: u64,
}

pub struct Phone {
    /// Its name in ladders.
    pub name: String,
    pub user: String,
    /// The name it logs in with, if it is not its user.
    pub login: String,
    pub secret: String,
    pub at: SocketAddr,
    pub media_port: u16,
    pub is_tcp: bool,
    /// Where it sends to.
    pub us: SocketAddr,
    pub domain: String,
    pub habits: Habits,
    pub codecs: Vec<Codec>,
    /// Its audio is encrypted where it can be.
    pub secure: Option<Secure>,
    pub calls: Vec<PhoneCall>,
    /// Everything it got, with the time.
    pub got: Vec<(u64, Text)>,
    /// What keeps its NAT awake, with the time.
    pub pings: Vec<(u64, Vec<u8>)>,
    /// What it wants sent.
    pub out: Vec<String>,
    /// What it does otherwise than a phone, if it is a carrier.
    pub carrier: Option<Box<Carrier>>,
    counter: u32,
    nonce_count: u32,
    pending: Vec<Pending>,
    repeats: Vec<Repeat>,
    /// Requests seen, by branch and method, with the last response.
    answered: BTreeMap<String, Option<String>>,
    /// ACKs sent, by the branch of the INVITE.
    acks: BTreeMap<String, String>,
    due: Vec<(u64, usize, Reply)>,
    later: Vec<(u64, Ask)>,
    /// Reliable responses that it has acknowledged.
    pracked: Vec<String>,
}

impl Phone {
    pub fn new(name: &str, at: SocketAddr, us: SocketAddr, domain: &str) -> Self {
        Self {
            name: name.to_owned(),
            user: name.to_owned(),
            login: String::new(),
            secret: super::office::secret_of(name),
            at,
            media_port: 4000,
            is_tcp: false,
            us,
            domain: domain.to_owned(),
            habits: Habits::default(),
            codecs: vec![sdp::PCMU, sdp::PCMA, sdp::DIGITS],
            secure: None,
            calls: Vec::new(),
            got: Vec::new(),
            pings: Vec::new(),
            out: Vec::new(),
            carrier: None,
            counter: 0,
            nonce_count: 0,
            pending: Vec::new(),
            repeats: Vec::new(),
            answered: BTreeMap::new(),
            acks: BTreeMap::new(),
            due: Vec::new(),
            later: Vec::new(),
            pracked: Vec::new(),
        }
    }

    pub fn fresh(&mut self, what: &str) -> String {
        self.counter += 1;
        format!(
            "{what}{}x{}",
            self.name.replace(|c: char| !c.is_ascii_alphanumeric(), ""),
            self.counter
        )
    }

    /// Does it get what is sent there? A carrier has many ports.
    pub fn is_at(&self, to: SocketAddr) -> bool {
        self.at == to || self.carrier.is_some() && self.at.ip() == to.ip()
    }

    pub fn contact(&self) -> String {
        let transport = if self.is_tcp { ";transport=tcp" } else { "" };
        format!("<sip:{}@{}{transport}>", self.user, self.at)
    }

    fn via(&self, branch: &str) -> String {
        let transport = if self.is_tcp { "TCP" } else { "UDP" };
        format!("SIP/2.0/{transport} {};rport;branch={branch}", self.at)
    }

    pub fn last(&self) -> &PhoneCall {
        self.calls.last().expect("the phone has had a call")
    }

    pub fn last_index(&self) -> usize {
        self.calls.len() - 1
    }

    /// The statuses of all responses to this method, in order.
    pub fn statuses(&self, method: &str) -> Vec<u16> {
        self.got
            .iter()
            .filter(|(_, text)| !text.is_request() && text.method() == method)
            .map(|(_, text)| text.status())
            .collect()
    }

    /// The requests of this method that it got.
    pub fn requests(&self, method: &str) -> Vec<&Text> {
        self.got.iter().map(|(_, text)| text).filter(|text| text.is(method)).collect()
    }

    /// The latest response with this status.
    pub fn response(&self, status: u16) -> Option<&Text> {
        self.got.iter().rev().map(|(_, text)| text).find(|text| text.status() == status)
    }

    fn say_sdp(
        &mut self,
        call: usize,
        codecs: &[Codec],
        form: Form,
        offer: Option<&str>,
    ) -> String {
        let audio =
            SocketAddr::new(self.at.ip(), self.media_port + 2 * u16::try_from(call % 500).unwrap());
        let call = &mut self.calls[call];
        let write = |version| {
            let plain = Say { id: 77, version, audio, codecs, form }.write();
            match (&self.secure, offer) {
                (None, _) => plain,
                (Some(secure), None) => secure.offered(&plain),
                (Some(secure), Some(offer)) => secure.answered(&plain, offer),
            }
        };
        if write(call.version) != call.local_sdp {
            call.version += 1;
        }
        call.local_sdp = write(call.version);
        call.local_sdp.clone()
    }

    /// Does it speak anything of this offer? Of none it speaks everything.
    fn shares_a_codec(&self, offer: &str) -> bool {
        let offered = sdp::codecs(offer);
        let is_voice = |map: &str| !map.starts_with("telephone-event");
        let is_own = |map: &str| self.codecs.iter().any(|(_, own)| own.eq_ignore_ascii_case(map));
        let mut voices = offered.iter().filter(|(_, map)| is_voice(map)).peekable();
        voices.peek().is_none() || voices.any(|(_, map)| is_own(map))
    }

    /// Our offer as it stands.
    pub fn offer(&mut self, call: usize) -> String {
        let (codecs, form) = (self.codecs.clone(), self.calls[call].form);
        self.say_sdp(call, &codecs, form, None)
    }

    fn answer_to(&mut self, call: usize, offer: &str) -> String {
        let names: Vec<_> = self.codecs.clone();
        let common: Vec<Codec> = sdp::codecs(offer)
            .into_iter()
            .filter_map(|(number, map)| {
                let own = names.iter().find(|(_, own)| own.eq_ignore_ascii_case(&map))?;
                Some((number, own.1))
            })
            .collect();
        let form = match self.calls[call].form {
            Form::Direction(own) => {
                Form::Direction(sdp::both(own, sdp::complement(sdp::direction(offer))))
            }
            other => other,
        };
        self.say_sdp(call, &common, form, Some(offer))
    }

    /// Sends a request of ours and, over UDP, repeats it.
    pub fn ask(&mut self, now: u64, ask: Ask) -> String {
        let branch = self.fresh("z9hG4bK");
        let is_said = ask.body.is_empty() || ask.headers.contains("Content-Type: ");
        let content = if is_said { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{} {} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} {}\r\n{}{content}Content-Length: {}\r\n\r\n{}",
            ask.method,
            ask.uri,
            self.via(&branch),
            ask.from,
            ask.to,
            ask.call_id,
            ask.cseq,
            ask.method,
            ask.headers,
            ask.body.len(),
            ask.body
        );
        if ask.method == "INVITE"
            && let Some(call) = ask.call
        {
            self.calls[call].invite = Some(Text::read(text.as_bytes()));
        }
        self.out.push(text.clone());
        self.pending.push(Pending {
            branch: branch.clone(),
            ask,
            text,
            again_at: if self.is_tcp || !self.habits.repeats { u64::MAX } else { now + T1 },
            interval: T1,
            until: now + 64 * T1,
        });
        branch
    }

    /// Registers its contact for so many seconds.
    pub fn register(&mut self, now: u64, contacts: &str, headers: &str) {
        let uri = format!("sip:{}", self.domain);
        let me = format!("<sip:{}@{}>", self.user, self.domain);
        let tag = self.fresh("reg");
        let call_id = format!("registration-{}", self.name);
        self.counter += 1;
        let contact =
            if contacts.is_empty() { String::new() } else { format!("Contact: {contacts}\r\n") };
        let ask = Ask {
            method: "REGISTER".into(),
            uri,
            from: format!("{me};tag={tag}"),
            to: me,
            call_id,
            cseq: self.counter,
            headers: format!("{contact}{headers}"),
            body: String::new(),
            call: None,
            tries: 0,
        };
        self.ask(now, ask);
    }

    /// Calls a number. `body` is the offer.
    pub fn dial(&mut self, now: u64, number: &str, body: &Body, headers: &str) -> usize {
        let uri = format!("sip:{number}@{}", self.domain);
        self.dial_uri(now, uri, body, headers)
    }

    /// Calls whatever URI it is.
    pub fn dial_uri(&mut self, now: u64, uri: String, body: &Body, headers: &str) -> usize {
        let (tag, call_id) = (self.fresh("tag"), self.fresh("call"));
        let me = format!("<sip:{}@{}>", self.user, self.domain);
        self.calls.push(PhoneCall {
            call_id: call_id.clone(),
            local_tag: tag.clone(),
            remote_tag: String::new(),
            local: me.clone(),
            remote: format!("<{uri}>"),
            target: uri.clone(),
            routes: Vec::new(),
            cseq: 1,
            is_caller: true,
            state: State::Calling,
            open: None,
            invite: None,
            status: 0,
            form: TALK,
            settled: TALK,
            local_sdp: String::new(),
            remote_sdp: String::new(),
            version: 0,
        });
        let call = self.last_index();
        let body = match body {
            Body::None => String::new(),
            Body::Auto => self.offer(call),
            Body::Text(text) => text.clone(),
        };
        let ask = Ask {
            method: "INVITE".into(),
            to: format!("<{uri}>"),
            uri,
            from: format!("{me};tag={tag}"),
            call_id,
            cseq: 1,
            headers: format!(
                "Contact: {}\r\nAllow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n{headers}",
                self.contact()
            ),
            body,
            call: Some(call),
            tries: 0,
        };
        self.ask(now, ask);
        call
    }

    /// Gives up a call that has no answer yet.
    pub fn cancel(&mut self, call: usize) {
        let Some(invite) = self.calls[call].invite.clone() else { return };
        let text = format!(
            "CANCEL {} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} CANCEL\r\nContent-Length: 0\r\n\r\n",
            invite.uri(),
            invite.get("Via"),
            invite.get("From"),
            invite.get("To"),
            invite.call_id(),
            invite.cseq()
        );
        self.out.push(text);
    }

    /// A request inside a dialog.
    pub fn in_dialog(&mut self, now: u64, call: usize, method: &str, headers: &str, body: String) {
        let contact = self.contact();
        let state = &mut self.calls[call];
        state.cseq += 1;
        let routes: String =
            state.routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let contact =
            if method == "BYE" { String::new() } else { format!("Contact: {contact}\r\n") };
        let ask = Ask {
            method: method.to_owned(),
            uri: state.target.clone(),
            from: format!("{};tag={}", state.local, state.local_tag),
            to: format!("{};tag={}", state.remote, state.remote_tag),
            call_id: state.call_id.clone(),
            cseq: state.cseq,
            headers: format!("{routes}{contact}{headers}"),
            body,
            call: Some(call),
            tries: 0,
        };
        self.ask(now, ask);
    }

    pub fn hang_up(&mut self, now: u64, call: usize) {
        self.in_dialog(now, call, "BYE", "", String::new());
        self.calls[call].state = State::Over;
    }

    /// Sends a re-INVITE or UPDATE that says this.
    pub fn modify(&mut self, now: u64, call: usize, method: &str, form: Form) {
        self.calls[call].form = form;
        let body = self.offer(call);
        self.in_dialog(now, call, method, "", body);
    }

    pub fn next_timeout(&self) -> Option<u64> {
        let pending = self.pending.iter().map(|p| p.again_at.min(p.until));
        let repeats = self.repeats.iter().map(|r| r.again_at.min(r.until));
        let later = self.later.iter().map(|(at, _)| *at);
        let deeds = self.carrier.iter().filter_map(|carrier| carrier.next_timeout());
        let due = self.due.iter().map(|(at, ..)| *at);
        pending.chain(repeats).chain(due).chain(later).chain(deeds).min()
    }

    pub fn handle_timeout(&mut self, now: u64) {
        self.carrier_acts(now);
        self.pending.retain(|pending| pending.until > now);
        self.repeats.retain(|repeat| repeat.until > now);
        for pending in self.pending.iter_mut().filter(|pending| pending.again_at <= now) {
            self.out.push(pending.text.clone());
            let cap = if pending.ask.method == "INVITE" { u64::MAX } else { T2 };
            pending.interval = (pending.interval * 2).min(cap);
            pending.again_at = now + pending.interval;
        }
        for repeat in self.repeats.iter_mut().filter(|repeat| repeat.again_at <= now) {
            self.out.push(repeat.text.clone());
            repeat.interval = (repeat.interval * 2).min(T2);
            repeat.again_at = now + repeat.interval;
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.due).into_iter().partition(|(at, ..)| *at <= now);
        self.due = later;
        for (_, call, reply) in due {
            self.say(now, call, &reply);
        }
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        for (_, mut ask) in due {
            let Some(call) = ask.call else { continue };
            self.calls[call].cseq += 1;
            ask.cseq = self.calls[call].cseq;
            self.ask(now, ask);
        }
    }
}

fn key(request: &Text) -> String {
    format!("{} {}", request.branch(), request.method())
}
