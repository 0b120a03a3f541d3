use axum::{Json, extract::State};
use platform::AppResult;
use proto::webhooks as grpc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{deliveries::Attempt, stretch};
use crate::{
    app::answer,
    http::{Edge, auth::Operator, reply::ErrorBody, strict::Query},
};

/// Which attempts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct AttemptsQuery {
    limit: Option<u32>,
    /// The `next` of an earlier answer.
    after: Option<String>,
    endpoint_id: Option<String>,
    instance_id: Option<String>,
    event: Option<String>,
    /// `success`, or what failed: `timeout`, `refused`, `server_error` and so on.
    outcome: Option<String>,
    /// For events that happened from this time, such as `2026-01-31T12:00:00Z`.
    since: Option<String>,
    /// For events that happened before this time.
    until: Option<String>,
}

/// One HTTP request, and what it was made for.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ListedAttempt {
    delivery_id: String,
    endpoint_id: String,
    instance_id: String,
    event: String,
    #[serde(flatten)]
    attempt: Attempt,
}

/// A stretch of the attempts.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Attempts {
    attempts: Vec<ListedAttempt>,
    /// Of the newest 1000 deliveries that were looked at.
    count: u32,
    /// False: there are more than were looked at.
    count_is_exact: bool,
    limit: u32,
    offset: u32,
    /// The `after` of what follows; null: nothing does. It may be there though fewer came than were asked for.
    next: Option<String>,
}

impl From<grpc::ListedAttempt> for ListedAttempt {
    fn from(listed: grpc::ListedAttempt) -> Self {
        Self {
            delivery_id: listed.delivery_id,
            endpoint_id: listed.endpoint_id,
            instance_id: listed.instance_id,
            event: listed.event,
            attempt: listed.attempt.unwrap_or_default().into(),
        }
    }
}

/// Lists attempts: those of the newest event first, and of one delivery the last one first.
#[utoipa::path(
    get, path = "/admin/attempts", tag = "operator", params(AttemptsQuery), security(("admin_key" = [])),
    responses((status = 200, body = Attempts), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<AttemptsQuery>,
) -> AppResult<Json<Attempts>> {
    let page = super::page(query.limit, None)?;
    let request = grpc::ListAttemptsRequest {
        limit: page.limit,
        after: query.after,
        endpoint_id: stretch::id_said("endpoint_id", query.endpoint_id, "ep")?,
        instance_id: query.instance_id,
        event: query.event,
        outcome: query.outcome,
        since_ms: stretch::when_said("since", query.since.as_deref())?,
        until_ms: stretch::when_said("until", query.until.as_deref())?,
    };
    let services = &edge.app.services;
    let found = answer(services.webhooks().list_attempts(services.request(&operator.0, request)?).await)?;
    let attempts = found.attempts.into_iter().map(ListedAttempt::from).collect();
    let (next, count_is_exact) = stretch::told(found.stretch);
    let (count, limit, offset) = (found.count, page.limit, page.offset);
    Ok(Json(Attempts { attempts, count, count_is_exact, limit, offset, next }))
}
