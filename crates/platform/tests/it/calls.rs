//! Calls between services: who may call, and for whom.

use platform::{
    AppError, Code, Principal, Shutdown,
    grpc::{Caller, Callers, GrpcConfig, IdentityConfig, Peer, PeerConfig, Server},
    secret::Secret,
};
use proto::payments::{
    CreateSessionRequest, GetOrderRequest, ListOrdersRequest, ListOrdersResponse, Order, Session,
    checkout_client::CheckoutClient,
    checkout_server::{Checkout, CheckoutServer},
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const CREDENTIAL: &str = "the credential of the gateway";

/// Answers with the principal that it saw.
struct Echo;

#[tonic::async_trait]
impl Checkout for Echo {
    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<Order>, Status> {
        let principal = Caller::principal(&request)?.to_string();
        Ok(Response::new(Order { order_id: principal, ..Order::default() }))
    }

    async fn list_orders(
        &self,
        request: Request<ListOrdersRequest>,
    ) -> Result<Response<ListOrdersResponse>, Status> {
        Caller::principal(&request)?.require_operator()?;
        Ok(Response::new(ListOrdersResponse::default()))
    }

    async fn create_session(&self, _: Request<CreateSessionRequest>) -> Result<Response<Session>, Status> {
        Err(AppError::conflict("there is one already").into())
    }
}

async fn serve() -> (String, Shutdown) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = GrpcConfig {
        listen: listener.local_addr().unwrap(),
        callers: [("gateway".to_owned(), Secret::new(CREDENTIAL))].into(),
        tls: None,
    };
    let service = CheckoutServer::with_interceptor(Echo, Callers::new(&config).interceptor());
    let server = Server::new(&config).unwrap().add(service).await;
    let shutdown = Shutdown::new();
    tokio::spawn(server.serve(listener, shutdown.clone()));
    (url, shutdown)
}

fn peer(url: &str, name: &str, credential: &str) -> Peer {
    let identity = IdentityConfig { name: name.to_owned(), credential: Secret::new(credential) };
    Peer::connect(&PeerConfig { url: url.to_owned(), ca: None }, &identity).unwrap()
}

async fn get_order(peer: &Peer, principal: &Principal) -> Result<Order, AppError> {
    let request = peer.request(principal, GetOrderRequest::default()).unwrap();
    Ok(CheckoutClient::new(peer.channel()).get_order(request).await?.into_inner())
}

#[tokio::test]
async fn the_principal_arrives_with_a_known_credential_and_with_no_other() {
    let (url, _shutdown) = serve().await;
    let shop = Principal::Instance("inst_1".to_owned());
    let seen = get_order(&peer(&url, "gateway", CREDENTIAL), &shop).await.unwrap();
    assert_eq!(seen.order_id, "instance:inst_1");
    for (name, credential) in [("gateway", "another credential entirely"), ("stranger", CREDENTIAL)] {
        let refused = get_order(&peer(&url, name, credential), &shop).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthorized, "{name}");
    }
}

#[tokio::test]
async fn a_call_without_any_credential_is_refused() {
    let (url, _shutdown) = serve().await;
    let channel = tonic::transport::Endpoint::from_shared(url).unwrap().connect_lazy();
    let refused = CheckoutClient::new(channel).get_order(GetOrderRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn the_service_itself_refuses_a_principal_who_may_not() {
    let (url, _shutdown) = serve().await;
    let peer = peer(&url, "gateway", CREDENTIAL);
    let request = peer.request(&Principal::Shared, ListOrdersRequest::default()).unwrap();
    let refused = AppError::from(CheckoutClient::new(peer.channel()).list_orders(request).await.unwrap_err());
    assert_eq!(refused.code(), Code::NotAllowed);
}

#[tokio::test]
async fn what_a_service_says_comes_through_as_it_was_said() {
    let (url, _shutdown) = serve().await;
    let peer = peer(&url, "gateway", CREDENTIAL);
    let request = peer.request(&Principal::Operator, CreateSessionRequest::default()).unwrap();
    let said = AppError::from(CheckoutClient::new(peer.channel()).create_session(request).await.unwrap_err());
    assert_eq!((said.code(), said.message()), (Code::Conflict, "there is one already"));
}

#[tokio::test]
async fn health_and_reflection_answer_without_a_credential() {
    let (url, _shutdown) = serve().await;
    let channel = tonic::transport::Endpoint::from_shared(url).unwrap().connect_lazy();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let asked = tonic_health::pb::HealthCheckRequest { service: "mercato.payments.v1.Checkout".to_owned() };
    let serving = tonic_health::pb::health_check_response::ServingStatus::Serving;
    assert_eq!(health.check(asked).await.unwrap().into_inner().status, i32::from(serving));
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let asked = futures::stream::once(std::future::ready(request));
    let mut answers =
        ServerReflectionClient::new(channel).server_reflection_info(asked).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("not a list of services") };
    assert!(services.service.iter().any(|service| service.name == "mercato.payments.v1.Checkout"));
}
