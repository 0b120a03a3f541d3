//! The marketplace's public REST API (contracts.md section 2), in front of the gRPC services. It owns no tables.

mod app;
mod config;
mod domain;
mod http;

pub use config::{Config, DownloadsConfig, HttpConfig, LimitsConfig, OperatorConfig, PeersConfig};
pub use http::openapi;
use platform::{Shutdown, lifecycle::Tasks, limits::RateLimiter, service};
use tokio::net::TcpListener;

use crate::app::{App, follow};

/// The service's name, in logs and traces.
pub const NAME: &str = "gateway";

/// What the gateway runs on.
pub struct Parts {
    /// What every service runs on.
    pub common: platform::Parts,
    /// Where the REST API is taken.
    pub http: TcpListener,
}

/// Binds and runs: what the process `gateway serve` does.
pub async fn serve(config: Config, common: platform::Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let http = service::bind("http.listen", config.http.listen).await?;
    run(config, Parts { common, http }, shutdown).await
}

/// Runs on the given parts until `shutdown`.
pub async fn run(config: Config, parts: Parts, shutdown: Shutdown) -> anyhow::Result<()> {
    let Parts { common, http } = parts;
    let mut tasks = Tasks::new(shutdown);
    let limiter = limiter(&config, &common, &mut tasks)?;
    let app = App::new(&config, &common, tasks.shutdown())?;
    let changes = common.bus.notices(&follow::SUBJECTS).await?;
    tasks.spawn_quiet("the follower of changes", follow::run(app.clone(), changes, tasks.shutdown()));
    let router = http::router(app, limiter, &config, &common);
    tasks.spawn("the REST server", platform::http::serve(http, router, tasks.shutdown()));
    common.readiness.started();
    tasks.run_to_end(config.lifecycle.drain()).await?;
    Ok(())
}

fn limiter(config: &Config, common: &platform::Parts, tasks: &mut Tasks) -> anyhow::Result<RateLimiter> {
    let Some(redis) = &config.redis else { return Ok(RateLimiter::in_memory(common.clock.clone())) };
    let client = redis::Client::open(redis.url.expose())?;
    let (limiter, agreeing) = RateLimiter::shared(common.clock.clone(), client, tasks.shutdown());
    tasks.spawn_quiet("the sharing of limits", agreeing);
    Ok(limiter)
}
