//! One call: its legs, what happens to them, and the record that it leaves.
//!
//! A call is a back-to-back user agent: leg `a` is the side that placed it, legs `b1`, `b2`… are the
//! branches that ring. Each leg has its own dialog and its own session description; the call decides what
//! crosses from one to the other. It is a machine: inputs and time in, outputs out.

mod answer;
mod attended;
mod digit;
mod early;
mod fax;
mod first;
mod hangup;
mod heard;
mod identity;
mod input;
mod leg;
mod lines;
mod modify;
mod music;
mod output;
mod protect;
mod recording;
mod redirect;
mod refusal;
mod replace;
mod room;
mod setup;
mod show;
mod speech;
mod story;
mod transfer;
mod watch;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::sdp::MediaAddress;
use crate::proto::sip::endpoint::{ClientKey, Failure, ServerKey};
use crate::proto::sip::header::HeaderName;
use crate::proto::sip::message::Message;
use crate::proto::sip::method::Method;
use crate::proto::sip::session::{self, Session};
use crate::proto::sip::transaction::Timers;
use crate::proto::sip::transport::Flow;
use crate::proto::time::{Instant, Wall};
use crate::proto::token::Tokens;
use crate::switch::cause::Cause;
use crate::switch::cdr::assemble::Segments;
use crate::switch::cdr::record::{Began, CallId, HungUpBy, LegRecord, Record, TimelineEntry};
use crate::switch::hearing::Hearing;
use crate::switch::identity::Shown;
use crate::switch::snapshot::Snapshot;

use modify::Modifying;

pub use input::{Incoming, Input, Origin, Plan, Ports, Side, SideStats, Start, Target};
pub use leg::Leg;
pub use lines::Line;
pub use output::{Handed, Locate, MediaOp, Output, Phase, TapeOp, Why};
pub use recording::Recording;
pub use replace::Replacement;
pub use room::{HeardBy, InRoom, RoomNews, RoomWish, Seat, Visit, room_number};
pub use show::View;
pub use speech::{SAYING_MAX, SpeechInput};
pub use watch::WATCHERS_MAX;

/// Lines of a call's timeline; later ones are counted, not kept.
pub const TIMELINE_MAX: usize = 1000;
/// How long the media plane may take to report its figures before the record is written without them.
const MEDIA_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the switchboard and other calls may take to answer: they do at once, if they are there at all.
const ASKED_MAX: Duration = Duration::from_secs(5);
/// How much longer than twice 64 T1 (an ACK that never comes, then a BYE that nobody answers) a call may take
/// to end its dialogs. Past it the call is dropped with whatever is left.
const LINGER_SLACK: Duration = Duration::from_secs(6);

#[derive(Debug, PartialEq, Eq)]
enum Media {
    Absent,
    Opening,
    Open(Ports, Ports),
    Closing,
    Closed,
}

/// Which leg a thing is about: a, or a branch by its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    A,
    B(usize),
    /// A device of the phone that an operator's call rings first; the one that answers becomes leg a.
    First(usize),
}

