//! One call's task: a loop around the call machine and nothing else.

mod speech;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::clock::Clock;
use super::control::EventLog;
use super::media_io::{
    Audience, DeadAfter, Key, LegPlan, MediaHandle, Part, Playlist, RoomKey, Side as MediaSide,
};
use super::recording::{Recorder, StartRefused, TapControl};
use super::sounds::Sounds;
use super::speech::{Listener, Speaker};
use super::store::Store;
use crate::proto::time::Instant;
use crate::switch::call::{
    Call, HeardBy, InRoom, Input, MediaOp, Output, Ports, Seat, Side, Start, TapeOp, View,
};
use crate::switch::cause;
use crate::switch::cdr::record::{Began, CallId, HungUpBy, Record};

/// Inputs a call may fall behind by. When it is full the input is dropped and counted; a request that is lost
/// so is answered when the call ends, transactions and timers see to the rest.
pub const MAILBOX_MAX: usize = 256;
/// Places of them that are kept for what comes only once: a leg that another call hands over would be lost with its peer.
pub const MAILBOX_RESERVE: usize = 32;

/// Those who may wait at a time for a call's figures; a further one is shown the call without waiting for them.
const VIEWERS_MAX: usize = 16;
/// How long they wait. A call whose ports are not open yet, or closed, has none.
const FIGURES_WITHIN: Duration = Duration::from_millis(200);

/// What a call's task is told.
#[derive(Debug)]
pub enum Told {
    /// Something happened.
    Input(Box<Input>),
    /// Show yourself, with or without the whole story.
    View(bool, oneshot::Sender<View>),
}

/// What a call's task works with.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The clock.
    pub clock: Clock,
    /// The media plane.
    pub media: MediaHandle,
    /// The database.
    pub store: Store,
    /// What is played.
    pub sounds: Sounds,
    /// Who makes sounds of what is said.
    pub speaker: Speaker,
    /// Who makes texts of what is heard.
    pub listener: Listener,
    /// The recorder.
    pub recorder: Recorder,
    /// The event stream.
    pub events: EventLog,
    /// The way to the switchboard. It never waits for a call, so a call may wait for it.
    pub switchboard: mpsc::Sender<(CallId, Vec<Output>)>,
}

/// Runs a call from its begin to its end.
pub async fn run(start: Start, tools: Tools, mut mailbox: mpsc::Receiver<Told>) {
    let began = start.began.clone();
    let (lines, news) = speech::Lines::new();
    let mut task = Task {
        lines,
        news,
        began,
        tools,
        out: Vec::new(),
        is_recorded: false,
        is_done: false,
        is_without_media: false,
        next: VecDeque::new(),
        tape: None,
        viewers: Vec::new(),
        viewers_until: Instant::START,
    };
    if let Err(error) = task.tools.store.call_began(task.began.clone()) {
        tracing::error!(call = %task.began.call, %error, "call not journalled");
    }
    let now = task.tools.clock.now();
    let mut out = std::mem::take(&mut task.out);
    let call = catch_unwind(AssertUnwindSafe(|| Call::begin(now, start, &mut out)));
    task.out = out;
    let Ok(mut call) = call else { return task.die().await };
    task.carry_out().await;
    while !task.is_done {
        if std::mem::take(&mut task.is_without_media) {
            let input = Input::MediaRefused("the media plane does not keep up");
            task.act(&mut call, |call, now, out| call.handle(now, input, out));
        } else if let Some(input) = task.next.pop_front() {
            task.act(&mut call, |call, now, out| call.handle(now, input, out));
        } else if !task.turn(&mut call, &mut mailbox).await {
            break;
        }
        task.carry_out().await;
    }
}

struct Task {
    began: Began,
    tools: Tools,
    out: Vec<Output>,
    is_recorded: bool,
    is_done: bool,
    /// The media plane refused a command: the ports are not there, or do not carry what was agreed. The call
    /// must be told, and ends.
    is_without_media: bool,
    /// What was known at once: ports that were there, a recording that cannot be. The call is told in its next turns.
    next: VecDeque<Input>,
    /// What is being made to be said.
    lines: speech::Lines,
    news: speech::News,
    /// The call's recording.
    tape: Option<TapControl>,
    /// Who wants to see the whole call and waits for its figures, and until when.
    viewers: Vec<oneshot::Sender<View>>,
    viewers_until: Instant,
}

