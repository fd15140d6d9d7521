//! Serving commands: what an operator asks of the live daemon.

use std::path::Path;

use tokio::sync::oneshot;

use super::*;
use crate::edge::command::recordings::RecordingRow;
use crate::edge::command::reply::SubscriptionRow;
use crate::edge::command::reply::{
    CallDetail, CallRow, ContactRow, DoctorReply, DoctorRow, GuardReply, GuardRow, LegRow,
    OriginateReply, PhoneRow, RecordsReply, ReloadReply, SegmentRow, StatusReply, TimelineRow,
    TrunkRow, rfc3339,
};
use crate::edge::command::{Command, CommandError};
use crate::edge::config::{self, Diagnostic};
use crate::edge::store::StoreError;
use crate::switch::call::{Phase, View};
use crate::switch::switchboard::OriginateError;

/// How long a call may take to show itself.
pub(super) const VIEW_TIMEOUT: Duration = Duration::from_secs(2);

/// A configuration that was read for a reload, and who waits for the outcome.
pub(super) struct Reloaded {
    result: Result<Box<Loaded>, Vec<Diagnostic>>,
    is_dry_run: bool,
    request: CommandRequest,
}

impl SwitchboardTask {
    pub(super) fn command(&mut self, request: CommandRequest) {
        match request.command.clone() {
            Command::Status => self.status_with_answered(request),
            Command::Subscriptions => request.answer(Ok(self.subscriptions())),
            Command::Phones => request.answer(Ok(self.phones())),
            Command::PhoneShow { extension, with_secret } => {
                request.answer(self.phone_shown(&extension, with_secret));
            }
            Command::PhoneClear { extension } => request.answer(self.phone_cleared(&extension)),
            Command::PhoneProvision { extension, is_new, file } => {
                self.phone_provision(&extension, (is_new, file.as_deref()), request);
            }
            Command::Trunks => request.answer(Ok(self.trunks())),
            Command::TrunkExplain { trunk } => {
                let reply = self.trunk_explained(&trunk);
                request.answer(reply.ok_or(CommandError::NoSuchTrunk(trunk)));
            }
            Command::TrunkTest { trunk, number } => {
                let reply = self.trunk_tested(&trunk, &number);
                request.answer(reply);
            }
            Command::Calls => self.calls_list(request),
            Command::CallShow { call } => self.call_show(call, request),
            Command::CallOriginate { from, to, answers_itself } => {
                let reply = self.originate(&from, &to, answers_itself);
                request.answer(reply);
            }
            Command::CallRecord { call, order } => self.call_record(call, order, request),
            Command::CallWatch { .. }
            | Command::Rooms
            | Command::RoomShow { .. }
            | Command::RoomOrder { .. } => self.room_command(request),
            Command::Recordings(_) | Command::RecordingDelete { .. } | Command::Audit { .. } => {
                self.recording_command(request);
            }
            Command::Speech(wish) => self.speech(wish, request),
            Command::CallHangup { call } => self.call_hangup(call, request),
            Command::Records(filter) => {
                let store = self.tools.store.clone();
                tokio::task::spawn_blocking(move || {
                    let reply =
                        store.records(&filter).map(|rows| RecordsReply::page(rows, filter.limit));
                    request.answer(reply.map_err(CommandError::Store));
                });
            }
            Command::Events { .. } => {
                request.answer::<()>(Err(CommandError::Internal("events are served elsewhere")))
            }
            Command::Reload { is_dry_run } => self.reload(is_dry_run, request),
            Command::Doctor => request.answer(Ok(self.doctor())),
            Command::Guard => request.answer(Ok(self.guard())),
            Command::GuardUnban { address } => {
                let was_known = self.switchboard.unban(address, &mut self.out);
                let reply = was_known.then(|| json!({}));
                request.answer(reply.ok_or(CommandError::NoSuchSource(address)));
            }
        }
    }

    fn call_hangup(&mut self, call: CallId, request: CommandRequest) {
        if !self.calls.contains_key(&call) {
            return request.answer::<()>(Err(CommandError::NoSuchCall(call)));
        }
        let wish = Input::HangUp(&cause::OPERATOR, HungUpBy::Operator);
        self.tell_call(call, Box::new(wish));
        request.answer(Ok(json!({})));
    }

