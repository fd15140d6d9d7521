//! What is told of recordings and of the audit.

use serde::{Deserialize, Serialize};

use super::reply::rfc3339;
use crate::edge::store::{StoredAudit, StoredRecording};

/// One recording.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RecordingRow {
    /// The call's id, 16 hex digits.
    pub call: String,
    /// The file's path.
    pub file: String,
    /// When it began.
    pub began: String,
    /// When it ended; absent while it goes on, and if a crash cut it off.
    pub ended: Option<String>,
    /// How long it plays.
    pub seconds: f64,
    /// The length of the file.
    pub bytes: u64,
    /// SHA-256 of the file, once it is whole.
    pub sha256: Option<String>,
    /// `open`, `done`, `cut`, `failed` or `deleted`.
    pub state: String,
    /// Seconds that are silent because the disk did not keep up.
    pub lost_seconds: u64,
    /// Packets that came too late for their place, or could not be decoded.
    pub late_packets: u64,
    /// What was in the way.
    pub error: Option<String>,
    /// When the file was deleted.
    pub deleted: Option<String>,
}

impl RecordingRow {
    /// From what is stored, with the folder of all recordings.
    #[must_use]
    pub fn new(row: &StoredRecording, folder: &std::path::Path) -> Self {
        Self {
            call: row.call.to_string(),
            file: folder.join(&row.file).display().to_string(),
            began: rfc3339(row.began),
            ended: row.ended.map(rfc3339),
            seconds: row.seconds,
            bytes: row.bytes,
            sha256: row.sha256.clone(),
            state: row.state.word().to_owned(),
            lost_seconds: row.lost_seconds,
            late_packets: row.late_packets,
            error: row.error.clone(),
            deleted: row.deleted.map(rfc3339),
        }
    }
}

/// One line of the audit.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AuditRow {
    /// When.
    pub at: String,
    /// Who.
    pub who: String,
    /// Did what.
    pub what: String,
    /// To what.
    pub object: String,
    /// And why.
    pub detail: String,
}

impl From<StoredAudit> for AuditRow {
    fn from(line: StoredAudit) -> Self {
        let StoredAudit { at, who, what, object, detail } = line;
        Self { at: rfc3339(at), who, what, object, detail }
    }
}
