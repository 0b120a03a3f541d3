//! Requests out, bounded answers in.

use std::time::Duration;

use platform::secret::Secret;
use reqwest::{
    RequestBuilder, Response,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;

use super::ClientError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two pieces of an answer; a large artefact may take longer as a whole.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
const FETCH_TIMEOUT: Duration = Duration::from_mins(10);
/// A page of 100 apps with their manifests stays far below.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
const PUBLISHABLE_KEY: HeaderName = HeaderName::from_static("x-publishable-api-key");

pub(super) struct Transport {
    http: reqwest::Client,
    base: Url,
    publishable_key: HeaderValue,
    secret_key: Option<Secret>,
}

#[derive(Deserialize)]
struct ErrorBody {
    r#type: String,
    message: String,
}

impl Transport {
    pub(super) fn new(mut base: Url, key: &Secret, secret_key: Option<Secret>) -> Result<Self, ClientError> {
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(ClientError::BadConfiguration);
        }
        // `join` replaces what follows the last slash.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        platform::tls::install_provider();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent(concat!("mercato-tenant/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| ClientError::BadConfiguration)?;
        Ok(Self { http, base, publishable_key: secret_value(key)?, secret_key })
    }

    pub(super) fn has_secret_key(&self) -> bool {
        self.secret_key.is_some()
    }

    pub(super) fn get(&self, path: &str) -> Result<RequestBuilder, ClientError> {
        Ok(self.http.get(self.url(path)?).headers(self.headers()).timeout(CALL_TIMEOUT))
    }

    pub(super) fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<RequestBuilder, ClientError> {
        Ok(self.http.post(self.url(path)?).headers(self.headers()).timeout(CALL_TIMEOUT).json(body))
    }

    pub(super) fn delete(&self, path: &str) -> Result<RequestBuilder, ClientError> {
        Ok(self.http.delete(self.url(path)?).headers(self.headers()).timeout(CALL_TIMEOUT))
    }

    pub(super) fn as_administrator(&self, request: RequestBuilder) -> Result<RequestBuilder, ClientError> {
        let key = self.secret_key.as_ref().ok_or(ClientError::NoSecretKey)?;
        Ok(request.bearer_auth(key.expose()))
    }

    pub(super) async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, ClientError> {
        let response = request.send().await.map_err(|_| ClientError::Unreachable)?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let body = read(response, MAX_ANSWER).await?;
        serde_json::from_slice(&body).map_err(|_| ClientError::Unreadable)
    }

    pub(super) async fn fetch(&self, url: &str, limit: u64) -> Result<Vec<u8>, ClientError> {
        let url = self.base.join(url).map_err(|_| ClientError::BadDownloadUrl)?;
        let is_web = matches!(url.scheme(), "http" | "https") && url.has_host();
        if !is_web || (self.base.scheme() == "https" && url.scheme() != "https") {
            return Err(ClientError::BadDownloadUrl);
        }
        // The URL is signed; the keys are none of the storage's business.
        let request = self.http.get(url).timeout(FETCH_TIMEOUT);
        let response = request.send().await.map_err(|_| ClientError::Unreachable)?;
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        read(response, limit).await
    }

    fn url(&self, path: &str) -> Result<Url, ClientError> {
        self.base.join(path).map_err(|_| ClientError::BadConfiguration)
    }

    fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([(PUBLISHABLE_KEY, self.publishable_key.clone())])
    }
}

/// A header value that no log of the HTTP client shows.
pub(super) fn secret_value(text: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| ClientError::BadConfiguration)?;
    value.set_sensitive(true);
    Ok(value)
}

async fn refusal(response: Response) -> ClientError {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body = read(response, 64 * 1024).await.ok();
    let told = body.and_then(|body| serde_json::from_slice::<ErrorBody>(&body).ok());
    let (kind, message) = match told {
        Some(told) => (told.r#type, told.message),
        None => (String::new(), format!("the marketplace answered with status {status} and gave no reason")),
    };
    ClientError::Refused { status, kind, message, retry_after: retry_after.map(Duration::from_secs) }
}

async fn read(mut response: Response, limit: u64) -> Result<Vec<u8>, ClientError> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(ClientError::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| ClientError::Unreachable)? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(ClientError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
