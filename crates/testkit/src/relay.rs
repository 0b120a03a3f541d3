//! Somebody between two who speak HTTP, who refuses what he is to pass on, loses the answers, passes it on several times
//! or in another order.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::sleep,
};

use crate::{local_address, market::client};

/// So often what comes is passed on by one who repeats.
const COPIES: usize = 3;
/// Of so many that come at once, the first is passed on last.
const REORDERED: u32 = 7;
/// From one of these to the next.
const STEP: Duration = Duration::from_millis(150);
/// What belongs to one connection, and not to what is passed on.
const OF_THE_CONNECTION: [HeaderName; 4] =
    [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

/// How the relay behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Manner {
    /// It passes everything on, and the answer back.
    #[default]
    Faithful,
    /// It answers `503` and passes nothing on.
    Refuses,
    /// It passes everything on, and answers `502` whatever is answered.
    LosesAnswers,
    /// It passes everything on three times at once, and the first one's answer back.
    Repeats,
    /// It keeps what comes for up to a second, the first of seven longest.
    Reorders,
}

/// A relay on a free port of the loopback address; ends with this value.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    manner: watch::Sender<Manner>,
    task: AbortHandle,
}

impl Relay {
    /// Passes on to `target`; where it cannot, it answers `502`.
    pub async fn start(target: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(local_address(0)).await?;
        let address = listener.local_addr()?;
        let (manner, now) = watch::channel(Manner::default());
        let post = Post { target, client: client()?, manner: now, taken: AtomicU32::new(0) };
        let task = tokio::spawn(accept(listener, Arc::new(post))).abort_handle();
        Ok(Self { address, manner, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it behaves from the next request on.
    pub fn set(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Post {
    target: SocketAddr,
    client: reqwest::Client,
    manner: watch::Receiver<Manner>,
    taken: AtomicU32,
}

type Answer = Response<Full<Bytes>>;

async fn accept(listener: TcpListener, post: Arc<Post>) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            Ok((connection, _)) = listener.accept() => drop(open.spawn(serve(connection, Arc::clone(&post)))),
            Some(_) = open.join_next() => {}
        }
    }
}

/// Who hangs up before the answer is there is passed on no further.
async fn serve(connection: TcpStream, post: Arc<Post>) -> hyper::Result<()> {
    let service = service_fn(|request| {
        let post = Arc::clone(&post);
        async move { Ok::<_, Infallible>(post.take(request).await) }
    });
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service).await
}

impl Post {
    async fn take(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return empty(StatusCode::BAD_REQUEST) };
        let (body, manner) = (body.to_bytes(), *self.manner.borrow());
        match manner {
            Manner::Faithful => self.pass(&head, &body).await,
            Manner::Refuses => empty(StatusCode::SERVICE_UNAVAILABLE),
            Manner::LosesAnswers => {
                self.pass(&head, &body).await;
                empty(StatusCode::BAD_GATEWAY)
            }
            Manner::Repeats => {
                let answers = join_all((0..COPIES).map(|_| self.pass(&head, &body))).await;
                answers.into_iter().next().unwrap_or_else(|| empty(StatusCode::BAD_GATEWAY))
            }
            Manner::Reorders => {
                let place = self.taken.fetch_add(1, Ordering::Relaxed) % REORDERED;
                sleep(STEP * (REORDERED - 1 - place)).await;
                self.pass(&head, &body).await
            }
        }
    }

    async fn pass(&self, head: &Parts, body: &Bytes) -> Answer {
        self.ask(head, body).await.unwrap_or_else(|_| empty(StatusCode::BAD_GATEWAY))
    }

    async fn ask(&self, head: &Parts, body: &Bytes) -> reqwest::Result<Answer> {
        let url = format!("http://{}{}", self.target, head.uri);
        let request = self.client.request(head.method.clone(), url).headers(passed_on(&head.headers));
        let answer = request.body(body.clone()).send().await?;
        let (status, headers) = (answer.status(), passed_on(answer.headers()));
        let mut response = Response::new(Full::new(answer.bytes().await?));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

fn passed_on(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
    headers
}

fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::{
        market::{Caller, Reply},
        receiver::{Answer, Receiver},
    };

    const SOON: Duration = Duration::from_secs(10);

    async fn between() -> (Receiver, Relay, Caller) {
        let receiver = Receiver::start().await.unwrap();
        receiver.answer(Answer::status(201).header("x-answer", "yes").body("taken"));
        let relay = Relay::start(receiver.address()).await.unwrap();
        let caller = Caller::new(&format!("http://{}", relay.address())).unwrap();
        (receiver, relay, caller.with("x-asked", "so"))
    }

    async fn ask(caller: &Caller, path: &str) -> Reply {
        caller.post(path, &serde_json::json!({ "a": 1 })).await.unwrap()
    }

    #[tokio::test]
    async fn a_faithful_one_passes_on_and_back_what_it_is_given() {
        let (receiver, _relay, caller) = between().await;
        let reply = ask(&caller, "/hook?b=2").await;
        assert_eq!((reply.status, reply.header("x-answer"), &*reply.bytes), (201, "yes", &b"taken"[..]));
        let passed = receiver.wait_for_count(1, SOON).await.unwrap().remove(0);
        assert_eq!((passed.method.as_str(), passed.uri.to_string()), ("POST", "/hook?b=2".to_owned()));
        assert_eq!((passed.header("x-asked"), &*passed.body), (Some("so"), &b"{\"a\":1}"[..]));
    }

    #[tokio::test]
    async fn what_is_refused_never_arrives_and_what_is_lost_has() {
        let (receiver, relay, caller) = between().await;
        relay.set(Manner::Refuses);
        assert_eq!(ask(&caller, "/").await.status, 503);
        assert!(receiver.requests().is_empty());
        relay.set(Manner::LosesAnswers);
        assert_eq!(ask(&caller, "/").await.status, 502);
        assert_eq!(receiver.requests().len(), 1);
    }

    #[tokio::test]
    async fn what_is_repeated_arrives_three_times_and_is_answered_once() {
        let (receiver, relay, caller) = between().await;
        relay.set(Manner::Repeats);
        assert_eq!(ask(&caller, "/").await.status, 201);
        assert_eq!(receiver.requests().len(), COPIES);
    }

    #[tokio::test]
    async fn the_first_of_some_that_come_at_once_is_passed_on_last() {
        let (receiver, relay, caller) = between().await;
        relay.set(Manner::Reorders);
        let first = tokio::spawn({
            let caller = caller.clone();
            async move { ask(&caller, "/first").await }
        });
        // The second is sent when the first is being kept, which only its place in the count tells.
        tokio::time::sleep(STEP / 2).await;
        assert_eq!(ask(&caller, "/second").await.status, 201);
        assert_eq!(first.await.unwrap().status, 201);
        let passed = receiver.requests().into_iter().map(|one| one.uri.to_string());
        assert_eq!(passed.collect::<Vec<_>>(), ["/second", "/first"]);
    }

    #[tokio::test]
    async fn where_nobody_is_it_answers_so() {
        let relay = Relay::start(local_address(crate::free_port().unwrap())).await.unwrap();
        let caller = Caller::new(&format!("http://{}", relay.address())).unwrap();
        assert_eq!(ask(&caller, "/").await.status, 502);
    }
}
