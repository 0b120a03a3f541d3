//! What is forgotten by age, and when.

use std::time::Duration;

use platform::Code;
use sea_orm::{ConnectionTrait as _, Statement};
use webhook_dispatcher::config::DeliveryConfig;

use crate::harness::{Dispatcher, On, WAIT};

const DAY: Duration = Duration::from_hours(24);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_each_part_goes_at_its_age() {
    each_part_goes_at_its_age(On::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_each_part_goes_at_its_age() {
    each_part_goes_at_its_age(On::Servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_message_stays_until_its_last_delivery_goes() {
    a_message_stays_until_its_last_delivery_goes(On::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_message_stays_until_its_last_delivery_goes() {
    a_message_stays_until_its_last_delivery_goes(On::Servers).await;
}

impl Dispatcher {
    async fn forgetting(on: On) -> Self {
        let delivery = DeliveryConfig {
            allow_cidrs: vec!["127.0.0.0/8".parse().unwrap()],
            payload_retention_days: Some(3),
            attempt_retention_days: Some(5),
            ..DeliveryConfig::default()
        };
        Self::start_with(on, delivery).await
    }

    /// Bodies, attempts, deliveries, messages.
    async fn kept(&self) -> [i64; 4] {
        let sql = "SELECT (SELECT count(*) FROM messages WHERE length(sealed_body) > 0), \
                   (SELECT count(*) FROM attempts), (SELECT count(*) FROM deliveries), (SELECT count(*) FROM messages)";
        let row = self.db.read().query_one_raw(Statement::from_string(self.db.backend(), sql)).await;
        let row = row.unwrap().unwrap();
        std::array::from_fn(|index| row.try_get_by_index(index).unwrap())
    }

    async fn kept_is(&self, wanted: [i64; 4]) {
        let look = || async { (self.kept().await == wanted).then_some(()) };
        let there = testkit::eventually("what is kept", WAIT, look).await;
        assert!(there.is_ok(), "{:?} are kept, not {wanted:?}", self.kept().await);
    }
}

async fn each_part_goes_at_its_age(on: On) {
    let dispatcher = Dispatcher::forgetting(on).await;
    let _shop = dispatcher.shop("inst_1").await;
    dispatcher.issue("inst_1").await;
    let told = dispatcher.reaches("inst_1", "delivered").await.delivery.unwrap();
    dispatcher.clock.advance(2 * DAY);
    dispatcher.issue("inst_1").await;
    dispatcher
        .newest("inst_1", "the second", |it| {
            let second = it.delivery.as_ref().unwrap();
            second.delivery_id != told.delivery_id && second.state == "delivered"
        })
        .await;
    dispatcher.kept_is([2, 2, 2, 2]).await;

    dispatcher.clock.advance(DAY + Duration::from_hours(1));
    dispatcher.kept_is([1, 2, 2, 2]).await;
    let gone = dispatcher.replay(&told.delivery_id).await.unwrap_err();
    assert_eq!(gone.code(), Code::Conflict);
    assert!(gone.message().contains("was kept for 3 days and is gone"), "{gone}");
    assert!(!dispatcher.message(&told.message_id).await.unwrap().message.unwrap().has_body);

    dispatcher.clock.advance(2 * DAY);
    dispatcher.kept_is([0, 1, 2, 2]).await;
    dispatcher.clock.advance(25 * DAY);
    dispatcher.kept_is([0, 0, 1, 1]).await;
    dispatcher.clock.advance(2 * DAY);
    dispatcher.kept_is([0, 0, 0, 0]).await;
}

/// One event told to two endpoints: the second is held for long, and still has what to say.
async fn a_message_stays_until_its_last_delivery_goes(on: On) {
    let dispatcher = Dispatcher::forgetting(on).await;
    let _shop = dispatcher.shop("inst_1").await;
    dispatcher.issue("inst_1").await;
    let told = dispatcher.reaches("inst_1", "delivered").await.delivery.unwrap();
    let twin = format!("{}{}", &told.delivery_id[..14], "0000000000000001");
    let held = format!(
        "INSERT INTO deliveries (id, message_id, endpoint_id, instance_id, event, state, attempts, lease_token, failures, \
         next_attempt_at_ms, lease_until_ms, held_since_ms, created_at_ms, kind) VALUES ('{twin}', '{}', 'ep_2', 'inst_2', \
         'license-issued', 'held', 0, 0, 0, 1, 0, {}, 1, 'webhook')",
        told.message_id,
        dispatcher.clock.now_ms() + 40 * 24 * 3_600_000_i64,
    );
    dispatcher.change(&held).await;
    dispatcher.clock.advance(31 * DAY);
    dispatcher.kept_is([1, 0, 1, 1]).await;
    let settled = format!("UPDATE deliveries SET state = 'delivered', settled_at_ms = 1 WHERE id = '{twin}'");
    dispatcher.change(&settled).await;
    dispatcher.clock.advance(Duration::from_hours(2));
    dispatcher.kept_is([0, 0, 0, 0]).await;
}
