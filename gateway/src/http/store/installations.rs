use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use platform::{AppError, AppResult};
use proto::{catalog, license as grpc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    app::{InstallQuestion, InstallationFilter, ShownInstallation, UpdateQuestion},
    domain::{
        installation::require_state,
        page::{Page, Paging},
        prefer,
    },
    http::{
        Edge,
        admin::{instances::ShopApi, require_id},
        auth::ShopAdmin,
        installation::Installation,
        reply::{ErrorBody, time},
        strict::{self, NoQuery, PathOf, Query},
    },
};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What is to be installed, and what the administrator lets it do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct InstallRequest {
    marketplace_id: String,
    /// The one on offer when nothing is said.
    version: Option<String>,
    /// Exactly those that the app requires.
    granted_permissions: Vec<String>,
    /// May be repeated, but only as registered: one shop cannot speak for another.
    shop: Option<String>,
    /// As `shop`.
    site_url: Option<String>,
    /// As `shop`.
    api: Option<ShopApi>,
}

/// Where an installation is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UpdateRequest {
    /// The one that `pending_update` names when nothing is said.
    version: Option<String>,
    /// Exactly those that this version requires.
    granted_permissions: Vec<String>,
}

/// Which installations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct InstallationsQuery {
    /// `requested`, `installing`, `installed`, `updating`, `removing`, `removed` or `cancelled`.
    state: Option<String>,
    marketplace_id: Option<String>,
    /// From 1.
    page: Option<u32>,
    /// From 1 to 100; 20 when nothing is said.
    per_page: Option<u32>,
    /// Instead of `per_page`.
    limit: Option<u32>,
    /// Instead of `page`.
    offset: Option<u32>,
}

/// An app in this shop.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OwnInstallation {
    #[serde(flatten)]
    installation: Installation,
    /// A newer version that waits for the administrator's word. Null where there is none, while that very version is
    /// being made (a still newer one is shown meanwhile), and while the catalogue cannot be asked. Whether the shop's
    /// API meets its needs is found when the update is asked for: one that it does not meet is refused then, in words.
    pending_update: Option<PendingUpdate>,
}

/// A newer version that a shop may move to, when it decides to.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct PendingUpdate {
    version: String,
    /// Which of `name`, `code`, `address`, `icon` and `permissions` differ.
    changes: Vec<String>,
    /// It asks for permissions that were not granted yet.
    requires_consent: bool,
    added_permissions: Vec<String>,
    /// The vendor asks to have moved by then.
    required_after: Option<String>,
    /// A release on the way mends a security fault.
    security: bool,
    changelog_url: Option<String>,
}

/// The apps in this shop.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct OwnInstallations {
    installations: Vec<OwnInstallation>,
    count: u32,
    limit: u32,
    offset: u32,
}

impl From<catalog::Update> for PendingUpdate {
    fn from(update: catalog::Update) -> Self {
        Self {
            version: update.latest,
            changes: update.changes,
            requires_consent: update.requires_consent,
            added_permissions: update.added_permissions,
            required_after: update.required_after_ms.map(time),
            security: update.security,
            changelog_url: update.changelog_url,
        }
    }
}

impl From<ShownInstallation> for OwnInstallation {
    fn from(shown: ShownInstallation) -> Self {
        Self {
            installation: shown.installation.into(),
            pending_update: shown.pending.map(PendingUpdate::from),
        }
    }
}

/// Installs a hosted or a static app. A hosted one is told, and installed once it has answered 200.
#[utoipa::path(
    post, path = "/store/marketplace/installations", tag = "installations",
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: hold the answer until it is settled, at most 30 seconds")),
    request_body = InstallRequest, security(("secret_key" = [])),
    responses(
        (status = 202, body = OwnInstallation, headers(("Location" = String), ("Preference-Applied" = String))),
        (status = "default", body = ErrorBody),
    )
)]
pub(in crate::http) async fn install(
    State(edge): State<Edge>,
    _: NoQuery,
    admin: ShopAdmin,
    headers: HeaderMap,
    strict::Json(body): strict::Json<InstallRequest>,
) -> AppResult<Response> {
    let question = InstallQuestion {
        marketplace_id: super::marketplace_id(&body.marketplace_id)?,
        version: body.version.as_deref().map(super::version).transpose()?,
        granted_permissions: body.granted_permissions,
        shop: body.shop,
        site_url: body.site_url,
        api: body.api.map(grpc::ShopApi::from),
    };
    let wait = Wait::of(&headers);
    accepted(edge.app.install(&admin.0, question, wait.time()).await?, wait)
}

