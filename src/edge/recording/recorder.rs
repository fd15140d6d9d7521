//! The front of the recorder for the rest of the daemon.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;

use super::keeper;
use super::tap::{Lane, Spares, Tap, TapControl};
use super::writer::Writer;
use crate::edge::clock::Clock;
use crate::edge::command::CommandError;
use crate::edge::control::EventLog;
use crate::edge::store::{RecordingState, Store, StoredAudit};
use crate::proto::recording::{Reel, Tracks};
use crate::proto::time::{Instant, Wall};
use crate::switch::cdr::record::CallId;
use crate::switch::recording::{Format, RecordingSettings};

/// Reels that may wait for the disk, of up to 24 kB each: eight seconds of 500 calls. When it is full the next reel is thrown
/// away, and its recording has silence there and says so.
pub(super) const JOBS_MAX: usize = 4_096;

/// How long the database may take for what a deletion is told by.
const DELETE_TIMEOUT: Duration = Duration::from_secs(5);

/// What the recorder is told at its start.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// Where the files go, in a folder for each day.
    pub folder: PathBuf,
}

/// What applies to recordings that begin now; a reload changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What a file has.
    pub tracks: Tracks,
    /// What a file becomes when it is whole.
    pub format: Format,
    /// Days until a recording is deleted; zero never.
    pub keep_days: u32,
    /// Megabytes that stay free on the disk: with less, none begins.
    pub free_min_mb: u32,
}

impl Terms {
    /// From the configuration.
    #[must_use]
    pub fn of(settings: &RecordingSettings) -> Self {
        let RecordingSettings { tracks, format, keep_days, free_min_mb, .. } = *settings;
        Self { tracks, format, keep_days, free_min_mb }
    }
}

/// A wish to the writing thread.
#[derive(Debug)]
pub(super) enum Job {
    /// A recording begins.
    Begin(Box<Begin>),
    /// What one call said.
    Reel(u64, Reel),
}

/// A recording that begins.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) call: CallId,
    pub(super) at: Instant,
    pub(super) wall: Wall,
    pub(super) tracks: Tracks,
    pub(super) lane: Arc<Lane>,
}

/// Figures for `doctor`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderStats {
    /// Recordings that are being written.
    pub open: u64,
    /// Written to their end since the start.
    pub done: u64,
    /// That failed since the start, or never began.
    pub failed: u64,
    /// Seconds of calls that found no room on their way to the disk.
    pub lost: u64,
}

/// What front and thread share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) open: AtomicU64,
    pub(super) done: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) is_stopping: AtomicBool,
    /// Other terms apply, and are looked after at once.
    pub(super) has_new_terms: AtomicBool,
    /// The disk has too little room, as of the last look.
    pub(super) is_full: AtomicBool,
    pub(super) terms: Mutex<Terms>,
}

impl Shared {
    pub(super) fn terms(&self) -> Terms {
        *self.terms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a recording did not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartRefused {
    /// There is too little room on the disk.
    DiskFull,
    /// The recorder does not keep up, or has ended.
    Busy,
}

impl StartRefused {
    /// In words, for the timeline.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::DiskFull => "not recorded: there is too little room on the disk",
            Self::Busy => "not recorded: the recorder does not keep up",
        }
    }
}

