//! One error code, two protocols (contracts.md section 2, "Errors").

use std::{borrow::Cow, error::Error, fmt, sync::Arc};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tonic::{Status, metadata::MetadataValue};

/// What kind of failure it is. Each has one HTTP status and one gRPC code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// 400: the request itself is wrong.
    InvalidData,
    /// 401: no credential, or one that is not known.
    Unauthorized,
    /// 402: a licence is needed and is not there.
    PaymentRequired,
    /// 403: the caller may not do this.
    NotAllowed,
    /// 404: it does not exist, or not for this caller.
    NotFound,
    /// 409: it contradicts what is already there.
    Conflict,
    /// 413: more bytes than are taken.
    TooLarge,
    /// 429: too many requests.
    RateLimited,
    /// 503: something that is needed is away; may pass.
    Unavailable,
    /// 500: a fault of ours; nothing of it is told.
    Unexpected,
}

const CODES: [(Code, &str, StatusCode, tonic::Code); 10] = [
    (Code::InvalidData, "invalid_data", StatusCode::BAD_REQUEST, tonic::Code::InvalidArgument),
    (Code::Unauthorized, "unauthorized", StatusCode::UNAUTHORIZED, tonic::Code::Unauthenticated),
    (
        Code::PaymentRequired,
        "payment_required",
        StatusCode::PAYMENT_REQUIRED,
        tonic::Code::FailedPrecondition,
    ),
    (Code::NotAllowed, "not_allowed", StatusCode::FORBIDDEN, tonic::Code::PermissionDenied),
    (Code::NotFound, "not_found", StatusCode::NOT_FOUND, tonic::Code::NotFound),
    (Code::Conflict, "conflict", StatusCode::CONFLICT, tonic::Code::AlreadyExists),
    (Code::TooLarge, "too_large", StatusCode::PAYLOAD_TOO_LARGE, tonic::Code::OutOfRange),
    (Code::RateLimited, "rate_limited", StatusCode::TOO_MANY_REQUESTS, tonic::Code::ResourceExhausted),
    (Code::Unavailable, "unavailable", StatusCode::SERVICE_UNAVAILABLE, tonic::Code::Unavailable),
    (Code::Unexpected, "unexpected", StatusCode::INTERNAL_SERVER_ERROR, tonic::Code::Internal),
];

impl Code {
    fn row(self) -> &'static (Self, &'static str, StatusCode, tonic::Code) {
        CODES.iter().find(|row| row.0 == self).unwrap_or(&CODES[9])
    }

    /// The `type` of the error body.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.row().2
    }

    fn grpc(self) -> tonic::Code {
        self.row().3
    }

    /// The code of an HTTP status that some layer answered by itself.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match CODES.iter().find(|row| row.2 == status) {
            Some(row) => row.0,
            None if status.is_client_error() => Self::InvalidData,
            None => Self::Unexpected,
        }
    }

    fn of_grpc(code: tonic::Code) -> Self {
        match code {
            tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => Self::Unavailable,
            _ => CODES.iter().find(|row| row.3 == code).map_or(Self::Unexpected, |row| row.0),
        }
    }
}

/// A failure with what a person may read of it, and the cause that only logs see.
#[derive(Clone)]
pub struct AppError {
    code: Code,
    message: Cow<'static, str>,
    retry_after_seconds: Option<u32>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The result of a use case.
pub type AppResult<T> = Result<T, AppError>;

impl AppError {
    /// An error whose message says what was wrong and what would be right.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_after_seconds: None, cause: None }
    }

    /// 400.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidData, message)
    }

    /// 401.
    pub fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Unauthorized, message)
    }

    /// 403.
    pub fn not_allowed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NotAllowed, message)
    }

    /// 404.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::NotFound, message)
    }

    /// 409.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Conflict, message)
    }

    /// 503, asking the caller to come back after a second.
    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self { retry_after_seconds: Some(1), ..Self::new(Code::Unavailable, message) }
    }

    /// 500. The cause is logged where the error is answered, and never told.
    pub fn unexpected(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Code::Unexpected, "something went wrong on our side; it has been noted").caused_by(cause)
    }

    /// Adds the internal cause, for the log only.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(Arc::from(cause.into()));
        self
    }

    /// Tells the caller when to come back (`Retry-After`).
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What a person may read.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same request may succeed later without being changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.code, Code::Unavailable | Code::Unexpected | Code::RateLimited)
    }

    fn log(&self) {
        if let Some(cause) = &self.cause {
            tracing::error!(code = self.code.as_str(), cause = %Chain(cause.as_ref()), "request failed");
        }
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)?;
        match &self.cause {
            Some(cause) => write!(f, " ({})", Chain(cause.as_ref())),
            None => Ok(()),
        }
    }
}

