//! The writer thread: drains the queue, commits per batch, keeps the journal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, params};

use super::queue::{Backlog, Op, QUEUE_MAX};
use super::{StoredBinding, recordings};
use crate::edge::clock;
use crate::edge::command::reply::{self, LegRow, SegmentRow, TimelineRow};
use crate::edge::provisioning::StoredToken;
use crate::proto::time::Wall;
use crate::switch::cause;
use crate::switch::cdr::record::{Began, HungUpBy, Record, SegmentKind};
use crate::switch::services::PhoneServices;

/// Operations in one transaction: enough that its cost vanishes, few enough that a flush is quick.
const BATCH_MAX: usize = 500;

/// How often the journal notes that the daemon lives while calls do.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// How long to wait before the disk is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Attempts once the daemon is stopping; before that there is no last one.
const LAST_ATTEMPTS: u32 = 5;

/// Owns the connection that writes.
pub(super) struct Writer {
    connection: Connection,
    queue: Receiver<Op>,
    backlog: Arc<Backlog>,
    /// Taken from queue and overflow, oldest first.
    pending: VecDeque<Op>,
    is_stopping: bool,
}

impl Writer {
    pub(super) fn new(connection: Connection, queue: Receiver<Op>, backlog: Arc<Backlog>) -> Self {
        Self { connection, queue, backlog, pending: VecDeque::new(), is_stopping: false }
    }

    /// Until the last handle is gone and everything is written.
    pub(super) fn run(mut self) {
        let mut attempts = 0;
        loop {
            self.collect();
            if self.pending.is_empty() && self.is_stopping {
                return;
            }
            let batch: Vec<Op> = self.pending.drain(..self.pending.len().min(BATCH_MAX)).collect();
            // Before the commit: a disk that fails must not keep a stopping daemon for ever.
            self.is_stopping |= batch.iter().any(|op| matches!(op, Op::Stop));
            match self.commit(&batch) {
                Ok(()) => {
                    attempts = 0;
                    self.finished(batch);
                }
                Err(error) if is_passing(&error) => {
                    self.backlog.failures.fetch_add(1, Relaxed);
                    attempts += 1;
                    if self.is_stopping && attempts >= LAST_ATTEMPTS {
                        self.give_up(batch.len() + self.pending.len());
                        return;
                    }
                    for op in batch.into_iter().rev() {
                        self.pending.push_front(op);
                    }
                    std::thread::park_timeout(RETRY);
                }
                Err(_) => self.one_by_one(batch),
            }
        }
    }

    /// Fills `pending` up to a batch; waits if there is nothing.
    fn collect(&mut self) {
        if self.pending.is_empty() && !self.is_stopping {
            match self.queue.recv_timeout(HEARTBEAT) {
                Ok(op) => self.pending.push_back(op),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => self.is_stopping = true,
            }
        }
        while self.pending.len() < BATCH_MAX {
            match self.queue.try_recv() {
                Ok(op) => self.pending.push_back(op),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => {
                    let (queue, pending) = (&self.queue, &mut self.pending);
                    // What comes while we look must not keep us here.
                    let spilled =
                        self.backlog.take(|| pending.extend(queue.try_iter().take(QUEUE_MAX)));
                    self.pending.extend(spilled);
                    return;
                }
            }
        }
    }

