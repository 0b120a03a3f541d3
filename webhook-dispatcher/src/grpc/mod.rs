//! What operators see and do.

mod lists;
mod replays;

use platform::{AppError, AppResult, grpc::Caller};
use proto::webhooks::{
    Attempt, CancelReplayRequest, CreateReplayRequest, Delivery, DeliveryDetail, Endpoint,
    GetDeliveryRequest, GetMessageRequest, GetReplayRequest, ListAttemptsRequest, ListAttemptsResponse,
    ListDeliveriesRequest, ListDeliveriesResponse, ListEndpointsRequest, ListEndpointsResponse,
    ListMessagesRequest, ListMessagesResponse, ListReplaysRequest, ListReplaysResponse, MessageDetail,
    Replay, ReplayDeliveryRequest, SetEndpointDisabledRequest, UpdateEndpointRequest,
    webhooks_server::Webhooks,
};
use tonic::{Request, Response, Status};
use wire::open2b::Operation;

use crate::{
    app::{App, Backlog, Page, Settings},
    domain::{
        delivery::State,
        endpoint::Owner,
        event::{ENDPOINT_VERIFICATION, EVENTS, OPERATIONS},
        kind::KINDS,
        reason::class_of,
        settings::{BadSetting, CustomHeaders, Subscription, check_rate},
    },
    store::{attempt, delivery, endpoint, page::Part},
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
        let page = Page::new((ask.limit, ask.offset), ask.after.as_deref(), "ep")?;
        check_kind(ask.kind.as_deref())?;
        let filter = endpoint::Filter {
            instance_id: ask.instance_id,
            kind: ask.kind,
            marketplace_id: ask.marketplace_id,
        };
        let Part { rows, next, count } = self.app.list_endpoints(&filter, &page).await?;
        let (count, stretch) = lists::counted(next, count);
        let now_ms = self.app.now_ms();
        let endpoints = rows.into_iter().map(|one| endpoint_message(one, now_ms)).collect();
        Ok(Response::new(ListEndpointsResponse { endpoints, count, stretch }))
    }

    async fn set_endpoint_disabled(
        &self,
        request: Request<SetEndpointDisabledRequest>,
    ) -> Result<Response<Endpoint>, Status> {
        let ask = of_operator(request)?;
        let endpoint = match (ask.disabled, ask.drop_backlog) {
            (true, _) => self.app.disable_endpoint(&ask.endpoint_id).await?,
            (false, true) => self.app.enable_endpoint(&ask.endpoint_id, Backlog::Drop).await?,
            (false, false) => self.app.enable_endpoint(&ask.endpoint_id, Backlog::Keep).await?,
        };
        Ok(Response::new(endpoint_message(endpoint, self.app.now_ms())))
    }

    async fn update_endpoint(
        &self,
        request: Request<UpdateEndpointRequest>,
    ) -> Result<Response<Endpoint>, Status> {
        let ask = of_operator(request)?;
        let endpoint = self.app.update_endpoint(&ask.endpoint_id, settings(&ask)?).await?;
        Ok(Response::new(endpoint_message(endpoint, self.app.now_ms())))
    }

    async fn list_deliveries(
        &self,
        request: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        let ask = of_operator(request)?;
        let page = Page::new((ask.limit, ask.offset), ask.after.as_deref(), "dly")?;
        let Part { rows, next, count } = self.app.list_deliveries(lists::deliveries(ask)?, &page).await?;
        let (count, stretch) = lists::counted(next, count);
        let deliveries = rows.into_iter().map(delivery_message).collect();
        Ok(Response::new(ListDeliveriesResponse { deliveries, count, stretch }))
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

    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        let ask = of_operator(request)?;
        // Those about one instance are found by its deliveries, and go on by them.
        let prefix = if ask.instance_id.is_some() { "dly" } else { "msg" };
        let page = Page::new((ask.limit, ask.offset), ask.after.as_deref(), prefix)?;
        let Part { rows, next, count } = self.app.list_messages(lists::messages(ask)?, &page).await?;
        let (count, stretch) = lists::counted(next, count);
        let messages = rows.into_iter().map(lists::message).collect();
        Ok(Response::new(ListMessagesResponse { messages, count, stretch }))
    }

    async fn get_message(
        &self,
        request: Request<GetMessageRequest>,
    ) -> Result<Response<MessageDetail>, Status> {
        let detail = self.app.get_message(&of_operator(request)?.message_id).await?;
        let Part { rows, next, count } = detail.deliveries;
        let (count, stretch) = lists::counted(next, count);
        let deliveries = rows.into_iter().map(delivery_message).collect();
        let message = Some(lists::message(detail.message));
        Ok(Response::new(MessageDetail { message, deliveries, count, stretch }))
    }

    async fn list_attempts(
        &self,
        request: Request<ListAttemptsRequest>,
    ) -> Result<Response<ListAttemptsResponse>, Status> {
        let ask = of_operator(request)?;
        let page = Page::new((ask.limit, 0), ask.after.as_deref(), "dly")?;
        let (asked, outcome) = lists::attempts(ask)?;
        let (part, next) = self.app.list_attempts(asked, outcome.as_deref(), &page).await?;
        let (count, stretch) = lists::counted_to(next, part.count);
        let attempts = part.rows.into_iter().map(lists::attempt).collect();
        Ok(Response::new(ListAttemptsResponse { attempts, count, stretch }))
    }

    async fn create_replay(&self, request: Request<CreateReplayRequest>) -> Result<Response<Replay>, Status> {
        let ask = replays::request(of_operator(request)?)?;
        Ok(Response::new(replays::message(self.app.create_replay(&ask).await?)))
    }

    async fn list_replays(
        &self,
        request: Request<ListReplaysRequest>,
    ) -> Result<Response<ListReplaysResponse>, Status> {
        let ask = of_operator(request)?;
        let page = Page::new((ask.limit, ask.offset), ask.after.as_deref(), "rpl")?;
        let Part { rows, next, count } = self.app.list_replays(&replays::filter(ask)?, &page).await?;
        let (count, stretch) = lists::counted(next, count);
        let replays = rows.into_iter().map(replays::message).collect();
        Ok(Response::new(ListReplaysResponse { replays, count, stretch }))
    }

    async fn get_replay(&self, request: Request<GetReplayRequest>) -> Result<Response<Replay>, Status> {
        let replay = self.app.get_replay(&of_operator(request)?.replay_id).await?;
        Ok(Response::new(replays::message(replay)))
    }

    async fn cancel_replay(&self, request: Request<CancelReplayRequest>) -> Result<Response<Replay>, Status> {
        let replay = self.app.cancel_replay(&of_operator(request)?.replay_id).await?;
        Ok(Response::new(replays::message(replay)))
    }
}

