//! What is announced in a transaction is published once it has committed, whatever happens in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use metrics_exporter_prometheus::PrometheusBuilder;
use platform::{
    Clock, Ids, Random, Shutdown,
    bus::{
        Bus, BusError, ConsumerSpec, DeadLetter, Deliveries, EmbeddedBus, Lag, Message, Notice, Notices,
        Transport,
    },
    db::Db,
    outbox,
};
use proto::events::{LicenseChanged, subject};

use crate::stores::stores;

/// A bus that can be away.
struct Switched {
    bus: Bus,
    away: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for Switched {
    fn system(&self) -> &'static str {
        self.bus.system()
    }
    async fn publish(&self, message: &Message) -> Result<(), BusError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(BusError::Unavailable("switched off by the test".to_owned()));
        }
        self.bus.publish(message).await
    }
    async fn deliveries(&self, spec: &ConsumerSpec) -> Result<Box<dyn Deliveries>, BusError> {
        self.bus.deliveries(spec).await
    }
    async fn notices(&self, subjects: &[&str]) -> Result<Box<dyn Notices>, BusError> {
        self.bus.notices(subjects).await
    }
    async fn bury(&self, letter: &DeadLetter) -> Result<(), BusError> {
        self.bus.bury(letter).await
    }
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, BusError> {
        self.bus.dead_letters(limit).await
    }
    async fn lag(&self, spec: &ConsumerSpec) -> Result<Lag, BusError> {
        self.bus.lag(spec).await
    }
    async fn is_ready(&self) -> bool {
        !self.away.load(Ordering::SeqCst)
    }
}

struct Bench {
    db: Db,
    bus: Bus,
    away: Arc<AtomicBool>,
    told: Box<dyn Notices>,
    ids: Ids,
    _folders: (Option<tempfile::TempDir>, tempfile::TempDir),
}

async fn benches() -> Vec<Bench> {
    let mut benches = Vec::new();
    for (db, folder) in stores().await {
        let bus_folder = tempfile::tempdir().unwrap();
        let embedded = EmbeddedBus::open(&bus_folder.path().join("bus.db"), Clock::system()).await.unwrap();
        let away = Arc::new(AtomicBool::new(false));
        let bus = Bus::new(Switched { bus: Bus::new(embedded), away: away.clone() });
        let told = bus.notices(&[subject::LICENSE_CHANGED]).await.unwrap();
        let ids = Ids::new(Clock::system(), Random::system());
        benches.push(Bench { db, bus, away, told, ids, _folders: (folder, bus_folder) });
    }
    benches
}

impl Bench {
    fn relay(&self) -> (tokio::task::JoinHandle<()>, Shutdown) {
        let shutdown = Shutdown::new();
        let relay = outbox::relay(self.db.clone(), self.bus.clone(), Clock::system(), shutdown.clone());
        (tokio::spawn(relay), shutdown)
    }

    async fn announce(&self, license_id: &str, commit: bool) {
        let event = LicenseChanged { license_id: license_id.to_owned(), ..LicenseChanged::default() };
        let tx = self.db.begin().await.unwrap();
        outbox::announce(&*tx, &self.ids, Clock::system().now_ms(), subject::LICENSE_CHANGED, &event)
            .await
            .unwrap();
        if commit {
            tx.commit().await.unwrap();
        }
    }

    async fn next(&mut self) -> Message {
        let notice =
            tokio::time::timeout(Duration::from_secs(10), self.told.next()).await.expect("nothing was told");
        match notice {
            Notice::Event(message) => message,
            Notice::Gap => panic!("the embedded bus has no gaps"),
        }
    }

    async fn nothing_within(&mut self, time: Duration) {
        assert!(tokio::time::timeout(time, self.told.next()).await.is_err(), "something was told");
    }
}

fn license_of(message: &Message) -> String {
    use proto::prost::Message as _;
    LicenseChanged::decode(message.payload.clone()).unwrap().license_id
}

#[tokio::test]
async fn what_was_committed_is_told_by_the_commit_and_not_by_a_poll() {
    for mut bench in benches().await {
        let (_relay, shutdown) = bench.relay();
        let started = tokio::time::Instant::now();
        for n in 0..3 {
            bench.announce(&format!("lic_{n}"), true).await;
            assert_eq!(license_of(&bench.next().await), format!("lic_{n}"));
        }
        assert!(started.elapsed() < Duration::from_secs(4), "the safety net polls every 5 s");
        shutdown.cancel();
    }
}

#[tokio::test]
async fn what_was_rolled_back_is_never_told() {
    for mut bench in benches().await {
        let (_relay, shutdown) = bench.relay();
        bench.announce("lic_undone", false).await;
        bench.announce("lic_done", true).await;
        assert_eq!(license_of(&bench.next().await), "lic_done");
        bench.nothing_within(Duration::from_millis(200)).await;
        shutdown.cancel();
    }
}

