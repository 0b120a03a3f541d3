//! What operators see and do.

use std::time::Duration;

use platform::{AppError, Code, Principal};
use proto::{
    events::{EndpointDisabled, subject},
    webhooks::{GetDeliveryRequest, ListDeliveriesRequest, ListEndpointsRequest},
};
use testkit::receiver::Answer;

use wire::open2b::Operation;

use crate::{
    apps::APP,
    harness::{Dispatcher, WAIT},
};

over_both! {
    deliveries_are_paged_newest_first_and_filtered,
    a_replay_sends_again_and_is_idempotent_while_pending,
    endpoints_and_deliveries_are_told_apart_by_their_kind,
    a_disabled_app_is_announced_by_its_name,
    only_operators_are_answered,
    bad_questions_say_what_would_be_right,
}

async fn deliveries_are_paged_newest_first_and_filtered(dispatcher: Dispatcher) {
    let (_one, other) = (dispatcher.shop("inst_1").await, dispatcher.shop("inst_2").await);
    for count in 1..=5 {
        dispatcher.issue("inst_1").await;
        let told = || async { (dispatcher.deliveries_to("inst_1").await.len() == count).then_some(()) };
        testkit::eventually("the delivery", WAIT, told).await.unwrap();
        dispatcher.clock.advance(Duration::from_secs(1));
    }
    other.receiver.answer(Answer::status(500));
    dispatcher.issue("inst_2").await;
    dispatcher.attempted("inst_2", 1).await;

    let page = async |limit, offset| {
        dispatcher.deliveries(ListDeliveriesRequest { limit, offset, ..Default::default() }).await.unwrap()
    };
    let (first, rest) = (page(4, 0).await, page(4, 4).await);
    assert_eq!((first.count, first.deliveries.len(), rest.deliveries.len()), (6, 4, 2));
    let all: Vec<_> = first.deliveries.into_iter().chain(rest.deliveries).collect();
    assert!(all.is_sorted_by(|a, b| a.created_at_ms >= b.created_at_ms));
    assert_eq!(all[0].instance_id, "inst_2");

    let state = Some("pending".to_owned());
    let pending = dispatcher.deliveries(ListDeliveriesRequest { state, ..Default::default() }).await.unwrap();
    assert_eq!((pending.count, pending.deliveries[0].instance_id.as_str()), (1, "inst_2"));
    assert_eq!(dispatcher.deliveries_to("inst_1").await.len(), 5);
}

async fn a_replay_sends_again_and_is_idempotent_while_pending(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    dispatcher.issue("inst_1").await;
    let delivered = dispatcher.reaches("inst_1", "delivered").await.delivery.unwrap();
    shop.receiver.script([Answer::status(204).after(Duration::from_secs(1))]);
    dispatcher.replay(&delivered.delivery_id).await.unwrap();
    shop.receiver.wait_for_count(2, WAIT).await.unwrap();
    let again = dispatcher.replay(&delivered.delivery_id).await.unwrap();
    assert_eq!((again.state.as_str(), again.attempts), ("pending", 2));
    let settled = dispatcher.attempted("inst_1", 2).await;
    let delivery = settled.delivery.unwrap();
    assert_eq!((delivery.state.as_str(), delivery.attempts), ("delivered", 2));
    assert_eq!(shop.receiver.requests().len(), 2);
}

async fn endpoints_and_deliveries_are_told_apart_by_their_kind(dispatcher: Dispatcher) {
    let (_shop, _app) = (dispatcher.shop("inst_1").await, dispatcher.app().await);
    dispatcher.issue("inst_1").await;
    dispatcher.reaches("inst_1", "delivered").await;
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    dispatcher.settled("inst_1", 1).await;

    let of_kind = |kind: &str| ListEndpointsRequest { kind: Some(kind.to_owned()), ..Default::default() };
    let shops = dispatcher.endpoints(of_kind("webhook")).await.unwrap();
    let shop = &shops.endpoints[0];
    assert_eq!((shops.count, shop.instance_id.as_str(), &shop.marketplace_id), (1, "inst_1", &None));
    assert_eq!(shop.events, ["license-issued"]);
    let apps = dispatcher.endpoints(of_kind("callback")).await.unwrap();
    let app = &apps.endpoints[0];
    assert_eq!((apps.count, app.instance_id.as_str(), app.marketplace_id.as_deref()), (1, "", Some(APP)));
    assert_eq!((app.kind.as_str(), app.events.len()), ("callback", 3));

    let of_app = ListDeliveriesRequest { marketplace_id: Some(APP.to_owned()), ..Default::default() };
    let of_kind = ListDeliveriesRequest { kind: Some("callback".to_owned()), ..Default::default() };
    let of_event = ListDeliveriesRequest { event: Some("Install".to_owned()), ..Default::default() };
    for ask in [of_app, of_kind, of_event] {
        let list = dispatcher.deliveries(ask).await.unwrap();
        let one = &list.deliveries[0];
        assert_eq!((list.count, one.kind.as_str(), one.event.as_str()), (1, "callback", "Install"));
        let ids = (one.instance_id.as_str(), one.marketplace_id.as_deref(), one.installation_id.as_deref());
        assert_eq!(ids, ("inst_1", Some(APP), Some("itn_1")));
    }
    let webhooks = ListDeliveriesRequest { kind: Some("webhook".to_owned()), ..Default::default() };
    assert_eq!(dispatcher.deliveries(webhooks).await.unwrap().count, 1);
    let wrong = ListDeliveriesRequest { kind: Some("letter".to_owned()), ..Default::default() };
    let error = dispatcher.deliveries(wrong).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::InvalidData, "kind must be one of webhook, callback, operator")
    );
}

async fn a_disabled_app_is_announced_by_its_name(dispatcher: Dispatcher) {
    dispatcher.app().await;
    let endpoint = dispatcher.set_app_disabled(true).await.unwrap();
    let told: EndpointDisabled = dispatcher.announcement(subject::ENDPOINT_DISABLED).await;
    assert_eq!((told.endpoint_id, told.reason), (endpoint.endpoint_id, "operator".to_owned()));
    assert_eq!((told.marketplace_id.as_deref(), told.instance_id.as_str()), (Some(APP), ""));
}

async fn only_operators_are_answered(dispatcher: Dispatcher) {
    for principal in [Principal::Anonymous, Principal::InstanceAdmin("inst_1".to_owned())] {
        let ask = dispatcher.request(&principal, ListEndpointsRequest::default());
        let refused = AppError::from(dispatcher.client().list_endpoints(ask).await.unwrap_err());
        assert_eq!(refused.code(), Code::NotAllowed);
    }
}

async fn bad_questions_say_what_would_be_right(dispatcher: Dispatcher) {
    let ask = |state: Option<&str>, event: Option<&str>, limit| ListDeliveriesRequest {
        state: state.map(str::to_owned),
        event: event.map(str::to_owned),
        limit,
        ..Default::default()
    };
    let bad = [
        (ask(Some("asleep"), None, 0), "pending, delivered, dead, held"),
        (ask(None, Some("sold"), 0), "license-issued"),
        (ask(None, None, 101), "at most 100"),
    ];
    for (question, right) in bad {
        let error = dispatcher.deliveries(question).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains(right), "{error}");
    }
    let ask = GetDeliveryRequest { delivery_id: "dly_none".to_owned() };
    let ask = dispatcher.request(&Principal::Operator, ask);
    let missing = AppError::from(dispatcher.client().get_delivery(ask).await.unwrap_err());
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(dispatcher.replay("dly_none").await.unwrap_err().code(), Code::NotFound);
}
