#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures::future::join_all;
use http::{StatusCode, Version};
use hyper::{body::Body as _, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use testkit::{eventually, free_port, local_address, receiver::Answer as Told};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::domain::target::BaseUrl;

const CAP: u64 = 1_000;
const SOON: Duration = Duration::from_secs(10);

/// Whom a test's certificate is for.
struct Authority {
    roots: RootCertStore,
    acceptor: TlsAcceptor,
}

impl Authority {
    /// Signs for `localhost`, and offers these protocols.
    fn offering(protocols: &[&[u8]]) -> Self {
        platform::tls::install_provider();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder().with_no_client_auth();
        let mut server = server.with_single_cert(vec![own.cert.der().clone()], key).unwrap();
        server.alpn_protocols = protocols.iter().map(|one| one.to_vec()).collect();
        Self { roots, acceptor: TlsAcceptor::from(Arc::new(server)) }
    }
}

/// What a server of these tests has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    versions: Mutex<Vec<Version>>,
}

impl Seen {
    fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    fn versions(&self) -> Vec<Version> {
        self.versions.lock().unwrap().clone()
    }
}

/// Answers every request with this, over TLS where there is an acceptor.
async fn serve(tls: Option<TlsAcceptor>, answer: Response<Body>) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind(local_address(0)).await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.connections.fetch_add(1, Ordering::AcqRel);
            tokio::spawn(answer_on(stream, tls.clone(), answer.clone(), Arc::clone(&counted)));
        }
    });
    (address, seen)
}

async fn answer_on(stream: TcpStream, tls: Option<TlsAcceptor>, answer: Response<Body>, seen: Arc<Seen>) {
    let service = service_fn(move |request: Request<Incoming>| {
        seen.versions.lock().unwrap().push(request.version());
        let answer = answer.clone();
        async move {
            request.into_body().collect().await.unwrap();
            Ok::<_, Infallible>(answer)
        }
    });
    let Some(tls) = tls else {
        return drop(conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    };
    let Ok(stream) = tls.accept(stream).await else { return };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        let builder = conn::http2::Builder::new(TokioExecutor::new());
        drop(builder.serve_connection(TokioIo::new(stream), service).await);
    } else {
        drop(conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    }
}

/// Says this to whatever it is asked, and closes.
async fn say(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(local_address(0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 1024];
            assert!(stream.read(&mut asked).await.unwrap() > 0);
            stream.write_all(bytes).await.ok();
        }
    });
    address
}

fn settings() -> ClientSettings {
    ClientSettings {
        policy: AddressPolicy { allow: vec!["127.0.0.0/8".parse().unwrap()], ..AddressPolicy::default() },
        timeout: SOON,
        max_response_bytes: CAP,
        idle_per_host: 8,
        idle: 100,
        extra_roots: Vec::new(),
    }
}

fn client() -> Client {
    Client::new(&settings(), Clock::manual(0))
}

fn request(base: &str) -> Signed {
    let target = BaseUrl::parse(base).unwrap().of_event("license-issued").unwrap();
    Signed { target, headers: http::HeaderMap::new(), body: Bytes::from_static(b"{}") }
}

fn answer(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    answer
}

async fn outcome(client: &Client, base: &str) -> Outcome {
    client.send(request(base)).await.outcome
}

#[tokio::test]
async fn a_connection_whose_answer_was_read_is_used_again() {
    let client = client();
    let (address, seen) = serve(None, answer(StatusCode::ACCEPTED, "thanks")).await;
    for _ in 0..5 {
        let told = client.send(request(&format!("http://{address}"))).await;
        assert_eq!((told.outcome, told.status, told.size), (Outcome::Success, Some(202), Some(6)));
    }
    assert_eq!((seen.connections(), seen.versions().len()), (1, 5));
}

