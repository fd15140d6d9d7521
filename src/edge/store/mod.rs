//! The database: one writer thread, one read-only connection, nobody on the call path waits.

mod queue;
mod read;
mod recordings;
mod schema;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use self::queue::{Op, Queue};
pub use self::read::RecordFilter;
pub use self::recordings::{RecordingFilter, RecordingState, StoredAudit, StoredRecording};
use self::writer::Writer;
use super::command::reply::{CallDetail, RecordRow};
use super::provisioning::StoredToken;
use crate::proto::time::Wall;
use crate::switch::cdr::record::{Began, CallId, Record};
use crate::switch::services::PhoneServices;

/// The database's name inside the state directory.
const DATABASE: &str = "tandem.db";

/// Locked while a daemon uses the state directory.
const LOCK: &str = "tandem.lock";

/// One contact of a phone as it survives a restart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredBinding {
    /// The contact's URI as registered.
    pub contact: String,
    /// When the binding ends.
    pub expires_at: Wall,
    /// The Call-ID of the registration.
    pub call_id: String,
    /// Its CSeq.
    pub cseq: u32,
    /// The Path of the registration (RFC 3327), nearest first.
    pub path: Vec<String>,
    /// `+sip.instance` (RFC 5626).
    pub instance: Option<String>,
    /// `reg-id` (RFC 5626).
    pub reg_id: Option<u32>,
    /// The socket and address that requests to it take, in the owner's words.
    pub flow: String,
    /// What the device calls itself.
    pub user_agent: String,
    /// Its priority in thousandths.
    pub q: u16,
}

/// What went wrong with the database.
#[derive(Debug)]
pub enum StoreError {
    /// A file or a directory cannot be used.
    Io(PathBuf, std::io::Error),
    /// Another daemon uses the state directory.
    InUse(PathBuf),
    /// The database was written by a newer daemon.
    TooNew {
        /// Its version.
        found: u32,
        /// The newest version that this daemon knows.
        known: u32,
    },
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// A stored value cannot be read.
    Damaged(String),
    /// The queue and its overflow are full: the disk does not take what is written.
    Full,
    /// The writer did not answer in time, or has ended.
    Stalled,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "{}: {error}", path.display()),
            Self::InUse(path) => {
                let folder = path.parent().unwrap_or(path);
                write!(f, "another tandemd uses the state folder {}", folder.display())
            }
            Self::TooNew { found, known } => {
                write!(f, "the database has version {found}, this daemon knows {known}")
            }
            Self::Sqlite(error) => write!(f, "the database: {error}"),
            Self::Damaged(what) => write!(f, "the database holds a damaged value: {what}"),
            Self::Full => f.write_str("the database does not keep up: its queue is full"),
            Self::Stalled => f.write_str("the database does not answer"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Counters for `doctor`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct StoreStats {
    /// Handed over and not yet on disk.
    pub queued: u64,
    /// On disk since the start.
    pub written: u64,
    /// Transactions since the start.
    pub batches: u64,
    /// Went through the overflow since the start, because the queue was full.
    pub spilled: u64,
    /// Lost: refused because the overflow was full too, or refused by the database.
    pub lost: u64,
    /// Attempts that failed and were repeated, such as on a full disk.
    pub failures: u64,
    /// Calls that have begun and not ended, as the journal sees them.
    pub journal: u64,
    /// Records that were made at the start for calls that a crash had cut off.
    pub recovered: u64,
}

/// A handle on the database; copies share it. Dropping the last one writes what is queued and waits
/// for the writer, so that a successor in the same directory finds everything.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Queue,
    reader: Mutex<Connection>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held for its lock.
    _lock: File,
}

