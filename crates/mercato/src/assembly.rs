//! The five services, started on their parts under one shutdown.

use std::{net::Ipv4Addr, time::Duration};

use anyhow::Context as _;
use platform::{
    Clock, Parts, Shutdown,
    admin::Readiness,
    bus::{Bus, EmbeddedBus, JetStreamBus},
    db::{self, Db},
    lifecycle::Tasks,
    service::StoreConfig,
};
use sea_orm_migration::MigratorTrait;
use tokio::{net::TcpListener, try_join};

use crate::{
    health,
    settings::{Addresses, Configs, Settings},
};

/// Far more than a start takes; a machine under load is not given up.
const READY_WITHIN: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What strangers reach.
pub struct Listeners {
    /// The REST API.
    pub gateway: TcpListener,
    /// Stripe's events.
    pub payments: TcpListener,
}

/// The running services.
pub struct Assembly {
    readiness: Readiness,
    tasks: Tasks,
    settings: Settings,
}

struct Stores {
    catalog: Db,
    license: Db,
    payments: Db,
    webhooks: Db,
}

struct GrpcListeners {
    catalog: TcpListener,
    license: TcpListener,
    payments: TcpListener,
    webhooks: TcpListener,
}

impl Assembly {
    /// Opens bus and stores, brings their schemas up to date, and starts the services.
    pub async fn start(settings: Settings, listeners: Listeners, shutdown: Shutdown) -> anyhow::Result<Self> {
        platform::tls::install_provider();
        let common = Parts::new(open_bus(&settings).await?);
        let grpc = GrpcListeners::bind().await?;
        let addresses = grpc.addresses()?;
        let configs = settings.configs(&addresses);
        let stores = Stores::open(&configs, &common.readiness).await?;
        watch_services(&common.readiness, &addresses)?;
        let readiness = common.readiness.clone();
        let mut tasks = Tasks::new(shutdown);
        spawn(&mut tasks, configs, Running { common, stores, grpc, listeners });
        Ok(Self { readiness, tasks, settings })
    }

    /// What must answer before requests are taken.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Returns once every service answers.
    pub async fn until_ready(&self) -> anyhow::Result<()> {
        let ready = async {
            // A service adds its own checks before it first answers: asked once more, they are among them.
            while !(self.readiness.is_ready().await && self.readiness.is_ready().await) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        tokio::time::timeout(READY_WITHIN, ready).await.context("the services did not become ready in time")
    }

    /// Adds a part that ends with the others.
    pub fn tasks(&mut self) -> &mut Tasks {
        &mut self.tasks
    }

    /// Waits for the end: of the process by its shutdown, or of a part before its time. Then drains within the bound.
    pub async fn run_to_end(self) -> anyhow::Result<()> {
        // The edges drain first, then what they call: each within the bound.
        Ok(self.tasks.run_to_end(self.settings.lifecycle.drain() * 2).await?)
    }
}

struct Running {
    common: Parts,
    stores: Stores,
    grpc: GrpcListeners,
    listeners: Listeners,
}

/// The gateway ends first and the services after it, so that what it has begun to answer is answered.
fn spawn(tasks: &mut Tasks, configs: Configs, running: Running) {
    let Running { common, stores, grpc, listeners } = running;
    let (first, then) = (tasks.shutdown(), Shutdown::new());
    tasks.spawn(catalog_svc::NAME, {
        let parts = catalog_svc::Parts { common: common.clone(), db: stores.catalog, grpc: grpc.catalog };
        told(catalog_svc::run(configs.catalog, parts, then.clone()))
    });
    tasks.spawn(license_svc::NAME, {
        let parts = license_svc::Parts { common: common.clone(), db: stores.license, grpc: grpc.license };
        told(license_svc::run(configs.license, parts, then.clone()))
    });
    tasks.spawn(payments_svc::NAME, {
        let (db, http) = (stores.payments, listeners.payments);
        let parts = payments_svc::Parts { common: common.clone(), db, grpc: grpc.payments, http };
        told(payments_svc::run(configs.payments, parts, then.clone()))
    });
    tasks.spawn(webhook_dispatcher::NAME, {
        let parts =
            webhook_dispatcher::Parts { common: common.clone(), db: stores.webhooks, grpc: grpc.webhooks };
        told(webhook_dispatcher::run(configs.webhooks, parts, then.clone()))
    });
    tasks.spawn(gateway::NAME, {
        let parts = gateway::Parts { common, http: listeners.gateway };
        let then = then.drop_guard();
        async move {
            let ended = told(gateway::run(configs.gateway, parts, first)).await;
            drop(then);
            ended
        }
    });
}

/// With every cause, not only the last.
async fn told(service: impl Future<Output = anyhow::Result<()>>) -> Result<(), String> {
    service.await.map_err(|error| format!("{error:#}"))
}

fn watch_services(readiness: &Readiness, addresses: &Addresses) -> anyhow::Result<()> {
    health::watch(readiness, catalog_svc::NAME, addresses.catalog)?;
    health::watch(readiness, license_svc::NAME, addresses.license)?;
    health::watch(readiness, payments_svc::NAME, addresses.payments)?;
    health::watch(readiness, webhook_dispatcher::NAME, addresses.webhooks)?;
    Ok(())
}

async fn open_bus(settings: &Settings) -> anyhow::Result<Bus> {
    if let Some(nats) = &settings.nats {
        return Ok(Bus::new(JetStreamBus::connect(nats).await?));
    }
    let file = settings.bus_file();
    let bus = EmbeddedBus::open(&file, Clock::system()).await;
    Ok(Bus::new(bus.with_context(|| format!("{} cannot be used", file.display()))?))
}

impl GrpcListeners {
    async fn bind() -> anyhow::Result<Self> {
        let bind = || async { TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await };
        let (catalog, license, payments, webhooks) = try_join!(bind(), bind(), bind(), bind())?;
        Ok(Self { catalog, license, payments, webhooks })
    }

    fn addresses(&self) -> std::io::Result<Addresses> {
        Ok(Addresses {
            catalog: self.catalog.local_addr()?,
            license: self.license.local_addr()?,
            payments: self.payments.local_addr()?,
            webhooks: self.webhooks.local_addr()?,
        })
    }
}

impl Stores {
    async fn open(configs: &Configs, readiness: &Readiness) -> anyhow::Result<Self> {
        let (catalog, license, payments, webhooks) = try_join!(
            Box::pin(open::<_, catalog_svc::Migrator>(&configs.catalog)),
            Box::pin(open::<_, license_svc::Migrator>(&configs.license)),
            Box::pin(open::<_, payments_svc::Migrator>(&configs.payments)),
            Box::pin(open::<_, webhook_dispatcher::Migrator>(&configs.webhooks)),
        )?;
        watch(readiness, "catalog store", &catalog);
        watch(readiness, "license store", &license);
        watch(readiness, "payments store", &payments);
        watch(readiness, "webhooks store", &webhooks);
        Ok(Self { catalog, license, payments, webhooks })
    }
}

async fn open<C: StoreConfig, M: MigratorTrait>(config: &C) -> anyhow::Result<Db> {
    let open = async {
        let db = Db::connect(config.database(), C::SCHEMA).await?;
        db::migrate::<M>(&db, C::SCHEMA).await?;
        anyhow::Ok(db)
    };
    open.await.with_context(|| format!("the store `{}` cannot be used", C::SCHEMA))
}

fn watch(readiness: &Readiness, name: &'static str, db: &Db) {
    let checked = db.clone();
    readiness.add(name, move || {
        let db = checked.clone();
        async move { db.is_ready().await }
    });
}
