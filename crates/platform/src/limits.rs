//! Rate limits that never wait: each process counts by itself and agrees with the others through Redis in the
//! background. With Redis away, each process limits by its own count.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::sync::Cache;
use redis::aio::ConnectionManager;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::{Clock, Shutdown, config::Problems, secret::Secret};

/// The Redis-speaking server that replicas share.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://:password@host:6379` (`REDIS_URL`).
    pub url: Secret,
}

impl RedisConfig {
    /// Reports what cannot work.
    pub fn check(&self, problems: &mut Problems) {
        problems.check("redis.url", redis::Client::open(self.url.expose()));
    }
}

/// So many requests in each window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// Requests in one window.
    pub requests: u64,
    /// The window's length in seconds.
    pub window_seconds: u32,
}

/// What a limit says of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may pass.
    pub allowed: bool,
    /// The limit, for `X-RateLimit-Limit`.
    pub limit: u64,
    /// What is left in this window, for `X-RateLimit-Remaining`.
    pub remaining: u64,
    /// Seconds until the window ends, for `X-RateLimit-Reset` and `Retry-After`.
    pub reset_seconds: u32,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct WindowKey {
    name: String,
    window: i64,
}

/// The count of one window: `seen` is what all processes had when last asked, `local` what came here since.
#[derive(Default)]
struct Count {
    seen: AtomicU64,
    local: AtomicU64,
}

/// Counts requests per name in fixed windows.
#[derive(Clone)]
pub struct RateLimiter {
    counts: Cache<WindowKey, Arc<Count>>,
    clock: Clock,
    touched: Option<mpsc::Sender<(WindowKey, u32)>>,
}

const NAMES_AT_MOST: u64 = 200_000;
const SYNC_EVERY: Duration = Duration::from_millis(100);
const QUEUE: usize = 65_536;

impl RateLimiter {
    /// Limits of this process alone.
    #[must_use]
    pub fn in_memory(clock: Clock) -> Self {
        let counts =
            Cache::builder().max_capacity(NAMES_AT_MOST).time_to_idle(Duration::from_hours(2)).build();
        Self { counts, clock, touched: None }
    }

    /// Limits shared through Redis; the returned task keeps the processes in agreement until `shutdown`.
    pub fn shared(
        clock: Clock,
        redis: redis::Client,
        shutdown: Shutdown,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (touched, queue) = mpsc::channel(QUEUE);
        let limiter = Self { touched: Some(touched), ..Self::in_memory(clock) };
        let counts = limiter.counts.clone();
        (limiter, agree(counts, redis, queue, shutdown))
    }

    /// Counts one request under `name` and says whether it may pass.
    #[must_use]
    pub fn check(&self, name: &str, limit: Limit) -> Verdict {
        let length = i64::from(limit.window_seconds.max(1));
        let now = self.clock.now_secs();
        let key = WindowKey { name: format!("{name}/{length}"), window: now.div_euclid(length) };
        let count = self.counts.get_with_by_ref(&key, Arc::default);
        let before = count.local.fetch_add(1, Ordering::Relaxed) + count.seen.load(Ordering::Relaxed);
        if let Some(touched) = &self.touched {
            // A full queue means that this request is not shared; it still counts here.
            let _ = touched.try_send((key, limit.window_seconds.max(1)));
        }
        Verdict {
            allowed: before < limit.requests,
            limit: limit.requests,
            remaining: limit.requests.saturating_sub(before + 1),
            reset_seconds: u32::try_from(length - now.rem_euclid(length)).unwrap_or(1),
        }
    }
}

async fn agree(
    counts: Cache<WindowKey, Arc<Count>>,
    redis: redis::Client,
    mut queue: mpsc::Receiver<(WindowKey, u32)>,
    shutdown: Shutdown,
) {
    let mut connection = None;
    while shutdown.run_until_cancelled(tokio::time::sleep(SYNC_EVERY)).await.is_some() {
        let batch: HashSet<_> = std::iter::from_fn(|| queue.try_recv().ok()).take(QUEUE).collect();
        for (key, window_seconds) in &batch {
            let Some(count) = counts.get(key) else { continue };
            if connection.is_none() {
                connection = ConnectionManager::new(redis.clone()).await.ok();
            }
            let Some(live) = connection.as_mut() else { break };
            let added = count.local.swap(0, Ordering::Relaxed);
            match add(live, key, added, *window_seconds).await {
                Ok(total) => count.seen.store(total, Ordering::Relaxed),
                Err(error) => {
                    count.local.fetch_add(added, Ordering::Relaxed);
                    tracing::debug!(%error, "limits are kept by this process alone while Redis is away");
                    connection = None;
                    break;
                }
            }
        }
    }
}

async fn add(
    redis: &mut ConnectionManager,
    key: &WindowKey,
    added: u64,
    window_seconds: u32,
) -> redis::RedisResult<u64> {
    let name = format!("mercato:limit:{}:{}", key.name, key.window);
    let (total,): (u64,) = redis::pipe()
        .atomic()
        .incr(&name, added)
        .expire(&name, i64::from(window_seconds) * 2)
        .ignore()
        .query_async(redis)
        .await?;
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { requests: 2, window_seconds: 10 };

    #[test]
    fn a_window_lets_its_number_through_and_then_says_when_to_come_back() {
        let clock = Clock::manual(1_000_003_000);
        let limiter = RateLimiter::in_memory(clock.clone());
        assert_eq!(limiter.check("pk", LIMIT).remaining, 1);
        assert!(limiter.check("pk", LIMIT).allowed);
        let refused = limiter.check("pk", LIMIT);
        assert!(!refused.allowed);
        assert_eq!(refused.reset_seconds, 7);
        clock.advance(Duration::from_secs(7));
        assert!(limiter.check("pk", LIMIT).allowed, "a new window begins");
    }

    #[test]
    fn names_do_not_share_a_count() {
        let limiter = RateLimiter::in_memory(Clock::manual(0));
        for _ in 0..3 {
            let _ = limiter.check("a", LIMIT);
        }
        assert!(limiter.check("b", LIMIT).allowed);
    }
}
