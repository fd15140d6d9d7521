//! Where recordings lie, how much room there is, and when they go.

use std::path::PathBuf;

use nix::sys::statvfs::statvfs;
use serde_json::json;

use super::writer::name_of;
use crate::edge::control::EventLog;
use crate::edge::store::{RecordingState, Store, StoredAudit};
use crate::proto::time::Wall;
use crate::switch::cdr::record::CallId;

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;
/// Recordings that are deleted at a time, so that new ones do not wait for it; the next ones follow half a minute later.
const DELETED_MAX: usize = 500;

/// The path of a recording within the folder: a folder for each day (UTC).
pub(super) fn path_of(call: CallId, at: Wall) -> String {
    let text = crate::edge::command::reply::rfc3339(at);
    let day = text.get(..10).unwrap_or("unknown");
    format!("{day}/{}.wav", name_of(call))
}

/// Deletes a recording's file; one that is gone already is as good.
pub(super) fn delete(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => {
            // The day's folder goes with its last file; it is not empty otherwise, and stays.
            if let Some(folder) = path.parent() {
                let _ = std::fs::remove_dir(folder);
            }
            Ok(())
        }
    }
}

pub(super) struct Keeper {
    folder: PathBuf,
}

impl Keeper {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What is free on the disk for us; `None` if nobody knows.
    pub(super) fn free_bytes(&self) -> Option<u64> {
        // Before the first recording there is no folder yet.
        let place = self.folder.ancestors().find(|place| place.exists())?;
        let figures = statvfs(place).ok()?;
        Some(figures.blocks_available().saturating_mul(figures.fragment_size()))
    }

    /// Deletes what was kept for long enough. Each leaves its row and a line in the audit.
    pub(super) fn delete_old(&self, store: &Store, events: &EventLog, now: Wall, keep_days: u32) {
        // A folder that is not there is a disk that is not mounted, and its files are not deleted.
        if keep_days == 0 || !self.folder.exists() {
            return;
        }
        let before = Wall(now.0.saturating_sub(i64::from(keep_days).saturating_mul(DAY_US)));
        let old = match store.recordings_before(before, DELETED_MAX) {
            Ok(old) => old,
            Err(error) => return tracing::error!(%error, "old recordings are not deleted"),
        };
        for mut row in old {
            if let Err(error) = delete(&self.folder.join(&row.file)) {
                tracing::error!(file = %row.file, %error, "an old recording cannot be deleted");
                continue;
            }
            row.state = RecordingState::Deleted;
            row.deleted = Some(now);
            let audit = StoredAudit {
                at: now,
                who: "retention".to_owned(),
                what: "recording.deleted".to_owned(),
                object: row.call.to_string(),
                detail: format!("kept for {keep_days} days"),
            };
            let call = row.call;
            if let Err(error) = store.recording_set(row, Some(audit)) {
                tracing::error!(%call, %error, "a deleted recording is not in the audit");
            }
            let what = json!({ "call": call.to_string(), "by": "retention" });
            events.publish("recording.deleted", &what);
        }
    }
}
