//! Replays as they are asked for and told.

use platform::{AppError, AppResult};
use proto::webhooks::{self as api, CreateReplayRequest, ListReplaysRequest};

use super::lists::parsed;
use crate::{
    app::ReplayRequest,
    domain::replay::{Rate, UnknownWhich},
    store::replay::{Filter, Model},
};

const LONGEST_KEY: usize = 255;

pub(super) fn request(ask: CreateReplayRequest) -> AppResult<ReplayRequest> {
    let which = ask.which.parse().map_err(|error: UnknownWhich| AppError::invalid(error.to_string()))?;
    let rate = Rate::new(ask.rate_per_second).map_err(|error| AppError::invalid(error.to_string()))?;
    if ask.idempotency_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > LONGEST_KEY) {
        return Err(AppError::invalid("the idempotency key must be 1 to 255 characters"));
    }
    Ok(ReplayRequest {
        endpoint_id: ask.endpoint_id,
        since_ms: ask.since_ms,
        until_ms: ask.until_ms,
        which,
        rate,
        idempotency_key: ask.idempotency_key,
    })
}

pub(super) fn filter(ask: ListReplaysRequest) -> AppResult<Filter> {
    Ok(Filter { state: parsed(ask.state.as_deref())?, endpoint_id: ask.endpoint_id })
}

pub(super) fn message(replay: Model) -> api::Replay {
    let count = i64::unsigned_abs;
    api::Replay {
        replay_id: replay.id,
        state: replay.state,
        which: replay.which,
        endpoint_id: replay.endpoint_id,
        since_ms: replay.since_ms,
        until_ms: replay.until_ms,
        rate_per_second: u32::try_from(replay.rate_per_second).unwrap_or(u32::MAX),
        found: count(replay.found),
        replayed: count(replay.replayed),
        skipped_disabled: count(replay.skipped_disabled),
        skipped_settled: count(replay.skipped_settled),
        skipped_in_flight: count(replay.skipped_in_flight),
        skipped_body_gone: count(replay.skipped_body_gone),
        position: replay.position,
        created_at_ms: replay.created_at_ms,
        finished_at_ms: replay.finished_at_ms,
    }
}
