//! What one process is told, and what that makes of each service's configuration.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use platform::{
    admin::AdminConfig,
    bus::NatsConfig,
    config::{Config as _, Problems},
    db::DatabaseConfig,
    grpc::{GrpcConfig, IdentityConfig, PeerConfig},
    lifecycle::LifecycleConfig,
    limits::RedisConfig,
    telemetry::TelemetryConfig,
};
use webhook_dispatcher::config::{DeliveryConfig, OperationsConfig};

use crate::secrets::{Secrets, ring};

/// How the services know the gateway.
const GATEWAY: &str = "gateway";

/// Everything that the five services of one process are told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Keeps the data of every part that is embedded.
    pub folder: PathBuf,
    /// PostgreSQL for all services, a schema each; without it a SQLite file each.
    pub database: Option<DatabaseConfig>,
    /// NATS; without it the embedded bus.
    pub nats: Option<NatsConfig>,
    /// Redis; without it limits are kept in memory.
    pub redis: Option<RedisConfig>,
    /// Where releases are kept; without it in the folder.
    pub artifacts: Option<catalog_svc::config::ArtifactsConfig>,
    /// Days that shops have at least before a release may be required; without it what catalog-svc does by itself.
    pub minimum_notice_days: Option<u32>,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// Health and metrics.
    pub admin: AdminConfig,
    /// How the process ends.
    pub lifecycle: LifecycleConfig,
    /// The public REST API.
    pub http: gateway::HttpConfig,
    /// How much one caller may ask.
    pub limits: gateway::LimitsConfig,
    /// How Stripe is called.
    pub stripe: payments_svc::StripeConfig,
    /// Where Stripe's events arrive.
    pub stripe_webhook: SocketAddr,
    /// How webhooks are delivered.
    pub delivery: DeliveryConfig,
    /// The operator's own endpoint.
    pub operations: OperationsConfig,
    /// The keys.
    pub secrets: Secrets,
}

/// Where each service takes the gateway's calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) catalog: SocketAddr,
    pub(crate) license: SocketAddr,
    pub(crate) payments: SocketAddr,
    pub(crate) webhooks: SocketAddr,
}

impl Addresses {
    /// Of services that have not been started.
    pub(crate) fn unbound() -> Self {
        let none = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { catalog: none, license: none, payments: none, webhooks: none }
    }
}

/// The configuration of each service.
pub(crate) struct Configs {
    pub(crate) gateway: gateway::Config,
    pub(crate) catalog: catalog_svc::Config,
    pub(crate) license: license_svc::Config,
    pub(crate) payments: payments_svc::Config,
    pub(crate) webhooks: webhook_dispatcher::Config,
}

impl Settings {
    /// Reports what cannot work, by the services' own rules, before anything binds.
    pub fn check(&self, problems: &mut Problems) {
        let configs = self.configs(&Addresses::unbound());
        configs.gateway.check(problems);
        configs.catalog.check(problems);
        configs.license.check(problems);
        configs.payments.check(problems);
        configs.webhooks.check(problems);
    }

    pub(crate) fn bus_file(&self) -> PathBuf {
        self.folder.join("bus.db")
    }

    pub(crate) fn configs(&self, grpc: &Addresses) -> Configs {
        Configs {
            gateway: self.gateway(grpc),
            catalog: self.catalog(grpc.catalog),
            license: self.license(grpc.license),
            payments: self.payments(grpc.payments),
            webhooks: self.webhooks(grpc.webhooks),
        }
    }

    fn gateway(&self, grpc: &Addresses) -> gateway::Config {
        gateway::Config {
            telemetry: self.telemetry.clone(),
            admin: self.admin.clone(),
            bus: self.bus(),
            lifecycle: self.lifecycle.clone(),
            redis: self.redis.clone(),
            identity: IdentityConfig {
                name: GATEWAY.to_owned(),
                credential: self.secrets.gateway_credential.clone(),
            },
            peers: gateway::PeersConfig {
                catalog: peer(grpc.catalog),
                license: peer(grpc.license),
                payments: peer(grpc.payments),
                webhooks: peer(grpc.webhooks),
            },
            http: self.http.clone(),
            operator: gateway::OperatorConfig { keys: self.secrets.admin_key.clone() },
            downloads: gateway::DownloadsConfig { keys: self.secrets.download_key.clone() },
            limits: self.limits.clone(),
        }
    }

