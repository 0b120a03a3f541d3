//! Whether NATS is there, and how often it came back.

use std::{sync::Arc, time::Duration};

use async_nats::Event;
use tokio::{sync::watch, time::timeout};

use crate::bus::BusError;

/// The connection as its events tell of it. Clones look at the same one.
#[derive(Clone, Default)]
pub(super) struct Link(Arc<watch::Sender<State>>);

/// What is known of the connection.
#[derive(Clone, Copy, Default)]
struct State {
    is_connected: bool,
    /// Counts the connections.
    epoch: u64,
    /// The last epoch in which the streams were declared.
    declared: u64,
}

impl State {
    fn is_up(&self) -> bool {
        self.is_connected && self.declared == self.epoch
    }
}

impl Link {
    pub(super) fn on(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::info!("connected to NATS");
                self.0.send_modify(|state| {
                    state.is_connected = true;
                    state.epoch += 1;
                });
            }
            Event::Disconnected | Event::Closed => {
                tracing::warn!("the connection to NATS is lost");
                self.0.send_modify(|state| state.is_connected = false);
            }
            // The text of an error may name the server's address, never a credential.
            other => tracing::warn!(event = %other, "NATS"),
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.0.borrow().is_up()
    }

    pub(super) fn declared(&self, epoch: u64) {
        self.0.send_modify(|state| state.declared = epoch);
    }

    /// Waits until it is connected and the streams are declared; the epoch that it is in.
    pub(super) async fn up(&self) -> u64 {
        self.wait(State::is_up).await
    }

    pub(super) async fn until_up(&self, at_most: Duration) -> Result<u64, BusError> {
        let up = timeout(at_most, self.up()).await;
        up.map_err(|_| BusError::Unavailable("NATS does not answer".into()))
    }

    /// Waits for a connection whose streams have not been declared.
    pub(super) async fn fresh(&self) -> u64 {
        self.wait(|state| state.is_connected && state.declared != state.epoch).await
    }

    /// Waits until the connection of that epoch has been replaced by another.
    pub(super) async fn reconnected_since(&self, epoch: u64) {
        self.wait(|state| state.epoch != epoch).await;
    }

    async fn wait(&self, until: impl Fn(&State) -> bool) -> u64 {
        let mut states = self.0.subscribe();
        // The sender lives in self, so that waiting ends only by what is waited for.
        states.wait_for(|state| until(state)).await.map_or(0, |state| state.epoch)
    }
}
