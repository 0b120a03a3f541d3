//! Over TLS.

use std::sync::Arc;

use testkit::{
    raw::{self, RawServer},
    tls::{Authority, Certificate},
};
use tokio::io::AsyncReadExt as _;
use webhook_dispatcher::{
    domain::answer::Outcome::{self, Success, Timeout, Tls},
    sender::Client,
};

use super::{
    Expected, Misdeed, Served, Stream, TIMEOUT, Then, attempt, client, client_of, commit_all, misdeed,
    settings,
};

/// A client that trusts this authority beside the public ones.
pub(super) fn trusting(authority: &Authority) -> Client {
    let roots = webhook_dispatcher::sender::read_roots(authority.pem().as_bytes()).unwrap();
    client_of(&webhook_dispatcher::sender::ClientSettings { extra_roots: roots, ..settings(TIMEOUT) })
}

/// Answers each request over TLS with 200.
pub(super) async fn server(authority: &Authority, certificate: Certificate) -> RawServer {
    let acceptor = authority.acceptor(certificate, &[b"http/1.1"]).unwrap();
    let serve = move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            raw::read_request(&mut stream).await?;
            let says = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_vec();
            let good = misdeed("good", Expected::Status(200), &says, Then::Close);
            good.commit(stream).await
        }
    };
    RawServer::start(serve).await.unwrap()
}

async fn outcome(client: &Client, server: &RawServer) -> Outcome {
    attempt(client, &format!("https://localhost:{}", server.address().port())).await.outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_authority_is_trusted_where_the_operator_says_so() {
    let authority = Authority::new().unwrap();
    let server = server(&authority, Certificate::Good).await;
    assert_eq!(outcome(&trusting(&authority), &server).await, Success);
    assert_eq!(outcome(&client(TIMEOUT), &server).await, Tls, "nobody said so");
    assert_eq!(outcome(&trusting(&Authority::new().unwrap()), &server).await, Tls, "another authority");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_proves_nothing_is_no_answer() {
    let authority = Authority::new().unwrap();
    let client = trusting(&authority);
    for bad in
        [Certificate::Expired, Certificate::NotYetValid, Certificate::OtherName, Certificate::SelfSigned]
    {
        let server = server(&authority, bad).await;
        assert_eq!(outcome(&client, &server).await, Tls, "{bad:?}");
    }
}

/// A record of TLS: its type, TLS 1.2, its length, its content.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[kind, 3, 3, length[0], length[1]], content].concat()
}

/// What is said instead of a handshake.
fn no_handshakes() -> Vec<Misdeed> {
    let tls = Expected::None(Tls);
    let alert = record(21, &[2, 70]);
    let part = record(22, &[2, 0xff, 0xff, 0xff]);
    vec![
        misdeed("speaks HTTP", tls, b"HTTP/1.1 400 Bad Request\r\n\r\n", Then::Hold),
        misdeed("speaks nonsense", tls, b"", Then::Flood(b"\0\xff nonsense".to_vec())),
        misdeed("knows no version of ours", tls, &alert, Then::Hold),
        misdeed("a hello that never ends", tls, &part, Then::Flood(record(22, &[0; 1000]))),
        misdeed("closes", tls, b"", Then::Close),
        misdeed("says nothing", Expected::None(Timeout), b"", Then::Hold),
        misdeed("trickles", Expected::None(Timeout), &[22, 3, 3, 0x10, 0], Then::Trickle(vec![0])),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_no_handshake_ends_in_time() {
    let serve = |misdeed: Misdeed, mut stream: tokio::net::TcpStream| -> Served {
        Box::pin(async move {
            stream.read_exact(&mut [0; 64]).await?;
            misdeed.commit(stream).await
        })
    };
    commit_all(client(TIMEOUT), "https", no_handshakes(), serve).await;
}

/// Commits misdeeds behind a good certificate; `before` reads the request.
pub(super) fn behind_tls<F>(
    authority: &Authority,
    protocol: &'static [u8],
    commit: impl Fn(Misdeed, Box<dyn Stream>) -> F + Clone + Send + Sync + 'static,
) -> impl Fn(Misdeed, tokio::net::TcpStream) -> Served + Clone + Send + Sync + 'static
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let acceptor = Arc::new(authority.acceptor(Certificate::Good, &[protocol]).unwrap());
    move |misdeed, stream| {
        let (acceptor, commit) = (Arc::clone(&acceptor), commit.clone());
        Box::pin(async move {
            let stream = acceptor.accept(stream).await?;
            commit(misdeed, Box::new(stream)).await
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_answer_is_no_better_behind_a_good_certificate() {
    let authority = Authority::new().unwrap();
    let ok = b"HTTP/1.1 200 OK\r\n";
    let misdeeds = vec![
        misdeed("closes", Expected::None(Outcome::Reset), b"", Then::Close),
        misdeed("says nothing", Expected::None(Timeout), b"", Then::Hold),
        misdeed("endless headers", Expected::None(Outcome::TooLarge), ok, Then::Flood(b"x: x\r\n".to_vec())),
        misdeed(
            "a body without end",
            Expected::Status(200),
            b"HTTP/1.1 200 OK\r\n\r\n",
            Then::Flood(b"more ".to_vec()),
        ),
    ];
    let serve = behind_tls(&authority, b"http/1.1", async |misdeed: Misdeed, mut stream: Box<dyn Stream>| {
        raw::read_request(&mut stream).await?;
        misdeed.commit(stream).await
    });
    commit_all(trusting(&authority), "https", misdeeds, serve).await;
}
