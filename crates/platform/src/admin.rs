//! The admin port: liveness, readiness, metrics. Not for the public side.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;

use crate::Shutdown;

/// Where the admin port listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// For example `0.0.0.0:9101`.
    pub listen: SocketAddr,
}

type Check = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// What must answer before the process takes requests. The parts of a service add their checks.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Startup>);

#[derive(Default)]
struct Startup {
    checks: Mutex<Vec<(&'static str, Check)>>,
    is_started: AtomicBool,
}

impl Readiness {
    /// Adds a check.
    pub fn add<F>(&self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = bool> + Send + 'static,
    {
        self.lock().push((name, Arc::new(move || Box::pin(check()))));
    }

    /// Says that every part has been started and every check added: before that, nothing is ready.
    pub fn started(&self) {
        self.0.is_started.store(true, Ordering::Release);
    }

    async fn report(&self) -> (bool, Map<String, Value>) {
        let checks = self.lock().clone();
        let answers = checks.iter().map(|(name, check)| async move { (*name, check().await) });
        let answers = futures::future::join_all(answers).await;
        let started = self.0.is_started.load(Ordering::Acquire);
        let ready = started && answers.iter().all(|(_, ready)| *ready);
        (ready, answers.into_iter().map(|(name, ready)| (name.to_owned(), ready.into())).collect())
    }

    /// Whether every check answers yes.
    pub async fn is_ready(&self) -> bool {
        self.report().await.0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(&'static str, Check)>> {
        self.0.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    metrics: PrometheusHandle,
    shutdown: Shutdown,
}

/// Serves `/livez`, `/readyz` and `/metrics` until the process ends: a draining process still tells its state.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    metrics: PrometheusHandle,
    shutdown: Shutdown,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async |State(admin): State<Admin>| admin.metrics.render()))
        .with_state(Admin { readiness, metrics, shutdown });
    axum::serve(listener, router).await
}

async fn ready(State(admin): State<Admin>) -> (StatusCode, Json<Value>) {
    let (ready, checks) = admin.readiness.report().await;
    let draining = admin.shutdown.is_cancelled();
    let status = if ready && !draining { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready && !draining, "draining": draining, "checks": checks })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_ready_before_every_check_was_added() {
        let readiness = Readiness::default();
        readiness.add("bus", async || true);
        assert!(!readiness.is_ready().await, "more checks may come");
        readiness.add("store", async || true);
        readiness.started();
        assert!(readiness.is_ready().await);
        readiness.add("peer", async || false);
        assert!(!readiness.is_ready().await);
    }
}
