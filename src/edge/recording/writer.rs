//! The recorder's thread: reels become samples, samples a file, and the file a row of the database.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::file::{WavFile, repair};
use super::keeper::{Keeper, path_of};
use super::packing::{self, Packing};
use super::recorder::{Begin, JOBS_MAX, Job, LOOK_EVERY, RecorderConfig, Shared};
use super::tap::{Lane, Spares};
use crate::edge::clock::Clock;
use crate::edge::control::EventLog;
use crate::edge::store::{RecordingState, Store, StoredRecording};
use crate::proto::audio::Codec;
use crate::proto::hex::hex;
use crate::proto::recording::{Reel, Tape};
use crate::proto::time::Instant;
use crate::switch::cdr::record::CallId;
use crate::switch::recording::Format;

/// Samples a second where a side speaks a codec of telephone quality, and where it speaks a better one.
const NARROW: u32 = 8_000;
const WIDE: u32 = 16_000;
/// How long a file waits for the first sound, which says how good it is to be; it grows by silence from then on.
const UNHEARD_MAX: Duration = Duration::from_secs(5);
/// Bytes that are hashed at a time, so that a long file that is finished does not keep the others waiting.
const HASH_STEP: usize = 1 << 20;
/// Files that are hashed at a time.
const HASHING_MAX: usize = 16;
/// How long the thread rests between two pieces that it packs.
const PACK_EVERY: Duration = Duration::from_millis(20);
/// Recordings that may wait to be packed; a further one stays as it is.
const TO_PACK_MAX: usize = 10_000;
/// How often old recordings and the room on the disk are looked after.
const KEEP_EVERY: Duration = Duration::from_secs(30);

pub(super) struct Writer {
    config: RecorderConfig,
    clock: Clock,
    store: Store,
    events: EventLog,
    queue: Receiver<Job>,
    spares: Spares,
    shared: Arc<Shared>,
    open: HashMap<u64, Recording>,
    hashing: Vec<Hashing>,
    /// Those that wait for it: each that is hashed has a descriptor.
    to_hash: VecDeque<StoredRecording>,
    /// When the next piece is packed.
    pack_at: Instant,
    /// The one that is made small, and those that wait for it.
    packing: Option<Packing>,
    to_pack: VecDeque<StoredRecording>,
    keeper: Keeper,
    samples: Vec<u8>,
}

/// One that is being written.
struct Recording {
    row: StoredRecording,
    began: Instant,
    begin: Box<Begin>,
    lane: Arc<Lane>,
    /// Until something is heard nobody knows how good it is.
    tape: Option<Tape>,
    file: Option<WavFile>,
}

/// One that is written, and whose hash is being made.
struct Hashing {
    row: StoredRecording,
    file: File,
    hash: Sha256,
}