/// One call.
#[derive(Debug)]
pub struct Call {
    began: Began,
    /// Who placed it, as the other side is shown it.
    caller: Shown,
    given_ids: identity::GivenIds,
    /// Leg a is to be told who is at the other end now, as soon as it can be.
    tell_due: bool,
    recording: Recording,
    /// Somebody wants it paused, though it may rest for another reason.
    is_pause_ordered: bool,
    /// Which sides of the relay hear music: a, b.
    music: [bool; 2],
    speech: speech::Speech,
    began_at: Instant,
    origin: Origin,
    snapshot: Arc<Snapshot>,
    tokens: Tokens,
    user_agent: String,
    max_forwards: u8,
    media_bind: (IpAddr, IpAddr),
    phase: Phase,
    a: Option<Leg>,
    branches: Vec<Leg>,
    /// The devices of an operator's phone, until one of them answers and leaves its place empty.
    firsts: Vec<Option<Leg>>,
    winner: Option<usize>,
    groups: VecDeque<Vec<Target>>,
    /// The number that they were found for.
    dialled: String,
    /// The caller's description where it offered one, for each branch's offer.
    media: Media,
    /// The INVITE came without an offer: the called side's offer goes through.
    is_late: bool,
    /// The branch whose early offer the caller was made, until it answers.
    early_from: Option<usize>,
    modifying: Option<Modifying>,
    transfer: Option<transfer::Transfer>,
    /// Leg a speaks to side b of the relay, and the branches to side a: the caller transferred the call away,
    /// and the called party stayed.
    is_swapped: bool,
    transfers: u8,
    /// A party of another call was asked for, and has not come yet.
    is_fetching: bool,
    /// The branch that came from another call and is being offered our ports.
    joining: Option<usize>,
    /// Legs that went to another call, and the side of the relay that they had.
    given: Vec<(LegRecord, Side)>,
    /// Leg a is to be offered what the branch that answered a transfer speaks, as soon as it can be.
    reoffer_due: bool,
    /// The best refusal so far, and the status it came with.
    refusal: Option<(&'static Cause, u16)>,
    elsewhere: redirect::Elsewhere,
    /// The Q.850 cause that a peer gave, and the cause here that it goes with.
    told_q850: Option<(&'static str, u8)>,
    /// The caller said that its call was answered on another device.
    is_answered_elsewhere: bool,
    is_service: bool,
    /// It talks to us, or listens to another call.
    stay: Option<room::Stay>,
    /// The calls that listen to this one.
    watchers: Vec<CallId>,
    is_emergency: bool,
    ring_deadline: Option<Instant>,
    try_deadline: Option<Instant>,
    close_deadline: Option<Instant>,
    linger_deadline: Option<Instant>,
    /// A test of a trunk has heard enough.
    test_deadline: Option<Instant>,
    segments: Segments,
    timeline: Vec<TimelineEntry>,
    timeline_dropped: u32,
    answered: Option<Wall>,
    trunk_used: Option<String>,
    outcome: Option<(&'static Cause, HungUpBy, Instant)>,
    stats: Option<Box<[SideStats; 2]>>,
    /// Who was heard by whom, once the ports are closed.
    hearing: Option<Hearing>,
    is_recorded: bool,
    is_fax_told: bool,
    told_lines: Vec<lines::ToldLine>,
    sip_out: Vec<session::Out>,
}

impl Call {
    /// A call that has just begun. Its outputs so far are in `out`.
    pub fn begin(now: Instant, start: Start, out: &mut Vec<Output>) -> Self {
        let mut tokens = Tokens::new(start.seed);
        let mut call = Self {
            caller: start.caller,
            given_ids: identity::GivenIds::new(&mut tokens),
            tell_due: false,
            recording: Recording::Off,
            is_pause_ordered: false,
            music: [false; 2],
            speech: speech::Speech::default(),
            dialled: start.began.called.clone(),
            began: start.began,
            began_at: now,
            origin: start.origin,
            snapshot: start.snapshot,
            tokens,
            user_agent: start.user_agent,
            max_forwards: start.max_forwards,
            media_bind: start.media_bind,
            phase: Phase::Setup,
            a: None,
            branches: Vec::new(),
            firsts: Vec::new(),
            winner: None,
            groups: VecDeque::new(),
            media: Media::Absent,
            is_late: false,
            early_from: None,
            modifying: None,
            transfer: None,
            is_swapped: false,
            transfers: 0,
            is_fetching: false,
            joining: None,
            given: Vec::new(),
            reoffer_due: false,
            refusal: None,
            elsewhere: redirect::Elsewhere::default(),
            told_q850: None,
            is_answered_elsewhere: false,
            is_service: start.is_service,
            stay: None,
            watchers: Vec::new(),
            is_emergency: start.is_emergency,
            ring_deadline: None,
            try_deadline: None,
            close_deadline: None,
            linger_deadline: None,
            test_deadline: None,
            segments: Segments::default(),
            timeline: Vec::new(),
            timeline_dropped: 0,
            answered: None,
            trunk_used: None,
            outcome: None,
            stats: None,
            hearing: None,
            is_recorded: false,
            is_fax_told: false,
            told_lines: Vec::new(),
            sip_out: Vec::new(),
        };
        for (what, text) in start.remarks {
            call.note(now, "", what, text);
        }
        call.setup(now, start.incoming, start.plan, start.first, out);
        call.tell_lines(out);
        call
    }

    /// The call's id.
    #[must_use]
    pub const fn id(&self) -> CallId {
        self.began.call
    }

    /// How far it has come.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Something happened.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Request { server, request, flow } => {
                self.request(now, server, request, flow, out)
            }
            Input::Cancelled(server, why) => self.cancelled(now, server, why, out),
            Input::Response { client, response } => self.response(now, client, &response, out),
            Input::Failed { client, why } => {
                if let Some(at) = self.leg_of(client) {
                    self.on_session(now, at, out, |session, sip| {
                        session.request_failed(client, why, sip)
                    });
                }
            }
            Input::Located(plan) => self.located(now, plan, out),
            Input::Wanted { leg, to, bound } => self.wanted(now, &leg, to, bound, out),
            Input::Replace(wish) => self.replace(now, *wish, out),
            Input::Fetched(result) => self.fetched(now, result, out),
            Input::MediaOpened { a, b } => self.media_opened(now, a, b, out),
            Input::MediaRefused(why) => {
                self.note(now, "", "media.refused", why);
                // Ports that are open are closed like any others.
                if !matches!(self.media, Media::Open(..) | Media::Closing) {
                    self.media = Media::Closed;
                }
                self.fail(now, &crate::switch::cause::NO_MEDIA, None, HungUpBy::System, out);
            }
            Input::Heard(side) => self.note_of(now, side, "media.heard", "first audio"),
            Input::Latched(side, from) => {
                self.note_of(now, side, "media.latched", format!("audio comes from {from}"));
            }
            Input::Keyed { number, keys } => self.keyed(number, &keys),
            Input::NotKeyed(side, why) => self.not_keyed(now, side, why, out),
            Input::DeadMedia(side, silence) => self.dead_media(now, side, silence, out),
            Input::Pressed { side, event, duration } => {
                self.pressed(now, side, event, duration, out)
            }
            Input::Unheard(stats) => self.unheard(now, stats, out),
            Input::Figures(stats) => self.stats = Some(stats),
            Input::MediaClosed(stats) => {
                self.media = Media::Closed;
                self.stats = Some(stats);
                self.note_unauthentic(now);
                self.judge(out);
            }
            Input::Reported { leg, text } => {
                let found = self.legs().find(|(_, known)| known.key() == leg);
                if let Some(label) = found.map(|(_, leg)| leg.label.clone()) {
                    self.note(now, &label, "media.reported", text);
                }
            }
            Input::Digit { side, event } => self.room_digit(now, side, event, out),
            Input::FaxTone(side, tone) => self.fax_tone(now, side, tone, out),
            Input::Talking { side, is_on } => self.talking(side, is_on, out),
            Input::Room(news) => self.room_news(now, news, out),
            Input::Watched { by, who, is_on } => self.watched(now, (by, &who, is_on), out),
            Input::Record { order, by } => self.record_ordered(now, order, &by, out),
            Input::NotRecorded { why, has_begun } => {
                self.record_refused(now, (why, has_begun), out)
            }
            Input::Speech(input) => {
                self.speech(now, input, out);
                self.said(now, out);
            }
            Input::Noted { what, text } => self.note(now, "", what, text),
            Input::HangUp(cause, by) => self.fail(now, cause, None, by, out),
        }
        self.settle(now, out);
        self.tell_lines(out);
    }

