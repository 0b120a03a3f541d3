//! `mercato.payments.v1.Checkout`.

use platform::{AppError, grpc::Caller};
use proto::payments as api;
use proto::payments::checkout_server::Checkout;
use tonic::{Request, Response, Status};

use crate::{
    app::{App, OpenSession, Page},
    domain::{
        order::{Mismatch, Order},
        purchase::Purchase,
    },
    store::orders::Filter,
};

/// The edge of the service for other services.
pub(crate) struct CheckoutEdge {
    app: App,
}

impl CheckoutEdge {
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl Checkout for CheckoutEdge {
    async fn create_session(
        &self,
        request: Request<api::CreateSessionRequest>,
    ) -> Result<Response<api::Session>, Status> {
        let principal = Caller::principal(&request)?.clone();
        let session = self.app.create_session(&principal, purchase(request.into_inner())).await?;
        Ok(Response::new(session.into()))
    }

    async fn list_orders(
        &self,
        request: Request<api::ListOrdersRequest>,
    ) -> Result<Response<api::ListOrdersResponse>, Status> {
        let principal = Caller::principal(&request)?.clone();
        let request = request.into_inner();
        let (limit, offset) = (request.limit, request.offset);
        let page = self.app.list_orders(&principal, filter(request)?, limit, offset).await?;
        Ok(Response::new(page.into()))
    }

    async fn get_order(
        &self,
        request: Request<api::GetOrderRequest>,
    ) -> Result<Response<api::Order>, Status> {
        let principal = Caller::principal(&request)?.clone();
        let order = self.app.get_order(&principal, &request.into_inner().order_id).await?;
        Ok(Response::new(order.into()))
    }
}

fn purchase(request: api::CreateSessionRequest) -> Purchase {
    Purchase {
        instance_id: request.instance_id,
        marketplace_id: request.marketplace_id,
        version: request.version,
        name: request.name,
        price_cents: request.price_cents,
        customer_email: request.customer_email,
        idempotency_key: request.idempotency_key,
        licensed_order_ids: request.licensed_order_ids,
    }
}

fn filter(request: api::ListOrdersRequest) -> Result<Filter, AppError> {
    let state = request.state.as_deref().map(str::parse).transpose();
    Ok(Filter {
        state: state
            .map_err(|error: crate::domain::order::UnknownState| AppError::invalid(error.to_string()))?,
        instance_id: request.instance_id,
        marketplace_id: request.marketplace_id,
        mismatched: request.mismatched,
    })
}

impl From<OpenSession> for api::Session {
    fn from(session: OpenSession) -> Self {
        Self { order_id: session.order_id, url: session.url, expires_at_ms: session.expires_at_ms }
    }
}

impl From<Page> for api::ListOrdersResponse {
    fn from(page: Page) -> Self {
        Self {
            orders: page.orders.into_iter().map(Into::into).collect(),
            count: u32::try_from(page.count).unwrap_or(u32::MAX),
        }
    }
}

impl From<Order> for api::Order {
    fn from(order: Order) -> Self {
        Self {
            order_id: order.id,
            instance_id: order.instance_id,
            marketplace_id: order.marketplace_id,
            version: order.version,
            amount_cents: order.amount_cents,
            currency: order.currency,
            state: order.state.as_str().to_owned(),
            revision: order.revision,
            created_at_ms: order.created_at_ms,
            updated_at_ms: order.updated_at_ms,
            stripe_session_id: order.session.map(|session| session.id),
            stripe_payment_intent_id: order.payment_intent_id,
            mismatch: order.mismatch.map(Into::into),
        }
    }
}

impl From<Mismatch> for api::Mismatch {
    fn from(mismatch: Mismatch) -> Self {
        Self {
            stripe_event_id: mismatch.event_id,
            amount_cents: mismatch.amount_cents,
            currency: mismatch.currency,
            noted_at_ms: mismatch.noted_at_ms,
        }
    }
}
