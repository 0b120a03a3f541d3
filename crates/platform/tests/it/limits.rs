//! Limits that replicas share through a Redis-speaking server.

use std::time::Duration;

use platform::{
    Clock, Shutdown,
    limits::{Limit, RateLimiter},
};

const LIMIT: Limit = Limit { requests: 10, window_seconds: 3600 };

fn shared(url: &str, shutdown: &Shutdown) -> RateLimiter {
    let client = redis::Client::open(url).unwrap();
    let (limiter, agreeing) = RateLimiter::shared(Clock::system(), client, shutdown.clone());
    tokio::spawn(agreeing);
    limiter
}

#[tokio::test]
async fn what_one_replica_let_through_counts_at_the_other() {
    let url = testkit::servers::test_env().redis_url;
    let shutdown = Shutdown::new();
    let (here, there) = (shared(&url, &shutdown), shared(&url, &shutdown));
    let name = format!("test:{:?}", std::process::id());
    for _ in 0..10 {
        assert!(here.check(&name, LIMIT).allowed);
    }
    testkit::eventually("the other replica to agree", Duration::from_secs(10), || async {
        (!there.check(&name, LIMIT).allowed).then_some(())
    })
    .await
    .unwrap();
    shutdown.cancel();
}

#[tokio::test]
async fn with_redis_away_each_process_limits_by_its_own_count_and_never_waits() {
    let shutdown = Shutdown::new();
    let limiter = shared("redis://127.0.0.1:1", &shutdown);
    let allowed = (0..20).filter(|_| limiter.check("away", LIMIT).allowed).count();
    assert_eq!(allowed, 10);
    shutdown.cancel();
}
