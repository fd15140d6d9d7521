//! One INVITE usage of a dialog: from the first INVITE to the last BYE, as server or as client.
//!
//! The session knows nothing of media: bodies are bytes. Its user (a call) asks for what it wants and is
//! told what happened; the messages to send are outputs. One file per verb.

mod bye;
mod client;
mod early;
mod identifier;
mod info;
mod modify;
mod peer;
mod prack;
mod refer;
mod reliable;
mod server;
mod setting;
#[cfg(test)]
mod tests;
mod timer;

use std::collections::VecDeque;
use std::time::Duration;

use super::auth::client::Credentials;
use super::dialog::Dialog;
use super::endpoint::{ClientKey, Failure, ServerKey};
use super::header::HeaderName;
use super::header::reason::Reasons;
use super::message::build::{Builder, reason_phrase};
use super::message::{Message, Packet};
use super::method::Method;
use super::transaction::Timers;
use super::transport::{Dest, Flow};
use crate::proto::time::Instant;
use crate::proto::token::Tokens;

pub use identifier::SessionIds;
pub use info::Digit;
pub use refer::{Referred, Replaces};
pub use reliable::Reliable;
pub use setting::{Invite, Setting};
pub use timer::Refreshing;

/// The methods that we serve, for `Allow`.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, REGISTER";

/// Early dialogs of one INVITE of ours; a proxy that forks further has its later branches ignored until
/// one of them answers.
const EARLY_MAX: usize = 16;
/// ACKs that are kept; with more the oldest is forgotten.
const ACKS_MAX: usize = 8;
/// How often a modification of ours is tried again after 491 before it counts as failed.
const GLARE_RETRIES_MAX: u8 = 4;

/// What the session wants sent, or tells its user.
#[derive(Clone, Debug)]
pub enum Out {
    /// A request with a transaction.
    Send {
        /// Its transaction.
        client: ClientKey,
        /// Where to.
        dest: Dest,
        /// Its method.
        method: Method,
        /// The request without our Via.
        request: Packet,
    },
    /// An ACK for a 2xx, without our Via.
    SendAck {
        /// Where to.
        dest: Dest,
        /// The ACK.
        request: Packet,
    },
    /// Cancel this INVITE of ours.
    Cancel {
        /// Its transaction.
        client: ClientKey,
        /// The Reason header, if there is one.
        reason: Option<String>,
    },
    /// A response.
    Respond {
        /// Its transaction.
        server: ServerKey,
        /// The status.
        status: u16,
        /// The response.
        packet: Packet,
    },
    /// Something happened.
    Event(Event),
}

/// What the user of a session is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// 101 to 199 came.
    Progress {
        /// The status.
        status: u16,
        /// A session description: early media.
        body: Option<Vec<u8>>,
        /// Is that the peer's offer, in a reliable response? Then [`Session::prack`] must follow.
        is_offer: bool,
    },
    /// The peer offers, by PRACK or UPDATE, before the final response: [`Session::answer_early`] must follow.
    EarlyOffer {
        /// The session description.
        body: Vec<u8>,
    },
    /// The answer to the offer that a reliable response of ours carried.
    EarlyAnswer {
        /// The session description; `None` against RFC 3262 §5.
        body: Option<Vec<u8>>,
    },
    /// 2xx came: the session is established. If we offered nothing, the body is the peer's offer and
    /// [`Session::acknowledge`] must follow.
    Answered {
        /// The session description.
        body: Option<Vec<u8>>,
    },
    /// The INVITE was refused; the session is over.
    Rejected {
        /// The status.
        status: u16,
        /// Its reason phrase.
        reason: String,
        /// The Contacts of a 3xx, raw.
        contacts: Vec<String>,
    },
    /// The INVITE got no answer or could not be sent; the session is over.
    Failed(Failure),
    /// Our 2xx was acknowledged; the body answers an offer that it carried.
    Acked {
        /// The session description.
        body: Option<Vec<u8>>,
    },
    /// The peer wants to modify the session: [`Session::accept_offer`] or [`Session::refuse_offer`] must
    /// follow. Without a body it asks for our offer.
    Offer {
        /// The session description.
        body: Option<Vec<u8>>,
        /// Is it an UPDATE?
        is_update: bool,
    },
    /// Our modification was accepted. After one without an offer the body is the peer's offer and
    /// [`Session::acknowledge`] must follow.
    Modified {
        /// The session description.
        body: Option<Vec<u8>>,
    },
    /// Our modification was refused; the session goes on as it was (RFC 3261 §14.1).
    NotModified {
        /// The status.
        status: u16,
    },
    /// The peer asks that somebody else be called: [`Session::accept_refer`] or [`Session::refuse_refer`]
    /// must follow.
    Referred(Referred),
    /// The peer pressed a key, and said so by INFO.
    Digit(Digit),
    /// It pressed the key that switches recording, to this.
    RecordKey(bool),
    /// The session wants to be refreshed by a re-INVITE: [`Session::modify`] with the agreed description must
    /// follow.
    RefreshDue,
    /// The session is over for its user; transactions may still linger.
    Ended(Ending),
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The peer hung up.
    Bye,
    /// The peer cancelled its INVITE.
    Cancelled,
    /// Our 2xx was never acknowledged; we have hung up.
    NoAck,
    /// A reliable 18x of ours was never acknowledged; we have refused the INVITE.
    NoPrack,
    /// Nobody refreshed the session in time; we have hung up (RFC 4028 §10).
    Expired,
    /// The peer says that it no longer knows the dialog (481, 408; RFC 5057).
    Lost,
}

