//! payments-svc: checkout through Stripe, the orders, and what Stripe's events make of them (contracts.md section 6).
//!
//! Refunds, disputes, subscriptions and the reconciler each get their own module in `domain` and `app` beside
//! [`domain::order`]: they are further news about the same order.

mod app;
pub mod config;
pub mod domain;
mod grpc;
mod http;
mod store;
mod stripe;

use std::{sync::Arc, time::Duration};

use platform::{
    Shutdown,
    db::Db,
    grpc::{Callers, Server},
    inbox,
    lifecycle::Tasks,
    outbox,
    sealing::Sealer,
    service,
};
use proto::payments::checkout_server::CheckoutServer;
use tokio::net::TcpListener;

use crate::app::{App, Meters};
pub use crate::{
    config::{Config, HttpConfig, StripeConfig},
    store::migrations::Migrator,
};

/// The service's name.
pub const NAME: &str = "payments-svc";

/// Stripe waits longer than this for an answer; who is slower is told to come again.
const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// What the service runs on.
pub struct Parts {
    /// Clock, randomness, bus, readiness.
    pub common: platform::Parts,
    /// The store, its schema up to date.
    pub db: Db,
    /// Where calls of other services arrive.
    pub grpc: TcpListener,
    /// Where Stripe's events arrive.
    pub http: TcpListener,
}

/// Binds, opens the store, runs: what the process `payments-svc serve` does.
pub async fn serve(config: Config, common: platform::Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let grpc = service::bind("grpc.listen", config.grpc.listen).await?;
    let http = service::bind("http.listen", config.http.listen).await?;
    let db = service::open_store::<Config, Migrator>(&config, &common).await?;
    run(config, Parts { common, db, grpc, http }, shutdown).await
}

/// Runs on the given parts until `shutdown`.
pub async fn run(config: Config, parts: Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let Parts { common, db, grpc, http } = parts;
    let app = build(&config, &common, db.clone())?;
    let tidy = app.clone();
    let router = http::router(app.clone(), config.stripe.webhook_secrets());
    let router = platform::http::public(router, common.ids(), WEBHOOK_TIMEOUT);
    let checkout = CheckoutServer::with_interceptor(
        grpc::CheckoutEdge::new(app),
        Callers::new(&config.grpc).interceptor(),
    );
    let server = Server::new(&config.grpc)?.add(checkout).await;
    let mut tasks = Tasks::new(shutdown);
    let stop = tasks.shutdown();
    tasks.spawn("grpc", server.serve(grpc, stop.clone()));
    tasks.spawn("http", platform::http::serve(http, router, stop.clone()));
    tasks.spawn_quiet("outbox", outbox::relay(db.clone(), common.bus, common.clock.clone(), stop.clone()));
    tasks.spawn_quiet("keys", tidy.keep_tidy(stop.clone()));
    tasks.spawn_quiet("inbox", inbox::keep_tidy(db, common.clock, stop));
    common.readiness.started();
    Ok(tasks.run_to_end(config.lifecycle.drain()).await?)
}

fn build(config: &Config, common: &platform::Parts, db: Db) -> anyhow::Result<App> {
    platform::tls::install_provider();
    Ok(App {
        db,
        clock: common.clock.clone(),
        ids: common.ids(),
        sealer: Sealer::new(&config.sealing, common.random.clone())?,
        bus_sealer: Sealer::new(&config.bus_sealing, common.random.clone())?,
        stripe: stripe::Client::new(&config.stripe)?,
        session: config.stripe.session(),
        meters: Arc::new(Meters::new()),
    })
}
