//! The installations that the marketplace of these tests keeps (contracts.md section 2).

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::marketplace::{Marketplace, SK, error};

/// What the marketplace remembers, and how the apps behave.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) installations: Vec<Value>,
    /// The app answers nothing: everything stays on its way.
    pub(crate) is_silent: bool,
    /// What the app answers Install with; 200 where nothing is said.
    pub(crate) install_status: Option<u16>,
    pub(crate) is_down: bool,
    /// Holds the answers about the installations of one app up.
    pub(crate) gate: Option<Arc<Semaphore>>,
}

impl Registry {
    pub(crate) fn find(&mut self, app: &str) -> Option<&mut Value> {
        let here = |one: &&mut Value| {
            one["marketplace_id"] == app && !matches!(one["state"].as_str(), Some("removed" | "cancelled"))
        };
        self.installations.iter_mut().find(here)
    }

    /// The app answers at last.
    pub(crate) fn settle(&mut self, app: &str) {
        let one = self.find(app).unwrap();
        if let Some(target) = one["target_version"].take().as_str() {
            one["version"] = json!(target);
        }
        one["state"] = match one["state"].as_str() {
            Some("removing") => json!("removed"),
            _ => json!("installed"),
        };
    }
}

pub(crate) fn routes() -> Router<Marketplace> {
    Router::new()
        .route("/store/marketplace/installations", get(list).post(install))
        .route("/store/marketplace/installations/{id}", get(one).delete(remove))
        .route("/store/marketplace/installations/{id}/update", post(update))
        .route("/store/marketplace/installations/introspect", post(introspect))
}

fn unauthorized() -> Response {
    error(StatusCode::UNAUTHORIZED, "unauthorized", "send the secret key")
}

fn is_administrator(parts: &Parts) -> bool {
    parts.headers.get("authorization").is_some_and(|value| value == &format!("Bearer {SK}"))
}

/// Nothing but the administrator gets further.
async fn act(request: Request) -> Result<Value, Response> {
    let (parts, body) = request.into_parts();
    if !is_administrator(&parts) {
        return Err(unauthorized());
    }
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// What is granted must be what is required.
#[expect(clippy::result_large_err, reason = "the handlers answer it as it is")]
fn granted(marketplace: &Marketplace, app: &str, body: &Value) -> Result<Value, Response> {
    let release = marketplace.find(app, body["version"].as_str()).unwrap();
    let granted = &body["granted_permissions"];
    if *granted == json!(release.permissions) {
        return Ok(granted.clone());
    }
    Err(error(StatusCode::FORBIDDEN, "not_allowed", "grant exactly what the release asks for"))
}

async fn install(State(marketplace): State<Marketplace>, request: Request) -> Result<Response, Response> {
    let body = act(request).await?;
    let fields: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["granted_permissions", "marketplace_id", "version"]);
    let app = body["marketplace_id"].as_str().unwrap();
    let permissions = granted(&marketplace, app, &body)?;
    let kind = marketplace.find(app, None).unwrap().kind;
    let registry = &mut marketplace.world().registry;
    assert!(registry.find(app).is_none_or(|one| one["state"] == "removing"), "one installation of an app");
    let status = registry.install_status.filter(|status| *status != 200);
    let state = match (kind, status) {
        ("hosted", _) if registry.is_silent => "installing",
        ("hosted", Some(_)) => "cancelled",
        _ => "installed",
    };
    let installation = json!({
        "id": format!("itn_{:02}", registry.installations.len()), "marketplace_id": app, "kind": kind,
        "version": body["version"], "state": state, "access": if state == "cancelled" { "ended" } else { "live" },
        "permissions": permissions, "target_version": null, "pending_update": null,
        "last_callback": { "operation": "Install", "outcome": status.map_or("delivered", |_| "refused"),
            "status": status.unwrap_or(200), "attempts": 1, "settled_at": "2026-11-02T08:00:00Z" },
        "created_at": "2026-11-02T08:00:00Z", "updated_at": "2026-11-02T08:00:00Z",
    });
    registry.installations.insert(0, installation.clone());
    Ok((StatusCode::ACCEPTED, Json(installation)).into_response())
}

async fn list(
    State(marketplace): State<Marketplace>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Result<Response, Response> {
    act(request).await?;
    let of = query.get("marketplace_id");
    let gate = marketplace.world().registry.gate.clone().filter(|_| of.is_some());
    if let Some(gate) = gate {
        gate.acquire().await.unwrap().forget();
    }
    let registry = &marketplace.world().registry;
    if registry.is_down {
        return Err(error(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the record of installations is away",
        ));
    }
    let all = registry.installations.iter();
    let all: Vec<&Value> = all.filter(|one| of.is_none_or(|of| one["marketplace_id"] == *of)).collect();
    let (limit, offset): (usize, usize) = (query["limit"].parse().unwrap(), query["offset"].parse().unwrap());
    let page: Vec<&Value> = all.iter().skip(offset).take(limit).copied().collect();
    Ok(Json(json!({ "installations": page, "count": all.len(), "limit": limit, "offset": offset }))
        .into_response())
}

async fn one(State(marketplace): State<Marketplace>, Path(id): Path<String>) -> Response {
    let registry = &marketplace.world().registry;
    let found = registry.installations.iter().find(|one| one["id"] == id).cloned();
    found
        .map_or_else(|| error(StatusCode::NOT_FOUND, "not_found", "no such"), |one| Json(one).into_response())
}

async fn update(
    State(marketplace): State<Marketplace>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let body = act(request).await?;
    let app = app_of(&marketplace, &id);
    let permissions = granted(&marketplace, &app, &body)?;
    let registry = &mut marketplace.world().registry;
    let is_silent = registry.is_silent;
    let one = registry.find(&app).unwrap();
    one["pending_update"] = Value::Null;
    if is_silent && one["kind"] == "hosted" {
        one["state"] = json!("updating");
        one["target_version"] = body["version"].clone();
    } else {
        one["version"] = body["version"].clone();
        one["permissions"] = permissions;
    }
    Ok((StatusCode::ACCEPTED, Json(one.clone())).into_response())
}

async fn remove(
    State(marketplace): State<Marketplace>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    act(request).await?;
    let app = app_of(&marketplace, &id);
    let registry = &mut marketplace.world().registry;
    let is_silent = registry.is_silent;
    let one = registry.find(&app).unwrap();
    one["access"] = json!("ended");
    one["state"] = json!(if is_silent && one["kind"] == "hosted" { "removing" } else { "removed" });
    Ok((StatusCode::ACCEPTED, Json(one.clone())).into_response())
}

async fn introspect(State(marketplace): State<Marketplace>, request: Request) -> Result<Response, Response> {
    let body = act(request).await?;
    let registry = &marketplace.world().registry;
    let live = registry.installations.first().filter(|_| body == json!({ "key": "live-key" }));
    let answer = match live {
        Some(one) => {
            json!({ "active": true, "installation_id": one["id"], "marketplace_id": one["marketplace_id"],
            "version": one["version"], "permissions": one["permissions"] })
        }
        None => json!({ "active": false }),
    };
    Ok(Json(answer).into_response())
}

fn app_of(marketplace: &Marketplace, id: &str) -> String {
    let world = marketplace.world();
    let one = world.registry.installations.iter().find(|one| one["id"] == id).unwrap();
    one["marketplace_id"].as_str().unwrap().to_owned()
}
