//! A closed loop: so many connections, each asks again as soon as it has its answer.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures::future::try_join_all;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::Instant};

use crate::report::Latencies;

/// How much is asked, and for how long.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Load {
    /// Connections that ask at the same time
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
    /// Seconds of each round
    #[arg(long, default_value_t = 4)]
    pub(crate) seconds: u64,
    /// Rounds of each of the two; the median counts
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self { connections: 32, seconds: 4, rounds: 5 }
    }
}

impl Load {
    pub(crate) fn round(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// One request, to be asked again and again.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Ask {
    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse().unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// What a round came to.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) per_second: f64,
    pub(crate) latencies: Latencies,
}

/// A connection that is kept alive.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("nobody at {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Asks and reads the whole answer, which must be one of success.
    pub(crate) async fn ask(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        self.0.ready().await?;
        let answer = self.0.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}

/// Asks on every connection until the time is over.
pub(crate) async fn closed_loop(
    address: SocketAddr,
    ask: &Ask,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Round> {
    let open = (0..connections).map(|_| Connection::open(address));
    let open = try_join_all(open).await?;
    let began = Instant::now();
    let until = began + time;
    let asking = open.into_iter().map(|connection| tokio::spawn(ask_until(connection, ask.clone(), until)));
    let mut latencies = Vec::new();
    for asked in try_join_all(asking).await? {
        latencies.extend(asked?);
    }
    let per_second = count(latencies.len()) / began.elapsed().as_secs_f64();
    Ok(Round { per_second, latencies: Latencies::new(latencies) })
}

async fn ask_until(mut connection: Connection, ask: Ask, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut asked = Instant::now();
    while asked < until {
        connection.ask(ask.request()).await?;
        let answered = Instant::now();
        latencies.push(answered - asked);
        asked = answered;
    }
    Ok(latencies)
}

/// A count as a figure to divide.
#[expect(clippy::cast_precision_loss, reason = "no benchmark counts beyond 2^52")]
pub(crate) fn count(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use testkit::receiver::{Answer, Receiver};

    use super::*;

    fn ask() -> Ask {
        let headers = [("host".parse().unwrap(), "here".parse().unwrap())].into_iter().collect();
        Ask { method: Method::POST, path: "/any".to_owned(), headers, body: "asked".into() }
    }

    #[tokio::test]
    async fn each_answer_is_counted_once() {
        let receiver = Receiver::start().await.unwrap();
        let time = Duration::from_millis(200);
        let round = closed_loop(receiver.address(), &ask(), 3, time).await.unwrap();
        let asked = receiver.requests();
        assert!(asked.len() >= 3 && asked.iter().all(|one| one.body == "asked"));
        // The last answers come a little after the time.
        let most = count(asked.len()) / time.as_secs_f64();
        assert!(round.per_second > 0.0 && round.per_second <= most, "{} of {most}", round.per_second);
    }

    #[tokio::test]
    async fn what_is_no_success_is_no_answer() {
        let receiver = Receiver::start().await.unwrap();
        receiver.answer(Answer::status(429).body("slow down"));
        let error = closed_loop(receiver.address(), &ask(), 1, Duration::from_secs(1)).await.unwrap_err();
        assert!(error.to_string().contains("429") && error.to_string().contains("slow down"), "{error}");
    }
}
