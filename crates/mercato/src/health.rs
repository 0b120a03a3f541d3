//! Whether a service of this process takes calls: asked of itself, over the gRPC health protocol.

use std::{net::SocketAddr, time::Duration};

use platform::admin::Readiness;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

const PATIENCE: Duration = Duration::from_secs(2);

/// Adds the service to what must answer before requests are taken.
pub(crate) fn watch(
    readiness: &Readiness,
    service: &'static str,
    address: SocketAddr,
) -> Result<(), tonic::transport::Error> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.timeout(PATIENCE).connect_lazy();
    readiness.add(service, move || serves(channel.clone()));
    Ok(())
}

async fn serves(channel: Channel) -> bool {
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving)
}
