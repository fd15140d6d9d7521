//! The way to the writer: a bounded queue, and an overflow for when the disk stalls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};

use super::{StoreError, StoreStats, StoredAudit, StoredBinding, StoredRecording};
use crate::edge::provisioning::StoredToken;
use crate::switch::cdr::record::{Began, Record};
use crate::switch::services::PhoneServices;

/// Operations that wait for the writer. When full, further ones go to the overflow, so that a
/// caller neither waits nor loses a record.
pub(super) const QUEUE_MAX: usize = 4096;

/// Operations in the overflow: about ten minutes of a stalled disk at a hundred calls per second.
/// Bindings of one phone take one place however often it registers. When full, the operation is
/// refused and counted as lost, because memory must have a limit too.
pub(super) const SPILL_MAX: usize = 131_072;

/// A wish to the writer.
pub(super) enum Op {
    Began(Began),
    Ended(Box<Record>),
    Bindings(String, Vec<StoredBinding>),
    /// The token of a phone, or that it has none any more.
    Token(String, Option<StoredToken>),
    /// What a phone has switched on: all of it.
    Services(String, PhoneServices),
    /// What is known of a recording, and what the audit says of that.
    Recording(Box<StoredRecording>, Option<Box<StoredAudit>>),
    /// Answered once everything before it is on disk.
    Flush(SyncSender<()>),
    Stop,
}

/// What sender and writer share beside the queue.
#[derive(Default)]
pub(super) struct Backlog {
    spill: Mutex<Spill>,
    pub(super) pushed: AtomicU64,
    /// Written, answered or given up: taken out of the queue for good.
    pub(super) done: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) spilled: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) journal: AtomicU64,
    recovered: u64,
}

/// Operations in their order, and where each phone's bindings stand among them.
#[derive(Default)]
struct Spill {
    ops: Vec<Op>,
    bindings: HashMap<String, usize>,
}

impl Backlog {
    /// Takes the whole overflow. `drain` empties the queue first: what is in the queue is older,
    /// and while the overflow is locked nothing can be added to either.
    pub(super) fn take(&self, drain: impl FnOnce()) -> Vec<Op> {
        let mut spill = self.spill.lock().unwrap_or_else(PoisonError::into_inner);
        drain();
        spill.bindings.clear();
        std::mem::take(&mut spill.ops)
    }
}

/// The senders' side.
pub(super) struct Queue {
    sender: SyncSender<Op>,
    backlog: Arc<Backlog>,
}

impl Queue {
    pub(super) fn new(sender: SyncSender<Op>, recovered: u64) -> Self {
        Self { sender, backlog: Arc::new(Backlog { recovered, ..Backlog::default() }) }
    }

    pub(super) fn backlog(&self) -> Arc<Backlog> {
        Arc::clone(&self.backlog)
    }

    /// Hands over without waiting for the disk; the lock is held for a push.
    pub(super) fn push(&self, op: Op) -> Result<(), StoreError> {
        let backlog = &self.backlog;
        let mut spill = backlog.spill.lock().unwrap_or_else(PoisonError::into_inner);
        // Once something has spilled everything must, or it would overtake.
        let op = if spill.ops.is_empty() {
            match self.sender.try_send(op) {
                Ok(()) => {
                    backlog.pushed.fetch_add(1, Relaxed);
                    return Ok(());
                }
                Err(TrySendError::Full(op)) => op,
                Err(TrySendError::Disconnected(_)) => {
                    backlog.lost.fetch_add(1, Relaxed);
                    return Err(StoreError::Stalled);
                }
            }
        } else {
            op
        };
        if let Op::Bindings(aor, _) = &op
            && let Some(slot) = spill.bindings.get(aor).copied()
        {
            // The newer bindings take the place of the older ones: the older never reach the disk.
            spill.ops[slot] = op;
            return Ok(());
        }
        if spill.ops.len() >= SPILL_MAX {
            backlog.lost.fetch_add(1, Relaxed);
            return Err(StoreError::Full);
        }
        if let Op::Bindings(aor, _) = &op {
            let slot = spill.ops.len();
            spill.bindings.insert(aor.clone(), slot);
        }
        spill.ops.push(op);
        backlog.pushed.fetch_add(1, Relaxed);
        backlog.spilled.fetch_add(1, Relaxed);
        Ok(())
    }

    pub(super) fn stats(&self) -> StoreStats {
        let backlog = &self.backlog;
        // Read `done` first: it never runs ahead of `pushed` then.
        let done = backlog.done.load(Relaxed);
        StoreStats {
            queued: backlog.pushed.load(Relaxed).saturating_sub(done),
            written: backlog.written.load(Relaxed),
            batches: backlog.batches.load(Relaxed),
            spilled: backlog.spilled.load(Relaxed),
            lost: backlog.lost.load(Relaxed),
            failures: backlog.failures.load(Relaxed),
            journal: backlog.journal.load(Relaxed),
            recovered: backlog.recovered,
        }
    }
}
