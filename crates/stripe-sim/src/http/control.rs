//! What a test or a demo asks of the stand-in that nobody can ask of Stripe.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::indented;
use crate::WebhookEndpoint;
use crate::app::{NewEvent, Sim};
use crate::domain::delivery::{Answer, Delivery, Endpoint, Status};
use crate::domain::error::ApiError;
use crate::domain::event::Cause;
use crate::domain::objects;
use crate::domain::params::Params;
use crate::domain::session::Act;

type Reply = Result<Response, ApiError>;

const MAX_COPIES: usize = 100;

pub(super) fn router() -> Router<Arc<Sim>> {
    Router::new()
        .route("/", get(guide))
        .route("/sessions/{id}/{act}", post(act))
        .route("/events", post(create_event))
        .route("/events/{id}/redeliver", post(redeliver))
        .route("/events/{id}/deliver", post(deliver))
        .route("/send", post(send))
        .route("/delivery/pause", post(async |State(sim): State<Arc<Sim>>| pause(&sim, true).await))
        .route("/delivery/resume", post(async |State(sim): State<Arc<Sim>>| pause(&sim, false).await))
        .route("/deliveries", get(list_deliveries))
        .route("/endpoints", get(list_endpoints).post(create_endpoint))
        .route("/endpoints/{id}", delete(delete_endpoint))
}