    fn commit(&mut self, batch: &[Op]) -> rusqlite::Result<()> {
        let live = self.backlog.journal.load(Relaxed);
        if batch.is_empty() && live == 0 {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        let mut change = 0_i64;
        for op in batch {
            change += write(&transaction, op)?;
        }
        alive(&transaction, clock::wall())?;
        transaction.commit()?;
        self.backlog.journal.store(live.saturating_add_signed(change), Relaxed);
        self.backlog.batches.fetch_add(1, Relaxed);
        Ok(())
    }

    /// A batch that the database refuses is written piece by piece, so that one bad operation
    /// costs itself only.
    fn one_by_one(&mut self, batch: Vec<Op>) {
        for op in batch {
            let one = [op];
            match self.commit(&one) {
                Ok(()) => self.finished(one),
                Err(_) => self.give_up(1),
            }
        }
    }

    fn finished(&mut self, batch: impl IntoIterator<Item = Op>) {
        let (mut done, mut written) = (0, 0);
        let mut waiting = Vec::new();
        for op in batch {
            done += 1;
            match op {
                Op::Flush(waits) => waiting.push(waits),
                Op::Stop => {}
                Op::Began(_)
                | Op::Ended(_)
                | Op::Bindings(..)
                | Op::Token(..)
                | Op::Services(..)
                | Op::Recording(..) => written += 1,
            }
        }
        self.backlog.done.fetch_add(done, Relaxed);
        self.backlog.written.fetch_add(written, Relaxed);
        for waits in waiting {
            // Nobody waits any more after a timeout.
            let _ = waits.try_send(());
        }
    }

    fn give_up(&self, count: usize) {
        self.backlog.done.fetch_add(count as u64, Relaxed);
        self.backlog.lost.fetch_add(count as u64, Relaxed);
    }
}

/// Will the same operation succeed once the disk has room or answers again?
fn is_passing(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
        )
    )
}

/// Writes one operation and returns by how much the journal grew.
fn write(transaction: &Transaction<'_>, op: &Op) -> rusqlite::Result<i64> {
    match op {
        Op::Began(began) => began_row(transaction, began),
        Op::Ended(record) => {
            record_row(transaction, record)?;
            let mut delete = transaction.prepare_cached("DELETE FROM journal WHERE call = ?1")?;
            let gone = delete.execute([record.began.call.to_string()])?;
            Ok(if gone > 0 { -1 } else { 0 })
        }
        Op::Bindings(aor, list) => binding_rows(transaction, aor, list).map(|()| 0),
        Op::Token(extension, token) => {
            token_row(transaction, extension, token.as_ref()).map(|()| 0)
        }
        Op::Services(extension, services) => {
            services_row(transaction, extension, services).map(|()| 0)
        }
        Op::Recording(row, audit) => {
            recordings::write(transaction, row, audit.as_deref()).map(|()| 0)
        }
        Op::Flush(_) | Op::Stop => Ok(0),
    }
}

fn services_row(
    transaction: &Transaction<'_>,
    extension: &str,
    services: &PhoneServices,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM phone_service WHERE extension = ?1")?
        .execute([extension])?;
    if services.is_plain() {
        return Ok(());
    }
    let sql = "INSERT INTO phone_service
               (extension, dnd, forward_all, forward_busy, forward_no_answer, reject_anonymous)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    transaction.prepare_cached(sql)?.execute(params![
        extension,
        services.dnd,
        services.forward_all,
        services.forward_busy,
        services.forward_no_answer,
        services.reject_anonymous,
    ])?;
    Ok(())
}

fn token_row(
    transaction: &Transaction<'_>,
    extension: &str,
    token: Option<&StoredToken>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM phone_token WHERE extension = ?1")?
        .execute([extension])?;
    if let Some(StoredToken { mac, token }) = token {
        let sql = "INSERT INTO phone_token (extension, mac, token) VALUES (?1, ?2, ?3)";
        transaction.prepare_cached(sql)?.execute(params![extension, mac, token])?;
    }
    Ok(())
}

fn began_row(transaction: &Transaction<'_>, began: &Began) -> rusqlite::Result<i64> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO journal (call, began, direction, caller, called, trunk, withheld)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (call) DO NOTHING",
    )?;
    let added = insert.execute(params![
        began.call.to_string(),
        began.at.0,
        began.direction.word(),
        began.caller,
        began.called,
        began.trunk,
        began.is_withheld,
    ])?;
    Ok(if added > 0 { 1 } else { 0 })
}

/// The first record of a call wins: a task that panicked after its record gets no second one.
const INSERT_RECORD: &str = "INSERT INTO record (call, began, answered, ended, talk_us, direction,
        caller, called, trunk, cause, hung_up_by, segments, timeline, legs, withheld)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
    ON CONFLICT (call) DO NOTHING";

