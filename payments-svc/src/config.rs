//! The configuration of payments-svc.

use std::{net::SocketAddr, time::Duration};

use platform::{
    admin::AdminConfig,
    bus::NatsConfig,
    config::Problems,
    db::DatabaseConfig,
    grpc::GrpcConfig,
    lifecycle::LifecycleConfig,
    sealing::{Sealer, SealingConfig},
    secret::Secret,
    service::{Base, ServiceConfig, StoreConfig},
    telemetry::TelemetryConfig,
};
use serde::Deserialize;
use url::Url;

/// Everything that payments-svc is told at its start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs, traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Health and metrics.
    pub admin: AdminConfig,
    /// NATS.
    pub bus: NatsConfig,
    /// Drain time.
    #[serde(default)]
    pub lifecycle: LifecycleConfig,
    /// The store.
    pub database: DatabaseConfig,
    /// Calls of other services.
    pub grpc: GrpcConfig,
    /// Where Stripe's events arrive.
    pub http: HttpConfig,
    /// How Stripe is called and how it signs.
    pub stripe: StripeConfig,
    /// Keys that seal what is kept in the store.
    pub sealing: SealingConfig,
    /// Keys that the services share, for what travels on the bus.
    pub bus_sealing: SealingConfig,
}

/// The public listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// For example `0.0.0.0:7203`; Stripe posts to `/stripe/webhook` there.
    pub listen: SocketAddr,
}

/// Stripe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripeConfig {
    /// `https://api.stripe.com`, or the stand-in's address.
    #[serde(default = "default_api_url")]
    pub api_url: String,
    /// `sk_live_…`, `sk_test_…` or a restricted key `rk_…` that may write Checkout sessions.
    pub secret_key: Secret,
    /// The version of the API that every call names.
    #[serde(default = "default_api_version")]
    pub api_version: String,
    /// `whsec_…` of the webhook endpoint; several with commas between while one is being rolled.
    pub webhook_secrets: Secret,
    /// Where the buyer goes after paying; `{CHECKOUT_SESSION_ID}` in it is filled in by Stripe.
    pub success_url: String,
    /// Where the buyer goes on turning back.
    pub cancel_url: String,
    /// How long a payment page may be paid: 30 to 1440.
    #[serde(default = "default_session_minutes")]
    pub session_minutes: u32,
    /// How long Stripe may take to answer a call.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: u64,
}

fn default_api_url() -> String {
    "https://api.stripe.com".to_owned()
}

fn default_api_version() -> String {
    "2025-09-30.clover".to_owned()
}

fn default_session_minutes() -> u32 {
    60
}

fn default_timeout_seconds() -> u64 {
    15
}

/// Below the time that one service waits for another, so that our answer still arrives.
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=18;
const SESSION_MINUTES: std::ops::RangeInclusive<u32> = 30..=1440;
/// Stripe measures 30 minutes to 24 hours by its own clock when the call arrives: what lies at an edge is moved this
/// far inside.
const CLOCK_MARGIN_MINUTES: u32 = 5;

impl StripeConfig {
    /// Every live webhook secret.
    #[must_use]
    pub fn webhook_secrets(&self) -> Vec<Secret> {
        self.webhook_secrets
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(Secret::new)
            .collect()
    }

    /// How long a payment page may be paid.
    #[must_use]
    pub fn session(&self) -> Duration {
        let (least, most) = SESSION_MINUTES.into_inner();
        let inside = self.session_minutes.clamp(least + CLOCK_MARGIN_MINUTES, most - CLOCK_MARGIN_MINUTES);
        Duration::from_secs(u64::from(inside) * 60)
    }

    fn check(&self, problems: &mut Problems) {
        for (key, url) in [
            ("stripe.api_url", &self.api_url),
            ("stripe.success_url", &self.success_url),
            ("stripe.cancel_url", &self.cancel_url),
        ] {
            if !Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                problems.add(key, "must be an http or https URL");
            }
        }
        if !["sk_", "rk_"].iter().any(|kind| self.secret_key.starts_with(kind)) {
            problems.add("stripe.secret_key", "must be a secret key (sk_…) or a restricted key (rk_…)");
        }
        if self.api_version.is_empty() || !self.api_version.bytes().all(|byte| byte.is_ascii_graphic()) {
            problems.add("stripe.api_version", "must be a version such as 2025-09-30.clover");
        }
        self.check_webhook_secrets(problems);
        if !SESSION_MINUTES.contains(&self.session_minutes) {
            problems.add("stripe.session_minutes", "must be 30 to 1440, as Stripe takes it");
        }
        if !TIMEOUT_SECONDS.contains(&self.timeout_seconds) {
            problems.add("stripe.timeout_seconds", "must be 1 to 18");
        }
    }

    fn check_webhook_secrets(&self, problems: &mut Problems) {
        let secrets = self.webhook_secrets();
        if secrets.is_empty() || !secrets.iter().all(|secret| secret.starts_with("whsec_")) {
            problems.add("stripe.webhook_secrets", "must be one or more whsec_… with commas between");
        }
    }
}

