use std::collections::BTreeMap;

use axum::{Json, extract::State};
use platform::{AppResult, Principal};
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

/// Which endpoints.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct EndpointsQuery {
    limit: Option<u32>,
    offset: Option<u32>,
    /// The `next` of an earlier answer.
    after: Option<String>,
    instance_id: Option<String>,
    /// `webhook` (a shop's) or `callback` (a hosted app's).
    kind: Option<String>,
    marketplace_id: Option<String>,
}

/// What becomes of the deliveries that were held.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum Backlog {
    /// They are sent.
    #[default]
    Keep,
    /// They are given up, and are dead letters.
    Drop,
}

/// How an endpoint is enabled.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct BacklogQuery {
    /// `keep` (when nothing is said): what was held is sent; `drop`: it is given up.
    backlog: Option<Backlog>,
}

/// What is set; what is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct EndpointSettings {
    /// All events that it is to be told: some of `license-issued`, `license-revoked`, `license-suspended`,
    /// `license-reinstated`, `release-published`, `installation-changed`.
    events: Option<Vec<String>>,
    /// All headers that are to go with every request, at most 16.
    headers: Option<BTreeMap<String, String>>,
    /// How often each dispatcher may call it in a second; 0 takes the bound away.
    rate_per_second: Option<u32>,
}

/// Where a shop or a hosted app is told.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Endpoint {
    id: String,
    /// `webhook` (a shop's), `callback` (a hosted app's) or `operator` (the operator's own).
    kind: String,
    /// Null for a hosted app's.
    instance_id: Option<String>,
    /// Null for a shop's.
    marketplace_id: Option<String>,
    base_url: String,
    /// `active`, `throttled` (it asked to be left alone, or its circuit is not closed), `unverified` (it has not taken its
    /// `endpoint-verification` yet, and everything else is held) or `disabled`.
    state: String,
    disabled: bool,
    /// `operator`, `gone` (it answered 410), `failing` (days of nothing but failure), `instance` or `unconfigured`.
    disabled_reason: Option<String>,
    /// Since then its verification is waited for.
    unverified_since: Option<String>,
    /// When it took its verification, at this URL; null: it was not asked to, or has not.
    verified_at: Option<String>,
    /// It asked to be left alone until then.
    throttled_until: Option<String>,
    /// Since then every attempt has failed.
    failing_since: Option<String>,
    /// `closed`, `open` (nothing is sent) or `half_open` (one delivery probes).
    circuit: String,
    circuit_until: Option<String>,
    /// The events that it is told; of a hosted app's the operations.
    events: Vec<String>,
    /// The names of the headers that go with every request; their values are never told.
    header_names: Vec<String>,
    /// How often each dispatcher calls it in a second at most; null: as often as it can.
    rate_per_second: Option<u32>,
    created_at: String,
}

/// A stretch of the endpoints.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Endpoints {
    endpoints: Vec<Endpoint>,
    /// Of the newest that were looked at: 10000 at most.
    count: u32,
    /// False: there are more than were looked at.
    count_is_exact: bool,
    limit: u32,
    offset: u32,
    /// The `after` of what follows; null: nothing does.
    next: Option<String>,
}

impl From<grpc::Endpoint> for Endpoint {
    fn from(endpoint: grpc::Endpoint) -> Self {
        Self {
            id: endpoint.endpoint_id,
            kind: endpoint.kind,
            instance_id: Some(endpoint.instance_id).filter(|id| !id.is_empty()),
            marketplace_id: endpoint.marketplace_id,
            base_url: endpoint.base_url,
            state: endpoint.state,
            disabled: endpoint.disabled,
            unverified_since: endpoint.unverified_since_ms.map(time),
            verified_at: endpoint.verified_at_ms.map(time),
            throttled_until: endpoint.throttled_until_ms.map(time),
            failing_since: endpoint.failing_since_ms.map(time),
            circuit: endpoint.circuit,
            circuit_until: endpoint.circuit_until_ms.map(time),
            disabled_reason: endpoint.disabled_reason,
            events: endpoint.events,
            header_names: endpoint.header_names,
            rate_per_second: endpoint.rate_per_second,
            created_at: time(endpoint.created_at_ms),
        }
    }
}

