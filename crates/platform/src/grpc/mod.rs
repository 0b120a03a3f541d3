//! Calls between services: the caller's own credential, the principal it acts for, health, reflection, spans, metrics.

mod client;
mod measured;
mod server;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

pub use client::{Channel, Peer};
use serde::Deserialize;
pub use server::{Caller, Callers, Server};

use crate::{config::Problems, secret::Secret};

const PRINCIPAL_KEY: &str = "mercato-principal";
const CALLER_KEY: &str = "mercato-caller";
/// A credential shorter than this can be guessed.
const CREDENTIAL_MIN: usize = 24;

/// Where a service takes calls, and from whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrpcConfig {
    /// For example `0.0.0.0:7101`.
    pub listen: SocketAddr,
    /// The name and the credential of each service that may call.
    pub callers: BTreeMap<String, Secret>,
    /// Encrypts the calls; absent: plain text, for a network that is private already.
    #[serde(default)]
    pub tls: Option<ServerTls>,
}

/// A server's certificate.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerTls {
    /// PEM file of the certificate chain.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// Another service that this one calls.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// `http://catalog-svc:7101`, or `https://…` with `ca`.
    pub url: String,
    /// PEM file of the authority that signed the peer's certificate.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

/// Who this service is when it calls another.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// The caller's name, such as `gateway`.
    pub name: String,
    /// Its credential, the same as in the called service's `grpc.callers`.
    pub credential: Secret,
}

impl GrpcConfig {
    /// Reports what cannot work.
    pub fn check(&self, problems: &mut Problems) {
        if self.callers.is_empty() {
            problems.add(
                "grpc.callers",
                "name at least one caller: MERCATO__GRPC__CALLERS__GATEWAY=<credential>",
            );
        }
        for (name, credential) in &self.callers {
            if credential.len() < CREDENTIAL_MIN {
                problems.add(&format!("grpc.callers.{name}"), "must have at least 24 characters");
            }
        }
    }
}

impl PeerConfig {
    /// Reports what cannot work.
    pub fn check(&self, key: &str, problems: &mut Problems) {
        problems.check(&format!("{key}.url"), tonic::transport::Endpoint::from_shared(self.url.clone()));
        if self.url.starts_with("https://") && self.ca.is_none() {
            problems.add(&format!("{key}.ca"), "an https peer needs the PEM file of its authority");
        }
    }
}

impl IdentityConfig {
    /// Reports what cannot work.
    pub fn check(&self, problems: &mut Problems) {
        if self.credential.len() < CREDENTIAL_MIN {
            problems.add("identity.credential", "must have at least 24 characters");
        }
    }
}
