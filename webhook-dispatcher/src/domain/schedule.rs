//! When a failed delivery is tried again, and how long its endpoint is left alone.

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
    /// How long an endpoint that did not say for how long is left alone.
    pub throttle: Duration,
    /// How long an endpoint is left alone at most, whatever it says.
    pub longest_throttle: Duration,
}

impl Default for Schedule {
    /// 1 m, 5 m, 30 m, 2 h, 12 h, ±20 %.
    fn default() -> Self {
        Self {
            waits: [60, 300, 1_800, 7_200, 43_200].map(Duration::from_secs).to_vec(),
            is_endless: false,
            jitter: 0.2,
            throttle: Duration::from_mins(1),
            longest_throttle: Duration::from_hours(1),
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
    /// `chance` is in `0.0..1.0`. A `Retry-After` can make the wait longer, up to twice what the schedule says, and
    /// never shorter: so no receiver can park its deliveries with us, and none can make us hurry.
    #[must_use]
    pub fn wait_after(&self, failures: u32, chance: f64, retry_after: Option<Duration>) -> Option<Duration> {
        let index = usize::try_from(failures.checked_sub(1)?).ok()?;
        let last = self.waits.last().filter(|_| self.is_endless);
        let scheduled = *self.waits.get(index).or(last)?;
        let asked = retry_after.unwrap_or_default().min(scheduled.saturating_mul(2));
        Some(scheduled.mul_f64(self.factor(chance)).max(asked))
    }

    /// How long the endpoint's other deliveries wait, when this one waits for so long: as long, but no longer than
    /// needed. A single 503 must not stop a busy endpoint for hours because it met a delivery late in its schedule.
    #[must_use]
    pub fn throttle(&self, wait: Duration, retry_after: Option<Duration>) -> Duration {
        let asked = retry_after.unwrap_or_default().max(self.throttle).min(self.longest_throttle);
        wait.min(asked)
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

    #[test]
    fn an_endpoint_is_left_alone_as_long_as_it_asks_within_reason() {
        let secs = Duration::from_secs;
        let cases = [
            // The delivery's wait, what was asked, how long the endpoint is left alone.
            (48, None, 48),
            (60, None, 60),
            (43_200, None, 60),
            (100, Some(100), 100),
            (43_200, Some(10), 60),
            (3_600, Some(3_600), 3_600),
            (86_400, Some(86_400), 3_600),
            (120, Some(u64::MAX), 120),
        ];
        for (wait, asked, expected) in cases {
            let throttle = Schedule::default().throttle(secs(wait), asked.map(secs));
            assert_eq!(throttle, secs(expected), "{wait} {asked:?}");
        }
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
        fn retry_after_is_honoured_between_the_scheduled_wait_and_twice_it(
            failures in 1_u32..=5,
            chance in 0.0..1.0_f64,
            asked in any::<u64>(),
        ) {
            let schedule = Schedule::default();
            let plain = schedule.wait_after(failures, chance, None).unwrap();
            let twice = schedule.waits[usize::try_from(failures).unwrap() - 1] * 2;
            let asked = Duration::from_secs(asked);
            let wait = schedule.wait_after(failures, chance, Some(asked)).unwrap();
            prop_assert_eq!(wait, plain.max(asked.min(twice)));
            let throttle = schedule.throttle(wait, Some(asked));
            prop_assert!(throttle <= wait && throttle <= schedule.longest_throttle);
        }

        #[test]
        fn every_number_of_failures_ends(failures in any::<u32>(), chance in any::<f64>()) {
            let ends = Schedule::default().wait_after(failures, chance, None).is_none();
            prop_assert_eq!(ends, failures == 0 || failures > 5);
        }
    }
}
