//! Apps that come as a ZIP: plugins, and static apps.

use wire::{license_key::LicenseKey, release::ArtifactDigest};

use super::{
    App, UseCaseError,
    installer::{JobError, blocking, refuse_unseen},
};
use crate::{
    agent::domain::Job,
    artifact::{self, Claim, Signers},
    client::{Client, Download, ProductDetail},
    install::{InstallError, Plugins, Receipt, Staged},
};

/// A ZIP whose signatures have been verified.
struct Package {
    zip: Vec<u8>,
    receipt: Receipt,
}

impl App {
    pub(super) async fn install_plugin(
        &self,
        client: &Client,
        job: &Job,
        product: &ProductDetail,
    ) -> Result<(), JobError> {
        let installed = self.installed_versions().await.map_err(UseCaseError::from)?;
        if installed.get(&job.marketplace_id) == Some(&job.version) {
            return Ok(());
        }
        let package = self.fetch_package(client, job, product).await?;
        self.refuse_withdrawn(job)?;
        let (plugins, allowed) = (self.plugins.clone(), job.allowed.clone());
        blocking(move || {
            let staged = package.stage(&plugins)?;
            refuse_unseen(staged.added_permissions()?, &allowed)?;
            Ok(staged.commit()?)
        })
        .await
    }

    /// The shop itself installs a static app; the marketplace only keeps a record of it, so nothing but the last rename
    /// may fail after that was made. An agent that knew plugins only has put static apps among them: none stays there.
    pub(super) async fn install_static(
        &self,
        client: &Client,
        job: &Job,
        product: &ProductDetail,
    ) -> Result<(), JobError> {
        let package = self.fetch_package(client, job, product).await?;
        let statics = self.statics.clone();
        let staged = blocking(move || package.stage(&statics)).await?;
        self.register(client, job, staged.manifest().permissions()).await?;
        let (plugins, app) = (self.plugins.clone(), job.marketplace_id.clone());
        blocking(move || {
            staged.commit()?;
            Ok(plugins.remove(&app).map_err(InstallError::from)?)
        })
        .await
    }

    async fn fetch_package(
        &self,
        client: &Client,
        job: &Job,
        product: &ProductDetail,
    ) -> Result<Package, JobError> {
        let download =
            client.download(&job.marketplace_id, &job.version, self.license_key(job).as_ref()).await?;
        let signers =
            self.signers(&job.marketplace_id, product, &download.signature, &download.vendor_signature)?;
        let zip = client.fetch(&download, self.plugins.limits().archive_bytes).await?;
        let sha256 = download.sha256;
        let zip = verify(job.clone(), zip, download, &signers).await?;
        // Before the app is in place: no crash in between makes the next key the first one.
        self.pin(&signers, &job.marketplace_id).await?;
        Ok(Package { zip, receipt: self.receipt(job, sha256) })
    }

    fn receipt(&self, job: &Job, sha256: ArtifactDigest) -> Receipt {
        Receipt {
            marketplace_id: job.marketplace_id.clone(),
            version: job.version.clone(),
            sha256,
            installed_at_ms: self.now_ms(),
        }
    }

    fn license_key(&self, job: &Job) -> Option<LicenseKey> {
        self.state().licenses.get(&job.marketplace_id)?.key.parse().ok()
    }
}

impl Package {
    fn stage(&self, folder: &Plugins) -> Result<Staged, JobError> {
        Ok(folder.stage(&self.zip, &self.receipt)?)
    }
}

/// Gives the bytes back.
async fn verify(job: Job, zip: Vec<u8>, download: Download, signers: &Signers) -> Result<Vec<u8>, JobError> {
    let signers = *signers;
    blocking(move || {
        let claim = Claim {
            marketplace_id: &job.marketplace_id,
            version: &job.version,
            sha256: &download.sha256,
            signature: &download.signature,
            vendor_signature: &download.vendor_signature,
        };
        artifact::verify(&zip, &claim, &signers)?;
        Ok(zip)
    })
    .await
}
