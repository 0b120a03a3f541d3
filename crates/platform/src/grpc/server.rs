use std::{collections::BTreeMap, convert::Infallible, fs, sync::Arc};

use proto::DESCRIPTORS;
use tokio::net::TcpListener;
use tonic::{
    Request, Status,
    metadata::MetadataMap,
    server::NamedService,
    service::Routes,
    transport::{Identity, ServerTlsConfig, server::TcpIncoming},
};
use tonic_tracing_opentelemetry::middleware::server::OtelGrpcLayer;
use tower::Service;

use super::{CALLER_KEY, GrpcConfig, PRINCIPAL_KEY, measured::Measured};
use crate::{AppError, AppResult, Principal, Shutdown, secret::Secret};

/// Who called, established by [`Callers`].
#[derive(Debug, Clone)]
pub struct Caller {
    /// The calling service's name.
    pub service: String,
    /// For whom it calls.
    pub principal: Principal,
}

impl Caller {
    /// The principal of a request that has passed [`Callers`].
    pub fn principal<T>(request: &Request<T>) -> AppResult<&Principal> {
        match request.extensions().get::<Self>() {
            Some(caller) => Ok(&caller.principal),
            None => Err(AppError::unauthorized("the call carries no credential of a service")),
        }
    }
}

/// The services that may call, each with its credential.
#[derive(Clone)]
pub struct Callers(Arc<BTreeMap<String, Secret>>);

impl Callers {
    /// From the configuration.
    #[must_use]
    pub fn new(config: &GrpcConfig) -> Self {
        Self(Arc::new(config.callers.clone()))
    }

    /// An interceptor for a generated server: refuses who is not known, notes who is.
    pub fn interceptor(
        &self,
    ) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone + Send + Sync + 'static {
        let callers = self.clone();
        move |mut request| {
            let caller = callers.authenticate(request.metadata())?;
            request.extensions_mut().insert(caller);
            Ok(request)
        }
    }

    fn authenticate(&self, metadata: &MetadataMap) -> AppResult<Caller> {
        let text = |key| metadata.get(key).and_then(|value| value.to_str().ok());
        let (service, given) =
            (text(CALLER_KEY), text("authorization").and_then(|value| value.strip_prefix("Bearer ")));
        let known = service.and_then(|name| self.0.get_key_value(name));
        match (known, given) {
            (Some((name, credential)), Some(given)) if *credential == Secret::new(given) => Ok(Caller {
                service: name.clone(),
                principal: text(PRINCIPAL_KEY).unwrap_or("anonymous").parse()?,
            }),
            _ => Err(AppError::unauthorized("the call carries no credential that this service knows")),
        }
    }
}

/// A gRPC server with health, reflection, spans and metrics.
pub struct Server {
    routes: Routes,
    health: tonic_health::server::HealthReporter,
    tls: Option<ServerTlsConfig>,
}

impl Server {
    /// Prepares the server of the configuration.
    pub fn new(config: &GrpcConfig) -> AppResult<Self> {
        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .build_v1()
            .map_err(AppError::unexpected)?;
        let tls = match &config.tls {
            Some(tls) => Some(ServerTlsConfig::new().identity(Identity::from_pem(
                fs::read(&tls.certificate).map_err(AppError::unexpected)?,
                fs::read(&tls.key).map_err(AppError::unexpected)?,
            ))),
            None => None,
        };
        Ok(Self { routes: Routes::new(health_service).add_service(reflection), health, tls })
    }

    /// Adds a generated service and reports it as serving.
    pub async fn add<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<tonic::body::Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.health.set_serving::<S>().await;
        self.routes = self.routes.add_service(service);
        self
    }

    /// Serves until `shutdown`, then finishes the calls in flight.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> AppResult<()> {
        let mut builder = tonic::transport::Server::builder();
        if let Some(tls) = self.tls {
            crate::tls::install_provider();
            builder = builder.tls_config(tls).map_err(AppError::unexpected)?;
        }
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        builder
            .layer(OtelGrpcLayer::default())
            .layer(Measured::new())
            .add_routes(self.routes)
            .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
            .await
            .map_err(AppError::unexpected)
    }
}
