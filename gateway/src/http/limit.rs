//! Limits per address and per key, before anything is looked up.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use platform::{AppError, Code, limits::Verdict, secret};

use super::{Edge, auth::PUBLISHABLE_KEY, store};
use crate::domain::forwarded::{client_address, counted_as};

/// Refuses who asks too much; tells everybody else what is left.
pub(super) async fn enforce(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let verdict = check(&edge, &request);
    let mut response = if verdict.allowed { next.run(request).await } else { refusal(verdict) };
    tell(response.headers_mut(), verdict);
    response
}

/// The tightest of the limits that apply.
fn check(edge: &Edge, request: &Request) -> Verdict {
    let (address, limits) = (address(edge, request), &edge.limits);
    // A shop asks about an app's key as often as the app calls it: that must not use up what its administrator, who
    // has the same key and address, may ask.
    let (bucket, of_key, of_address) = if is_at(request, store::introspect::INTROSPECT) {
        ("introspect:", limits.introspect, limits.introspect)
    } else {
        ("", limits.key, limits.address)
    };
    let mut verdicts = vec![edge.limiter.check(&format!("{bucket}address:{address}"), of_address)];
    if let Some(key) = key_of(request.headers()) {
        verdicts.push(edge.limiter.check(&format!("{bucket}key:{key}"), of_key));
    }
    if is_at(request, store::license::VERIFY) && !request.headers().contains_key(PUBLISHABLE_KEY) {
        verdicts.push(edge.limiter.check(&format!("verify:{address}"), limits.verify_without_key));
    }
    verdicts.into_iter().min_by_key(|verdict| (verdict.allowed, verdict.remaining)).unwrap_or(Verdict {
        allowed: true,
        limit: 0,
        remaining: 0,
        reset_seconds: 0,
    })
}

fn is_at(request: &Request, route: &str) -> bool {
    request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str() == route)
}

/// Whose requests are counted together.
fn address(edge: &Edge, request: &Request) -> String {
    let info = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = info.map_or(IpAddr::from([0; 4]), |info| info.0.ip());
    // Each proxy may have added a header of its own: together, in order, they are one list (RFC 9110, section 5.3).
    let forwarded: Vec<&str> =
        request.headers().get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    counted_as(client_address(peer, Some(&forwarded.join(",")), &edge.trusted_proxies))
}

/// A short fingerprint of whichever key the caller sent: the key itself must not stand in a counter's name.
fn key_of(headers: &HeaderMap) -> Option<String> {
    let key = headers.get(PUBLISHABLE_KEY).or_else(|| headers.get(header::AUTHORIZATION))?;
    let hash = secret::hash(key.to_str().ok()?);
    let (prefix, _) = hash.split_at(8);
    Some(format!("{:016x}", prefix.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte))))
}

fn refusal(verdict: Verdict) -> Response {
    AppError::new(Code::RateLimited, "too many requests; come back when the window has passed (Retry-After)")
        .retry_after(verdict.reset_seconds)
        .into_response()
}

fn tell(headers: &mut HeaderMap, verdict: Verdict) {
    headers.insert("x-ratelimit-limit", HeaderValue::from(verdict.limit));
    headers.insert("x-ratelimit-remaining", HeaderValue::from(verdict.remaining));
    headers.insert("x-ratelimit-reset", HeaderValue::from(verdict.reset_seconds));
}
