//! The trace of a delivery.

use platform::telemetry::{Telemetry, TelemetryConfig, TraceContext};
use testkit::{
    collector::{Collector, Span},
    receiver::Answer,
};

use crate::harness::{Dispatcher, On, WAIT};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_attempt_is_in_the_messages_trace_and_a_retry_links_to_it() {
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
    telemetry.stop(WAIT).await;

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
