//! Waits until nothing is on its way any more.

use std::{fmt, time::Duration};

use anyhow::Context as _;
use async_nats::jetstream::{self, consumer::Info};
use futures::TryStreamExt as _;
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};
use tokio::time::{Instant as Moment, MissedTickBehavior, interval};

use crate::stage::Stage;

/// Between two looks; a look is a few counts.
const LOOK: Duration = Duration::from_millis(250);
const OUTBOXES: [&str; 4] = ["catalog", "license", "payments", "webhooks"];
const STREAMS: [&str; 4] = ["CATALOG", "LICENSING", "PAYMENTS", "WEBHOOKS"];
const DEAD: &str = "DEAD";

/// What is still on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// Orders that were paid and have no licence.
    pub unlicensed: i64,
    /// Installations of which nobody knows yet how they end.
    pub installing: i64,
    /// Deliveries that are pending or held.
    pub deliveries: i64,
    /// Messages in outboxes.
    pub outboxes: i64,
    /// Messages that a durable consumer has not had, or has not settled.
    pub messages: u64,
    /// Events that payments-svc has not taken from Stripe.
    pub events: usize,
}

/// What will have been told when everything is settled.
#[derive(Debug, Clone, Copy)]
pub struct Awaited {
    /// Licences of so many sales.
    pub sales: i64,
    /// So many acts of the operator.
    pub acts: i64,
}

impl Unsettled {
    fn is_nothing(&self) -> bool {
        *self == Self { unlicensed: 0, installing: 0, deliveries: 0, outboxes: 0, messages: 0, events: 0 }
    }
}

impl fmt::Display for Unsettled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unlicensed, installing, deliveries, outboxes, messages, events } = self;
        write!(
            formatter,
            "{unlicensed} sales without a licence, {installing} installations, {deliveries} deliveries, {outboxes} messages in \
             outboxes, {messages} on the bus, {events} events of Stripe"
        )
    }
}

/// Looks at the stores and at the bus, past the proxies.
pub struct Observer {
    store: DatabaseConnection,
    bus: jetstream::Context,
}

impl Observer {
    /// Connects.
    pub async fn connect(stage: &Stage) -> anyhow::Result<Self> {
        let store = Database::connect(stage.ground.backing.database_url.as_str())
            .await
            .context("PostgreSQL does not answer")?;
        let bus =
            async_nats::connect(&stage.ground.backing.nats_url).await.context("NATS does not answer")?;
        Ok(Self { store, bus: jetstream::new(bus) })
    }

    /// Waits until everything is settled; what is not after that time. An endpoint that a late 410 has disabled is enabled.
    pub async fn settled(
        &self,
        stage: &Stage,
        awaited: Awaited,
        limit: Duration,
    ) -> anyhow::Result<Option<Unsettled>> {
        let begun = Moment::now();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let unsettled = self.look(stage, awaited).await?;
            if unsettled.is_nothing() {
                return Ok(None);
            }
            if begun.elapsed() > limit {
                return Ok(Some(unsettled));
            }
            // What is in the way of it now may not be at the next look.
            let _ = enable_all(stage).await;
        }
    }

    async fn look(&self, stage: &Stage, awaited: Awaited) -> anyhow::Result<Unsettled> {
        let events = stage.ground.stripe.undelivered().await?;
        let licenses = self.count("SELECT count(*) FROM license.licenses").await?;
        let told = |events: &str| format!("SELECT count(*) FROM webhooks.deliveries WHERE event {events}");
        let open = "SELECT count(*) FROM webhooks.deliveries WHERE state IN ('pending', 'held')";
        let installing = "SELECT count(*) FROM license.installations WHERE state = 'installing'";
        let of_acts = "IN ('license-suspended', 'license-reinstated', 'license-revoked')";
        let untold = (licenses - self.count(&told("= 'license-issued'")).await?).max(0)
            + (awaited.acts - self.count(&told(of_acts)).await?).max(0);
        let mut outboxes = 0;
        for schema in OUTBOXES {
            let sql = format!("SELECT count(*) FROM {schema}.outbox WHERE published_at_ms IS NULL");
            outboxes += self.count(&sql).await?;
        }
        Ok(Unsettled {
            events,
            unlicensed: (awaited.sales - licenses).max(0),
            installing: self.count(installing).await?,
            deliveries: untold + self.count(open).await?,
            outboxes,
            messages: self.messages().await?,
        })
    }

    async fn count(&self, sql: &str) -> anyhow::Result<i64> {
        let asked = Statement::from_string(DbBackend::Postgres, sql);
        let row = self.store.query_one_raw(asked).await?.context("no count")?;
        Ok(row.try_get_by_index(0)?)
    }

    /// Of durable consumers: the others follow for a cache's sake, and settle nothing.
    async fn messages(&self) -> anyhow::Result<u64> {
        let mut messages = 0;
        for name in STREAMS {
            let stream = self.bus.get_stream(name).await?;
            let mut consumers = stream.consumers();
            while let Some(consumer) = consumers.try_next().await? {
                messages += if consumer.config.durable_name.is_some() { left(&consumer) } else { 0 };
            }
        }
        Ok(messages)
    }

    /// How many messages no consumer could take.
    pub async fn dead_messages(&self) -> anyhow::Result<u64> {
        Ok(self.bus.get_stream(DEAD).await?.cached_info().state.messages)
    }
}

fn left(consumer: &Info) -> u64 {
    consumer.num_pending + u64::try_from(consumer.num_ack_pending).unwrap_or(0)
}

async fn enable_all(stage: &Stage) -> anyhow::Result<()> {
    for endpoint in stage.admin.list_all("endpoints").await? {
        if let (Some(true), Some(id)) = (endpoint["disabled"].as_bool(), endpoint["id"].as_str()) {
            let path = format!("/admin/endpoints/{id}/enable");
            stage.admin.caller().post(&path, &serde_json::json!({})).await?.success()?;
        }
    }
    Ok(())
}
