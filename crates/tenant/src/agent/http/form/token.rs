//! A cookie that other sites can't send with a POST, and in each form the proof that this shop's page made it.

use std::sync::Arc;

use axum::{
    Form,
    extract::{FromRef, FromRequest, FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::agent::{app::App, http::pages::Refusal};

const COOKIE: &str = "mercato_form";
const COOKIE_LEN: usize = 32;

/// A browser's form session; its token stands in every form of a page.
pub(in super::super) struct FormSession {
    token: String,
    set_cookie: Option<HeaderValue>,
}

impl FormSession {
    pub(in super::super) fn token(&self) -> &str {
        &self.token
    }

    /// Gives the browser its cookie, if it has none.
    pub(in super::super) fn attach(self, mut response: Response) -> Response {
        if let Some(cookie) = self.set_cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        response
    }
}

impl<S> FromRequestParts<S> for FormSession
where
    Arc<App>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let app = Arc::from_ref(state);
        if let Some(cookie) = find_cookie(&parts.headers) {
            return Ok(Self { token: token_of(&app, &cookie), set_cookie: None });
        }
        let cookie = app.random_text();
        let set_cookie = HeaderValue::from_str(&cookie_header(&app, &cookie)).ok();
        Ok(Self { token: token_of(&app, &cookie), set_cookie })
    }
}

/// Lax, so that it is there when the buyer comes back from the payment page, and not with another site's POST.
fn cookie_header(app: &App, cookie: &str) -> String {
    let secure = if app.config.public_url.scheme() == "https" { "; Secure" } else { "" };
    format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Lax{secure}")
}

fn find_cookie(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let cookie = pairs.find(|(name, _)| *name == COOKIE)?.1;
    let is_ours = cookie.len() == COOKIE_LEN && cookie.bytes().all(|b| b.is_ascii_hexdigit());
    is_ours.then(|| cookie.to_owned())
}

#[expect(clippy::expect_used, reason = "RFC 2104: HMAC takes a key of any length")]
fn token_of(app: &App, cookie: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(app.state().form_key.as_bytes()).expect("any key length");
    mac.update(cookie.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// The fields of a form that a page of this shop has made for this browser.
pub(in super::super) struct Checked<T>(pub(in super::super) T);

#[derive(Deserialize)]
struct Signed<T> {
    csrf: String,
    #[serde(flatten)]
    fields: T,
}

impl<S, T> FromRequest<S> for Checked<T>
where
    Arc<App>: FromRef<S>,
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let app: Arc<App> = Arc::from_ref(state);
        let expected = find_cookie(request.headers()).map(|cookie| token_of(&app, &cookie));
        let is_foreign = is_foreign(request.headers());
        let form = Form::<Signed<T>>::from_request(request, state).await;
        let Form(Signed { csrf, fields }) = form.map_err(|_| Refusal::unreadable_form().into_response())?;
        let fits = expected.is_some_and(|expected| csrf.as_bytes().ct_eq(expected.as_bytes()).into());
        if fits && !is_foreign { Ok(Self(fields)) } else { Err(Refusal::stale_form().into_response()) }
    }
}

/// What browsers say of a form's origin by themselves.
fn is_foreign(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}
