//! Whose signatures count.

use thiserror::Error;
use wire::{
    keys::VerifyingKey,
    manifest::{Manifest, MarketplaceId},
    release::ReleaseSignature,
};

use super::{App, UseCaseError};
use crate::{
    artifact::{self, ArtifactError, Claim, Holder, Signers, TrustError},
    client::{Product, ProductDetail, PublicKey},
};

/// Why a release is not taken for what the marketplace says it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Doubt {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl App {
    /// The keys that must have made the signatures of this app, if they are trusted. The app is the one that was asked
    /// for, whatever the answer says of itself.
    pub(super) fn signers(
        &self,
        app: &MarketplaceId,
        product: &ProductDetail,
        signature: &ReleaseSignature,
        vendor_signature: &ReleaseSignature,
    ) -> Result<Signers, Doubt> {
        let state = self.state();
        let vendor = Holder::Vendor(app.vendor().to_owned());
        let trusted = |holder: &Holder, key_id: &str, listed: &[PublicKey]| {
            let listed: Vec<VerifyingKey> = listed.iter().map(|key| key.value).collect();
            state.pins.trusted(holder, key_id, &listed)
        };
        let marketplace = trusted(&Holder::Marketplace, &signature.key_id, &product.marketplace_keys)?;
        let vendor = trusted(&vendor, &vendor_signature.key_id, &product.vendor_keys)?;
        Ok(Signers { marketplace, vendor })
    }

    /// The manifest of the hosted app on offer, and the keys that vouch for it.
    pub(super) fn vouched_manifest(
        &self,
        app: &MarketplaceId,
        detail: &ProductDetail,
    ) -> Result<(Manifest, Signers), Doubt> {
        let product = &detail.product;
        let (signature, vendor_signature) = signatures(product)?;
        let signers = self.signers(app, detail, signature, vendor_signature)?;
        let manifest = Manifest::try_from(product.manifest.clone()).map_err(|_| ArtifactError::Manifest)?;
        if manifest.marketplace_id != *app || manifest.version != product.version || manifest.hosted.is_none()
        {
            return Err(ArtifactError::Manifest.into());
        }
        artifact::verify_hosted(&manifest, signature, vendor_signature, &signers)?;
        Ok((manifest, signers))
    }

    /// Whether the marketplace vouches for the ZIP on offer; the rest can be checked once it is here.
    pub(super) fn check_statement(&self, app: &MarketplaceId, detail: &ProductDetail) -> Result<(), Doubt> {
        let product = &detail.product;
        let (signature, vendor_signature) = signatures(product)?;
        let signers = self.signers(app, detail, signature, vendor_signature)?;
        let sha256 = product.sha256.as_deref().and_then(|text| text.parse().ok());
        let claim = Claim {
            marketplace_id: app,
            version: &product.version,
            sha256: &sha256.ok_or(ArtifactError::Digest)?,
            signature,
            vendor_signature,
        };
        Ok(artifact::verify_statement(&claim, &signers.marketplace)?)
    }

    /// Remembers the keys that have vouched for a release.
    pub(super) async fn pin(&self, signers: &Signers, app: &MarketplaceId) -> Result<(), UseCaseError> {
        if !self.state().has_pinned(signers, app) {
            self.state.change(|state| state.pin(signers, app)).await?;
        }
        Ok(())
    }
}

fn signatures(product: &Product) -> Result<(&ReleaseSignature, &ReleaseSignature), ArtifactError> {
    match (&product.signature, &product.vendor_signature) {
        (Some(signature), Some(vendor)) => Ok((signature, vendor)),
        _ => Err(ArtifactError::Unsigned),
    }
}