    /// When the call next wants [`Self::handle_timeout`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let sessions = self.legs().filter_map(|(_, leg)| leg.session.next_timeout());
        let own = [
            self.ring_deadline,
            self.try_deadline,
            self.close_deadline,
            self.linger_deadline,
            self.test_deadline,
            self.stay.as_ref().and_then(|stay| stay.deadline),
        ];
        sessions.chain(own.into_iter().flatten()).min()
    }

    /// Runs what is due.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Output>) {
        let due: Vec<_> = self
            .legs()
            .filter(|(_, leg)| leg.session.next_timeout().is_some_and(|at| at <= now))
            .map(|(at, _)| at)
            .collect();
        for at in due {
            self.on_session(now, at, out, |session, sip| session.handle_timeout(now, sip));
        }
        let is_due = |deadline: &mut Option<Instant>| deadline.take_if(|at| *at <= now).is_some();
        if is_due(&mut self.try_deadline) {
            self.try_expired(now, out);
        }
        if is_due(&mut self.ring_deadline) {
            self.ring_expired(now, out);
        }
        if is_due(&mut self.test_deadline) {
            let (cause, by) = if self.is_service {
                (&crate::switch::cause::SERVED, HungUpBy::System)
            } else {
                (&crate::switch::cause::TESTED, HungUpBy::Operator)
            };
            self.fail(now, cause, None, by, out);
        }
        if self.stay.as_mut().is_some_and(|stay| is_due(&mut stay.deadline)) {
            self.stay_expired(now, out);
        }
        if is_due(&mut self.close_deadline) {
            self.media = Media::Closed;
        }
        if is_due(&mut self.linger_deadline) {
            self.phase = Phase::Over;
            out.push(Output::Done);
        }
        self.settle(now, out);
        self.tell_lines(out);
    }

    fn legs(&self) -> impl Iterator<Item = (At, &Leg)> {
        let branches = self.branches.iter().enumerate().map(|(index, leg)| (At::B(index), leg));
        let firsts = self.firsts.iter().enumerate();
        let firsts = firsts.filter_map(|(index, leg)| Some((At::First(index), leg.as_ref()?)));
        self.a.iter().map(|leg| (At::A, leg)).chain(firsts).chain(branches)
    }

    fn leg(&self, at: At) -> Option<&Leg> {
        match at {
            At::A => self.a.as_ref(),
            At::B(index) => self.branches.get(index),
            At::First(index) => self.firsts.get(index)?.as_ref(),
        }
    }

    fn leg_mut(&mut self, at: At) -> Option<&mut Leg> {
        match at {
            At::A => self.a.as_mut(),
            At::B(index) => self.branches.get_mut(index),
            At::First(index) => self.firsts.get_mut(index)?.as_mut(),
        }
    }

    /// The leg across, once there is one.
    fn across(&self, at: At) -> Option<At> {
        match at {
            At::A => self.winner.map(At::B),
            At::B(index) if self.winner == Some(index) => Some(At::A),
            At::B(_) | At::First(_) => None,
        }
    }

    fn leg_of(&self, client: ClientKey) -> Option<At> {
        self.legs().find(|(_, leg)| leg.clients().any(|known| *known == client)).map(|(at, _)| at)
    }

    fn request(
        &mut self,
        now: Instant,
        server: ServerKey,
        request: Message,
        flow: Flow,
        out: &mut Vec<Output>,
    ) {
        let tag = request.to_tag().unwrap_or_default();
        let call_id = request.call_id();
        let found = self
            .legs()
            .find(|(_, leg)| leg.session.local_tag() == tag && leg.session.call_id() == call_id);
        let Some((at, leg)) = found.map(|(at, leg)| (at, leg.label.clone())) else { return };
        self.note(now, &leg, "sip.in", request.method().as_str());
        let told = self.note_changed(at, &request);
        self.on_session(now, at, out, |session, sip| {
            session.receive_request(now, server, request, flow, sip)
        });
        if let Some(other) = told {
            self.send_news(now, other, out);
        }
    }

    fn response(
        &mut self,
        now: Instant,
        client: ClientKey,
        response: &Message,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = self.leg_of(client) else { return };
        let label = self.leg(at).map(|leg| leg.label.clone()).unwrap_or_default();
        if response.status() > 100 {
            let text =
                format!("{} {} ({})", response.status(), response.reason(), response.method());
            self.note(now, &label, "sip.in", text);
        }
        // A branch that was left, and a re-INVITE, say nothing about the branches that ring.
        let state = self.leg(at).map(|leg| leg.session.state());
        let is_invite = response.method() == &Method::Invite;
        if is_invite && state == Some(session::State::Outgoing) {
            // Even 100 says that somebody works on it: what follows may take its time.
            self.try_deadline = None;
        }
        let is_of_setup =
            matches!(state, Some(session::State::Outgoing | session::State::Cancelling));
        if is_invite
            && is_of_setup
            && response.status() >= 200
            && let Some(leg) = self.leg_mut(at)
        {
            leg.status = response.status();
        }
        if is_invite && is_of_setup && response.status() > 100 {
            self.note_connected(at, response);
        }
        self.on_session(now, at, out, |session, sip| {
            session.receive_response(now, client, response, sip)
        });
    }

    /// Lets a session act, and carries out what it wants.
    fn on_session(
        &mut self,
        now: Instant,
        at: At,
        out: &mut Vec<Output>,
        act: impl FnOnce(&mut Session, &mut Vec<session::Out>),
    ) {
        let mut sip = std::mem::take(&mut self.sip_out);
        if let Some(leg) = self.leg_mut(at) {
            act(&mut leg.session, &mut sip);
        }
        // An event may make the call act on sessions again: the list is taken out first.
        for item in std::mem::take(&mut sip) {
            self.session_out(now, at, item, out);
        }
        self.sip_out = sip;
    }

    fn session_out(&mut self, now: Instant, at: At, item: session::Out, out: &mut Vec<Output>) {
        let label = self.leg(at).map(|leg| leg.label.clone()).unwrap_or_default();
        match item {
            session::Out::Send { client, dest, method, request } => {
                self.note(now, &label, "sip.out", format!("{method} to {dest}"));
                if let Some(leg) = self.leg_mut(at) {
                    leg.remember(client, &method);
                    leg.signalling = dest.address().or(leg.signalling);
                }
                out.push(Output::Send { client, dest, method, request });
            }
            session::Out::SendAck { dest, request } => {
                self.note(now, &label, "sip.out", "ACK");
                out.push(Output::SendAck { dest, request });
            }
            session::Out::Cancel { client, reason } => {
                self.note(now, &label, "sip.out", "CANCEL");
                out.push(Output::Cancel { client, reason });
            }
            session::Out::Respond { server, status, packet } => {
                let text = format!(
                    "{status} {}",
                    crate::proto::sip::message::build::reason_phrase(status)
                );
                self.note(now, &label, "sip.out", text);
                if let Some(leg) = self.leg_mut(at)
                    && leg.invite == Some(server)
                    && status >= 200
                {
                    leg.status = status;
                }
                out.push(Output::Respond { server, status, packet });
            }
            session::Out::Event(event) => self.session_event(now, at, event, out),
        }
    }

    fn session_event(
        &mut self,
        now: Instant,
        at: At,
        event: session::Event,
        out: &mut Vec<Output>,
    ) {
        use session::Event as E;
        if matches!(self.phase, Phase::Closing | Phase::Over) {
            return;
        }
        match (at, event) {
            (At::B(index), E::Progress { status, body, is_offer }) => {
                self.progress(now, index, status, body.as_deref().map(|b| (b, is_offer)), out)
            }
            (At::First(index), E::Progress { body, .. }) => {
                self.first_progress(now, index, body.as_deref(), out)
            }
            (At::A, E::Progress { .. }) => self.ringing(now, out),
            (At::B(index), E::Answered { body }) => self.answered(now, index, body.as_deref(), out),
            (At::First(index), E::Answered { body }) => {
                self.first_answered(now, index, body.as_deref(), out)
            }
            (At::First(index), E::Rejected { status, reason, .. }) => {
                self.first_refused(now, index, status, &reason, out)
            }
            (At::First(index), E::Failed(_)) => {
                self.first_refused(now, index, 0, "not reached", out)
            }
            (at, E::RecordKey(is_on)) => self.record_key(now, at, is_on, out),
            (at, E::Digit(digit)) => self.digit(now, at, digit, out),
            (at, E::EarlyOffer { body }) => self.early_offered(now, at, &body, out),
            // Nothing else comes of a leg before it answers; our INVITE has no other answers than these.
            (At::First(_), _) | (At::A, E::Answered { .. }) => {}
            (_, E::Rejected { status, reason, contacts }) => {
                self.rejected(now, at, status, &reason, &contacts, out)
            }
            (_, E::Failed(why)) => self.unanswered(now, at, why, out),
            (_, E::EarlyAnswer { body }) => self.early_answered(now, body.as_deref(), out),
            (_, E::Acked { body }) => self.acked(now, at, body.as_deref(), out),
            (_, E::Offer { body, .. }) => self.offered(now, at, body.as_deref(), out),
            (_, E::Modified { body }) => self.modified(now, at, body.as_deref(), out),
            (_, E::NotModified { status }) => self.not_modified(now, at, status, out),
            (_, E::Referred(wish)) => self.referred(now, at, wish, out),
            (_, E::RefreshDue) => self.refresh(now, at, out),
            (_, E::Ended(how)) => self.ended(now, at, how, out),
        }
    }
}
