//! Who may see the administrator's pages, and what their answers allow a browser to do.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use platform::secret::Secret;

use crate::agent::app::App;

const USER: &str = "admin";

/// No `form-action`: browsers would apply it to the way from Buy to the payment page as well.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";

pub(super) async fn administrator_only(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let allowed = match &app.config.admin_password {
        None => true,
        Some(password) => given_password(&request).is_some_and(|given| given == *password),
    };
    if allowed {
        return next.run(request).await;
    }
    let ask = [(header::WWW_AUTHENTICATE, r#"Basic realm="Shop administration", charset="UTF-8""#)];
    (StatusCode::UNAUTHORIZED, ask, "Sign in as admin with the shop's TENANT_ADMIN_PASSWORD.").into_response()
}

/// A page elsewhere can let its own name point at this machine, and then its scripts count as ours (DNS rebinding).
/// Without a password, only the shop's own name and this machine's are answered.
pub(super) async fn known_host_only(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.config.admin_password.is_some() || is_known_host(&request, app.config.public_url.host_str()) {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "Open the shop under its own address (TENANT_PUBLIC_URL).")
        .into_response()
}

fn is_known_host(request: &Request, own: Option<&str>) -> bool {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(ToString::to_string);
    let Some(host) = header.map(str::to_owned).or(authority) else { return false };
    let Ok(url) = url::Url::parse(&format!("http://{host}/")) else { return false };
    match url.host() {
        Some(url::Host::Domain("localhost")) => true,
        Some(url::Host::Ipv4(address)) if address.is_loopback() => true,
        Some(url::Host::Ipv6(address)) if address.is_loopback() => true,
        _ => url.host_str() == own,
    }
}

fn given_password(request: &Request) -> Option<Secret> {
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = BASE64_STANDARD.decode(encoded).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    (user == USER).then(|| Secret::new(password))
}

pub(super) async fn protect(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::body::Body;

    use super::*;

    #[test]
    fn a_name_that_someone_else_points_at_this_machine_is_not_ours() {
        let known = |host: &str| {
            let request = Request::builder().header("host", host).body(Body::empty()).unwrap();
            is_known_host(&request, Some("shop.example"))
        };
        for ours in ["shop.example", "shop.example:8090", "127.0.0.1:8090", "localhost", "[::1]:8090"] {
            assert!(known(ours), "{ours}");
        }
        for strange in ["evil.example", "127.0.0.1.evil.example", "shop.example.evil", "10.0.0.1", ""] {
            assert!(!known(strange), "{strange}");
        }
    }
}
