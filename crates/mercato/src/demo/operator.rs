//! The operator's work, over the same REST API that any operator uses.

use anyhow::{Context as _, bail};
use platform::secret::Secret;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    samples::{Sample, SignedZip, Vendor},
    urls::Urls,
};
use crate::private::expose;

/// An operator with the admin key.
pub(super) struct Operator {
    http: Client,
    gateway: String,
    key: Secret,
}

/// What a shop is given when it is registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ShopKeys {
    pub(super) instance_id: String,
    pub(super) publishable_key: String,
    #[serde(serialize_with = "expose")]
    pub(super) secret_key: Secret,
    #[serde(serialize_with = "expose")]
    pub(super) webhook_secret: Secret,
}

/// A shop that is registered.
#[derive(Debug, Deserialize)]
pub(super) struct Instance {
    id: String,
    shop: String,
    base_url: String,
    publishable_key: String,
}

#[derive(Deserialize)]
struct Instances {
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(flatten)]
    instance: Instance,
    secret_key: Option<Secret>,
    webhook_secret: Option<Secret>,
}

#[derive(Deserialize)]
struct Vendors {
    vendors: Vec<KnownVendor>,
}

#[derive(Deserialize)]
struct KnownVendor {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct ImportedHosted {
    #[serde(default)]
    app_secret: Option<Secret>,
}

#[derive(Deserialize)]
struct AppSecret {
    secret: Secret,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Operator {
    pub(super) fn new(http: Client, gateway: String, key: Secret) -> Self {
        Self { http, gateway, key }
    }

    /// The vendor's id; registered now where it is new.
    pub(super) async fn vendor(&self, vendor: Vendor, public_key: &str) -> anyhow::Result<String> {
        let known: Vendors = self.call(self.request(Method::GET, "/admin/vendors?limit=100")).await?;
        if let Some(known) = known.vendors.into_iter().find(|known| known.name == vendor.name) {
            return Ok(known.id);
        }
        let body =
            json!({ "name": vendor.name, "display_name": vendor.display_name, "public_keys": [public_key] });
        let created: KnownVendor =
            self.call(self.request(Method::POST, "/admin/vendors").json(&body)).await?;
        Ok(created.id)
    }

    /// Imports a release; one that is there already is left as it is.
    pub(super) async fn import(&self, vendor: &str, sample: &Sample, zip: SignedZip) -> anyhow::Result<()> {
        let path =
            format!("/admin/vendors/{vendor}/releases?kind={}&security={}", sample.kind, sample.security);
        let request = self
            .request(Method::POST, &path)
            .header("content-type", "application/zip")
            .header("x-vendor-signature", zip.signature)
            .body(zip.bytes);
        let response = request.send().await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::CONFLICT => Ok(()),
            _ => Err(refused(response).await),
        }
    }

    /// Imports a hosted app's release, which is its manifest; one that is there already is left as it is. The answer to
    /// the first one has the app's secret.
    pub(super) async fn import_hosted(
        &self,
        vendor: &str,
        manifest: String,
        signature: &str,
    ) -> anyhow::Result<Option<Secret>> {
        let request = self
            .http
            .post(self.hosted_releases_url(vendor))
            .bearer_auth(self.key.expose())
            .header("content-type", "application/json")
            .header("x-vendor-signature", signature)
            .body(manifest);
        let response = request.send().await?;
        match response.status() {
            StatusCode::CREATED => Ok(response.json::<ImportedHosted>().await?.app_secret),
            StatusCode::CONFLICT => Ok(None),
            _ => Err(refused(response).await),
        }
    }

    /// Where a hosted app's releases are posted.
    pub(super) fn hosted_releases_url(&self, vendor: &str) -> String {
        format!("{}/admin/vendors/{vendor}/releases?kind=hosted", self.gateway)
    }

    /// A new secret for an app whose own was lost between two starts.
    pub(super) async fn renew_app_secret(&self, app: &str) -> anyhow::Result<Secret> {
        let request = self.request(Method::POST, &format!("/admin/apps/{app}/secret"));
        let renewed: AppSecret = self.call(request.json(&json!({ "overlap_seconds": 0 }))).await?;
        Ok(renewed.secret)
    }

    /// The shop of this identifier, if it is registered.
    pub(super) async fn find_shop(&self, shop: &str) -> anyhow::Result<Option<Instance>> {
        let mut offset = 0;
        loop {
            let path = format!("/admin/instances?limit=100&offset={offset}");
            let page: Instances = self.call(self.request(Method::GET, &path)).await?;
            if page.instances.is_empty() {
                return Ok(None);
            }
            offset += page.instances.len();
            if let Some(found) = page.instances.into_iter().find(|known| known.shop == shop) {
                return Ok(Some(found));
            }
        }
    }

    /// Registers a shop.
    pub(super) async fn register_shop(&self, shop: &str, urls: &Urls) -> anyhow::Result<ShopKeys> {
        let mut body = places(urls);
        body["shop"] = json!(shop);
        self.call::<Credentials>(self.request(Method::POST, "/admin/instances").json(&body)).await?.keys()
    }

    /// New secrets for a shop whose own were lost between two starts.
    pub(super) async fn renew_shop(&self, instance: &Instance) -> anyhow::Result<ShopKeys> {
        let path = format!("/admin/instances/{}/rotate", instance.id);
        let body = json!({ "secret_key": true, "webhook_secret": true, "overlap_seconds": 0 });
        self.call::<Credentials>(self.request(Method::POST, &path).json(&body)).await?.keys()
    }

    /// Tells where the shop is now.
    pub(super) async fn move_shop(&self, instance: &Instance, urls: &Urls) -> anyhow::Result<()> {
        if instance.base_url.trim_end_matches('/') == urls.shop_for_services {
            return Ok(());
        }
        let path = format!("/admin/instances/{}", instance.id);
        self.call::<Value>(self.request(Method::PATCH, &path).json(&places(urls))).await.map(drop)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.gateway)).bearer_auth(self.key.expose())
    }

    async fn call<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = request.send().await?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        response.json().await.context("the gateway's answer cannot be read")
    }
}

impl Instance {
    /// Whether these are its keys.
    pub(super) fn has(&self, keys: &ShopKeys) -> bool {
        self.id == keys.instance_id && self.publishable_key == keys.publishable_key
    }
}

impl Credentials {
    fn keys(self) -> anyhow::Result<ShopKeys> {
        let (Some(secret_key), Some(webhook_secret)) = (self.secret_key, self.webhook_secret) else {
            bail!("the gateway gave the shop no secrets");
        };
        let Instance { id, publishable_key, .. } = self.instance;
        Ok(ShopKeys { instance_id: id, publishable_key, secret_key, webhook_secret })
    }
}

/// Where the shop is. It has no API of its own; its address stands for one.
fn places(urls: &Urls) -> Value {
    let api = json!({ "base_url": format!("{}/api/", urls.shop), "min_version": 1, "max_version": 1 });
    json!({ "base_url": urls.shop_for_services, "site_url": urls.shop, "api": api })
}

/// What the gateway said instead.
pub(super) async fn refused(response: reqwest::Response) -> anyhow::Error {
    let status = response.status();
    match response.json::<Refusal>().await {
        Ok(refusal) => anyhow::anyhow!("{status}: {}", refusal.message),
        Err(_) => anyhow::anyhow!("{status}"),
    }
}
