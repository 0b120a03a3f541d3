use std::{error::Error, io, net::IpAddr, sync::Arc, time::Duration};

use http::header;
use platform::Clock;
use reqwest::{Response, redirect};
use rustls::{ClientConfig, RootCertStore};
use url::Host;

use super::{
    Signed,
    resolver::{NoAddress, PublicResolver},
};
use crate::domain::{
    address::{AddressPolicy, Scheme},
    answer::{Answer, Outcome},
    retry_after, target,
};

const USER_AGENT: &str = concat!("Mercato/", env!("CARGO_PKG_VERSION"));
/// A shop hears from us in bursts; a connection that waited longer than this is likely closed on its side.
const KEEP_IDLE: Duration = Duration::from_secs(30);

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
}

/// Calls strangers: no redirect, no proxy, no cookie, no decompression; bounded in time and bytes.
///
/// The head of an answer is bounded by hyper: 100 headers within about 400 KiB.
#[derive(Clone)]
pub struct Client {
    https: reqwest::Client,
    http: reqwest::Client,
    policy: Arc<AddressPolicy>,
    max_response_bytes: u64,
    clock: Clock,
}

impl Client {
    /// Prepares the two clients, whose resolvers know what each scheme may reach.
    pub fn new(settings: &ClientSettings, clock: Clock) -> reqwest::Result<Self> {
        platform::tls::install_provider();
        let policy = Arc::new(settings.policy.clone());
        Ok(Self {
            https: build(settings, &policy, Scheme::Https)?,
            http: build(settings, &policy, Scheme::Http)?,
            policy,
            max_response_bytes: settings.max_response_bytes,
            clock,
        })
    }

    /// Makes the request. Whatever happens is an answer.
    pub async fn send(&self, request: Signed) -> Answer {
        let client = match target::scheme(&request.url) {
            Some(scheme) if self.may_call(scheme, &request.url) => self.of(scheme),
            _ => return Answer::none(Outcome::ForbiddenAddress),
        };
        match client.post(request.url).headers(request.headers).body(request.body).send().await {
            Ok(response) => self.read(response).await,
            Err(error) => Answer::none(why(&error)),
        }
    }

    /// An address in the URL itself is never resolved, so the resolver doesn't see it.
    fn may_call(&self, scheme: Scheme, url: &url::Url) -> bool {
        match url.host() {
            Some(Host::Ipv4(address)) => self.policy.permits(scheme, IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => self.policy.permits(scheme, IpAddr::V6(address)),
            Some(Host::Domain(_)) => true,
            None => false,
        }
    }

    fn of(&self, scheme: Scheme) -> &reqwest::Client {
        match scheme {
            Scheme::Https => &self.https,
            Scheme::Http => &self.http,
        }
    }

    /// The status is the answer. The body is read, up to the cap, only so that the connection can be used again, and
    /// its size is all that is kept; one that is too large, breaks or stalls changes nothing about the status.
    async fn read(&self, mut response: Response) -> Answer {
        let asked = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let asked = asked.and_then(|value| retry_after::parse(value, self.clock.now_secs()));
        let status = response.status().as_u16();
        let mut size = 0;
        while size < self.max_response_bytes
            && let Ok(Some(chunk)) = response.chunk().await
        {
            size += chunk.len() as u64;
        }
        Answer { size: Some(size.min(self.max_response_bytes)), ..Answer::status(status, asked) }
    }
}

fn build(
    settings: &ClientSettings,
    policy: &Arc<AddressPolicy>,
    scheme: Scheme,
) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls())
        .dns_resolver(Arc::new(PublicResolver { policy: Arc::clone(policy), scheme }))
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .http1_only()
        .user_agent(USER_AGENT)
        .timeout(settings.timeout)
        .pool_idle_timeout(KEEP_IDLE)
        .pool_max_idle_per_host(settings.idle_per_host)
        .build()
}

/// Mozilla's roots, built in: the service then needs no certificates of the system it runs on.
fn tls() -> ClientConfig {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<RootCertStore>();
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// The class of a failure. Its text is never kept: it may hold the URL.
fn why(error: &reqwest::Error) -> Outcome {
    if error.is_timeout() {
        return Outcome::Timeout;
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(outcome) = class_of(error) {
            return outcome;
        }
        cause = inner(error).or_else(|| error.source());
    }
    if error.is_connect() { Outcome::Refused } else { Outcome::Reset }
}

/// An I/O error hides the error that it wraps from the chain of sources.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>()?.get_ref()?;
    Some(wrapped)
}

fn class_of(error: &(dyn Error + 'static)) -> Option<Outcome> {
    if let Some(no_address) = error.downcast_ref::<NoAddress>() {
        return Some(match no_address {
            NoAddress::Forbidden => Outcome::ForbiddenAddress,
            NoAddress::Unknown(_) => Outcome::Dns,
        });
    }
    if error.is::<rustls::Error>() {
        return Some(Outcome::Tls);
    }
    let too_large = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large);
    too_large.then_some(Outcome::TooLarge)
}
