//! The operator: adds vendors, imports releases, registers shops.

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};
use wire::{keys::SigningKey, release::sign_artifact};

use super::{Caller, Package, Reply, keys::chance};

/// The operator's calls. What is not named here is asked by [`Admin::caller`].
#[derive(Debug, Clone)]
pub struct Admin {
    caller: Caller,
}

/// A vendor with the key that signs its releases.
#[derive(Debug, Clone)]
pub struct Vendor {
    /// `vnd_…`
    pub id: String,
    /// The `vendor` of `@vendor/app`.
    pub name: String,
    /// `vk_…`
    pub secret_key: String,
    /// Its Ed25519 key.
    pub signing_key: SigningKey,
}

/// What a registered shop was given.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its own identifier, as apps are told it.
    pub shop: String,
    /// `inst_…`
    pub instance_id: String,
    /// `pk_…`
    pub publishable_key: String,
    /// `sk_…`
    pub secret_key: String,
    /// `whsec_…`
    pub webhook_secret: String,
}

impl Admin {
    /// The operator with this `ak_…`.
    pub fn new(gateway_url: &str, admin_key: &str) -> anyhow::Result<Self> {
        Ok(Self { caller: Caller::new(gateway_url)?.bearer(admin_key) })
    }

    /// For every other call.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Adds a vendor with a new key.
    pub async fn create_vendor(&self, name: &str) -> anyhow::Result<Vendor> {
        let signing_key = SigningKey::from_seed(&chance());
        let public_keys = [signing_key.verifying_key().to_string()];
        let body = json!({ "name": name, "display_name": name.to_uppercase(), "public_keys": public_keys });
        let made = self.caller.post("/admin/vendors", &body).await?.ok()?;
        Ok(Vendor {
            id: text(&made, "id")?,
            name: name.to_owned(),
            secret_key: text(&made, "secret_key")?,
            signing_key,
        })
    }

    /// Builds a package, signs it as the vendor, imports and publishes it; the release as it was answered.
    pub async fn import(&self, vendor: &Vendor, package: &Package) -> anyhow::Result<Value> {
        self.try_import(vendor, package.build()?).await?.ok()
    }

    /// Imports these bytes, signed by the vendor, whatever they are.
    pub async fn try_import(&self, vendor: &Vendor, zip: Vec<u8>) -> anyhow::Result<Reply> {
        let signature = sign_artifact(&vendor.signing_key, &zip);
        self.try_import_signed(vendor, zip, &signature).await
    }

    /// Imports these bytes with this signature, whatever they are.
    pub async fn try_import_signed(
        &self,
        vendor: &Vendor,
        zip: Vec<u8>,
        signature: &str,
    ) -> anyhow::Result<Reply> {
        self.import_bytes(vendor, &[], "application/zip", signature, zip).await
    }

    /// Publishes a release of a static app, which a shop installs itself.
    pub async fn import_static(&self, vendor: &Vendor, package: &Package) -> anyhow::Result<Value> {
        let zip = package.build()?;
        let signature = sign_artifact(&vendor.signing_key, &zip);
        let query = [("kind", "static")];
        self.import_bytes(vendor, &query, "application/zip", &signature, zip).await?.ok()
    }

    /// Publishes a release of a hosted app: its manifest, signed in its canonical form. The answer to the app's first
    /// one holds its secret.
    pub async fn import_hosted(&self, vendor: &Vendor, package: &Package) -> anyhow::Result<Value> {
        self.try_import_hosted(vendor, package, &[]).await?.ok()
    }

    /// The same with more to say, such as `required_after`, whatever comes of it.
    pub async fn try_import_hosted(
        &self,
        vendor: &Vendor,
        package: &Package,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Reply> {
        let signature = sign_artifact(&vendor.signing_key, &package.canonical()?);
        let query: Vec<_> = [("kind", "hosted")].into_iter().chain(more.iter().copied()).collect();
        self.import_bytes(vendor, &query, "application/json", &signature, package.manifest()?).await
    }

    /// Imports any bytes as any kind with any signature.
    pub async fn import_bytes(
        &self,
        vendor: &Vendor,
        query: &[(&str, &str)],
        content_type: &str,
        signature: &str,
        bytes: Vec<u8>,
    ) -> anyhow::Result<Reply> {
        let path = format!("/admin/vendors/{}/releases", vendor.id);
        let request = self.caller.request(Method::POST, &path).query(query);
        let request = request.header("content-type", content_type).header("x-vendor-signature", signature);
        self.caller.send(request.body(bytes)).await
    }

    /// A new secret for a hosted app; the old one goes on signing for so long.
    pub async fn rotate_app_secret(&self, app: &str, overlap_seconds: u64) -> anyhow::Result<String> {
        let body = json!({ "overlap_seconds": overlap_seconds });
        let made = self.caller.post(&format!("/admin/apps/{app}/secret"), &body).await?.ok()?;
        text(&made, "secret")
    }

    /// Registers a shop that takes webhooks below this URL; `shop` is its own identifier, unique in a marketplace.
    pub async fn register(&self, shop: &str, base_url: &str) -> anyhow::Result<Registration> {
        let api = json!({ "base_url": format!("{base_url}/api"), "min_version": 1, "max_version": 3 });
        let body = json!({ "base_url": base_url, "shop": shop, "site_url": base_url, "api": api });
        let made = self.caller.post("/admin/instances", &body).await?.ok()?;
        Ok(Registration {
            shop: shop.to_owned(),
            instance_id: text(&made, "id")?,
            publishable_key: text(&made, "publishable_key")?,
            secret_key: text(&made, "secret_key")?,
            webhook_secret: text(&made, "webhook_secret")?,
        })
    }

    /// The items of a collection such as `licenses`: one page of at most 100, by this query.
    pub async fn list(&self, collection: &str, query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
        let page = self.caller.query(&format!("/admin/{collection}"), query).await?.ok()?;
        page[collection].as_array().cloned().with_context(|| format!("the answer holds no `{collection}`"))
    }

    /// All items of a collection, page by page.
    pub async fn list_all(&self, collection: &str) -> anyhow::Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let offset = all.len().to_string();
            let page = self.list(collection, &[("limit", "100"), ("offset", &offset)]).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }
}

/// A field that must be text; the answer isn't shown, for it may hold a secret.
pub(super) fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    answer[field].as_str().map(str::to_owned).with_context(|| format!("the answer has no text `{field}`"))
}
