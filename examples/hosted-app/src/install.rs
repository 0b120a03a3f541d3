//! `POST /install`: a callback of the marketplace is checked, saved, and only then answered with 200.

use std::{error::Error, panic::resume_unwind, time::Duration};

use axum::{
    body::Bytes,
    extract::{FromRequest as _, Request, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use tokio::{task::spawn_blocking, time::timeout};
use wire::open2b::{self, Callback, Refusal};

use crate::{
    App,
    shops::{ChangeError, Shop, Shops},
};

/// For reading; the marketplace waits for 30 seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a callback is not answered with 200.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("send application/x-www-form-urlencoded")]
    NotAForm,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("this app has no such shop; install it before it is updated")]
    UnknownShop,
    #[error(transparent)]
    Unread(#[from] BytesRejection),
    #[error("the shop could not be saved")]
    NotSaved(#[source] std::io::Error),
    /// Then any answer could be a lie.
    #[error("it can't be said whether the callback is done")]
    Unsure(#[source] Box<dyn Error + Send + Sync>),
}

pub(crate) async fn receive(State(app): State<App>, request: Request) -> Result<&'static str, Problem> {
    if !is_form(request.headers()) {
        return Err(Problem::NotAForm);
    }
    let body = read(request).await?;
    let request = open2b::parse_form(&body, &app.secrets, app.now())?;
    let operation = request.callback.operation();
    let saving = spawn_blocking(move || save(&app.shops(), request.callback));
    saving.await.unwrap_or_else(|error| Err(Problem::Unsure(error.into())))?;
    tracing::info!(%operation, "callback saved");
    Ok("saved\n")
}

/// Reading alone has a limit of time. An answer before the save has ended would cancel what is then saved all the same.
async fn read(request: Request) -> Result<Bytes, Problem> {
    let reading = timeout(PATIENCE, Bytes::from_request(request, &()));
    Ok(reading.await.map_err(|error| Problem::Unsure(error.into()))??)
}

/// The same callback may come again, when an answer of ours got lost: it leaves the same behind.
fn save(shops: &Shops, callback: Callback) -> Result<(), Problem> {
    match callback {
        Callback::Install { shop, site_url, api, key, version } => {
            shops.save(&Shop { shop, site_url, api, key, version })?;
        }
        Callback::Update { shop, site_url, api, version } => {
            let known = shops.find(&shop).map_err(Problem::NotSaved)?.ok_or(Problem::UnknownShop)?;
            shops.save(&Shop { site_url, api, version, ..known })?;
        }
        Callback::Remove { shop } => shops.remove(&shop)?,
    }
    Ok(())
}

fn is_form(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unchanged(error) => Self::NotSaved(error),
            ChangeError::Unsure(_) => Self::Unsure(error.into()),
        }
    }
}

impl Problem {
    /// None where the connection is to be closed without an answer. The marketplace then tells the callback again, also
    /// an Install, upon which any answer but 200 is the last word.
    fn status(&self) -> Option<StatusCode> {
        Some(match self {
            Self::NotAForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Refused(Refusal::Signature | Refusal::Expired) => StatusCode::UNAUTHORIZED,
            Self::Refused(_) => StatusCode::BAD_REQUEST,
            Self::UnknownShop => StatusCode::NOT_FOUND,
            Self::Unread(rejection) => rejection.status(),
            Self::NotSaved(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unsure(_) => return None,
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let cause = self.source().map(tracing::field::display);
        tracing::warn!(cause, "callback not taken: {self}");
        match self.status() {
            Some(status) => (status, format!("{self}\n")).into_response(),
            // hyper closes the connection of a handler that unwinds; begun in this way it is no panic that is reported.
            None => resume_unwind(Box::new(self)),
        }
    }
}
