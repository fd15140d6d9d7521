//! The switchboard's task: the SIP sockets, the switchboard machine and the mailboxes of the calls.

mod commands;
mod explain;
mod media;
mod phones;
mod recordings;
mod rooms;
mod speech;
mod stir;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant as Deadline, sleep_until};

use super::call_task::{self, MAILBOX_MAX, MAILBOX_RESERVE, Told, Tools};
use super::command::CommandRequest;
use super::config::Loaded;
use super::media_io::MediaEvent;
use super::provisioning::Ask;
use super::recording::Terms;
use super::sip_io::{Arrival, SipIo};
use super::stir::Task;
use super::store::StoredBinding;
use super::supervisor::Paths;
use crate::proto::sip::registration::Binding;
use crate::proto::sip::transport::{Flow, Transport};
use crate::proto::time::{Instant, Wall};
use crate::switch::call::{self, Input};
use crate::switch::cause;
use crate::switch::cdr::record::{CallId, HungUpBy};
use crate::switch::snapshot::Snapshot;
use crate::switch::switchboard::{Load, Output, Switchboard};
pub use phones::Desk;

/// Batches of outputs of all calls on their way here. When it is full the calls wait, which slows only
/// them: the switchboard itself never waits for a call.
pub const OUTPUTS_MAX: usize = 4096;
/// Batches of one source that are served before the others have their turn.
const TURN: usize = 64;
/// The largest datagram.
const DATAGRAM_MAX: usize = 65_535;
/// How long the daemon stays after it has said that it goes, if anybody was to be told: time for a round trip and a
/// second one. It does not wait for who is silent.
const LAST_WORDS_TIME: Duration = Duration::from_millis(500);
/// How long calls that were told to end at shutdown may take.
const HANG_UP_TIME: Duration = Duration::from_secs(3);

/// What the task is set up with.
pub struct Setup {
    /// The switchboard.
    pub switchboard: Switchboard,
    /// Its sockets.
    pub sip: SipIo,
    /// What calls work with.
    pub tools: Tools,
    /// What calls want sent.
    pub outputs: mpsc::Receiver<(CallId, Vec<call::Output>)>,
    /// What the media plane tells.
    pub media: mpsc::Receiver<(u64, MediaEvent)>,
    /// Outside wishes.
    pub commands: mpsc::Receiver<CommandRequest>,
    /// The configuration in force and where it is read from.
    pub loaded: Loaded,
    /// Where it is read from, and where the last good one is kept.
    pub paths: Paths,
    /// What the provisioning server asks.
    pub asks: mpsc::Receiver<Ask>,
    /// What is held for phones that fetch their files.
    pub desk: Desk,
    /// Becomes true when the daemon is to stop.
    pub stop: watch::Receiver<bool>,
    /// How long live calls may go on after that.
    pub drain: Duration,
}

/// A live call as the task knows it.
struct LiveCall {
    mailbox: mpsc::Sender<Told>,
    is_emergency: bool,
    /// The media thread that it is on.
    seat: Option<usize>,
}

/// The task's state.
struct SwitchboardTask {
    switchboard: Switchboard,
    sip: SipIo,
    tools: Tools,
    calls: HashMap<CallId, LiveCall>,
    loaded: Loaded,
    paths: Paths,
    desk: Desk,
    out: Vec<Output>,
    overfull: u64,
    /// How often something was to be said, which is the name of the last time.
    said: u64,
    is_draining: bool,
    /// It was told to stop twice: nothing is waited for any more.
    is_leaving: bool,
    reload_tx: mpsc::Sender<commands::Reloaded>,
    stir: stir::StirDesk,
}

