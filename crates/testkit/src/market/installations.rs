//! Hosted and static apps in a shop, as its administrator handles them.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};

use super::{Reply, Shop};
use crate::eventually;

const PATH: &str = "/store/marketplace/installations";

/// What an administrator wants of an app, and what they let it do.
#[derive(Debug, Clone, Default)]
pub struct Consent<'a> {
    /// The one on offer when nothing is said.
    pub version: Option<&'a str>,
    /// The permissions that they grant.
    pub granted: &'a [&'a str],
    /// So long the answer is held until it is settled.
    pub wait_seconds: Option<u32>,
}

impl<'a> Consent<'a> {
    /// To the version on offer, with these permissions, waiting until it is settled.
    #[must_use]
    pub fn to(granted: &'a [&'a str]) -> Self {
        Self { version: None, granted, wait_seconds: Some(30) }
    }

    /// To this version.
    #[must_use]
    pub fn version(self, version: &'a str) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Without waiting.
    #[must_use]
    pub fn at_once(self) -> Self {
        Self { wait_seconds: None, ..self }
    }

    fn body(&self) -> Value {
        let mut body = json!({ "granted_permissions": self.granted });
        if let Some(version) = self.version {
            body["version"] = json!(version);
        }
        body
    }
}

impl Shop {
    /// Asks for an app, whatever comes of it.
    pub async fn install(&self, app: &str, consent: Consent<'_>) -> anyhow::Result<Reply> {
        let mut body = consent.body();
        body["marketplace_id"] = json!(app);
        self.administer(Method::POST, PATH, Some(&body), consent.wait_seconds).await
    }

    /// Asks for another version of an installation, whatever comes of it.
    pub async fn update(&self, id: &str, consent: Consent<'_>) -> anyhow::Result<Reply> {
        let path = format!("{PATH}/{id}/update");
        self.administer(Method::POST, &path, Some(&consent.body()), consent.wait_seconds).await
    }

    /// Asks for the removal of an installation, whatever comes of it.
    pub async fn remove(&self, id: &str, wait_seconds: Option<u32>) -> anyhow::Result<Reply> {
        self.administer(Method::DELETE, &format!("{PATH}/{id}"), None, wait_seconds).await
    }

    /// One of its installations.
    pub async fn installation(&self, id: &str) -> anyhow::Result<Value> {
        self.administrator().get(&format!("{PATH}/{id}")).await?.ok()
    }

    /// Its installations by this query, at most 100 of them.
    pub async fn installations(&self, query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
        let query: Vec<_> = query.iter().copied().chain([("limit", "100")]).collect();
        let page = self.administrator().query(PATH, &query).await?.ok()?;
        page["installations"].as_array().cloned().context("the answer holds no `installations`")
    }

    /// Its installation, once it is in this state.
    pub async fn installation_in(&self, id: &str, state: &str, limit: Duration) -> anyhow::Result<Value> {
        let last = Mutex::new(Value::Null);
        let look = async || {
            let found = self.installation(id).await.ok()?;
            last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&found);
            (found["state"] == state).then_some(found)
        };
        let found = eventually(&format!("the installation to be {state}"), limit, look).await;
        found.with_context(|| format!("it was {}", last.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Whether an API key is live in this shop, and whose it is.
    pub async fn introspect(&self, key: &str) -> anyhow::Result<Value> {
        let path = format!("{PATH}/introspect");
        self.administrator().post(&path, &json!({ "key": key })).await?.ok()
    }

    async fn administer(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        wait_seconds: Option<u32>,
    ) -> anyhow::Result<Reply> {
        let administrator = self.administrator();
        let request = administrator.request(method, path);
        let request = body.into_iter().fold(request, reqwest::RequestBuilder::json);
        let prefer =
            |request: reqwest::RequestBuilder, seconds| request.header("prefer", format!("wait={seconds}"));
        administrator.send(wait_seconds.into_iter().fold(request, prefer)).await
    }
}
