use std::{fs, time::Duration};

use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, ClientTlsConfig, Endpoint},
};
use tonic_tracing_opentelemetry::middleware::client::{OtelGrpcLayer, OtelGrpcService};
use tower::Layer as _;

use super::{CALLER_KEY, IdentityConfig, PRINCIPAL_KEY, PeerConfig};
use crate::{AppError, AppResult, Principal};

/// A channel that carries the trace with each call.
pub type Channel = OtelGrpcService<tonic::transport::Channel>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Of a call that says nothing else.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Of any call: the shorter of this and the call's own holds.
const LONGEST_CALL: Duration = Duration::from_mins(10);
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Another service, as this one calls it.
#[derive(Clone)]
pub struct Peer {
    channel: Channel,
    caller: MetadataValue<Ascii>,
    authorization: MetadataValue<Ascii>,
}

impl Peer {
    /// Prepares the connection; it is made with the first call and made again whenever it is lost.
    pub fn connect(peer: &PeerConfig, identity: &IdentityConfig) -> AppResult<Self> {
        let mut endpoint = Endpoint::from_shared(peer.url.clone())
            .map_err(AppError::unexpected)?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(LONGEST_CALL)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .tcp_nodelay(true);
        if let Some(ca) = &peer.ca {
            crate::tls::install_provider();
            let pem = Certificate::from_pem(fs::read(ca).map_err(AppError::unexpected)?);
            endpoint = endpoint
                .tls_config(ClientTlsConfig::new().ca_certificate(pem))
                .map_err(AppError::unexpected)?;
        }
        Ok(Self {
            channel: OtelGrpcLayer.layer(endpoint.connect_lazy()),
            caller: ascii(&identity.name)?,
            authorization: sensitive(&format!("Bearer {}", identity.credential.expose()))?,
        })
    }

    /// For a generated client.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The request with this service's credential, made for `principal`. It may take 20 seconds; one that may take
    /// longer sets its own timeout.
    pub fn request<T>(&self, principal: &Principal, message: T) -> AppResult<Request<T>> {
        let mut request = Request::new(message);
        request.set_timeout(CALL_TIMEOUT);
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.authorization.clone());
        metadata.insert(CALLER_KEY, self.caller.clone());
        metadata.insert(PRINCIPAL_KEY, ascii(&principal.to_string())?);
        Ok(request)
    }
}

fn ascii(text: &str) -> AppResult<MetadataValue<Ascii>> {
    text.parse().map_err(AppError::unexpected)
}

fn sensitive(text: &str) -> AppResult<MetadataValue<Ascii>> {
    let mut value = ascii(text)?;
    value.set_sensitive(true);
    Ok(value)
}
