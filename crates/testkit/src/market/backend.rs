//! The backend of a hosted app: takes callbacks, and checks them as an app author does.

use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use wire::open2b::{self, Accepted, Callback, Operation, Refusal};

use crate::receiver::{Answer, Received, Receiver};

/// An app's backend that answers 200 until a test makes its receiver misbehave; it ends with this value.
#[derive(Debug)]
pub struct AppBackend {
    /// Where it listens.
    pub receiver: Receiver,
    secrets: Mutex<Vec<Accepted>>,
}

/// A backend that is down: nobody listens at its address until it is started again.
#[derive(Debug)]
pub struct StoppedBackend {
    address: SocketAddr,
    secrets: Vec<Accepted>,
}

/// A callback that was authentic and in time when it arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// What it asked for.
    pub callback: Callback,
    /// The last second in which it was good, Unix time.
    pub expires: i64,
    /// When it arrived, Unix time.
    pub at: i64,
    /// The whole value of `auth`.
    pub auth: String,
}

impl Arrived {
    /// The API key that an Install brought.
    pub fn api_key(&self) -> anyhow::Result<&str> {
        match &self.callback {
            Callback::Install { key, .. } => Ok(key),
            other => anyhow::bail!("no key comes with {}", other.operation()),
        }
    }

    /// Its operation and its version; none for Remove.
    #[must_use]
    pub fn told(&self) -> (Operation, Option<&str>) {
        (self.callback.operation(), self.callback.version())
    }
}

impl AppBackend {
    /// Listens on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        Ok(Self::of(Receiver::start().await?, Vec::new()))
    }

    fn of(receiver: Receiver, secrets: Vec<Accepted>) -> Self {
        receiver.answer(Answer::status(200));
        Self { receiver, secrets: Mutex::new(secrets) }
    }

    /// The base of its URLs.
    #[must_use]
    pub fn url(&self) -> String {
        self.receiver.url()
    }

    /// Takes callbacks signed by this secret too.
    pub fn accept(&self, secret: &str) -> anyhow::Result<()> {
        let secret = Accepted::always(secret.parse()?);
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push(secret);
        Ok(())
    }

    /// Ends; what it has received is forgotten, its address and its secrets are not.
    #[must_use]
    pub fn stop(self) -> StoppedBackend {
        StoppedBackend { address: self.receiver.address(), secrets: self.secrets() }
    }

    /// Everything that has arrived; fails on the first that an app would refuse.
    pub fn arrived(&self) -> anyhow::Result<Vec<Arrived>> {
        self.receiver.requests().iter().map(|received| self.check(received)).collect()
    }

    /// What has arrived from one shop.
    pub fn arrived_from(&self, shop: &str) -> anyhow::Result<Vec<Arrived>> {
        Ok(self.arrived()?.into_iter().filter(|arrived| arrived.callback.shop() == shop).collect())
    }

    /// Waits until so many callbacks have come from a shop.
    pub async fn wait_for(&self, shop: &str, count: usize, limit: Duration) -> anyhow::Result<Vec<Arrived>> {
        let what = format!("{count} callbacks");
        let is_from_it = |received: &&Received| {
            self.read(received).is_ok_and(|(request, ..)| request.callback.shop() == shop)
        };
        let enough = |all: &[Received]| (all.iter().filter(is_from_it).count() >= count).then_some(());
        self.receiver.wait_until(&what, limit, enough).await?;
        self.arrived_from(shop)
    }

    fn check(&self, received: &Received) -> anyhow::Result<Arrived> {
        let form = received.header("content-type");
        ensure!(form == Some("application/x-www-form-urlencoded"), "it came as {form:?}");
        ensure!(received.uri.path() == "/callbacks", "it came to another path than was registered");
        let (request, at) = self.read(received).context("a callback that an app refuses")?;
        let auth = received.body.strip_prefix(b"auth=").context("the body begins otherwise")?;
        let auth = String::from_utf8(auth.to_vec())?;
        Ok(Arrived { callback: request.callback, expires: request.expires, at, auth })
    }

    fn read(&self, received: &Received) -> Result<(open2b::Request, i64), Refusal> {
        let since = received.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
        Ok((open2b::parse_form(&received.body, &self.secrets(), at)?, at))
    }

    fn secrets(&self) -> Vec<Accepted> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl StoppedBackend {
    /// Comes back where it was, answering 200.
    pub async fn start(self) -> anyhow::Result<AppBackend> {
        Ok(AppBackend::of(Receiver::start_on(self.address).await?, self.secrets))
    }
}