impl Task {
    /// Waits for the next input or timer and lets the call act; false if the switchboard is gone.
    async fn turn(&mut self, call: &mut Call, mailbox: &mut mpsc::Receiver<Told>) -> bool {
        let waited_for = (!self.viewers.is_empty()).then_some(self.viewers_until);
        let speech::News { made, told } = &mut self.news;
        let next = async {
            tokio::select! {
                told = mailbox.recv() => Ok(told),
                Some(made) = made.recv() => Err(Ok(made)),
                Some(told) = told.recv() => Err(Err(told)),
            }
        };
        let told = match call.next_timeout().into_iter().chain(waited_for).min() {
            Some(at) => {
                let deadline = self.tools.clock.deadline(at).into();
                timeout_at(deadline, next).await.ok()
            }
            None => Some(next.await),
        };
        let told = match told {
            Some(Err(Ok(made))) => {
                self.made(made);
                return true;
            }
            Some(Err(Err((what, text)))) => {
                self.next.push_back(Input::Noted { what, text });
                return true;
            }
            Some(Ok(told)) => Some(told),
            None => None,
        };
        match told {
            Some(None) => return false,
            Some(Some(told)) => {
                self.serve(call, told);
                // What else has come is served in the same turn.
                while let Ok(told) = mailbox.try_recv() {
                    self.serve(call, told);
                }
            }
            None => self.act(call, Call::handle_timeout),
        }
        if !self.viewers.is_empty() && self.viewers_until <= self.tools.clock.now() {
            self.show(call);
        }
        true
    }

    fn serve(&mut self, call: &mut Call, told: Told) {
        match told {
            Told::Input(input) => {
                let has_figures = matches!(*input, Input::Figures(_));
                self.act(call, |call, now, out| call.handle(now, *input, out));
                if has_figures {
                    self.show(call);
                }
            }
            Told::View(true, reply) if self.viewers.len() < VIEWERS_MAX => {
                // The relay is asked on the side, as for any command: no packet waits for it.
                if self.viewers.is_empty() {
                    self.viewers_until = self.tools.clock.now() + FIGURES_WITHIN;
                    let _ = self.tools.media.query(self.began.call.0);
                }
                self.viewers.push(reply);
            }
            Told::View(with_story, reply) => self.show_to(call, with_story, reply),
        }
    }

    /// Shows the whole call to all who wait for it, with the figures that are there.
    fn show(&mut self, call: &Call) {
        for reply in std::mem::take(&mut self.viewers) {
            self.show_to(call, true, reply);
        }
    }

    fn show_to(&self, call: &Call, with_story: bool, reply: oneshot::Sender<View>) {
        let now = self.tools.clock.now();
        // Only the one who asked goes without if this panics.
        let view = catch_unwind(AssertUnwindSafe(|| call.view(now, with_story)));
        if let Ok(view) = view {
            let _ = reply.send(view);
        }
    }

    /// Lets the call act. A panic ends this call only: its dialogs get BYE, its ports come back.
    fn act(&mut self, call: &mut Call, act: impl FnOnce(&mut Call, Instant, &mut Vec<Output>)) {
        let now = self.tools.clock.now();
        let out = &mut self.out;
        if catch_unwind(AssertUnwindSafe(|| act(call, now, out))).is_ok() {
            return;
        }
        tracing::error!(call = %self.began.call, "call panicked");
        let end = || call.handle(now, Input::HangUp(&cause::INTERNAL, HungUpBy::System), out);
        if catch_unwind(AssertUnwindSafe(end)).is_err() {
            self.is_done = true;
            let _ = self.tools.media.close(self.began.call.0);
            self.out.push(Output::Record(Box::new(self.last_record())));
            self.out.push(Output::Done);
        }
    }

    /// The call could not even begin.
    async fn die(mut self) {
        tracing::error!(call = %self.began.call, "call panicked at its begin");
        let _ = self.tools.media.close(self.began.call.0);
        self.out.clear();
        self.out.push(Output::Record(Box::new(self.last_record())));
        self.out.push(Output::Done);
        self.carry_out().await;
    }

    /// A record made of what the journal knows.
    fn last_record(&self) -> Record {
        let ended = self.tools.clock.wall();
        let span = u64::try_from(ended.0.saturating_sub(self.began.at.0)).unwrap_or(0);
        let mut segments = crate::switch::cdr::assemble::Segments::default();
        segments.change(Duration::ZERO, crate::switch::cdr::record::SegmentKind::Setup);
        Record {
            began: self.began.clone(),
            answered: None,
            ended,
            cause: &cause::INTERNAL,
            hung_up_by: HungUpBy::System,
            segments: segments.finish(Duration::from_micros(span)),
            timeline: Vec::new(),
            legs: Vec::new(),
        }
    }

