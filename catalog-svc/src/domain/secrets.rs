use std::time::Duration;

use thiserror::Error;

/// How long an old secret may go on signing at most.
const MAX_OVERLAP: Duration = Duration::from_hours(30 * 24);
/// An app is asked to know so many at once, and no more.
const MAX_LIVE: usize = 5;

/// A secret of a hosted app, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    /// Sealed for this service's rows.
    pub sealed: Vec<u8>,
    /// Unix milliseconds; without it the secret lives until it is rotated.
    pub expires_at_ms: Option<i64>,
}

/// The secrets of a hosted app that sign its callbacks, the oldest first: the first one signs until it ends, then the
/// next (contracts.md section 4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppSecrets(Vec<SealedSecret>);

/// Why a secret is not rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RotationError {
    /// Nobody keeps two secrets that long.
    #[error("an old secret goes on signing for at most 30 days; ask for a shorter overlap")]
    Overlap,
    /// The app would have to know them all.
    #[error("five secrets are live already; wait until the oldest ends, or rotate with an overlap of 0")]
    TooMany,
}

impl AppSecrets {
    /// Those that have not ended.
    #[must_use]
    pub fn live(mut secrets: Vec<SealedSecret>, now_ms: i64) -> Self {
        secrets.retain(|secret| secret.expires_at_ms.is_none_or(|ends| ends > now_ms));
        Self(secrets)
    }

    /// None where the app has none yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[SealedSecret] {
        &self.0
    }

    /// When the last of those before the newest stops signing.
    #[must_use]
    pub fn previous_until_ms(&self) -> Option<i64> {
        self.0.iter().filter_map(|secret| secret.expires_at_ms).max()
    }

    /// With this one as the newest: the others end after the overlap, if not before.
    pub fn rotate(self, sealed: Vec<u8>, overlap: Duration, now_ms: i64) -> Result<Self, RotationError> {
        if overlap > MAX_OVERLAP {
            return Err(RotationError::Overlap);
        }
        let ends_ms = now_ms.saturating_add(i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX));
        let ending = |secret: SealedSecret| {
            let expires_at_ms = Some(secret.expires_at_ms.map_or(ends_ms, |ends| ends.min(ends_ms)));
            SealedSecret { expires_at_ms, ..secret }
        };
        let mut secrets = Self::live(self.0.into_iter().map(ending).collect(), now_ms);
        if secrets.0.len() >= MAX_LIVE {
            return Err(RotationError::TooMany);
        }
        secrets.0.push(SealedSecret { sealed, expires_at_ms: None });
        Ok(secrets)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn rotate(secrets: AppSecrets, n: u8, overlap_s: u64, now_ms: i64) -> Result<AppSecrets, RotationError> {
        secrets.rotate(vec![n], Duration::from_secs(overlap_s), now_ms)
    }

    fn ends(secrets: &AppSecrets) -> Vec<(u8, Option<i64>)> {
        secrets.as_slice().iter().map(|secret| (secret.sealed[0], secret.expires_at_ms)).collect()
    }

    #[test]
    fn the_old_one_ends_after_the_overlap_and_the_new_one_never() {
        let first = rotate(AppSecrets::default(), 1, 0, 1_000).unwrap();
        assert_eq!((ends(&first), first.previous_until_ms()), (vec![(1, None)], None));
        let second = rotate(first, 2, 60, 1_000).unwrap();
        assert_eq!(ends(&second), [(1, Some(61_000)), (2, None)]);
        assert_eq!(second.previous_until_ms(), Some(61_000));
        let third = rotate(second.clone(), 3, 600, 31_000).unwrap();
        assert_eq!(ends(&third), [(1, Some(61_000)), (2, Some(631_000)), (3, None)], "no end moves later");
        assert_eq!(ends(&rotate(second, 3, 600, 61_000).unwrap()), [(2, Some(661_000)), (3, None)]);
    }

    #[test]
    fn without_an_overlap_the_lost_secret_is_gone_at_once() {
        let two = rotate(rotate(AppSecrets::default(), 1, 0, 0).unwrap(), 2, 60, 0).unwrap();
        let one = rotate(two, 3, 0, 1).unwrap();
        assert_eq!((ends(&one), one.previous_until_ms()), (vec![(3, None)], None));
    }

    #[test]
    fn nobody_must_know_more_than_five_or_wait_longer_than_thirty_days() {
        let five = (1..=5).fold(AppSecrets::default(), |secrets, n| rotate(secrets, n, 60, 0).unwrap());
        assert_eq!(rotate(five.clone(), 6, 60, 0), Err(RotationError::TooMany));
        assert_eq!(rotate(five.clone(), 6, 0, 0).unwrap().as_slice().len(), 1);
        assert_eq!(rotate(five, 6, 30 * 86_400 + 1, 0), Err(RotationError::Overlap));
    }

    proptest! {
        #[test]
        fn there_is_always_one_that_signs_and_the_newest_never_ends(
            rotations in prop::collection::vec((0..200_u64, 0..100_000_i64), 1..12),
        ) {
            let (mut secrets, mut now_ms) = (AppSecrets::default(), 0);
            for (n, (overlap, wait)) in (0..).zip(rotations) {
                now_ms += wait;
                let Ok(rotated) = rotate(secrets.clone(), n, overlap, now_ms) else { continue };
                let all = rotated.as_slice();
                prop_assert_eq!(all.last().map(|it| (it.sealed[0], it.expires_at_ms)), Some((n, None)));
                prop_assert!(all[..all.len() - 1].iter().all(|it| it.expires_at_ms.is_some_and(|ends| ends > now_ms)));
                secrets = rotated;
            }
        }
    }
}
