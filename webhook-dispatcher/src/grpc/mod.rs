//! What operators see and do.

use platform::{AppError, AppResult, grpc::Caller};
use proto::webhooks::{
    Attempt, Delivery, DeliveryDetail, Endpoint, GetDeliveryRequest, ListDeliveriesRequest,
    ListDeliveriesResponse, ListEndpointsRequest, ListEndpointsResponse, ReplayDeliveryRequest,
    SetEndpointDisabledRequest, UpdateEndpointRequest, webhooks_server::Webhooks,
};
use tonic::{Request, Response, Status};
use wire::open2b::Operation;

use crate::{
    app::{App, Page, Settings},
    domain::{
        delivery::State,
        endpoint::Owner,
        event::EVENTS,
        kind::KINDS,
        settings::{BadSetting, CustomHeaders, Subscription, check_rate},
    },
    store::{attempt, delivery, endpoint},
};

/// The gRPC service; every call needs the operator.
pub struct WebhooksEdge {
    app: App,
}

impl WebhooksEdge {
    /// Over these use cases.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl Webhooks for WebhooksEdge {
    async fn list_endpoints(
        &self,
        request: Request<ListEndpointsRequest>,
    ) -> Result<Response<ListEndpointsResponse>, Status> {
        let ask = of_operator(request)?;
        let page = Page::new(ask.limit, ask.offset)?;
        check_kind(ask.kind.as_deref())?;
        let filter = endpoint::Filter {
            instance_id: ask.instance_id,
            kind: ask.kind,
            marketplace_id: ask.marketplace_id,
        };
        let (endpoints, count) = self.app.list_endpoints(&filter, page).await?;
        let endpoints = endpoints.into_iter().map(endpoint_message).collect();
        Ok(Response::new(ListEndpointsResponse { endpoints, count: narrow(count) }))
    }

    async fn set_endpoint_disabled(
        &self,
        request: Request<SetEndpointDisabledRequest>,
    ) -> Result<Response<Endpoint>, Status> {
        let ask = of_operator(request)?;
        let endpoint = self.app.set_endpoint_disabled(&ask.endpoint_id, ask.disabled).await?;
        Ok(Response::new(endpoint_message(endpoint)))
    }

    async fn update_endpoint(
        &self,
        request: Request<UpdateEndpointRequest>,
    ) -> Result<Response<Endpoint>, Status> {
        let ask = of_operator(request)?;
        let endpoint_id = ask.endpoint_id.clone();
        let endpoint = self.app.update_endpoint(&endpoint_id, settings(ask)?).await?;
        Ok(Response::new(endpoint_message(endpoint)))
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let ask = of_operator(request)?;
        let page = Page::new(ask.limit, ask.offset)?;
        let (deliveries, count) = self.app.list_deliveries(&filter(ask)?, page).await?;
        let deliveries = deliveries.into_iter().map(delivery_message).collect();
        Ok(Response::new(ListDeliveriesResponse { deliveries, count: narrow(count) }))
    }

    async fn get_delivery(
        &self,
        request: Request<GetDeliveryRequest>,
    ) -> Result<Response<DeliveryDetail>, Status> {
        let detail = self.app.get_delivery(&of_operator(request)?.delivery_id).await?;
        let attempts = detail.attempts.into_iter().map(attempt_message).collect();
        Ok(Response::new(DeliveryDetail { delivery: Some(delivery_message(detail.delivery)), attempts }))
    }

    async fn replay_delivery(
        &self,
        request: Request<ReplayDeliveryRequest>,
    ) -> Result<Response<Delivery>, Status> {
        let delivery = self.app.replay(&of_operator(request)?.delivery_id).await?;
        Ok(Response::new(delivery_message(delivery)))
    }
}

fn of_operator<T>(request: Request<T>) -> AppResult<T> {
    Caller::principal(&request)?.require_operator()?;
    Ok(request.into_inner())
}

