//! The task that installs and removes, and goes on after a restart where it was.

use std::{io, sync::Arc, time::Duration};

use platform::{Shutdown, clock::millis};
use semver::Version;
use thiserror::Error;

use super::{App, UseCaseError, trust::Doubt};
use crate::{
    agent::{
        domain::{Job, Problem, State, Wish, retry_delay},
        store::StoreError,
    },
    artifact::{ArtifactError, TrustError},
    client::{AppKind, Client, ClientError},
    install::InstallError,
};

/// Why a job was not done.
#[derive(Debug, Error)]
pub(super) enum JobError {
    #[error(transparent)]
    Marketplace(#[from] ClientError),
    #[error(transparent)]
    Doubt(#[from] Doubt),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error("it asks for permissions that nobody here has allowed yet; allow them to go on")]
    Consent(Vec<String>),
    #[error("version {0} is on offer now; give this up, and look at that one")]
    NotOffered(Version),
    #[error("this shop doesn't know this kind of app; a newer version of its agent may")]
    UnknownKind,
    #[error("this is not wished for any more; nothing was done")]
    Withdrawn,
    #[error("this wish has had its installation already; nothing was done")]
    Answered,
    #[error(transparent)]
    Shop(#[from] UseCaseError),
}

impl From<ArtifactError> for JobError {
    fn from(error: ArtifactError) -> Self {
        Self::Doubt(error.into())
    }
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::Shop(error.into())
    }
}

impl JobError {
    /// How long to wait before it may help to try again; `None` if it won't.
    fn retry_in(&self, attempts: u32) -> Option<Duration> {
        let (passes, asked) = match self {
            Self::Marketplace(error) => (error.is_transient(), error.retry_after()),
            Self::Install(InstallError::Disk(_)) | Self::Shop(_) => (true, None),
            _ => (false, None),
        };
        passes.then(|| retry_delay(attempts).max(asked.unwrap_or_default()))
    }

    fn into_problem(self, attempts: u32, now_ms: i64) -> Problem {
        let retry = self.retry_in(attempts);
        match self {
            Self::Doubt(Doubt::Trust(TrustError::NewKey(holder, key))) => {
                Problem::NewKey { holder, key: *key }
            }
            Self::Consent(added) => Problem::Consent { added },
            other => match retry {
                Some(wait) => Problem::Retrying { message: other.to_string(), at_ms: now_ms + millis(wait) },
                None => Problem::Failed { message: other.to_string() },
            },
        }
    }
}

impl App {
    /// Does what is due, one app after the other, until `shutdown`.
    pub(crate) async fn install_until(self: Arc<Self>, shutdown: Shutdown) {
        let mut changes = self.state.watch();
        loop {
            changes.mark_unchanged();
            let due = self.state().find_due_job(self.now_ms()).cloned();
            if let Some(job) = due {
                tokio::select! {
                    () = self.work_on(job) => {}
                    () = shutdown.cancelled() => return,
                }
                continue;
            }
            tokio::select! {
                () = self.next_job_is_due() => {}
                seen = changes.changed() => if seen.is_err() { return },
                () = shutdown.cancelled() => return,
            }
        }
    }

    async fn next_job_is_due(&self) {
        match self.state().next_due_ms() {
            Some(at_ms) => self.clock.sleep_until_ms(at_ms).await,
            None => std::future::pending().await,
        }
    }

    async fn work_on(&self, job: Job) {
        let (app, version) = (&job.marketplace_id, &job.version);
        let outcome = self.try_job(&job).await;
        let is_done = outcome.is_ok();
        if let Err(error) = &outcome {
            tracing::warn!(%app, %version, wish = ?job.wish, %error, "a job could not be done");
        }
        let now_ms = self.now_ms();
        let kept = self.state.change(|state| conclude(state, &job, outcome, now_ms));
        if let Err(error) = kept.await {
            tracing::error!(%error, "the outcome of a job could not be kept");
            // The job is still due: without a pause this would spin.
            self.clock.sleep(retry_delay(1)).await;
        }
        if let Some(client) = self.client.as_ref().filter(|_| is_done) {
            self.prove_license(client, app).await;
        }
    }

    async fn try_job(&self, job: &Job) -> Result<(), JobError> {
        let client = self.client()?;
        match job.wish {
            Wish::Install => self.install_app(client, job).await?,
            Wish::Remove => self.remove_app(client, job).await?,
        }
        tracing::info!(app = %job.marketplace_id, version = %job.version, wish = ?job.wish, "done");
        Ok(())
    }

    /// The administrator may have given a job up, or wished for something else, while it was being worked on.
    pub(super) fn refuse_withdrawn(&self, job: &Job) -> Result<(), JobError> {
        if self.state().has_job(job) { Ok(()) } else { Err(JobError::Withdrawn) }
    }

    async fn install_app(&self, client: &Client, job: &Job) -> Result<(), JobError> {
        let product = client.product(&job.marketplace_id).await?;
        match product.product.kind {
            AppKind::Plugin => self.install_plugin(client, job, &product).await,
            AppKind::Static => self.install_static(client, job, &product).await,
            AppKind::Hosted => self.install_hosted(client, job, &product).await,
            AppKind::Other => Err(JobError::UnknownKind),
        }
    }
}

/// Keeps what came of a job.
fn conclude(state: &mut State, job: &Job, outcome: Result<(), JobError>, now_ms: i64) {
    match outcome {
        Ok(()) | Err(JobError::Answered) => state.finish_job(job),
        Err(JobError::Withdrawn) => {}
        Err(error) => {
            let problem = error.into_problem(job.attempts + 1, now_ms);
            state.change_job(job, |job| {
                job.attempts += 1;
                job.problem = Some(problem);
            });
        }
    }
}

/// Hashing, inflating and writing, off the threads that answer.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| InstallError::from(io::Error::other(error)))?
}

/// No app may do more than the administrator has seen.
pub(super) fn refuse_unseen(added: Vec<String>, allowed: &[String]) -> Result<(), JobError> {
    if added.iter().all(|permission| allowed.contains(permission)) {
        Ok(())
    } else {
        Err(JobError::Consent(added))
    }
}