/// What can be asked.
pub(super) async fn guide() -> &'static str {
    include_str!("control.txt")
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundBody {
    amount: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DisputeBody {
    reason: Option<String>,
    inquiry: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseBody {
    status: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeliverBody {
    times: Option<usize>,
}

async fn act(State(sim): State<Arc<Sim>>, Path((id, name)): Path<(String, String)>, body: Bytes) -> Reply {
    let session = sim.act(&id, act_of(&name, &body)?, &Cause::default()).await?;
    Ok(ok(&objects::session(&session)))
}

fn act_of(name: &str, body: &Bytes) -> Result<Act, ApiError> {
    match name {
        "pay" => Ok(Act::Pay),
        "decline" => Ok(Act::Decline),
        "pay_later" => Ok(Act::PayLater),
        "settle" => Ok(Act::Settle),
        "fail" => Ok(Act::Fail),
        "expire" => Ok(Act::Expire),
        "refund" => Ok(Act::Refund(json_or_default::<RefundBody>(body)?.amount)),
        "dispute" => dispute(json_or_default(body)?),
        "close_dispute" => close_dispute(json_or_default(body)?),
        _ => Err(ApiError::invalid(
            "A session can pay, decline, pay_later, settle, fail, expire, refund, dispute, close_dispute.",
        )
        .with_status(404)),
    }
}

fn dispute(body: DisputeBody) -> Result<Act, ApiError> {
    let reason = body.reason.unwrap_or_else(|| "fraudulent".into());
    let known = reason.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') && !reason.is_empty();
    if !known {
        return Err(ApiError::invalid("A reason is one of Stripe's words, such as fraudulent.").at("reason"));
    }
    Ok(Act::Dispute { reason, inquiry: body.inquiry })
}

fn close_dispute(body: CloseBody) -> Result<Act, ApiError> {
    let status = body.status.ok_or_else(|| ApiError::missing("status"))?;
    match status.as_str() {
        "won" | "lost" | "warning_closed" => Ok(Act::CloseDispute(status)),
        _ => {
            Err(ApiError::invalid("Invalid status: must be one of won, lost, or warning_closed").at("status"))
        }
    }
}

async fn create_event(State(sim): State<Arc<Sim>>, body: Bytes) -> Reply {
    let event = sim.create_event(json::<NewEvent>(&body)?).await?;
    Ok(ok(&event.body()))
}

async fn redeliver(State(sim): State<Arc<Sim>>, Path(id): Path<String>) -> Reply {
    let deliveries = sim.redeliver(&id).await?;
    Ok(indented(StatusCode::ACCEPTED, &json!({ "deliveries": deliveries })))
}

async fn deliver(State(sim): State<Arc<Sim>>, Path(id): Path<String>, body: Bytes) -> Reply {
    let times = json_or_default::<DeliverBody>(&body)?.times.unwrap_or(1);
    if !(1..=MAX_COPIES).contains(&times) {
        return Err(
            ApiError::invalid("An event can be delivered between 1 and 100 times at once.").at("times")
        );
    }
    let sent = sim.deliver_at_once(&id, times).await?;
    let answers: Vec<Value> =
        sent.iter().map(|(delivery, answer)| answer_of(&delivery.endpoint, *answer)).collect();
    Ok(ok(&json!({ "answers": answers })))
}

async fn send(State(sim): State<Arc<Sim>>, body: Bytes) -> Reply {
    let sent = sim.send_raw(&body).await;
    let answers: Vec<Value> = sent.iter().map(|(endpoint, answer)| answer_of(endpoint, *answer)).collect();
    Ok(ok(&json!({ "answers": answers })))
}

fn answer_of(endpoint: &str, answer: Answer) -> Value {
    let status = match answer {
        Answer::Status(status) => Some(status),
        Answer::TimedOut | Answer::Unreachable => None,
    };
    json!({ "endpoint": endpoint, "status": status, "answer": answer.describe() })
}

async fn pause(sim: &Sim, paused: bool) -> Reply {
    sim.pause(paused).await?;
    Ok(ok(&json!({ "paused": paused })))
}

async fn list_deliveries(State(sim): State<Arc<Sim>>, RawQuery(query): RawQuery) -> Reply {
    let mut params = Params::parse(query.unwrap_or_default().as_bytes())?;
    let event = params.text("event")?;
    let status = params.choice("status", &["pending", "succeeded", "failed"])?.map(|name| match name {
        "pending" => Status::Pending,
        "succeeded" => Status::Succeeded,
        _ => Status::Failed,
    });
    params.finish()?;
    let wanted = |delivery: &&Delivery| {
        event.as_ref().is_none_or(|event| *event == delivery.event)
            && status.is_none_or(|status| status == delivery.status)
    };
    let (paused, found) = sim.store.read(|state| {
        let found: Vec<Delivery> = state.deliveries.rows().iter().rev().filter(wanted).cloned().collect();
        (state.paused, found)
    });
    Ok(ok(&json!({ "deliveries": found, "paused": paused })))
}

/// Without the secrets, which are shown once, where an endpoint is created.
async fn list_endpoints(State(sim): State<Arc<Sim>>) -> Reply {
    let shown = |endpoint: &Endpoint| json!({ "id": endpoint.id, "url": endpoint.url, "enabled_events": endpoint.enabled_events });
    let endpoints: Vec<Value> = sim.store.read(|state| state.endpoints.iter().map(shown).collect());
    Ok(ok(&json!({ "endpoints": endpoints })))
}

async fn create_endpoint(State(sim): State<Arc<Sim>>, body: Bytes) -> Reply {
    let endpoint =
        json::<WebhookEndpoint>(&body)?.checked().map_err(|error| ApiError::invalid(error.to_string()))?;
    let endpoint = sim.add_endpoint(endpoint.with_id(crate::ambient::id("we_"))).await?;
    Ok(indented(StatusCode::CREATED, &json!(endpoint)))
}

async fn delete_endpoint(State(sim): State<Arc<Sim>>, Path(id): Path<String>) -> Reply {
    sim.remove_endpoint(&id).await?;
    Ok(ok(&json!({ "id": id, "deleted": true })))
}

fn ok(body: &Value) -> Response {
    indented(StatusCode::OK, body)
}

fn json_or_default<T: DeserializeOwned + Default>(body: &Bytes) -> Result<T, ApiError> {
    if body.is_empty() { Ok(T::default()) } else { json(body) }
}

fn json<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    Json::<T>::from_bytes(body).map(|Json(value)| value).map_err(|error| ApiError::invalid(error.body_text()))
}
