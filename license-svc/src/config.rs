use base64::{Engine as _, prelude::BASE64_STANDARD};
use platform::{
    Random,
    admin::AdminConfig,
    bus::NatsConfig,
    config::{Config as PlatformConfig, Problems},
    db::DatabaseConfig,
    grpc::GrpcConfig,
    lifecycle::LifecycleConfig,
    sealing::{Sealer, SealingConfig},
    secret::Secret,
    service::{Base, ServiceConfig, StoreConfig},
    telemetry::TelemetryConfig,
};
use serde::Deserialize;
use wire::{
    instance::SealingKey,
    keys::{SigningKey, VerifyingKey},
};

use crate::domain::web_url;

/// license-svc's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// The port for health and metrics.
    pub admin: AdminConfig,
    /// The bus.
    pub bus: NatsConfig,
    /// How the process ends.
    #[serde(default)]
    pub lifecycle: LifecycleConfig,
    /// The store.
    pub database: DatabaseConfig,
    /// Where it takes calls, and from whom.
    pub grpc: GrpcConfig,
    /// The keys of licences and tokens.
    pub license: LicenseConfig,
    /// Seals this service's own rows: licence keys and webhook secrets.
    pub sealing: SealingConfig,
    /// Seals what travels on the bus; the same in all services.
    pub bus_sealing: SealingConfig,
}

/// The keys of licences and tokens (contracts.md section 5).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LicenseConfig {
    /// `iss` of the licence tokens and of `/.well-known/mercato.json`: the marketplace's public URL.
    pub issuer: String,
    /// Signs licence tokens: base64 of an Ed25519 seed of 32 bytes.
    pub token_key: Secret,
    /// Public keys, base64 of 32 bytes, whose tokens may still be met. After a rotation the old one stays here for
    /// the 7 days that a token lives.
    #[serde(default)]
    pub previous_token_keys: Vec<String>,
    /// Opens sealed instance ids: base64 of an X25519 seed of 32 bytes.
    pub sealing_key: Secret,
    /// Keys the hash under which licence keys are looked up: base64 of 32 random bytes. It cannot be rotated: with
    /// another one no licence key that was issued before is found.
    pub lookup_key: Secret,
}

impl LicenseConfig {
    /// The bytes of `lookup_key`.
    pub(crate) fn lookup_key(&self) -> Result<[u8; 32], BadLookupKey> {
        let bytes = BASE64_STANDARD.decode(self.lookup_key.expose()).map_err(|_| BadLookupKey)?;
        bytes.try_into().map_err(|_| BadLookupKey)
    }

    fn check(&self, problems: &mut Problems) {
        problems.check("license.issuer", web_url(&self.issuer));
        problems.check("license.token_key", self.token_key.parse::<SigningKey>());
        for key in &self.previous_token_keys {
            problems.check("license.previous_token_keys", key.parse::<VerifyingKey>());
        }
        problems.check("license.sealing_key", self.sealing_key.parse::<SealingKey>());
        problems.check("license.lookup_key", self.lookup_key());
    }
}

/// `license.lookup_key` is not of its form.
#[derive(Debug, thiserror::Error)]
#[error("must be the base64 of 32 random bytes")]
pub(crate) struct BadLookupKey;

impl PlatformConfig for Config {
    const SECTIONS: &'static [&'static str] =
        &["telemetry", "admin", "bus", "lifecycle", "database", "grpc", "license", "sealing", "bus_sealing"];

    fn check(&self, problems: &mut Problems) {
        self.bus.check(problems);
        self.database.check(problems);
        self.grpc.check(problems);
        self.license.check(problems);
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
    const SCHEMA: &'static str = "license";

    fn database(&self) -> &DatabaseConfig {
        &self.database
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::*;

    fn vars() -> BTreeMap<String, String> {
        let key = BASE64_STANDARD.encode([7; 32]);
        [
            ("DATABASE_URL", "postgres://db/mercato"),
            ("NATS_URL", "nats://bus:4222"),
            ("MERCATO__ADMIN__LISTEN", "127.0.0.1:0"),
            ("MERCATO__GRPC__LISTEN", "127.0.0.1:0"),
            ("MERCATO__GRPC__CALLERS__GATEWAY", "a credential of enough characters"),
            ("MERCATO__LICENSE__ISSUER", "https://marketplace.example"),
            ("MERCATO__LICENSE__TOKEN_KEY", &key),
            ("MERCATO__LICENSE__SEALING_KEY", &key),
            ("MERCATO__LICENSE__LOOKUP_KEY", &key),
            ("MERCATO__SEALING__KEYS", &format!("1:{key}")),
            ("MERCATO__BUS_SEALING__KEYS", &format!("1:{key}")),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    fn problem_with(name: &str, value: &str) -> String {
        let mut vars = vars();
        vars.insert(name.to_owned(), value.to_owned());
        platform::config::load_from::<Config>(vars).unwrap_err().to_string()
    }

    #[test]
    fn a_whole_configuration_is_taken() {
        let previous = SigningKey::from_seed(&[9; 32]).verifying_key().to_string();
        let mut vars = vars();
        vars.insert("MERCATO__LICENSE__PREVIOUS_TOKEN_KEYS".to_owned(), format!("[\"{previous}\"]"));
        let config: Config = platform::config::load_from(vars).unwrap();
        assert_eq!(config.license.issuer, "https://marketplace.example");
        assert_eq!(config.license.previous_token_keys, [previous]);
    }

    #[test]
    fn each_bad_key_is_named_and_never_shown() {
        let keys = ["ISSUER", "TOKEN_KEY", "SEALING_KEY", "LOOKUP_KEY"];
        for key in keys {
            let problem = problem_with(&format!("MERCATO__LICENSE__{key}"), "hunter2");
            assert!(problem.contains(&format!("license.{}:", key.to_lowercase())), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        assert!(problem_with("MERCATO__BUS_SEALING__KEYS", "x").contains("bus_sealing.keys:"));
        let previous = problem_with("MERCATO__LICENSE__PREVIOUS_TOKEN_KEYS", "[\"hunter2\"]");
        assert!(previous.contains("previous_token_keys") && !previous.contains("hunter2"), "{previous}");
    }
}
