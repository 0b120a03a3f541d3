use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::{
    body::{Body as _, Incoming},
    client::conn::TrySendError,
};
use platform::Clock;
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use tokio::time::timeout;

use super::{
    Signed,
    failure::Failure,
    line::{Body, Connector, Line, PROTOCOLS},
    pool::{Keep as _, Pool},
    roots,
};
use crate::domain::{
    address::AddressPolicy,
    answer::{Answer, Outcome},
    retry_after,
    target::{Origin, Target},
};

const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("Mercato/", env!("CARGO_PKG_VERSION")));
/// A body that takes longer costs more than a new connection.
const READ: Duration = Duration::from_secs(5);

/// How requests to strangers are bounded.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Which addresses may be called.
    pub policy: AddressPolicy,
    /// From the look-up of the name to the last byte of the answer.
    pub timeout: Duration,
    /// How much of an answer's body is read.
    pub max_response_bytes: u64,
    /// Idle connections kept for one host.
    pub idle_per_host: usize,
    /// Idle connections kept in all.
    pub idle: usize,
    /// Authorities that are trusted beside the public ones.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

/// Calls strangers: no redirect, no proxy, no cookie, no decompression; bounded in time and bytes. HTTP/2 where it is
/// offered.
#[derive(Clone)]
pub struct Client {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    timeout: Duration,
    max_response_bytes: u64,
    clock: Clock,
}

impl Client {
    /// A client that trusts Mozilla's roots, built in: the service then needs no certificates of the system it runs on.
    /// Inside a runtime.
    #[must_use]
    pub fn new(settings: &ClientSettings, clock: Clock) -> Self {
        Self::trusting(roots::trusted(&settings.extra_roots), settings, clock)
    }

    fn trusting(roots: RootCertStore, settings: &ClientSettings, clock: Clock) -> Self {
        platform::tls::install_provider();
        let mut tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Self {
            connector: Arc::new(Connector::new(settings.policy.clone(), tls)),
            pool: Pool::start(settings.idle_per_host, settings.idle),
            timeout: settings.timeout,
            max_response_bytes: settings.max_response_bytes,
            clock,
        }
    }

    /// Makes the request. Whatever happens is an answer.
    pub async fn send(&self, request: Signed) -> Answer {
        let mut answer = Answer::none(Outcome::Timeout);
        // When the time is over, what is known by then counts.
        let _ = timeout(self.timeout, self.exchange(request, &mut answer)).await;
        answer
    }

    async fn exchange(&self, signed: Signed, answer: &mut Answer) {
        let (target, request) = whole(signed);
        match self.ask(&target, request).await {
            Ok((line, response)) => self.read(line, &target.origin, response, answer).await,
            Err(failure) => *answer = Answer::none(failure.outcome()),
        }
    }

    /// A connection may have been closed while it was idle. Where nothing of the request was sent on it, the next one is
    /// taken; otherwise the receiver may have got it, and it is not sent twice.
    async fn ask(
        &self,
        target: &Target,
        mut request: Request<Body>,
    ) -> Result<(Line, Response<Incoming>), Failure> {
        while let Some(mut line) = self.pool.take(&target.origin) {
            if line.ready().await.is_err() {
                continue;
            }
            match line.send(request, target).await {
                Ok(response) => return Ok((line, response)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        // Boxed, so that no room is kept for it in requests on a connection that is there.
        let mut line = Box::pin(self.connector.connect(&target.origin)).await?;
        // One that carries many requests is there for the others at once.
        line.share().into_iter().for_each(|shared| self.pool.put(&target.origin, shared));
        let response = line.send(request, target).await.map_err(TrySendError::into_error)?;
        Ok((line, response))
    }

    /// The status is the answer. The body is read, up to the cap, only so that the connection can be used again, and
    /// its size is all that is kept; one that is too large, breaks or stalls changes nothing about the status.
    async fn read(
        &self,
        line: Line,
        origin: &Arc<Origin>,
        response: Response<Incoming>,
        answer: &mut Answer,
    ) {
        let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|value| retry_after::parse(value, self.clock.now_secs()));
        *answer = Answer { size: Some(0), ..Answer::status(response.status().as_u16(), asked) };
        let body = response.into_body();
        if body.is_end_stream() || timeout(READ, self.drain(body, answer)).await == Ok(true) {
            self.pool.put(origin, line);
        }
    }

    /// Whether that was all of it.
    async fn drain(&self, mut body: Incoming, answer: &mut Answer) -> bool {
        let mut size = 0;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            size += frame.data_ref().map_or(0, |data| data.len() as u64);
            answer.size = Some(size.min(self.max_response_bytes));
            if size > self.max_response_bytes {
                return false;
            }
        }
        true
    }
}

fn whole(Signed { target, mut headers, body }: Signed) -> (Target, Request<Body>) {
    headers.insert(header::USER_AGENT, USER_AGENT);
    let mut request = Request::new(Body::new(body));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers;
    (target, request)
}

#[cfg(test)]
mod tests;
