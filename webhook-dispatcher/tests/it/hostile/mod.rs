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
use futures::{StreamExt as _, stream};
use http::HeaderMap;
use platform::Clock;
use testkit::{
    raw::{self, RawServer},
    receiver::Receiver,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    time::Instant,
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
const TIMEOUT: Duration = Duration::from_secs(3);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(15);
/// Hostile receivers at once: some of them send as fast as the machine can.
const AT_ONCE: usize = 6;
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
    /// The same again and again, as fast as it is taken.
    Flood(Vec<u8>),
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
    /// Whether an answer is as expected.
    fn check(&self, answer: &Answer) {
        let outcome = match self.expected {
            Expected::None(outcome) => {
                assert_eq!(answer.status, None, "{}", self.name);
                outcome
            }
            Expected::Status(status) => {
                assert_eq!(answer.status, Some(status), "{}", self.name);
                Outcome::of_status(status)
            }
        };
        assert_eq!(answer.outcome, outcome, "{}", self.name);
        assert!(answer.size.unwrap_or(0) <= CAP, "{}: {:?} bytes", self.name, answer.size);
    }

    /// The answer, and what follows it.
    async fn commit(&self, mut stream: impl Stream) -> io::Result<()> {
        stream.write_all(&self.says).await?;
        stream.flush().await?;
        match &self.then {
            Then::Close => stream.shutdown().await,
            Then::Hold => raw::hold(&mut stream).await,
            Then::Flood(bytes) => raw::flood(&mut stream, bytes).await,
            Then::Trickle(bytes) => raw::trickle(&mut stream, bytes, Duration::from_millis(100)).await,
        }
    }

    /// Whether the connection can only end because we end it.
    fn goes_on(&self) -> bool {
        !matches!(self.then, Then::Close)
    }
}

fn client(timeout: Duration) -> Client {
    client_of(settings(timeout))
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

fn client_of(settings: ClientSettings) -> Client {
    Client::new(&settings, Clock::system())
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

/// Commits each misdeed against one client, some at once, while a healthy receiver is told things beside them.
async fn commit_all(
    client: &Client,
    scheme: &str,
    misdeeds: Vec<Misdeed>,
    serve: impl Fn(Misdeed, tokio::net::TcpStream) -> Served + Clone + Send + Sync + 'static,
) {
    let healthy = Receiver::start().await.unwrap();
    let beside = tell(client, &healthy);
    let committed = stream::iter(misdeeds).for_each_concurrent(AT_ONCE, |misdeed| {
        let serve = serve.clone();
        async move {
            let one = misdeed.clone();
            let server = RawServer::start(move |stream| serve(one.clone(), stream)).await.unwrap();
            let port = server.address().port();
            misdeed.check(&attempt(client, &format!("{scheme}://localhost:{port}")).await);
            if misdeed.goes_on() {
                let what = format!("the end of the connection: {}", misdeed.name);
                let ended = async || (server.open() == 0).then_some(());
                testkit::eventually(&what, SLACK, ended).await.unwrap();
            }
        }
    });
    tokio::select! {
        () = committed => {}
        () = beside => {}
    }
    assert!(!healthy.requests().is_empty());
}

/// Tells a healthy receiver one thing after the other, none of which may take as long as a hostile one.
async fn tell(client: &Client, healthy: &Receiver) {
    loop {
        let begun = Instant::now();
        assert_eq!(attempt(client, &healthy.url()).await.outcome, Outcome::Success);
        assert!(begun.elapsed() < TIMEOUT, "held up by those beside it: {:?}", begun.elapsed());
    }
}

/// A misdeed over plain HTTP/1.1.
fn plainly(misdeed: Misdeed, mut stream: tokio::net::TcpStream) -> Served {
    Box::pin(async move {
        raw::read_request(&mut stream).await?;
        misdeed.commit(stream).await
    })
}
