use platform::{AppError, AppResult};

use super::{App, endpoints::no_endpoint};
use crate::{
    domain::{
        endpoint::Owner,
        settings::{CustomHeaders, Subscription},
    },
    store::endpoint,
};

/// What an operator sets for an endpoint; what is absent stays as it is.
#[derive(Debug, Default)]
pub struct Settings {
    /// The events that it is told.
    pub events: Option<Subscription>,
    /// The headers that go with every request to it.
    pub headers: Option<CustomHeaders>,
    /// How often one process calls it at most; 0: as often as it can.
    pub rate_per_second: Option<u32>,
}

impl App {
    /// Sets what is given.
    pub async fn update_endpoint(&self, id: &str, settings: Settings) -> AppResult<endpoint::Model> {
        let tx = self.db.begin().await?;
        let current = endpoint::find(&*tx, id).await?.ok_or_else(no_endpoint)?;
        may_be_set(&current, &settings)?;
        let now_ms = self.clock.now_ms();
        let changed = endpoint::Model { updated_at_ms: now_ms, ..self.with(current, settings)? };
        endpoint::update(&*tx, &changed).await?;
        self.announce_changed(&*tx, &changed, now_ms).await?;
        tx.commit().await?;
        self.reread_endpoint(&changed.id).await;
        Ok(changed)
    }

    fn with(&self, current: endpoint::Model, settings: Settings) -> AppResult<endpoint::Model> {
        let mut changed = current;
        if let Some(events) = settings.events {
            changed.events = events.to_string();
        }
        if let Some(headers) = settings.headers {
            changed.header_names = headers.names().join(",");
            changed.sealed_headers = self.seal_headers(&headers)?;
        }
        if let Some(rate) = settings.rate_per_second {
            changed.rate_per_second = Some(i64::from(rate)).filter(|rate| *rate > 0);
        }
        Ok(changed)
    }
}

/// Callbacks are made as their contract says (contracts.md section 4): an Install that waits for a rate would run out
/// of its time.
fn may_be_set(endpoint: &endpoint::Model, settings: &Settings) -> AppResult<()> {
    match endpoint.owner() {
        Owner::Operator if settings.events.is_some() => Err(AppError::conflict(
            "the operator's own endpoint is told of everything that there is for it; leave out events",
        )),
        Owner::App(_) => Err(AppError::conflict(
            "a hosted app is called back as its contract says; only a shop's endpoint has settings",
        )),
        Owner::Instance(_) | Owner::Operator => Ok(()),
    }
}
