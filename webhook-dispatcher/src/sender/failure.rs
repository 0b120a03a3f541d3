use std::{error::Error, io};

use super::resolver::NoAddress;
use crate::domain::answer::Outcome;

/// Why there is no answer. Its text is never kept: it may hold the URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Address(#[from] NoAddress),
    #[error("no connection")]
    Connect(#[source] io::Error),
    #[error("no TLS")]
    Tls(#[source] io::Error),
    #[error("no answer")]
    Http(#[from] hyper::Error),
}

impl Failure {
    /// Its class.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Address(NoAddress::Forbidden) => Outcome::ForbiddenAddress,
            Self::Address(NoAddress::Unknown(_)) => Outcome::Dns,
            // The network's own patience, which is longer than ours by default.
            Self::Connect(error) if error.kind() == io::ErrorKind::TimedOut => Outcome::Timeout,
            Self::Connect(_) => Outcome::Refused,
            Self::Tls(_) => Outcome::Tls,
            Self::Http(error) if error.is_parse_too_large() => Outcome::TooLarge,
            Self::Http(error) if ended_by_tls(error) => Outcome::Tls,
            Self::Http(_) => Outcome::Reset,
        }
    }
}

/// With TLS 1.3 a receiver may refuse us after our side of the handshake is done.
fn ended_by_tls(error: &hyper::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return true;
        }
        cause = inner(error).or_else(|| error.source());
    }
    false
}

/// An I/O error hides the error that it wraps from the chain of sources.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>()?.get_ref()?;
    Some(wrapped)
}
