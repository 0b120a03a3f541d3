//! What a shop is told, checked as a shop checks it.

use std::time::UNIX_EPOCH;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use wire::{
    standard_webhooks::{self, WebhookSecret},
    timed_signature,
};

use crate::receiver::Received;

/// Contracts.md section 3.
const TOLERANCE_SECS: i64 = 300;

/// A webhook whose two signatures were right.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Such as `license-issued`.
    pub event: String,
    /// `dly_…`, the same on every retry.
    pub delivery_id: String,
    /// Its body.
    pub body: Value,
}

impl Webhook {
    /// Reads a request that a shop has received; fails unless both signatures, both ids and the path are right.
    pub fn verify(received: &Received, secret: &str) -> anyhow::Result<Self> {
        let header = |name: &str| received.header(name).with_context(|| format!("{name} is missing"));
        let now = i64::try_from(received.at.duration_since(UNIX_EPOCH)?.as_secs())?;
        timed_signature::verify(
            &[secret],
            header("x-carpha-signature")?,
            &received.body,
            now,
            TOLERANCE_SECS,
        )?;
        let delivery_id = header("webhook-id")?;
        standard_webhooks::verify(
            &[&secret.parse::<WebhookSecret>()?],
            delivery_id,
            header("webhook-timestamp")?,
            header("webhook-signature")?,
            &received.body,
            now,
            TOLERANCE_SECS,
        )?;
        ensure!(header("x-carpha-delivery-id")? == delivery_id, "the two headers name different deliveries");
        let event = header("x-carpha-event")?.to_owned();
        let path = received.uri.path();
        ensure!(
            path.ends_with(&format!("/admin/marketplace/{event}")),
            "{event} came to another path: {path}"
        );
        let body = serde_json::from_slice(&received.body).context("the body is no JSON")?;
        Ok(Self { event, delivery_id: delivery_id.to_owned(), body })
    }

    /// Whether a request is this event about this app; nothing is verified yet.
    pub(super) fn about(received: &Received, event: &str, app: &str) -> bool {
        let body: Value = serde_json::from_slice(&received.body).unwrap_or_default();
        received.header("x-carpha-event") == Some(event) && body["marketplace_id"] == app
    }

    /// A field of its body that must be text.
    pub fn text(&self, field: &str) -> anyhow::Result<&str> {
        self.body[field].as_str().with_context(|| format!("the webhook has no text `{field}`"))
    }

    /// The licence's key.
    pub fn license_key(&self) -> anyhow::Result<&str> {
        self.text("license_key")
    }
}
