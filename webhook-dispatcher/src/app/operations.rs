//! The operator's own endpoint: told of what happens to the others, by the same pipeline as they are.

use platform::{AppError, AppResult, db::Tx, telemetry::TraceContext};
use serde::Serialize;

use super::App;
use crate::{
    config::Operations,
    domain::{
        delivery::State,
        endpoint::Owner,
        event::{DELIVERY_DEAD, ENDPOINT_DISABLED, ENDPOINT_ENABLED, ENDPOINT_VERIFICATION, OPERATIONS},
    },
    sender::{Live, Route},
    store::{delivery, endpoint, message},
};

/// The body of `endpoint-disabled` and of `endpoint-enabled`; its keys are written in this order.
#[derive(Serialize)]
struct EndpointBody<'a> {
    endpoint_id: &'a str,
    kind: &'a str,
    instance_id: Option<&'a str>,
    marketplace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The body of `delivery-dead`; its keys are written in this order.
#[derive(Serialize)]
struct DeadBody<'a> {
    delivery_id: &'a str,
    instance_id: &'a str,
    event: &'a str,
    reason: &'a str,
}

impl App {
    /// Makes the operator's own endpoint as it is configured. Without configuration what waits for it is held.
    pub async fn configure_operations(&self, configured: Option<&Operations>) -> AppResult<()> {
        let (tx, now_ms) = (self.db.begin().await?, self.clock.now_ms());
        let current = endpoint::find_by_owner(&*tx, &Owner::Operator).await?;
        let Some(before) = current else {
            if let Some(operations) = configured {
                let new = self.operators_endpoint(operations, now_ms)?;
                if endpoint::create_operators(&*tx, new.clone()).await? {
                    self.ask_to_verify(&tx, None, &new, now_ms).await?;
                }
            }
            return tx.commit().await;
        };
        let mut after = before.clone();
        if let Some(operations) = configured {
            after.base_url = operations.url.as_str().to_owned();
            after.sealed_secrets = self.seal_secrets(&route(operations))?;
        }
        let moved = after.base_url != before.base_url;
        let standing = before.standing().follow(false, moved).configured(configured.is_some());
        let after = if moved { self.at_new_url(after, now_ms) } else { after };
        let after = self.save(&tx, &before, after.standing_as(standing), now_ms).await?;
        if moved || (before.is_disabled() && !after.is_disabled()) {
            self.ask_to_verify(&tx, Some(&before), &after, now_ms).await?;
        }
        tx.commit().await
    }

    fn operators_endpoint(&self, operations: &Operations, now_ms: i64) -> AppResult<endpoint::Model> {
        let (id, owner) = (self.ids.generate("ep"), Owner::Operator);
        let new = endpoint::Model::new(id, &owner, operations.url.as_str(), now_ms);
        let sealed_secrets = self.seal_secrets(&route(operations))?;
        let verification = self.verification_of(&owner, now_ms);
        Ok(endpoint::Model { sealed_secrets, ..new.verified_as(verification) })
    }

    pub(super) async fn tell_of_endpoint(
        &self,
        tx: &Tx,
        endpoint: &endpoint::Model,
        now_ms: i64,
    ) -> AppResult<()> {
        let event = if endpoint.is_disabled() { ENDPOINT_DISABLED } else { ENDPOINT_ENABLED };
        let body = EndpointBody {
            endpoint_id: &endpoint.id,
            kind: &endpoint.kind,
            instance_id: endpoint.instance_id.as_deref(),
            marketplace_id: endpoint.marketplace_id.as_deref(),
            reason: endpoint.standing().told_reason(),
        };
        // What becomes of the operator's own endpoint is not told to itself.
        if endpoint.owner() == Owner::Operator {
            Ok(())
        } else {
            self.tell_operator(tx, event, &body, now_ms).await
        }
    }

    pub(super) async fn tell_of_death(
        &self,
        tx: &Tx,
        (delivery_id, instance_id, event): (&str, &str, &str),
        reason: &str,
        now_ms: i64,
    ) -> AppResult<()> {
        // Nor what becomes of its deliveries.
        let is_its_own = event == ENDPOINT_VERIFICATION && instance_id.is_empty();
        if is_its_own || OPERATIONS.contains(&event) {
            return Ok(());
        }
        let body = DeadBody { delivery_id, instance_id, event, reason };
        self.tell_operator(tx, DELIVERY_DEAD, &body, now_ms).await
    }

    async fn tell_operator(&self, tx: &Tx, event: &str, body: &impl Serialize, now_ms: i64) -> AppResult<()> {
        if !self.rules.tells_operator {
            return Ok(());
        }
        let Some(endpoint) = endpoint::find_of(&**tx, &Owner::Operator).await? else { return Ok(()) };
        self.keep_event(tx, &endpoint, event, body, now_ms).await?;
        metrics::counter!("webhook_operational_messages_total", "event" => event.to_owned()).increment(1);
        Ok(())
    }

    /// Keeps an event for this endpoint in the transaction of what it tells of; the claimer finds it there.
    pub(super) async fn keep_event(
        &self,
        tx: &Tx,
        endpoint: &endpoint::Model,
        event: &str,
        body: &impl Serialize,
        now_ms: i64,
    ) -> AppResult<()> {
        let body = serde_json::to_vec(body).map_err(AppError::unexpected)?;
        let trace = TraceContext::current();
        let message = message::Model {
            id: self.ids.generate("msg"),
            instance_id: endpoint.instance_id.clone().unwrap_or_default(),
            event: event.to_owned(),
            sealed_body: self.seal_body(&body)?,
            traceparent: trace.traceparent,
            tracestate: trace.tracestate,
            created_at_ms: now_ms,
        };
        let delivery = self.delivery_of(&message, endpoint);
        message::create(&**tx, message).await?;
        Ok(delivery::create(&**tx, delivery).await?)
    }

    fn delivery_of(&self, message: &message::Model, endpoint: &endpoint::Model) -> delivery::Model {
        let now_ms = message.created_at_ms;
        let is_held = endpoint.holds(&message.event);
        let state = if is_held { State::Held } else { State::Pending };
        delivery::Model {
            id: self.ids.generate("dly"),
            message_id: message.id.clone(),
            endpoint_id: endpoint.id.clone(),
            instance_id: message.instance_id.clone(),
            event: message.event.clone(),
            state: state.as_str().to_owned(),
            attempts: 0,
            lease_token: 0,
            failures: 0,
            next_attempt_at_ms: endpoint.health().not_before_ms().max(now_ms),
            lease_until_ms: 0,
            held_since_ms: is_held.then_some(now_ms),
            dead_reason: None,
            created_at_ms: now_ms,
            settled_at_ms: None,
            kind: endpoint.kind.clone(),
            marketplace_id: None,
            installation_id: None,
            serial: None,
            sequence: None,
            give_up_at_ms: None,
        }
    }
}

fn route(operations: &Operations) -> Route {
    let secret = Live { secret: operations.secret.clone(), expires_at_ms: None };
    Route::Operator { url: operations.url.clone(), secrets: vec![secret] }
}
