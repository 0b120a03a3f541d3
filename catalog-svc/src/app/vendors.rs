use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use platform::{
    AppError, AppResult,
    secret::{Secret, hash},
};

use super::{App, errors::unknown_vendor};
use crate::{
    domain::{DisplayName, Page, PublicKey, Vendor, VendorName},
    store,
};

/// A vendor as an operator registers it.
pub struct NewVendor {
    /// The name in its apps' ids.
    pub name: VendorName,
    /// The name that people see.
    pub display_name: DisplayName,
    /// The keys that verify its releases.
    pub keys: Vec<PublicKey>,
}

impl App {
    /// Registers a vendor. Its secret key is answered here and nowhere else.
    pub async fn create_vendor(&self, new: NewVendor) -> AppResult<(Vendor, Secret)> {
        let secret = Secret::new(format!("vk_{}", URL_SAFE_NO_PAD.encode(self.random.bytes::<32>())));
        let vendor = Vendor {
            id: self.ids.generate("vnd"),
            name: new.name,
            display_name: new.display_name,
            keys: new.keys,
            created_at_ms: self.clock.now_ms(),
        };
        let tx = self.db.begin().await?;
        if !store::create_vendor(&*tx, &vendor, hash(&secret)).await? {
            return Err(AppError::conflict("there is a vendor of this name; choose another name"));
        }
        tx.commit().await?;
        tracing::info!(vendor = vendor.id, "vendor created");
        Ok((vendor, secret))
    }

    /// One page of the vendors, the oldest first, and how many there are.
    pub async fn list_vendors(&self, page: Page) -> AppResult<(Vec<Vendor>, u64)> {
        Ok(store::list_vendors(self.db.read(), page).await?)
    }

    /// The vendor that a `vk_…` key belongs to, by the key's SHA-256.
    pub async fn resolve_vendor_key(&self, key_hash: &[u8; 32]) -> AppResult<Vendor> {
        let vendor = store::find_vendor_by_secret(self.db.read(), key_hash).await?;
        vendor.ok_or_else(|| AppError::not_found("there is no vendor with this key"))
    }

    /// Adds a key to a vendor; the earlier ones keep verifying. Adding it again changes nothing.
    pub async fn add_vendor_key(&self, vendor_id: &str, key: &PublicKey) -> AppResult<Vendor> {
        let tx = self.db.begin().await?;
        let vendor = store::find_vendor(&*tx, vendor_id).await?.ok_or_else(unknown_vendor)?;
        let Some(changed) = vendor.with_key(key)? else { return Ok(vendor) };
        let now_ms = self.clock.now_ms();
        store::add_vendor_key(&*tx, &vendor, key, now_ms).await?;
        let apps = store::list_products_of_vendor(&*tx, vendor_id).await?;
        for app in &apps {
            self.announce_app(&tx, app, now_ms).await?;
        }
        tx.commit().await?;
        self.refresh(&apps.into_iter().map(|app| app.marketplace_id).collect::<Vec<_>>()).await;
        Ok(changed)
    }
}
