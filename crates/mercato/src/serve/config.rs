//! The configuration of one machine for real use.

use std::{
    collections::BTreeMap,
    env,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use platform::{
    Random,
    admin::AdminConfig,
    bus::NatsConfig,
    config::{ConfigError, Problems, load_from},
    db::DatabaseConfig,
    lifecycle::LifecycleConfig,
    limits::RedisConfig,
    telemetry::TelemetryConfig,
};
use serde::Deserialize;
use webhook_dispatcher::config::{DeliveryConfig, OperationsConfig};

use crate::{secrets::Secrets, settings::Settings};

/// Everything that `mercato serve` reads. A section that a service has too has the same keys here.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Keeps keys and data.
    #[serde(default = "default_data")]
    pub data: PathBuf,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Health and metrics.
    #[serde(default = "default_admin")]
    pub admin: AdminConfig,
    /// How the process ends.
    #[serde(default)]
    pub lifecycle: LifecycleConfig,
    /// PostgreSQL (`DATABASE_URL`); without it a SQLite file for each service.
    #[serde(default)]
    pub database: Option<DatabaseConfig>,
    /// NATS (`NATS_URL`); without it a log in the data folder.
    #[serde(default)]
    pub bus: Option<NatsConfig>,
    /// Redis (`REDIS_URL`); without it limits are kept in memory.
    #[serde(default)]
    pub redis: Option<RedisConfig>,
    /// Where releases are kept; without it in the data folder.
    #[serde(default)]
    pub artifacts: Option<catalog_svc::config::ArtifactsConfig>,
    /// What vendors may ask of shops.
    #[serde(default)]
    pub catalog: CatalogRules,
    /// The public REST API.
    pub http: gateway::HttpConfig,
    /// How much one caller may ask.
    #[serde(default)]
    pub limits: gateway::LimitsConfig,
    /// The account at Stripe.
    pub stripe: payments_svc::StripeConfig,
    /// Where Stripe's events arrive.
    #[serde(default)]
    pub stripe_webhook: StripeWebhook,
    /// How webhooks are delivered to the shops.
    #[serde(default)]
    pub delivery: DeliveryConfig,
    /// The operator's own endpoint, which is told of what happens to the others.
    #[serde(default)]
    pub operations: OperationsConfig,
}

/// What vendors may ask of shops: those of catalog-svc's keys that are no secrets.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogRules {
    /// Days that shops have at least before a release may be required of them; 30 when nothing is said.
    pub minimum_notice_days: Option<u32>,
}

/// Where Stripe's events arrive.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeWebhook {
    /// Stripe posts to `/stripe/webhook` there.
    pub listen: SocketAddr,
}

impl Default for StripeWebhook {
    fn default() -> Self {
        Self { listen: (Ipv4Addr::UNSPECIFIED, 8081).into() }
    }
}

fn default_data() -> PathBuf {
    "data/serve".into()
}

fn default_admin() -> AdminConfig {
    AdminConfig { listen: (Ipv4Addr::LOCALHOST, 8082).into() }
}

impl Config {
    /// Reads the environment, and the file that is named here or by `MERCATO_CONFIG`.
    pub fn load(file: Option<&Path>, data: Option<&Path>) -> Result<Self, ConfigError> {
        let mut vars: BTreeMap<String, String> = env::vars().collect();
        let mut set = |name: &str, path: &Path| vars.insert(name.to_owned(), path.display().to_string());
        if let Some(file) = file {
            set("MERCATO_CONFIG", file);
        }
        if let Some(data) = data {
            set("MERCATO__DATA", data);
        }
        load_from(vars)
    }

    /// What the services are told, over this folder and with these keys.
    #[must_use]
    pub fn settings(&self, folder: PathBuf, secrets: Secrets) -> Settings {
        Settings {
            folder,
            database: self.database.clone(),
            nats: self.bus.clone(),
            redis: self.redis.clone(),
            artifacts: self.artifacts.clone(),
            minimum_notice_days: self.catalog.minimum_notice_days,
            telemetry: self.telemetry.clone(),
            admin: self.admin.clone(),
            lifecycle: self.lifecycle.clone(),
            http: self.http.clone(),
            limits: self.limits.clone(),
            stripe: self.stripe.clone(),
            stripe_webhook: self.stripe_webhook.listen,
            delivery: self.delivery.clone(),
            operations: self.operations.clone(),
            secrets,
        }
    }
}

impl platform::config::Config for Config {
    const SECTIONS: &'static [&'static str] = &["telemetry", "database", "bus", "redis"];

    /// By the services' own rules, so that there are no second ones. Keys of no use stand for those not made yet.
    fn check(&self, problems: &mut Problems) {
        let folder = std::path::absolute(&self.data).unwrap_or_else(|_| self.data.clone());
        self.settings(folder, Secrets::generate(&Random::seeded(0))).check(problems);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let base = [
            ("MERCATO__HTTP__LISTEN", "127.0.0.1:8080"),
            ("MERCATO__HTTP__PUBLIC_URL", "https://market.example.com"),
            ("MERCATO__STRIPE__SECRET_KEY", "sk_live_1"),
            ("MERCATO__STRIPE__WEBHOOK_SECRETS", "whsec_1"),
            ("MERCATO__STRIPE__SUCCESS_URL", "https://market.example.com/thanks"),
            ("MERCATO__STRIPE__CANCEL_URL", "https://market.example.com/back"),
        ];
        base.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn six_values_are_enough_for_one_machine() {
        let config: Config = load_from(vars(&[])).unwrap();
        assert!(config.database.is_none() && config.bus.is_none() && config.redis.is_none());
        assert_eq!(config.stripe_webhook.listen.port(), 8081);
        assert_eq!(config.stripe.api_url, "https://api.stripe.com");
    }

    #[test]
    fn servers_take_the_place_of_the_embedded_parts() {
        let servers = [
            ("DATABASE_URL", "postgres://db/mercato"),
            ("NATS_URL", "nats://bus:4222"),
            ("REDIS_URL", "redis://cache"),
        ];
        let config: Config = load_from(vars(&servers)).unwrap();
        assert!(config.database.is_some() && config.bus.is_some() && config.redis.is_some());
    }

    #[test]
    fn what_a_service_would_refuse_is_refused_before_anything_binds() {
        let wrong = [
            ("MERCATO__STRIPE__SECRET_KEY", "pk_hunter2", "stripe.secret_key"),
            ("MERCATO__HTTP__PUBLIC_URL", "nowhere", "http.public_url"),
            ("DATABASE_URL", "mysql://hunter2@db", "database.url"),
            ("MERCATO__DELIVERY__JITTER", "2.0", "delivery.jitter"),
            ("MERCATO__CATALOG__MINIMUM_NOTICE_DAYS", "4000", "catalog.minimum_notice_days"),
            ("MERCATO__STRIPE__SECRET", "hunter2", "unknown key `secret`"),
        ];
        for (name, value, says) in wrong {
            let error = load_from::<Config>(vars(&[(name, value)])).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("hunter2"), "{error}");
        }
    }
}
