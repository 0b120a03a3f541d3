use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use platform::AppResult;
use proto::webhooks as grpc;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::stretch;
use crate::{
    app::answer,
    http::{
        Edge,
        auth::Operator,
        reply::{ErrorBody, time},
        strict::{self, PathOf, Query},
    },
};

/// What is to be sent again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct ReplayRequest {
    /// All endpoints without it.
    endpoint_id: Option<String>,
    /// Of events that happened from this time, such as `2026-01-31T12:00:00Z`.
    since: String,
    /// Of events that happened before this time; no later than now, and now without it.
    until: Option<String>,
    /// `failed` (the dead ones, and so when nothing is said) or `all`: receivers know what they have by the delivery id.
    which: Option<String>,
    /// From 1 to 1000; 50 when nothing is said.
    rate_per_second: Option<u32>,
}

/// Which replays.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ReplaysQuery {
    limit: Option<u32>,
    offset: Option<u32>,
    /// The `next` of an earlier answer.
    after: Option<String>,
    /// `running`, `done` or `cancelled`.
    state: Option<String>,
    endpoint_id: Option<String>,
}

/// A job that sends deliveries again, each at most once.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Replay {
    /// `rpl_…`
    id: String,
    /// `running`, `done` or `cancelled`.
    state: String,
    /// `failed` or `all`.
    which: String,
    /// Null: all endpoints.
    endpoint_id: Option<String>,
    since: String,
    until: String,
    rate_per_second: u32,
    /// Looked at so far.
    found: u64,
    /// Set to be sent again so far; what comes of them, `GET /admin/deliveries` tells.
    replayed: u64,
    /// Left as they are so far.
    skipped: u64,
    skipped_by_reason: Skipped,
    /// The last delivery that was looked at.
    position: Option<String>,
    created_at: String,
    finished_at: Option<String>,
}

/// Why deliveries were left as they are.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Skipped {
    /// Its endpoint is disabled; what is held for it goes on when it is enabled.
    endpoint_disabled: u64,
    /// A callback to a hosted app whose ending was told and acted upon.
    callback_settled: u64,
    /// An attempt of it was under way.
    in_flight: u64,
    /// What it says is no longer kept.
    body_gone: u64,
}

/// A stretch of the replays.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Replays {
    replays: Vec<Replay>,
    count: u32,
    /// False: there are more than were looked at.
    count_is_exact: bool,
    limit: u32,
    offset: u32,
    /// The `after` of what follows; null: nothing does.
    next: Option<String>,
}

impl From<grpc::Replay> for Replay {
    fn from(replay: grpc::Replay) -> Self {
        let skipped = Skipped {
            endpoint_disabled: replay.skipped_disabled,
            callback_settled: replay.skipped_settled,
            in_flight: replay.skipped_in_flight,
            body_gone: replay.skipped_body_gone,
        };
        Self {
            id: replay.replay_id,
            state: replay.state,
            which: replay.which,
            endpoint_id: replay.endpoint_id,
            since: time(replay.since_ms),
            until: time(replay.until_ms),
            rate_per_second: replay.rate_per_second,
            found: replay.found,
            replayed: replay.replayed,
            skipped: skipped.endpoint_disabled
                + skipped.callback_settled
                + skipped.in_flight
                + skipped.body_gone,
            skipped_by_reason: skipped,
            position: replay.position,
            created_at: time(replay.created_at_ms),
            finished_at: replay.finished_at_ms.map(time),
        }
    }
}

/// Sends many deliveries again, by a job that survives whatever ends. The same `Idempotency-Key`, or the same request while
/// its job runs, is answered with the same job.
#[utoipa::path(
    post, path = "/admin/replays", tag = "operator", request_body = ReplayRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "At most 255 characters, kept as long as the replay")),
    security(("admin_key" = [])),
    responses((status = 202, body = Replay), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn create(
    State(edge): State<Edge>,
    operator: Operator,
    headers: HeaderMap,
    strict::Json(body): strict::Json<ReplayRequest>,
) -> AppResult<(StatusCode, Json<Replay>)> {
    let request = grpc::CreateReplayRequest {
        endpoint_id: stretch::id_said("endpoint_id", body.endpoint_id, "ep")?,
        since_ms: stretch::when("since", &body.since)?,
        until_ms: stretch::when_said("until", body.until.as_deref())?,
        which: body.which.unwrap_or_else(|| "failed".to_owned()),
        rate_per_second: body.rate_per_second,
        idempotency_key: strict::idempotency_key(&headers)?,
    };
    let services = &edge.app.services;
    let replay = answer(services.webhooks().create_replay(services.request(&operator.0, request)?).await)?;
    Ok((StatusCode::ACCEPTED, Json(replay.into())))
}

/// Lists replays, newest first.
#[utoipa::path(
    get, path = "/admin/replays", tag = "operator", params(ReplaysQuery), security(("admin_key" = [])),
    responses((status = 200, body = Replays), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<ReplaysQuery>,
) -> AppResult<Json<Replays>> {
    let page = super::page(query.limit, query.offset)?;
    let request = grpc::ListReplaysRequest {
        limit: page.limit,
        offset: page.offset,
        after: query.after,
        state: query.state,
        endpoint_id: stretch::id_said("endpoint_id", query.endpoint_id, "ep")?,
    };
    let services = &edge.app.services;
    let found = answer(services.webhooks().list_replays(services.request(&operator.0, request)?).await)?;
    let replays = found.replays.into_iter().map(Replay::from).collect();
    let (next, count_is_exact) = stretch::told(found.stretch);
    let (count, limit, offset) = (found.count, page.limit, page.offset);
    Ok(Json(Replays { replays, count, count_is_exact, limit, offset, next }))
}

/// One replay, and how far it has come.
#[utoipa::path(
    get, path = "/admin/replays/{id}", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = Replay), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn get(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<Replay>> {
    let request = grpc::GetReplayRequest { replay_id: super::require_id(id, "rpl")? };
    let services = &edge.app.services;
    let replay = answer(services.webhooks().get_replay(services.request(&operator.0, request)?).await)?;
    Ok(Json(replay.into()))
}

/// Ends a replay where it stands: what was sent again stays so.
#[utoipa::path(
    post, path = "/admin/replays/{id}/cancel", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = Replay), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn cancel(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<Replay>> {
    let request = grpc::CancelReplayRequest { replay_id: super::require_id(id, "rpl")? };
    let services = &edge.app.services;
    let replay = answer(services.webhooks().cancel_replay(services.request(&operator.0, request)?).await)?;
    Ok(Json(replay.into()))
}