impl Store {
    /// Opens or creates the database, makes records of the calls that a crash cut off, and starts
    /// the writer.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the directory, the lock or the database cannot be used; the daemon must
    /// not start then, since it could keep no record.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        let io = |error| StoreError::Io(state_dir.to_owned(), error);
        // Numbers of callers are in there: nobody else reads them.
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(state_dir).map_err(io)?;
        let lock = lock(&state_dir.join(LOCK))?;
        let path = state_dir.join(DATABASE);
        let mut connection = Connection::open(&path)?;
        configure(&connection)?;
        let found = schema::migrate(&mut connection)?;
        if found > schema::version() {
            return Err(StoreError::TooNew { found, known: schema::version() });
        }
        let recovered = writer::recover(&mut connection)?;

        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&path, flags)?;
        reader.busy_timeout(Duration::from_secs(5))?;

        let (sender, receiver) = sync_channel(queue::QUEUE_MAX);
        let queue = Queue::new(sender, recovered);
        let writer = Writer::new(connection, receiver, queue.backlog());
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .map_err(io)?;
        Ok(Self {
            inner: Arc::new(Inner {
                queue,
                reader: Mutex::new(reader),
                writer: Mutex::new(Some(thread)),
                _lock: lock,
            }),
        })
    }

    /// A call has begun: its journal row makes sure that it gets a record whatever happens.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`]; the call should be refused, since it might leave no record.
    pub fn call_began(&self, began: Began) -> Result<(), StoreError> {
        self.inner.queue.push(Op::Began(began))
    }

    /// A call has ended: its record replaces its journal row. A second record for the same call
    /// is ignored.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`]; the record is counted as lost.
    pub fn call_ended(&self, record: Box<Record>) -> Result<(), StoreError> {
        self.inner.queue.push(Op::Ended(record))
    }

    /// Replaces all bindings of one address of record.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`]; the phone will have to register again after a restart.
    pub fn bindings_set(&self, aor: String, list: Vec<StoredBinding>) -> Result<(), StoreError> {
        self.inner.queue.push(Op::Bindings(aor, list))
    }

    /// Keeps the token of a phone, or forgets it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`]; after a restart the phone has the token before, or none.
    pub fn token_set(
        &self,
        extension: String,
        token: Option<StoredToken>,
    ) -> Result<(), StoreError> {
        self.inner.queue.push(Op::Token(extension, token))
    }

    /// Keeps what a phone has switched on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Full`]; after a restart the phone has what it had before.
    pub fn services_set(
        &self,
        extension: String,
        services: PhoneServices,
    ) -> Result<(), StoreError> {
        self.inner.queue.push(Op::Services(extension, services))
    }

    /// What phones have switched on, by extension. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn load_services(&self) -> Result<HashMap<String, PhoneServices>, StoreError> {
        read::services(&self.reader())
    }

    /// Waits until everything handed over so far is on disk. Blocks: not for async tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stalled`] after `timeout`, or if the writer has ended.
    pub fn flush(&self, timeout: Duration) -> Result<(), StoreError> {
        let (done, waits) = sync_channel(1);
        self.inner.queue.push(Op::Flush(done))?;
        waits.recv_timeout(timeout).map_err(|_| StoreError::Stalled)
    }

    /// Flushes, ends the writer and waits for it. Blocks: not for async tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Stalled`] if the writer does not end within `timeout`.
    pub fn close(&self, timeout: Duration) -> Result<(), StoreError> {
        self.flush(timeout)?;
        self.inner.stop()
    }

    /// All stored bindings by address of record, expired ones too. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn load_bindings(&self) -> Result<HashMap<String, Vec<StoredBinding>>, StoreError> {
        read::bindings(&self.reader())
    }

    /// The tokens of phones by extension. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn load_tokens(&self) -> Result<HashMap<String, StoredToken>, StoreError> {
        read::tokens(&self.reader())
    }

    /// Heads of records, newest first. Blocks: use `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn records(&self, filter: &RecordFilter) -> Result<Vec<RecordRow>, StoreError> {
        read::records(&self.reader(), filter)
    }

    /// One record whole; `None` if there is none yet. Blocks: use `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database cannot be read.
    pub fn record(&self, call: CallId) -> Result<Option<CallDetail>, StoreError> {
        read::record(&self.reader(), call)
    }

    /// Counters for `doctor`.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.inner.queue.stats()
    }

    fn reader(&self) -> std::sync::MutexGuard<'_, Connection> {
        self.inner.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Ends the writer; on a disk that does not take anything it gives up after a few seconds.
    fn stop(&self) -> Result<(), StoreError> {
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        self.queue.push(Op::Stop)?;
        thread.join().map_err(|_| StoreError::Stalled)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What could not be written is counted as lost; nobody is left to be told.
        let _ = self.stop();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let io = |error| StoreError::Io(path.to_owned(), error);
    let mut options = File::options();
    let file =
        options.create(true).truncate(false).write(true).mode(0o640).open(path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse(path.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => Err(io(error)),
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A power cut may cost the last moments, never the database; a crash of the daemon costs nothing.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}
