//! The calls in: parse, use case, map the answer.

mod installations;
mod instances;
mod licenses;
mod map;
mod parse;

use platform::{
    AppResult, Shutdown,
    grpc::{Callers, GrpcConfig, Server},
};
use proto::license::{
    installations_server::InstallationsServer, instances_server::InstancesServer,
    licenses_server::LicensesServer,
};
use tokio::net::TcpListener;

use self::{installations::InstallationsEdge, instances::InstancesEdge, licenses::LicensesEdge};
use crate::app::App;

/// Serves until `shutdown`.
pub(crate) async fn serve(
    app: App,
    config: GrpcConfig,
    listener: TcpListener,
    shutdown: Shutdown,
) -> AppResult<()> {
    let callers = Callers::new(&config);
    let instances = InstancesServer::with_interceptor(InstancesEdge(app.clone()), callers.interceptor());
    let licenses = LicensesServer::with_interceptor(LicensesEdge(app.clone()), callers.interceptor());
    let installations = InstallationsServer::with_interceptor(InstallationsEdge(app), callers.interceptor());
    let server = Server::new(&config)?.add(instances).await.add(licenses).await;
    server.add(installations).await.serve(listener, shutdown).await
}
