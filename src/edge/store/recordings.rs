//! What is known of recordings, and the audit of what was done with them.

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::queue::Op;
use super::{Store, StoreError};
use crate::proto::time::Wall;
use crate::switch::cdr::record::CallId;

/// Rows in one answer.
const ROWS_MAX: usize = 1_000;

/// What became of a recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordingState {
    /// It is being written.
    Open,
    /// It is whole.
    Done,
    /// The daemon ended before the call did: it has what was written until then.
    Cut,
    /// The disk or the file was in the way; it may have a part.
    Failed,
    /// The file is gone: by age or by order.
    Deleted,
}

impl RecordingState {
    const ALL: [Self; 5] = [Self::Open, Self::Done, Self::Cut, Self::Failed, Self::Deleted];

    /// The word in the database and in tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Cut => "cut",
            Self::Failed => "failed",
            Self::Deleted => "deleted",
        }
    }
}

/// One recording.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredRecording {
    /// Whose.
    pub call: CallId,
    /// Its path within the folder of recordings.
    pub file: String,
    /// When it began: mostly the answer.
    pub began: Wall,
    /// When it ended, if it did in order.
    pub ended: Option<Wall>,
    /// How long the file plays.
    pub seconds: f64,
    /// The length of the file.
    pub bytes: u64,
    /// SHA-256 of the whole file, in hexadecimal.
    pub sha256: Option<String>,
    /// What became of it.
    pub state: RecordingState,
    /// Seconds that are silent because the disk did not keep up.
    pub lost_seconds: u64,
    /// Packets that came too late for their place, or could not be decoded.
    pub late_packets: u64,
    /// What was in the way.
    pub error: Option<String>,
    /// When the file was deleted.
    pub deleted: Option<Wall>,
}

impl StoredRecording {
    /// One that begins now.
    #[must_use]
    pub fn begin(call: CallId, file: String, began: Wall) -> Self {
        Self {
            call,
            file,
            began,
            ended: None,
            seconds: 0.0,
            bytes: 0,
            sha256: None,
            state: RecordingState::Open,
            lost_seconds: 0,
            late_packets: 0,
            error: None,
            deleted: None,
        }
    }

    /// It failed for this reason.
    pub fn fail(&mut self, error: String) {
        self.state = RecordingState::Failed;
        self.error = Some(error);
    }
}

/// One line of the audit: who did what, and to what. It is only ever added to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredAudit {
    /// When.
    pub at: Wall,
    /// A user of the system, or a part of the daemon.
    pub who: String,
    /// Such as `recording.deleted`.
    pub what: String,
    /// What it was done to.
    pub object: String,
    /// Why, in words.
    pub detail: String,
}

/// Which recordings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordingFilter {
    /// At most this many, and at most 1000.
    pub limit: usize,
    /// Began before this time: the next page of a longer list.
    pub before: Option<Wall>,
    /// Began at this time or later.
    pub since: Option<Wall>,
}

impl Store {
    /// Keeps what is known of a recording, and in the same transaction a line of the audit.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`]; the row is as it was.
    pub fn recording_set(
        &self,
        row: StoredRecording,
        audit: Option<StoredAudit>,
    ) -> Result<(), StoreError> {
        self.inner.queue.push(Op::Recording(Box::new(row), audit.map(Box::new)))
    }

    /// A recording, if the call has one. Blocks: use `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read, here and below.
    pub fn recording(&self, call: CallId) -> Result<Option<StoredRecording>, StoreError> {
        one(&self.reader(), call)
    }

    /// Recordings, newest first. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::recording`].
    pub fn recordings(&self, filter: &RecordingFilter) -> Result<Vec<StoredRecording>, StoreError> {
        let condition = "began < ?1 AND began >= ?2 ORDER BY began DESC, call LIMIT ?3";
        let before = filter.before.map_or(i64::MAX, |at| at.0);
        let since = filter.since.map_or(i64::MIN, |at| at.0);
        select(&self.reader(), condition, (before, since, limit(filter.limit)))
    }

