//! The trace of a delivery.

use platform::telemetry::{Telemetry, TelemetryConfig, TraceContext};
use testkit::{
    collector::{Collector, Span},
    receiver::Answer,
};

use wire::open2b::Operation;

use crate::harness::{Dispatcher, On, WAIT};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLICK: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_attempt_is_in_the_trace_of_who_asked_for_it_and_a_retry_links_to_it() {
    let collector = Collector::start().await.unwrap();
    let config = TelemetryConfig { otlp_endpoint: Some(collector.endpoint()), ..TelemetryConfig::default() };
    let telemetry = Telemetry::start(&config, "webhook-dispatcher").unwrap();
    let dispatcher = Dispatcher::start(On::Embedded).await;
    let shop = dispatcher.shop("inst_traced").await;
    shop.receiver.script([Answer::status(500)]);
    let traceparent = Some(format!("00-{TRACE}-b7ad6b7169203331-01"));
    dispatcher.issue_in("inst_traced", TraceContext { traceparent, tracestate: None }).await;
    let failed = dispatcher.attempted("inst_traced", 1).await;
    dispatcher.pass_until_due(&failed);
    let delivered = dispatcher.reaches("inst_traced", "delivered").await.delivery.unwrap();
    let callback = called_back(&dispatcher).await;
    telemetry.stop(WAIT).await;
    check_callback(&collector.spans(), &callback);

    let attempts: Vec<Span> = collector
        .spans()
        .into_iter()
        .filter(|span| span.has("mercato.delivery_id", &delivered.delivery_id))
        .collect();
    let attempt = |number: &str| attempts.iter().find(|span| span.has("mercato.attempt", number)).unwrap();
    let (first, second) = (attempt("1"), attempt("2"));
    assert_eq!((first.name.as_str(), first.trace_id.as_str()), ("deliver license-issued", TRACE));
    let spans = collector.spans();
    let parent = spans.iter().find(|span| Some(&span.span_id) == first.parent_id.as_ref()).unwrap();
    assert_eq!(parent.name, "consume licensing.v1.license_issued");
    assert_eq!((second.trace_id == TRACE, second.parent_id.is_none()), (false, true));
    assert_eq!(second.links[0].0, TRACE);
    for span in &attempts {
        assert!(!format!("{span:?}").contains("inst_traced"), "no instance in a span");
    }
}

/// Makes an Install that a shop's click asked for; its delivery's id.
async fn called_back(dispatcher: &Dispatcher) -> String {
    let _app = dispatcher.app().await;
    let traceparent = Some(format!("00-{CLICK}-00f067aa0ba902b7-01"));
    let trace = TraceContext { traceparent, tracestate: None };
    dispatcher.call_back_in("inst_traced", Operation::Install, 1, trace).await;
    dispatcher.settled("inst_traced", 1).await.delivery_id
}

fn check_callback(spans: &[Span], delivery_id: &str) {
    let attempt = spans.iter().find(|span| span.has("mercato.delivery_id", delivery_id)).unwrap();
    assert_eq!((attempt.name.as_str(), attempt.trace_id.as_str()), ("deliver Install", CLICK));
    let parent = spans.iter().find(|span| Some(&span.span_id) == attempt.parent_id.as_ref()).unwrap();
    assert_eq!(parent.name, "consume licensing.v1.installation_requested");
    assert!(!format!("{attempt:?}").contains("inst_traced"), "no instance in a span");
}
