//! The thread: jobs in, answers out, fetches beside each other.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::cache::{Cache, FETCHES_MAX, Found};
use super::fetch::{Fetched, fetch};
use super::material::Material;
use crate::edge::clock::Clock;
use crate::proto::stir::signature::Signature;
use crate::proto::stir::source::{CertificateUrl, is_allowed};
use crate::proto::stir::{Failure, Kind};
use crate::switch::stir::Check;
use crate::switch::switchboard::{CHECKED_MAX, SIGNED_MAX};

/// Jobs under way. Never full: the switchboard lets no more INVITEs wait than that.
pub const JOBS_MAX: usize = CHECKED_MAX + SIGNED_MAX;

/// Something to check or to sign.
#[derive(Debug)]
pub struct Job {
    /// Names the answer.
    pub id: u64,
    /// What.
    pub task: Task,
    /// With what.
    pub material: Arc<Material>,
}

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    /// Are all of these signatures good?
    Verify(Vec<Check>),
    /// Sign this.
    Sign(String),
}

/// What came of a job.
#[derive(Debug)]
pub enum Answer {
    /// Of [`Task::Verify`].
    Verified(u64, Result<(), Failure>),
    /// Of [`Task::Verify`], if it could not be found out.
    NotVerified(u64, &'static str),
    /// Of [`Task::Sign`].
    Signed(u64, Option<Signature>),
}

/// A job that waits for a certificate.
pub(super) struct Waiting {
    id: u64,
    checks: Vec<Check>,
    material: Arc<Material>,
}

/// The thread as its owner sees it. It ends when this is dropped.
#[derive(Debug)]
pub struct StirThread {
    jobs: mpsc::Sender<Job>,
    #[expect(dead_code, reason = "it ends by itself; the handle says whose it is")]
    thread: JoinHandle<()>,
}

impl StirThread {
    /// Starts it; `answers` should hold [`JOBS_MAX`].
    ///
    /// # Errors
    ///
    /// No thread, or no runtime for it.
    pub fn start(clock: Clock, answers: mpsc::Sender<Answer>) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel(JOBS_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("stir".to_owned())
            .spawn(move || runtime.block_on(run(clock, inbox, answers)))?;
        Ok(Self { jobs, thread })
    }

    /// Hands over a job; false if it cannot be taken.
    pub fn give(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }
}

async fn run(clock: Clock, mut jobs: mpsc::Receiver<Job>, answers: mpsc::Sender<Answer>) {
    let (fetched_tx, mut fetched) = mpsc::channel(FETCHES_MAX);
    let mut worker =
        Worker { clock, cache: Cache::default(), answers, fetched: fetched_tx, material: None };
    loop {
        tokio::select! {
            job = jobs.recv() => match job {
                Some(job) => worker.job(job),
                None => return,
            },
            Some((url, result)) = fetched.recv() => worker.fetched(url, result),
        }
    }
}

struct Worker {
    clock: Clock,
    cache: Cache,
    answers: mpsc::Sender<Answer>,
    fetched: mpsc::Sender<(CertificateUrl, Fetched)>,
    /// That of the last job: with another one, what was fetched is fetched again.
    material: Option<Arc<Material>>,
}

impl Worker {
    fn job(&mut self, job: Job) {
        let Job { id, task, material } = job;
        if !self.material.as_ref().is_some_and(|known| Arc::ptr_eq(known, &material)) {
            self.cache.clear();
            self.material = Some(Arc::clone(&material));
        }
        match task {
            Task::Sign(input) => self.answer(Answer::Signed(id, material.sign(input.as_bytes()))),
            Task::Verify(_) if material.anchors.is_empty() => {
                self.answer(Answer::NotVerified(id, "no authority is known"));
            }
            Task::Verify(checks) => self.verify(Waiting { id, checks, material }),
        }
    }

    /// Checks every signature; what lacks a certificate waits for that, and is begun again with it. All that are lacking
    /// are fetched at once: one after the other they could take longer than the call waits.
    fn verify(&mut self, job: Waiting) {
        let mut lacking = None;
        for check in &job.checks {
            match self.check(check, &job.material) {
                Ok(None) => {}
                Ok(Some(url)) => lacking = lacking.or(Some(url)),
                Err(failure) => return self.answer(Answer::Verified(job.id, Err(failure))),
            }
        }
        match lacking {
            Some(url) => self.cache.wait(&url, job),
            None => self.answer(Answer::Verified(job.id, Ok(()))),
        }
    }

    /// Checks one signature; gives the address of a certificate that has to come first.
    fn check(
        &mut self,
        check: &Check,
        material: &Arc<Material>,
    ) -> Result<Option<CertificateUrl>, Failure> {
        let bad = |why| Failure::new(Kind::BadInfo, why);
        let url = CertificateUrl::parse(&check.x5u);
        let url = url.ok_or(bad("the certificate's address is not https"))?;
        if !is_allowed(&material.sources, &url) {
            return Err(bad("the certificate's server is not listed"));
        }
        let (now, wall) = (self.clock.now(), self.clock.wall());
        match self.cache.find(now, &url) {
            Found::Chain(chain) => chain.check(check, material, wall).map(|()| None),
            Found::Failed(failure) => Err(failure),
            Found::Wanted { is_new } => {
                if is_new {
                    self.fetch(url.clone(), Arc::clone(material));
                }
                Ok(Some(url))
            }
        }
    }

    fn fetch(&self, url: CertificateUrl, material: Arc<Material>) {
        let fetched = self.fetched.clone();
        tokio::spawn(async move {
            let result = fetch(&url, &material).await;
            let _ = fetched.send((url, result)).await;
        });
    }

    fn fetched(&mut self, url: CertificateUrl, result: Fetched) {
        if let Err(failure) = &result {
            tracing::warn!(host = %url.host, why = failure.why, "no certificate of a caller");
        }
        let now = self.clock.now();
        for job in self.cache.fetched(now, url, result) {
            // By the authorities of now: what those of before let pass would count as checked for later calls too.
            let material = self.material.clone().unwrap_or_else(|| Arc::clone(&job.material));
            self.verify(Waiting { material, ..job });
        }
    }

    fn answer(&self, answer: Answer) {
        // There is room for an answer to each job; without a reader the daemon is ending.
        let _ = self.answers.try_send(answer);
    }
}