/// Runs until the daemon stops and its calls are over.
pub async fn run(setup: Setup) {
    let Setup {
        switchboard,
        sip,
        tools,
        mut outputs,
        mut media,
        mut commands,
        loaded,
        paths,
        mut asks,
        desk,
        mut stop,
        drain,
    } = setup;
    let (reload_tx, mut reloads) = mpsc::channel(4);
    let (stir, mut stir_answers) = stir::StirDesk::new();
    let mut task = SwitchboardTask {
        switchboard,
        sip,
        tools,
        calls: HashMap::new(),
        loaded,
        paths,
        desk,
        out: Vec::new(),
        overfull: 0,
        said: 0,
        is_draining: false,
        is_leaving: false,
        reload_tx,
        stir,
    };
    let mut buffer = vec![0_u8; DATAGRAM_MAX];
    let mut hang_up_at = None;
    let mut leave_at: Option<Deadline> = None;
    loop {
        task.carry_out();
        if task.is_draining && task.calls.is_empty() && task.switchboard.counts().stir == 0 {
            break;
        }
        let next = task.switchboard.next_timeout().map(|at| task.tools.clock.deadline(at).into());
        tokio::select! {
            arrival = std::future::poll_fn(|cx| task.sip.poll_next(cx, &mut buffer)) => {
                task.arrivals(arrival, &mut buffer);
            }
            Some(first) = outputs.recv() => task.calls_want(first, &mut outputs),
            Some((call, event)) = media.recv() => task.media_event(CallId(call), event),
            Some(request) = commands.recv() => task.command(request),
            Some(ask) = asks.recv() => task.web_asked(ask),
            Some(answer) = stir_answers.recv() => task.stir_answered(answer),
            Some(reloaded) = reloads.recv() => task.reloaded(reloaded),
            () = sleep_opt(next) => {
                task.timeout(outputs.len());
            }
            Ok(()) = stop.changed() => {
                let patience = task.drain(drain);
                if leave_at.is_none() {
                    hang_up_at = Some(task.soon(patience));
                }
            }
            () = sleep_opt(hang_up_at) => {
                hang_up_at = None;
                leave_at = task.hang_up_all();
            }
            () = sleep_opt(leave_at) => break,
        }
    }
    task.leave(&mut buffer).await;
}