    fn status(&self) -> StatusReply {
        let counts = self.switchboard.counts();
        let snapshot = self.switchboard.snapshot();
        let now = self.tools.clock.now();
        let trunks = self.switchboard.trunks(now);
        let registered = snapshot
            .phones
            .keys()
            .filter(|e| !self.switchboard.registrar().bindings(e, now).is_empty());
        StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: now.since(Instant::START).as_secs_f64(),
            revision: snapshot.revision,
            is_draining: self.is_draining,
            calls: counts.calls as u64,
            calls_answered: 0,
            calls_max: snapshot.limits.calls_max as u64,
            phones: snapshot.phones.len() as u64,
            phones_registered: registered.count() as u64,
            trunks: trunks.len() as u64,
            trunks_up: trunks
                .iter()
                .filter(|trunk| matches!(trunk.state, "up" | "configured"))
                .count() as u64,
            banned: counts.guard.banned as u64,
            is_last_good: self.loaded.is_last_good,
            config: self.paths.config.display().to_string(),
            listen: self
                .sip
                .locals()
                .listeners
                .iter()
                .map(|(t, address)| format!("{}:{address}", t.word()))
                .collect(),
            last_event: self.tools.events.newest(),
        }
    }

    /// Only the calls know whether they are answered: each is asked.
    fn status_with_answered(&self, request: CommandRequest) {
        let mut reply = self.status();
        let waiting: Vec<_> =
            self.calls.keys().filter_map(|call| self.view_of(*call, false)).collect();
        tokio::task::spawn_local(async move {
            for view in waiting {
                if let Ok(Ok(view)) = tokio::time::timeout(VIEW_TIMEOUT, view).await {
                    reply.calls_answered += u64::from(view.phase == Phase::Talking);
                }
            }
            request.answer(Ok(reply));
        });
    }

    fn subscriptions(&self) -> Vec<SubscriptionRow> {
        let now = self.tools.clock.now();
        let views = self.switchboard.subscriptions().views();
        let mut rows: Vec<_> = views
            .map(|view| SubscriptionRow {
                watcher: view.watcher,
                event: view.event.to_owned(),
                watched: view.resource,
                from: view.flow.map(|flow| format!("{}:{}", flow.transport.word(), flow.remote)),
                expires_in_seconds: view.expires_at.since(now).as_secs(),
                notified: view.notified.into(),
                is_waiting: view.is_waiting,
            })
            .collect();
        rows.sort_by(|a, b| {
            (&a.watcher, &a.event, &a.watched).cmp(&(&b.watcher, &b.event, &b.watched))
        });
        rows
    }

    fn phones(&self) -> Vec<PhoneRow> {
        let now = self.tools.clock.now();
        let snapshot = self.switchboard.snapshot();
        let mut rows: Vec<_> = snapshot
            .phones
            .values()
            .map(|phone| {
                let contacts = self.switchboard.registrar().bindings(&phone.extension, now);
                PhoneRow {
                    extension: phone.extension.clone(),
                    name: phone.name.clone(),
                    contacts: contacts
                        .into_iter()
                        .map(|binding| contact_row(binding, now))
                        .collect(),
                }
            })
            .collect();
        rows.sort_by(|a, b| a.extension.cmp(&b.extension));
        rows
    }

    fn trunks(&self) -> Vec<TrunkRow> {
        let now = self.tools.clock.now();
        let snapshot = self.switchboard.snapshot();
        let trunks = self.switchboard.trunks(now);
        trunks.into_iter().map(|view| explain::trunk_row(snapshot, view)).collect()
    }

    /// Asks a call's task to show itself.
    pub(super) fn view_of(
        &self,
        call: CallId,
        with_story: bool,
    ) -> Option<oneshot::Receiver<View>> {
        let (tx, rx) = oneshot::channel();
        self.calls.get(&call)?.mailbox.try_send(Told::View(with_story, tx)).ok()?;
        Some(rx)
    }

    fn calls_list(&self, request: CommandRequest) {
        let waiting: Vec<_> =
            self.calls.keys().filter_map(|call| self.view_of(*call, false)).collect();
        tokio::task::spawn_local(async move {
            let mut rows = Vec::with_capacity(waiting.len());
            for view in waiting {
                if let Ok(Ok(view)) = tokio::time::timeout(VIEW_TIMEOUT, view).await
                    && !matches!(view.phase, Phase::Closing | Phase::Over)
                {
                    rows.push(call_row(&view));
                }
            }
            rows.sort_by(|a, b| a.id.cmp(&b.id));
            request.answer(Ok(rows));
        });
    }

    fn call_show(&self, call: CallId, request: CommandRequest) {
        let view = self.view_of(call, true);
        let (store, folder) = (self.tools.store.clone(), self.tools.recorder.folder());
        tokio::task::spawn_local(async move {
            let view = match view {
                Some(view) => {
                    tokio::time::timeout(VIEW_TIMEOUT, view).await.ok().and_then(Result::ok)
                }
                None => None,
            };
            if let Some(view) = &view
                && !matches!(view.phase, Phase::Closing | Phase::Over)
            {
                return request.answer(Ok(call_detail(view)));
            }
            // It is over, or about to be: its record is on its way to the disk, or still waits for the last answers.
            let found = tokio::task::spawn_blocking(move || {
                store.flush(VIEW_TIMEOUT)?;
                let recording = store.recording(call)?;
                let recording = recording.map(|row| RecordingRow::new(&row, &folder));
                let found = store.record(call)?;
                Ok::<_, StoreError>(found.map(|detail| CallDetail { recording, ..detail }))
            });
            request.answer(match found.await {
                Ok(Ok(Some(detail))) => Ok(detail),
                Ok(Ok(None)) => {
                    view.map(|view| call_detail(&view)).ok_or(CommandError::NoSuchCall(call))
                }
                Ok(Err(error)) => Err(CommandError::Store(error)),
                Err(_) => Err(CommandError::Internal("the reader of records failed")),
            });
        });
    }

    fn originate(
        &mut self,
        from: &str,
        to: &str,
        answers_itself: bool,
    ) -> Result<OriginateReply, CommandError> {
        let now = self.tools.clock.now();
        let placed = self.switchboard.originate(now, from, to, answers_itself, &mut self.out);
        placed_for(from, placed)
    }

    /// Reads the files on another thread; the outcome comes back to the loop.
    fn reload(&self, is_dry_run: bool, request: CommandRequest) {
        let (dir, tx) = (self.paths.config.clone(), self.reload_tx.clone());
        tokio::task::spawn_local(async move {
            let read =
                tokio::task::spawn_blocking(move || config::load(Path::new(&dir)).map(Box::new))
                    .await;
            match read {
                Ok(result) => {
                    let _ = tx.send(Reloaded { result, is_dry_run, request }).await;
                }
                Err(_) => request.answer::<()>(Err(CommandError::Internal(
                    "the configuration could not be read",
                ))),
            }
        });
    }

    pub(super) fn reloaded(&mut self, reloaded: Reloaded) {
        let Reloaded { result, is_dry_run, request } = reloaded;
        let result = result.and_then(|loaded| {
            let wrong = config::one_way_audio(&loaded.snapshot, self.sip.locals());
            if wrong.is_empty() { Ok(loaded) } else { Err(wrong) }
        });
        let loaded = match result {
            Ok(loaded) => *loaded,
            Err(diagnostics) => {
                tracing::error!(
                    errors = diagnostics.len(),
                    "configuration refused, the old one stays in force"
                );
                return request.answer::<()>(Err(CommandError::BadConfiguration(diagnostics)));
            }
        };
        let plan = config::diff(&self.loaded, &loaded);
        let warnings = loaded
            .warnings
            .iter()
            .filter_map(|warning| serde_json::to_value(warning).ok())
            .collect();
        let revision = if is_dry_run || plan.is_empty() && !self.loaded.is_last_good {
            // The files of the certificates and templates may have changed although their names have not.
            if !is_dry_run {
                self.sip.set_tls(loaded.tls.clone());
                (self.loaded.tls, self.loaded.templates) = (loaded.tls, loaded.templates);
                self.tools.sounds.set(loaded.sounds);
                self.tools.speaker.set(Arc::clone(&loaded.speech));
                self.tools.listener.set(loaded.speech);
                self.desk_reloaded();
            }
            self.loaded.snapshot.revision
        } else {
            self.apply(loaded)
        };
        if !is_dry_run {
            self.keep_configuration();
        }
        let text = plan.to_string();
        if !is_dry_run {
            tracing::info!(revision, plan = %text, "configuration reloaded");
            self.tools
                .events
                .publish("config.reloaded", &json!({ "revision": revision, "plan": text }));
        }
        request.answer(Ok(ReloadReply {
            is_applied: !is_dry_run,
            revision,
            text,
            plan: serde_json::to_value(&plan).unwrap_or_default(),
            warnings,
        }));
    }

    /// Keeps a copy of what is in force for a start over a broken one.
    fn keep_configuration(&self) {
        let (config, state) = (self.paths.config.clone(), self.paths.state.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = config::keep(&config, &state) {
                tracing::error!(%error, "no copy of the configuration could be kept");
            }
        });
    }

    /// Who is banned or limited, and for what.
    fn guard(&self) -> GuardReply {
        let now = self.tools.clock.now();
        let counts = self.switchboard.counts();
        let rows = self.switchboard.guard().rows(now).into_iter().map(|row| GuardRow {
            name: row.name,
            kind: row.kind.to_owned(),
            state: row.state.to_owned(),
            score: row.score,
            ends_in_seconds: row.until.map(|until| until.since(now).as_secs()),
            reason: row.reason,
            bans: row.bans,
            failed_logins: row.failed,
            silenced: row.silenced,
            unrecorded: row.unrecorded,
        });
        GuardReply {
            banned: counts.guard.banned as u64,
            bans: counts.guard.bans,
            watched: counts.guard.watched as u64,
            silenced: counts.guard.silenced,
            unrecorded: counts.guard.unrecorded,
            shed: counts.shed,
            rows: rows.collect(),
        }
    }

    /// Everything that should be zero, or equal to the live calls, when nothing is wrong.
    fn doctor(&self) -> DoctorReply {
        let counts = self.switchboard.counts();
        let media = self.tools.media.counters();
        let store = self.tools.store.stats();
        let recorder = self.tools.recorder.stats();
        let calls = self.calls.len() as u64;
        let (fetched, refused) = self.desk.counts();
        // A call that has ended may still wait for the answer to its BYE, without ports and journal.
        let none_left = (calls == 0).then_some(0);
        let row = |name: &str, value: u64, expected: Option<u64>| DoctorRow {
            name: name.to_owned(),
            value,
            expected,
        };
        DoctorReply {
            rows: vec![
                row("calls", calls, None),
                row("calls in the directory", counts.calls as u64, Some(calls)),
                row("dialogs", counts.dialogs as u64, none_left),
                row("client transactions", counts.client_transactions as u64, None),
                row("server transactions", counts.server_transactions as u64, None),
                row("media calls", media.calls, none_left),
                row("media port pairs in use", media.port_pairs_used, none_left),
                row("media port pairs free", media.port_pairs_free, None),
                row("busiest media thread, percent", media.busiest_percent, None),
                row("journal rows", store.journal, none_left),
                row("store queue", store.queued, Some(0)),
                row("store spilled", store.spilled, Some(0)),
                row("records lost", store.lost, Some(0)),
                row("store failures", store.failures, Some(0)),
                row("recordings being written", recorder.open, None),
                row("recordings failed", recorder.failed, Some(0)),
                row("seconds of recordings lost", recorder.lost, Some(0)),
                row("call mailboxes overfull", self.overfull, Some(0)),
                row("connections", self.sip.connections() as u64, None),
                row("phones registered", counts.registered as u64, None),
                row("messages being relayed", counts.messages as u64, None),
                row("publications", counts.publications as u64, None),
                row("subscriptions", counts.subscriptions as u64, None),
                row("lines of calls", counts.lines as u64, none_left),
                row("calls in rooms", counts.in_rooms as u64, none_left),
                row("files fetched by phones", fetched, None),
                row("fetches refused", refused, None),
                row("calls being identified", counts.stir as u64, None),
                row("nonces remembered", counts.nonces as u64, None),
                row("messages dropped", counts.dropped, None),
                row("requests challenged", counts.challenged, None),
                row("requests shed for load", counts.shed, None),
                row("requests silenced", counts.guard.silenced, None),
                row("sources banned", counts.guard.banned as u64, None),
                row("sources watched", counts.guard.watched as u64, None),
                row("refused calls without a record", counts.guard.unrecorded, None),
            ],
        }
    }
}