fn settings(ask: UpdateEndpointRequest) -> AppResult<Settings> {
    let parsed = || {
        let headers = ask.headers.as_ref().map(|given| {
            let each = given.headers.iter();
            CustomHeaders::parse(each.map(|header| (header.name.as_str(), header.value.as_str())))
        });
        Ok(Settings {
            events: ask.events.as_ref().map(|given| Subscription::parse(&given.names)).transpose()?,
            headers: headers.transpose()?,
            rate_per_second: ask.rate_per_second.map(check_rate).transpose()?,
        })
    };
    parsed().map_err(|error: BadSetting| AppError::invalid(error.to_string()))
}

fn filter(ask: ListDeliveriesRequest) -> AppResult<delivery::Filter> {
    let state = ask.state.as_deref().map(str::parse::<State>).transpose();
    let state = state.map_err(|error| AppError::invalid(error.to_string()))?;
    check_one_of("event", &all_events(), ask.event.as_deref())?;
    check_kind(ask.kind.as_deref())?;
    Ok(delivery::Filter {
        instance_id: ask.instance_id,
        state,
        event: ask.event,
        kind: ask.kind,
        marketplace_id: ask.marketplace_id,
    })
}

fn check_kind(given: Option<&str>) -> AppResult<()> {
    check_one_of("kind", &KINDS, given)
}

fn check_one_of(name: &str, right: &[&str], given: Option<&str>) -> AppResult<()> {
    match given {
        Some(given) if !right.contains(&given) => {
            Err(AppError::invalid(format!("{name} must be one of {}", right.join(", "))))
        }
        _ => Ok(()),
    }
}

fn operations() -> [&'static str; 3] {
    Operation::ALL.map(Operation::as_str)
}

/// What a delivery's event can be: an event of a webhook, or the operation of a callback.
fn all_events() -> Vec<&'static str> {
    EVENTS.into_iter().chain(operations()).collect()
}

fn endpoint_message(endpoint: endpoint::Model) -> Endpoint {
    let owner = endpoint.owner();
    let events = match owner {
        Owner::Instance(_) => endpoint.subscription().names().to_vec(),
        Owner::App(_) => operations().to_vec(),
    };
    Endpoint {
        disabled: endpoint.is_disabled(),
        disabled_reason: endpoint.standing().told_reason(),
        header_names: endpoint.header_names(),
        rate_per_second: endpoint.rate(),
        endpoint_id: endpoint.id,
        instance_id: endpoint.instance_id.unwrap_or_default(),
        base_url: endpoint.base_url,
        events: events.into_iter().map(str::to_owned).collect(),
        created_at_ms: endpoint.created_at_ms,
        kind: owner.kind().to_owned(),
        marketplace_id: endpoint.marketplace_id,
    }
}

fn delivery_message(delivery: delivery::Model) -> Delivery {
    let next_attempt_at_ms = delivery.is(State::Pending).then_some(delivery.next_attempt_at_ms);
    let kind = delivery.kind().as_str().to_owned();
    Delivery {
        delivery_id: delivery.id,
        message_id: delivery.message_id,
        endpoint_id: delivery.endpoint_id,
        instance_id: delivery.instance_id,
        event: delivery.event,
        state: delivery.state,
        attempts: narrow(delivery.attempts),
        next_attempt_at_ms,
        created_at_ms: delivery.created_at_ms,
        settled_at_ms: delivery.settled_at_ms,
        dead_reason: delivery.dead_reason,
        kind,
        marketplace_id: delivery.marketplace_id,
        installation_id: delivery.installation_id,
    }
}

fn attempt_message(attempt: attempt::Model) -> Attempt {
    Attempt {
        number: narrow(attempt.number),
        started_at_ms: attempt.started_at_ms,
        duration_ms: narrow(attempt.duration_ms),
        status: attempt.status.map(narrow),
        outcome: attempt.outcome,
        response_size: attempt.response_size.map(i64::unsigned_abs),
    }
}

/// A count that no store reaches becomes the largest that is told.
fn narrow(count: impl TryInto<u32>) -> u32 {
    count.try_into().unwrap_or(u32::MAX)
}
