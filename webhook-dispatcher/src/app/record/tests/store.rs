//! A store that two replicas share, and what they record in it.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use platform::{
    Parts,
    bus::{Bus, EmbeddedBus},
    db::{self, DatabaseConfig, Db},
    ids::derive,
    secret::Secret,
    telemetry::TraceContext,
};
use sea_orm::{ConnectionTrait as _, Statement};
use tokio::time::Instant;
use tracing::Span;

use super::super::*;
use crate::{
    Migrator, config,
    domain::{answer::Answer, delivery::State, endpoint::Owner, target::BaseUrl},
    sender::{Fresh, Receipts, Recipient, Route},
    store::{delivery, lease::Lease, message},
};

pub(super) const URL: &str = "https://shop.example";
pub(super) const WAIT: Duration = Duration::from_secs(20);

/// A store that two replicas share.
pub(super) struct Store {
    pub(super) app: App,
    _folder: tempfile::TempDir,
}

impl Store {
    pub(super) async fn with_endpoints(ids: &[&str]) -> Self {
        let url = Secret::new(testkit::servers::test_env().fresh_database().await.unwrap());
        let database = DatabaseConfig { url, max_connections: 8 };
        let db = Db::connect(&database, "webhooks").await.unwrap();
        db::migrate::<Migrator>(&db, "webhooks").await.unwrap();
        for id in ids {
            endpoint::create(db.write(), endpoint_row(id)).await.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let clock = platform::Clock::manual(1_800_000_000_000);
        let bus = EmbeddedBus::open(&folder.path().join("bus.db"), clock.clone()).await.unwrap();
        let parts = Parts { clock, ..Parts::new(Bus::new(bus)) };
        let (app, _) = App::new(&config::tests::load(&[]).unwrap(), &parts, db).unwrap();
        Self { app, _folder: folder }
    }

    /// An attempt of a delivery to this endpoint that was answered so.
    pub(super) async fn finished(&self, delivery_id: &str, endpoint_id: &str, answer: Answer) -> Finished {
        let route = Route::Shop { base_url: BaseUrl::parse(URL).unwrap(), secrets: Vec::new() };
        self.finished_by(delivery_row(delivery_id, endpoint_id), route, answer).await
    }

    pub(super) async fn finished_by(&self, row: delivery::Model, route: Route, answer: Answer) -> Finished {
        let job = self.job(&row, route);
        delivery::create(self.app.db.write(), row).await.unwrap();
        let attempt = Attempted { started_at_ms: 0, duration_ms: 1, answer, span: Span::none() };
        Finished { job, attempt: Attempt::Made(attempt) }
    }

    /// A first attempt that was answered so.
    pub(super) fn first(&self, event_id: &str, attempt: i64, answer: Answer) -> Finished {
        self.first_to(event_id, "ep_1", attempt, answer)
    }

    /// The same to one of many.
    pub(super) fn first_to(
        &self,
        event_id: &str,
        endpoint_id: &str,
        attempt: i64,
        answer: Answer,
    ) -> Finished {
        let route = Route::Shop { base_url: BaseUrl::parse(URL).unwrap(), secrets: Vec::new() };
        let fresh = Fresh {
            message: Arc::new(message_row(event_id)),
            instance_id: endpoint_id.to_owned(),
            receipt: Receipts::default().expect(),
            place: None,
            not_before_ms: 0,
        };
        let row = delivery::Model {
            attempts: attempt,
            lease_token: attempt,
            ..delivery_row(&derive("dly", event_id, endpoint_id), endpoint_id)
        };
        let job = Job { slot: None, fresh: Some(Box::new(fresh)), ..self.job(&row, route) };
        let attempt = Attempted { started_at_ms: 0, duration_ms: 1, answer, span: Span::none() };
        Finished { job, attempt: Attempt::Made(attempt) }
    }

    /// A first attempt that is open.
    pub(super) fn opened(&self, event_id: &str, attempt: i64) -> Finished {
        let first = self.first(event_id, attempt, Answer::status(204, None));
        Finished { attempt: Attempt::Open(tokio::sync::oneshot::channel().0), ..first }
    }

    /// The end of an attempt that was kept while it was open.
    pub(super) fn ended(&self, event_id: &str, answer: Answer) -> Finished {
        let mut first = self.first(event_id, 1, answer);
        first.job.fresh = None;
        first
    }

    pub(super) fn job(&self, row: &delivery::Model, route: Route) -> Job {
        Job {
            lease: Lease::of(row),
            lease_ends: Instant::now() + WAIT,
            failures: 0,
            event: row.event.clone(),
            place: row.place(),
            give_up_at_ms: row.give_up_at_ms,
            recipient: Arc::new(Recipient::new(row.endpoint_id.clone(), route)),
            body: "{}".into(),
            trace: TraceContext::default(),
            slot: self.app.slots.try_take(&row.endpoint_id),
            fresh: None,
            is_probe: false,
        }
    }

    /// Records both batches at once: both wait for the rows of this statement, then both are let go.
    pub(super) async fn record_at_once(&self, behind: &str, batches: [Vec<Finished>; 2]) {
        let replicas = batches.map(|batch| {
            let app = self.app.clone();
            async move { app.record(&batch).await.map(drop) }.boxed()
        });
        self.at_once(behind, replicas).await;
    }

    pub(super) async fn at_once(&self, behind: &str, replicas: [BoxFuture<'static, AppResult<()>>; 2]) {
        let held = self.app.db.begin().await.unwrap();
        held.execute_unprepared(behind).await.unwrap();
        let told = |done: AppResult<()>| done.map_err(|error| format!("{error:?}"));
        let replicas = replicas.map(|replica| tokio::spawn(replica.map(told)));
        testkit::eventually("both to wait", WAIT, || self.both_wait()).await.unwrap();
        drop(held);
        for replica in replicas {
            assert_eq!(replica.await.unwrap(), Ok(()));
        }
    }

    pub(super) async fn is_in(&self, delivery_id: &str, state: State) -> bool {
        delivery::find(self.app.db.read(), delivery_id).await.unwrap().unwrap().is(state)
    }

    pub(super) async fn both_wait(&self) -> Option<()> {
        let sql = "SELECT count(*) AS waiting FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let sql = Statement::from_string(self.app.db.backend(), sql);
        let row = self.app.db.read().query_one_raw(sql).await.unwrap().unwrap();
        (row.try_get::<i64>("", "waiting").unwrap() == 2).then_some(())
    }
}

pub(super) fn endpoint_row(id: &str) -> endpoint::Model {
    endpoint::Model::new(id.to_owned(), &Owner::Instance(id.to_owned()), URL, 0)
}

pub(super) fn delivery_row(id: &str, endpoint_id: &str) -> delivery::Model {
    delivery::Model {
        id: id.to_owned(),
        message_id: "msg_1".to_owned(),
        endpoint_id: endpoint_id.to_owned(),
        instance_id: endpoint_id.to_owned(),
        event: "license-issued".to_owned(),
        state: State::Pending.as_str().to_owned(),
        attempts: 1,
        lease_token: 1,
        failures: 0,
        next_attempt_at_ms: 0,
        lease_until_ms: i64::MAX,
        held_since_ms: None,
        dead_reason: None,
        created_at_ms: 0,
        settled_at_ms: None,
        kind: "webhook".to_owned(),
        marketplace_id: None,
        installation_id: None,
        serial: None,
        sequence: None,
        give_up_at_ms: None,
    }
}

pub(super) fn message_row(event_id: &str) -> message::Model {
    message::Model {
        id: derive("msg", event_id, ""),
        instance_id: String::new(),
        event: "license-issued".to_owned(),
        sealed_body: Vec::new(),
        traceparent: None,
        tracestate: None,
        created_at_ms: 0,
    }
}