    /// Those that are being written, or were when the daemon ended. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::recording`].
    pub fn recordings_open(&self) -> Result<Vec<StoredRecording>, StoreError> {
        select(&self.reader(), "state = 'open'", ())
    }

    /// The oldest that began before this time and have a file. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::recording`].
    pub fn recordings_before(
        &self,
        before: Wall,
        count: usize,
    ) -> Result<Vec<StoredRecording>, StoreError> {
        let condition = "began < ?1 AND state NOT IN ('open', 'deleted') ORDER BY began LIMIT ?2";
        select(&self.reader(), condition, (before.0, limit(count)))
    }

    /// The audit, newest first. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Self::recording`].
    pub fn audit(&self, count: usize) -> Result<Vec<StoredAudit>, StoreError> {
        let reader = self.reader();
        let mut select = reader.prepare_cached(
            "SELECT at, who, what, object, detail FROM audit ORDER BY id DESC LIMIT ?1",
        )?;
        let rows = select.query_map([limit(count)], |row| {
            Ok(StoredAudit {
                at: Wall(row.get(0)?),
                who: row.get(1)?,
                what: row.get(2)?,
                object: row.get(3)?,
                detail: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn limit(count: usize) -> i64 {
    i64::try_from(count.min(ROWS_MAX)).unwrap_or(0)
}

const COLUMNS: &str = "call, file, began, ended, seconds, bytes, sha256, state, lost_seconds,
    late_packets, error, deleted";

fn read(row: &Row<'_>) -> rusqlite::Result<StoredRecording> {
    let (call, state): (String, String) = (row.get(0)?, row.get(7)?);
    Ok(StoredRecording {
        call: CallId(u64::from_str_radix(&call, 16).unwrap_or_default()),
        file: row.get(1)?,
        began: Wall(row.get(2)?),
        ended: row.get::<_, Option<i64>>(3)?.map(Wall),
        seconds: row.get(4)?,
        bytes: unsigned(row, 5)?,
        sha256: row.get(6)?,
        state: RecordingState::ALL
            .into_iter()
            .find(|known| known.word() == state)
            .unwrap_or(RecordingState::Failed),
        lost_seconds: unsigned(row, 8)?,
        late_packets: unsigned(row, 9)?,
        error: row.get(10)?,
        deleted: row.get::<_, Option<i64>>(11)?.map(Wall),
    })
}

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0))
}

pub(super) fn one(
    connection: &Connection,
    call: CallId,
) -> Result<Option<StoredRecording>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM recording WHERE call = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([call.to_string()], read).optional()?)
}

fn select(
    connection: &Connection,
    condition: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<StoredRecording>, StoreError> {
    let mut select =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM recording WHERE {condition}"))?;
    let rows = select.query_map(params, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn write(
    transaction: &Transaction<'_>,
    row: &StoredRecording,
    audit: Option<&StoredAudit>,
) -> rusqlite::Result<()> {
    let sql =
        "INSERT OR REPLACE INTO recording (call, file, began, ended, seconds, bytes, sha256, state,
            lost_seconds, late_packets, error, deleted)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    transaction.prepare_cached(sql)?.execute(params![
        row.call.to_string(),
        row.file,
        row.began.0,
        row.ended.map(|at| at.0),
        row.seconds,
        signed(row.bytes),
        row.sha256,
        row.state.word(),
        signed(row.lost_seconds),
        signed(row.late_packets),
        row.error,
        row.deleted.map(|at| at.0),
    ])?;
    let Some(audit) = audit else { return Ok(()) };
    transaction
        .prepare_cached(
            "INSERT INTO audit (at, who, what, object, detail) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![audit.at.0, audit.who, audit.what, audit.object, audit.detail])?;
    Ok(())
}
