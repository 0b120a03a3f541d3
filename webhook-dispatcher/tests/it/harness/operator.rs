//! What the operator sees and does.

use platform::{AppError, AppResult, Principal, grpc::Channel};
use proto::webhooks::{self as api, webhooks_client::WebhooksClient};

use super::Dispatcher;

impl Dispatcher {
    pub(crate) fn client(&self) -> WebhooksClient<Channel> {
        WebhooksClient::new(self.peer.channel())
    }

    pub(crate) fn request<T>(&self, principal: &Principal, message: T) -> tonic::Request<T> {
        self.peer.request(principal, message).unwrap()
    }

    fn ask<T>(&self, message: T) -> tonic::Request<T> {
        self.request(&Principal::Operator, message)
    }

    pub(crate) async fn endpoint(&self, instance_id: &str) -> Option<api::Endpoint> {
        let ask =
            api::ListEndpointsRequest { instance_id: Some(instance_id.to_owned()), ..Default::default() };
        self.endpoints(ask).await.unwrap().endpoints.into_iter().next()
    }

    pub(crate) async fn endpoints(
        &self,
        ask: api::ListEndpointsRequest,
    ) -> AppResult<api::ListEndpointsResponse> {
        Ok(self.client().list_endpoints(self.ask(ask)).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn set_disabled(&self, instance_id: &str, disabled: bool) -> AppResult<api::Endpoint> {
        let endpoint_id = self.endpoint(instance_id).await.unwrap().endpoint_id;
        self.set_endpoint_disabled(endpoint_id, disabled).await
    }

    /// The operator says which events the endpoint is told.
    pub(crate) async fn set_events(&self, endpoint_id: String, names: &[&str]) -> api::Endpoint {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let events = Some(api::EndpointEvents { names });
        let ask = self.ask(api::UpdateEndpointRequest { endpoint_id, events, ..Default::default() });
        self.client().update_endpoint(ask).await.unwrap().into_inner()
    }

    pub(crate) async fn set_endpoint_disabled(
        &self,
        endpoint_id: String,
        disabled: bool,
    ) -> AppResult<api::Endpoint> {
        let ask = self.ask(api::SetEndpointDisabledRequest { endpoint_id, disabled, drop_backlog: false });
        Ok(self.client().set_endpoint_disabled(ask).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn deliveries(
        &self,
        ask: api::ListDeliveriesRequest,
    ) -> AppResult<api::ListDeliveriesResponse> {
        Ok(self.client().list_deliveries(self.ask(ask)).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn deliveries_to(&self, instance_id: &str) -> Vec<api::Delivery> {
        let instance_id = Some(instance_id.to_owned());
        let ask = api::ListDeliveriesRequest { instance_id, limit: 100, ..Default::default() };
        self.deliveries(ask).await.unwrap().deliveries
    }

    pub(crate) async fn delivery(&self, id: &str) -> api::DeliveryDetail {
        let ask = self.ask(api::GetDeliveryRequest { delivery_id: id.to_owned() });
        self.client().get_delivery(ask).await.unwrap().into_inner()
    }

    pub(crate) async fn replay(&self, id: &str) -> AppResult<api::Delivery> {
        let ask = self.ask(api::ReplayDeliveryRequest { delivery_id: id.to_owned() });
        Ok(self.client().replay_delivery(ask).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn create_replay(&self, ask: api::CreateReplayRequest) -> AppResult<api::Replay> {
        Ok(self.client().create_replay(self.ask(ask)).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn cancel_replay(&self, id: &str) -> AppResult<api::Replay> {
        let ask = self.ask(api::CancelReplayRequest { replay_id: id.to_owned() });
        Ok(self.client().cancel_replay(ask).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn get_replay(&self, id: &str) -> AppResult<api::Replay> {
        let ask = self.ask(api::GetReplayRequest { replay_id: id.to_owned() });
        Ok(self.client().get_replay(ask).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn replays(&self, ask: api::ListReplaysRequest) -> AppResult<api::ListReplaysResponse> {
        Ok(self.client().list_replays(self.ask(ask)).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn messages(
        &self,
        ask: api::ListMessagesRequest,
    ) -> AppResult<api::ListMessagesResponse> {
        Ok(self.client().list_messages(self.ask(ask)).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn message(&self, id: &str) -> AppResult<api::MessageDetail> {
        let ask = self.ask(api::GetMessageRequest { message_id: id.to_owned() });
        Ok(self.client().get_message(ask).await.map_err(AppError::from)?.into_inner())
    }

    pub(crate) async fn attempts(
        &self,
        ask: api::ListAttemptsRequest,
    ) -> AppResult<api::ListAttemptsResponse> {
        Ok(self.client().list_attempts(self.ask(ask)).await.map_err(AppError::from)?.into_inner())
    }
}