/// Where the session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The peer's INVITE waits for our final response.
    Incoming,
    /// Our INVITE waits for a final response.
    Outgoing,
    /// We cancelled, and wait for what becomes of it.
    Cancelling,
    /// Both sides agreed.
    Established,
    /// We sent BYE.
    Ending,
    /// Nothing is left to do.
    Over,
}

/// A request of the peer that waits for our final response.
#[derive(Debug)]
struct OpenServer {
    server: ServerKey,
    request: Message,
    flow: Flow,
    tag: String,
}

/// A request of ours that waits for a final response.
#[derive(Debug)]
struct OpenClient {
    client: ClientKey,
    method: Method,
    body: Option<Vec<u8>>,
    /// Nobody wants it any more: it is not sent again.
    is_cancelled: bool,
}

impl OpenClient {
    const fn new(client: ClientKey, method: Method, body: Option<Vec<u8>>) -> Self {
        Self { client, method, body, is_cancelled: false }
    }
}

/// A 2xx of ours that waits for its ACK (RFC 3261 §13.3.1.4).
#[derive(Debug)]
struct Unacked {
    server: ServerKey,
    packet: Packet,
    cseq: u32,
    resend_at: Instant,
    interval: Duration,
    give_up_at: Instant,
}

/// A modification that lost a race and waits (RFC 3261 §14.1).
#[derive(Debug)]
struct Retry {
    at: Instant,
    body: Option<Vec<u8>>,
}

/// One INVITE usage.
#[derive(Debug)]
pub struct Session {
    setting: Setting,
    tokens: Tokens,
    state: State,
    dialog: Option<Dialog>,
    /// The INVITE of ours, as long as it may have to be sent again with credentials.
    invite: Option<Invite>,
    /// Call-ID, From tag and CSeq of that INVITE.
    call_id: String,
    local_tag: String,
    cseq: u32,
    /// The first INVITE's transaction: further 2xx arrive by it.
    initial: Option<ClientKey>,
    credentials: Option<Credentials>,
    early: Vec<prack::Early>,
    pracks: Vec<prack::OpenPrack>,
    digits: info::Digits,
    /// Do our INVITEs say that we support reliable responses?
    advertises_reliable: bool,
    /// Did the first INVITE carry an offer, and what is its CSeq number?
    has_offer: bool,
    invite_cseq: u32,
    provisionals: reliable::Provisionals,
    /// A PRACK or UPDATE before the final response whose offer waits for our answer.
    early_offer: Option<OpenServer>,
    /// Tags of further answers to our INVITE that were hung up; they may come again.
    hung_up: Vec<String>,
    server: Option<OpenServer>,
    client: Option<OpenClient>,
    unacked: Option<Unacked>,
    /// The CSeq of a 2xx that carried the peer's offer: its ACK waits for our answer.
    owed_ack: Option<u32>,
    /// Our ACKs, latest last, and the remote tag and CSeq that each is for: a 2xx that comes again gets its own again. One
    /// whose ACK was lost comes for 32 s, whatever re-INVITEs there are meanwhile; its sender would hang up.
    acks: VecDeque<(String, u32, Dest, Packet)>,
    /// The transaction of our BYE and the reason it gave.
    bye: Option<(ClientKey, Option<String>)>,
    /// The user hung up before the ACK of our 2xx came (RFC 3261 §15).
    hangup_after_ack: Option<Option<String>>,
    retry: Option<Retry>,
    timer: timer::Timer,
    referral: Option<refer::Referral>,
    has_been_referred: bool,
    glare_retries: u8,
    /// Did we make the Call-ID? Decides who waits longer after 491.
    owns_call_id: bool,
    /// May the peer be sent UPDATE?
    peer_allows_update: bool,
    /// May it be sent INFO?
    peer_allows_info: bool,
    peer_reasons: Reasons,
    across: identifier::Across,
}