/// Lists the endpoints.
#[utoipa::path(
    get, path = "/admin/endpoints", tag = "operator", params(EndpointsQuery), security(("admin_key" = [])),
    responses((status = 200, body = Endpoints), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list_endpoints(
    State(edge): State<Edge>,
    operator: Operator,
    Query(query): Query<EndpointsQuery>,
) -> AppResult<Json<Endpoints>> {
    let page = super::page(query.limit, query.offset)?;
    let request = grpc::ListEndpointsRequest {
        limit: page.limit,
        offset: page.offset,
        instance_id: query.instance_id,
        kind: query.kind,
        marketplace_id: query.marketplace_id,
        after: query.after,
    };
    let services = &edge.app.services;
    let found = answer(services.webhooks().list_endpoints(services.request(&operator.0, request)?).await)?;
    let endpoints = found.endpoints.into_iter().map(Endpoint::from).collect();
    let (next, count_is_exact) = stretch::told(found.stretch);
    let (count, limit, offset) = (found.count, page.limit, page.offset);
    Ok(Json(Endpoints { endpoints, count, count_is_exact, limit, offset, next }))
}

/// Sets what a shop's endpoint is told, and how.
#[utoipa::path(
    patch, path = "/admin/endpoints/{id}", tag = "operator", params(("id" = String, Path)),
    request_body = EndpointSettings, security(("admin_key" = [])),
    responses((status = 200, body = Endpoint), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn update_endpoint(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
    strict::Json(body): strict::Json<EndpointSettings>,
) -> AppResult<Json<Endpoint>> {
    let request = body.into_request(super::require_id(id, "ep")?);
    let services = &edge.app.services;
    let changed = answer(services.webhooks().update_endpoint(services.request(&operator.0, request)?).await)?;
    Ok(Json(changed.into()))
}

impl EndpointSettings {
    fn into_request(self, endpoint_id: String) -> grpc::UpdateEndpointRequest {
        let headers = self.headers.map(|headers| {
            let each = headers.into_iter();
            each.map(|(name, value)| grpc::EndpointHeader { name, value }).collect()
        });
        grpc::UpdateEndpointRequest {
            endpoint_id,
            events: self.events.map(|names| grpc::EndpointEvents { names }),
            headers: headers.map(|headers| grpc::EndpointHeaders { headers }),
            rate_per_second: self.rate_per_second,
        }
    }
}

/// Stops telling an endpoint: its deliveries are held.
#[utoipa::path(
    post, path = "/admin/endpoints/{id}/disable", tag = "operator", params(("id" = String, Path)),
    security(("admin_key" = [])),
    responses((status = 200, body = Endpoint), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn disable_endpoint(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<Endpoint>> {
    set_disabled(&edge, &operator.0, id, (true, Backlog::Keep)).await
}

/// Tells an endpoint again, first what was held, unless that is dropped; also one that was to be verified.
#[utoipa::path(
    post, path = "/admin/endpoints/{id}/enable", tag = "operator", params(("id" = String, Path), BacklogQuery),
    security(("admin_key" = [])),
    responses((status = 200, body = Endpoint), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn enable_endpoint(
    State(edge): State<Edge>,
    operator: Operator,
    PathOf(id): PathOf<String>,
    Query(query): Query<BacklogQuery>,
) -> AppResult<Json<Endpoint>> {
    set_disabled(&edge, &operator.0, id, (false, query.backlog.unwrap_or_default())).await
}

async fn set_disabled(
    edge: &Edge,
    operator: &Principal,
    id: String,
    (disabled, backlog): (bool, Backlog),
) -> AppResult<Json<Endpoint>> {
    let request = grpc::SetEndpointDisabledRequest {
        endpoint_id: super::require_id(id, "ep")?,
        disabled,
        drop_backlog: backlog == Backlog::Drop,
    };
    let services = &edge.app.services;
    let changed =
        answer(services.webhooks().set_endpoint_disabled(services.request(operator, request)?).await)?;
    Ok(Json(changed.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use serde_json::{Value, json};

    use super::*;

    fn shown(instance_id: &str) -> Value {
        let endpoint = grpc::Endpoint { instance_id: instance_id.to_owned(), ..grpc::Endpoint::default() };
        serde_json::to_value(Endpoint::from(endpoint)).unwrap()["instance_id"].clone()
    }

    #[test]
    fn an_apps_endpoint_has_no_instance_and_says_null() {
        assert_eq!(shown(""), Value::Null);
        assert_eq!(shown("inst_1"), json!("inst_1"));
    }
}
