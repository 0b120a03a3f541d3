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