pub(super) fn contact_row(binding: &Binding, now: Instant) -> ContactRow {
    ContactRow {
        uri: binding.contact.clone(),
        transport: binding.flow.transport.word().to_owned(),
        from: binding.flow.remote.to_string(),
        expires_in_seconds: binding.expires_at.since(now).as_secs(),
        user_agent: binding.user_agent.clone(),
    }
}

fn call_row(view: &View) -> CallRow {
    CallRow {
        id: view.began.call.to_string(),
        direction: view.began.direction.word().to_owned(),
        caller: view.began.caller.clone(),
        withheld: view.began.is_withheld,
        called: view.began.called.clone(),
        trunk: view.began.trunk.clone(),
        // A held call is one that talks, to the call; to the operator it is on hold.
        state: view.segments.last().map_or(view.phase.word(), |now| now.kind.word()).to_owned(),
        began: rfc3339(view.began.at),
        answered: view.answered.map(rfc3339),
        duration_seconds: view.age.as_secs_f64(),
        recording: view.recording.word().to_owned(),
    }
}

fn call_detail(view: &View) -> CallDetail {
    CallDetail {
        call: call_row(view),
        recording: None,
        ended: None,
        cause: None,
        hung_up_by: None,
        segments: view.segments.iter().map(SegmentRow::from).collect(),
        timeline: view.timeline.iter().map(TimelineRow::from).collect(),
        legs: view.legs.iter().map(LegRow::from).collect(),
        audio: view.hearing.as_ref().map(ToString::to_string),
    }
}

/// What an operator is told of a call that was placed for a phone.
pub(super) fn placed_for(
    phone: &str,
    placed: Result<CallId, OriginateError>,
) -> Result<OriginateReply, CommandError> {
    match placed {
        Ok(call) => Ok(OriginateReply { call: call.to_string() }),
        Err(OriginateError::NoSuchPhone) => Err(CommandError::NoSuchPhone(phone.to_owned())),
        Err(OriginateError::NotRegistered) => Err(CommandError::Refused(&cause::UNREACHABLE)),
        Err(OriginateError::Refused) => Err(CommandError::Refused(&cause::LIMIT)),
    }
}
