//! What the service is told before it starts.

use std::time::Duration;

use platform::{
    Random,
    admin::AdminConfig,
    bus::NatsConfig,
    config::{Config as Checked, Problems},
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
use wire::keys::{SigningKey, VerifyingKey};

const MIB: u64 = 1024 * 1024;
const MAX_NOTICE_DAYS: u32 = 3_650;

/// The whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// Health and metrics.
    pub admin: AdminConfig,
    /// NATS.
    pub bus: NatsConfig,
    /// How the process ends.
    #[serde(default)]
    pub lifecycle: LifecycleConfig,
    /// The store.
    pub database: DatabaseConfig,
    /// Where calls are taken, and from whom.
    pub grpc: GrpcConfig,
    /// Where the releases' bytes are kept.
    pub artifacts: ArtifactsConfig,
    /// What is published, and how it is vouched for.
    pub catalog: CatalogConfig,
    /// Seals this service's own rows: the secrets of hosted apps.
    pub sealing: SealingConfig,
    /// Seals what travels on the bus; the same in all services.
    pub bus_sealing: SealingConfig,
}

/// Where the releases' bytes are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactsConfig {
    /// `file:///folder` or `s3://bucket/prefix`.
    pub url: String,
    /// The address of an S3 that is not Amazon's.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The S3 region; `us-east-1` where none is named.
    #[serde(default)]
    pub region: Option<String>,
    /// The S3 access key.
    #[serde(default)]
    pub access_key: Option<Secret>,
    /// The S3 secret key.
    #[serde(default)]
    pub secret_key: Option<Secret>,
    /// Whether shops reach the S3 address: downloads then go to it by presigned URLs.
    #[serde(default)]
    pub public: bool,
}

/// What is published, and how it is vouched for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogConfig {
    /// The base64 of the Ed25519 seed that signs release statements (contracts.md section 8).
    pub signing_key: Secret,
    /// Base64 of earlier public keys: what they signed still verifies.
    #[serde(default)]
    pub previous_keys: Vec<String>,
    /// The largest ZIP that is taken.
    #[serde(default = "default_max_package_bytes")]
    pub max_package_bytes: u64,
    /// How long shops have at least before a release may be required of them (contracts.md section 4).
    #[serde(default = "default_minimum_notice_days")]
    pub minimum_notice_days: u32,
}

fn default_minimum_notice_days() -> u32 {
    30
}

fn default_max_package_bytes() -> u64 {
    50 * MIB
}

impl CatalogConfig {
    /// This signing key, no earlier ones, packages of the usual size and the usual notice.
    #[must_use]
    pub fn new(signing_key: Secret) -> Self {
        Self {
            signing_key,
            previous_keys: Vec::new(),
            max_package_bytes: default_max_package_bytes(),
            minimum_notice_days: default_minimum_notice_days(),
        }
    }

    /// How long shops have at least before a release may be required of them.
    #[must_use]
    pub fn minimum_notice(&self) -> Duration {
        Duration::from_hours(24) * self.minimum_notice_days
    }

    fn check(&self, problems: &mut Problems) {
        problems.check("catalog.signing_key", self.signing_key.expose().parse::<SigningKey>());
        for key in &self.previous_keys {
            problems.check("catalog.previous_keys", key.parse::<VerifyingKey>());
        }
        // A ZIP is held in memory while it is checked.
        if !(1..=512 * MIB).contains(&self.max_package_bytes) {
            problems.add("catalog.max_package_bytes", "must be between 1 and 536870912 (512 MiB)");
        }
        if self.minimum_notice_days > MAX_NOTICE_DAYS {
            problems.add("catalog.minimum_notice_days", "must be at most 3650 (ten years)");
        }
    }
}

impl ArtifactsConfig {
    /// A folder.
    #[must_use]
    pub fn folder(path: &std::path::Path) -> Self {
        Self {
            url: format!("file://{}", path.display()),
            endpoint: None,
            region: None,
            access_key: None,
            secret_key: None,
            public: false,
        }
    }

    fn check(&self, problems: &mut Problems) {
        let url = Url::parse(&self.url).ok();
        match url.as_ref().map(Url::scheme) {
            Some("file") => self.check_folder(problems),
            Some("s3") => self.check_s3(problems),
            _ => problems.add("artifacts.url", "must be file:///folder or s3://bucket/prefix"),
        }
    }

    fn check_folder(&self, problems: &mut Problems) {
        if !self.url.starts_with("file:///") {
            problems.add("artifacts.url", "must name the whole path of the folder, file:///folder");
        }
        if self.public {
            problems.add("artifacts.public", "a folder has no public address; leave it out");
        }
    }

