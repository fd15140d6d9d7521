//! Serving what operators ask of recordings.

use super::commands::VIEW_TIMEOUT;
use super::*;
use crate::edge::command::recordings::{AuditRow, RecordingRow};
use crate::edge::command::{Command, CommandError};
use crate::edge::store::RecordingFilter;
use crate::switch::recording::RecordOrder;

impl SwitchboardTask {
    /// Orders it, and answers with what is so then: who pauses must know that it is paused.
    pub(super) fn call_record(
        &mut self,
        call: CallId,
        order: RecordOrder,
        request: CommandRequest,
    ) {
        let wish = Input::Record { order, by: "an operator".to_owned() };
        self.tell_call(call, Box::new(wish));
        let Some(view) = self.view_of(call, false) else {
            return request.answer::<()>(Err(CommandError::NoSuchCall(call)));
        };
        tokio::task::spawn_local(async move {
            let view = tokio::time::timeout(VIEW_TIMEOUT, view).await.ok().and_then(Result::ok);
            let reply = view.map(|view| json!({ "recording": view.recording.word() }));
            request.answer(reply.ok_or(CommandError::Busy));
        });
    }

    pub(super) fn recording_command(&self, request: CommandRequest) {
        match request.command.clone() {
            Command::Recordings(filter) => self.recordings(filter, request),
            Command::RecordingDelete { call, reason } => {
                self.recording_delete(call, reason, request);
            }
            Command::Audit { limit } => self.audit(limit, request),
            // Nothing else comes here.
            _ => request.answer::<()>(Err(CommandError::Internal("not about recordings"))),
        }
    }

    fn recordings(&self, filter: RecordingFilter, request: CommandRequest) {
        let (store, folder) = (self.tools.store.clone(), self.tools.recorder.folder());
        tokio::task::spawn_blocking(move || {
            let rows = store.flush(VIEW_TIMEOUT).and_then(|()| store.recordings(&filter));
            let rows = rows.map(|rows| {
                let rows = rows.iter().map(|row| RecordingRow::new(row, &folder));
                rows.collect::<Vec<_>>()
            });
            request.answer(rows.map_err(Into::into));
        });
    }

    fn recording_delete(&self, call: CallId, reason: String, request: CommandRequest) {
        let recorder = self.tools.recorder.clone();
        tokio::task::spawn_blocking(move || {
            let result = recorder.delete(call, "operator", &reason);
            request.answer(result.map(|()| json!({})));
        });
    }

    fn audit(&self, limit: usize, request: CommandRequest) {
        let store = self.tools.store.clone();
        tokio::task::spawn_blocking(move || {
            let lines = store.flush(VIEW_TIMEOUT).and_then(|()| store.audit(limit));
            let rows = lines.map(|lines| lines.into_iter().map(AuditRow::from).collect::<Vec<_>>());
            request.answer(rows.map_err(Into::into));
        });
    }
}
