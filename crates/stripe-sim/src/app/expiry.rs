//! Ends sessions whose time is up.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Sim;
use crate::ambient;
use crate::domain::event::Cause;
use crate::domain::session::Act;
use crate::store::State;

/// Expires sessions when their time comes, until told to stop.
pub(crate) async fn expire_until(sim: Arc<Sim>, stop: CancellationToken) {
    loop {
        expire_due(&sim).await;
        let wait = sim.store.read(State::next_expiry).map(|at| at - ambient::now());
        tokio::select! {
            () = stop.cancelled() => return,
            () = sim.expiry_changed.notified() => {}
            () = sleep(wait) => {}
        }
    }
}

async fn expire_due(sim: &Sim) {
    while let Some(id) = sim.store.read(|state| state.find_expired(ambient::now())) {
        if let Err(error) = sim.act(&id, Act::Expire, &Cause::default()).await {
            tracing::warn!(%error, "a session could not be expired");
            return;
        }
    }
}

async fn sleep(seconds: Option<i64>) {
    match seconds {
        // At least a second, so that a state that cannot be saved is not tried in a circle.
        Some(seconds) => {
            tokio::time::sleep(Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))).await;
        }
        None => std::future::pending().await,
    }
}
