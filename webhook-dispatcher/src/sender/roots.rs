//! Whom receivers' certificates may come from: Mozilla's authorities, built in, and the operator's own.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem, pem::PemObject as _},
};

/// Why a text of certificates is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BadRoots {
    /// It is something else.
    #[error("must be certificates in PEM, each from -----BEGIN CERTIFICATE----- to its END")]
    NotPem(#[from] pem::Error),
    /// It is PEM of other things.
    #[error("has no certificate; add the PEM of each authority that is to be trusted")]
    NoCertificate,
    /// One of them can't be used.
    #[error("has a certificate that can't be an authority's: {0}")]
    NoAuthority(#[from] rustls::Error),
}

/// The certificates of a PEM text, each of which can be trusted.
pub fn read_roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadRoots> {
    let roots = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if roots.is_empty() {
        return Err(BadRoots::NoCertificate);
    }
    let mut store = RootCertStore::empty();
    roots.iter().try_for_each(|root| store.add(root.clone()))?;
    Ok(roots)
}

/// Mozilla's authorities, so that the service needs no certificates of the system it runs on, and these.
pub(super) fn trusted(extra: &[CertificateDer<'static>]) -> RootCertStore {
    let mut roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<RootCertStore>();
    roots.add_parsable_certificates(extra.iter().cloned());
    roots
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use testkit::tls::Authority;

    use super::*;

    #[test]
    fn several_authorities_are_read_and_trusted_beside_the_public_ones() {
        let pem = [(); 2].map(|()| Authority::new().unwrap().pem()).concat();
        let extra = read_roots(pem.as_bytes()).unwrap();
        assert_eq!(extra.len(), 2);
        assert_eq!(trusted(&extra).len(), trusted(&[]).len() + 2);
    }

    #[test]
    fn what_is_no_list_of_authorities_is_told_apart() {
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(read_roots(b""), Err(BadRoots::NoCertificate)));
        assert!(matches!(read_roots(nonsense.as_bytes()), Err(BadRoots::NoAuthority(_))));
        let unended = nonsense.split_once("-----END").unwrap().0;
        assert!(matches!(read_roots(unended.as_bytes()), Err(BadRoots::NotPem(_))));
    }
}
