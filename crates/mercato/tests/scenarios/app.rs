//! A hosted app with its backend, as scenarios need it.

use anyhow::Context as _;
use serde_json::Value;
use testkit::{
    eventually,
    market::{AppBackend, Arrived, Consent, Package, Reply, Shop, Vendor},
};

use crate::stage::{SOON, Stage, text};

/// What most apps of these scenarios ask for.
pub(crate) const READ: &str = "api:orders.read";
/// What some ask for in addition.
pub(crate) const WRITE: &str = "api:orders.write";

/// A hosted app on offer.
pub(crate) struct HostedApp {
    pub(crate) vendor: Vendor,
    pub(crate) backend: AppBackend,
    pub(crate) package: Package,
}

/// An installation that has settled, and the key that its Install brought.
pub(crate) struct Installed {
    pub(crate) id: String,
    pub(crate) key: String,
}

impl HostedApp {
    pub(crate) fn id(&self) -> &str {
        self.package.marketplace_id()
    }

    /// Publishes a further version of it.
    pub(crate) async fn publish(&self, stage: &Stage, package: &Package) -> anyhow::Result<Value> {
        stage.admin.import_hosted(&self.vendor, package).await
    }

    /// A shop installs the version on offer, and the app answers 200.
    pub(crate) async fn install_in(&self, shop: &Shop) -> anyhow::Result<Installed> {
        self.install_version_in(shop, None, &[READ]).await
    }

    /// The same in one version.
    pub(crate) async fn install_version_in(
        &self,
        shop: &Shop,
        version: Option<&str>,
        granted: &[&str],
    ) -> anyhow::Result<Installed> {
        let consent = Consent { version, ..Consent::to(granted) };
        let begun = shop.install(self.id(), consent).await?.ok()?;
        let id = text(&begun, "id")?;
        shop.installation_in(&id, "installed", SOON).await?;
        let arrived = self.last_from(shop)?;
        Ok(Installed { id, key: arrived.api_key()?.to_owned() })
    }

    /// Everything that it was told by this shop.
    pub(crate) fn told_by(&self, shop: &Shop) -> anyhow::Result<Vec<Arrived>> {
        self.backend.arrived_from(&shop.registration.shop)
    }

    /// The same once there was so much of it.
    pub(crate) async fn wait_for(&self, shop: &Shop, count: usize) -> anyhow::Result<Vec<Arrived>> {
        self.backend.wait_for(&shop.registration.shop, count, SOON).await
    }

    fn last_from(&self, shop: &Shop) -> anyhow::Result<Arrived> {
        self.told_by(shop)?.pop().context("the app was told nothing")
    }
}

impl Stage {
    /// A free hosted app of a new vendor that asks for [`READ`], in version 1.0.0; its backend answers 200.
    pub(crate) async fn hosted_app(&self) -> anyhow::Result<HostedApp> {
        self.hosted_app_as(|package| package).await
    }

    /// The same with something different.
    pub(crate) async fn hosted_app_as(
        &self,
        different: impl FnOnce(Package) -> Package,
    ) -> anyhow::Result<HostedApp> {
        let (vendor, backend) = (self.vendor().await?, AppBackend::start().await?);
        let package = Package::hosted(&format!("@{}/loyalty", vendor.name), &backend.url());
        let package = different(package.permissions(&[READ]));
        let release = self.admin.import_hosted(&vendor, &package).await?;
        backend.accept(&text(&release, "app_secret")?)?;
        Ok(HostedApp { vendor, backend, package })
    }

    /// What the vendor of an app is answered about it.
    pub(crate) async fn vendors_view(
        &self,
        app: &HostedApp,
        of: &str,
        query: &[(&str, &str)],
    ) -> anyhow::Result<Reply> {
        let vendor = self.anyone()?.bearer(&app.vendor.secret_key);
        vendor.query(&format!("/vendor/apps/{}/{of}", app.id()), query).await
    }
}

/// The API key is dead in this shop, and nothing more is told of it.
pub(crate) async fn assert_dead(shop: &Shop, key: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        shop.introspect(key).await? == serde_json::json!({ "active": false }),
        "the key still lives"
    );
    Ok(())
}

/// Waits until the API key is dead, or alive, in this shop: a change somewhere else takes its way over the bus.
pub(crate) async fn key_becomes(shop: &Shop, key: &str, active: bool) -> anyhow::Result<()> {
    let what = format!("the key to be {}", if active { "alive" } else { "dead" });
    let look = async || (shop.introspect(key).await.ok()?["active"] == active).then_some(());
    eventually(&what, SOON, look).await
}
