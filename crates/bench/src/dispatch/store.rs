//! The dispatcher's store, seen from outside.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, Statement};
use testkit::eventually;

/// A look at the tables of the dispatcher.
pub(crate) struct Store(DatabaseConnection);

impl Store {
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        Ok(Self(Database::connect(url).await?))
    }

    pub(crate) async fn endpoints(&self) -> anyhow::Result<usize> {
        self.count("webhooks.endpoints").await
    }

    /// Has every endpoint told of releases too.
    pub(crate) async fn subscribe_all(&self) -> anyhow::Result<()> {
        let sql = "UPDATE webhooks.endpoints SET events = 'license-issued,release-published'";
        self.0.execute_unprepared(sql).await?;
        Ok(())
    }

    pub(crate) async fn delivered(&self) -> anyhow::Result<usize> {
        self.count("webhooks.deliveries WHERE state = 'delivered'").await
    }

    async fn count(&self, of: &str) -> anyhow::Result<usize> {
        let counted = Statement::from_string(DbBackend::Postgres, format!("SELECT count(*) FROM {of}"));
        let row = self.0.query_one_raw(counted).await?.context("a count has a row")?;
        Ok(usize::try_from(row.try_get_by_index::<i64>(0)?)?)
    }

    /// Waits until so many are settled as delivered; fails when one was settled otherwise or has no attempt.
    pub(crate) async fn wait_delivered(&self, wanted: usize, limit: Duration) -> anyhow::Result<()> {
        let what = format!("{wanted} deliveries to be recorded");
        let all = async || match self.delivered().await {
            Ok(delivered) => (delivered >= wanted).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        eventually(&what, limit, all).await?
    }

    /// Each delivery is delivered, and each has its attempt.
    pub(crate) async fn check_all_delivered(&self, wanted: usize) -> anyhow::Result<()> {
        let deliveries = self.count("webhooks.deliveries").await?;
        let delivered = self.delivered().await?;
        ensure!(
            (deliveries, delivered) == (wanted, wanted),
            "{wanted} licences made {deliveries} deliveries, {delivered} delivered"
        );
        let told = "webhooks.deliveries d WHERE EXISTS (SELECT 1 FROM webhooks.attempts a \
                    WHERE a.delivery_id = d.id AND a.outcome = 'success')";
        let told = self.count(told).await?;
        ensure!(told == wanted, "of {wanted} deliveries {told} have a recorded success");
        Ok(())
    }

    /// Adds so many pending deliveries, due now, each with a message of its own, in the likeness of those that are
    /// there.
    pub(crate) async fn fill(&self, pending: usize) -> anyhow::Result<()> {
        let prepared = "CREATE TABLE webhooks.likeness AS \
             SELECT id, message_id, row_number() OVER (ORDER BY id) - 1 AS place FROM webhooks.deliveries";
        self.0.execute_unprepared(prepared).await?;
        for statement in [of_messages(pending), of_deliveries(pending)] {
            self.0.execute_unprepared(&statement).await?;
        }
        for table in ["messages", "deliveries"] {
            self.0.execute_unprepared(&format!("VACUUM ANALYZE webhooks.{table}")).await?;
        }
        self.0.execute_unprepared("DROP TABLE webhooks.likeness").await?;
        Ok(())
    }
}

/// An id of the same form, time and prefix as the likeness's.
const ID: &str = "left(%, 14) || lpad(upper(to_hex(n)), 16, '0')";

/// What a copy of a row is made of: columns that are not named stay as they are, whatever the table has.
fn copies(table: &str, key: &str, pending: usize, changes: &str) -> String {
    format!(
        "INSERT INTO webhooks.{table} \
         SELECT (jsonb_populate_record(t, jsonb_build_object({changes}))).* \
         FROM generate_series(1, {pending}) n \
         JOIN webhooks.likeness l ON l.place = n % (SELECT count(*) FROM webhooks.likeness) \
         JOIN webhooks.{table} t ON t.id = l.{key}"
    )
}

fn of_messages(pending: usize) -> String {
    copies("messages", "message_id", pending, &format!("'id', {}", ID.replace('%', "t.id")))
}

fn of_deliveries(pending: usize) -> String {
    let (id, message) = (ID.replace('%', "t.id"), ID.replace('%', "t.message_id"));
    let changes = format!(
        "'id', {id}, 'message_id', {message}, 'state', 'pending', 'attempts', 0, 'lease_token', 0, \
         'lease_until_ms', 0, 'settled_at_ms', NULL"
    );
    copies("deliveries", "id", pending, &changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_a_delivery_names_its_own_message() {
        let (messages, deliveries) = (of_messages(10), of_deliveries(10));
        assert!(messages.contains("generate_series(1, 10)") && messages.contains("'id', left(t.id, 14)"));
        assert!(deliveries.contains("'message_id', left(t.message_id, 14)"), "{deliveries}");
    }
}
