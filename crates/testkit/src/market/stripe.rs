//! The stand-in for Stripe, in the test's own process, told what happens by its control API.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};
use stripe_sim::{RetrySchedule, Running, SimConfig, StripeSim, WebhookEndpoint};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Caller, Keys, Reply, admin::text};
use crate::local_address;

/// A running stand-in; it ends with this value.
pub struct Stripe {
    running: Running,
    caller: Caller,
    api: Caller,
    end: DropGuard,
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stripe").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Stripe {
    /// Starts one that sends its events to this URL, and keeps its state in this file if there is one.
    pub async fn start(keys: &Keys, webhook_url: &str, data: Option<PathBuf>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(local_address(0)).await?;
        let config = SimConfig {
            api_key: keys.stripe_api_key.clone(),
            endpoints: vec![WebhookEndpoint::new(webhook_url, &keys.stripe_webhook_secret)],
            data,
            // Quick and without end: the services are killed and come back.
            retry: RetrySchedule::new([100, 200, 500, 1_000].map(std::time::Duration::from_millis).into()),
            ..SimConfig::new(listener)
        };
        let stop = CancellationToken::new();
        let running = StripeSim::start(config, stop.clone()).await?;
        let caller = Caller::new(running.url())?;
        let api = caller.bearer(&keys.stripe_api_key);
        Ok(Self { running, caller, api, end: stop.drop_guard() })
    }

    /// The base of its API and of its pay pages.
    #[must_use]
    pub fn url(&self) -> &str {
        self.running.url()
    }

    /// The buyer pays.
    pub async fn pay(&self, session_id: &str) -> anyhow::Result<()> {
        self.act(session_id, "pay", &json!({})).await?.success()
    }

    /// Lets something else happen to a session: `decline`, `pay_later`, `settle`, `fail`, `expire`, `refund`, …
    pub async fn act(&self, session_id: &str, act: &str, with: &Value) -> anyhow::Result<Reply> {
        self.caller.post(&format!("/sim/sessions/{session_id}/{act}"), with).await
    }

    /// Events are recorded from now on, but not sent.
    pub async fn pause(&self) -> anyhow::Result<()> {
        self.caller.post("/sim/delivery/pause", &json!({})).await?.success()
    }

    /// Sends what was held, and everything from now on.
    pub async fn resume(&self) -> anyhow::Result<()> {
        self.caller.post("/sim/delivery/resume", &json!({})).await?.success()
    }

    /// Sends an event that many times at once; the statuses that came back.
    pub async fn deliver(&self, event_id: &str, times: usize) -> anyhow::Result<Vec<u64>> {
        let path = format!("/sim/events/{event_id}/deliver");
        let sent = self.caller.post(&path, &json!({ "times": times })).await?.ok()?;
        let answers = sent["answers"].as_array().context("no answers")?;
        answers.iter().map(|one| one["status"].as_u64().context("no answer came")).collect()
    }

    /// The newest events of a type, newest first, as Stripe's own API lists them.
    pub async fn events(&self, event_type: &str) -> anyhow::Result<Vec<Value>> {
        let query = [("type", event_type), ("limit", "100")];
        let page = self.api.query("/v1/events", &query).await?.ok()?;
        page["data"].as_array().cloned().context("no data")
    }

    /// The order that each paid session names in its metadata.
    pub async fn paid_orders(&self) -> anyhow::Result<Vec<String>> {
        let (mut orders, mut last) = (Vec::new(), None::<String>);
        loop {
            let mut query = vec![("status", "complete"), ("limit", "100")];
            query.extend(last.as_deref().map(|last| ("starting_after", last)));
            let page = self.api.query("/v1/checkout/sessions", &query).await?.ok()?;
            let sessions = page["data"].as_array().context("no data")?;
            for session in sessions.iter().filter(|session| session["payment_status"] == "paid") {
                orders.push(text(&session["metadata"], "order_id")?);
            }
            match sessions.last() {
                Some(session) if page["has_more"] == true => last = Some(text(session, "id")?),
                _ => return Ok(orders),
            }
        }
    }

    /// How many of its events have not been taken yet.
    pub async fn undelivered(&self) -> anyhow::Result<usize> {
        let pending = self.caller.query("/sim/deliveries", &[("status", "pending")]).await?.ok()?;
        Ok(pending["deliveries"].as_array().context("no deliveries")?.len())
    }

    /// For the rest of its control API (without a key, below `/sim`).
    #[must_use]
    pub fn control(&self) -> &Caller {
        &self.caller
    }

    /// For Stripe's API itself.
    #[must_use]
    pub fn api(&self) -> &Caller {
        &self.api
    }

    /// Ends it, once what it keeps is saved.
    pub async fn stop(self) {
        drop(self.end);
        self.running.stopped().await;
    }
}
