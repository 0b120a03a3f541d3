//! The shops that federate with this marketplace, their keys, the licences they have bought and the apps they have
//! installed.
//!
//! `payments.v1.order_paid` comes in over the bus and becomes one licence; an installation that a shop asks for is told
//! to its app by the dispatcher, whose `webhooks.v1.callback_settled` says how that ended; questions come in over gRPC;
//! what changes is announced on the bus in the transaction that changes it (contracts.md sections 1, 2, 4, 5 and 7).

mod app;
mod config;
mod consumer;
mod domain;
mod facts;
mod grpc;
mod store;

use platform::{Shutdown, db::Db, inbox, lifecycle::Tasks, outbox, service};
use tokio::net::TcpListener;

use crate::app::App;
pub use crate::{
    config::{Config, LicenseConfig},
    store::migrations::Migrator,
};

/// The service's name in telemetry.
pub const NAME: &str = "license-svc";

/// What the service runs on.
pub struct Parts {
    /// What every service runs on.
    pub common: platform::Parts,
    /// Its store, on a schema that is current.
    pub db: Db,
    /// Where it takes calls.
    pub grpc: TcpListener,
}

/// Binds, opens the store, runs: what the process does.
pub async fn serve(config: Config, common: platform::Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let db = service::open_store::<Config, Migrator>(&config, &common).await?;
    let grpc = service::bind("grpc.listen", config.grpc.listen).await?;
    run(config, Parts { common, db, grpc }, shutdown).await
}

/// Runs on the given parts until `shutdown`.
pub async fn run(config: Config, parts: Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let Parts { common, db, grpc } = parts;
    let app = App::new(&config, &common, db.clone())?;
    let mut tasks = Tasks::new(shutdown);
    let ends = tasks.shutdown();
    tasks.spawn("orders", consumer::orders(&app, &common.bus, ends.clone())?);
    tasks.spawn("callbacks", consumer::callbacks(&app, &common.bus, ends.clone())?);
    tasks.spawn("releases", consumer::releases(&app, &common.bus, ends.clone())?);
    tasks.spawn_quiet("outbox", outbox::relay(db.clone(), common.bus, common.clock.clone(), ends.clone()));
    tasks.spawn_quiet("inbox", inbox::keep_tidy(db, common.clock, ends.clone()));
    tasks.spawn_quiet("measure", app.clone().keep_measuring(ends.clone()));
    tasks.spawn("grpc", grpc::serve(app, config.grpc.clone(), grpc, ends));
    common.readiness.started();
    Ok(tasks.run_to_end(config.lifecycle.drain()).await?)
}
