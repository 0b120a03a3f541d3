//! What lies between the service and the stand-in for Stripe: it passes calls on, or answers as a bad day would.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::{OriginalUri, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use tokio::net::TcpListener;

/// What happens to a call.
#[derive(Debug, Clone)]
pub(crate) enum Mood {
    /// Stripe never sees it.
    LoseCall,
    /// Stripe does it, and its answer is lost.
    LoseAnswer,
    /// Stripe answers this.
    Answer(u16, &'static str),
}

/// A call as it was made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) idempotency_key: String,
    pub(crate) version: String,
    pub(crate) form: String,
}

#[derive(Clone)]
pub(crate) struct StripeFront {
    stripe: String,
    client: reqwest::Client,
    moods: Arc<Mutex<VecDeque<Mood>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl StripeFront {
    /// Its address and itself, before the stand-in at `stripe`.
    pub(crate) async fn start(stripe: &str) -> (String, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let front = Self {
            stripe: stripe.to_owned(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            moods: Arc::default(),
            calls: Arc::default(),
        };
        let router = Router::new().fallback(take).with_state(front.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, front)
    }

    /// What happens to the next calls, one by one; those after them are passed on.
    pub(crate) fn next(&self, moods: impl IntoIterator<Item = Mood>) {
        self.moods.lock().unwrap().extend(moods);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    async fn pass_on(&self, path: &str, headers: HeaderMap, body: Bytes) -> Response {
        let request = self.client.post(format!("{}{path}", self.stripe)).headers(headers).body(body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.bytes().await.unwrap()).into_response()
    }
}

async fn take(
    State(front): State<StripeFront>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    front.calls.lock().unwrap().push(Call {
        idempotency_key: header("idempotency-key"),
        version: header("stripe-version"),
        form: String::from_utf8(body.to_vec()).unwrap(),
    });
    let mood = front.moods.lock().unwrap().pop_front();
    match mood {
        None => front.pass_on(uri.path(), headers, body).await,
        Some(Mood::LoseCall) => StatusCode::BAD_GATEWAY.into_response(),
        Some(Mood::LoseAnswer) => {
            front.pass_on(uri.path(), headers, body).await;
            StatusCode::BAD_GATEWAY.into_response()
        }
        Some(Mood::Answer(status, body)) => (StatusCode::from_u16(status).unwrap(), body).into_response(),
    }
}
