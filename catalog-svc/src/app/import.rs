use bytes::Bytes;
use platform::{AppError, AppResult, db::Tx, outbox::announce};
use proto::events::{ReleaseChanged, subject};
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking};
use wire::{
    keys::VerifyingKey,
    manifest::{self, Manifest},
    open2b::AppSecret,
    release::sign_statement,
};

use super::{App, errors::unknown_vendor, package};
use crate::{
    domain::{
        Candidate, Content, Decision, Kind, Release, ReleaseState, Vendor, check_notice, check_vendor, decide,
    },
    store,
};

/// What an operator says about a ZIP, or about the manifest of a hosted app.
#[derive(Debug, Clone)]
pub struct Import {
    /// `vnd_…`
    pub vendor_id: String,
    /// Base64 of the vendor's signature.
    pub signature: String,
    /// How a shop runs it.
    pub kind: Kind,
    /// Mends a security fault.
    pub security: bool,
    /// When every installation shall be at least here, Unix milliseconds.
    pub required_after_ms: Option<i64>,
}

/// What an import has come to.
#[derive(Debug)]
pub struct Imported {
    /// The release.
    pub release: Release,
    /// Where this was a hosted app's first release: its secret, answered here and nowhere else.
    pub app_secret: Option<AppSecret>,
}

/// Of two imports at once the product's lock and the index let one through.
enum Publishing {
    Done(Imported),
    Exists(Release),
}

impl App {
    /// Waits for a place among the imports at work.
    pub async fn import_place(&self) -> AppResult<OwnedSemaphorePermit> {
        self.imports.clone().acquire_owned().await.map_err(AppError::unexpected)
    }

