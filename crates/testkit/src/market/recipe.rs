//! What each of the five processes is told, as variables of its environment.

use std::{net::SocketAddr, path::PathBuf};

use super::{
    Keys, Options, Service,
    options::{Vars, var},
};
use crate::{free_ports, local_address};

/// The servers that the services run on.
#[derive(Debug, Clone)]
pub struct Backing {
    /// PostgreSQL: a database of its own.
    pub database_url: String,
    /// NATS with JetStream.
    pub nats_url: String,
    /// What speaks Redis.
    pub redis_url: String,
    /// Stripe's API, or the stand-in's.
    pub stripe_url: String,
}

/// Where everything listens on the loopback address.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    ports: [Ports; 5],
}

/// The ports of one service.
#[derive(Debug, Clone, Copy)]
struct Ports {
    /// Health and metrics.
    admin: u16,
    /// Calls of other services; the gateway takes none.
    grpc: u16,
    /// The public side of the gateway and of payments-svc.
    http: u16,
}

impl Addresses {
    /// Free ones.
    pub(super) fn free() -> anyhow::Result<Self> {
        let ports = free_ports::<15>()?;
        let of = |service: usize| {
            let [admin, grpc, http] = [0, 1, 2].map(|place| ports[service * 3 + place]);
            Ports { admin, grpc, http }
        };
        Ok(Self { ports: [0, 1, 2, 3, 4].map(of) })
    }

    fn of(&self, service: Service) -> Ports {
        self.ports[service as usize]
    }

    pub(super) fn admin_port(&self, service: Service) -> u16 {
        self.of(service).admin
    }

    pub(super) fn http(&self, service: Service) -> SocketAddr {
        local_address(self.of(service).http)
    }

    fn grpc(&self, service: Service) -> SocketAddr {
        local_address(self.of(service).grpc)
    }
}

/// Everything that the environments are made of.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) keys: Keys,
    pub(super) addresses: Addresses,
    pub(super) backing: Backing,
    pub(super) options: Options,
    /// Where the releases' bytes are kept.
    pub(super) artifacts: PathBuf,
}

impl Recipe {
    /// The variables of one service.
    pub(super) fn vars(&self, service: Service) -> Vars {
        let mut vars = self.common(service);
        if service.has_store() {
            vars.extend(self.with_a_store(service));
        }
        vars.extend(match service {
            Service::Gateway => self.gateway(),
            Service::Catalog => self.catalog(),
            Service::License => self.license(),
            Service::Payments => self.payments(),
            Service::Dispatcher => self.dispatcher(),
        });
        let wanted = self.options.vars.iter().filter(|(of, ..)| *of == service);
        vars.extend(wanted.map(|(_, name, value)| (name.clone(), value.clone())));
        vars
    }

    /// How shops reach the gateway.
    pub(super) fn public_url(&self) -> String {
        let here = || format!("http://{}", self.addresses.http(Service::Gateway));
        self.options.public_url.clone().unwrap_or_else(here)
    }

    fn common(&self, service: Service) -> Vars {
        let admin = local_address(self.addresses.admin_port(service));
        let mut vars = vec![var("NATS_URL", &self.backing.nats_url), var("MERCATO__ADMIN__LISTEN", &admin)];
        let collector = self.options.otlp_endpoint.as_ref();
        vars.extend(collector.map(|endpoint| var("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)));
        vars
    }

    fn with_a_store(&self, service: Service) -> Vars {
        vec![
            var("DATABASE_URL", &self.backing.database_url),
            var("MERCATO__GRPC__LISTEN", &self.addresses.grpc(service)),
            var("MERCATO__GRPC__CALLERS__GATEWAY", &self.keys.gateway_credential),
        ]
    }

    fn gateway(&self) -> Vars {
        let peer = |name: &str, service| {
            var(&format!("MERCATO__PEERS__{name}__URL"), &format!("http://{}", self.addresses.grpc(service)))
        };
        let mut vars = vec![
            var("REDIS_URL", &self.backing.redis_url),
            var("MERCATO__HTTP__LISTEN", &self.addresses.http(Service::Gateway)),
            var("MERCATO__HTTP__PUBLIC_URL", &self.public_url()),
            var("MERCATO__OPERATOR__KEYS", &self.keys.admin_key),
            var("MERCATO__DOWNLOADS__KEYS", &self.keys.download),
            var("MERCATO__IDENTITY__NAME", &"gateway"),
            var("MERCATO__IDENTITY__CREDENTIAL", &self.keys.gateway_credential),
            peer("CATALOG", Service::Catalog),
            peer("LICENSE", Service::License),
            peer("PAYMENTS", Service::Payments),
            peer("WEBHOOKS", Service::Dispatcher),
        ];
        vars.extend(self.options.limits.vars());
        vars
    }

    fn catalog(&self) -> Vars {
        vec![
            var("MERCATO__ARTIFACTS__URL", &format!("file://{}", self.artifacts.display())),
            var("MERCATO__CATALOG__SIGNING_KEY", &self.keys.release),
            var("MERCATO__SEALING__KEYS", &self.keys.sealing.catalog),
            var("MERCATO__BUS_SEALING__KEYS", &self.keys.sealing.bus),
        ]
    }

    fn license(&self) -> Vars {
        vec![
            var("MERCATO__LICENSE__ISSUER", &self.public_url()),
            var("MERCATO__LICENSE__TOKEN_KEY", &self.keys.token),
            var("MERCATO__LICENSE__SEALING_KEY", &self.keys.instance),
            var("MERCATO__LICENSE__LOOKUP_KEY", &self.keys.lookup),
            var("MERCATO__SEALING__KEYS", &self.keys.sealing.license),
            var("MERCATO__BUS_SEALING__KEYS", &self.keys.sealing.bus),
        ]
    }

    fn payments(&self) -> Vars {
        let public_url = self.public_url();
        vec![
            var("MERCATO__HTTP__LISTEN", &self.addresses.http(Service::Payments)),
            var("MERCATO__STRIPE__API_URL", &self.backing.stripe_url),
            var("MERCATO__STRIPE__SECRET_KEY", &self.keys.stripe_api_key),
            var("MERCATO__STRIPE__WEBHOOK_SECRETS", &self.keys.stripe_webhook_secret),
            var("MERCATO__STRIPE__SUCCESS_URL", &format!("{public_url}/docs#paid")),
            var("MERCATO__STRIPE__CANCEL_URL", &format!("{public_url}/docs#cancelled")),
            var("MERCATO__SEALING__KEYS", &self.keys.sealing.payments),
            var("MERCATO__BUS_SEALING__KEYS", &self.keys.sealing.bus),
        ]
    }

    fn dispatcher(&self) -> Vars {
        let mut vars = vec![
            var("MERCATO__SEALING__KEYS", &self.keys.sealing.webhooks),
            var("MERCATO__BUS_SEALING__KEYS", &self.keys.sealing.bus),
        ];
        vars.extend(self.options.delivery.vars());
        vars
    }
}
