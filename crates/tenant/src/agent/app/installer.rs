//! The task that installs, and goes on after a restart where it was.

use std::{io, sync::Arc, time::Duration};

use platform::{Shutdown, clock::millis};
use thiserror::Error;
use wire::{keys::VerifyingKey, license_key::LicenseKey, release::ArtifactDigest};

use super::{App, UseCaseError};
use crate::{
    agent::{
        domain::{Job, Problem, retry_delay},
        store::StoreError,
    },
    artifact::{self, ArtifactError, Claim, Holder, Signers, TrustError},
    client::{ClientError, Download, ProductDetail, PublicKey},
    install::{InstallError, Receipt, Staged},
};

/// Why a job was not done.
#[derive(Debug, Error)]
enum JobError {
    #[error(transparent)]
    Marketplace(#[from] ClientError),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error("the new version asks for more permissions; allow them to go on")]
    Consent(Vec<String>),
    #[error(transparent)]
    Shop(#[from] UseCaseError),
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
            Self::Trust(TrustError::NewKey(holder, key)) => Problem::NewKey { holder, key: *key },
            Self::Consent(added) => Problem::Consent { added },
            other => match retry {
                Some(wait) => Problem::Retrying { message: other.to_string(), at_ms: now_ms + millis(wait) },
                None => Problem::Failed { message: other.to_string() },
            },
        }
    }
}

impl App {
    /// Installs what is due, one app after the other, until `shutdown`.
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
        let (app, version) = (job.marketplace_id.clone(), job.version.clone());
        let outcome = self.try_job(&job).await;
        let is_done = outcome.is_ok();
        let problem = outcome.err().map(|error| {
            tracing::warn!(%app, %version, %error, "an app could not be installed");
            error.into_problem(job.attempts + 1, self.now_ms())
        });
        let kept = self.state.change(|state| match problem {
            None => state.finish_job(&app, &version),
            Some(problem) => state.change_job(&app, &version, |job| {
                job.attempts += 1;
                job.problem = Some(problem);
            }),
        });
        if let Err(error) = kept.await {
            tracing::error!(%error, "the outcome of an installation could not be kept");
            // The job is still due: without a pause this would spin.
            self.clock.sleep(retry_delay(1)).await;
        }
        if let Some(client) = self.client.as_ref().filter(|_| is_done) {
            self.prove_license(client, &app).await;
        }
    }

    async fn try_job(&self, job: &Job) -> Result<(), JobError> {
        let client = self.client()?;
        let installed = self.installed_versions().await.map_err(UseCaseError::from)?;
        if installed.get(&job.marketplace_id) == Some(&job.version) {
            return Ok(());
        }
        let product = client.product(&job.marketplace_id).await?;
        let download =
            client.download(&job.marketplace_id, &job.version, self.license_key(job).as_ref()).await?;
        let signers = self.signers(job, &product, &download)?;
        let bytes = client.fetch(&download, self.plugins.limits().archive_bytes).await?;
        let sha256 = download.sha256;
        let bytes = verify(job.clone(), bytes, download, &signers).await?;
        // Before the app is in place: no crash in between makes the next key the first one.
        if !self.state().has_pinned(&signers, &job.marketplace_id) {
            self.state.change(|state| state.pin(&signers, &job.marketplace_id)).await?;
        }
        self.put_in_place(job, bytes, sha256).await?;
        tracing::info!(app = %job.marketplace_id, version = %job.version, "installed");
        Ok(())
    }

    fn license_key(&self, job: &Job) -> Option<LicenseKey> {
        self.state().licenses.get(&job.marketplace_id)?.key.parse().ok()
    }

    fn signers(
        &self,
        job: &Job,
        product: &ProductDetail,
        download: &Download,
    ) -> Result<Signers, TrustError> {
        let state = self.state();
        let vendor = Holder::Vendor(job.marketplace_id.vendor().to_owned());
        let trusted = |holder: &Holder, key_id: &str, listed: &[PublicKey]| {
            let listed: Vec<VerifyingKey> = listed.iter().map(|key| key.value).collect();
            state.pins.trusted(holder, key_id, &listed)
        };
        Ok(Signers {
            marketplace: trusted(
                &Holder::Marketplace,
                &download.signature.key_id,
                &product.marketplace_keys,
            )?,
            vendor: trusted(&vendor, &download.vendor_signature.key_id, &product.vendor_keys)?,
        })
    }

    /// Inflating and writing, off the threads that answer.
    async fn put_in_place(&self, job: &Job, bytes: Vec<u8>, sha256: ArtifactDigest) -> Result<(), JobError> {
        let Job { marketplace_id, version, allowed, .. } = job.clone();
        let receipt = Receipt { marketplace_id, version, sha256, installed_at_ms: self.now_ms() };
        let plugins = self.plugins.clone();
        blocking(move || {
            let staged = plugins.stage(&bytes, &receipt)?;
            refuse_unseen_permissions(&staged, &allowed)?;
            Ok(staged.commit()?)
        })
        .await
    }
}

/// Hashing, off the threads that answer. Gives the bytes back.
async fn verify(
    job: Job,
    bytes: Vec<u8>,
    download: Download,
    signers: &Signers,
) -> Result<Vec<u8>, JobError> {
    let signers = *signers;
    blocking(move || {
        let claim = Claim {
            marketplace_id: &job.marketplace_id,
            version: &job.version,
            sha256: &download.sha256,
            signature: &download.signature,
            vendor_signature: &download.vendor_signature,
        };
        artifact::verify(&bytes, &claim, &signers)?;
        Ok(bytes)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
) -> Result<T, JobError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| InstallError::from(io::Error::other(error)))?
}

/// An update may do no more than the version it replaces, unless the administrator has seen what is added.
fn refuse_unseen_permissions(staged: &Staged, allowed: &[String]) -> Result<(), JobError> {
    let added: Vec<String> = staged.added_permissions()?;
    if added.iter().all(|permission| allowed.contains(permission)) {
        Ok(())
    } else {
        Err(JobError::Consent(added))
    }
}
