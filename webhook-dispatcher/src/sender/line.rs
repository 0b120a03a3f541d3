//! A connection to a receiver, from the look-up of its name to the request on it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

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
use url::Host;

use super::{failure::Failure, resolver::permitted};
use crate::domain::{
    address::{AddressPolicy, Scheme},
    target::{Origin, Target},
};

/// So long an address is tried before the next one is tried beside it (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);
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
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Line {
    /// Sends the request. The error holds it where nothing of it was sent.
    pub(super) async fn send(
        &mut self,
        mut request: Request<Body>,
        target: &Target,
    ) -> Result<Response<Incoming>, TrySendError<Request<Body>>> {
        match self {
            Self::Http1(sender) => {
                *request.uri_mut() = Uri::from(target.path.clone());
                if let Ok(host) = HeaderValue::try_from(target.origin.authority.as_str()) {
                    request.headers_mut().insert(header::HOST, host);
                }
                sender.try_send_request(request).await
            }
            Self::Http2(sender) => {
                *request.uri_mut() = whole(target);
                request.headers_mut().remove(header::HOST);
                sender.try_send_request(request).await
            }
        }
    }

    /// Another handle on the same connection, where more than one may use it.
    pub(super) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }

    /// Returns when the next request can be sent; an error where none can any more.
    pub(super) async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        }
    }

    /// Whether it is of no more use.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
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
    // Ends with its sender, or when the other side closes; who waits for an answer is told why.
    tokio::spawn(connection);
    Ok(Line::Http1(sender))
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
    tokio::spawn(connection);
    Ok(Line::Http2(sender))
}