impl Session {
    fn empty(setting: Setting, tokens: Tokens, state: State) -> Self {
        Self {
            timer: timer::Timer::new(setting.refreshing),
            across: identifier::Across::new(setting.session_ids),
            advertises_reliable: setting.reliable == Reliable::WhenSupported,
            setting,
            tokens,
            state,
            dialog: None,
            invite: None,
            call_id: String::new(),
            local_tag: String::new(),
            cseq: 0,
            initial: None,
            credentials: None,
            early: Vec::new(),
            pracks: Vec::new(),
            digits: info::Digits::default(),
            has_offer: false,
            invite_cseq: 0,
            provisionals: reliable::Provisionals::default(),
            early_offer: None,
            hung_up: Vec::new(),
            server: None,
            client: None,
            unacked: None,
            owed_ack: None,
            acks: VecDeque::new(),
            bye: None,
            hangup_after_ack: None,
            retry: None,
            referral: None,
            has_been_referred: false,
            glare_retries: 0,
            owns_call_id: false,
            peer_allows_update: false,
            peer_allows_info: false,
            peer_reasons: Reasons::default(),
        }
    }

    /// Where the session is.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The Call-ID.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Our tag: with the Call-ID it names the session among all.
    #[must_use]
    pub fn local_tag(&self) -> &str {
        &self.local_tag
    }

    /// The confirmed dialog.
    #[must_use]
    pub const fn dialog(&self) -> Option<&Dialog> {
        self.dialog.as_ref()
    }

    /// May [`Self::modify`] be called now?
    #[must_use]
    pub const fn can_modify(&self) -> bool {
        matches!(self.state, State::Established)
            && self.server.is_none()
            && self.client.is_none()
            && self.unacked.is_none()
            && self.retry.is_none()
            && self.owed_ack.is_none()
    }

    /// A request of the peer in this dialog.
    pub fn receive_request(
        &mut self,
        now: Instant,
        server: ServerKey,
        request: Message,
        flow: Flow,
        out: &mut Vec<Out>,
    ) {
        let open = OpenServer { server, tag: self.local_tag.clone(), request, flow };
        let is_ack = open.request.method() == &Method::Ack;
        if !self.is_of_peer(&open.request) {
            if !is_ack {
                self.respond(&open, 481, out);
            }
            return;
        }
        self.note_session_id(&open.request);
        if is_ack {
            return self.receive_ack(now, &open.request, out);
        }
        let Some(dialog) = self.dialog.as_mut() else {
            return self.early_request(now, open, out);
        };
        if self.state == State::Over
            || self.state == State::Ending && open.request.method() != &Method::Bye
        {
            return self.respond(&open, 481, out);
        }
        if dialog.receive(&open.request, flow).is_err() {
            return self.respond_with(&open, 500, &[(HeaderName::RetryAfter, "1".into())], out);
        }
        self.note_allow(&open.request);
        match open.request.method() {
            Method::Invite => self.receive_reinvite(open, out),
            Method::Update => self.receive_update(now, open, out),
            Method::Bye => self.receive_bye(&open, out),
            Method::Refer => self.receive_refer(open, out),
            Method::Info => self.receive_info(&open, out),
            // Of an 18x that the 2xx overtook.
            Method::Prack => self.receive_prack(now, open, out),
            Method::Options => self.receive_options(&open, out),
            _ => self.respond_with(&open, 405, &[(HeaderName::Allow, ALLOW.to_owned())], out),
        }
    }

    /// Does the From tag name the peer? The Call-ID and our own tag alone make no dialog (RFC 3261 §12).
    fn is_of_peer(&self, request: &Message) -> bool {
        let tag = request.from_tag().unwrap_or_default();
        match (&self.dialog, &self.server) {
            (Some(dialog), _) => dialog.remote_tag == tag,
            (None, Some(open)) => open.request.from_tag().unwrap_or_default() == tag,
            (None, None) => self.early.iter().any(|early| early.dialog.remote_tag == tag),
        }
    }

