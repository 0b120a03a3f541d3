//! catalog-svc: vendors, apps, releases, their artefacts, search and updates.
//!
//! Rows and artefacts are the truth. What shops read is answered from a [`projection`] in memory that each replica
//! builds at start and keeps by following `catalog.v1.*`.

pub mod app;
pub mod artifacts;
pub mod config;
pub mod domain;
mod grpc;
pub mod projection;
pub mod store;

use app::App;
use artifacts::Artifacts;
pub use config::Config;
use grpc::{AdminEdge, CatalogEdge};
use platform::{
    Shutdown,
    db::Db,
    grpc::{Callers, Server},
    lifecycle::Tasks,
    outbox, service,
};
use projection::{Projection, follow};
use proto::catalog::{catalog_admin_server::CatalogAdminServer, catalog_server::CatalogServer};
pub use store::migrations::Migrator;
use tokio::net::TcpListener;

/// The service's name in telemetry.
pub const NAME: &str = "catalog-svc";

/// What the service runs on.
pub struct Parts {
    /// What every service runs on.
    pub common: platform::Parts,
    /// The store, its schema up to date.
    pub db: Db,
    /// Where calls are taken.
    pub grpc: TcpListener,
}

/// Binds, opens the store, runs: what the process `catalog-svc serve` does.
pub async fn serve(config: Config, common: platform::Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let db = service::open_store::<Config, Migrator>(&config, &common).await?;
    let grpc = service::bind("grpc.listen", config.grpc.listen).await?;
    run(config, Parts { common, db, grpc }, shutdown).await
}

/// Runs on the given parts until `shutdown`.
pub async fn run(config: Config, parts: Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let Parts { common, db, grpc } = parts;
    let artifacts = Artifacts::open(&config.artifacts)?;
    let projection = Projection::new(db.clone());
    check_readiness(&common, &artifacts, &projection);
    let app = App::new(&config, &common, db.clone(), artifacts, projection.clone())?;
    let server = server(&config, app).await?;

    let mut tasks = Tasks::new(shutdown);
    tasks.spawn_quiet("catalogue follower", follow(projection, common.bus.clone(), tasks.shutdown()));
    tasks.spawn_quiet("outbox relay", outbox::relay(db, common.bus, common.clock, tasks.shutdown()));
    tasks.spawn("gRPC server", server.serve(grpc, tasks.shutdown()));
    common.readiness.started();
    tasks.run_to_end(config.lifecycle.drain()).await?;
    Ok(())
}

fn check_readiness(common: &platform::Parts, artifacts: &Artifacts, projection: &Projection) {
    let (artifacts, projection) = (artifacts.clone(), projection.clone());
    common.readiness.add("catalogue", move || {
        let loaded = projection.snapshot().is_ok();
        async move { loaded }
    });
    common.readiness.add("artifacts", move || {
        let artifacts = artifacts.clone();
        async move { artifacts.is_reachable().await }
    });
}

async fn server(config: &Config, app: App) -> anyhow::Result<Server> {
    let callers = Callers::new(&config.grpc);
    let catalog = CatalogServer::with_interceptor(CatalogEdge::new(app.clone()), callers.interceptor());
    let admin = CatalogAdminServer::with_interceptor(AdminEdge::new(app), callers.interceptor());
    Ok(Server::new(&config.grpc)?.add(catalog).await.add(admin).await)
}
