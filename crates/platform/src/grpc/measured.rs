//! How many calls, how they ended, how long they took.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use metrics::Label;
use tokio::time::Instant;
use tonic::Code;
use tower::{Layer, Service};

use crate::telemetry::durations::{Durations, error_type};

/// A call by all that its measurement tells: the method and how it ended.
type Ended = (String, i32);

/// Counts and times each call by its method.
#[derive(Clone)]
pub(super) struct Measured {
    calls: Arc<Durations<Ended>>,
}

impl Measured {
    pub(super) fn new() -> Self {
        Self { calls: Arc::new(Durations::new("rpc_server_call_duration_seconds", labels)) }
    }
}

impl<S> Layer<S> for Measured {
    type Service = MeasuredService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        MeasuredService { inner, calls: Arc::clone(&self.calls) }
    }
}

#[derive(Clone)]
pub(super) struct MeasuredService<S> {
    inner: S,
    calls: Arc<Durations<Ended>>,
}

impl<S, B, R> Service<http::Request<B>> for MeasuredService<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let path = request.uri().path();
        let method = path.strip_prefix('/').unwrap_or(path).to_owned();
        let (calls, started) = (Arc::clone(&self.calls), Instant::now());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            calls.record(ended(method, &answer), started.elapsed());
            Ok(answer)
        })
    }
}

/// A call that failed before its body carries its status among the headers; one that went well does in the trailers.
fn ended<R>(method: String, answer: &http::Response<R>) -> Ended {
    let status = answer.headers().get("grpc-status").map(|value| Code::from_bytes(value.as_bytes()));
    match status.unwrap_or(Code::Ok) {
        // No method of ours, and whatever the caller made up must not become a metric.
        Code::Unimplemented => ("_OTHER".to_owned(), Code::Unimplemented.into()),
        code => (method, code.into()),
    }
}

/// As the OpenTelemetry conventions name them for `rpc.server.call.duration`.
fn labels((method, code): &Ended) -> Vec<Label> {
    let code = Code::from_i32(*code);
    let mut labels = vec![
        Label::from_static_parts("rpc_system_name", "grpc"),
        Label::new("rpc_method", method.clone()),
        Label::from_static_parts("rpc_response_status_code", name_of(code)),
    ];
    labels.extend(error_type(is_ours(code).then(|| name_of(code))));
    labels
}

/// Whether it is an error of the one who answers, not of the one who asks.
fn is_ours(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_method_of_the_callers_own_making_is_not_kept() {
        let answered = |status: &str| {
            let answer = http::Response::builder().header("grpc-status", status).body(()).unwrap();
            ended("mercato.x.v1.X/Y".to_owned(), &answer)
        };
        assert_eq!(answered("12"), ("_OTHER".to_owned(), 12));
        assert_eq!(answered("5"), ("mercato.x.v1.X/Y".to_owned(), 5));
        assert_eq!(ended("a/B".to_owned(), &http::Response::new(())), ("a/B".to_owned(), 0));
    }

    #[test]
    fn only_our_own_failures_are_errors() {
        let errors = |code: Code| labels(&("a/B".to_owned(), code.into())).len() - 3;
        assert_eq!((errors(Code::Unavailable), errors(Code::NotFound)), (1, 0));
    }
}
