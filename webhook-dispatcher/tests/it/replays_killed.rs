//! Replays without a pipeline behind them: replicas that die, or compete, in the middle of one, and a store that is busy.

use std::{fmt::Write as _, time::Duration};

use platform::{Shutdown, ids::floor};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use webhook_dispatcher::{
    app::ReplayRequest,
    domain::replay::{Progress, Rate, Which},
    store::replay::Model,
};

use crate::harness::{Idle, On, WAIT};

/// So many deliveries of two endpoints.
const DELIVERIES: i64 = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_each_delivery_is_replayed_once_whoever_dies() {
    each_delivery_is_replayed_once_whoever_dies(On::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_each_delivery_is_replayed_once_whoever_dies() {
    each_delivery_is_replayed_once_whoever_dies(On::Servers).await;
}

/// Two replicas drive the job, and each is killed again and again wherever it happens to be. What was delivered is sent
/// again too, so that a second time would be counted.
async fn each_delivery_is_replayed_once_whoever_dies(on: On) {
    let idle = Idle::start(on).await;
    idle.fill().await;
    let operator = idle.replica().await;
    let job = operator.create_replay(&idle.all_at(40)).await.unwrap();
    let (mut one, mut other) = (idle.drive().await, idle.drive().await);
    for kills in 0_u32.. {
        let before = operator.get_replay(&job.id).await.unwrap();
        idle.assert_counted(&before).await;
        if before.is(Progress::Done) {
            assert_eq!((before.found, before.replayed), (DELIVERIES, DELIVERIES));
            assert!(kills >= 8, "{kills} kills are too few to tell anything");
            break;
        }
        // Both begin a step, and one of them dies wherever it has come to by then.
        idle.clock.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(u64::from(kills * 3 % 25))).await;
        let dies = if kills % 2 == 0 { &mut one } else { &mut other };
        dies.abort();
        *dies = idle.drive().await;
        let goes_on = || async {
            let now = operator.get_replay(&job.id).await.unwrap();
            (now.is(Progress::Done) || now.position > before.position).then_some(())
        };
        testkit::eventually("the next step", WAIT, goes_on).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite_a_replay_waits_while_much_is_due() {
    a_replay_waits_while_much_is_due(On::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_a_replay_waits_while_much_is_due() {
    a_replay_waits_while_much_is_due(On::Servers).await;
}

/// Nobody takes what it has sent again, so it stops at ten seconds' worth, and goes on when that is gone.
async fn a_replay_waits_while_much_is_due(on: On) {
    let idle = Idle::start(on).await;
    idle.fill().await;
    let operator = idle.replica().await;
    let id = operator.create_replay(&idle.all_at(20)).await.unwrap().id;
    let _driver = AbortOnDropHandle::new(idle.drive().await);
    for (replayed, state) in [(200, Progress::Running), (400, Progress::Done)] {
        let comes_to = || async {
            idle.clock.advance(Duration::from_secs(1));
            (operator.get_replay(&id).await.unwrap().replayed >= replayed).then_some(())
        };
        testkit::eventually("the bound", WAIT, comes_to).await.unwrap();
        // The steps that might follow are due.
        let next_look = || async {
            idle.clock.advance(Duration::from_secs(1));
            let now = operator.get_replay(&id).await.unwrap();
            assert_eq!(now.replayed, replayed);
            (now.is(state) && (state == Progress::Done || now.next_step_at_ms > idle.clock.now_ms() - 1_000))
                .then_some(())
        };
        testkit::eventually("a look that finds too much", WAIT, next_look).await.unwrap();
        let taken = "UPDATE deliveries SET state = 'delivered', settled_at_ms = 1 WHERE state = 'pending'";
        idle.db.write().execute_unprepared(taken).await.unwrap();
    }
}

impl Idle {
    fn all_at(&self, per_second: u32) -> ReplayRequest {
        ReplayRequest {
            endpoint_id: None,
            since_ms: self.clock.now_ms() - 1,
            until_ms: None,
            which: Which::All,
            rate: Rate::new(Some(per_second)).unwrap(),
            idempotency_key: None,
        }
    }

    async fn fill(&self) {
        let now_ms = self.clock.now_ms();
        let (dly, msg) = (floor("dly", now_ms), floor("msg", now_ms));
        let mut sql = String::new();
        for endpoint in 0..2 {
            write!(
                sql,
                "INSERT INTO endpoints (id, kind, instance_id, base_url, sealed_secrets, revision, tenant_disabled, \
                 throttled_until_ms, created_at_ms, updated_at_ms) VALUES ('ep_{endpoint}', 'webhook', \
                 'inst_{endpoint}', 'https://shop.example', '', 1, false, 0, 1, 1);"
            )
            .unwrap();
        }
        for n in 0..DELIVERIES {
            let (id, message, endpoint) =
                (format!("{}{n:016}", &dly[..14]), format!("{}{n:016}", &msg[..14]), n % 2);
            write!(
                sql,
                "INSERT INTO messages (id, instance_id, event, sealed_body, created_at_ms) \
                 VALUES ('{message}', 'inst_{endpoint}', 'license-issued', 'sealed', {now_ms}); \
                 INSERT INTO deliveries (id, message_id, endpoint_id, instance_id, event, state, attempts, lease_token, \
                 failures, next_attempt_at_ms, lease_until_ms, created_at_ms, settled_at_ms, kind) \
                 VALUES ('{id}', '{message}', 'ep_{endpoint}', 'inst_{endpoint}', 'license-issued', 'delivered', 1, 1, \
                 0, 0, 0, {now_ms}, {now_ms}, 'webhook');"
            )
            .unwrap();
        }
        self.db.write().execute_unprepared(&sql).await.unwrap();
    }

    /// A replica that does nothing but drive replays.
    async fn drive(&self) -> JoinHandle<()> {
        tokio::spawn(self.replica().await.drive_replays(Shutdown::new()))
    }

    /// What the job says it has sent again is exactly what is pending, and lies before its position.
    async fn assert_counted(&self, job: &Model) {
        let position = job.position.clone().unwrap_or_default();
        let sql = "SELECT count(*) AS passed, count(CASE WHEN id <= $1 THEN 1 END) AS told \
                   FROM deliveries WHERE state = 'pending'";
        let sql = Statement::from_sql_and_values(self.db.backend(), sql, [position.into()]);
        let row = self.db.read().query_one_raw(sql).await.unwrap().unwrap();
        let (passed, told): (i64, i64) =
            (row.try_get("", "passed").unwrap(), row.try_get("", "told").unwrap());
        assert_eq!(told, job.replayed, "position and count are those of the deliveries");
        assert!(passed >= told);
    }
}
