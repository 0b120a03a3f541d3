//! The domain's answers as messages.

use proto::catalog as pb;
use wire::release::ReleaseSignature;

use crate::domain::{Product, PublicKey, Release, Update, Vendor};

pub(super) fn release(release: &Release, presigned_url: Option<String>) -> pb::Release {
    let manifest = &release.manifest;
    pb::Release {
        release_id: release.id.clone(),
        product_id: release.product_id.clone(),
        marketplace_id: manifest.marketplace_id.to_string(),
        name: manifest.name.clone(),
        r#type: manifest.app_type.to_string(),
        kind: release.kind.as_str().to_owned(),
        version: manifest.version.to_string(),
        price_cents: manifest.price_eur.cents().into(),
        manifest_json: release.manifest_json.clone(),
        sha256: release.artifact.sha256.to_string(),
        size: release.artifact.size,
        published_at_ms: release.published_at_ms,
        permissions: manifest.permissions().to_vec(),
        signature: Some(signature(&release.signature)),
        vendor_signature: Some(signature(&release.vendor_signature)),
        yanked_reason: release.yank_note().map(|yank| yank.reason.to_string()),
        presigned_url,
        security: release.security,
    }
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
        versions: product.releases().iter().map(|version| release(version, None)).collect(),
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
        // Vendors set it for hosted apps (contracts.md section 4); an imported release sets none.
        required_after_ms: None,
    }
}