    /// A response to a request of this session.
    pub fn receive_response(
        &mut self,
        now: Instant,
        client: ClientKey,
        response: &Message,
        out: &mut Vec<Out>,
    ) {
        self.note_session_id(response);
        if self.bye.as_ref().is_some_and(|(key, _)| *key == client) {
            return self.bye_answered(response, out);
        }
        if response.method() == &Method::Invite && self.initial == Some(client) {
            return self.invite_answered(now, response, out);
        }
        if self.client.as_ref().is_some_and(|open| open.client == client) {
            return self.modify_answered(now, response, out);
        }
        if self.is_prack_answered(response, client, out)
            || self.is_digit_answered(Some(response), client, out)
        {
            return;
        }
        // A 2xx to a re-INVITE that came again: its ACK was lost.
        if response.method() == &Method::Invite && (200..300).contains(&response.status()) {
            self.acknowledge_again(response, out);
        }
    }

    /// A request of this session ended without a response.
    pub fn request_failed(&mut self, client: ClientKey, why: Failure, out: &mut Vec<Out>) {
        if self.bye.as_ref().is_some_and(|(key, _)| *key == client) {
            return self.bye_failed(why, out);
        }
        if self.initial == Some(client) {
            return self.invite_failed(why, out);
        }
        if self.is_digit_answered(None, client, out) {
            return;
        }
        if self.client.take_if(|open| open.client == client).is_none() {
            return self.pracks.retain(|open| !open.is(client));
        }
        // The session stays as it was: a conversation that is heard does not end because one message was not.
        // If the peer is really gone, nothing is heard either, and dead media ends the call. What could not
        // be sent counts as 503 (§8.1.3.1), what nobody answered as 504: a 408 handed on would end the other
        // dialog (RFC 5057 §5.1).
        if self.state == State::Established {
            let status = if why == Failure::TimedOut { 504 } else { 503 };
            out.push(Out::Event(Event::NotModified { status }));
        }
    }

    /// The peer is gone: the dialog ends without more ado, but a BYE is tried so that no half of it stays.
    fn lost(&mut self, out: &mut Vec<Out>) {
        out.push(Out::Event(Event::Ended(Ending::Lost)));
        self.send_bye(None, out);
    }

    fn respond(&self, open: &OpenServer, status: u16, out: &mut Vec<Out>) {
        self.respond_with(open, status, &[], out);
    }

    fn respond_with(
        &self,
        open: &OpenServer,
        status: u16,
        headers: &[(HeaderName, String)],
        out: &mut Vec<Out>,
    ) {
        let packet = self.response(open, status, reason_phrase(status), headers).finish();
        out.push(Out::Respond { server: open.server, status, packet });
    }

    /// Begins a response with what every one of ours carries.
    fn response(
        &self,
        open: &OpenServer,
        status: u16,
        reason: &str,
        headers: &[(HeaderName, String)],
    ) -> Builder {
        let mut builder =
            Builder::response(&open.request, status, reason, Some(&open.tag), &open.flow);
        let has_session = matches!(open.request.method(), Method::Invite | Method::Update);
        let has_contact = has_session || open.request.method() == &Method::Refer;
        if has_contact && (101..300).contains(&status) {
            builder.add(HeaderName::Contact, &self.setting.contact);
            if has_session && status >= 200 {
                builder.add(HeaderName::Allow, ALLOW);
                let replaces = self.setting.replaces;
                self.timer.add_to_success(&open.request, replaces, &mut builder);
            }
        }
        if has_session && (101..300).contains(&status) {
            self.across.add_to(&mut builder);
        }
        builder.add(HeaderName::SessionId, self.across.session_id());
        builder.add(HeaderName::Server, &self.setting.user_agent);
        for (name, value) in headers {
            builder.add(*name, value);
        }
        builder
    }

    /// When the session next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let unacked =
            self.unacked.as_ref().map(|unacked| unacked.resend_at.min(unacked.give_up_at));
        let retry = self.retry.as_ref().map(|retry| retry.at);
        let timer = self.timer.next_timeout().filter(|_| self.state == State::Established);
        let provisional =
            self.provisionals.next_timeout().filter(|_| self.state == State::Incoming);
        unacked.into_iter().chain(provisional).chain(retry).chain(timer).min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Out>) {
        self.resend_unacked(now, out);
        if self.state == State::Incoming {
            self.resend_unpracked(now, out);
        }
        if let Some(retry) = self.retry.take_if(|retry| retry.at <= now) {
            if self.server.is_some() || self.unacked.is_some() {
                // The peer was quicker: its own modification goes first.
                let at = now + self.glare_pause();
                self.retry = Some(Retry { at, body: retry.body });
            } else {
                self.send_modify(retry.body, out);
            }
        }
        if self.state == State::Established {
            self.run_timer(now, out);
        }
    }
}
