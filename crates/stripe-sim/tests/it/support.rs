//! A stand-in on a free port, and a receiver of its events that answers as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Response, redirect::Policy};
use serde_json::Value;
use sha2::Sha256;
use stripe_sim::{DEFAULT_API_KEY, RetrySchedule, Running, SimConfig, StripeSim, WebhookEndpoint};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "whsec_test";
pub(crate) const PURCHASE: &[(&str, &str)] = &[
    ("mode", "payment"),
    ("line_items[0][price_data][currency]", "eur"),
    ("line_items[0][price_data][unit_amount]", "4900"),
    ("line_items[0][price_data][product_data][name]", "SEO <Essentials>"),
    ("line_items[0][quantity]", "1"),
    ("success_url", "http://127.0.0.1:9/done?s={CHECKOUT_SESSION_ID}"),
    ("cancel_url", "http://127.0.0.1:9/back"),
    ("customer_email", "ada@shop.example"),
    ("client_reference_id", "ord_1"),
    ("metadata[order]", "ord_1"),
    ("payment_intent_data[metadata][order]", "ord_1"),
];

/// Plain HTTP only, redirects left to be looked at.
pub(crate) fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().redirect(Policy::none()).no_proxy().build().unwrap()
}

pub(crate) struct Sim {
    running: Running,
    stop: CancellationToken,
    pub(crate) client: Client,
    pub(crate) url: String,
}

impl Sim {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn start_for(receiver: &Receiver) -> Self {
        Self::start_with(|config| config.endpoints = vec![receiver.endpoint()]).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut SimConfig)) -> Self {
        let mut config = SimConfig::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        config.retry = RetrySchedule::new(vec![Duration::from_millis(20)]);
        adjust(&mut config);
        let stop = CancellationToken::new();
        let running = StripeSim::start(config, stop.clone()).await.unwrap();
        let url = running.url().to_owned();
        Self { running, stop, client: client(), url }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        drop(self.client);
        self.running.stopped().await;
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).bearer_auth(DEFAULT_API_KEY).send().await.unwrap()
    }

    pub(crate) async fn post_form(&self, path: &str, form: &[(&str, &str)], key: Option<&str>) -> Response {
        let mut request =
            self.client.post(format!("{}{path}", self.url)).bearer_auth(DEFAULT_API_KEY).form(form);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn control(&self, path: &str, body: Value) -> Response {
        self.client.post(format!("{}/sim/{path}", self.url)).json(&body).send().await.unwrap()
    }

    pub(crate) async fn click(&self, session: &str, button: &str) -> Response {
        self.client.post(format!("{}/pay/{session}/{button}", self.url)).send().await.unwrap()
    }

    pub(crate) async fn create_session(&self) -> String {
        let answer = self.post_form("/v1/checkout/sessions", PURCHASE, None).await;
        assert_eq!(answer.status(), 200);
        answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn pay(&self) -> String {
        let session = self.create_session().await;
        let answer = self.control(&format!("sessions/{session}/pay"), Value::Null).await;
        // `null` is a body, and no act takes one but those with options.
        assert_eq!(answer.status(), 200);
        session
    }

    /// Asks again until the answer is as wanted: the record of a delivery follows the receiver's answer.
    pub(crate) async fn json_when(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let answer = self.json(path).await;
                if wanted(&answer) {
                    return answer;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), asking).await.expect("the answer within ten seconds")
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        self.get(path).await.json().await.unwrap()
    }
}

pub(crate) struct Received {
    pub(crate) signature: String,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The check of docs.stripe.com/webhooks#verify-manually.
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let (time, signature) = self.signature.split_once(',').unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{}.", time.strip_prefix("t=").unwrap()).as_bytes());
        mac.update(&self.body);
        signature == format!("v1={}", hex::encode(mac.finalize().into_bytes()))
    }
}

#[derive(Clone)]
struct Inbox {
    sender: mpsc::UnboundedSender<Received>,
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
}

/// Receives events; answers 200, or what was queued.
pub(crate) struct Receiver {
    url: String,
    inbox: Inbox,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let inbox = Inbox { sender, answers: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(inbox.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, inbox, received }
    }

    /// Takes only what closes a checkout, so that each act brings one event.
    pub(crate) fn endpoint(&self) -> WebhookEndpoint {
        let mut endpoint = WebhookEndpoint::new(&self.url, SECRET);
        endpoint.enabled_events =
            vec!["checkout.session.*".into(), "charge.refunded".into(), "charge.dispute.*".into()];
        endpoint
    }

    pub(crate) fn answers(&self, statuses: &[u16]) {
        let statuses = statuses.iter().map(|status| StatusCode::from_u16(*status).unwrap());
        self.inbox.answers.lock().unwrap().extend(statuses);
    }

    pub(crate) async fn next(&mut self) -> Received {
        let waiting = tokio::time::timeout(Duration::from_secs(10), self.received.recv());
        waiting.await.expect("an event within ten seconds").unwrap()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.received.is_empty()
    }
}

async fn take(State(inbox): State<Inbox>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
    let answer = inbox.answers.lock().unwrap().pop_front().unwrap_or(StatusCode::OK);
    let _ = inbox.sender.send(Received { signature, body });
    answer
}
