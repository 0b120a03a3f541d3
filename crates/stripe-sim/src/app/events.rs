//! Events: announce, list, send again.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::Sim;
use crate::ambient;
use crate::delivery::send_at_once;
use crate::domain::delivery::{Answer, Delivery, Endpoint};
use crate::domain::error::ApiError;
use crate::domain::event::{Cause, Event, Filter};
use crate::domain::page::{self, Paging};
use crate::domain::params::Params;
use crate::store::State;

const EVENTS: &str = "/v1/events";

/// An event that a test makes up.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewEvent {
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Its object.
    pub(crate) data: NewData,
    /// Its id; a new one where none is given.
    pub(crate) id: Option<String>,
    /// Its Unix time; now where none is given.
    pub(crate) created: Option<i64>,
}

/// The `data` of an event.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewData {
    /// Whatever the event is about.
    pub(crate) object: Value,
}

/// Adds an event, and a delivery for each endpoint that takes it.
pub(super) fn announce(state: &mut State, kind: &str, object: Value, cause: &Cause) -> Event {
    let new = NewEvent { kind: kind.into(), data: NewData { object }, id: None, created: None };
    add(state, new, cause)
}

fn add(state: &mut State, new: NewEvent, cause: &Cause) -> Event {
    let takers: Vec<Endpoint> =
        state.endpoints.iter().filter(|endpoint| endpoint.takes(&new.kind)).cloned().collect();
    let event = Event {
        id: new.id.unwrap_or_else(|| ambient::id("evt_1")),
        kind: new.kind,
        created: new.created.unwrap_or_else(ambient::now),
        object: new.data.object,
        cause: cause.clone(),
        undelivered: takers.iter().map(|endpoint| endpoint.id.clone()).collect(),
    };
    for endpoint in &takers {
        state.put_delivery(delivery(&event, endpoint));
    }
    state.events.put(event.clone());
    event
}

fn delivery(event: &Event, endpoint: &Endpoint) -> Delivery {
    Delivery::new(
        ambient::id("dlv_"),
        event.id.clone(),
        event.kind.clone(),
        endpoint.id.clone(),
        ambient::now_ms(),
    )
}

impl Sim {
    /// Events as the API lists them.
    pub(crate) fn list_events(&self, mut params: Params) -> Result<Value, ApiError> {
        let paging = Paging::parse(&mut params)?;
        let filter = Filter::parse(&mut params)?;
        params.finish()?;
        self.store.read(|state| {
            let events = &state.events;
            let page = paging.cut(events.rows(), |id| events.position(id), |event| filter.takes(event))?;
            let data: Vec<Value> = page.items.into_iter().map(Event::body).collect();
            Ok(page::list(EVENTS, &data, page.has_more))
        })
    }

    /// The event of this id.
    pub(crate) fn get_event(&self, id: &str) -> Result<Event, ApiError> {
        self.store.read(|state| get_event(state, id).cloned())
    }

    /// Announces an event that a test made up.
    pub(crate) async fn create_event(&self, new: NewEvent) -> Result<Event, ApiError> {
        self.change(|state| match new.id.as_deref().and_then(|id| state.events.find(id)) {
            Some(_) => {
                Err(ApiError::invalid("There is an event of this id: use /sim/events/{id}/redeliver")
                    .at("id"))
            }
            None => Ok(add(state, new, &Cause::default())),
        })
        .await
    }

    /// Sends an event again to each endpoint that takes its type, with retries of its own.
    pub(crate) async fn redeliver(&self, id: &str) -> Result<Vec<Delivery>, ApiError> {
        self.change(|state| {
            let deliveries = deliveries_of(state, id)?;
            for delivery in &deliveries {
                state.put_delivery(delivery.clone());
            }
            Ok(deliveries)
        })
        .await
    }

    /// Sends an event this many times at once to each endpoint that takes its type, without retries.
    pub(crate) async fn deliver_at_once(
        self: &Arc<Self>,
        id: &str,
        times: usize,
    ) -> Result<Vec<(Delivery, Answer)>, ApiError> {
        let copies = self
            .store
            .read(|state| (0..times).map(|_| deliveries_of(state, id)).collect::<Result<Vec<_>, _>>())?;
        Ok(send_at_once(self, copies.into_iter().flatten().collect()).await)
    }

    /// Signs and sends these bytes to every endpoint, and keeps no record.
    pub(crate) async fn send_raw(&self, body: &[u8]) -> Vec<(String, Answer)> {
        let mut answers = Vec::new();
        for endpoint in self.store.read(|state| state.endpoints.clone()) {
            answers.push((endpoint.id.clone(), self.sender.send(&endpoint, body.to_vec()).await));
        }
        answers
    }

    /// Holds deliveries back, or lets them go.
    pub(crate) async fn pause(&self, paused: bool) -> Result<(), ApiError> {
        self.change(|state| {
            state.paused = paused;
            Ok(())
        })
        .await
    }

    /// Adds an endpoint for the events from now on.
    pub(crate) async fn add_endpoint(&self, endpoint: Endpoint) -> Result<Endpoint, ApiError> {
        self.change(|state| {
            state.endpoints.push(endpoint.clone());
            Ok(endpoint)
        })
        .await
    }

    /// Removes an endpoint; what was pending for it is given up.
    pub(crate) async fn remove_endpoint(&self, id: &str) -> Result<(), ApiError> {
        self.change(|state| {
            let place = state.endpoints.iter().position(|endpoint| endpoint.id == id);
            let place = place.ok_or_else(|| ApiError::no_such("webhook_endpoint", id, "id"))?;
            state.endpoints.remove(place);
            Ok(())
        })
        .await
    }
}

fn get_event<'a>(state: &'a State, id: &str) -> Result<&'a Event, ApiError> {
    state.events.find(id).ok_or_else(|| ApiError::no_such("event", id, "id"))
}

fn deliveries_of(state: &State, id: &str) -> Result<Vec<Delivery>, ApiError> {
    let event = get_event(state, id)?;
    Ok(state
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.takes(&event.kind))
        .map(|endpoint| delivery(event, endpoint))
        .collect())
}
