//! The marketplace of these tests, with a switch for each way to fail.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use wire::{
    instance::{InstanceRef, SealingKey},
    keys::{Jwks, SigningKey},
    license_key::LicenseKey,
    license_token::{self, LicenseClaims, TOKEN_LIFETIME_SECS},
};

use super::{
    registry::{self, Registry},
    release::{Release, key},
};

pub(crate) const NOW_MS: i64 = 1_790_000_000_000;
pub(crate) const INSTANCE: &str = "inst_01JAY2M3N4P5Q6R7S8T9V0W1X2";
pub(crate) const PK: &str = "pk_test_shop";
pub(crate) const SK: &str = "sk_test_shop";
pub(crate) const APP: &str = "@acme/invoices";
pub(crate) const FREE: &str = "@acme/seo";

pub(crate) struct World {
    pub(crate) releases: Vec<Release>,
    pub(crate) vendor_keys: Vec<SigningKey>,
    pub(crate) marketplace_keys: Vec<SigningKey>,
    pub(crate) license: LicenseKey,
    /// What `license/verify` answers.
    pub(crate) code: &'static str,
    /// Everything but the well-known document answers 503.
    pub(crate) is_down: bool,
    pub(crate) licenses: Vec<Value>,
    /// Every request: method and path with query, then headers of ours, then body.
    pub(crate) heard: Vec<String>,
    pub(crate) keys_of_checkouts: Vec<String>,
    pub(crate) registry: Registry,
    /// The detail of which app is answered in place of another's.
    pub(crate) impostors: BTreeMap<String, String>,
}

#[derive(Clone)]
pub(crate) struct Marketplace {
    pub(crate) url: String,
    world: Arc<Mutex<World>>,
}

fn sealing() -> SealingKey {
    SealingKey::from_seed(&[9; 32])
}

impl Marketplace {
    /// Sells [`APP`] at €49 and gives [`FREE`] away.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let world = World {
            releases: vec![Release::new(APP, "1.0.0", 49), Release::new(FREE, "1.0.0", 0)],
            vendor_keys: vec![key(1)],
            marketplace_keys: vec![key(2)],
            license: LicenseKey::from_entropy([7; 12]),
            code: "VALID",
            is_down: false,
            licenses: Vec::new(),
            heard: Vec::new(),
            keys_of_checkouts: Vec::new(),
            registry: Registry::default(),
            impostors: BTreeMap::new(),
        };
        let url = format!("http://{}", listener.local_addr().unwrap());
        let marketplace = Self { url, world: Arc::new(Mutex::new(world)) };
        let router = router(marketplace.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        marketplace
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub(crate) fn license_key(&self) -> String {
        self.world().license.to_string()
    }

    pub(crate) fn publish(&self, release: Release) {
        self.world().releases.insert(0, release);
    }

    pub(crate) fn change_release(&self, app: &str, change: impl FnOnce(&mut Release)) {
        change(self.world().releases.iter_mut().find(|release| release.app == app).unwrap());
    }

    pub(crate) fn find(&self, app: &str, version: Option<&str>) -> Option<Release> {
        let world = self.world();
        let wanted = |one: &&Release| one.app == app && version.is_none_or(|version| one.version == version);
        world.releases.iter().find(wanted).cloned()
    }
}

fn router(marketplace: Marketplace) -> Router {
    Router::new()
        .route("/store/marketplace/feed", get(feed))
        .route("/store/marketplace/feed/{vendor}/{name}", get(product))
        .route("/store/marketplace/updates", get(updates))
        .route("/store/marketplace/download/{vendor}/{name}/{version}", get(download))
        .route("/store/marketplace/checkout/session", post(checkout))
        .route("/store/marketplace/license/verify", post(verify))
        .route("/store/marketplace/license/deactivate", post(async || Json(json!({ "seats_used": 0 }))))
        .route("/store/marketplace/licenses", get(licenses))
        .route("/dl/{vendor}/{name}/{version}", get(artifact))
        .route("/.well-known/mercato.json", get(well_known))
        .merge(registry::routes())
        .layer(middleware::from_fn_with_state(marketplace.clone(), listen))
        .with_state(marketplace)
}

pub(crate) fn error(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, Json(json!({ "type": kind, "message": message, "request_id": "req_1" }))).into_response()
}

async fn listen(State(marketplace): State<Marketplace>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let headers: Vec<String> =
        parts.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    let text = String::from_utf8_lossy(&body);
    let heard = format!("{} {}\n{}\n\n{text}", parts.method, parts.uri, headers.join("\n"));
    let is_down = {
        let mut world = marketplace.world();
        world.heard.push(heard);
        world.is_down
    };
    let path = parts.uri.path();
    if is_down {
        return error(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the marketplace is being repaired; come back soon",
        );
    }
    let knows_shop = parts.headers.get("x-publishable-api-key").is_some_and(|key| key == PK);
    if !knows_shop && path.starts_with("/store") {
        return error(StatusCode::UNAUTHORIZED, "unauthorized", "send a known publishable key");
    }
    next.run(Request::from_parts(parts, body.into())).await
}

async fn well_known(State(marketplace): State<Marketplace>) -> Json<Value> {
    let keys: Vec<_> = marketplace.world().marketplace_keys.iter().map(SigningKey::verifying_key).collect();
    Json(
        json!({ "issuer": "https://m.example", "jwks": Jwks::new(&keys), "sealing_key": sealing().public_key() }),
    )
}

async fn feed(
    State(marketplace): State<Marketplace>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    let search = query.get("search").cloned().unwrap_or_default();
    let mut products: BTreeMap<String, Value> = BTreeMap::new();
    for release in marketplace.world().releases.iter().filter(|release| release.app.contains(&search)) {
        products.entry(release.app.clone()).or_insert_with(|| release.product());
    }
    let products: Vec<Value> = products.into_values().collect();
    Json(json!({ "count": products.len(), "limit": 12, "offset": 0, "products": products }))
}

