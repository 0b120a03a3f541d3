//! The operator's own endpoint: told of what happens to the others, by the same pipeline as they are.

use platform::{AppError, AppResult, db::Tx, telemetry::TraceContext};
use serde::Serialize;

use super::App;
use crate::{
    config::Operations,
    domain::{
        delivery::State,
        endpoint::Owner,
        event::{DELIVERY_DEAD, ENDPOINT_DISABLED, ENDPOINT_ENABLED, OPERATIONS},
        kind::OPERATOR,
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
                endpoint::create_operators(&*tx, new).await?;
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
        let after = if moved { after.renewed() } else { after }.standing_as(standing);
        self.save(&tx, &before, after, now_ms).await?;
        tx.commit().await
    }

    fn operators_endpoint(&self, operations: &Operations, now_ms: i64) -> AppResult<endpoint::Model> {
        let id = self.ids.generate("ep");
        Ok(endpoint::Model {
            sealed_secrets: self.seal_secrets(&route(operations))?,
            ..endpoint::Model::new(id, &Owner::Operator, operations.url.as_str(), now_ms)
        })
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
        if OPERATIONS.contains(&event) {
            return Ok(());
        }
        let body = DeadBody { delivery_id, instance_id, event, reason };
        self.tell_operator(tx, DELIVERY_DEAD, &body, now_ms).await
    }

    /// Kept in the transaction of what it tells of; the claimer finds it there.
    async fn tell_operator(&self, tx: &Tx, event: &str, body: &impl Serialize, now_ms: i64) -> AppResult<()> {
        if !self.rules.tells_operator {
            return Ok(());
        }
        let Some(endpoint) = endpoint::find_of(&**tx, &Owner::Operator).await? else { return Ok(()) };
        let body = serde_json::to_vec(body).map_err(AppError::unexpected)?;
        let trace = TraceContext::current();
        let message = message::Model {
            id: self.ids.generate("msg"),
            instance_id: String::new(),
            event: event.to_owned(),
            sealed_body: self.seal_body(&body)?,
            traceparent: trace.traceparent,
            tracestate: trace.tracestate,
            created_at_ms: now_ms,
        };
        let delivery = self.operational(&message, &endpoint);
        message::create(&**tx, message).await?;
        delivery::create(&**tx, delivery).await?;
        metrics::counter!("webhook_operational_messages_total", "event" => event.to_owned()).increment(1);
        Ok(())
    }

    fn operational(&self, message: &message::Model, endpoint: &endpoint::Model) -> delivery::Model {
        let now_ms = message.created_at_ms;
        let is_disabled = endpoint.is_disabled();
        let state = if is_disabled { State::Held } else { State::Pending };
        delivery::Model {
            id: self.ids.generate("dly"),
            message_id: message.id.clone(),
            endpoint_id: endpoint.id.clone(),
            instance_id: String::new(),
            event: message.event.clone(),
            state: state.as_str().to_owned(),
            attempts: 0,
            lease_token: 0,
            failures: 0,
            next_attempt_at_ms: endpoint.health().not_before_ms().max(now_ms),
            lease_until_ms: 0,
            held_since_ms: is_disabled.then_some(now_ms),
            dead_reason: None,
            created_at_ms: now_ms,
            settled_at_ms: None,
            kind: OPERATOR.to_owned(),
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
