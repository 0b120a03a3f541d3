//! What the stand-in can be asked to do: look at the state, decide by the rules of `domain`, keep the outcome.

mod events;
mod expiry;
mod sessions;

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::ambient;
use crate::delivery::Sender;
use crate::domain::delivery::RetrySchedule;
use crate::domain::error::ApiError;
use crate::domain::event::Cause;
use crate::domain::params::Params;
use crate::store::{SavedAnswer, State, Store};

pub(crate) use events::NewEvent;
pub(crate) use expiry::expire_until;

/// Stripe forgets idempotency keys after a day (<https://docs.stripe.com/api/idempotent_requests>).
pub(crate) const KEY_LIFETIME: i64 = 24 * 3600;

/// The stand-in.
pub(crate) struct Sim {
    pub(crate) store: Arc<Store>,
    pub(crate) sender: Sender,
    pub(crate) schedule: RetrySchedule,
    pub(crate) public_url: String,
    pub(crate) api_key: String,
    pub(crate) delivery_wanted: Notify,
    pub(crate) expiry_changed: Notify,
}

/// An answer to a call, and the request that got it first where it is a repetition.
pub(crate) struct Answered {
    pub(crate) body: Value,
    pub(crate) replay_of: Option<String>,
}

impl Sim {
    /// Changes the state, and wakes whoever has something to do with it.
    pub(crate) async fn change<R>(
        &self,
        change: impl FnOnce(&mut State) -> Result<R, ApiError>,
    ) -> Result<R, ApiError> {
        let outcome = self.store.change(change).await;
        self.delivery_wanted.notify_one();
        self.expiry_changed.notify_one();
        outcome.unwrap_or_else(|_| Err(ApiError::internal()))
    }

    /// Does the work of a call, or repeats what the call's idempotency key was answered before. As at Stripe a refused
    /// call leaves no trace under its key.
    pub(crate) async fn once(
        &self,
        cause: &Cause,
        path: &str,
        params: &Params,
        work: impl FnOnce(&mut State) -> Result<Value, ApiError>,
    ) -> Result<Answered, ApiError> {
        let call = format!("{path}?{}", params.canonical());
        let now = ambient::now();
        self.change(|state| {
            let Some(key) = &cause.idempotency_key else {
                return Ok(Answered { body: work(state)?, replay_of: None });
            };
            if let Some(saved) = state.answers.get(key).filter(|saved| now - saved.at < KEY_LIFETIME) {
                return replay(saved, &call, key);
            }
            let body = work(state)?;
            let request_id = cause.id.clone().unwrap_or_default();
            state.answers.insert(key.clone(), SavedAnswer { call, request_id, body: body.clone(), at: now });
            Ok(Answered { body, replay_of: None })
        })
        .await
    }
}

fn replay(saved: &SavedAnswer, call: &str, key: &str) -> Result<Answered, ApiError> {
    if saved.call != call {
        return Err(ApiError::idempotency(key));
    }
    Ok(Answered { body: saved.body.clone(), replay_of: Some(saved.request_id.clone()) })
}
