//! What operators list: parts that go on by a cursor, filters, and what is never shown.

use std::time::Duration;

use platform::Code;
use proto::webhooks::{
    ListAttemptsRequest, ListDeliveriesRequest, ListEndpointsRequest, ListMessagesRequest,
};
use testkit::receiver::Answer;
use wire::open2b::Operation;

use crate::harness::{Dispatcher, WAIT};

over_both! {
    a_list_goes_on_where_it_was_while_new_ones_arrive,
    dead_letters_are_found_by_their_reason_endpoint_and_time,
    a_message_tells_its_deliveries_and_never_what_it_says,
    attempts_are_listed_newest_first_and_cut_anywhere,
    endpoints_go_on_by_a_cursor,
    bad_questions_about_lists_say_what_would_be_right,
}

impl Dispatcher {
    /// Tells the instance so often, a second apart, each delivered before the next.
    async fn tell_slowly(&self, instance_id: &str, count: usize) {
        let before = self.deliveries_to(instance_id).await.len();
        for number in 1..=count {
            self.clock.advance(Duration::from_secs(1));
            self.issue(instance_id).await;
            let told =
                || async { (self.deliveries_to(instance_id).await.len() == before + number).then_some(()) };
            testkit::eventually("the delivery", WAIT, told).await.unwrap();
        }
    }

    async fn ids(&self, ask: ListDeliveriesRequest) -> Vec<String> {
        let listed = self.deliveries(ask).await.unwrap();
        listed.deliveries.into_iter().map(|delivery| delivery.delivery_id).collect()
    }
}

async fn a_list_goes_on_where_it_was_while_new_ones_arrive(dispatcher: Dispatcher) {
    let _shop = dispatcher.shop("inst_1").await;
    dispatcher.tell_slowly("inst_1", 5).await;
    let all = dispatcher.ids(ListDeliveriesRequest::default()).await;
    for instance_id in [None, Some("inst_1".to_owned())] {
        let ask = ListDeliveriesRequest { limit: 2, instance_id, ..Default::default() };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let part = dispatcher.deliveries(ListDeliveriesRequest { after, ..ask.clone() }).await.unwrap();
            seen.extend(part.deliveries.into_iter().map(|delivery| delivery.delivery_id));
            after = part.stretch.unwrap().next;
            if after.is_none() {
                break;
            }
            dispatcher.tell_slowly("inst_1", 1).await;
        }
        assert!(seen.ends_with(&all), "{seen:?} {all:?}");
        seen.dedup();
        assert!(seen.is_sorted_by(|a, b| a > b), "none twice, newest first");
    }
    let listed = dispatcher.deliveries(ListDeliveriesRequest::default()).await.unwrap();
    assert!(listed.stretch.unwrap().count_is_exact);
    assert_eq!(listed.count as usize, listed.deliveries.len());
}

