//! One signed request.

use std::time::Duration;

use reqwest::Client;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;

use super::signature;
use crate::ambient;
use crate::domain::delivery::{Answer, Endpoint};

const TIMEOUT: Duration = Duration::from_secs(10);
/// An answer's body is read only so that the connection can be used again; a longer one costs that.
const MAX_BODY: usize = 64 * 1024;

/// Sends events to endpoints.
#[derive(Clone)]
pub(crate) struct Sender {
    client: Client,
}

impl Sender {
    /// A sender with a pool of connections of its own.
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        // Fails only where a provider is installed already, and then that one serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).no_proxy().build()?;
        Ok(Self { client })
    }

    /// Signs the body for this moment and sends it.
    pub(crate) async fn send(&self, endpoint: &Endpoint, body: Vec<u8>) -> Answer {
        let signature = signature::header(&endpoint.secret, ambient::now(), &body);
        let request = self
            .client
            .post(&endpoint.url)
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
            .header("Stripe-Signature", signature)
            .body(body);
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                drain(response).await;
                Answer::Status(status)
            }
            Err(error) if error.is_timeout() => Answer::TimedOut,
            Err(_) => Answer::Unreachable,
        }
    }
}

async fn drain(mut response: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > MAX_BODY {
            return;
        }
    }
}
