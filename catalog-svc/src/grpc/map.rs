//! The domain's answers as messages.

use proto::catalog as pb;
use wire::{manifest::ApiRange, release::ReleaseSignature};

use crate::{
    app::Imported,
    domain::{Product, PublicKey, Release, Update, Vendor, find_deadline},
};

pub(super) fn release(release: &Release, presigned_url: Option<String>) -> pb::Release {
    let (manifest, artifact) = (&release.manifest, release.content.artifact());
    pb::Release {
        release_id: release.id.clone(),
        product_id: release.product_id.clone(),
        marketplace_id: manifest.marketplace_id.to_string(),
        name: manifest.name.clone(),
        r#type: manifest.app_type.to_string(),
        kind: release.kind().as_str().to_owned(),
        version: manifest.version.to_string(),
        price_cents: manifest.price_eur.cents().into(),
        manifest_json: release.manifest_json.clone(),
        sha256: artifact.map(|artifact| artifact.sha256.to_string()).unwrap_or_default(),
        size: artifact.map_or(0, |artifact| artifact.size),
        published_at_ms: release.published_at_ms,
        permissions: manifest.permissions().to_vec(),
        signature: Some(signature(&release.signature)),
        vendor_signature: Some(signature(&release.vendor_signature)),
        yanked_reason: release.yank_note().map(|yank| yank.reason.to_string()),
        presigned_url,
        security: release.security,
        api: release.api().map(api),
        surface: release.surface().digest(),
        required_after_ms: release.required_after_ms,
        deadline_ms: None,
        app_secret: None,
    }
}

fn api(api: &ApiRange) -> pb::ApiRange {
    pb::ApiRange { min_version: api.min_version, max_version: api.max_version }
}

/// With the app's secret, where it was just made.
pub(super) fn imported(imported: &Imported) -> pb::Release {
    let app_secret = imported.app_secret.as_ref().map(|secret| secret.expose().to_owned());
    pb::Release { app_secret, ..release(&imported.release, None) }
}

/// With the time until which installations of it must have moved on.
fn version(product: &Product, version: &Release) -> pb::Release {
    let deadline_ms = find_deadline(product, version.version());
    pb::Release { deadline_ms, ..release(version, None) }
}

fn signature(signature: &ReleaseSignature) -> pb::Signature {
    pb::Signature { key_id: signature.key_id.clone(), value: signature.value.clone() }
}

/// Where every release is yanked, the newest stands for the app, marked as what it is.
pub(super) fn product(product: &Product, marketplace_keys: &[PublicKey]) -> pb::ProductDetail {
    let latest = product.find_latest().or(product.releases().first());
    pb::ProductDetail {
        latest: latest.map(|latest| release(latest, None)),
        description: latest.map(|latest| latest.manifest.description.clone()).unwrap_or_default(),
        versions: product.releases().iter().map(|release| version(product, release)).collect(),
        vendor_keys: keys(product.vendor_keys()),
        marketplace_keys: keys(marketplace_keys),
    }
}

fn keys(keys: &[PublicKey]) -> Vec<pb::PublicKey> {
    keys.iter().map(|key| pb::PublicKey { key_id: key.id.clone(), value: key.key.to_string() }).collect()
}

pub(super) fn vendor(vendor: Vendor) -> pb::Vendor {
    pb::Vendor {
        vendor_id: vendor.id,
        name: vendor.name.to_string(),
        display_name: vendor.display_name.as_str().to_owned(),
        public_keys: keys(&vendor.keys),
        created_at_ms: vendor.created_at_ms,
    }
}

pub(super) fn update(update: Update) -> pb::Update {
    pb::Update {
        marketplace_id: update.marketplace_id,
        current: update.current.to_string(),
        latest: update.latest.to_string(),
        changelog_url: update.changelog_url,
        auto_update: update.auto_update,
        requires_consent: update.requires_consent,
        added_permissions: update.added_permissions,
        security: update.security,
        required_after_ms: update.required_after_ms,
        changes: update.changes.iter().map(|change| change.as_str().to_owned()).collect(),
    }
}
