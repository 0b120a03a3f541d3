//! The marketplace of the demo: what the services are told, and what an operator sets up in it.

use std::path::Path;

use anyhow::Context as _;
use platform::{
    Random, admin::AdminConfig, lifecycle::LifecycleConfig, secret::Secret, telemetry::TelemetryConfig,
};
use serde::{Deserialize, Serialize};
use webhook_dispatcher::config::{DeliveryConfig, OperationsConfig};
use wire::keys::SigningKey;

use super::{
    operator::{Operator, ShopKeys},
    ports::Bound,
    samples::{Sample, VENDORS},
    urls::Urls,
};
use crate::{
    private::{self, expose},
    secrets::{self, Secrets},
    settings::Settings,
};

const SHOP: &str = "demo-shop";
const SHOP_FILE: &str = "shop.json";
const KEYS_FILE: &str = "demo-secrets.json";
/// A demo ends at once when it is told to.
const DRAIN_SECONDS: u64 = 5;

/// Keys that only a demo has: its vendors' and its stand-in's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DemoKeys {
    #[serde(serialize_with = "expose")]
    pub(super) vendor_key: Secret,
    #[serde(serialize_with = "expose")]
    pub(super) stripe_key: Secret,
    #[serde(serialize_with = "expose")]
    pub(super) stripe_webhook_secret: Secret,
}

impl DemoKeys {
    /// Those of the folder; made now where it is new.
    pub(super) fn load_or_create(folder: &Path, random: &Random) -> anyhow::Result<Self> {
        let path = folder.join(KEYS_FILE);
        if let Some(keys) = private::find(&path)? {
            return Ok(keys);
        }
        let keys = Self {
            vendor_key: secrets::key(random),
            stripe_key: secrets::token("sk_test_", random),
            stripe_webhook_secret: secrets::token("whsec_", random),
        };
        private::write(&path, &keys)?;
        Ok(keys)
    }
}

/// What the services of a demo are told: everything of theirs is on this machine, and so are the shops.
pub(super) fn settings(
    folder: &Path,
    secrets: Secrets,
    keys: &DemoKeys,
    bound: &Bound,
    urls: &Urls,
) -> anyhow::Result<Settings> {
    Ok(Settings {
        folder: folder.to_owned(),
        database: None,
        nats: None,
        redis: None,
        artifacts: None,
        minimum_notice_days: None,
        telemetry: TelemetryConfig::default(),
        admin: AdminConfig { listen: bound.admin.local_addr()? },
        lifecycle: LifecycleConfig { drain_seconds: DRAIN_SECONDS },
        http: http(urls, bound)?,
        limits: gateway::LimitsConfig::default(),
        stripe: stripe(urls, keys)?,
        stripe_webhook: bound.payments.local_addr()?,
        delivery: DeliveryConfig {
            allow_cidrs: vec!["127.0.0.0/8".parse()?],
            // A shop that was away for a moment is told soon: nobody watches a demo for five minutes.
            schedule_seconds: vec![1, 5, 30, 60, 300, 1_800, 7_200, 43_200],
            circuit_cool_down_seconds: 5,
            ..DeliveryConfig::default()
        },
        operations: OperationsConfig::default(),
        secrets,
    })
}

/// By way of their own defaults, so that those are said once.
fn http(urls: &Urls, bound: &Bound) -> anyhow::Result<gateway::HttpConfig> {
    let told = serde_json::json!({ "listen": bound.gateway.local_addr()?, "public_url": urls.gateway });
    serde_json::from_value(told).context("the gateway's configuration")
}

fn stripe(urls: &Urls, keys: &DemoKeys) -> anyhow::Result<payments_svc::StripeConfig> {
    let told = serde_json::json!({
        "api_url": urls.stripe,
        "secret_key": keys.stripe_key.expose(),
        "webhook_secrets": keys.stripe_webhook_secret.expose(),
        "success_url": format!("{}/admin/marketplace/thanks", urls.shop),
        "cancel_url": format!("{}/admin/marketplace", urls.shop),
    });
    serde_json::from_value(told).context("the configuration of payments")
}

/// Publishes what is not published yet.
pub(super) async fn publish(operator: &Operator, keys: &DemoKeys, samples: &[Sample]) -> anyhow::Result<()> {
    let key: SigningKey = keys.vendor_key.parse()?;
    for vendor in VENDORS {
        let id = operator.vendor(vendor, &key.verifying_key().to_string()).await?;
        for sample in samples.iter().filter(|sample| sample.vendor == vendor.name) {
            let zip = sample.sign(&key)?;
            operator.import(&id, sample, zip).await.context("importing a sample")?;
        }
    }
    Ok(())
}

/// The shop's keys, registered at its present address. A kill between any two steps is mended by the next start.
pub(super) async fn register(operator: &Operator, folder: &Path, urls: &Urls) -> anyhow::Result<ShopKeys> {
    let path = folder.join(SHOP_FILE);
    let kept: Option<ShopKeys> = private::find(&path)?;
    let Some(instance) = operator.find_shop(SHOP).await? else {
        let keys = operator.register_shop(SHOP, urls).await?;
        private::write(&path, &keys)?;
        return Ok(keys);
    };
    operator.move_shop(&instance, urls).await?;
    if let Some(keys) = kept.filter(|keys| instance.has(keys)) {
        return Ok(keys);
    }
    let keys = operator.renew_shop(&instance).await?;
    private::write(&path, &keys)?;
    Ok(keys)
}