async fn sleep_opt(at: Option<Deadline>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl SwitchboardTask {
    fn soon(&self, span: Duration) -> Deadline {
        Deadline::from_std(self.tools.clock.deadline(self.tools.clock.now() + span))
    }

    /// Takes no more calls. The first signal leaves the live ones some time, the second none.
    fn drain(&mut self, time: Duration) -> Duration {
        self.is_leaving = self.is_draining;
        let patience = if self.is_draining { Duration::ZERO } else { time };
        self.is_draining = true;
        self.switchboard.drain();
        tracing::info!(calls = self.calls.len(), seconds = patience.as_secs(), "draining");
        patience
    }

    /// Tells the phones that watch others to come again, and carriers that we go. What is said on a connection is written
    /// by the connection's own task, and a carrier may want the password once more: that has a moment.
    async fn leave(&mut self, buffer: &mut [u8]) {
        let now = self.tools.clock.now();
        self.switchboard.leave(now, &mut self.out);
        self.carry_out();
        if self.switchboard.counts().client_transactions == 0 {
            return;
        }
        let until = self.soon(LAST_WORDS_TIME);
        loop {
            tokio::select! {
                arrival = std::future::poll_fn(|cx| self.sip.poll_next(cx, buffer)) => {
                    self.arrivals(arrival, buffer);
                }
                () = sleep_until(until) => return,
            }
            self.carry_out();
        }
    }

    /// Serves what arrived, and what else is there, up to a turn's worth.
    fn arrivals(&mut self, first: Arrival, buffer: &mut [u8]) {
        // Somebody may have set the clock while nothing was due.
        self.switchboard.clock_is(self.tools.clock.now(), self.tools.clock.wall());
        self.arrival(first, buffer);
        let waker = std::task::Waker::noop();
        let mut cx = std::task::Context::from_waker(waker);
        for _ in 0..TURN {
            self.carry_out();
            // A waker that does nothing is enough: what is not there now is asked for again by the loop.
            let std::task::Poll::Ready(next) = self.sip.poll_next(&mut cx, buffer) else { break };
            self.arrival(next, buffer);
        }
    }

    fn arrival(&mut self, arrival: Arrival, buffer: &[u8]) {
        let now = self.tools.clock.now();
        match arrival {
            Arrival::Datagram(flow, length) => {
                let bytes = buffer.get(..length).unwrap_or(&[]);
                self.switchboard.receive(now, flow, bytes, &mut self.out);
            }
            Arrival::Message(flow, bytes) => {
                self.switchboard.receive(now, flow, &bytes, &mut self.out)
            }
            Arrival::Failed(attempt) => {
                self.switchboard.transport_failed(now, attempt, &mut self.out)
            }
            Arrival::Closed(connection) => {
                self.switchboard.connection_closed(now, connection, &mut self.out)
            }
            Arrival::Dns(question, answer) => {
                self.switchboard.dns_answered(now, &question, &answer, &mut self.out)
            }
        }
    }

    /// Serves what calls want, up to a turn's worth.
    fn calls_want(
        &mut self,
        first: (CallId, Vec<call::Output>),
        outputs: &mut mpsc::Receiver<(CallId, Vec<call::Output>)>,
    ) {
        self.call_wants(first);
        for _ in 0..TURN {
            let Ok(next) = outputs.try_recv() else { break };
            self.call_wants(next);
        }
    }

    fn call_wants(&mut self, (call, outputs): (CallId, Vec<call::Output>)) {
        let now = self.tools.clock.now();
        for output in outputs {
            if matches!(output, call::Output::Done) {
                self.calls.remove(&call);
            }
            self.switchboard.from_call(now, call, output, &mut self.out);
        }
    }

    /// Carries out what the switchboard wants, until it wants nothing more.
    fn carry_out(&mut self) {
        while !self.out.is_empty() {
            for output in std::mem::take(&mut self.out) {
                match output {
                    Output::Transmit { dest, packet, attempt } => {
                        self.sip.send(dest, packet, attempt)
                    }
                    Output::Ask(question) => self.sip.ask(question),
                    Output::Verify { id, checks } => self.stir_job(id, Task::Verify(checks)),
                    Output::Sign { id, input } => self.stir_job(id, Task::Sign(input)),
                    Output::StartCall(start) => self.start_call(*start),
                    Output::ToCall(call, input) => self.tell_call(call, input),
                    Output::StoreBindings { aor, bindings } => self.store_bindings(aor, &bindings),
                    Output::StoreServices { extension, services } => {
                        if let Err(error) = self.tools.store.services_set(extension, services) {
                            tracing::error!(%error, "what a phone switched is not stored");
                        }
                    }
                    Output::CutOff(source) => self.sip.cut_off(source),
                    Output::Event { kind, fields } => self.publish(kind, fields),
                }
            }
        }
    }

    fn start_call(&mut self, start: call::Start) {
        let (mailbox, inbox) = mpsc::channel(MAILBOX_MAX);
        let is_emergency = start.is_emergency;
        let mut tools = self.tools.clone();
        tools.media = self.seat_for(&start);
        let seat = tools.media.seat();
        self.calls.insert(start.began.call, LiveCall { mailbox, is_emergency, seat });
        tokio::task::spawn_local(call_task::run(start, tools, inbox));
    }

    fn tell_call(&mut self, call: CallId, input: Box<Input>) {
        let Some(live) = self.calls.get(&call) else { return };
        if live.mailbox.capacity() <= MAILBOX_RESERVE && !input.comes_once() {
            self.overfull += 1;
            return;
        }
        match live.mailbox.try_send(Told::Input(input)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => self.overfull += 1,
            Err(mpsc::error::TrySendError::Closed(_)) => {
                self.calls.remove(&call);
                // Its task died without a word: nobody else gives its ports back.
                let _ = self.tools.media.close(call.0);
                let now = self.tools.clock.now();
                self.switchboard.forget(now, call, &mut self.out);
            }
        }
    }

    fn publish(&self, kind: &'static str, fields: Vec<(&'static str, String)>) {
        if kind.starts_with("guard.") || kind == "overload" {
            let words: Vec<_> = fields.iter().map(|(name, v)| format!("{name}={v}")).collect();
            tracing::warn!(what = %words.join(" "), "{kind}");
        }
        if kind == "auth.failed" {
            let get = |wanted: &str| {
                fields.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value)
            };
            tracing::warn!(
                from = get("from"),
                method = get("method"),
                reason = get("reason"),
                "login refused"
            );
        }
        let object: serde_json::Map<String, Value> =
            fields.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        self.tools.events.publish(kind, &Value::Object(object));
    }

    fn store_bindings(&self, aor: String, bindings: &[Binding]) {
        let now = self.tools.clock.now();
        let wall = self.tools.clock.wall();
        let list = bindings.iter().map(|binding| stored(binding, now, wall)).collect();
        if let Err(error) = self.tools.store.bindings_set(aor, list) {
            tracing::error!(%error, "bindings not stored");
        }
    }

    /// Hangs up, and says when to leave. An emergency call is not cut off, and waited for: who must stop at once
    /// says so a second time.
    fn hang_up_all(&mut self) -> Option<Deadline> {
        let is_kept = |live: &LiveCall| live.is_emergency && !self.is_leaving;
        let calls: Vec<_> =
            self.calls.iter().filter(|(_, live)| !is_kept(live)).map(|(call, _)| *call).collect();
        for call in calls {
            self.tell_call(call, Box::new(Input::HangUp(&cause::SHUTTING_DOWN, HungUpBy::System)));
        }
        let is_waited_for = !self.is_leaving && self.calls.values().any(|live| live.is_emergency);
        (!is_waited_for).then(|| self.soon(HANG_UP_TIME))
    }

    /// Runs what is due, and says how much there is to do: how late that is, and what waits of the calls.
    fn timeout(&mut self, queued: usize) {
        let now = self.tools.clock.now();
        let due = self.switchboard.next_timeout().unwrap_or(now);
        let load = Load { lag: now.since(due), queued, queue_max: OUTPUTS_MAX };
        self.switchboard.loaded(now, load, &mut self.out);
        self.switchboard.clock_is(now, self.tools.clock.wall());
        self.switchboard.handle_timeout(now, &mut self.out);
    }

    /// Puts a checked configuration in force.
    fn apply(&mut self, loaded: Loaded) -> u64 {
        let now = self.tools.clock.now();
        let revision = self.loaded.snapshot.revision + 1;
        self.loaded = loaded;
        self.loaded.snapshot.revision = revision;
        let snapshot: Arc<Snapshot> = Arc::new(self.loaded.snapshot.clone());
        self.sip.set_nameservers(&snapshot.sip.nameservers);
        self.sip.set_tls(self.loaded.tls.clone());
        self.tools.sounds.set(self.loaded.sounds.clone());
        self.tools.speaker.set(Arc::clone(&self.loaded.speech));
        self.tools.listener.set(Arc::clone(&self.loaded.speech));
        self.tools.recorder.set_terms(Terms::of(&snapshot.recording));
        self.switchboard.reload(now, snapshot, &mut self.out);
        self.desk_reloaded();
        revision
    }
}

