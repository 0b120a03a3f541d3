use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;
use wire::{standard_webhooks, standard_webhooks::WebhookSecret, timed_signature};

use super::Job;

/// One attempt's request, whole. Nothing of our own traces goes to strangers.
pub struct Signed {
    /// Where to.
    pub url: Url,
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
    /// An id or a name that does not fit into a header.
    #[error("a header cannot be written: {0}")]
    Header(#[from] header::InvalidHeaderValue),
}

impl Signed {
    /// Signs the job as of now, for every live secret (contracts.md section 3).
    pub fn new(job: &Job, now_ms: i64) -> Result<Self, CannotSign> {
        let url = job.recipient.base_url.of_event(&job.event)?;
        let live = |end: Option<i64>| end.is_none_or(|end| end > now_ms);
        let secrets: Vec<&WebhookSecret> = job
            .recipient
            .secrets
            .iter()
            .filter(|one| live(one.expires_at_ms))
            .map(|one| &one.secret)
            .collect();
        if secrets.is_empty() {
            return Err(CannotSign::NoSecret);
        }
        Ok(Self { url, headers: headers(job, &secrets, now_ms.div_euclid(1000))?, body: job.body.clone() })
    }
}

fn headers(job: &Job, secrets: &[&WebhookSecret], t: i64) -> Result<HeaderMap, header::InvalidHeaderValue> {
    let texts: Vec<&str> = secrets.iter().map(|secret| secret.expose()).collect();
    let id = job.lease.delivery_id.as_str();
    let named = [
        ("x-carpha-event", job.event.clone()),
        ("x-carpha-delivery-id", id.to_owned()),
        ("x-carpha-signature", timed_signature::sign(&texts, t, &job.body)),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", t.to_string()),
        ("webhook-signature", standard_webhooks::sign(secrets, id, t, &job.body)),
    ];
    let mut headers = HeaderMap::with_capacity(named.len() + 1);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in named {
        headers.insert(HeaderName::from_static(name), HeaderValue::try_from(value)?);
    }
    Ok(headers)
}