    /// Carries out what the call wants: media, records and events here, the rest at the switchboard.
    async fn carry_out(&mut self) {
        let mut rest = Vec::with_capacity(self.out.len());
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Media(op) => self.media(op),
                Output::Event { kind, fields } => self.publish(kind, fields),
                Output::Record(record) => self.record(record),
                Output::Done => {
                    self.is_done = true;
                    rest.push(Output::Done);
                }
                other => rest.push(other),
            }
        }
        if !rest.is_empty() && self.tools.switchboard.send((self.began.call, rest)).await.is_err() {
            self.is_done = true;
        }
    }

    fn media(&mut self, op: MediaOp) {
        let call = self.began.call.0;
        let media = &self.tools.media;
        let is_close = matches!(op, MediaOp::Close);
        let result = match op {
            MediaOp::Open { a, b } => match media.open_now(call, a, b) {
                Some((a, b)) => {
                    let ports = |(rtp, rtcp)| Ports { rtp, rtcp };
                    self.next.push_back(Input::MediaOpened { a: ports(a), b: ports(b) });
                    Ok(())
                }
                None => media.open(call, a, b),
            },
            MediaOp::Set(side, plan) => {
                media.set_leg(call, media_side(side), LegPlan::of(&plan, true))
            }
            MediaOp::Watch { talk, hold } => media.set_dead_after(call, DeadAfter { talk, hold }),
            MediaOp::Tape(op) => return self.tape(op),
            MediaOp::Say { sides, token, say } => return self.say(sides, token, say),
            MediaOp::Silence { side } => return self.silence(side),
            MediaOp::Listen { is_on } => return self.listen(is_on),
            MediaOp::Press { side, event, duration } => {
                // A key that is lost is no reason to end a call.
                if let Err(busy) = media.press(call, media_side(side), Key { event, duration }) {
                    tracing::warn!(call = %self.began.call, %busy, "a digit is not passed on");
                }
                return;
            }
            MediaOp::Music { side, is_on } => {
                let clips = self.tools.sounds.get().hold.filter(|_| is_on);
                media.music(call, media_side(side), clips)
            }
            MediaOp::Room { side, place } => {
                let wish = place.map(|place| self.seat(&place));
                media.room(call, media_side(side), wish)
            }
            MediaOp::Close => media.close(call),
        };
        if let Err(busy) = result {
            tracing::error!(call = %self.began.call, %busy, "media command refused");
            self.is_without_media |= !is_close;
        }
    }

    /// A side's place in the rooms of the media plane.
    fn seat(&self, place: &Seat) -> (RoomKey, Part) {
        let (key, target) = match place.room {
            InRoom::Own => (RoomKey::OfCall(self.began.call.0), self.began.call.0),
            InRoom::Numbered(number) => (RoomKey::Numbered(number), 0),
            InRoom::OfCall(call) => (RoomKey::OfCall(call.0), call.0),
        };
        let audience = match place.heard_by {
            HeardBy::Both => Audience::All,
            HeardBy::Nobody => Audience::Nobody,
            HeardBy::Caller => Audience::Only(target, MediaSide::A),
            HeardBy::Called => Audience::Only(target, MediaSide::B),
        };
        let Seat { is_muted, gain_db, chimes, .. } = *place;
        (key, Part { audience, is_muted, gain_db, chimes })
    }

    /// A recording that fails costs itself, never the call.
    fn tape(&mut self, op: TapeOp) {
        self.pause_ear(op == TapeOp::Pause);
        match (op, &self.tape) {
            (TapeOp::Begin { beep }, _) => match self.tools.recorder.begin(self.began.call) {
                Ok((tap, control)) => {
                    let beep = Some(beep).filter(|every| !every.is_zero());
                    if self.tools.media.tap(self.began.call.0, tap, beep).is_err() {
                        let why = StartRefused::Busy.words();
                        return self.next.push_back(Input::NotRecorded { why, has_begun: true });
                    }
                    self.tape = Some(control);
                    if let Some(notice) = self.tools.sounds.get().notice {
                        for side in [MediaSide::A, MediaSide::B] {
                            let list = Playlist { clips: vec![notice.clone()], token: None };
                            let played = self.tools.media.say(self.began.call.0, side, list);
                            if let Err(busy) = played {
                                tracing::error!(call = %self.began.call, %busy, "the notice is not heard");
                            }
                        }
                    }
                }
                Err(refused) => {
                    let why = refused.words();
                    self.next.push_back(Input::NotRecorded { why, has_begun: false });
                }
            },
            (TapeOp::Pause | TapeOp::Resume, Some(control)) => control.pause(op == TapeOp::Pause),
            (TapeOp::Pause | TapeOp::Resume, None) => {}
        }
    }

    fn publish(&self, kind: &'static str, fields: Vec<(&'static str, String)>) {
        let mut object = serde_json::Map::with_capacity(fields.len() + 1);
        object.insert("call".into(), json!(self.began.call.to_string()));
        object.extend(fields.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
        self.tools.events.publish(kind, &Value::Object(object));
    }

    fn record(&mut self, record: Box<Record>) {
        if std::mem::replace(&mut self.is_recorded, true) {
            return;
        }
        let talk_ms = record.answered.map_or(0, |answered| (record.ended.0 - answered.0) / 1000);
        tracing::info!(call = %record.began.call, cause = record.cause.key, by = record.hung_up_by.word(), talk_ms, "call ended");
        if let Err(error) = self.tools.store.call_ended(record) {
            tracing::error!(call = %self.began.call, %error, "record not stored");
        }
    }
}

const fn media_side(side: Side) -> MediaSide {
    match side {
        Side::A => MediaSide::A,
        Side::B => MediaSide::B,
    }
}
