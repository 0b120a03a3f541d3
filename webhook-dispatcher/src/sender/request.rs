use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use platform::clock::millis;
use wire::{
    open2b::{self, AppSecret, Callback},
    standard_webhooks::{self, WebhookSecret},
    timed_signature,
};

use super::{Job, Live, Route};
use crate::domain::target::Target;

/// One attempt's request, whole. Nothing of our own traces goes to strangers.
pub struct Signed {
    /// Where to.
    pub target: Target,
    /// What it says of itself.
    pub headers: HeaderMap,
    /// What it says.
    pub body: Bytes,
}

/// Why a request could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CannotSign {
    /// The base URL was taken before and is unusable now.
    #[error(transparent)]
    Url(#[from] crate::domain::target::BadBaseUrl),
    /// Every secret of the endpoint has ended.
    #[error("the endpoint has no live secret")]
    NoSecret,
    /// What was stored is no callback; its text is never told, it may hold an API key.
    #[error("the message holds no callback")]
    NoCallback,
    /// An id or a name that does not fit into a header.
    #[error("a header cannot be written: {0}")]
    Header(#[from] header::InvalidHeaderValue),
}

impl Signed {
    /// Signs the job as of now. `validity`: how long a callback is good.
    pub fn new(job: &Job, now_ms: i64, validity: Duration) -> Result<Self, CannotSign> {
        match &job.recipient.route {
            Route::Shop { base_url, secrets } => {
                webhook(job, base_url.of_event(&job.event)?, secrets, now_ms)
            }
            Route::Operator { url, secrets } => webhook(job, url.target().clone(), secrets, now_ms),
            Route::App { url, secrets } => {
                let expires = (now_ms + millis(validity)).div_euclid(1000);
                callback(job, url.target().clone(), first_live(secrets, now_ms)?, expires)
            }
        }
    }
}

/// An event, signed by every live secret (contracts.md section 3).
fn webhook(
    job: &Job,
    target: Target,
    secrets: &[Live<WebhookSecret>],
    now_ms: i64,
) -> Result<Signed, CannotSign> {
    let secrets: Vec<&WebhookSecret> = live(secrets, now_ms).collect();
    if secrets.is_empty() {
        return Err(CannotSign::NoSecret);
    }
    Ok(Signed { target, headers: headers(job, &secrets, now_ms.div_euclid(1000))?, body: job.body.clone() })
}

/// A callback, signed by the oldest live secret alone: its form has room for one signature (contracts.md section 4).
fn callback(job: &Job, target: Target, secret: &AppSecret, expires: i64) -> Result<Signed, CannotSign> {
    let callback: Callback = serde_json::from_slice(&job.body).map_err(|_| CannotSign::NoCallback)?;
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, form)]);
    Ok(Signed { target, headers, body: open2b::form(&callback.sign(secret, expires)).into() })
}

fn first_live<S>(secrets: &[Live<S>], now_ms: i64) -> Result<&S, CannotSign> {
    live(secrets, now_ms).next().ok_or(CannotSign::NoSecret)
}

fn live<S>(secrets: &[Live<S>], now_ms: i64) -> impl Iterator<Item = &S> {
    let lives = move |one: &&Live<S>| one.expires_at_ms.is_none_or(|end| end > now_ms);
    secrets.iter().filter(lives).map(|one| &one.secret)
}

fn headers(job: &Job, secrets: &[&WebhookSecret], t: i64) -> Result<HeaderMap, header::InvalidHeaderValue> {
    let texts: Vec<&str> = secrets.iter().map(|secret| secret.expose()).collect();
    let id = HeaderValue::try_from(&job.lease.delivery_id)?;
    let carpha = timed_signature::sign(&texts, t, &job.body);
    let standard = standard_webhooks::sign(secrets, &job.lease.delivery_id, t, &job.body);
    let named = [
        ("x-carpha-event", HeaderValue::try_from(&job.event)?),
        ("x-carpha-delivery-id", id.clone()),
        ("x-carpha-signature", HeaderValue::try_from(carpha)?),
        ("webhook-id", id),
        ("webhook-timestamp", HeaderValue::from(t)),
        ("webhook-signature", HeaderValue::try_from(standard)?),
    ];
    let mut headers = job.recipient.headers.map().clone();
    headers.reserve(named.len() + 1);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in named {
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}
