//! An open loop: requests begin at a fixed rate, whether the earlier ones are answered or not.

use std::{net::SocketAddr, time::Duration};

use futures::future::{join_all, try_join_all};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::load::{Ask, Connection, count};

/// Connections that take turns.
pub(crate) struct Pool(Vec<Mutex<Connection>>);

impl Pool {
    pub(crate) async fn open(address: SocketAddr, connections: usize) -> anyhow::Result<Self> {
        let open = try_join_all((0..connections).map(|_| Connection::open(address))).await?;
        Ok(Self(open.into_iter().map(Mutex::new).collect()))
    }

    /// Sends each at its time; when each was due. A request waits for its connection no longer than one answer takes,
    /// and what it waits counts as its own latency.
    pub(crate) async fn send_at_rate(
        &self,
        asks: &[&Ask],
        per_second: usize,
    ) -> anyhow::Result<Vec<Instant>> {
        let began = Instant::now() + Duration::from_millis(10);
        let due = |number: usize| began + Duration::from_secs_f64(count(number) / count(per_second));
        let sending = asks.iter().enumerate().map(async |(number, ask)| {
            sleep_until(due(number)).await;
            let mut connection = self.0[number % self.0.len()].lock().await;
            connection.ask(ask.request()).await
        });
        join_all(sending).await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        Ok((0..asks.len()).map(due).collect())
    }

    /// Sends all as fast as the connections go.
    pub(crate) async fn send_all(&self, asks: &[&Ask]) -> anyhow::Result<()> {
        let width = self.0.len();
        let lanes = self.0.iter().enumerate().map(async |(lane, connection)| {
            let mut connection = connection.lock().await;
            for ask in asks.iter().skip(lane).step_by(width) {
                connection.ask(ask.request()).await?;
            }
            anyhow::Ok(())
        });
        try_join_all(lanes).await?;
        Ok(())
    }
}