/// Moves an installation to a newer version. Until the app has answered 200, the shop stays where it is.
#[utoipa::path(
    post, path = "/store/marketplace/installations/{id}/update", tag = "installations",
    params(
        ("id" = String, Path),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: hold the answer until it is settled, at most 30 seconds"),
    ),
    request_body = UpdateRequest, security(("secret_key" = [])),
    responses(
        (status = 202, body = OwnInstallation, headers(("Location" = String), ("Preference-Applied" = String))),
        (status = "default", body = ErrorBody),
    )
)]
pub(in crate::http) async fn update(
    State(edge): State<Edge>,
    _: NoQuery,
    admin: ShopAdmin,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
    strict::Json(body): strict::Json<UpdateRequest>,
) -> AppResult<Response> {
    let question = UpdateQuestion {
        installation_id: require_id(id, "itn")?,
        version: body.version.as_deref().map(super::version).transpose()?,
        granted_permissions: body.granted_permissions,
    };
    let wait = Wait::of(&headers);
    accepted(edge.app.update_installation(&admin.0, question, wait.time()).await?, wait)
}

/// Removes an app: its access ends at once, and it is told.
#[utoipa::path(
    delete, path = "/store/marketplace/installations/{id}", tag = "installations",
    params(
        ("id" = String, Path),
        ("Prefer" = Option<String>, Header, description = "`wait=N`: hold the answer until it is settled, at most 30 seconds"),
    ),
    security(("secret_key" = [])),
    responses(
        (status = 202, body = OwnInstallation, headers(("Location" = String), ("Preference-Applied" = String))),
        (status = "default", body = ErrorBody),
    )
)]
pub(in crate::http) async fn remove(
    State(edge): State<Edge>,
    _: NoQuery,
    admin: ShopAdmin,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> AppResult<Response> {
    let wait = Wait::of(&headers);
    accepted(edge.app.remove_installation(&admin.0, require_id(id, "itn")?, wait.time()).await?, wait)
}

/// One app in this shop.
#[utoipa::path(
    get, path = "/store/marketplace/installations/{id}", tag = "installations", params(("id" = String, Path)),
    security(("secret_key" = [])),
    responses((status = 200, body = OwnInstallation), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn get(
    State(edge): State<Edge>,
    _: NoQuery,
    admin: ShopAdmin,
    PathOf(id): PathOf<String>,
) -> AppResult<Json<OwnInstallation>> {
    Ok(Json(edge.app.get_installation(&admin.0, &require_id(id, "itn")?).await?.into()))
}

/// The apps in this shop, and those that were.
#[utoipa::path(
    get, path = "/store/marketplace/installations", tag = "installations", params(InstallationsQuery),
    security(("secret_key" = [])),
    responses((status = 200, body = OwnInstallations), (status = "default", body = ErrorBody))
)]
pub(in crate::http) async fn list(
    State(edge): State<Edge>,
    admin: ShopAdmin,
    Query(query): Query<InstallationsQuery>,
) -> AppResult<Json<OwnInstallations>> {
    let page = Page::parse(Paging {
        page: query.page,
        per_page: query.per_page,
        limit: query.limit,
        offset: query.offset,
    })?;
    if let Some(id) = &query.marketplace_id {
        super::marketplace_id(id)?;
    }
    let filter = InstallationFilter {
        marketplace_id: query.marketplace_id,
        state: require_state(query.state)?,
        ..InstallationFilter::default()
    };
    let (shown, count) = edge.app.list_own_installations(&admin.0, filter, page).await?;
    let installations = shown.into_iter().map(OwnInstallation::from).collect();
    Ok(Json(OwnInstallations { installations, count, limit: page.limit, offset: page.offset }))
}

/// How many seconds the caller would wait.
#[derive(Clone, Copy)]
struct Wait(Option<u64>);

impl Wait {
    fn of(headers: &HeaderMap) -> Self {
        let preferences = headers.get_all("prefer");
        Self(prefer::wait(preferences.iter().filter_map(|value| value.to_str().ok())))
    }

    fn time(self) -> Option<Duration> {
        self.0.map(Duration::from_secs)
    }
}

/// The installation as far as it has come, where it can be followed, and how long it was waited for (RFC 7240,
/// section 3).
fn accepted(shown: ShownInstallation, wait: Wait) -> AppResult<Response> {
    let location = format!("/store/marketplace/installations/{}", shown.installation.installation_id);
    let mut response = (StatusCode::ACCEPTED, Json(OwnInstallation::from(shown))).into_response();
    response.headers_mut().insert(header::LOCATION, value(&location)?);
    if let Some(seconds) = wait.0 {
        response.headers_mut().insert(PREFERENCE_APPLIED, value(&format!("wait={seconds}"))?);
    }
    Ok(response)
}

fn value(text: &str) -> AppResult<HeaderValue> {
    HeaderValue::from_str(text).map_err(AppError::unexpected)
}
