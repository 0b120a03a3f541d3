//! A client that looks at answers before it judges them.

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

const LIMIT: std::time::Duration = std::time::Duration::from_secs(35);

/// A client without proxies, redirects or certificates: everything a test talks to is on this machine.
pub fn client() -> anyhow::Result<reqwest::Client> {
    // A second installation fails, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().tls_certs_only([]).redirect(reqwest::redirect::Policy::none());
    Ok(client.no_proxy().timeout(LIMIT).build()?)
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body byte by byte.
    pub bytes: Bytes,
    /// Its body as JSON; null where it is none.
    pub body: Value,
    asked: String,
}

impl Reply {
    /// The body of an answer of success; anything else fails with the whole answer.
    pub fn ok(self) -> anyhow::Result<Value> {
        self.success()?;
        Ok(self.body)
    }

    /// Fails with the whole answer unless it is one of success.
    pub fn success(&self) -> anyhow::Result<()> {
        let text = String::from_utf8_lossy(&self.bytes);
        ensure!((200..300).contains(&self.status), "{} answered {}: {text}", self.asked, self.status);
        Ok(())
    }

    /// `type` of an error answer.
    #[must_use]
    pub fn error_type(&self) -> &str {
        self.text_at("type")
    }

    /// `message` of an error answer.
    #[must_use]
    pub fn message(&self) -> &str {
        self.text_at("message")
    }

    /// A header as text; empty where it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn text_at(&self, field: &str) -> &str {
        self.body[field].as_str().unwrap_or_default()
    }
}

/// Somebody with a key, at one base URL.
#[derive(Debug, Clone)]
pub struct Caller {
    client: reqwest::Client,
    base: String,
    credentials: Vec<(&'static str, String)>,
}

impl Caller {
    /// Without credentials.
    pub fn new(base: &str) -> anyhow::Result<Self> {
        Ok(Self { client: client()?, base: base.to_owned(), credentials: Vec::new() })
    }

    /// The same client with this header in addition.
    #[must_use]
    pub fn with(&self, header: &'static str, value: impl Into<String>) -> Self {
        let mut caller = self.clone();
        caller.credentials.push((header, value.into()));
        caller
    }

    /// The same client with `Authorization: Bearer …` in addition.
    #[must_use]
    pub fn bearer(&self, key: &str) -> Self {
        self.with("authorization", format!("Bearer {key}"))
    }

    /// A request to `path`, which may be a whole URL, with the credentials.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = if path.starts_with('/') { format!("{}{path}", self.base) } else { path.to_owned() };
        let request = self.client.request(method, url);
        self.credentials.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    /// Sends a request and reads its whole answer; an error means that none came.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Reply> {
        let request = request.build()?;
        // Without the query: it may hold what a log should not.
        let asked = format!("{} {}", request.method(), request.url().path());
        let answer = self.client.execute(request).await.with_context(|| format!("no answer to {asked}"))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await.with_context(|| format!("the answer to {asked} broke off"))?;
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Reply { status, headers, bytes, body, asked })
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.send(self.request(Method::GET, path)).await
    }

    /// `GET` with a query, which is escaped here.
    pub async fn query(&self, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Reply> {
        self.send(self.request(Method::GET, path).query(query)).await
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.send(self.request(Method::POST, path).json(body)).await
    }
}
