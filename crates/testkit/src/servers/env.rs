//! How a test finds the servers.

/// Names a PostgreSQL in which databases may be created.
pub const DATABASE_URL: &str = "MERCATO_TEST_DATABASE_URL";
/// Names a NATS with JetStream.
pub const NATS_URL: &str = "MERCATO_TEST_NATS_URL";
/// Names a server that speaks Redis.
pub const REDIS_URL: &str = "MERCATO_TEST_REDIS_URL";

/// The addresses of the servers that this run of the tests uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestEnv {
    /// A PostgreSQL in which databases may be created.
    pub database_url: String,
    /// NATS with JetStream.
    pub nats_url: String,
    /// A server that speaks Redis.
    pub redis_url: String,
}

/// The servers that `cargo xtask test` started.
///
/// # Panics
///
/// When an address is missing: a test that needs a server fails without it, and is never skipped.
#[must_use]
#[expect(clippy::panic, reason = "a test that needs a server must fail when there is none")]
pub fn test_env() -> TestEnv {
    TestEnv::read(|name| std::env::var(name).ok()).unwrap_or_else(|message| panic!("{message}"))
}

impl TestEnv {
    fn read(given: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let need = |name: &str, what: &str| {
            given(name).filter(|address| !address.is_empty()).ok_or_else(|| {
                format!("this test needs {what}: run `cargo xtask test`, or set {name} to the address of one")
            })
        };
        Ok(Self {
            database_url: need(DATABASE_URL, "a PostgreSQL")?,
            nats_url: need(NATS_URL, "a NATS with JetStream")?,
            redis_url: need(REDIS_URL, "a server that speaks Redis")?,
        })
    }

    /// The same as variables of the environment.
    #[must_use]
    pub fn vars(&self) -> [(&'static str, String); 3] {
        [
            (DATABASE_URL, self.database_url.clone()),
            (NATS_URL, self.nats_url.clone()),
            (REDIS_URL, self.redis_url.clone()),
        ]
    }

    /// Creates an empty database and answers its URL. It goes with the throw-away server; in one of your own, the
    /// databases named `mercato_test_…` may be dropped after the run.
    #[cfg(feature = "database")]
    pub async fn fresh_database(&self) -> anyhow::Result<String> {
        use anyhow::Context as _;
        use sea_orm::{ConnectionTrait as _, Database};

        let name = unused_name();
        let mut url =
            url::Url::parse(&self.database_url).with_context(|| format!("{DATABASE_URL} is not a URL"))?;
        let admin = Database::connect(url.as_str()).await.context("the test's PostgreSQL doesn't answer")?;
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
        admin.close().await?;
        url.set_path(&name);
        Ok(url.into())
    }
}

#[cfg(feature = "database")]
#[expect(clippy::disallowed_methods, reason = "runs may share a server, so that chance is wanted here")]
fn unused_name() -> String {
    format!("mercato_test_{}", ulid::Ulid::generate().to_string().to_lowercase())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_missing_address_says_what_to_do() {
        let message =
            TestEnv::read(|name| (name == DATABASE_URL).then(|| "postgres://x".into())).unwrap_err();
        assert!(message.contains("cargo xtask test") && message.contains(NATS_URL), "{message}");
        assert!(TestEnv::read(|_| Some(String::new())).is_err());
    }

    #[test]
    fn what_is_read_is_what_is_told() {
        let env = TestEnv::read(|name| Some(format!("a://{name}"))).unwrap();
        let told = env.vars();
        assert_eq!(
            TestEnv::read(|name| told.iter().find(|(key, _)| *key == name).map(|(_, v)| v.clone())).unwrap(),
            env
        );
    }
}