    fn check_s3(&self, problems: &mut Problems) {
        if Url::parse(&self.url).is_ok_and(|url| url.host_str().is_none_or(str::is_empty)) {
            problems.add("artifacts.url", "must name the bucket, s3://bucket/prefix");
        }
        if self.access_key.is_none() || self.secret_key.is_none() {
            problems.add("artifacts.access_key", "S3 needs both access_key and secret_key");
        }
        let is_web =
            |url: &String| Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
        if !self.endpoint.as_ref().is_none_or(is_web) {
            problems.add("artifacts.endpoint", "must begin with http:// or https://");
        }
    }
}

impl Checked for Config {
    const SECTIONS: &'static [&'static str] = &[
        "telemetry",
        "admin",
        "bus",
        "lifecycle",
        "database",
        "grpc",
        "artifacts",
        "catalog",
        "sealing",
        "bus_sealing",
    ];

    fn check(&self, problems: &mut Problems) {
        self.database.check(problems);
        self.grpc.check(problems);
        self.artifacts.check(problems);
        self.catalog.check(problems);
        check_sealing("sealing.keys", &self.sealing, problems);
        check_sealing("bus_sealing.keys", &self.bus_sealing, problems);
    }
}

/// The ring is only tried here, and seals nothing, so any randomness does.
fn check_sealing(key: &str, config: &SealingConfig, problems: &mut Problems) {
    let ring: Result<Sealer, _> = Sealer::new(config, Random::seeded(0));
    problems.check(key, ring);
}

impl ServiceConfig for Config {
    fn base(&self) -> Base<'_> {
        Base { telemetry: &self.telemetry, admin: &self.admin, bus: &self.bus, lifecycle: &self.lifecycle }
    }
}

impl StoreConfig for Config {
    const SCHEMA: &'static str = "catalog";

    fn database(&self) -> &DatabaseConfig {
        &self.database
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use platform::config::load_from;

    use super::*;

    const SEED: &str = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    const RING: &str = "1:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";

    fn vars(more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let base = [
            ("DATABASE_URL", "postgres://localhost/mercato"),
            ("NATS_URL", "nats://localhost:4222"),
            ("MERCATO__ADMIN__LISTEN", "127.0.0.1:9101"),
            ("MERCATO__GRPC__LISTEN", "127.0.0.1:7101"),
            ("MERCATO__GRPC__CALLERS__GATEWAY", "0123456789abcdef01234567"),
            ("MERCATO__ARTIFACTS__URL", "file:///var/lib/mercato"),
            ("MERCATO__CATALOG__SIGNING_KEY", SEED),
            ("MERCATO__SEALING__KEYS", RING),
            ("MERCATO__BUS_SEALING__KEYS", RING),
        ];
        base.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn refusal(more: &[(&str, &str)]) -> String {
        load_from::<Config>(vars(more)).unwrap_err().to_string()
    }

    #[test]
    fn a_folder_needs_nothing_more_and_the_limit_is_fifty_mib() {
        let config: Config = load_from(vars(&[])).unwrap();
        assert_eq!(config.catalog.minimum_notice(), Duration::from_hours(720));
        assert_eq!(config.catalog.max_package_bytes, 52_428_800);
        assert!(!config.artifacts.public);
    }

    #[test]
    fn s3_needs_its_keys() {
        let s3 = ("MERCATO__ARTIFACTS__URL", "s3://bucket/prefix");
        assert!(refusal(&[s3]).contains("access_key"));
        let keys = [s3, ("MERCATO__ARTIFACTS__ACCESS_KEY", "12345"), ("MERCATO__ARTIFACTS__SECRET_KEY", "x")];
        let config: Config = load_from(vars(&keys)).unwrap();
        assert_eq!(config.artifacts.access_key.unwrap().expose(), "12345");
    }

    #[test]
    fn what_cannot_work_is_named_without_the_key() {
        assert!(refusal(&[("MERCATO__ARTIFACTS__URL", "ftp://x")]).contains("artifacts.url"));
        assert!(refusal(&[("MERCATO__ARTIFACTS__URL", "file://folder/x")]).contains("whole path"));
        assert!(refusal(&[("MERCATO__ARTIFACTS__PUBLIC", "true")]).contains("artifacts.public"));
        assert!(refusal(&[("MERCATO__CATALOG__MAX_PACKAGE_BYTES", "0")]).contains("max_package_bytes"));
        assert!(refusal(&[("MERCATO__CATALOG__MINIMUM_NOTICE_DAYS", "4000")]).contains("at most 3650"));
        assert!(refusal(&[("MERCATO__SEALING__KEYS", "x")]).contains("sealing.keys:"));
        assert!(refusal(&[("MERCATO__BUS_SEALING__KEYS", "x")]).contains("bus_sealing.keys:"));
        assert!(refusal(&[("MERCATO__CATALOG__PREVIOUS_KEYS", "[\"zz\"]")]).contains("previous_keys"));
        let refusal = refusal(&[("MERCATO__CATALOG__SIGNING_KEY", "hunter2")]);
        assert!(refusal.contains("catalog.signing_key") && !refusal.contains("hunter2"), "{refusal}");
    }
}
