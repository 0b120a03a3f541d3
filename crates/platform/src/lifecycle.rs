//! The life of a process: start, serve, drain within a bound, end.

use std::{fmt, time::Duration};

use serde::Deserialize;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::Shutdown;

/// How the process ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LifecycleConfig {
    /// Seconds within which work in flight is finished after SIGTERM.
    pub drain_seconds: u64,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self { drain_seconds: 20 }
    }
}

impl LifecycleConfig {
    /// The bound as a duration.
    #[must_use]
    pub fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }
}

/// Cancelled by the first SIGTERM or SIGINT; a second signal stops the process at once.
pub fn on_signals() -> std::io::Result<Shutdown> {
    let shutdown = Shutdown::new();
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::info!("stopping: finishing what is in flight; a second signal stops at once");
        token.cancel();
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        std::process::exit(130);
    });
    Ok(shutdown)
}

/// A part of the service ended that must not end.
#[derive(Debug, thiserror::Error)]
#[error("{task} ended: {reason}")]
pub struct TaskEnded {
    task: &'static str,
    reason: String,
}

/// The long-lived parts of a service. When one ends before its time, all are asked to end.
pub struct Tasks {
    set: JoinSet<(&'static str, Result<(), String>)>,
    shutdown: Shutdown,
}

impl Tasks {
    /// Parts that end with `shutdown`.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self { set: JoinSet::new(), shutdown }
    }

    /// The token that a part watches to end in time.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Starts a part that can fail.
    pub fn spawn<E: fmt::Display>(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, part.await.map_err(|error| error.to_string())) });
    }

    /// Starts a part that only ends with `shutdown`.
    pub fn spawn_quiet(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(async move {
            part.await;
            (name, Ok(()))
        });
    }

    /// Waits for the end: of the service by `shutdown`, or of a part before its time. Then drains within `bound`.
    pub async fn run_to_end(mut self, bound: Duration) -> Result<(), TaskEnded> {
        let early = tokio::select! {
            // Looked at first: a part that ends at once because it was asked to is not too early.
            biased;
            () = self.shutdown.cancelled() => None,
            // Asked for in the moment between the two looks, on another thread.
            ended = self.set.join_next() => ended.filter(|_| !self.shutdown.is_cancelled()).map(too_early),
        };
        self.shutdown.cancel();
        let drained =
            tokio::time::timeout(bound, async { while self.set.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!(unfinished = self.set.len(), "not everything finished in the drain time");
        }
        early.map_or(Ok(()), Err)
    }
}

fn too_early(ended: Result<(&'static str, Result<(), String>), tokio::task::JoinError>) -> TaskEnded {
    match ended {
        Ok((task, Err(reason))) => TaskEnded { task, reason },
        Ok((task, Ok(()))) => TaskEnded { task, reason: "before it was asked to".to_owned() },
        Err(error) => TaskEnded { task: "a part", reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn when_one_part_fails_the_others_are_asked_to_end_and_the_reason_is_told() {
        let mut tasks = Tasks::new(Shutdown::new());
        let shutdown = tasks.shutdown();
        tasks.spawn_quiet("worker", async move { shutdown.cancelled().await });
        tasks.spawn("server", async { Err::<(), _>("address in use") });
        let error = tasks.run_to_end(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.to_string(), "server ended: address in use");
    }

    #[tokio::test]
    async fn a_part_that_ends_at_once_when_asked_is_not_too_early() {
        for _ in 0..64 {
            let shutdown = Shutdown::new();
            let mut tasks = Tasks::new(shutdown.clone());
            tasks.spawn_quiet("worker", async {});
            tokio::task::yield_now().await;
            shutdown.cancel();
            assert!(tasks.run_to_end(Duration::from_secs(5)).await.is_ok());
        }
    }

    #[tokio::test]
    async fn a_part_that_does_not_drain_is_left_behind() {
        let shutdown = Shutdown::new();
        let mut tasks = Tasks::new(shutdown.clone());
        tasks.spawn_quiet("stuck", std::future::pending());
        shutdown.cancel();
        assert!(tasks.run_to_end(Duration::from_millis(10)).await.is_ok());
    }
}
