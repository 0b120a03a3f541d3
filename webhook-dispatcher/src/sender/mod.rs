//! The pipeline of attempts: due deliveries are claimed, signed and sent, and what came of them is recorded.
//!
//! ```text
//! consumer ─ first attempts ───────┐
//! claimer ── due rows in batches ──┴→ jobs → worker → results → recorder (in batches)
//! ```
//!
//! A first attempt is made before any row tells of it: its message stays on the bus until the recorder has written what
//! came of it; one that is told to many, until that of the last of them. One that has to wait for its receiver is kept in the store, leased, while it waits, so that a receiver
//! that hangs holds no place of the consumer; its result is then written like that of a claimed one. Slots bound what is in the pipeline; what finds no slot goes to the store, where the claimer finds it.

mod claimer;
mod client;
mod failure;
mod gate;
mod line;
mod pool;
mod receipts;
mod recorder;
mod request;
mod resolver;
mod roots;
mod slots;
mod worker;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
pub use claimer::Claimer;
pub use client::{Client, ClientSettings};
use platform::telemetry::TraceContext;
pub use receipts::{Receipt, Receipts};
pub use recorder::Recorder;
pub use request::Signed;
pub use roots::{BadRoots, read_roots};
pub use slots::{Slot, Slots, Turn};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    time::Instant,
};
use tracing::Span;
use wire::{open2b::AppSecret, standard_webhooks::WebhookSecret};
pub use worker::Worker;

use crate::{
    domain::{
        answer::Answer,
        callback::Place,
        kind::Kind,
        settings::CustomHeaders,
        target::{BaseUrl, CallbackUrl},
    },
    store::{lease::Lease, message},
};

/// What a lease must hold beyond an attempt's timeout: the time to write the result before anyone else may claim the
/// delivery.
pub const RESULT_MARGIN: Duration = Duration::from_secs(5);

/// Whom to tell, and how.
#[derive(Debug)]
pub struct Recipient {
    /// `ep_…`.
    pub endpoint_id: String,
    /// How its requests are made.
    pub route: Route,
    /// What goes with each of them besides.
    pub headers: CustomHeaders,
    /// Since when every attempt has failed, as far as was known when this was read.
    pub failing_since_ms: Option<i64>,
}

impl Recipient {
    /// Without headers of its own.
    #[must_use]
    pub fn new(endpoint_id: String, route: Route) -> Self {
        Self { endpoint_id, route, headers: CustomHeaders::default(), failing_since_ms: None }
    }
}

/// How requests are made: where to, in which form, signed by what.
#[derive(Debug)]
pub enum Route {
    /// To a shop: JSON under its base URL.
    Shop {
        /// Its base URL.
        base_url: BaseUrl,
        /// Its secrets, newest first; every live one signs.
        secrets: Vec<Live<WebhookSecret>>,
    },
    /// To a hosted app: a form to its installation endpoint.
    App {
        /// The whole URL.
        url: CallbackUrl,
        /// Its secrets, oldest first; the first live one signs.
        secrets: Vec<Live<AppSecret>>,
    },
    /// To the operator: JSON to a whole URL.
    Operator {
        /// The whole URL.
        url: CallbackUrl,
        /// Its secrets; every live one signs.
        secrets: Vec<Live<WebhookSecret>>,
    },
}

impl Route {
    /// Its URL, as it is stored.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Self::Shop { base_url, .. } => base_url.as_str(),
            Self::App { url, .. } | Self::Operator { url, .. } => url.as_str(),
        }
    }
}

/// A secret and when it ends.
#[derive(Debug, Clone)]
pub struct Live<S> {
    /// The secret.
    pub secret: S,
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
    /// The name of the event, or the operation.
    pub event: String,
    /// Of a callback: its place among those of its app and shop.
    pub place: Option<Place>,
    /// Of an Install: when it is given up.
    pub give_up_at_ms: Option<i64>,
    /// Whom to tell.
    pub recipient: Arc<Recipient>,
    /// What to tell, byte by byte.
    pub body: Bytes,
    /// The trace of the message.
    pub trace: TraceContext,
    /// The place in the pipeline, free again when the job is done; none: no attempt is made now.
    pub slot: Option<Slot>,
    /// Of a first attempt: what the store is still to be told.
    pub fresh: Option<Box<Fresh>>,
    /// It finds out whether the endpoint's circuit may close.
    pub is_probe: bool,
}

/// What no row tells yet of a delivery whose first attempt is made.
#[derive(Debug)]
pub struct Fresh {
    /// Its message, which other deliveries may share. Its id is derived from the event.
    pub message: Arc<message::Model>,
    /// The instance that is told.
    pub instance_id: String,
    /// Given once the rows are written; without it, the message may not leave the bus.
    pub receipt: Receipt,
    /// Of one among many: its place in the pipeline.
    pub place: Option<OwnedSemaphorePermit>,
    /// Where its endpoint has all that its rate permits: it is due no sooner than then.
    pub not_before_ms: i64,
}

impl Job {
    /// By whose rules its answer is weighed.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of_event(&self.event)
    }

    /// Whether it is to be given up instead.
    #[must_use]
    pub fn is_over(&self, now_ms: i64) -> bool {
        self.give_up_at_ms.is_some_and(|end| end <= now_ms)
    }

    /// This first attempt, as the recorder is told of it while it is open.
    fn opened(&self, fresh: Box<Fresh>) -> Self {
        Self {
            lease: self.lease.clone(),
            lease_ends: self.lease_ends,
            failures: self.failures,
            event: self.event.clone(),
            place: self.place.clone(),
            give_up_at_ms: self.give_up_at_ms,
            recipient: Arc::clone(&self.recipient),
            body: self.body.clone(),
            trace: self.trace.clone(),
            slot: None,
            fresh: Some(fresh),
            is_probe: self.is_probe,
        }
    }
}

/// A job that has ended, or a first attempt that is to be kept in the store while it is open.
pub struct Finished {
    /// Which one.
    pub job: Job,
    /// What came of it.
    pub attempt: Attempt,
}

/// What came of a job.
pub enum Attempt {
    /// It was not begun.
    NotBegun,
    /// It waits for its receiver. Told once the store has it: nothing where its delivery is leased by this job from now
    /// on; where another hand-out of its message was quicker, what came in, so that its end is recorded as late.
    Open(oneshot::Sender<Option<Box<Fresh>>>),
    /// It was made.
    Made(Attempted),
}

impl Attempt {
    /// The attempt, if it was made.
    #[must_use]
    pub fn made(&self) -> Option<&Attempted> {
        match self {
            Self::Made(attempted) => Some(attempted),
            Self::NotBegun | Self::Open(_) => None,
        }
    }
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
