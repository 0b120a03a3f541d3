use axum::{Json, extract::State};
use platform::AppResult;
use proto::webhooks as grpc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{deliveries::Delivery, stretch};
use crate::{
    app::answer,
    http::{
        Edge,
        auth::Operator,
        reply::{ErrorBody, time},
        strict::{PathOf, Query},
    },
};

/// Which messages.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct MessagesQuery {
    limit: Option<u32>,
    /// At most 10000.
    offset: Option<u32>,
    /// The `next` of an earlier answer.
    after: Option<String>,
    instance_id: Option<String>,
    event: Option<String>,
    /// Of events that happened from this time, such as `2026-01-31T12:00:00Z`.
    since: Option<String>,
    /// Of events that happened before this time.
    until: Option<String>,
}

/// One event to be told. What it says is never shown: it holds keys and an e-mail.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Message {
    id: String,
    instance_id: String,
    event: String,
    created_at: String,
    /// Whether what it says is still kept: without it nothing can be sent again.
    has_body: bool,
}

/// A stretch of the messages.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Messages {
    messages: Vec<Message>,
    /// Of the newest that were looked at: 10000 at most.
    count: u32,
    /// False: there are more than were looked at.
    count_is_exact: bool,
    limit: u32,
    offset: u32,
    /// The `after` of what follows; null: nothing does.
    next: Option<String>,
}

/// A message with its deliveries.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct MessageDetail {
    #[serde(flatten)]
    message: Message,
    /// The newest hundred.
    deliveries: Vec<Delivery>,
    deliveries_count: u32,
    /// The `after` with which `GET /admin/deliveries?message_id=…` goes on; null: these are all.
    deliveries_next: Option<String>,
}

impl From<grpc::Message> for Message {
    fn from(message: grpc::Message) -> Self {
        Self {
            id: message.message_id,
            instance_id: message.instance_id,
            event: message.event,
            created_at: time(message.created_at_ms),
            has_body: message.has_body,
        }
    }
}

/// Lists messages, newest first.
#[utoipa::path(
    get, path = "/admin/messages", tag = "operator", params(MessagesQuery), security(("admin_key" = [])),
    responses((status = 200, body = Messages), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<MessagesQuery>,
) -> AppResult<Json<Messages>> {
    let page = super::page(query.limit, query.offset)?;
    let request = grpc::ListMessagesRequest {
        limit: page.limit,
        offset: page.offset,
        after: query.after,
        instance_id: query.instance_id,
        event: query.event,
        since_ms: stretch::when_said("since", query.since.as_deref())?,
        until_ms: stretch::when_said("until", query.until.as_deref())?,
    };
    let services = &edge.app.services;
    let found = answer(services.webhooks().list_messages(services.request(&operator.0, request)?).await)?;
    let messages = found.messages.into_iter().map(Message::from).collect();
    let (next, count_is_exact) = stretch::told(found.stretch);
    let (count, limit, offset) = (found.count, page.limit, page.offset);
    Ok(Json(Messages { messages, count, count_is_exact, limit, offset, next }))
}

/// One message with the newest of its deliveries.
#[utoipa::path(
    get, path = "/admin/messages/{id}", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = MessageDetail), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn get(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<MessageDetail>> {
    let request = grpc::GetMessageRequest { message_id: super::require_id(id, "msg")? };
    let services = &edge.app.services;
    let found = answer(services.webhooks().get_message(services.request(&operator.0, request)?).await)?;
    Ok(Json(MessageDetail {
        message: found.message.unwrap_or_default().into(),
        deliveries: found.deliveries.into_iter().map(Delivery::from).collect(),
        deliveries_count: found.count,
        deliveries_next: stretch::told(found.stretch).0,
    }))
}