    /// The most bytes that are taken of this kind.
    #[must_use]
    pub fn max_bytes(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Plugin | Kind::Static => self.limits.archive_bytes,
            Kind::Hosted => manifest::MAX_BYTES as u64,
        }
    }

    /// Publishes a ZIP, or the manifest of a hosted app, as a release. The same again, on the same terms, is the
    /// same release again.
    ///
    /// The bytes are stored before the rows: an artefact that no row names is harmless, a row without its artefact
    /// is not.
    pub async fn import_release(&self, import: Import, bytes: Bytes) -> AppResult<Imported> {
        let vendor =
            store::find_vendor(self.db.read(), &import.vendor_id).await?.ok_or_else(unknown_vendor)?;
        let candidate = self.check(import, &vendor, bytes.clone()).await?;
        check_vendor(&candidate.manifest, &vendor.name)?;
        let now_ms = self.clock.now_ms();
        if let Some(release) = self.find_published(&candidate, now_ms).await? {
            return Ok(self.visible(Imported { release, app_secret: None }).await);
        }
        if let Some(artifact) = candidate.content.artifact() {
            self.artifacts.put(&artifact.sha256, bytes).await?;
        }
        let imported = self.save(&vendor, candidate, now_ms).await?;
        Ok(self.visible(imported).await)
    }

    async fn save(&self, vendor: &Vendor, candidate: Candidate, now_ms: i64) -> AppResult<Imported> {
        let tx = self.db.begin().await?;
        let imported = match self.publish(&tx, vendor, candidate, now_ms).await? {
            Publishing::Exists(release) => return Ok(Imported { release, app_secret: None }),
            Publishing::Done(imported) => imported,
        };
        tx.commit().await?;
        metrics::counter!("catalog_releases_published_total").increment(1);
        let release = &imported.release;
        tracing::info!(release = release.id, app = %release.manifest.marketplace_id, "release published");
        Ok(imported)
    }

    /// Who is told of a release can read it here at once, also where another replica has just published it.
    async fn visible(&self, imported: Imported) -> Imported {
        self.refresh(&[imported.release.manifest.marketplace_id.to_string()]).await;
        imported
    }

    /// Inflating and hashing take long enough to hold up a thread that serves others.
    async fn check(&self, import: Import, vendor: &Vendor, bytes: Bytes) -> AppResult<Candidate> {
        let keys: Vec<VerifyingKey> = vendor.keys.iter().map(|key| key.key).collect();
        let limits = self.limits;
        spawn_blocking(move || package::read(&import, &keys, &bytes, &limits))
            .await
            .map_err(AppError::unexpected)?
    }

    /// The release that these bytes are already; an early answer that saves storing what will be refused.
    async fn find_published(&self, candidate: &Candidate, now_ms: i64) -> AppResult<Option<Release>> {
        let db = self.db.read();
        let product = store::find_product(db, &candidate.manifest.marketplace_id).await?;
        let (latest, same_version) = match &product {
            Some(product) => (
                store::find_latest_release(db, &product.id).await?,
                store::find_release(db, &product.id, &candidate.manifest.version).await?,
            ),
            None => (None, None),
        };
        let known = product.map(|product| product.known);
        match decide(known, latest.as_ref(), same_version.as_ref(), candidate)? {
            Decision::Exists(_) => Ok(same_version),
            Decision::Publish => {
                check_notice(candidate.required_after_ms, now_ms, self.minimum_notice)?;
                Ok(None)
            }
        }
    }

    async fn publish(
        &self,
        tx: &Tx,
        vendor: &Vendor,
        candidate: Candidate,
        now_ms: i64,
    ) -> AppResult<Publishing> {
        store::create_product(&**tx, self.ids.generate("ccmp"), &candidate, &vendor.id, now_ms).await?;
        let product = store::lock_product(&**tx, &candidate.manifest.marketplace_id).await?;
        let product =
            product.ok_or_else(|| AppError::unexpected("a product that was just created is missing"))?;
        let latest = store::find_latest_release(&**tx, &product.id).await?;
        let same_version = store::find_release(&**tx, &product.id, &candidate.manifest.version).await?;
        let decision = decide(Some(product.known), latest.as_ref(), same_version.as_ref(), &candidate)?;
        if let Decision::Exists(release) = decision {
            return Ok(Publishing::Exists(release.clone()));
        }
        let endpoint = self.find_endpoint(tx, &product).await?;
        let release = self.sign(product.id.clone(), candidate, now_ms)?;
        if !store::create_release(&**tx, &release).await? {
            return Err(AppError::conflict("this version is being published right now; send it again"));
        }
        let app_secret = self.ensure_secret(tx, &product, now_ms).await?;
        self.announce_if_moved(tx, product, endpoint, now_ms).await?;
        announce(&**tx, &self.ids, now_ms, subject::RELEASE_PUBLISHED, &event_of(&release)).await?;
        Ok(Publishing::Done(Imported { release, app_secret }))
    }

    fn sign(&self, product_id: String, candidate: Candidate, now_ms: i64) -> AppResult<Release> {
        let Candidate { manifest, content, vendor_signature, security, required_after_ms } = candidate;
        let signature =
            sign_statement(&self.signer.key, &manifest.marketplace_id, &manifest.version, content.digest());
        Ok(Release {
            id: self.ids.generate("rel"),
            product_id,
            manifest_json: shown(&manifest, &content)?,
            manifest,
            content,
            signature,
            vendor_signature,
            security,
            required_after_ms,
            published_at_ms: now_ms,
            state: ReleaseState::Published,
        })
    }
}

/// The manifest as it is kept and shown: a hosted app's in the form that is signed. It is read back with every start,
/// so it must be readable.
fn shown(manifest: &Manifest, content: &Content) -> AppResult<String> {
    let json = match content {
        Content::Hosted(_) => String::from_utf8(manifest.canonical()).map_err(AppError::unexpected)?,
        Content::Plugin(_) | Content::Static(_) => {
            serde_json::to_string(manifest).map_err(AppError::unexpected)?
        }
    };
    serde_json::from_str::<Manifest>(&json).map_err(AppError::unexpected)?;
    Ok(json)
}

/// What the bus is told of a release, published or yanked.
pub(super) fn event_of(release: &Release) -> ReleaseChanged {
    let api = release.api();
    ReleaseChanged {
        marketplace_id: release.manifest.marketplace_id.to_string(),
        version: release.version().to_string(),
        release_id: release.id.clone(),
        changelog_url: release.manifest.changelog_url.clone(),
        security: release.security,
        published_at_ms: release.published_at_ms,
        kind: release.kind().as_str().to_owned(),
        surface: release.surface().digest(),
        api_min_version: api.map(|api| api.min_version),
        api_max_version: api.map(|api| api.max_version),
        price_cents: release.manifest.price_eur.cents().into(),
        permissions: release.manifest.permissions().to_vec(),
    }
}