async fn dead_letters_are_found_by_their_reason_endpoint_and_time(dispatcher: Dispatcher) {
    let (_one, _two) = (dispatcher.shop("inst_1").await, dispatcher.shop("inst_2").await);
    dispatcher.tell_slowly("inst_1", 3).await;
    dispatcher.tell_slowly("inst_2", 1).await;
    let ids = dispatcher.ids(ListDeliveriesRequest::default()).await;
    for (id, reason) in ids.iter().zip([
        "6 attempts failed; the last answer was 503",
        "6 attempts failed; the last one: timeout",
        "held longer than deliveries are kept",
    ]) {
        let dead =
            format!("UPDATE deliveries SET state = 'dead', dead_reason = '{reason}' WHERE id = '{id}'");
        dispatcher.change(&dead).await;
    }
    let dead = || ListDeliveriesRequest { state: Some("dead".to_owned()), ..Default::default() };
    assert_eq!(dispatcher.ids(dead()).await, ids[..3]);
    for (class, id) in [("server_error", &ids[0]), ("timeout", &ids[1]), ("aged_out", &ids[2])] {
        let of_class = ListDeliveriesRequest { reason: Some(class.to_owned()), ..dead() };
        let found = dispatcher.deliveries(of_class).await.unwrap();
        assert_eq!((found.count, &found.deliveries[0].delivery_id), (1, id), "{class}");
        assert_eq!(found.deliveries[0].dead_class.as_deref(), Some(class));
    }
    let endpoint_id = dispatcher.endpoint("inst_1").await.map(|endpoint| endpoint.endpoint_id);
    let of_endpoint = ListDeliveriesRequest { endpoint_id: endpoint_id.clone(), ..dead() };
    assert_eq!(dispatcher.ids(of_endpoint).await, ids[1..3]);
    let all_of_endpoint = ListDeliveriesRequest { endpoint_id, ..Default::default() };
    assert_eq!(dispatcher.ids(all_of_endpoint).await, ids[1..]);
    let made_at_ms = dispatcher.delivery(&ids[1]).await.delivery.unwrap().created_at_ms;
    let since = ListDeliveriesRequest { since_ms: Some(made_at_ms), ..dead() };
    assert_eq!(dispatcher.ids(since).await, ids[..2]);
    let until = ListDeliveriesRequest { until_ms: Some(made_at_ms), ..dead() };
    assert_eq!(dispatcher.ids(until).await, ids[2..3]);
}

async fn a_message_tells_its_deliveries_and_never_what_it_says(dispatcher: Dispatcher) {
    let (_shop, _other, _app) =
        (dispatcher.shop("inst_1").await, dispatcher.shop("inst_2").await, dispatcher.app().await);
    dispatcher.tell_slowly("inst_1", 2).await;
    dispatcher.tell_slowly("inst_2", 1).await;
    dispatcher.clock.advance(Duration::from_secs(5));
    dispatcher.call_back("inst_1", Operation::Install, 1).await;
    dispatcher.settled("inst_1", 1).await;

    let all = dispatcher.messages(ListMessagesRequest::default()).await.unwrap();
    let about: Vec<_> = all.messages.iter().map(|message| message.instance_id.as_str()).collect();
    assert_eq!((all.count, about), (4, vec!["inst_1", "inst_2", "inst_1", "inst_1"]));
    assert!(!all.messages[0].has_body, "a callback's is wiped when it settles");
    let of_instance =
        ListMessagesRequest { instance_id: Some("inst_1".to_owned()), limit: 2, ..Default::default() };
    let first = dispatcher.messages(of_instance.clone()).await.unwrap();
    let after = first.stretch.unwrap().next;
    let rest = dispatcher.messages(ListMessagesRequest { after, ..of_instance }).await.unwrap();
    assert_eq!((first.count, first.messages.len(), rest.messages.len()), (3, 2, 1));
    let events = ListMessagesRequest { event: Some("license-issued".to_owned()), ..Default::default() };
    assert_eq!(dispatcher.messages(events).await.unwrap().count, 3);

    for message in &all.messages {
        let detail = dispatcher.message(&message.message_id).await.unwrap();
        assert_eq!((detail.count, &detail.deliveries[0].message_id), (1, &message.message_id));
        assert_eq!(detail.message.as_ref(), Some(message));
        let message_id = Some(message.message_id.clone());
        let ids = dispatcher.ids(ListDeliveriesRequest { message_id, ..Default::default() }).await;
        assert_eq!(ids, [detail.deliveries[0].delivery_id.clone()]);
    }
}