/// A binding as the database keeps it.
fn stored(binding: &Binding, now: Instant, wall: Wall) -> StoredBinding {
    let flow = &binding.flow;
    StoredBinding {
        contact: binding.contact.clone(),
        expires_at: wall.plus(binding.expires_at.since(now)),
        call_id: binding.call_id.clone(),
        cseq: binding.cseq,
        path: binding.path.clone(),
        instance: binding.instance.clone(),
        reg_id: binding.reg_id,
        flow: format!("{} {} {} {}", flow.transport.word(), flow.listener, flow.local, flow.remote),
        user_agent: binding.user_agent.clone(),
        q: binding.q,
    }
}

/// A binding as it was stored before a restart; `None` if it has expired or its flow was a connection,
/// which did not survive.
#[must_use]
pub fn restored(stored: &StoredBinding, now: Instant, wall: Wall) -> Option<Binding> {
    let left =
        u64::try_from(stored.expires_at.0.saturating_sub(wall.0)).ok().filter(|left| *left > 0)?;
    let mut words = stored.flow.split(' ');
    let transport = Transport::from_word(words.next()?)?;
    let listener = words.next()?.parse().ok()?;
    let local = words.next()?.parse().ok()?;
    let remote = words.next()?.parse().ok()?;
    if transport.is_reliable() {
        return None;
    }
    Some(Binding {
        contact: stored.contact.clone(),
        expires_at: now + Duration::from_micros(left),
        call_id: stored.call_id.clone(),
        cseq: stored.cseq,
        q: stored.q,
        path: stored.path.clone(),
        instance: stored.instance.clone(),
        reg_id: stored.reg_id,
        flow: Flow { transport, listener, local, remote, connection: 0 },
        user_agent: stored.user_agent.clone(),
    })
}
