//! A connection to a receiver, from the look-up of its name to the request on it.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header, uri};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Host;

use super::{failure::Failure, pool::Keep, resolver::permitted};
use crate::domain::{
    address::{AddressPolicy, Scheme},
    target::{Origin, Target},
};

/// So long an address is tried before the next one is tried beside it (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
/// So long a connection may take to end.
const GOODBYE: Duration = Duration::from_secs(1);
/// The head of an answer: more is not read.
const MOST_HEADERS: usize = 100;
const MOST_HEAD_BYTES: usize = 64 * 1024;
/// What a receiver may send of one HTTP/2 answer, and of all, before we have read it.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Streams that were reset, by either side, of which an HTTP/2 connection keeps anything.
const MOST_RESETS: usize = 32;
/// The names of the protocols in TLS's negotiation (RFC 7301), best first.
pub(super) const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
const HTTP_2: &[u8] = b"h2";

pub(super) type Body = Full<Bytes>;

/// A connection that requests are sent on: one after the other, or with HTTP/2 many at once.
pub(super) enum Line {
    Http1(http1::SendRequest<Body>, Arc<Use>),
    Http2(http2::SendRequest<Body>, Arc<Use>),
}

/// Held by all who use a connection: without it, the connection ends.
pub(super) struct Use {
    /// Somebody has waited on it in vain.
    is_given_up: AtomicBool,
    _until: DropGuard,
}

/// Who stops waiting gives the connection up: it may be dead, or its receiver lets nothing through, and the next request
/// would wait for the same. Those that are on their way may still be answered.
struct Wait<'a>(Option<&'a Use>);

impl Use {
    fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }
}

impl Wait<'_> {
    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.0 {
            connection.is_given_up.store(true, Ordering::Relaxed);
        }
    }
}

impl Line {
    /// Sends the request. The error holds it where nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        mut request: Request<Body>,
        target: &Target,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        let (Self::Http1(_, connection) | Self::Http2(_, connection)) = self;
        let connection = Arc::clone(connection);
        let wait = Wait(Some(&connection));
        let answered = match self {
            Self::Http1(sender, _) => {
                *request.uri_mut() = Uri::from(target.path.clone());
                if let Ok(host) = HeaderValue::try_from(target.origin.authority.as_str()) {
                    request.headers_mut().insert(header::HOST, host);
                }
                sender.try_send_request(request).await
            }
            Self::Http2(sender, _) => {
                *request.uri_mut() = whole(target);
                request.headers_mut().remove(header::HOST);
                sender.try_send_request(request).await
            }
        };
        wait.end();
        answered
    }

    /// Returns when the next request can be sent; an error where none can any more.
    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::Http1(sender, _) => sender.ready().await,
            Self::Http2(sender, connection) => {
                let wait = Wait(Some(&**connection));
                let ready = sender.ready().await;
                wait.end();
                ready
            }
        }
    }
}

impl Keep for Line {
    fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(..) => None,
            Self::Http2(sender, in_use) => Some(Self::Http2(sender.clone(), Arc::clone(in_use))),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender, connection) => sender.is_closed() || connection.is_given_up(),
            Self::Http2(sender, connection) => sender.is_closed() || connection.is_given_up(),
        }
    }
}

fn whole(target: &Target) -> Uri {
    let mut parts = uri::Parts::default();
    parts.scheme = Some(match target.origin.scheme {
        Scheme::Http => uri::Scheme::HTTP,
        Scheme::Https => uri::Scheme::HTTPS,
    });
    parts.authority = Some(target.origin.authority.clone());
    parts.path_and_query = Some(target.path.clone());
    Uri::from_parts(parts).unwrap_or_default()
}

/// Makes connections to what may be called.
pub(super) struct Connector {
    policy: AddressPolicy,
    tls: TlsConnector,
}

impl Connector {
    pub(super) fn new(policy: AddressPolicy, tls: rustls::ClientConfig) -> Self {
        Self { policy, tls: TlsConnector::from(Arc::new(tls)) }
    }

    pub(super) async fn connect(&self, origin: &Origin) -> Result<Line, Failure> {
        let tcp = first_of(permitted(&self.policy, origin).await?).await.map_err(Failure::Connect)?;
        tcp.set_nodelay(true).map_err(Failure::Connect)?;
        if origin.scheme == Scheme::Http {
            return http_1(tcp).await;
        }
        let tls = self.tls.connect(server_name(origin)?, tcp).await.map_err(Failure::Tls)?;
        if is_http_2(&tls) { http_2(tls).await } else { http_1(tls).await }
    }
}

/// The first connection that succeeds; the error of the last that failed.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let (mut waiting, mut trying) = (addresses.into_iter().peekable(), JoinSet::new());
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.next() {
            trying.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            tried = trying.join_next() => match tried {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => last = error,
                Some(Err(error)) => last = error.into(),
                None => return Err(last),
            },
            () = sleep(STAGGER), if waiting.peek().is_some() => {}
        }
    }
}

fn server_name(origin: &Origin) -> Result<ServerName<'static>, Failure> {
    match &origin.host {
        Host::Domain(name) => ServerName::try_from(name.clone())
            .map_err(|_| Failure::Tls(io::Error::from(io::ErrorKind::InvalidInput))),
        Host::Ipv4(address) => Ok(ServerName::from(std::net::IpAddr::V4(*address))),
        Host::Ipv6(address) => Ok(ServerName::from(std::net::IpAddr::V6(*address))),
    }
}

fn is_http_2(tls: &TlsStream<TcpStream>) -> bool {
    tls.get_ref().1.alpn_protocol() == Some(HTTP_2)
}

async fn http_1(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Line, Failure> {
    let mut builder = http1::Builder::new();
    builder.max_headers(MOST_HEADERS).max_header_size(MOST_HEAD_BYTES).max_buf_size(MOST_HEAD_BYTES);
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await?;
    Ok(Line::Http1(sender, run(connection)))
}

async fn http_2(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Line, Failure> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(MOST_HEAD_BYTES).unwrap_or(u32::MAX))
        .max_concurrent_reset_streams(MOST_RESETS)
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(MOST_RESETS);
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await?;
    Ok(Line::Http2(sender, run(connection)))
}

/// Runs a connection until the other side closes it, or nobody uses it any more: it then says goodbye, and is not left to
/// a receiver that takes neither a goodbye nor the rest of a request (a window that never opens).
fn run(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Arc<Use> {
    let unused = CancellationToken::new();
    let until = unused.clone().drop_guard();
    tokio::spawn(async move {
        let over = async {
            unused.cancelled().await;
            sleep(GOODBYE).await;
        };
        tokio::select! {
            // Who waits for an answer is told why there is none.
            _ = connection => {}
            () = over => {}
        }
    });
    Arc::new(Use { is_given_up: AtomicBool::new(false), _until: until })
}
