//! What the switchboard wants checked or signed, on its way to the thread that does so, and back.

use super::*;
use crate::edge::stir::{Answer, Job, StirThread, Task};

/// The thread, once somebody needs it, and where its answers go.
pub(super) struct StirDesk {
    thread: Option<StirThread>,
    answers: mpsc::Sender<Answer>,
}

impl StirDesk {
    pub(super) fn new() -> (Self, mpsc::Receiver<Answer>) {
        let (answers, inbox) = mpsc::channel(crate::edge::stir::JOBS_MAX);
        (Self { thread: None, answers }, inbox)
    }
}

impl SwitchboardTask {
    /// Hands a job to the thread; what it cannot take is answered at once.
    pub(super) fn stir_job(&mut self, id: u64, task: Task) {
        if self.stir.thread.is_none() {
            let started = StirThread::start(self.tools.clock, self.stir.answers.clone());
            match started {
                Ok(thread) => self.stir.thread = Some(thread),
                Err(error) => tracing::error!(%error, "no thread to check identities with"),
            }
        }
        let is_check = matches!(task, Task::Verify(_));
        let job = Job { id, task, material: Arc::clone(&self.loaded.stir) };
        if self.stir.thread.as_ref().is_some_and(|thread| thread.give(job)) {
            return;
        }
        self.stir_answered(if is_check {
            Answer::NotVerified(id, "nobody checks identities")
        } else {
            Answer::Signed(id, None)
        });
    }

    pub(super) fn stir_answered(&mut self, answer: Answer) {
        let now = self.tools.clock.now();
        let out = &mut self.out;
        match answer {
            Answer::Verified(id, result) => self.switchboard.stir_verified(now, id, result, out),
            Answer::NotVerified(id, why) => {
                self.switchboard.stir_not_verified(now, id, why, out);
            }
            Answer::Signed(id, signature) => {
                self.switchboard.stir_signed(now, id, signature.as_ref(), out);
            }
        }
    }
}
