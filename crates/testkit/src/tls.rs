//! A certificate authority of the test's own, and servers whose certificates are good or bad.

use std::{fmt, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;

/// What is right or wrong with a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// Of `localhost` and the loopback addresses, signed by the authority, living.
    Good,
    /// The same, but its time is over.
    Expired,
    /// The same, but its time has not come.
    NotYetValid,
    /// Of another name.
    OtherName,
    /// Signed by itself.
    SelfSigned,
}

/// Signs the certificates of a test's servers.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one, which nobody trusts yet.
    pub fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "An authority of tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Its own certificate, to be trusted.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server with such a certificate that offers these protocols.
    pub fn acceptor(&self, certificate: Certificate, protocols: &[&[u8]]) -> anyhow::Result<TlsAcceptor> {
        let key = KeyPair::generate()?;
        let chain = vec![self.issue(certificate, &key)?];
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?;
        let mut config = config.with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    fn issue(&self, kind: Certificate, key: &KeyPair) -> anyhow::Result<CertificateDer<'static>> {
        let names = if kind == Certificate::OtherName {
            vec!["another.example".to_owned()]
        } else {
            ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec()
        };
        let mut params = CertificateParams::new(names)?;
        match kind {
            Certificate::Expired => params.not_after = date_time_ymd(2001, 1, 1),
            Certificate::NotYetValid => params.not_before = date_time_ymd(4001, 1, 1),
            Certificate::Good | Certificate::OtherName | Certificate::SelfSigned => {}
        }
        let signed = match kind {
            Certificate::SelfSigned => params.self_signed(key)?,
            _ => params.signed_by(key, &self.issuer)?,
        };
        Ok(signed.der().clone())
    }
}
