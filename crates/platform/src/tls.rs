//! The process's TLS provider.

/// Makes *ring* the provider of every TLS client and server of this process. Safe to call again.
pub fn install_provider() {
    // Err means that a provider is already installed, which is what is asked for.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
