//! The public HTTP edge that the services share: request ids, spans with route templates, metrics, graceful end.

use std::{any::Any, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use metrics::Label;
use tokio::{net::TcpListener, time::Instant};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use tracing::Instrument as _;

use crate::{
    AppError, Code, Ids, Shutdown,
    telemetry::{SPANS, durations::Durations},
};

/// Names the request in the answer, in errors and in logs.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT_REQUEST_ID: String;
}

/// The id of the request that this task answers.
#[must_use]
pub fn current_request_id() -> Option<String> {
    CURRENT_REQUEST_ID.try_with(Clone::clone).ok()
}

#[derive(Clone)]
struct Edge {
    ids: Ids,
    requests: Arc<Durations<Answered>>,
}

/// A request by all that its measurement tells: the method, the route's template, the status.
type Answered = (&'static str, String, u16);

/// Wraps a public router. A request's own `traceparent` is not trusted: each request begins a trace of ours.
pub fn public(router: Router, ids: Ids, timeout: Duration) -> Router {
    let requests = Durations::new("http_server_request_duration_seconds", labels);
    let edge = Edge { ids, requests: Arc::new(requests) };
    router
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(in_error_form))
        .layer(middleware::from_fn_with_state(edge, observe))
}

async fn observe(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let id = edge.ids.generate("req");
    let started = Instant::now();
    let method = method(&request);
    let route = route(&request);
    let span = tracing::trace_span!(
        target: SPANS,
        "http.server",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = tracing::field::Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty,
        mercato.request_id = id,
    );
    let answer = CURRENT_REQUEST_ID.scope(id.clone(), next.run(request)).instrument(span.clone());
    let mut response = answer.await;
    record(&span, &response);
    edge.requests.record((method, route, response.status().as_u16()), started.elapsed());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// One of the methods that HTTP defines (RFC 9110, RFC 5789). A caller can send any word as the method: kept as it
/// is, it would be a new metric each time, and could hold anything.
fn method(request: &Request) -> &'static str {
    match *request.method() {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

fn route(request: &Request) -> String {
    request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned())
}

fn record(span: &tracing::Span, response: &Response) {
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

/// As the OpenTelemetry conventions name them for `http.server.request.duration`.
fn labels((method, route, status): &Answered) -> Vec<Label> {
    let mut labels = vec![
        Label::from_static_parts("http_request_method", method),
        Label::new("http_route", route.clone()),
        Label::new("http_response_status_code", status.to_string()),
        Label::from_static_parts("url_scheme", "http"),
    ];
    if *status >= 500 {
        labels.push(Label::new("error_type", status.to_string()));
    }
    labels
}

/// Brings what a layer or an extractor answered by itself into the one form of errors.
async fn in_error_form(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !(status.is_client_error() || status.is_server_error()) || is_json {
        return response;
    }
    let mut formed = layer_error(status).into_response();
    *formed.status_mut() = status;
    for told in [header::ALLOW, header::CONTENT_RANGE] {
        if let Some(value) = response.headers().get(&told) {
            formed.headers_mut().insert(told, value.clone());
        }
    }
    formed
}

fn layer_error(status: StatusCode) -> AppError {
    let message = match status {
        StatusCode::NOT_FOUND => "there is nothing at this path; GET /openapi.json lists what there is",
        StatusCode::METHOD_NOT_ALLOWED => {
            "this path does not take this method; the Allow header lists those it takes"
        }
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than is taken here",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            "the body must be JSON with the header Content-Type: application/json"
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            "there are no such bytes; Content-Range tells how many there are"
        }
        StatusCode::SERVICE_UNAVAILABLE => "the answer took too long; try again shortly",
        _ if status.is_client_error() => "the request cannot be read; GET /openapi.json tells its form",
        _ => "something went wrong on our side; it has been noted",
    };
    match Code::of_status(status) {
        Code::Unavailable => AppError::unavailable(message),
        code => AppError::new(code, message),
    }
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response<Body> {
    AppError::unexpected("a handler panicked").into_response()
}

/// Serves until `shutdown`, then finishes the requests in flight.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> std::io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_of_the_callers_own_making_is_not_kept() {
        let of = |word: &str| method(&Request::builder().method(word).body(Body::empty()).unwrap());
        assert_eq!(of("PATCH"), "PATCH");
        assert_eq!(of("CC-ABCD"), "_OTHER");
    }
}
