//! PostgreSQL, NATS and Valkey, fetched when missing, on free ports, with throw-away data.
//!
//! `cargo xtask test` starts them once and tells the tests by three variables of the environment; a test asks
//! [`test_env`]. A test that kills a server starts one of its own: [`Nats::start`] and its like.

mod env;
mod install;
mod nats;
mod postgres;
mod server;
mod valkey;

use std::path::{Path, PathBuf};

pub use env::{DATABASE_URL, NATS_URL, REDIS_URL, TestEnv, test_env};
pub use nats::Nats;
pub use postgres::Postgres;
pub use server::Server;
pub use valkey::Valkey;

use crate::paths;

/// Where the servers are unpacked: `servers/` in cargo's target directory.
pub fn default_root() -> anyhow::Result<PathBuf> {
    Ok(paths::target_dir()?.join("servers"))
}

/// The three servers; those that the environment names are used, the others started, and stopped with this value.
#[derive(Debug)]
pub struct Servers {
    env: TestEnv,
    postgres: Option<Postgres>,
    nats: Option<Nats>,
    valkey: Option<Valkey>,
}

impl Servers {
    /// Takes the addresses that the environment gives and starts what is missing; unpacked servers are kept in `root`.
    pub async fn from_env_or_start(root: &Path) -> anyhow::Result<Self> {
        Self::start_missing(root, |name| std::env::var(name).ok()).await
    }

    /// Starts all three, whatever the environment says.
    pub async fn start(root: &Path) -> anyhow::Result<Self> {
        Self::start_missing(root, |_| None).await
    }

    async fn start_missing(root: &Path, given: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let given = |name| given(name).filter(|address| !address.is_empty());
        let (database_url, nats_url, redis_url) = (given(DATABASE_URL), given(NATS_URL), given(REDIS_URL));
        let (postgres, nats, valkey) = tokio::try_join!(
            unless(database_url.is_some(), Postgres::start(root)),
            unless(nats_url.is_some(), Nats::start(root)),
            unless(redis_url.is_some(), Valkey::start(root)),
        )?;
        let env = TestEnv {
            database_url: database_url.or_else(|| postgres.as_ref().map(Postgres::url)).unwrap_or_default(),
            nats_url: nats_url.or_else(|| nats.as_ref().map(Nats::url)).unwrap_or_default(),
            redis_url: redis_url.or_else(|| valkey.as_ref().map(Valkey::url)).unwrap_or_default(),
        };
        Ok(Self { env, postgres, nats, valkey })
    }

    /// The addresses.
    #[must_use]
    pub fn test_env(&self) -> &TestEnv {
        &self.env
    }

    /// A database URL that may create databases.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.env.database_url
    }

    /// NATS with JetStream.
    #[must_use]
    pub fn nats_url(&self) -> &str {
        &self.env.nats_url
    }

    /// A server that speaks Redis.
    #[must_use]
    pub fn redis_url(&self) -> &str {
        &self.env.redis_url
    }

    /// The variables by which the tests find the servers.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 3] {
        self.env.vars()
    }

    /// An empty database of its own, by its URL.
    #[cfg(feature = "database")]
    pub async fn fresh_database(&self) -> anyhow::Result<String> {
        self.env.fresh_database().await
    }

    /// The NATS that was started here, to be killed and restarted; none if the environment named another.
    pub fn nats(&mut self) -> Option<&mut Server> {
        self.nats.as_mut().map(Nats::server)
    }

    /// The PostgreSQL that was started here; none if the environment named another.
    pub fn postgres(&mut self) -> Option<&mut Server> {
        self.postgres.as_mut().map(Postgres::server)
    }

    /// The Valkey that was started here; none if the environment named another.
    pub fn valkey(&mut self) -> Option<&mut Server> {
        self.valkey.as_mut().map(Valkey::server)
    }

    /// Stops what was started, politely; dropping this value is the quicker and harder way.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let started = [
            self.postgres.as_mut().map(Postgres::server),
            self.nats.as_mut().map(Nats::server),
            self.valkey.as_mut().map(Valkey::server),
        ];
        for server in started.into_iter().flatten() {
            server.stop().await?;
        }
        Ok(())
    }
}

async fn unless<T>(given: bool, start: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
    if given { Ok(None) } else { start.await.map(Some) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn what_the_environment_names_is_not_started() {
        let servers =
            Servers::start_missing(Path::new("/nonexistent"), |name| Some(format!("test://{name}"))).await;
        let mut servers = servers.unwrap();
        assert_eq!(servers.nats_url(), "test://MERCATO_TEST_NATS_URL");
        assert_eq!(servers.env()[0], (DATABASE_URL, "test://MERCATO_TEST_DATABASE_URL".to_owned()));
        assert!(servers.nats().is_none() && servers.postgres().is_none() && servers.valkey().is_none());
        servers.stop().await.unwrap();
    }

    #[tokio::test]
    async fn all_three_start_answer_and_stop() {
        let mut servers = Servers::start(&default_root().unwrap()).await.unwrap();
        for server in [servers.postgres().unwrap().port(), servers.nats().unwrap().port()] {
            assert_ne!(server, 0);
        }
        assert!(servers.redis_url().starts_with("redis://127.0.0.1:"));
        servers.stop().await.unwrap();
    }
}