#[tokio::test]
async fn a_body_beyond_the_cap_costs_its_connection_and_nothing_else() {
    let client = client();
    let long = "x".repeat(usize::try_from(CAP).unwrap() + 1).leak();
    for (body, connections) in [(&long[1..], 1), (&*long, 2)] {
        let (address, seen) = serve(None, answer(StatusCode::OK, body)).await;
        for _ in 0..2 {
            let told = client.send(request(&format!("http://{address}"))).await;
            assert_eq!((told.outcome, told.size), (Outcome::Success, Some(CAP)));
        }
        assert_eq!(seen.connections(), connections, "{} bytes", body.len());
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_no_failed_attempt() {
    let client = client();
    let address = say(b"HTTP/1.1 204 No Content\r\n\r\n").await;
    let base = format!("http://{address}");
    for _ in 0..3 {
        assert_eq!(outcome(&client, &base).await, Outcome::Success);
        let origin = request(&base).target.origin;
        let closed = async || {
            let line = client.pool.take(&origin)?;
            let is_closed = line.is_closed();
            client.pool.put(&origin, line);
            is_closed.then_some(())
        };
        // Either nobody has noticed yet, or there is nothing to take any more.
        eventually("the end of the connection", SOON, async || match closed().await {
            None => client.pool.take(&origin).is_none().then_some(()),
            some => some,
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_one_connection_carries_all() {
    let authority = Authority::offering(&PROTOCOLS);
    let client = Client::trusting(authority.roots, &settings(), Clock::manual(0));
    let (address, seen) = serve(Some(authority.acceptor), answer(StatusCode::OK, "ok")).await;
    let base = format!("https://localhost:{}", address.port());
    assert_eq!(outcome(&client, &base).await, Outcome::Success);
    let many = join_all((0..20).map(|_| outcome(&client, &base))).await;
    assert!(many.iter().all(|one| *one == Outcome::Success), "{many:?}");
    assert_eq!((seen.connections(), seen.versions()), (1, vec![Version::HTTP_2; 21]));
}

#[tokio::test]
async fn an_endless_body_over_http_2_ends_its_stream_and_not_the_connection() {
    let authority = Authority::offering(&PROTOCOLS);
    let client = Client::trusting(authority.roots, &settings(), Clock::manual(0));
    let long = "x".repeat(1_000_000).leak();
    let (address, seen) = serve(Some(authority.acceptor), answer(StatusCode::OK, long)).await;
    for _ in 0..3 {
        let told = client.send(request(&format!("https://localhost:{}", address.port()))).await;
        assert_eq!((told.outcome, told.size), (Outcome::Success, Some(CAP)));
    }
    assert_eq!(seen.connections(), 1);
}

#[tokio::test]
async fn http_1_is_spoken_over_tls_where_nothing_else_is_offered() {
    let authority = Authority::offering(&[]);
    let client = Client::trusting(authority.roots, &settings(), Clock::manual(0));
    let (address, seen) = serve(Some(authority.acceptor), answer(StatusCode::OK, "ok")).await;
    for _ in 0..2 {
        let base = format!("https://localhost:{}", address.port());
        assert_eq!(outcome(&client, &base).await, Outcome::Success);
    }
    assert_eq!((seen.connections(), seen.versions()), (1, vec![Version::HTTP_11; 2]));
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused() {
    let authority = Authority::offering(&PROTOCOLS);
    let (address, seen) = serve(Some(authority.acceptor.clone()), answer(StatusCode::OK, "ok")).await;
    let strict = client();
    assert_eq!(outcome(&strict, &format!("https://localhost:{}", address.port())).await, Outcome::Tls);
    let trusting = Client::trusting(authority.roots, &settings(), Clock::manual(0));
    assert_eq!(outcome(&trusting, &format!("https://{address}")).await, Outcome::Tls, "for another name");
    assert!(seen.versions().is_empty());
}

#[tokio::test]
async fn each_way_to_fail_has_its_class() {
    let client = client();
    let silent = TcpListener::bind(local_address(0)).await.unwrap();
    let hasty =
        Client::new(&ClientSettings { timeout: Duration::from_millis(50), ..settings() }, Clock::manual(0));
    assert_eq!(outcome(&hasty, &format!("http://{}", silent.local_addr().unwrap())).await, Outcome::Timeout);
    let closed = local_address(free_port().unwrap());
    for (base, class) in [
        ("https://shop.invalid".to_owned(), Outcome::Dns),
        (format!("http://{closed}"), Outcome::Refused),
        (format!("https://{}", say(b"HTTP/1.1 400 Bad Request\r\n\r\n").await), Outcome::Tls),
        (format!("http://{}", say(b"").await), Outcome::Reset),
        (format!("http://{}", say(b"HTTP/1.1 200 OK\r\ncontent-le").await), Outcome::Reset),
        (format!("http://{}", say(b"SSH-2.0-OpenSSH\r\n").await), Outcome::Reset),
        ("http://10.0.0.1".to_owned(), Outcome::ForbiddenAddress),
        ("https://[::ffff:10.0.0.1]".to_owned(), Outcome::ForbiddenAddress),
        (format!("http://0x7f000001:{}", closed.port()), Outcome::Refused),
    ] {
        assert_eq!(outcome(&client, &base).await, class, "{base}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_or_has_too_many_lines_is_not_read() {
    let client = client();
    let lines = |count: usize, value: usize| {
        let line = format!("x-a: {}\r\n", "v".repeat(value));
        format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", line.repeat(count)).leak().as_bytes()
    };
    for (head, class) in [
        (lines(90, 10), Outcome::Success),
        (lines(101, 10), Outcome::TooLarge),
        (lines(1, 100_000), Outcome::TooLarge),
    ] {
        assert_eq!(outcome(&client, &format!("http://{}", say(head).await)).await, class);
    }
    let authority = Authority::offering(&PROTOCOLS);
    let client = Client::trusting(authority.roots, &settings(), Clock::manual(0));
    let mut huge = answer(StatusCode::OK, "");
    for n in 0..80 {
        let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
        huge.headers_mut().insert(name, HeaderValue::try_from("v".repeat(1_000)).unwrap());
    }
    let (address, _) = serve(Some(authority.acceptor), huge).await;
    assert!(outcome(&client, &format!("https://localhost:{}", address.port())).await.is_silence());
}

/// What is known when a body breaks, stalls or has no end is the status, and that is the answer.
#[tokio::test]
async fn a_body_that_is_never_whole_changes_nothing_about_the_status() {
    let hasty =
        Client::new(&ClientSettings { timeout: Duration::from_secs(2), ..settings() }, Clock::manual(0));
    let receiver = testkit::receiver::Receiver::start().await.unwrap();
    for told in [Told::stalled_body(), Told::endless_body()] {
        receiver.answer(told);
        assert_eq!(outcome(&hasty, &receiver.url()).await, Outcome::Success);
    }
    let torn = say(b"HTTP/1.1 500 Oh\r\ncontent-length: 100\r\n\r\nand").await;
    let told = hasty.send(request(&format!("http://{torn}"))).await;
    assert_eq!((told.status, told.size), (Some(500), Some(3)));
}

#[test]
fn requests_say_who_asks_and_nothing_of_ours() {
    let (_, request) = whole(request("https://shop.example"));
    assert_eq!(request.headers().len(), 1);
    assert!(request.headers()["user-agent"].to_str().unwrap().starts_with("Mercato/"));
    assert_eq!(request.body().size_hint().exact(), Some(2));
}
