//! The pipeline of attempts: due deliveries are claimed, signed and sent, and what came of them is recorded.
//!
//! ```text
//! consumer ─ fresh, already leased ─┐
//! claimer ── due rows in batches ───┴→ jobs → worker → results → recorder (in batches)
//! ```
//!
//! Slots bound what is in the pipeline; what finds no slot stays in the store, where the claimer finds it.

mod claimer;
mod client;
mod recorder;
mod request;
mod resolver;
mod slots;
mod worker;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
pub use claimer::Claimer;
pub use client::{Client, ClientSettings};
use platform::telemetry::TraceContext;
pub use recorder::Recorder;
pub use request::Signed;
pub use slots::{Slot, Slots};
use tokio::time::Instant;
use tracing::Span;
use wire::standard_webhooks::WebhookSecret;
pub use worker::Worker;

use crate::{
    domain::{answer::Answer, target::BaseUrl},
    store::lease::Lease,
};

/// What a lease must hold beyond an attempt's timeout: the time to write the result before anyone else may claim the
/// delivery.
pub const RESULT_MARGIN: Duration = Duration::from_secs(5);

/// Whom to tell, and how to sign.
#[derive(Debug)]
pub struct Recipient {
    /// `ep_…`.
    pub endpoint_id: String,
    /// Its instance.
    pub instance_id: String,
    /// Its base URL.
    pub base_url: BaseUrl,
    /// Its secrets, newest first.
    pub secrets: Vec<LiveSecret>,
}

/// A secret and when it ends.
#[derive(Debug, Clone)]
pub struct LiveSecret {
    /// The secret.
    pub secret: WebhookSecret,
    /// `None`: lives until it is rotated.
    pub expires_at_ms: Option<i64>,
}

/// One attempt to be made.
pub struct Job {
    /// The right to make it.
    pub lease: Lease,
    /// When that right ends, by this process's own reckoning.
    pub lease_ends: Instant,
    /// Failed attempts before this one.
    pub failures: u32,
    /// The name of the event.
    pub event: String,
    /// Whom to tell.
    pub recipient: Arc<Recipient>,
    /// What to tell, byte by byte.
    pub body: Bytes,
    /// The trace of the message.
    pub trace: TraceContext,
    /// The place in the pipeline; free again when the job is done.
    pub slot: Slot,
}

/// A job that has ended.
pub struct Finished {
    /// Which one.
    pub job: Job,
    /// What came of it; `None`: it was not begun.
    pub attempt: Option<Attempted>,
}

/// An attempt that was made.
pub struct Attempted {
    /// When, by the service's clock.
    pub started_at_ms: i64,
    /// How long it took.
    pub duration_ms: i64,
    /// What it came to.
    pub answer: Answer,
    /// Its span, under which its consequences are announced.
    pub span: Span,
}