    fn catalog(&self, listen: SocketAddr) -> catalog_svc::Config {
        let folder = || catalog_svc::config::ArtifactsConfig::folder(&self.folder.join("artifacts"));
        let usual = catalog_svc::config::CatalogConfig::new(self.secrets.release_key.clone());
        let minimum_notice_days = self.minimum_notice_days.unwrap_or(usual.minimum_notice_days);
        catalog_svc::Config {
            telemetry: self.telemetry.clone(),
            admin: self.admin.clone(),
            bus: self.bus(),
            lifecycle: self.lifecycle.clone(),
            database: self.database("catalog"),
            grpc: self.grpc(listen),
            artifacts: self.artifacts.clone().unwrap_or_else(folder),
            catalog: catalog_svc::config::CatalogConfig { minimum_notice_days, ..usual },
            sealing: ring(&self.secrets.catalog_sealing),
            bus_sealing: ring(&self.secrets.bus_sealing),
        }
    }

    fn license(&self, listen: SocketAddr) -> license_svc::Config {
        license_svc::Config {
            telemetry: self.telemetry.clone(),
            admin: self.admin.clone(),
            bus: self.bus(),
            lifecycle: self.lifecycle.clone(),
            database: self.database("license"),
            grpc: self.grpc(listen),
            license: license_svc::LicenseConfig {
                issuer: self.http.public_url.trim_end_matches('/').to_owned(),
                token_key: self.secrets.token_key.clone(),
                previous_token_keys: Vec::new(),
                sealing_key: self.secrets.instance_key.clone(),
                lookup_key: self.secrets.lookup_key.clone(),
            },
            sealing: ring(&self.secrets.license_sealing),
            bus_sealing: ring(&self.secrets.bus_sealing),
        }
    }

    fn payments(&self, listen: SocketAddr) -> payments_svc::Config {
        payments_svc::Config {
            telemetry: self.telemetry.clone(),
            admin: self.admin.clone(),
            bus: self.bus(),
            lifecycle: self.lifecycle.clone(),
            database: self.database("payments"),
            grpc: self.grpc(listen),
            http: payments_svc::HttpConfig { listen: self.stripe_webhook },
            stripe: self.stripe.clone(),
            sealing: ring(&self.secrets.payments_sealing),
            bus_sealing: ring(&self.secrets.bus_sealing),
        }
    }

    fn webhooks(&self, listen: SocketAddr) -> webhook_dispatcher::Config {
        webhook_dispatcher::Config {
            telemetry: self.telemetry.clone(),
            admin: self.admin.clone(),
            bus: self.bus(),
            lifecycle: self.lifecycle.clone(),
            database: self.database("webhooks"),
            grpc: self.grpc(listen),
            sealing: ring(&self.secrets.webhooks_sealing),
            bus_sealing: ring(&self.secrets.bus_sealing),
            delivery: self.delivery.clone(),
            operations: self.operations.clone(),
        }
    }

    /// The services are handed a bus; where it is embedded, nothing reads this.
    fn bus(&self) -> NatsConfig {
        self.nats.clone().unwrap_or_else(|| NatsConfig::new("nats://embedded"))
    }

    fn database(&self, service: &str) -> DatabaseConfig {
        let file = || sqlite(&self.folder, service);
        self.database.clone().unwrap_or_else(file)
    }

    fn grpc(&self, listen: SocketAddr) -> GrpcConfig {
        let callers = BTreeMap::from([(GATEWAY.to_owned(), self.secrets.gateway_credential.clone())]);
        GrpcConfig { listen, callers, tls: None }
    }
}

fn sqlite(folder: &Path, service: &str) -> DatabaseConfig {
    DatabaseConfig::sqlite(&folder.join(format!("{service}.db")))
}

/// A service of this process, over the loopback device.
fn peer(address: SocketAddr) -> PeerConfig {
    PeerConfig { url: format!("http://{address}"), ca: None }
}
