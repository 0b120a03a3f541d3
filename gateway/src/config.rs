//! The gateway's configuration.

use std::net::SocketAddr;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ipnet::IpNet;
use platform::{
    admin::AdminConfig,
    bus::jetstream::NatsConfig,
    config::Problems,
    grpc::{IdentityConfig, PeerConfig},
    lifecycle::LifecycleConfig,
    limits::{Limit, RedisConfig},
    secret::Secret,
    service::{Base, ServiceConfig},
    telemetry::TelemetryConfig,
};
use serde::Deserialize;

/// Everything that `gateway serve` reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// The admin port.
    pub admin: AdminConfig,
    /// The bus, whose events empty the caches.
    pub bus: NatsConfig,
    /// How the process ends.
    #[serde(default)]
    pub lifecycle: LifecycleConfig,
    /// Shares the limits between replicas; without it each limits by its own count.
    #[serde(default)]
    pub redis: Option<RedisConfig>,
    /// Who the gateway is to the services.
    pub identity: IdentityConfig,
    /// The services.
    pub peers: PeersConfig,
    /// The public side.
    pub http: HttpConfig,
    /// The operator's keys.
    pub operator: OperatorConfig,
    /// The keys that sign download URLs.
    pub downloads: DownloadsConfig,
    /// How much one caller may ask.
    #[serde(default)]
    pub limits: LimitsConfig,
}

/// Where the services are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeersConfig {
    /// catalog-svc.
    pub catalog: PeerConfig,
    /// license-svc.
    pub license: PeerConfig,
    /// payments-svc.
    pub payments: PeerConfig,
    /// webhook-dispatcher.
    pub webhooks: PeerConfig,
}

/// The public side.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// For example `0.0.0.0:8080`.
    pub listen: SocketAddr,
    /// How shops reach it, for example `https://market.example.com`; stands in download URLs.
    pub public_url: String,
    /// Seconds that one answer may take.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// Bytes of a JSON body at most.
    #[serde(default = "default_body")]
    pub max_body_bytes: usize,
    /// Bytes of an imported release at most.
    #[serde(default = "default_release")]
    pub max_release_bytes: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    #[serde(default)]
    pub trusted_proxies: Vec<IpNet>,
}

fn default_timeout() -> u64 {
    30
}

fn default_body() -> usize {
    64 * 1024
}

fn default_release() -> usize {
    50 * 1024 * 1024
}

/// The operator's keys.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorConfig {
    /// `ak_…`, several with commas between while one is being replaced.
    pub keys: Secret,
}

/// The keys that sign download URLs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DownloadsConfig {
    /// Base64 of at least 32 bytes each, with commas between; the first signs, all verify.
    pub keys: Secret,
}

impl DownloadsConfig {
    /// The keys' bytes.
    pub(crate) fn decode(&self) -> Result<Vec<Vec<u8>>, &'static str> {
        let wrong = "must be base64 of at least 32 bytes each, with commas between";
        let decode =
            |key: &str| BASE64_STANDARD.decode(key.trim()).ok().filter(|key| key.len() >= 32).ok_or(wrong);
        self.keys.split(',').map(decode).collect()
    }
}

/// How much one caller may ask.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Of one key.
    pub key: Limit,
    /// Of one address.
    pub address: Limit,
    /// `license/verify` without a key, of one address.
    pub verify_without_key: Limit,
    /// `installations/introspect`, counted apart from everything else: of one key, and of one address.
    pub introspect: Limit,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            key: Limit { requests: 1_200, window_seconds: 60 },
            address: Limit { requests: 2_400, window_seconds: 60 },
            verify_without_key: Limit { requests: 60, window_seconds: 60 },
            introspect: Limit { requests: 6_000, window_seconds: 60 },
        }
    }
}

impl platform::config::Config for Config {
    const SECTIONS: &'static [&'static str] = &["bus", "redis", "telemetry"];

    fn check(&self, problems: &mut Problems) {
        self.bus.check(problems);
        self.identity.check(problems);
        self.peers.catalog.check("peers.catalog", problems);
        self.peers.license.check("peers.license", problems);
        self.peers.payments.check("peers.payments", problems);
        self.peers.webhooks.check("peers.webhooks", problems);
        problems.check("http.public_url", url::Url::parse(&self.http.public_url));
        problems.check("downloads.keys", self.downloads.decode());
        if self.operator.keys.split(',').any(|key| !key.starts_with("ak_") || key.len() < 24) {
            problems.add("operator.keys", "each must begin with ak_ and have at least 24 characters");
        }
        if let Some(redis) = &self.redis {
            redis.check(problems);
        }
    }
}

impl ServiceConfig for Config {
    fn base(&self) -> Base<'_> {
        Base { telemetry: &self.telemetry, admin: &self.admin, bus: &self.bus, lifecycle: &self.lifecycle }
    }
}