/// On one thread: there a recorder hears of nobody else's.
#[tokio::test]
async fn what_waits_for_the_bus_is_measured_by_its_number_and_age() {
    for mut bench in benches().await {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _here = metrics::set_default_local_recorder(&recorder);
        let value = |name: &str| {
            let name = format!("{name}{{store=\"{}\"}} ", bench.db.name());
            let scraped = recorder.handle().render();
            let line = scraped.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|value| value.parse::<f64>().ok())
        };
        bench.away.store(true, Ordering::SeqCst);
        bench.announce("lic_1", true).await;
        bench.announce("lic_2", true).await;
        let (_relay, shutdown) = bench.relay();
        let waits = || async {
            let two = value("outbox_pending_messages") == Some(2.0);
            (two && value("outbox_oldest_age_seconds").is_some_and(|age| age > 1.0)).then_some(())
        };
        testkit::eventually("two to wait", Duration::from_secs(20), waits).await.unwrap();
        let failed = r#"messaging_destination_name="licensing.v1.license_changed",error_type="transient""#;
        assert!(recorder.handle().render().contains(failed), "why it waits is told");
        bench.away.store(false, Ordering::SeqCst);
        bench.next().await;
        shutdown.cancel();
    }
}

#[tokio::test]
async fn what_was_announced_while_the_bus_was_away_is_told_when_it_is_back() {
    for mut bench in benches().await {
        bench.away.store(true, Ordering::SeqCst);
        let (_relay, shutdown) = bench.relay();
        bench.announce("lic_1", true).await;
        bench.nothing_within(Duration::from_millis(300)).await;
        bench.away.store(false, Ordering::SeqCst);
        assert_eq!(license_of(&bench.next().await), "lic_1");
        shutdown.cancel();
    }
}

#[tokio::test]
async fn a_relay_that_was_killed_is_followed_by_one_that_tells_the_rest_once() {
    for mut bench in benches().await {
        let (relay, _) = bench.relay();
        for n in 0..20 {
            bench.announce(&format!("lic_{n:02}"), true).await;
        }
        relay.abort();
        let _ = relay.await;
        outbox_claims_expire(&bench.db).await;
        let (_relay, shutdown) = bench.relay();
        let mut told = Vec::new();
        for _ in 0..20 {
            told.push(license_of(&bench.next().await));
        }
        told.sort();
        told.dedup();
        assert_eq!(told.len(), 20);
        bench.nothing_within(Duration::from_millis(300)).await;
        shutdown.cancel();
    }
}

/// What the passing of a relay's lease does.
async fn outbox_claims_expire(db: &Db) {
    use sea_orm::ConnectionTrait as _;
    db.write().execute_unprepared("UPDATE outbox SET claimed_until_ms = 0").await.unwrap();
}

#[tokio::test]
async fn what_a_bus_lost_is_told_again_once_the_bus_has_forgotten_its_id() {
    for mut bench in benches().await {
        let (_relay, shutdown) = bench.relay();
        bench.announce("lic_1", true).await;
        let first = bench.next().await;
        assert_eq!(republish_when_marked(&bench.db).await, 1, "the row was kept after it was published");
        let rests_until: i64 = single(&bench.db, "SELECT claimed_until_ms AS value FROM outbox").await;
        let window = i64::try_from(platform::bus::DUPLICATE_WINDOW.as_millis()).unwrap();
        let left = rests_until - Clock::system().now_ms();
        assert!(
            (window - 60_000..=window).contains(&left),
            "{left} ms: too early, and the bus would drop it"
        );
        assert!(first.id.starts_with("evt_"));
        shutdown.cancel();
    }
}

#[tokio::test]
async fn a_message_that_the_bus_can_never_take_stands_in_no_others_way() {
    for mut bench in benches().await {
        let tx = bench.db.begin().await.unwrap();
        let event = LicenseChanged::default();
        outbox::announce(&*tx, &bench.ids, 0, "nowhere.v1.never", &event).await.unwrap();
        tx.commit().await.unwrap();
        let (_relay, shutdown) = bench.relay();
        let started = tokio::time::Instant::now();
        for n in 0..5 {
            bench.announce(&format!("lic_{n}"), true).await;
            bench.next().await;
        }
        assert!(started.elapsed() < Duration::from_secs(3), "each round paused for the one that is refused");
        shutdown.cancel();
    }
}

async fn single(db: &Db, sql: &str) -> i64 {
    use sea_orm::{ConnectionTrait as _, Statement};
    let row = db.read().query_one_raw(Statement::from_string(db.backend(), sql)).await.unwrap().unwrap();
    row.try_get("", "value").unwrap()
}

async fn republish_when_marked(db: &Db) -> u64 {
    testkit::eventually("the row being marked", Duration::from_secs(10), || async {
        Some(outbox::republish(db, 0).await.unwrap()).filter(|count| *count > 0)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn two_relays_of_two_replicas_tell_each_event_once() {
    for mut bench in benches().await {
        let (_one, first) = bench.relay();
        let (_two, second) = bench.relay();
        for n in 0..50 {
            bench.announce(&format!("lic_{n:02}"), true).await;
        }
        let mut told = Vec::new();
        for _ in 0..50 {
            told.push(license_of(&bench.next().await));
        }
        told.sort();
        told.dedup();
        assert_eq!(told.len(), 50);
        first.cancel();
        second.cancel();
    }
}
