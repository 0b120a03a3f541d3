//! Tells shops what happened, and hosted apps who installs them: endpoints, messages, deliveries, attempts.
//!
//! The only service that calls strangers' URLs. Deliveries are rows with a lease; the schedule is a pure struct
//! (`domain::schedule`), the sender a pipeline (`sender`).

pub mod app;
pub mod config;
pub mod consumer;
pub mod domain;
pub mod grpc;
pub mod sender;
pub mod store;

use anyhow::Context as _;
pub use config::Config;
use platform::{
    Shutdown,
    db::Db,
    grpc::{Callers, Server},
    inbox,
    lifecycle::Tasks,
    outbox, service,
};
use proto::webhooks::webhooks_server::WebhooksServer;
pub use store::migrations::Migrator;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    app::App,
    grpc::WebhooksEdge,
    sender::{Claimer, Client, Job, Recorder, Worker},
};

/// The service's name, in logs and traces.
pub const NAME: &str = "webhook-dispatcher";

/// What the service runs on.
pub struct Parts {
    /// What every service runs on.
    pub common: platform::Parts,
    /// Its store, whose schema is up to date.
    pub db: Db,
    /// Where operators' calls arrive.
    pub grpc: TcpListener,
}

/// Binds, opens the store, runs: what the process `webhook-dispatcher serve` does.
pub async fn serve(config: Config, common: platform::Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let grpc = service::bind("grpc.listen", config.grpc.listen).await?;
    let db = service::open_store::<Config, Migrator>(&config, &common).await?;
    run(config, Parts { common, db, grpc }, shutdown).await
}

/// Runs on the given parts until `shutdown`.
pub async fn run(config: Config, parts: Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let Parts { common, db, grpc } = parts;
    let (app, jobs) = App::new(&config, &common, db.clone())?;
    let operations = config.operations.endpoint().map_err(anyhow::Error::msg)?;
    app.configure_operations(operations.as_ref()).await?;
    app.waive_verifications().await?;
    let mut tasks = Tasks::new(shutdown);
    let settings = config.delivery.client().context("delivery.extra_roots")?;
    let client = Client::new(&settings, common.clock.clone());
    start_pipeline(&mut tasks, &config, &common, &app, (client, jobs));
    start_consumers(&mut tasks, &common, &app)?;
    let server = Server::new(&config.grpc)?;
    let callers = Callers::new(&config.grpc);
    let edge = WebhooksServer::with_interceptor(WebhooksEdge::new(app.clone()), callers.interceptor());
    tasks.spawn("grpc", server.add(edge).await.serve(grpc, tasks.shutdown()));
    let (bus, clock) = (common.bus.clone(), common.clock.clone());
    tasks.spawn_quiet("outbox", outbox::relay(db.clone(), bus, clock.clone(), tasks.shutdown()));
    tasks.spawn_quiet("inbox", inbox::keep_tidy(db, clock, tasks.shutdown()));
    tasks.spawn_quiet("replays", app.clone().drive_replays(tasks.shutdown()));
    tasks.spawn_quiet("measure", app.clone().keep_measuring(tasks.shutdown()));
    tasks.spawn_quiet("housekeeping", app.keep_tidy(tasks.shutdown()));
    common.readiness.started();
    Ok(tasks.run_to_end(config.lifecycle.drain()).await?)
}

fn start_pipeline(
    tasks: &mut Tasks,
    config: &Config,
    common: &platform::Parts,
    app: &App,
    (client, jobs): (Client, mpsc::Receiver<Job>),
) {
    let (results, finished) = mpsc::channel(2 * app.slots.capacity());
    let delivery = &config.delivery;
    let worker = Worker {
        jobs,
        results,
        slots: app.slots.clone(),
        client,
        longest_attempt: delivery.timeout(),
        validity: delivery.callback_validity(),
        clock: common.clock.clone(),
    };
    let recorder = Recorder { app: app.clone(), results: finished, lease: delivery.lease() };
    let claimer = Claimer::new(app.clone(), common.clock.clone(), delivery.lease());
    tasks.spawn_quiet("worker", worker.run(tasks.shutdown()));
    tasks.spawn_quiet("recorder", recorder.run());
    tasks.spawn_quiet("claimer", claimer.run(tasks.shutdown()));
}

fn start_consumers(tasks: &mut Tasks, common: &platform::Parts, app: &App) -> anyhow::Result<()> {
    tasks.spawn_quiet("directory", app.clone().follow_endpoints(common.bus.clone(), tasks.shutdown()));
    let endpoints = consumer::follow_instances(&common.bus, app.clone(), tasks.shutdown())?;
    let licenses = consumer::tell_licenses(&common.bus, app.clone(), tasks.shutdown())?;
    let apps = consumer::follow_apps(&common.bus, app.clone(), tasks.shutdown())?;
    let callbacks = consumer::request_callbacks(&common.bus, app.clone(), tasks.shutdown())?;
    let changes = consumer::tell_changes(&common.bus, app.clone(), tasks.shutdown())?;
    let releases = consumer::tell_releases(&common.bus, app.clone(), tasks.shutdown())?;
    tasks.spawn("endpoints", ended(endpoints));
    tasks.spawn("licenses", ended(licenses));
    tasks.spawn("changes", ended(changes));
    tasks.spawn("releases", ended(releases));
    tasks.spawn("apps", ended(apps));
    tasks.spawn("callbacks", ended(callbacks));
    Ok(())
}

/// The consumer ends with the service, also when that is dropped.
async fn ended(consumer: JoinHandle<()>) -> anyhow::Result<()> {
    Ok(AbortOnDropHandle::new(consumer).await?)
}