impl Writer {
    pub(super) fn new(
        config: RecorderConfig,
        clock: Clock,
        store: Store,
        events: EventLog,
        queue: Receiver<Job>,
        spares: Spares,
        shared: Arc<Shared>,
    ) -> Self {
        let keeper = Keeper::new(config.folder.clone());
        Self {
            config,
            clock,
            store,
            events,
            queue,
            spares,
            shared,
            open: HashMap::new(),
            hashing: Vec::new(),
            to_hash: VecDeque::new(),
            pack_at: Instant::START,
            packing: None,
            to_pack: VecDeque::new(),
            keeper,
            samples: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        self.recover();
        let mut keep_at = self.clock.now();
        loop {
            let is_stopping = self.shared.is_stopping.load(Ordering::Acquire);
            let now = self.clock.now();
            if self.shared.has_new_terms.swap(false, Ordering::Acquire) || now >= keep_at {
                keep_at = now + KEEP_EVERY;
                self.keep();
            }
            // Looked at before the queue: what such a recording said last is in it.
            let over: Vec<u64> = self
                .open
                .iter()
                .filter(|(_, one)| is_stopping || one.lane.is_over.load(Ordering::Acquire))
                .map(|(call, _)| *call)
                .collect();
            let is_idle = over.is_empty() && self.hashing.is_empty() && !is_stopping;
            let is_packed = self.packing.is_none() && self.to_pack.is_empty();
            let wait = match (is_idle, is_packed) {
                (true, true) => LOOK_EVERY,
                // The processor is for calls first.
                (true, false) => PACK_EVERY,
                (false, _) => Duration::ZERO,
            };
            let is_gone = self.drain(wait);
            for call in over {
                self.finish(call);
            }
            self.pack_on(is_stopping || is_gone);
            self.hash_on();
            if (is_stopping || is_gone) && self.open.is_empty() && self.hashing.is_empty() {
                return;
            }
        }
    }

    /// Takes what has come, at most a queue full; waits for the first that long. `true` if nobody can send any more.
    fn drain(&mut self, wait: Duration) -> bool {
        let mut job = match self.queue.recv_timeout(wait) {
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return true,
        };
        for _ in 0..=JOBS_MAX {
            // Nothing is taken that is not seen to.
            match job.take().or_else(|| self.queue.try_recv().ok()) {
                Some(Job::Begin(begin)) => self.begin(begin),
                Some(Job::Reel(call, reel)) => self.reel(call, reel),
                None => break,
            }
        }
        false
    }

    fn begin(&mut self, begin: Box<Begin>) {
        let file = path_of(begin.call, begin.wall);
        let row = StoredRecording::begin(begin.call, file, begin.wall);
        self.keep_row(row.clone());
        self.events.publish(
            "recording.started",
            &json!({ "call": begin.call.to_string(), "file": row.file }),
        );
        let (call, lane) = (begin.call.0, Arc::clone(&begin.lane));
        let began = begin.at;
        self.open.insert(call, Recording { row, began, begin, lane, tape: None, file: None });
        if self.shared.is_full.load(Ordering::Relaxed) {
            // It was on its way when the room ended.
            self.fail(call, &no_room());
        }
    }

    fn reel(&mut self, call: u64, mut reel: Reel) {
        if let Some(recording) = self.open.get_mut(&call) {
            self.samples.clear();
            let folder = &self.config.folder;
            if let Err(error) = recording.take(folder, &mut reel, &mut self.samples) {
                self.fail(call, &error);
            }
        }
        self.spares.give_back(reel);
    }

    /// The tap is gone: writes the rest, and begins to make the hash.
    fn finish(&mut self, call: u64) {
        let Some(mut recording) = self.open.remove(&call) else { return };
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
        let lost = recording.lane.lost.load(Ordering::Relaxed);
        self.shared.lost.fetch_add(lost, Ordering::Relaxed);
        self.samples.clear();
        let folder = &self.config.folder;
        let ended_at = recording.ended_at(self.clock.now());
        match recording.finish(folder, ended_at, &mut self.samples) {
            Ok(()) => self.written(recording),
            Err(error) => {
                self.open.insert(call, recording);
                self.shared.open.fetch_add(1, Ordering::Relaxed);
                self.fail(call, &error);
            }
        }
    }

    /// The file is whole.
    fn written(&mut self, recording: Recording) {
        let mut row = recording.row;
        row.lost_seconds = recording.lane.lost.load(Ordering::Relaxed);
        if self.shared.terms().format == Format::Wav {
            return self.hash(row);
        }
        if self.to_pack.len() >= TO_PACK_MAX {
            tracing::warn!(call = %row.call, "a recording stays a WAV: too many wait to be packed");
            return self.hash(row);
        }
        self.to_pack.push_back(row);
    }

    /// Packs a piece. Who stops the daemon does not wait for that: what is not packed stays as it is.
    fn pack_on(&mut self, is_stopping: bool) {
        if is_stopping || self.shared.is_full.load(Ordering::Relaxed) {
            let under_way = self.packing.take().map(Packing::give_up);
            for row in under_way.into_iter().chain(std::mem::take(&mut self.to_pack)) {
                self.hash(row);
            }
            return;
        }
        let now = self.clock.now();
        if now < self.pack_at {
            return;
        }
        self.pack_at = now + PACK_EVERY;
        if self.packing.is_none()
            && let Some(row) = self.to_pack.pop_front()
        {
            match Packing::begin(&self.config.folder, &row) {
                Ok(packing) => self.packing = Some(packing),
                Err(error) => self.stays(row, &error),
            }
        }
        let Some(packing) = &mut self.packing else { return };
        let result = packing.step();
        if let Ok(false) = result {
            return;
        }
        let Some(packing) = self.packing.take() else { return };
        if let Err(error) = result {
            return self.stays(packing.give_up(), &error);
        }
        let (row, samples) = packing.whole();
        // Until the row says so, the next start finds it by its name.
        self.keep_row(StoredRecording { state: RecordingState::Open, ..row.clone() });
        if let Err(error) = std::fs::remove_file(&samples) {
            tracing::warn!(call = %row.call, %error, "a packed recording has left its samples");
        }
        self.hash(row);
    }

    fn stays(&mut self, row: StoredRecording, error: &io::Error) {
        tracing::warn!(call = %row.call, %error, "a recording stays a WAV");
        self.hash(row);
    }

    fn hash(&mut self, mut row: StoredRecording) {
        if self.hashing.len() >= HASHING_MAX {
            return self.to_hash.push_back(row);
        }
        match File::open(self.config.folder.join(&row.file)) {
            Ok(file) => self.hashing.push(Hashing { row, file, hash: Sha256::new() }),
            Err(error) => {
                row.fail(error.to_string());
                self.end(row);
            }
        }
    }

    /// Hashes a piece of each file that is finished.
    fn hash_on(&mut self) {
        let mut left = Vec::new();
        let mut done = Vec::new();
        for mut one in std::mem::take(&mut self.hashing) {
            match one.step() {
                Ok(true) => done.push(one.finish()),
                Ok(false) => left.push(one),
                Err(error) => {
                    one.row.fail(error.to_string());
                    done.push(one.row);
                }
            }
        }
        self.hashing = left;
        while self.hashing.len() < HASHING_MAX
            && let Some(row) = self.to_hash.pop_front()
        {
            self.hash(row);
        }
        for row in done {
            self.end(row);
        }
    }

    /// The last word about a recording.
    fn end(&mut self, row: StoredRecording) {
        let (kind, count) = match row.state {
            RecordingState::Failed => ("recording.failed", &self.shared.failed),
            _ => ("recording.done", &self.shared.done),
        };
        count.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = &row.error {
            tracing::error!(call = %row.call, %error, "recording failed");
        }
        self.events.publish(
            kind,
            &json!({
                "call": row.call.to_string(),
                "file": row.file,
                "seconds": row.seconds,
                "sha256": row.sha256,
                "lost_seconds": row.lost_seconds,
                "error": row.error,
            }),
        );
        self.keep_row(row);
    }

    /// The disk did not take it. What is there stays, and is right as far as it goes.
    fn fail(&mut self, call: u64, error: &io::Error) {
        let Some(recording) = self.open.remove(&call) else { return };
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
        // The tap copies nothing more, and the relay tells the call.
        recording.lane.is_failed.store(true, Ordering::Relaxed);
        let mut row = recording.row;
        row.ended = Some(self.clock.wall());
        row.lost_seconds = recording.lane.lost.load(Ordering::Relaxed);
        row.seconds = recording.tape.as_ref().map_or(0.0, Tape::seconds);
        drop(recording.file);
        row.fail(error.to_string());
        self.end(row);
        // Others would fail as well: the room is looked at now.
        self.look_at_room();
    }

    fn keep_row(&self, row: StoredRecording) {
        let call = row.call;
        if let Err(error) = self.store.recording_set(row, None) {
            tracing::error!(%call, %error, "what became of a recording is not stored");
        }
    }

    /// Recordings that a crash cut off have what was written, and say so.
    fn recover(&mut self) {
        let open = match self.store.recordings_open() {
            Ok(open) => open,
            Err(error) => return tracing::error!(%error, "cut off recordings are not looked after"),
        };
        for mut row in open {
            row.state = RecordingState::Cut;
            if packing::recover(&self.config.folder, &mut row) {
                row.state = RecordingState::Done;
                self.hash(row);
                continue;
            }
            match repair(&self.config.folder.join(&row.file)) {
                Ok(seconds) => {
                    row.seconds = seconds;
                    self.hash(row);
                }
                Err(error) => {
                    row.fail(format!("cut off by a stop of the daemon: {error}"));
                    self.end(row);
                }
            }
        }
    }

    fn keep(&mut self) {
        self.look_at_room();
        if self.shared.is_full.load(Ordering::Relaxed) {
            // What is left is for the database of calls, which may be on the same disk.
            for call in self.open.keys().copied().collect::<Vec<_>>() {
                self.fail(call, &no_room());
            }
        }
        let terms = self.shared.terms();
        self.keeper.delete_old(&self.store, &self.events, self.clock.wall(), terms.keep_days);
    }

    pub(super) fn look_at_room(&self) {
        let needed = u64::from(self.shared.terms().free_min_mb) << 20;
        let free = self.keeper.free_bytes();
        let is_full = free.is_some_and(|free| free < needed);
        if is_full != self.shared.is_full.swap(is_full, Ordering::Relaxed) {
            let megabytes = free.unwrap_or_default() >> 20;
            let kind = if is_full { "recording.disk_full" } else { "recording.disk_free" };
            tracing::warn!(megabytes, is_full, "room for recordings");
            self.events.publish(kind, &json!({ "free_mb": megabytes }));
        }
    }
}

impl Recording {
    fn take(&mut self, folder: &Path, reel: &mut Reel, samples: &mut Vec<u8>) -> io::Result<()> {
        let is_young = reel.until.since(self.began) < UNHEARD_MAX;
        if self.tape.is_none() && reel.is_empty() && is_young {
            return Ok(());
        }
        self.open(folder, rate_of(reel))?;
        if let (Some(tape), Some(file)) = (&mut self.tape, &mut self.file) {
            tape.take(reel, samples);
            file.append(samples)?;
        }
        Ok(())
    }