fn of_operator<T>(request: Request<T>) -> AppResult<T> {
    Caller::principal(&request)?.require_operator()?;
    Ok(request.into_inner())
}

fn settings(ask: &UpdateEndpointRequest) -> AppResult<Settings> {
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
    EVENTS.into_iter().chain(OPERATIONS).chain([ENDPOINT_VERIFICATION]).chain(operations()).collect()
}

fn endpoint_message(endpoint: endpoint::Model, now_ms: i64) -> Endpoint {
    let health = endpoint.health();
    let owner = endpoint.owner();
    let events = match owner {
        Owner::Instance(_) => endpoint.subscription().names().to_vec(),
        Owner::App(_) => operations().to_vec(),
        Owner::Operator => OPERATIONS.to_vec(),
    };
    Endpoint {
        disabled: endpoint.is_disabled(),
        disabled_reason: endpoint.standing().told_reason(),
        state: health.state(now_ms).to_owned(),
        throttled_until_ms: Some(health.throttled_until_ms).filter(|until_ms| *until_ms > now_ms),
        failing_since_ms: health.failing_since_ms,
        unverified_since_ms: health.verification.awaited_since_ms(),
        verified_at_ms: health.verification.verified_at_ms(),
        circuit: health.circuit.state.to_string(),
        circuit_until_ms: (!health.circuit.is_closed()).then_some(health.circuit.until_ms),
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
    let dead_class = delivery.dead_reason.as_deref().map(|reason| class_of(reason).to_owned());
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
        kind: delivery.kind,
        marketplace_id: delivery.marketplace_id,
        installation_id: delivery.installation_id,
        dead_class,
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