impl platform::config::Config for Config {
    const SECTIONS: &'static [&'static str] = &[
        "telemetry",
        "admin",
        "bus",
        "lifecycle",
        "database",
        "grpc",
        "http",
        "stripe",
        "sealing",
        "bus_sealing",
    ];

    fn check(&self, problems: &mut Problems) {
        self.bus.check(problems);
        self.database.check(problems);
        self.grpc.check(problems);
        self.stripe.check(problems);
        for (key, sealing) in [("sealing.keys", &self.sealing), ("bus_sealing.keys", &self.bus_sealing)] {
            problems.check(key, Sealer::new(sealing, platform::Random::system()));
        }
    }
}

impl ServiceConfig for Config {
    fn base(&self) -> Base<'_> {
        Base { telemetry: &self.telemetry, admin: &self.admin, bus: &self.bus, lifecycle: &self.lifecycle }
    }
}

impl StoreConfig for Config {
    const SCHEMA: &'static str = "payments";

    fn database(&self) -> &DatabaseConfig {
        &self.database
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use platform::config::load_from;

    use super::*;

    const KEY: &str = "1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    fn load(changes: &[(&str, &str)]) -> Result<Config, String> {
        let least = [
            ("DATABASE_URL", "postgres://payments@db/mercato"),
            ("NATS_URL", "nats://nats:4222"),
            ("MERCATO__ADMIN__LISTEN", "0.0.0.0:9103"),
            ("MERCATO__GRPC__LISTEN", "0.0.0.0:7103"),
            ("MERCATO__GRPC__CALLERS__GATEWAY", "a credential of the gateway"),
            ("MERCATO__HTTP__LISTEN", "0.0.0.0:7203"),
            ("MERCATO__STRIPE__SECRET_KEY", "sk_live_hunter2"),
            ("MERCATO__STRIPE__WEBHOOK_SECRETS", "whsec_new, whsec_old"),
            ("MERCATO__STRIPE__SUCCESS_URL", "https://market.example/thanks?s={CHECKOUT_SESSION_ID}"),
            ("MERCATO__STRIPE__CANCEL_URL", "https://market.example/back"),
            ("MERCATO__SEALING__KEYS", KEY),
            ("MERCATO__BUS_SEALING__KEYS", KEY),
        ];
        let vars: BTreeMap<String, String> = least
            .iter()
            .chain(changes)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        load_from(vars).map_err(|error| error.to_string())
    }

    #[test]
    fn the_least_that_main_names_is_enough_and_prints_no_secret() {
        let config = load(&[]).unwrap();
        assert_eq!(config.stripe.api_url, "https://api.stripe.com");
        let secrets: Vec<String> =
            config.stripe.webhook_secrets().iter().map(|secret| secret.expose().to_owned()).collect();
        assert_eq!(secrets, ["whsec_new", "whsec_old"]);
        let printed = format!("{config:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("whsec_"), "{printed}");
    }

    #[test]
    fn each_setting_that_cannot_work_is_named() {
        for (variable, value, key) in [
            ("MERCATO__STRIPE__SECRET_KEY", "pk_live_1", "stripe.secret_key"),
            ("MERCATO__STRIPE__WEBHOOK_SECRETS", "whsec_1,secret", "stripe.webhook_secrets"),
            ("MERCATO__STRIPE__WEBHOOK_SECRETS", ",", "stripe.webhook_secrets"),
            ("MERCATO__STRIPE__API_URL", "api.stripe.com", "stripe.api_url"),
            ("MERCATO__STRIPE__CANCEL_URL", "javascript:alert(1)", "stripe.cancel_url"),
            ("MERCATO__STRIPE__API_VERSION", "", "stripe.api_version"),
            ("MERCATO__STRIPE__SESSION_MINUTES", "29", "stripe.session_minutes"),
            ("MERCATO__STRIPE__TIMEOUT_SECONDS", "60", "stripe.timeout_seconds"),
            ("MERCATO__BUS_SEALING__KEYS", "1:short", "bus_sealing.keys"),
            ("MERCATO__STRIPE__COLOUR", "red", "colour"),
        ] {
            let error = load(&[(variable, value)]).unwrap_err();
            assert!(error.contains(key), "{variable}: {error}");
        }
    }

    #[test]
    fn a_page_lives_as_long_as_is_said_but_inside_of_what_stripe_takes() {
        for (said, minutes) in [("30", 35), ("60", 60), ("1440", 1435)] {
            let config = load(&[("MERCATO__STRIPE__SESSION_MINUTES", said)]).unwrap();
            assert_eq!(config.stripe.session(), Duration::from_secs(minutes * 60), "{said}");
        }
    }
}