    fn open(&mut self, folder: &Path, rate: u32) -> io::Result<()> {
        if self.tape.is_none() {
            let tape = Tape::new(self.began, rate, self.begin.tracks);
            let path: PathBuf = folder.join(&self.row.file);
            self.file = Some(WavFile::create(&path, tape.shape())?);
            self.tape = Some(tape);
        }
        Ok(())
    }

    fn finish(
        &mut self,
        folder: &Path,
        ended_at: Instant,
        samples: &mut Vec<u8>,
    ) -> io::Result<()> {
        self.open(folder, NARROW)?;
        let (Some(tape), Some(mut file)) = (&mut self.tape, self.file.take()) else {
            return Ok(());
        };
        tape.finish(ended_at, samples);
        let result = file.append(samples);
        self.row.seconds = tape.seconds();
        self.row.late_packets = tape.late();
        result?;
        file.finish()?;
        let span = i64::try_from(ended_at.since(self.began).as_micros()).unwrap_or_default();
        self.row.ended = Some(crate::proto::time::Wall(self.row.began.0.saturating_add(span)));
        self.row.state = RecordingState::Done;
        Ok(())
    }

    /// When the tap went; now, if the daemon stops before the call.
    fn ended_at(&self, now: Instant) -> Instant {
        if !self.lane.is_over.load(Ordering::Acquire) {
            return now;
        }
        Instant::START + Duration::from_micros(self.lane.ended_at.load(Ordering::Relaxed))
    }
}

impl Hashing {
    /// `true` when all of it was read.
    fn step(&mut self) -> io::Result<bool> {
        let mut piece = Vec::with_capacity(HASH_STEP);
        let read = (&mut self.file).take(HASH_STEP as u64).read_to_end(&mut piece)?;
        self.hash.update(&piece);
        self.row.bytes += read as u64;
        Ok(read < HASH_STEP)
    }

    fn finish(mut self) -> StoredRecording {
        self.row.sha256 = Some(hex(&self.hash.finalize()));
        self.row
    }
}

fn no_room() -> io::Error {
    io::Error::other("there is too little room on the disk")
}

/// The rate of a file that begins with this.
fn rate_of(reel: &mut Reel) -> u32 {
    let is_wide = |codec: Codec| codec.sample_rate() > NARROW;
    if reel.in_order().any(|(packet, _)| is_wide(packet.codec)) { WIDE } else { NARROW }
}

/// The name of a call, in the row and on the file.
pub(super) fn name_of(call: CallId) -> String {
    call.to_string()
}
