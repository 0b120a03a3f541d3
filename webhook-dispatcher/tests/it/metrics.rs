//! What is counted, as it is scraped. On one thread: there a recorder hears of nobody else's.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use testkit::receiver::Answer;
use wire::open2b::Operation::{Install, Remove, Update};

use crate::harness::{Dispatcher, On, WAIT};

/// Of each webhook and callback one that goes well, one that is ended by its answer, its successor, or its age.
#[tokio::test]
async fn callbacks_and_webhooks_are_counted_each_as_what_they_are() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _here = metrics::set_default_local_recorder(&recorder);
    let dispatcher = Dispatcher::start(On::Embedded).await;
    let (app, _shop) = (dispatcher.app().await, dispatcher.shop("inst_3").await);
    app.receiver.script([Answer::status(500)]);
    dispatcher.call_back("inst_1", Install, 1).await;
    dispatcher.settled("inst_1", 1).await;
    dispatcher.call_back("inst_2", Install, 1).await;
    dispatcher.settled("inst_2", 1).await;
    dispatcher.issue("inst_3").await;
    dispatcher.reaches("inst_3", "delivered").await;

    dispatcher.set_disabled("inst_3", true).await.unwrap();
    dispatcher.set_app_disabled(true).await.unwrap();
    dispatcher.clock.advance(Duration::from_secs(1));
    dispatcher.issue("inst_3").await;
    dispatcher.reaches("inst_3", "held").await;
    dispatcher.call_back("inst_4", Update, 1).await;
    dispatcher.reaches("inst_4", "held").await;
    dispatcher.call_back("inst_4", Remove, 2).await;
    dispatcher.settled("inst_4", 1).await;
    dispatcher.clock.advance(Duration::from_hours(31 * 24));
    dispatcher.settled("inst_4", 2).await;

    let expected = [
        r#"callback_settlements_total{operation="Install",outcome="delivered"} 1"#,
        r#"callback_settlements_total{operation="Install",outcome="refused"} 1"#,
        r#"callback_settlements_total{operation="Remove",outcome="given_up"} 1"#,
        r#"callback_settlements_total{operation="Update",outcome="superseded"} 1"#,
        r#"webhook_dead_letters_total{reason="aged_out"} 1"#,
        r#"webhook_deliveries_total{kind="callback",outcome="dead"} 1"#,
        r#"webhook_deliveries_total{kind="callback",outcome="delivered"} 1"#,
        r#"webhook_deliveries_total{kind="webhook",outcome="delivered"} 1"#,
    ];
    let names = ["callback_settlements_total", "webhook_dead_letters_total", "webhook_deliveries_total"];
    let counted = || {
        let scraped = recorder.handle().render();
        // Each has its counter from the start.
        let is_ours = |line: &&str| names.iter().any(|name| line.starts_with(name)) && !line.ends_with(" 0");
        let mut counted: Vec<String> = scraped.lines().filter(is_ours).map(str::to_owned).collect();
        counted.sort_unstable();
        counted
    };
    // The counters follow the commit, as the announcements do.
    let all = || async { (counted().len() >= expected.len()).then_some(()) };
    testkit::eventually("all to be counted", WAIT, all).await.unwrap();
    assert_eq!(counted(), expected);
}
