//! Receivers that mean harm: whatever they answer, an attempt has its class, an end in bounded time, and costs no more
//! memory than the next; whoever is beside them goes on.

mod http1;
mod http2;
mod memory;
mod resolving;
mod service;
mod tls;

use std::{future::Future, io, pin::Pin, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http::HeaderMap;
use platform::Clock;
use testkit::{
    raw::{self, RawServer},
    receiver::Receiver,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use webhook_dispatcher::{
    domain::{
        address::AddressPolicy,
        answer::{Answer, Outcome},
        target::BaseUrl,
    },
    sender::{Client, ClientSettings, Signed},
};

/// How long an attempt may take here.
const TIMEOUT: Duration = Duration::from_secs(6);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(15);
/// How much of a body is read.
const CAP: u64 = 16 * 1024;

/// A connection, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

type Served = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// What a receiver does once the request is there: an answer that need not be one, and then?
#[derive(Clone)]
struct Misdeed {
    name: &'static str,
    says: Vec<u8>,
    then: Then,
    expected: Expected,
}

#[derive(Clone)]
enum Then {
    /// The connection ends.
    Close,
    /// Nothing more comes, until the other side has had enough.
    Hold,
    /// The same again and again, a hundred kilobytes a second.
    Flood(Vec<u8>),
    /// The same again and again, as fast as it is taken.
    Torrent(Vec<u8>),
    /// The same again and again, ten bytes a second.
    Trickle(Vec<u8>),
}

/// What is to become of the attempt.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// There is no answer; of this class.
    None(Outcome),
    /// This status is the answer, whatever became of its body.
    Status(u16),
}

impl Expected {
    /// Class and status, as an operator sees them.
    fn as_recorded(self) -> (&'static str, Option<u32>) {
        match self {
            Self::None(outcome) => (outcome.as_str(), None),
            Self::Status(status) => (Outcome::of_status(status).as_str(), Some(status.into())),
        }
    }
}

fn misdeed(name: &'static str, expected: Expected, says: &[u8], then: Then) -> Misdeed {
    Misdeed { name, says: says.to_vec(), then, expected }
}

impl Misdeed {
    /// What is not as expected, if anything.
    fn fault(&self, answer: &Answer) -> Option<String> {
        let expected = self.expected.as_recorded();
        let got = (answer.outcome.as_str(), answer.status.map(u32::from));
        let is_bounded = answer.size.unwrap_or(0) <= CAP;
        let fault = || format!("{}: {got:?} instead of {expected:?}, {:?} bytes", self.name, answer.size);
        (got != expected || !is_bounded).then(fault)
    }

    /// The answer, and what follows it.
    async fn commit(&self, mut stream: impl Stream) -> io::Result<()> {
        stream.write_all(&self.says).await?;
        stream.flush().await?;
        match &self.then {
            Then::Close => stream.shutdown().await,
            Then::Hold => raw::hold(&mut stream).await,
            Then::Flood(bytes) => raw::flood(&mut stream, bytes, Duration::from_millis(20)).await,
            Then::Torrent(bytes) => raw::flood(&mut stream, bytes, Duration::ZERO).await,
            Then::Trickle(bytes) => raw::trickle(&mut stream, bytes, Duration::from_millis(100)).await,
        }
    }
}

fn client(timeout: Duration) -> Client {
    client_of(&settings(timeout))
}

fn settings(timeout: Duration) -> ClientSettings {
    ClientSettings {
        policy: AddressPolicy { allow: vec!["127.0.0.0/8".parse().unwrap()], ..AddressPolicy::default() },
        timeout,
        max_response_bytes: CAP,
        idle_per_host: 4,
        idle: 16,
        extra_roots: Vec::new(),
    }
}

fn client_of(settings: &ClientSettings) -> Client {
    Client::new(settings, Clock::system())
}

/// A request to this base URL.
fn request(base: &str) -> Signed {
    let target = BaseUrl::parse(base).unwrap().of_event("license-issued").unwrap();
    Signed {
        target,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{\"marketplace_id\":\"@acme/seo\"}"),
    }
}

/// Makes one attempt; it must end in time.
async fn attempt(client: &Client, base: &str) -> Answer {
    let sent = client.send(request(base));
    tokio::time::timeout(TIMEOUT + SLACK, sent).await.unwrap_or_else(|_| panic!("no end: {base}"))
}

/// Commits each misdeed against one client, all at once, while a healthy receiver is told things beside them. Nobody's
/// connection outlives the client, and with HTTP/1.1, or where nothing came in time, not even the attempt.
async fn commit_all(
    client: Client,
    scheme: &str,
    misdeeds: Vec<Misdeed>,
    serve: impl Fn(Misdeed, TcpStream) -> Served + Clone + Send + Sync + 'static,
) {
    let healthy = Receiver::start().await.unwrap();
    let committed = misdeeds.into_iter().map(|misdeed| commit(&client, scheme, misdeed, serve.clone()));
    let committed = tokio::select! {
        committed = join_all(committed) => committed,
        () = tell(&client, &healthy) => Vec::new(),
    };
    drop(client);
    assert!(!healthy.requests().is_empty());
    let (servers, faults): (Vec<_>, Vec<_>) = committed.into_iter().unzip();
    for server in servers {
        ended(&server, "with the client").await;
    }
    assert_eq!(faults.into_iter().flatten().collect::<Vec<_>>(), [""; 0]);
}

async fn commit(
    client: &Client,
    scheme: &str,
    misdeed: Misdeed,
    serve: impl Fn(Misdeed, TcpStream) -> Served + Send + Sync + 'static,
) -> (RawServer, Option<String>) {
    let one = misdeed.clone();
    let server = RawServer::start(move |stream| serve(one.clone(), stream)).await.unwrap();
    let base = format!("{scheme}://localhost:{}", server.address().port());
    let answer = attempt(client, &base).await;
    if scheme == "http" || answer.outcome == Outcome::Timeout {
        ended(&server, misdeed.name).await;
    }
    (server, misdeed.fault(&answer))
}

async fn ended(server: &RawServer, what: &str) {
    let what = format!("the end of the connection: {what}");
    testkit::eventually(&what, SLACK, async || (server.open() == 0).then_some(())).await.unwrap();
}

/// Tells a healthy receiver one thing after the other, none of which may run out of its time.
async fn tell(client: &Client, healthy: &Receiver) {
    loop {
        assert_eq!(attempt(client, &healthy.url()).await.outcome, Outcome::Success, "held up");
    }
}

/// A misdeed over plain HTTP/1.1.
fn plainly(misdeed: Misdeed, mut stream: TcpStream) -> Served {
    Box::pin(async move {
        raw::read_request(&mut stream).await?;
        misdeed.commit(stream).await
    })
}
