//! The demo's hosted app: the sample of `examples/hosted-app`, published at its present address and run beside the
//! shop.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use hosted_app::Settings;
use platform::{Clock, lifecycle::Tasks, secret::Secret};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tenant::Client;
use tokio::net::TcpListener;
use wire::{keys::SigningKey, manifest::Manifest, open2b::Accepted, release};

use super::{operator::Operator, running::Folder, samples::ATELIER, urls::Urls};
use crate::private::{self, expose};

const APP: &str = "@atelier/guest-book";
const MANIFEST: &str = include_str!("../../assets/apps/guest-book/manifest.json");
const SECRET_FILE: &str = "guest-book-secret.json";
const NEXT_FILE: &str = "guest-book-next.json";
/// What the app keeps of its own, inside the demo's folder.
const FOLDER: &str = "guest-book";
/// One more with each minor version: so that there is an update to consent to.
const PERMISSIONS: [&str; 4] =
    ["api:products.read", "api:orders.read", "api:customers.read", "api:reviews.write"];

/// A release that whoever tries the demo may publish, by one call of curl.
#[derive(Clone, Serialize, Deserialize)]
pub struct NextRelease {
    /// Its number.
    pub version: String,
    /// Where it is posted, with the admin key.
    pub url: String,
    /// The file to post, a manifest.
    pub manifest: PathBuf,
    /// `x-vendor-signature`.
    pub vendor_signature: String,
}

/// What the marketplace shares with the app.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(serialize_with = "expose")]
    secret: Secret,
}

/// The vendor of the app, at work.
pub(super) struct Publisher<'a> {
    operator: &'a Operator,
    folder: &'a Folder,
    key: SigningKey,
    vendor_id: String,
    /// Where the app is.
    urls: &'a Urls,
}

/// A release as it is handed in.
struct SignedManifest {
    json: String,
    signature: String,
}

impl<'a> Publisher<'a> {
    pub(super) async fn new(
        operator: &'a Operator,
        folder: &'a Folder,
        urls: &'a Urls,
    ) -> anyhow::Result<Publisher<'a>> {
        let key: SigningKey = folder.keys.vendor_key.parse()?;
        let vendor_id = operator.vendor(ATELIER, &key.verifying_key().to_string()).await?;
        Ok(Self { operator, folder, key, vendor_id, urls })
    }

    /// Publishes the app at its present address, and runs it.
    pub(super) async fn open(
        &self,
        tasks: &mut Tasks,
        listener: TcpListener,
        client: &Client,
    ) -> anyhow::Result<NextRelease> {
        let newest = find_newest(client).await?;
        let version = self.version_to_offer(newest.as_ref());
        let told = match newest.filter(|newest| newest.version == version) {
            Some(_) => None,
            None => self.publish(&version).await.context("publishing the guest book")?,
        };
        let secret = self.secret(told).await?;
        let settings = Settings {
            secrets: vec![Accepted::always(secret.parse()?)],
            data_dir: self.folder.path.join(FOLDER),
            clock: Arc::new(|| Clock::system().now_secs()),
        };
        tasks.spawn("the guest book", hosted_app::serve(listener, settings, tasks.shutdown()));
        self.prepare(&Version::new(version.major, version.minor + 1, 0))
    }

    /// A release never changes: on another port than last time the app needs another one.
    fn version_to_offer(&self, newest: Option<&Manifest>) -> Version {
        match newest {
            None => Version::new(1, 0, 0),
            Some(newest) if self.is_here(newest) => newest.version.clone(),
            Some(newest) => {
                let Version { major, minor, patch, .. } = newest.version;
                Version::new(major, minor, patch + 1)
            }
        }
    }

    fn is_here(&self, newest: &Manifest) -> bool {
        let called = newest.hosted.as_ref().map(|hosted| hosted.installation_url.as_str());
        newest.entry == self.urls.hosted && called == Some(&callbacks(&self.urls.hosted_for_services))
    }

    /// The app's secret, if this is its first release.
    async fn publish(&self, version: &Version) -> anyhow::Result<Option<Secret>> {
        let SignedManifest { json, signature } = self.sign(version)?;
        self.operator.import_hosted(&self.vendor_id, json, &signature).await
    }

    /// The marketplace tells the secret once; where a kill came before it was kept, a new one is asked for.
    async fn secret(&self, told: Option<Secret>) -> anyhow::Result<Secret> {
        let path = self.folder.path.join(SECRET_FILE);
        let kept: Option<Kept> = private::find(&path)?;
        let secret = match (told, kept) {
            (Some(told), _) => told,
            (None, Some(kept)) => return Ok(kept.secret),
            (None, None) => self.operator.renew_app_secret(APP).await?,
        };
        private::write(&path, &Kept { secret: secret.clone() })?;
        Ok(secret)
    }

    /// Signs a release and leaves it in the folder.
    fn prepare(&self, version: &Version) -> anyhow::Result<NextRelease> {
        let SignedManifest { json, signature } = self.sign(version)?;
        let manifest = self.folder.path.join(NEXT_FILE);
        private::write(&manifest, &serde_json::from_str::<Value>(&json)?)?;
        Ok(NextRelease {
            version: version.to_string(),
            url: self.operator.hosted_releases_url(&self.vendor_id),
            manifest,
            vendor_signature: signature,
        })
    }

    /// What is signed is the canonical form: a file may be written as its author likes (contracts.md section 8).
    fn sign(&self, version: &Version) -> anyhow::Result<SignedManifest> {
        let json = manifest(version, &self.urls.hosted, &self.urls.hosted_for_services)?;
        let canonical = Manifest::from_json(json.as_bytes())?.canonical();
        Ok(SignedManifest { json, signature: release::sign_artifact(&self.key, &canonical) })
    }
}

async fn find_newest(client: &Client) -> anyhow::Result<Option<Manifest>> {
    match client.product(&APP.parse()?).await {
        Ok(detail) => Ok(Some(Manifest::try_from(detail.product.manifest)?)),
        Err(error) if error.is_kind("not_found") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn callbacks(url: &str) -> String {
    format!("{}/install", url.trim_end_matches('/'))
}

fn manifest(version: &Version, url: &str, for_services: &str) -> anyhow::Result<String> {
    let mut manifest: Map<String, Value> = serde_json::from_str(MANIFEST)?;
    let asked = usize::try_from(version.minor)?.saturating_add(1).min(PERMISSIONS.len());
    manifest.insert("version".to_owned(), json!(version.to_string()));
    manifest.insert("entry".to_owned(), json!(url));
    manifest.insert("permissions".to_owned(), json!(PERMISSIONS[..asked]));
    manifest.insert("hosted".to_owned(), json!({ "installation_url": callbacks(for_services) }));
    Ok(serde_json::to_string(&manifest)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_minor_version_asks_for_one_thing_more() {
        let permissions = |version| {
            let text = manifest(&version, "http://localhost:8091/", "http://demo:8091/").unwrap();
            let manifest = Manifest::from_json(text.as_bytes()).unwrap();
            assert_eq!(manifest.marketplace_id.as_str(), APP);
            assert_eq!(manifest.hosted.as_ref().unwrap().installation_url, "http://demo:8091/install");
            manifest.permissions().len()
        };
        assert_eq!(permissions(Version::new(1, 0, 0)), 1);
        assert_eq!(permissions(Version::new(1, 1, 3)), 2);
        assert_eq!(permissions(Version::new(1, 9, 0)), PERMISSIONS.len());
    }
}
