//! How often an endpoint is called: a token bucket, with a queue for what finds it empty.

/// A token's worth: a rate of r a second earns r of these in a millisecond.
const TOKEN: i64 = 1_000;

/// One endpoint's bucket in one process. It holds a tenth of a second's worth, at least one, so that a rate is a rate
/// and not a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    per_second: i64,
    filled: i64,
    filled_at_ms: i64,
    /// Until then, in microseconds, each moment has been given to somebody who waits in the store.
    given_until_us: i64,
}

impl Bucket {
    /// Full.
    #[must_use]
    pub fn new(per_second: u32, now_ms: i64) -> Self {
        let per_second = i64::from(per_second.max(1));
        Self { per_second, filled: most(per_second), filled_at_ms: now_ms, given_until_us: 0 }
    }

    /// The same with another rate.
    #[must_use]
    pub fn at_rate(self, per_second: u32) -> Self {
        let per_second = i64::from(per_second.max(1));
        Self { per_second, filled: self.filled.min(most(per_second)), ..self }
    }

    /// Whether one may be sent now; otherwise when to come again. What comes for the first time lets those before it
    /// who wait in the store.
    pub fn take(&mut self, is_first: bool, now_ms: i64) -> Result<(), i64> {
        let earned = now_ms.saturating_sub(self.filled_at_ms).max(0).saturating_mul(self.per_second);
        self.filled = self.filled.saturating_add(earned).min(most(self.per_second));
        self.filled_at_ms = now_ms;
        let micros = now_ms.saturating_mul(1_000);
        if self.filled >= TOKEN && (!is_first || self.given_until_us <= micros) {
            self.filled -= TOKEN;
            return Ok(());
        }
        self.given_until_us = self.given_until_us.max(micros) + (1_000_000 / self.per_second).max(1);
        // Rounded up: a moment too early would find the bucket empty again.
        Err(self.given_until_us.div_euclid(1_000) + 1)
    }
}

fn most(per_second: i64) -> i64 {
    (per_second * TOKEN / 10).max(TOKEN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_exceeds_the_rate_is_told_when_to_come_each_at_its_own_time() {
        let mut bucket = Bucket::new(2, 0);
        assert_eq!(bucket.take(true, 0), Ok(()));
        assert_eq!([0, 0, 0].map(|now| bucket.take(true, now)), [Err(501), Err(1_001), Err(1_501)]);
        assert_eq!(bucket.take(true, 600), Err(2_001), "those who wait come first");
        assert_eq!(bucket.take(false, 600), Ok(()));
        assert_eq!(bucket.take(true, 9_000), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_earns_nothing_and_takes_nothing() {
        let mut bucket = Bucket::new(1, 10_000);
        assert_eq!(bucket.take(false, 10_000), Ok(()));
        assert!(bucket.take(false, 5_000).is_err());
        assert_eq!(bucket.take(false, 6_000), Ok(()));
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_the_rate_and_its_burst(
            per_second in 1_u32..500,
            steps in proptest::collection::vec((0_i64..50, any::<bool>()), 1..400),
        ) {
            let (mut bucket, mut now, mut sent) = (Bucket::new(per_second, 0), 0, Vec::new());
            for (step, is_first) in steps {
                now += step;
                if bucket.take(is_first, now).is_ok() {
                    sent.push(now);
                }
            }
            let most = i64::from(per_second) + (i64::from(per_second) / 10).max(1);
            for begin in &sent {
                let within = sent.iter().filter(|at| (*begin..begin + 1_000).contains(*at)).count();
                prop_assert!(i64::try_from(within).unwrap_or(i64::MAX) <= most + 1);
            }
        }
    }
}