async fn attempts_are_listed_newest_first_and_cut_anywhere(dispatcher: Dispatcher) {
    let shop = dispatcher.shop("inst_1").await;
    shop.receiver.script([Answer::status(500), Answer::status(503), Answer::status(204)]);
    dispatcher.issue("inst_1").await;
    let failed = dispatcher.attempted("inst_1", 1).await;
    dispatcher.pass_until_due(&failed);
    let failed = dispatcher.attempted("inst_1", 2).await;
    dispatcher.pass_until_due(&failed);
    dispatcher.reaches("inst_1", "delivered").await;
    dispatcher.tell_slowly("inst_1", 2).await;

    let endpoint_id = dispatcher.endpoint("inst_1").await.map(|endpoint| endpoint.endpoint_id);
    for limit in 1..=6 {
        let ask = ListAttemptsRequest { limit, endpoint_id: endpoint_id.clone(), ..Default::default() };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let part = dispatcher.attempts(ListAttemptsRequest { after, ..ask.clone() }).await.unwrap();
            assert!(part.attempts.len() <= limit as usize && part.count == 5);
            seen.extend(part.attempts.into_iter().map(|listed| listed.attempt.unwrap()));
            after = part.stretch.unwrap().next;
            if after.is_none() {
                break;
            }
        }
        let seen: Vec<_> = seen.iter().map(|attempt| (attempt.number, attempt.status.unwrap())).collect();
        assert_eq!(seen, [(1, 204), (1, 204), (3, 204), (2, 503), (1, 500)], "{limit} at once");
    }
    let outcome = Some("server_error".to_owned());
    let failed = dispatcher.attempts(ListAttemptsRequest { outcome, ..Default::default() }).await.unwrap();
    assert_eq!((failed.count, failed.attempts.len()), (2, 2));
    assert_eq!(failed.attempts[0].event, "license-issued");
}

async fn endpoints_go_on_by_a_cursor(dispatcher: Dispatcher) {
    let mut shops = Vec::new();
    for number in 1..=3 {
        shops.push(dispatcher.shop(&format!("inst_{number}")).await);
        dispatcher.clock.advance(Duration::from_secs(1));
    }
    let ask = ListEndpointsRequest { limit: 2, ..Default::default() };
    let first = dispatcher.endpoints(ask.clone()).await.unwrap();
    let after = first.stretch.unwrap().next;
    let rest = dispatcher.endpoints(ListEndpointsRequest { after, ..ask }).await.unwrap();
    let all = first.endpoints.iter().chain(&rest.endpoints).map(|endpoint| endpoint.instance_id.as_str());
    assert_eq!(all.collect::<Vec<_>>(), ["inst_3", "inst_2", "inst_1"]);
    assert_eq!((rest.count, rest.stretch.unwrap().next), (3, None));
}

async fn bad_questions_about_lists_say_what_would_be_right(dispatcher: Dispatcher) {
    let ask = ListDeliveriesRequest::default;
    let said = |text: &str| Some(text.to_owned());
    let bad = [
        (ListDeliveriesRequest { after: said("page 2"), ..ask() }, "the next of an earlier answer"),
        (ListDeliveriesRequest { offset: 10_001, ..ask() }, "go on with after"),
        (ListDeliveriesRequest { reason: said("bored"), state: said("dead"), ..ask() }, "timeout"),
        (ListDeliveriesRequest { reason: said("timeout"), ..ask() }, "with state dead"),
        (
            ListDeliveriesRequest { since_ms: Some(2), until_ms: Some(1), ..ask() },
            "since must be before until",
        ),
    ];
    for (question, right) in bad {
        let error = dispatcher.deliveries(question).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidData);
        assert!(error.message().contains(right), "{error}");
    }
    let nowhere = ListDeliveriesRequest { endpoint_id: said("ep_none"), ..ask() };
    assert_eq!(dispatcher.deliveries(nowhere).await.unwrap_err().code(), Code::NotFound);
    let outcome = ListAttemptsRequest { outcome: said("sad"), ..Default::default() };
    let error = dispatcher.attempts(outcome).await.unwrap_err();
    assert!(error.message().starts_with("outcome must be one of success, "), "{error}");
    assert_eq!(dispatcher.message("msg_none").await.unwrap_err().code(), Code::NotFound);
}