fn record_row(transaction: &Transaction<'_>, record: &Record) -> rusqlite::Result<()> {
    let began = &record.began;
    let talk_us = i64::try_from(reply::micros(reply::talk(&record.segments))).unwrap_or(i64::MAX);
    let segments: Vec<SegmentRow> = record.segments.iter().map(SegmentRow::from).collect();
    let timeline: Vec<TimelineRow> = record.timeline.iter().map(TimelineRow::from).collect();
    let legs: Vec<LegRow> = record.legs.iter().map(LegRow::from).collect();
    transaction.prepare_cached(INSERT_RECORD)?.execute(params![
        began.call.to_string(),
        began.at.0,
        record.answered.map(|at| at.0),
        record.ended.0,
        talk_us,
        began.direction.word(),
        began.caller,
        began.called,
        began.trunk,
        record.cause.key,
        record.hung_up_by.word(),
        json(&segments)?,
        json(&timeline)?,
        json(&legs)?,
        began.is_withheld,
    ])?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))
}

fn binding_rows(
    transaction: &Transaction<'_>,
    aor: &str,
    list: &[StoredBinding],
) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM binding WHERE aor = ?1")?.execute([aor])?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO binding (aor, position, contact, expires_at, call_id, cseq, path, instance,
            reg_id, flow, user_agent, q)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    for (position, binding) in (0_u32..).zip(list) {
        insert.execute(params![
            aor,
            position,
            binding.contact,
            binding.expires_at.0,
            binding.call_id,
            binding.cseq,
            json(&binding.path)?,
            binding.instance,
            binding.reg_id,
            binding.flow,
            binding.user_agent,
            binding.q,
        ])?;
    }
    Ok(())
}

/// Notes when the daemon was last known to live; a call that a crash cuts off ends then.
fn alive(transaction: &Transaction<'_>, at: Wall) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO meta (name, value) VALUES ('alive', ?1)
             ON CONFLICT (name) DO UPDATE SET value = ?1",
        )?
        .execute([at.0])?;
    Ok(())
}

/// Makes a record of every call that was cut off, and returns how many there were.
pub(super) fn recover(connection: &mut Connection) -> rusqlite::Result<u64> {
    let transaction = connection.transaction()?;
    let alive: Option<i64> = transaction
        .query_row("SELECT value FROM meta WHERE name = 'alive'", [], |row| row.get(0))
        .optional()?;
    let recovered = {
        let mut select = transaction.prepare(
            "SELECT call, began, direction, caller, called, trunk, withheld FROM journal",
        )?;
        let mut insert = transaction.prepare(INSERT_RECORD)?;
        let mut rows = select.query([])?;
        let mut recovered = 0;
        while let Some(row) = rows.next()? {
            let began: i64 = row.get(1)?;
            let ended = alive.unwrap_or(began).max(began);
            let span_us = u64::try_from(ended - began).unwrap_or(0);
            // What the call was doing is not in the journal; the whole of it is one segment.
            let segment = SegmentRow {
                kind: SegmentKind::Setup.word().to_owned(),
                from_us: 0,
                until_us: span_us,
            };
            let line = TimelineRow {
                at_us: span_us,
                leg: String::new(),
                what: "system.stopped".to_owned(),
                text: cause::SYSTEM_ERROR.text.to_owned(),
            };
            recovered += insert.execute(params![
                row.get::<_, String>(0)?,
                began,
                None::<i64>,
                ended,
                0,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, String>(5)?,
                cause::SYSTEM_ERROR.key,
                HungUpBy::System.word(),
                json(&[segment])?,
                json(&[line])?,
                "[]",
                row.get::<_, bool>(6)?,
            ])?;
        }
        recovered
    };
    transaction.execute("DELETE FROM journal", [])?;
    transaction.commit()?;
    Ok(recovered as u64)
}