/// Records calls; copies share the one thread. The last one that is dropped ends it, with everything written.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    jobs: SyncSender<Job>,
    spares: Spares,
    shared: Arc<Shared>,
    folder: PathBuf,
    store: Store,
    events: EventLog,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Starts the thread. It looks first after the recordings that the last stop cut off.
    ///
    /// # Errors
    ///
    /// If the system refuses a thread.
    pub fn start(
        config: RecorderConfig,
        terms: Terms,
        clock: Clock,
        store: Store,
        events: EventLog,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(JOBS_MAX);
        let shared = Arc::new(Shared {
            open: AtomicU64::default(),
            done: AtomicU64::default(),
            failed: AtomicU64::default(),
            lost: AtomicU64::default(),
            is_stopping: AtomicBool::default(),
            has_new_terms: AtomicBool::default(),
            is_full: AtomicBool::default(),
            terms: Mutex::new(terms),
        });
        let spares = Spares::default();
        let folder = config.folder.clone();
        let (kept_store, kept_events) = (store.clone(), events.clone());
        let writer =
            Writer::new(config, clock, store, events, queue, spares.clone(), Arc::clone(&shared));
        // Before the first call may begin.
        writer.look_at_room();
        let thread =
            std::thread::Builder::new().name("recorder".to_owned()).spawn(move || writer.run())?;
        let thread = Mutex::new(Some(thread));
        let (store, events) = (kept_store, kept_events);
        let inner = Inner { clock, jobs, spares, shared, folder, store, events, thread };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Begins to record a call: what the tap is given from now on, unless it is paused.
    ///
    /// # Errors
    ///
    /// [`StartRefused`]; the call goes on without.
    pub fn begin(&self, call: CallId) -> Result<(Box<Tap>, TapControl), StartRefused> {
        let inner = &self.inner;
        let shared = &inner.shared;
        let refuse = |why| {
            shared.failed.fetch_add(1, Ordering::Relaxed);
            Err(why)
        };
        if shared.is_full.load(Ordering::Relaxed) {
            return refuse(StartRefused::DiskFull);
        }
        let (at, lane) = (inner.clock.now(), Arc::new(Lane::default()));
        let begin = Begin {
            call,
            at,
            wall: inner.clock.wall(),
            tracks: shared.terms().tracks,
            lane: Arc::clone(&lane),
        };
        if inner.jobs.try_send(Job::Begin(Box::new(begin))).is_err() {
            return refuse(StartRefused::Busy);
        }
        shared.open.fetch_add(1, Ordering::Relaxed);
        let control = TapControl::new(Arc::clone(&lane));
        let tap = Tap::new(call.0, at, lane, inner.jobs.clone(), inner.spares.clone());
        Ok((Box::new(tap), control))
    }

    /// Where the files lie.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.inner.folder.clone()
    }

    /// Deletes the file of a recording, with a line in the audit. What is known of it stays. Blocks.
    ///
    /// # Errors
    ///
    /// If there is none, if it is still being written, or if the file or the database is in the way.
    pub fn delete(&self, call: CallId, who: &str, why: &str) -> Result<(), CommandError> {
        let inner = &self.inner;
        inner.store.flush(DELETE_TIMEOUT)?;
        let row = inner.store.recording(call)?;
        let mut row = row.ok_or(CommandError::NoSuchRecording(call))?;
        match row.state {
            RecordingState::Open => return Err(CommandError::RecordingGoesOn(call)),
            RecordingState::Deleted => return Err(CommandError::NoSuchRecording(call)),
            RecordingState::Done | RecordingState::Cut | RecordingState::Failed => {}
        }
        keeper::delete(&inner.folder.join(&row.file))
            .map_err(|error| CommandError::File(error.to_string()))?;
        let at = inner.clock.wall();
        row.state = RecordingState::Deleted;
        row.deleted = Some(at);
        let (object, what) = (call.to_string(), "recording.deleted".to_owned());
        let (who, detail) = (who.to_owned(), why.to_owned());
        inner.events.publish("recording.deleted", &json!({ "call": object, "by": who }));
        inner.store.recording_set(row, Some(StoredAudit { at, who, what, object, detail }))?;
        inner.store.flush(DELETE_TIMEOUT)?;
        Ok(())
    }

    /// What applies from now on.
    pub fn set_terms(&self, terms: Terms) {
        *self.inner.shared.terms.lock().unwrap_or_else(PoisonError::into_inner) = terms;
        self.inner.shared.has_new_terms.store(true, Ordering::Release);
    }

    /// Figures for `doctor`.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        let shared = &self.inner.shared;
        RecorderStats {
            open: shared.open.load(Ordering::Relaxed),
            done: shared.done.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
        }
    }

    /// Writes what is there, ends the thread and waits for it. Blocks: not for async tasks. Calls that still go on are cut off.
    pub fn close(&self) {
        self.inner.stop();
    }
}

impl Inner {
    fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // One that panicked has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// How often the thread looks for recordings that are over, when nothing comes.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);