async fn product(
    State(marketplace): State<Marketplace>,
    Path((vendor, name)): Path<(String, String)>,
) -> Response {
    let asked = format!("{vendor}/{name}");
    let app = marketplace.world().impostors.get(&asked).cloned().unwrap_or(asked);
    let Some(newest) = marketplace.find(&app, None) else {
        return error(StatusCode::NOT_FOUND, "not_found", "there is no such app");
    };
    let public = |keys: &[SigningKey]| -> Vec<Value> {
        let keys = keys.iter().map(|key| json!({ "key_id": key.key_id(), "value": key.verifying_key() }));
        keys.collect()
    };
    let mut detail = newest.product();
    let world = marketplace.world();
    detail["description"] = json!("Does one thing well.\n\n<script>alert(1)</script>");
    detail["vendor_keys"] = json!(public(&world.vendor_keys));
    detail["marketplace_keys"] = json!(public(&world.marketplace_keys));
    let versions = world.releases.iter().filter(|release| release.app == app);
    let versions = versions.map(|release| {
        json!({ "version": release.version, "published_at": "2026-11-02T08:00:00Z", "yanked": false, "yanked_reason": null,
            "sha256": release.sha256().to_string(), "price_eur": release.price, "download_url": "/x", "changelog_url": null })
    });
    detail["versions"] = versions.collect();
    Json(detail).into_response()
}

async fn updates(
    State(marketplace): State<Marketplace>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Json<Value> {
    let versions: BTreeMap<String, String> = serde_json::from_str(&query["versions"]).unwrap();
    let mut updates = Vec::new();
    for (app, current) in versions {
        let latest = marketplace.find(&app, None).filter(|newest| newest.version != current);
        updates.extend(latest.map(|newest| {
            json!({ "marketplace_id": app, "current": current, "latest": newest.version, "changelog_url": null,
                "auto_update": false, "requires_consent": false, "added_permissions": [], "security": false, "required_after": null })
        }));
    }
    Json(json!({ "updates": updates }))
}

async fn download(
    State(marketplace): State<Marketplace>,
    Path((vendor, name, version)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let app = format!("{vendor}/{name}");
    let Some(release) = marketplace.find(&app, Some(&version)) else {
        return error(StatusCode::NOT_FOUND, "not_found", "there is no such version");
    };
    let licensed = headers.get("x-carpha-license").is_some_and(|key| key == &marketplace.license_key());
    if release.price > 0 && !licensed {
        return error(StatusCode::PAYMENT_REQUIRED, "payment_required", "send a valid licence key");
    }
    let (signature, vendor_signature) = release.signatures();
    let url = format!("{}/dl/{app}/{version}?sig=1", marketplace.url);
    Json(json!({ "url": url, "expires_at": "2026-11-02T08:15:00Z", "sha256": release.sha256().to_string(),
        "size": release.served.as_ref().unwrap_or(&release.zip).len(), "signature": signature,
        "vendor_signature": vendor_signature }))
    .into_response()
}

async fn artifact(
    State(marketplace): State<Marketplace>,
    Path((vendor, name, version)): Path<(String, String, String)>,
) -> Bytes {
    let release = marketplace.find(&format!("{vendor}/{name}"), Some(&version)).unwrap();
    release.served.unwrap_or(release.zip).into()
}

/// Only the four named fields are taken, and the instance id must be this shop's, sealed.
async fn checkout(
    State(marketplace): State<Marketplace>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let fields: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["customer_email", "instance_id", "marketplace_id", "version"]);
    let instance: InstanceRef = body["instance_id"].as_str().unwrap().parse().unwrap();
    assert!(matches!(instance, InstanceRef::Sealed(_)));
    assert_eq!(instance.reveal(&sealing()).unwrap(), INSTANCE);
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    marketplace.world().keys_of_checkouts.push(key);
    Json(json!({ "id": "ord_01", "url": format!("{}/pay/ord_01", marketplace.url), "expires_at": "2026-11-03T08:00:00Z" }))
        .into_response()
}

async fn verify(State(marketplace): State<Marketplace>, Json(body): Json<Value>) -> Json<Value> {
    let instance: InstanceRef = body["instance_id"].as_str().unwrap().parse().unwrap();
    let world = marketplace.world();
    let signer = world.marketplace_keys.last().unwrap();
    let now = NOW_MS / 1000;
    let claims = LicenseClaims {
        iss: "https://m.example".to_owned(),
        sub: "lic_01".to_owned(),
        app: body["marketplace_id"].as_str().unwrap().to_owned(),
        ins: license_token::instance_hash(&instance.reveal(&sealing()).unwrap()),
        st: world.code.to_owned(),
        iat: now,
        exp: now + TOKEN_LIFETIME_SECS,
        nonce: body["nonce"].as_str().map(str::to_owned),
    };
    let token = license_token::issue(signer, &signer.key_id(), &claims);
    Json(
        json!({ "valid": world.code == "VALID", "code": world.code, "detail": "", "token": token, "nonce": body["nonce"],
        "checked_at": "2026-11-02T08:00:00Z", "grace_until": null }),
    )
}

async fn licenses(State(marketplace): State<Marketplace>, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {SK}")) {
        return error(StatusCode::UNAUTHORIZED, "unauthorized", "send the secret key");
    }
    let licenses = marketplace.world().licenses.clone();
    Json(json!({ "count": licenses.len(), "limit": 100, "offset": 0, "licenses": licenses })).into_response()
}
