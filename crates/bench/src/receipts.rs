//! The shops of `sale`: one server that notes when it was told of what, and answers 204.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use testkit::local_address;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::AbortHandle,
    time::{Instant, timeout},
};

/// Which shop was told of which app.
pub(crate) type What = (String, String);

/// The server; it ends with this value.
pub(crate) struct Receipts {
    address: SocketAddr,
    noted: Arc<Noted>,
    task: AbortHandle,
}

#[derive(Default)]
struct Noted {
    at: Mutex<HashMap<What, Instant>>,
    grown: Notify,
}

impl Receipts {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(local_address(0)).await?;
        let (address, noted) = (listener.local_addr()?, Arc::<Noted>::default());
        let task = tokio::spawn(accept(listener, Arc::clone(&noted))).abort_handle();
        Ok(Self { address, noted, task })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of a shop.
    pub(crate) fn base_url(&self, shop: &str) -> String {
        format!("http://{}/{shop}", self.address)
    }

    /// When a shop was first told of an app.
    pub(crate) fn at(&self, what: &What) -> Option<Instant> {
        self.noted.lock().get(what).copied()
    }

    /// Waits until all of these have come; when the last did.
    pub(crate) async fn wait_for(&self, all: &[&What], limit: Duration) -> anyhow::Result<Instant> {
        let came = async {
            let mut open = all.to_vec();
            loop {
                let mut grown = std::pin::pin!(self.noted.grown.notified());
                grown.as_mut().enable();
                {
                    let noted = self.noted.lock();
                    open.retain(|what| !noted.contains_key(what));
                }
                if open.is_empty() {
                    return;
                }
                grown.await;
            }
        };
        let open = || all.iter().filter(|what| self.at(what).is_none()).count();
        timeout(limit, came)
            .await
            .with_context(|| format!("{} of {} shops were not told", open(), all.len()))?;
        all.iter().filter_map(|what| self.at(what)).max().context("nothing to wait for")
    }
}

impl Drop for Receipts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Noted {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<What, Instant>> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, what: What) {
        self.lock().entry(what).or_insert_with(Instant::now);
        self.grown.notify_waiters();
    }
}

async fn accept(listener: TcpListener, noted: Arc<Noted>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&noted)));
    }
}

/// Until the other side closes: how it does is of no matter here.
async fn serve(stream: TcpStream, noted: Arc<Noted>) {
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| receive(request, Arc::clone(&noted)));
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

async fn receive(
    request: Request<Incoming>,
    noted: Arc<Noted>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let shop = request.uri().path().split('/').nth(1).unwrap_or_default().to_owned();
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    let Ok(body) = request.into_body().collect().await else { return Ok(answer) };
    let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    if let Some(app) = body["marketplace_id"].as_str() {
        noted.note((shop, app.to_owned()));
        *answer.status_mut() = StatusCode::NO_CONTENT;
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{HeaderMap, Method};

    use super::*;
    use crate::{load::Ask, open_loop::Pool};

    fn webhook(shop: &str, app: &str) -> Ask {
        let headers: HeaderMap = [("host".parse().unwrap(), "here".parse().unwrap())].into_iter().collect();
        let body = serde_json::json!({ "marketplace_id": app }).to_string().into();
        Ask { method: Method::POST, path: format!("/{shop}/admin/marketplace/license-issued"), headers, body }
    }

    #[tokio::test]
    async fn a_receipt_is_noted_for_its_shop_and_app_and_only_the_first_counts() {
        let receipts = Receipts::start().await.unwrap();
        let pool = Pool::open(receipts.address(), 2).await.unwrap();
        let (first, second) = (webhook("one", "@v/a"), webhook("two", "@v/b"));
        let due = pool.send_at_rate(&[&first, &second], 100).await.unwrap();
        assert_eq!(due[1] - due[0], Duration::from_millis(10));
        let (one, two) = (("one".to_owned(), "@v/a".to_owned()), ("two".to_owned(), "@v/b".to_owned()));
        let last = receipts.wait_for(&[&one, &two], Duration::from_secs(5)).await.unwrap();
        assert!(receipts.at(&one).unwrap() >= due[0] && last >= due[1]);
        let noted = receipts.at(&one);
        pool.send_all(&[&first]).await.unwrap();
        assert_eq!(receipts.at(&one), noted);
        assert_eq!(receipts.at(&("one".to_owned(), "@v/b".to_owned())), None);
    }

    #[tokio::test]
    async fn who_was_not_told_is_counted() {
        let receipts = Receipts::start().await.unwrap();
        let what = ("one".to_owned(), "@v/a".to_owned());
        let error = receipts.wait_for(&[&what], Duration::from_millis(20)).await.unwrap_err();
        assert!(error.to_string().contains("1 of 1"), "{error}");
    }
}
