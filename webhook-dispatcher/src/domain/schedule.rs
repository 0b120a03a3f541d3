//! When a failed delivery is tried again.

use std::time::Duration;

/// The retry policy of contracts.md section 3.
///
/// The early retries bridge a restart of the shop, the late ones a night of outage. The jitter keeps the deliveries
/// that failed together from coming back together.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// How long after the first, second, … failed attempt.
    pub waits: Vec<Duration>,
    /// Whether the last wait comes again and again, until the delivery's time is over; otherwise the delivery is dead
    /// after it.
    pub is_endless: bool,
    /// The share by which a wait is made shorter or longer, 0.2 for ±20 %.
    pub jitter: f64,
    /// The longest `Retry-After` that is honoured, so that no receiver can park its deliveries with us for ever.
    pub longest_retry_after: Duration,
}

impl Default for Schedule {
    /// 1 m, 5 m, 30 m, 2 h, 12 h, ±20 %.
    fn default() -> Self {
        Self {
            waits: [60, 300, 1_800, 7_200, 43_200].map(Duration::from_secs).to_vec(),
            is_endless: false,
            jitter: 0.2,
            longest_retry_after: Duration::from_hours(24),
        }
    }
}

impl Schedule {
    /// Of an Install, whose shop's administrator is waiting: soon, and until its time is over.
    #[must_use]
    pub fn install() -> Self {
        let waits = [5, 10, 20, 40, 60].map(Duration::from_secs).to_vec();
        Self { waits, is_endless: true, ..Self::default() }
    }

    /// The wait after `failures` failed attempts (1 for the first); `None`: that was the last one.
    ///
    /// `chance` is in `0.0..1.0`. A `Retry-After` can make the wait longer, up to the cap, and never shorter.
    #[must_use]
    pub fn wait_after(&self, failures: u32, chance: f64, retry_after: Option<Duration>) -> Option<Duration> {
        let index = usize::try_from(failures.checked_sub(1)?).ok()?;
        let last = self.waits.last().filter(|_| self.is_endless);
        let wait = self.waits.get(index).or(last)?.mul_f64(self.factor(chance));
        let asked = retry_after.unwrap_or_default().min(self.longest_retry_after);
        Some(wait.max(asked))
    }

    /// How long an endpoint that asked for it is left alone.
    #[must_use]
    pub fn throttle(&self, retry_after: Option<Duration>) -> Option<Duration> {
        retry_after.map(|asked| asked.min(self.longest_retry_after)).filter(|wait| !wait.is_zero())
    }

    fn factor(&self, chance: f64) -> f64 {
        let jitter = self.jitter.clamp(0.0, 1.0);
        1.0 - jitter + 2.0 * jitter * chance.clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_is_the_contract() {
        let schedule = Schedule::default();
        let waits: Vec<_> = (1..=6).map(|failures| schedule.wait_after(failures, 0.5, None)).collect();
        let seconds = [Some(60), Some(300), Some(1_800), Some(7_200), Some(43_200), None];
        assert_eq!(waits, seconds.map(|wait| wait.map(Duration::from_secs)));
    }

    proptest! {
        #[test]
        fn jitter_stays_within_its_share(failures in 1_u32..=5, chance in 0.0..1.0_f64) {
            let schedule = Schedule::default();
            let base = schedule.waits[usize::try_from(failures).unwrap() - 1].as_secs_f64();
            let wait = schedule.wait_after(failures, chance, None).unwrap().as_secs_f64();
            prop_assert!((base * 0.8 - 1e-6..=base * 1.2 + 1e-6).contains(&wait), "{wait} of {base}");
        }

        #[test]
        fn retry_after_is_never_sooner_than_the_schedule_and_never_beyond_the_cap(
            failures in 1_u32..=5,
            chance in 0.0..1.0_f64,
            asked in any::<u64>(),
        ) {
            let schedule = Schedule::default();
            let plain = schedule.wait_after(failures, chance, None).unwrap();
            let asked = Duration::from_secs(asked);
            let wait = schedule.wait_after(failures, chance, Some(asked)).unwrap();
            prop_assert!(wait >= plain);
            prop_assert!(wait <= plain.max(schedule.longest_retry_after));
            prop_assert!(wait >= asked.min(schedule.longest_retry_after));
        }

        #[test]
        fn every_number_of_failures_ends(failures in any::<u32>(), chance in any::<f64>()) {
            let ends = Schedule::default().wait_after(failures, chance, None).is_none();
            prop_assert_eq!(ends, failures == 0 || failures > 5);
        }
    }
}
