//! `POST /install`: a callback of the marketplace is checked, saved, and only then answered with 200.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use wire::open2b::{self, Callback, Refusal};

use crate::{
    App,
    shops::{Shop, Shops},
};

/// Why a callback is not answered with 200. The marketplace cancels an Install upon any of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("send application/x-www-form-urlencoded")]
    NotAForm,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("this app has no such shop; install it before it is updated")]
    UnknownShop,
    #[error("the shop could not be saved; send the callback again")]
    NotSaved(#[source] std::io::Error),
}

pub(crate) async fn receive(
    State(app): State<App>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<&'static str, Problem> {
    if !is_form(&headers) {
        return Err(Problem::NotAForm);
    }
    let request = open2b::parse_form(&body, &app.secrets, app.now())?;
    let operation = request.callback.operation();
    let saving = tokio::task::spawn_blocking(move || save(&app.shops(), request.callback));
    saving.await.map_err(|error| Problem::NotSaved(error.into()))??;
    tracing::info!(%operation, "callback saved");
    Ok("saved\n")
}

/// The same callback may come again, when an answer of ours got lost: it leaves the same behind.
fn save(shops: &Shops, callback: Callback) -> Result<(), Problem> {
    let saved = match callback {
        Callback::Install { shop, site_url, api, key, version } => {
            shops.save(&Shop { shop, site_url, api, key, version })
        }
        Callback::Update { shop, site_url, api, version } => {
            let known = shops.find(&shop).map_err(Problem::NotSaved)?.ok_or(Problem::UnknownShop)?;
            shops.save(&Shop { site_url, api, version, ..known })
        }
        Callback::Remove { shop } => shops.remove(&shop),
    };
    saved.map_err(Problem::NotSaved)
}

fn is_form(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotAForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Refused(Refusal::Signature | Refusal::Expired) => StatusCode::UNAUTHORIZED,
            Self::Refused(_) => StatusCode::BAD_REQUEST,
            Self::UnknownShop => StatusCode::NOT_FOUND,
            Self::NotSaved(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let cause = std::error::Error::source(&self).map(tracing::field::display);
        tracing::warn!(cause, "callback not taken: {self}");
        (self.status(), format!("{self}\n")).into_response()
    }
}
