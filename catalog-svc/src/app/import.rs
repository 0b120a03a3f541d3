use bytes::Bytes;
use platform::{AppError, AppResult, db::Tx, outbox::announce};
use proto::events::{ReleaseChanged, subject};
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking};
use wire::{
    keys::VerifyingKey,
    manifest::Manifest,
    package::{self, Limits},
    release::{ArtifactDigest, ReleaseSignature, sign_statement, verify_vendor_signature},
};

use super::{
    App,
    errors::{refused_package, unknown_vendor, unsigned},
};
use crate::{
    domain::{Artifact, Candidate, Decision, Kind, Release, ReleaseState, Vendor, check_vendor, decide},
    store,
};

/// What an operator says about a ZIP.
#[derive(Debug, Clone)]
pub struct Import {
    /// `vnd_…`
    pub vendor_id: String,
    /// Base64 of the vendor's signature over the ZIP's bytes.
    pub signature: String,
    /// How a shop runs it.
    pub kind: Kind,
    /// Mends a security fault.
    pub security: bool,
}

impl App {
    /// Waits for a place among the imports at work.
    pub async fn import_place(&self) -> AppResult<OwnedSemaphorePermit> {
        self.imports.clone().acquire_owned().await.map_err(AppError::unexpected)
    }

    /// The largest ZIP that is taken.
    #[must_use]
    pub fn max_package_bytes(&self) -> u64 {
        self.limits.archive_bytes
    }

    /// Publishes a ZIP as a release. The same bytes again are the same release again.
    ///
    /// The bytes are stored before the rows: an artefact that no row names is harmless, a row without its artefact
    /// is not.
    pub async fn import_release(&self, import: Import, zip: Bytes) -> AppResult<Release> {
        let vendor =
            store::find_vendor(self.db.read(), &import.vendor_id).await?.ok_or_else(unknown_vendor)?;
        let candidate = self.check(import, &vendor, zip.clone()).await?;
        check_vendor(&candidate.manifest, &vendor.name)?;
        if let Some(release) = self.find_published(&candidate).await? {
            return Ok(self.visible(release).await);
        }
        self.artifacts.put(&candidate.artifact.sha256, zip).await?;
        let tx = self.db.begin().await?;
        let (release, is_new) = self.publish(&tx, &vendor, candidate).await?;
        if is_new {
            tx.commit().await?;
            metrics::counter!("catalog_releases_published_total").increment(1);
            tracing::info!(release = release.id, app = %release.manifest.marketplace_id, "release published");
        } else {
            drop(tx);
        }
        Ok(self.visible(release).await)
    }

    /// Who is told of a release can read it here at once, also where another replica has just published it.
    async fn visible(&self, release: Release) -> Release {
        self.refresh(&[release.manifest.marketplace_id.to_string()]).await;
        release
    }

    /// Inflating and hashing take long enough to hold up a thread that serves others.
    async fn check(&self, import: Import, vendor: &Vendor, zip: Bytes) -> AppResult<Candidate> {
        let keys: Vec<VerifyingKey> = vendor.keys.iter().map(|key| key.key).collect();
        let limits = self.limits;
        spawn_blocking(move || read_package(&import, &keys, &zip, &limits))
            .await
            .map_err(AppError::unexpected)?
    }

    /// The release that these bytes are already; an early answer that saves storing what will be refused.
    async fn find_published(&self, candidate: &Candidate) -> AppResult<Option<Release>> {
        let db = self.db.read();
        let Some(product) = store::find_product(db, &candidate.manifest.marketplace_id).await? else {
            return Ok(None);
        };
        let same_version = store::find_release(db, &product.id, &candidate.manifest.version).await?;
        match decide(Some(product.app_type), same_version.as_ref(), candidate)? {
            Decision::Publish => Ok(None),
            Decision::Exists(_) => Ok(same_version),
        }
    }

    /// The release, and whether this transaction made it: of two imports at once the index lets one through.
    async fn publish(&self, tx: &Tx, vendor: &Vendor, candidate: Candidate) -> AppResult<(Release, bool)> {
        let now_ms = self.clock.now_ms();
        let new_id = self.ids.generate("ccmp");
        store::create_product(&**tx, new_id, &candidate.manifest, &vendor.id, now_ms).await?;
        let product = store::find_product(&**tx, &candidate.manifest.marketplace_id).await?;
        let product =
            product.ok_or_else(|| AppError::unexpected("a product that was just created is missing"))?;
        let same_version = store::find_release(&**tx, &product.id, &candidate.manifest.version).await?;
        if let Decision::Exists(release) = decide(Some(product.app_type), same_version.as_ref(), &candidate)?
        {
            return Ok((release.clone(), false));
        }
        let release = self.sign(product.id, candidate, now_ms)?;
        if !store::create_release(&**tx, &release).await? {
            return Err(AppError::conflict("this version is being published right now; send it again"));
        }
        announce(&**tx, &self.ids, now_ms, subject::RELEASE_PUBLISHED, &event_of(&release)).await?;
        Ok((release, true))
    }

    fn sign(&self, product_id: String, candidate: Candidate, now_ms: i64) -> AppResult<Release> {
        let Candidate { manifest, kind, artifact, vendor_signature, security } = candidate;
        let signature =
            sign_statement(&self.signer.key, &manifest.marketplace_id, &manifest.version, &artifact.sha256);
        Ok(Release {
            id: self.ids.generate("rel"),
            product_id,
            kind,
            manifest_json: shown(&manifest)?,
            manifest,
            artifact,
            signature,
            vendor_signature,
            security,
            published_at_ms: now_ms,
            state: ReleaseState::Published,
        })
    }
}

/// The signature is checked before anything is made of the bytes: a ZIP of a stranger isn't even opened.
fn read_package(import: &Import, keys: &[VerifyingKey], zip: &[u8], limits: &Limits) -> AppResult<Candidate> {
    let key_id = verify_vendor_signature(keys, zip, &import.signature).map_err(unsigned)?;
    let package = package::inspect(zip, limits).map_err(refused_package)?;
    Ok(Candidate {
        manifest: package.manifest().clone(),
        kind: import.kind,
        artifact: Artifact { sha256: ArtifactDigest::of(zip), size: zip.len() as u64 },
        vendor_signature: ReleaseSignature { key_id, value: import.signature.trim().to_owned() },
        security: import.security,
    })
}

/// The manifest as it is kept and shown. It is read back with every start, so it must be readable.
fn shown(manifest: &Manifest) -> AppResult<String> {
    let json = serde_json::to_string(manifest).map_err(AppError::unexpected)?;
    serde_json::from_str::<Manifest>(&json).map_err(AppError::unexpected)?;
    Ok(json)
}

/// What the bus is told of a release, published or yanked.
pub(super) fn event_of(release: &Release) -> ReleaseChanged {
    ReleaseChanged {
        marketplace_id: release.manifest.marketplace_id.to_string(),
        version: release.version().to_string(),
        release_id: release.id.clone(),
        changelog_url: release.manifest.changelog_url.clone(),
        security: release.security,
        published_at_ms: release.published_at_ms,
    }
}