impl Error for AppError {}

/// An error with its sources on one line.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl From<sea_orm::DbErr> for AppError {
    /// A store that is away may come back; anything else is a fault of ours.
    fn from(error: sea_orm::DbErr) -> Self {
        if crate::db::may_pass(&error) {
            return Self::unavailable("the store cannot be reached right now; try again shortly")
                .caused_by(error);
        }
        Self::unexpected(error)
    }
}

const CODE_KEY: &str = "mercato-code";
const RETRY_KEY: &str = "mercato-retry-after";

impl From<AppError> for Status {
    fn from(error: AppError) -> Self {
        error.log();
        let mut status = Status::new(error.code.grpc(), error.message.as_ref());
        status.metadata_mut().insert(CODE_KEY, MetadataValue::from_static(error.code.as_str()));
        if let Some(seconds) = error.retry_after_seconds {
            status.metadata_mut().insert(RETRY_KEY, MetadataValue::from(seconds));
        }
        status
    }
}

impl From<Status> for AppError {
    /// What one of our own services answered comes through as it was said; what the transport says does not.
    fn from(status: Status) -> Self {
        let told = status.metadata().get(CODE_KEY).and_then(|value| value.to_str().ok());
        if let Some(row) = CODES.iter().find(|row| Some(row.1) == told) {
            let retry = status.metadata().get(RETRY_KEY).and_then(|value| value.to_str().ok()?.parse().ok());
            return Self { retry_after_seconds: retry, ..Self::new(row.0, status.message().to_owned()) };
        }
        // A status that was answered has no source; one that tonic made of a broken connection has.
        let broke = Error::source(&status).is_some();
        match Code::of_grpc(status.code()) {
            code if broke || code == Code::Unavailable => {
                Self::unavailable("a part of the marketplace is away; try again shortly")
            }
            _ => Self::unexpected("a service answered unlike itself"),
        }
        .caused_by(status)
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        self.log();
        let body = Body {
            r#type: self.code.as_str(),
            message: &self.message,
            request_id: crate::http::current_request_id(),
        };
        let mut response = (self.code.status(), Json(body)).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_way_over_grpc() {
        for (code, ..) in CODES {
            let there: Status = AppError::new(code, "what would be right").retry_after(7).into();
            let back = AppError::from(there);
            assert_eq!((back.code(), back.message()), (code, "what would be right"));
            assert_eq!(back.retry_after_seconds, Some(7));
        }
    }

    #[test]
    fn a_cause_is_never_told() {
        let error = AppError::unexpected("password=hunter2");
        assert!(!Status::from(error.clone()).message().contains("hunter2"));
        assert!(!error.to_string().contains("hunter2"));
        assert!(format!("{error:?}").contains("hunter2"), "the log still sees it");
    }

    #[test]
    fn a_transport_failure_is_unavailable_and_says_nothing_of_the_inside() {
        let error = AppError::from(Status::unavailable("tcp connect error 10.0.0.7:7102"));
        assert_eq!(error.code(), Code::Unavailable);
        assert!(!error.message().contains("10.0.0.7"));
    }

    #[test]
    fn a_store_whose_connection_breaks_in_the_middle_of_a_statement_is_unavailable() {
        use sea_orm::{DbErr, RuntimeErr, sqlx};

        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let broken = DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(reset))));
        assert_eq!(AppError::from(broken).code(), Code::Unavailable);
        let wrong = DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::RowNotFound)));
        assert_eq!(AppError::from(wrong).code(), Code::Unexpected);
    }

    #[test]
    fn a_connection_that_breaks_in_the_middle_of_a_call_is_unavailable() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let error = AppError::from(Status::from_error(Box::new(reset)));
        assert_eq!(error.code(), Code::Unavailable);
        let answered = AppError::from(Status::unknown("of no service of ours"));
        assert_eq!(answered.code(), Code::Unexpected);
    }
}
