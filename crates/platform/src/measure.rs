//! Gauges that need a look, at a store or at the bus: taken now and then, and never so often that looking is what the
//! store or the bus does.

use std::{fmt::Debug, future::Future, time::Duration};

use tokio::time::{Instant, sleep};

use crate::Shutdown;

/// What has only begun has nothing to show yet.
const FIRST: Duration = Duration::from_secs(2);
const EVERY: Duration = Duration::from_secs(15);
/// A look that takes long is taken less often: so many times as long as it took, the store is left alone.
const REST: u32 = 99;
const LONGEST_REST: Duration = Duration::from_mins(10);

/// Looks again and again until `shutdown`. A look that fails leaves the gauges as they were, so it is counted.
pub async fn keep<F, E>(what: &'static str, shutdown: Shutdown, look: impl Fn() -> F)
where
    F: Future<Output = Result<(), E>>,
    E: Debug,
{
    let failures = metrics::counter!("measurement_failures_total", "measurement" => what);
    let looking = async {
        sleep(FIRST).await;
        loop {
            let begun = Instant::now();
            if let Err(error) = look().await {
                failures.increment(1);
                tracing::warn!(what, ?error, "a measurement failed; its gauges stay as they were");
            }
            sleep(rest_after(begun.elapsed())).await;
        }
    };
    shutdown.run_until_cancelled(looking).await;
}

fn rest_after(took: Duration) -> Duration {
    took.saturating_mul(REST).clamp(EVERY, LONGEST_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_a_hundredth_of_the_time_goes_into_looking() {
        assert_eq!(rest_after(Duration::from_millis(3)), EVERY);
        assert_eq!(rest_after(Duration::from_secs(1)), Duration::from_secs(99));
        assert_eq!(rest_after(Duration::from_hours(1)), LONGEST_REST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_fails_is_followed_by_another() {
        let (looks, shutdown) = (std::sync::atomic::AtomicU32::new(0), Shutdown::new());
        let look = || async {
            match looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 => Err("the store is away"),
                1 => Ok(()),
                _ => {
                    shutdown.cancel();
                    Ok(())
                }
            }
        };
        keep("something", shutdown.clone(), look).await;
        assert_eq!(looks.into_inner(), 3);
    }
}
